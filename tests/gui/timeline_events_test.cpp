#include "core/timeline_events.h"

#include <gtest/gtest.h>

#include "kvsieve/sim/cost_report.h"

namespace kvsieve::gui {
namespace {

constexpr std::int64_t kSteps = 3;

struct Model {
  sim::Timeline timeline;
  sim::TimelineResult result;
  std::shared_ptr<const TimelineEvents> events;
};

Model model(kernels::Placement placement, kernels::Schedule schedule) {
  sim::CostRequest request;
  request.hardware = sim::load_hardware("a100-sxm-80");
  request.model = sim::load_model("llama-3.1-8b");
  request.point.method = sim::cost_method("a2ats");
  request.point.method.placement = placement;
  request.point.method.schedule = schedule;
  request.point.method.hot_buffer = 1024;
  request.point.context = 32'768;
  request.point.batch = 4;
  request.steps = kSteps;
  Model made;
  made.timeline = sim::cost_timeline(request);
  made.result = sim::simulate(made.timeline);
  made.events = TimelineEvents::from_model(made.timeline, made.result, QStringLiteral("a2ats"));
  return made;
}

TimelineParts two_lanes() {
  TimelineParts parts;
  parts.lanes = {{QStringLiteral("GPU"), sim::Lane::kGpu},
                 {QStringLiteral("H2D"), sim::Lane::kToGpu}};
  parts.names = {QStringLiteral("mlp"), QStringLiteral("fetch"), QStringLiteral("Merge")};
  return parts;
}

TimelineEvent event(std::int32_t lane, std::int32_t name, double begin_us, double end_us) {
  TimelineEvent made;
  made.lane = lane;
  made.name = name;
  made.begin_us = begin_us;
  made.end_us = end_us;
  return made;
}

/// c22: the model's four lanes, each task an event of its lane.
TEST(TimelineEvents, TheModelsTasksOnFourLanes) {
  const Model made = model(kernels::Placement::kCpuAttention, kernels::Schedule::kOverlapped);
  const TimelineEvents& events = *made.events;
  EXPECT_EQ(events.origin(), QStringLiteral("modelled"));
  EXPECT_EQ(events.size(), made.timeline.tasks.size());
  EXPECT_DOUBLE_EQ(events.total_us(), made.result.total_us);
  ASSERT_EQ(events.lanes().size(), 4U);
  ASSERT_EQ(events.rows().size(), 4U);  // a lane runs one task at a time
  std::vector<std::size_t> tasks(sim::kLanes);
  for (const sim::TimelineTask& task : made.timeline.tasks) {
    ++tasks[static_cast<std::size_t>(task.lane)];
  }
  for (const TimelineRow& row : events.rows()) {
    const sim::Lane kind = *events.lanes()[row.lane].kind;
    EXPECT_EQ(row.end - row.begin, tasks[static_cast<std::size_t>(kind)]);
    for (std::size_t i = row.begin + 1; i < row.end; ++i) {
      EXPECT_LE(events.end_us()[i - 1], events.begin_us()[i]);
    }
  }
  std::size_t critical = 0;
  for (std::size_t i = 0; i < events.size(); ++i) {
    critical += events.event(i).critical ? 1 : 0;
    EXPECT_GE(events.event(i).layer, -1);
    EXPECT_LT(events.event(i).step, kSteps);
  }
  EXPECT_EQ(critical, made.result.critical_path.size());
}

/// c23, c24: exposed transfer, busy time, steps and the critical path are the model's.
TEST(TimelineEvents, FiguresAreTheModels) {
  for (const kernels::Placement placement : kernels::kPlacements) {
    for (const kernels::Schedule schedule :
         {kernels::Schedule::kSerial, kernels::Schedule::kOverlapped}) {
      SCOPED_TRACE(testing::Message()
                   << kernels::name_of(placement) << " " << kernels::name_of(schedule));
      const Model made = model(placement, schedule);
      const TimelineEvents& events = *made.events;
      const RangeFigures all = events.figures(0, events.total_us());
      EXPECT_NEAR(all.exposed_transfer_us, made.result.exposed_transfer_us,
                  1e-6 * made.result.total_us);
      double bytes = 0.0;
      for (const sim::TimelineTask& task : made.timeline.tasks) {
        bytes += task.lane == sim::Lane::kCpu ? 0.0 : static_cast<double>(task.bytes);
      }
      EXPECT_NEAR(all.bytes / bytes, 1.0, 1e-9);
      for (std::size_t lane = 0; lane < 4; ++lane) {
        EXPECT_NEAR(all.busy_us[lane],
                    made.result.busy_us[static_cast<std::size_t>(*events.lanes()[lane].kind)],
                    1e-6 * made.result.total_us);
      }
      const std::vector<double> steps_us = sim::step_times_us(made.timeline, made.result);
      ASSERT_EQ(events.steps().size(), steps_us.size());
      RangeFigures sum;
      for (std::size_t s = 0; s < steps_us.size(); ++s) {
        const TimelineStep& step = events.steps()[s];
        EXPECT_NEAR(step.end_us - step.begin_us, steps_us[s], 1e-6);
        const RangeFigures figures = events.figures(step.begin_us, step.end_us);
        sum.exposed_transfer_us += figures.exposed_transfer_us;
        sum.bytes += figures.bytes;
        ASSERT_TRUE(figures.overlap());
        EXPECT_GE(*figures.overlap(), -1e-12);
        EXPECT_LE(*figures.overlap(), 1.0);
      }
      EXPECT_NEAR(sum.exposed_transfer_us, all.exposed_transfer_us, 1e-6 * all.us);
      EXPECT_NEAR(sum.bytes / all.bytes, 1.0, 1e-9);
      double critical_us = 0.0;
      double lane_us = 0.0;
      for (const NameSum& name : events.sums(0, events.total_us())) {
        critical_us += name.critical_us;
        lane_us += name.lane == 0 ? name.us : 0.0;
      }
      EXPECT_NEAR(critical_us / made.result.total_us, 1.0, 1e-9);
      EXPECT_NEAR(lane_us / all.busy_us[0], 1.0, 1e-9);
    }
  }
}

TEST(TimelineEvents, OverlapSaysHowMuchOfTheTransferComputingHides) {
  TimelineParts parts = two_lanes();
  parts.events = {event(0, 0, 0, 6), event(1, 1, 4, 12)};
  parts.events[1].bytes = 800;
  const TimelineEvents events(std::move(parts));
  const RangeFigures all = events.figures(0, 12);
  EXPECT_DOUBLE_EQ(all.transfer_us, 8.0);
  EXPECT_DOUBLE_EQ(all.exposed_transfer_us, 6.0);
  EXPECT_DOUBLE_EQ(*all.overlap(), 0.25);
  EXPECT_DOUBLE_EQ(all.bytes, 800.0);
  EXPECT_EQ(all.busy_us, (std::vector<double>{6.0, 8.0}));
  const RangeFigures half = events.figures(4, 8);
  EXPECT_DOUBLE_EQ(half.bytes, 400.0);
  EXPECT_DOUBLE_EQ(*half.overlap(), 0.5);
  EXPECT_FALSE(events.figures(0, 4).overlap());  // nothing to hide
}

TEST(TimelineEvents, NestedEventsTakeRowsOfTheirOwn) {
  TimelineParts parts = two_lanes();
  parts.events = {event(0, 2, 105, 107), event(0, 0, 100, 110), event(0, 1, 101, 108),
                  event(0, 1, 110, 111), event(1, 1, 100, 100), event(1, 1, 100, 105)};
  const TimelineEvents events(std::move(parts));
  EXPECT_EQ(events.total_us(), 11.0);  // time begins with the first event
  ASSERT_EQ(events.lanes()[0].row_end - events.lanes()[0].row_begin, 3U);
  EXPECT_EQ(events.rows()[0].end - events.rows()[0].begin, 2U);
  EXPECT_EQ(events.name_of(events.rows()[1].begin), QStringLiteral("fetch"));
  EXPECT_EQ(events.name_of(events.rows()[2].begin), QStringLiteral("Merge"));
  // What takes no time needs no row where another begins with it.
  EXPECT_EQ(events.lanes()[1].row_end - events.lanes()[1].row_begin, 1U);
  EXPECT_DOUBLE_EQ(events.figures(0, 11).busy_us[0], 11.0);
  for (std::size_t i = 0; i < events.size(); ++i) {
    const TimelineRow& row = events.rows()[events.row_of(i)];
    EXPECT_GE(i, row.begin);
    EXPECT_LT(i, row.end);
  }
}

TEST(TimelineEvents, RoundedNeighboursShareARowAndDeepNestingIsLeftOut) {
  TimelineParts parts = two_lanes();
  parts.events = {event(0, 0, 0, 1.0004), event(0, 0, 1, 2)};
  EXPECT_EQ(TimelineEvents(std::move(parts)).rows().size(), 1U);
  parts = two_lanes();
  for (int depth = 0; depth < 70; ++depth) {
    parts.events.push_back(event(0, 0, depth, 1000 - depth));
  }
  const TimelineEvents deep(std::move(parts));
  EXPECT_EQ(deep.rows().size(), 64U);
  EXPECT_EQ(deep.skipped(), 6);
}

TEST(TimelineEvents, TheEventAtATime) {
  TimelineParts parts = two_lanes();
  parts.events = {event(0, 0, 0, 10), event(0, 2, 20, 30)};
  const TimelineEvents events(std::move(parts));
  EXPECT_EQ(events.at(0, 0.0), 0U);
  EXPECT_EQ(events.at(0, 9.9), 0U);
  EXPECT_EQ(events.at(0, 10.0), std::nullopt);
  EXPECT_EQ(events.at(0, 25.0), 1U);
  EXPECT_EQ(events.at(0, 30.0), std::nullopt);
}

TEST(TimelineEvents, SearchGoesThroughTimeAndAround) {
  TimelineParts parts = two_lanes();
  parts.events = {event(0, 2, 30, 40), event(0, 0, 0, 10), event(1, 2, 5, 8), event(0, 2, 50, 60)};
  const TimelineEvents events(std::move(parts));
  std::vector<double> begins;
  std::optional<std::size_t> at;
  for (int i = 0; i < 4; ++i) {
    at = events.find(QStringLiteral("MERG"), at);
    begins.push_back(events.begin_us()[*at]);
  }
  EXPECT_EQ(begins, (std::vector<double>{5, 30, 50, 5}));
  EXPECT_EQ(events.begin_us()[*events.find(QStringLiteral("merge"), at, false)], 50.0);
  EXPECT_FALSE(events.find(QStringLiteral("nowhere"), at));
  EXPECT_FALSE(events.find(QString(), at));
}

}  // namespace
}  // namespace kvsieve::gui
