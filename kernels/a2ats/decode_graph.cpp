#include "kvsieve/kernels/decode_graph.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <span>

#include "kvsieve/traces/error.h"

namespace kvsieve::kernels {
namespace {

constexpr std::array<std::string_view, 4> kPlacementNames{"cpu-attention", "fetch-dma",
                                                          "fetch-kernel", "fetch-hot-buffer"};
constexpr std::array<std::string_view, 2> kScheduleNames{"serial", "overlapped"};
constexpr std::array<std::string_view, kStepStages> kStageNames{"rotate",
                                                                "encode",
                                                                "score",
                                                                "topk",
                                                                "union",
                                                                "down",
                                                                "append",
                                                                "cpu-attention",
                                                                "up",
                                                                "fetch",
                                                                "fetched-attention",
                                                                "resident-attention",
                                                                "merge"};
constexpr std::array<std::string_view, kStepLanes> kLaneNames{"gpu", "to-host", "to-gpu", "cpu"};

template <std::size_t N>
std::size_t index_of(const std::array<std::string_view, N>& names, std::string_view option,
                     std::string_view name) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) {
    throw Error(ErrorKind::kUsage, fmt::format("--{} '{}' is unknown, supported: {}", option, name,
                                               fmt::join(names, ", ")));
  }
  return static_cast<std::size_t>(found - names.begin());
}

/// A stage and the stages of the same layer and micro-batch that it waits for.
struct Link {
  StepStage stage;
  std::vector<StepStage> after;
};

/// The stages before the retrieved tokens are known, and those that follow.
struct LayerStages {
  std::vector<Link> head;
  std::vector<Link> tail;
};

LayerStages stages_of(Placement placement) {
  using enum StepStage;
  LayerStages stages;
  stages.head = {{kRotate, {}}, {kEncode, {}},      {kScore, {}},      {kTopK, {}},
                 {kUnion, {}},  {kDown, {kRotate}}, {kAppend, {kDown}}};
  if (placement == Placement::kCpuAttention) {
    stages.tail = {{kCpuAttention, {kUnion}},
                   {kUp, {kCpuAttention}},
                   {kResidentAttention, {}},
                   {kMerge, {kUp}}};
  } else {
    stages.tail = {
        {kFetch, {kUnion}}, {kResidentAttention, {}}, {kFetchedAttention, {kFetch}}, {kMerge, {}}};
  }
  return stages;
}

class GraphBuilder {
 public:
  explicit GraphBuilder(const DecodeGraphShape& shape) : m_shape(shape) {}

  std::vector<StepTask> build() {
    const LayerStages stages = stages_of(m_shape.placement);
    const auto batches = static_cast<std::int32_t>(m_shape.micro_batches());
    for (std::int32_t layer = 0; layer < m_shape.layers; ++layer) {
      // All micro-batches know their tokens before the host waits for the first one's.
      for (const std::vector<Link>* links : {&stages.head, &stages.tail}) {
        for (std::int32_t batch = 0; batch < batches; ++batch) {
          add(*links, layer, batch);
        }
      }
    }
    return std::move(m_tasks);
  }

 private:
  void add(std::span<const Link> links, std::int32_t layer, std::int32_t batch) {
    for (const Link& link : links) {
      StepTask task{link.stage, layer, batch, {}};
      if (m_shape.schedule == Schedule::kSerial) {
        if (!m_tasks.empty() && lane_of(m_tasks.back().stage) != lane_of(task.stage)) {
          task.after.push_back(static_cast<std::int32_t>(m_tasks.size()) - 1);
        }
      } else {
        for (const StepStage stage : link.after) {
          task.after.push_back(last(stage, batch));
        }
      }
      m_tasks.push_back(std::move(task));
    }
  }

  [[nodiscard]] std::int32_t last(StepStage stage, std::int32_t batch) const {
    const auto found = std::find_if(m_tasks.rbegin(), m_tasks.rend(), [&](const StepTask& task) {
      return task.stage == stage && task.micro_batch == batch;
    });
    return static_cast<std::int32_t>(m_tasks.rend() - found) - 1;
  }

  const DecodeGraphShape& m_shape;
  std::vector<StepTask> m_tasks;
};

}  // namespace

std::string_view name_of(Placement placement) noexcept {
  return kPlacementNames[static_cast<std::size_t>(placement)];
}
Placement placement_from_name(std::string_view name) {
  return static_cast<Placement>(index_of(kPlacementNames, "placement", name));
}
std::string_view name_of(Schedule schedule) noexcept {
  return kScheduleNames[static_cast<std::size_t>(schedule)];
}
Schedule schedule_from_name(std::string_view name) {
  return static_cast<Schedule>(index_of(kScheduleNames, "schedule", name));
}
std::string_view name_of(StepStage stage) noexcept {
  return kStageNames[static_cast<std::size_t>(stage)];
}
std::string_view name_of(StepLane lane) noexcept {
  return kLaneNames[static_cast<std::size_t>(lane)];
}

StepLane lane_of(StepStage stage) noexcept {
  switch (stage) {
    case StepStage::kDown:
      return StepLane::kToHost;
    case StepStage::kAppend:
    case StepStage::kCpuAttention:
      return StepLane::kCpu;
    case StepStage::kUp:
    case StepStage::kFetch:
      return StepLane::kToGpu;
    default:
      return StepLane::kGpu;
  }
}

std::vector<StepTask> decode_step_graph(const DecodeGraphShape& shape) {
  return GraphBuilder(shape).build();
}

}  // namespace kvsieve::kernels
