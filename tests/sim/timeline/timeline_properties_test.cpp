// What holds for every timeline, on random ones.

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "kvsieve/sim/timeline.h"
#include "sim/timeline/timeline_builder.h"
#include "sim/timeline/timeline_reference.h"

namespace kvsieve::sim::tests {
namespace {

constexpr int kTimelines = 300;
/// Of a total of at most 60 x 20 us.
constexpr double kRounding = 1e-9;

/// All mixtures of contention, whole times and tasks that take no time, except contention among
/// whole times: there rounding decides which of two tasks ends first.
template <class Body>
void for_each_timeline(const Body& body) {
  std::mt19937 generator(20261);
  for (const RandomTimeline options : {RandomTimeline{.contended = true, .idle_tasks = false},
                                       RandomTimeline{.contended = true, .idle_tasks = true},
                                       RandomTimeline{.contended = false, .idle_tasks = true},
                                       RandomTimeline{.contended = false, .whole_times = true}}) {
    for (int i = 0; i < kTimelines; ++i) {
      SCOPED_TRACE(testing::Message() << "contended " << options.contended << ", whole times "
                                      << options.whole_times << ", timeline " << i);
      const Timeline timeline = random_timeline(generator, options);
      body(timeline, simulate(timeline));
    }
  }
}

double sum_of_times(const Timeline& timeline) {
  return std::accumulate(timeline.tasks.begin(), timeline.tasks.end(), 0.0,
                         [](double sum, const TimelineTask& task) { return sum + task.us; });
}

/// The tasks before `t` on its lane and in its micro-batch.
std::vector<std::int32_t> stream_before(const Timeline& timeline, std::size_t t) {
  std::vector<std::int32_t> before;
  for (std::size_t other = 0; other < t; ++other) {
    if (timeline.tasks[other].lane == timeline.tasks[t].lane &&
        timeline.tasks[other].micro_batch == timeline.tasks[t].micro_batch) {
      before.push_back(static_cast<std::int32_t>(other));
    }
  }
  return before;
}

/// The longest chain of tasks that wait for one another, each at its time alone.
double longest_chain(const Timeline& timeline) {
  std::vector<double> ends(timeline.tasks.size());
  double longest = 0.0;
  for (std::size_t t = 0; t < ends.size(); ++t) {
    double begin = 0.0;
    for (const std::int32_t before : after_of(timeline, t)) {
      begin = std::max(begin, ends[static_cast<std::size_t>(before)]);
    }
    for (const std::int32_t before : stream_before(timeline, t)) {
      begin = std::max(begin, ends[static_cast<std::size_t>(before)]);
    }
    ends[t] = begin + timeline.tasks[t].us;
    longest = std::max(longest, ends[t]);
  }
  return longest;
}

TEST(TimelineProperties, AgreesWithTheReference) {
  for_each_timeline([](const Timeline& timeline, const TimelineResult& result) {
    const TimelineResult expected = reference_simulate(timeline);
    ASSERT_EQ(result.spans.size(), expected.spans.size());
    for (std::size_t t = 0; t < expected.spans.size(); ++t) {
      ASSERT_NEAR(result.spans[t].begin_us, expected.spans[t].begin_us, kRounding) << t;
      ASSERT_NEAR(result.spans[t].end_us, expected.spans[t].end_us, kRounding) << t;
    }
    EXPECT_NEAR(result.total_us, expected.total_us, kRounding);
    EXPECT_NEAR(result.exposed_transfer_us, expected.exposed_transfer_us, kRounding);
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      EXPECT_NEAR(result.busy_us[lane], expected.busy_us[lane], kRounding);
    }
    for (std::size_t r = 0; r < kSharedResources; ++r) {
      EXPECT_NEAR(result.utilisation[r], expected.utilisation[r], kRounding);
    }
  });
}

TEST(TimelineProperties, LiesBetweenTheLongestChainOrLaneAndSerial) {
  for_each_timeline([](const Timeline& timeline, const TimelineResult& result) {
    EXPECT_GE(result.total_us, longest_chain(timeline) - kRounding);
    EXPECT_LE(result.total_us, sum_of_times(timeline) + kRounding);
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      double lane_us = 0.0;
      for (const TimelineTask& task : timeline.tasks) {
        lane_us += static_cast<std::size_t>(task.lane) == lane ? task.us : 0.0;
      }
      EXPECT_GE(result.busy_us[lane], lane_us - kRounding);
      EXPECT_GE(result.total_us, result.busy_us[lane] - kRounding);
    }
    for (const double utilisation : result.utilisation) {
      EXPECT_GE(utilisation, 0.0);
      EXPECT_LE(utilisation, 1.0);
    }
    EXPECT_GE(result.exposed_transfer_us, 0.0);
    EXPECT_LE(result.exposed_transfer_us, result.total_us + kRounding);
  });
}

TEST(TimelineProperties, TasksWaitAndHaveTheirLaneToThemselves) {
  for_each_timeline([](const Timeline& timeline, const TimelineResult& result) {
    const std::vector<TimelineSpan>& spans = result.spans;
    for (std::size_t t = 0; t < spans.size(); ++t) {
      EXPECT_GE(spans[t].end_us - spans[t].begin_us, timeline.tasks[t].us - kRounding);
      for (const std::int32_t before : after_of(timeline, t)) {
        EXPECT_GE(spans[t].begin_us, spans[static_cast<std::size_t>(before)].end_us);
      }
      for (const std::int32_t before : stream_before(timeline, t)) {
        EXPECT_GE(spans[t].begin_us, spans[static_cast<std::size_t>(before)].end_us);
      }
      for (std::size_t other = 0; other < t; ++other) {
        if (timeline.tasks[other].lane == timeline.tasks[t].lane) {
          EXPECT_TRUE(spans[other].end_us <= spans[t].begin_us ||
                      spans[t].end_us <= spans[other].begin_us)
              << other << " and " << t;
        }
      }
    }
  });
}

TEST(TimelineProperties, NoLaneIdlesWhileATaskCouldRun) {
  for_each_timeline([](const Timeline& timeline, const TimelineResult& result) {
    const std::vector<TimelineSpan>& spans = result.spans;
    for (std::size_t t = 0; t < spans.size(); ++t) {
      double ready = 0.0;
      for (const std::int32_t before : after_of(timeline, t)) {
        ready = std::max(ready, spans[static_cast<std::size_t>(before)].end_us);
      }
      for (const std::int32_t before : stream_before(timeline, t)) {
        ready = std::max(ready, spans[static_cast<std::size_t>(before)].end_us);
      }
      // Whoever ran on the lane in between was issued before or had begun already.
      double covered = 0.0;
      for (std::size_t other = 0; other < spans.size(); ++other) {
        if (other == t || timeline.tasks[other].lane != timeline.tasks[t].lane ||
            spans[other].end_us <= ready || spans[other].begin_us >= spans[t].begin_us) {
          continue;
        }
        covered += spans[other].end_us - std::max(ready, spans[other].begin_us);
        EXPECT_TRUE(other < t || spans[other].begin_us < ready) << other << " before " << t;
      }
      EXPECT_NEAR(covered, spans[t].begin_us - ready, kRounding) << t;
    }
  });
}

TEST(TimelineProperties, TheCriticalPathFillsTheWholeTime) {
  for_each_timeline([](const Timeline& timeline, const TimelineResult& result) {
    ASSERT_FALSE(result.critical_path.empty());
    const auto span = [&](std::int32_t t) { return result.spans[static_cast<std::size_t>(t)]; };
    EXPECT_EQ(span(result.critical_path.front()).begin_us, 0.0);
    EXPECT_EQ(span(result.critical_path.back()).end_us, result.total_us);
    double sum = 0.0;
    for (std::size_t i = 0; i < result.critical_path.size(); ++i) {
      const std::int32_t t = result.critical_path[i];
      sum += span(t).end_us - span(t).begin_us;
      if (i == 0) {
        continue;
      }
      const std::int32_t before = result.critical_path[i - 1];
      EXPECT_EQ(span(before).end_us, span(t).begin_us) << before << " and " << t;
      const std::vector<std::int32_t> after = after_of(timeline, static_cast<std::size_t>(t));
      EXPECT_TRUE(timeline.tasks[static_cast<std::size_t>(before)].lane ==
                      timeline.tasks[static_cast<std::size_t>(t)].lane ||
                  std::find(after.begin(), after.end(), before) != after.end())
          << before << " and " << t;
    }
    EXPECT_NEAR(sum, result.total_us, kRounding);
  });
}

TEST(TimelineProperties, StepsSumToTheTotal) {
  for_each_timeline([](const Timeline& timeline, const TimelineResult& result) {
    const std::vector<double> steps = step_times_us(timeline, result);
    EXPECT_EQ(steps.size(), static_cast<std::size_t>(timeline.tasks.back().step) + 1);
    EXPECT_GE(*std::min_element(steps.begin(), steps.end()), 0.0);
    EXPECT_NEAR(std::accumulate(steps.begin(), steps.end(), 0.0), result.total_us, kRounding);
  });
}

TEST(TimelineProperties, IsTheSameEachTime) {
  for_each_timeline([](const Timeline& timeline, const TimelineResult& result) {
    const TimelineResult again = simulate(timeline);
    EXPECT_EQ(again.total_us, result.total_us);
    EXPECT_EQ(again.critical_path, result.critical_path);
    for (std::size_t t = 0; t < result.spans.size(); ++t) {
      EXPECT_EQ(again.spans[t].begin_us, result.spans[t].begin_us);
      EXPECT_EQ(again.spans[t].end_us, result.spans[t].end_us);
    }
  });
}

TEST(TimelineProperties, SlowerLinksNeverShortenAChain) {
  std::mt19937 generator(7);
  for (int i = 0; i < kTimelines; ++i) {
    Timeline timeline = random_timeline(generator, {.idle_tasks = true});
    timeline.after.clear();
    for (std::size_t t = 0; t < timeline.tasks.size(); ++t) {
      timeline.tasks[t].after_begin = static_cast<std::int32_t>(timeline.after.size());
      if (t > 0) {
        timeline.after.push_back(static_cast<std::int32_t>(t) - 1);
      }
      timeline.tasks[t].after_end = static_cast<std::int32_t>(timeline.after.size());
    }
    double last_us = 0.0;
    for (const double slower : {0.25, 0.5, 1.0, 1.5, 4.0}) {
      Timeline scaled = timeline;
      for (TimelineTask& task : scaled.tasks) {
        if (task.lane == Lane::kToGpu || task.lane == Lane::kToHost) {
          task.us *= slower;
        }
      }
      const TimelineResult result = simulate(scaled);
      EXPECT_NEAR(result.total_us, sum_of_times(scaled), kRounding);
      EXPECT_GE(result.total_us, last_us);
      last_us = result.total_us;
    }
  }
}

}  // namespace
}  // namespace kvsieve::sim::tests
