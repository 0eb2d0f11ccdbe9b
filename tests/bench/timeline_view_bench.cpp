// A frame of the timeline: four lanes of events, painted at 1920 x 1080 without a screen.

#include <benchmark/benchmark.h>

#include <QApplication>
#include <QImage>
#include <memory>
#include <random>

#include "widgets/timeline_view.h"

namespace {

using namespace kvsieve;

std::shared_ptr<const gui::TimelineEvents> timeline_of(std::int64_t events) {
  gui::TimelineParts parts;
  parts.title = QStringLiteral("benchmark");
  parts.origin = QStringLiteral("modelled");
  for (const sim::Lane lane :
       {sim::Lane::kGpu, sim::Lane::kToGpu, sim::Lane::kToHost, sim::Lane::kCpu}) {
    parts.lanes.push_back({gui::lane_title(lane), lane});
  }
  for (int name = 0; name < 21; ++name) {
    parts.names.push_back(QStringLiteral("stage %1").arg(name));
  }
  std::mt19937 generator(1);
  std::uniform_real_distribution<double> us(0.5, 30.0);
  std::array<double, 4> at{};
  for (std::int64_t i = 0; i < events; ++i) {
    double& now = at[static_cast<std::size_t>(i % 4)];
    gui::TimelineEvent& event = parts.events.emplace_back();
    event.lane = static_cast<std::int32_t>(i % 4);
    event.name = static_cast<std::int32_t>(generator() % 21);
    event.begin_us = now + (i % 3 == 0 ? us(generator) : 0.0);
    event.end_us = event.begin_us + us(generator);
    now = event.end_us;
    event.step = static_cast<std::int32_t>(i / 1000);
    event.layer = static_cast<std::int32_t>(i / 30 % 32);
    event.critical = i % 7 == 0;
  }
  return std::make_shared<const gui::TimelineEvents>(std::move(parts));
}

/// Qt needs an application, one for all benchmarks.
void start_application() {
  static int argc = 1;
  static char name[] = "timeline_view_bench";
  static char* argv[] = {name, nullptr};
  qputenv("QT_QPA_PLATFORM", "offscreen");
  // Left to the end of the process: what it takes down with it may be gone among the statics.
  [[maybe_unused]] static const auto* application = new QApplication(argc, argv);
}

/// @param n events @param shown one in so many parts of the time is shown
void paint(benchmark::State& state) {
  start_application();
  gui::Workspace workspace;
  gui::TimelineView view("bench", workspace);
  view.resize(1920, 1080);
  view.set_timelines({std::make_shared<const gui::TimelineDetail>(timeline_of(state.range(0)))},
                     {});
  const double total_us = view.timelines().front()->events().total_us();
  const double middle_us = 0.4 * total_us;
  view.focus(middle_us, middle_us + total_us / static_cast<double>(state.range(1)));
  QImage image(1920, 1080, QImage::Format_ARGB32_Premultiplied);
  for (auto _ : state) {
    view.draw(image, image.size());
    benchmark::DoNotOptimize(image.constBits());
  }
  state.counters["frames/s"] =
      benchmark::Counter(static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}

/// What a job does before the first frame.
void prepare(benchmark::State& state) {
  const std::shared_ptr<const gui::TimelineEvents> events = timeline_of(state.range(0));
  for (auto _ : state) {
    benchmark::DoNotOptimize(gui::TimelineDetail(events));
  }
}

BENCHMARK(paint)
    ->ArgNames({"n", "shown"})
    ->Args({1024, 1})
    ->Args({1'000'000, 1})
    ->Args({1'000'000, 10})
    ->Args({1'000'000, 1'000})
    ->Args({1'000'000, 100'000})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();
BENCHMARK(prepare)
    ->ArgName("n")
    ->Arg(1024)
    ->Arg(1'000'000)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace
