#include "timeline_fixture.h"

namespace kvsieve::gui::tests {

TimelineEvent timeline_event(std::int32_t lane, std::int32_t name, double begin_us, double end_us,
                             std::int32_t step, std::int32_t layer) {
  TimelineEvent made;
  made.lane = lane;
  made.name = name;
  made.begin_us = begin_us;
  made.end_us = end_us;
  made.step = step;
  made.layer = layer;
  return made;
}

TimelineParts small_timeline(const QString& origin) {
  TimelineParts parts;
  parts.title = QStringLiteral("small");
  parts.origin = origin;
  parts.lanes = {{lane_title(sim::Lane::kGpu), sim::Lane::kGpu},
                 {lane_title(sim::Lane::kToGpu), sim::Lane::kToGpu},
                 {lane_title(sim::Lane::kToHost), sim::Lane::kToHost},
                 {lane_title(sim::Lane::kCpu), sim::Lane::kCpu}};
  parts.names = {QStringLiteral("qkv"), QStringLiteral("fetch"), QStringLiteral("mlp"),
                 QStringLiteral("append"), QStringLiteral("down")};
  for (std::int32_t step = 0; step < 2; ++step) {
    const double at = 100.0 * step;
    parts.events.push_back(timeline_event(0, 0, at, at + 40, step, 0));
    parts.events.push_back(timeline_event(1, 1, at + 20, at + 60, step, 0));
    parts.events.back().bytes = 1'000'000;
    parts.events.back().pieces = 250;
    parts.events.back().alone_us = 32.0;
    parts.events.back().micro_batch = 1;
    parts.events.push_back(timeline_event(0, 2, at + 60, at + 100, step, 4));
    parts.events.push_back(timeline_event(2, 4, at + 5, at + 10, step, 0));
    parts.events.push_back(timeline_event(3, 3, at + 10, at + 15, step, 0));
  }
  for (TimelineEvent& one : parts.events) {
    one.critical = one.lane < 2;
  }
  return parts;
}

std::shared_ptr<const TimelineDetail> timeline_detail(TimelineParts parts) {
  return std::make_shared<const TimelineDetail>(
      std::make_shared<const TimelineEvents>(std::move(parts)));
}

}  // namespace kvsieve::gui::tests
