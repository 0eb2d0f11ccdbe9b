#include "kvsieve/kernels/decode_graph.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "traces/fails_with.h"

namespace kvsieve::kernels {
namespace {

using kvsieve::tests::fails_with;

constexpr std::int64_t kLayers = 3;

std::vector<DecodeGraphShape> shapes() {
  std::vector<DecodeGraphShape> all;
  for (const Placement placement : kPlacements) {
    for (const Schedule schedule : {Schedule::kSerial, Schedule::kOverlapped}) {
      all.push_back({kLayers, placement, schedule});
    }
  }
  return all;
}

/// Whether task `b` cannot start before task `a` has ended, by lanes and by what is waited for.
/// @param skipped an entry of b's own list to leave out, or -1
bool follows(const std::vector<StepTask>& graph, std::int32_t a, std::int32_t b,
             std::int32_t skipped = -1) {
  if (a == b) {
    return true;
  }
  const StepTask& task = graph[static_cast<std::size_t>(b)];
  for (std::int32_t t = b - 1; t >= a; --t) {
    const StepTask& other = graph[static_cast<std::size_t>(t)];
    if (other.micro_batch == task.micro_batch && lane_of(other.stage) == lane_of(task.stage)) {
      if (follows(graph, a, t)) {
        return true;
      }
      break;
    }
  }
  return std::any_of(task.after.begin(), task.after.end(), [&](std::int32_t t) {
    return t != skipped && t >= a && follows(graph, a, t);
  });
}

std::int32_t find(const std::vector<StepTask>& graph, StepStage stage, std::int32_t layer,
                  std::int32_t batch) {
  const auto found = std::find_if(graph.begin(), graph.end(), [&](const StepTask& task) {
    return task.stage == stage && task.layer == layer && task.micro_batch == batch;
  });
  return found == graph.end() ? -1 : static_cast<std::int32_t>(found - graph.begin());
}

TEST(DecodeGraph, TasksWaitForEarlierOnesOnly) {
  for (const DecodeGraphShape& shape : shapes()) {
    const std::vector<StepTask> graph = decode_step_graph(shape);
    for (std::size_t t = 0; t < graph.size(); ++t) {
      EXPECT_TRUE(std::is_sorted(graph[t].after.begin(), graph[t].after.end()));
      for (const std::int32_t earlier : graph[t].after) {
        EXPECT_GE(earlier, 0);
        EXPECT_LT(earlier, static_cast<std::int32_t>(t));
        EXPECT_NE(lane_of(graph[static_cast<std::size_t>(earlier)].stage), lane_of(graph[t].stage));
      }
    }
  }
}

TEST(DecodeGraph, NothingThatIsWaitedForIsImpliedByTheRest) {
  for (const DecodeGraphShape& shape : shapes()) {
    const std::vector<StepTask> graph = decode_step_graph(shape);
    for (std::int32_t t = 0; t < static_cast<std::int32_t>(graph.size()); ++t) {
      for (const std::int32_t earlier : graph[static_cast<std::size_t>(t)].after) {
        EXPECT_FALSE(follows(graph, earlier, t, earlier)) << t << " after " << earlier;
      }
    }
  }
}

TEST(DecodeGraph, SerialIsOneChain) {
  for (const Placement placement : kPlacements) {
    const std::vector<StepTask> graph = decode_step_graph({kLayers, placement, Schedule::kSerial});
    for (std::int32_t t = 1; t < static_cast<std::int32_t>(graph.size()); ++t) {
      EXPECT_TRUE(follows(graph, t - 1, t)) << name_of(placement) << " " << t;
    }
  }
}

TEST(DecodeGraph, OverlappedMicroBatchesNeverWaitForEachOther) {
  for (const Placement placement : kPlacements) {
    const std::vector<StepTask> graph =
        decode_step_graph({kLayers, placement, Schedule::kOverlapped});
    std::set<std::int32_t> batches;
    for (const StepTask& task : graph) {
      batches.insert(task.micro_batch);
      for (const std::int32_t earlier : task.after) {
        EXPECT_EQ(graph[static_cast<std::size_t>(earlier)].micro_batch, task.micro_batch);
      }
    }
    EXPECT_EQ(batches, (std::set<std::int32_t>{0, 1}));
  }
}

TEST(DecodeGraph, EveryStageFollowsWhatItReads) {
  using enum StepStage;
  for (const DecodeGraphShape& shape : shapes()) {
    const std::vector<StepTask> graph = decode_step_graph(shape);
    const bool on_host = shape.placement == Placement::kCpuAttention;
    std::vector<std::pair<StepStage, StepStage>> reads{{kRotate, kScore},
                                                       {kScore, kTopK},
                                                       {kTopK, kUnion},
                                                       {kRotate, kDown},
                                                       {kDown, kAppend},
                                                       {kRotate, kMerge},
                                                       {kResidentAttention, kMerge}};
    if (on_host) {
      reads.insert(
          reads.end(),
          {{kUnion, kCpuAttention}, {kDown, kCpuAttention}, {kCpuAttention, kUp}, {kUp, kMerge}});
    } else {
      reads.insert(reads.end(),
                   {{kUnion, kFetch}, {kFetch, kFetchedAttention}, {kFetchedAttention, kMerge}});
    }
    for (std::int32_t batch = 0; batch < shape.micro_batches(); ++batch) {
      for (std::int32_t layer = 0; layer < kLayers; ++layer) {
        for (const auto& [written, read] : reads) {
          const std::int32_t first = find(graph, written, layer, batch);
          const std::int32_t second = find(graph, read, layer, batch);
          ASSERT_GE(first, 0) << name_of(written);
          ASSERT_GE(second, 0) << name_of(read);
          EXPECT_TRUE(follows(graph, first, second)) << name_of(written) << " " << name_of(read);
        }
        if (layer > 0) {
          EXPECT_TRUE(follows(graph, find(graph, kMerge, layer - 1, batch),
                              find(graph, kRotate, layer, batch)));
        }
      }
    }
  }
}

TEST(DecodeGraph, OverlappedHidesTheHostBehindTheGpu) {
  using enum StepStage;
  const std::vector<StepTask> graph =
      decode_step_graph({kLayers, Placement::kCpuAttention, Schedule::kOverlapped});
  const std::int32_t attention = find(graph, kCpuAttention, 0, 0);
  EXPECT_FALSE(follows(graph, attention, find(graph, kResidentAttention, 0, 0)));
  EXPECT_FALSE(follows(graph, attention, find(graph, kScore, 0, 1)));
  EXPECT_FALSE(follows(graph, find(graph, kScore, 0, 1), attention));
}

TEST(DecodeGraph, NamesReadBack) {
  for (const Placement placement : kPlacements) {
    EXPECT_EQ(placement_from_name(name_of(placement)), placement);
  }
  for (const Schedule schedule : {Schedule::kSerial, Schedule::kOverlapped}) {
    EXPECT_EQ(schedule_from_name(name_of(schedule)), schedule);
  }
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "--placement 'fetch' is unknown, supported: cpu-",
                         [] { static_cast<void>(placement_from_name("fetch")); }));
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "supported: serial, overlapped",
                         [] { static_cast<void>(schedule_from_name("both")); }));
  std::set<std::string_view> names;
  for (std::size_t stage = 0; stage < kStepStages; ++stage) {
    names.insert(name_of(static_cast<StepStage>(stage)));
  }
  EXPECT_EQ(names.size(), kStepStages);
}

}  // namespace
}  // namespace kvsieve::kernels
