// From a move of the budget slider to the shown run, on the bundled trace: with the stop computed
// ahead of time, and without.

#include <benchmark/benchmark.h>

#include <QCoreApplication>
#include <QEventLoop>
#include <memory>

#include "core/what_if.h"

namespace {

using namespace kvsieve;

const QString kSample = QStringLiteral(KVSIEVE_SOURCE "/traces/samples/smollm2-needle.kvtrace");

void wait_until(const std::function<bool()>& done) {
  while (!done()) {
    QCoreApplication::processEvents(QEventLoop::WaitForMoreEvents);
  }
}

/// @param n prompt tokens of the trace that is opened: 1024 runs the sample's first layers only, so
/// that the smoke test is quick
void move_budget(benchmark::State& state, bool ahead) {
  int argc = 1;
  char name[] = "what_if_bench";
  char* argv[] = {name, nullptr};
  const QCoreApplication application(argc, argv);
  gui::Workspace workspace;
  gui::WhatIf what_if(workspace);
  what_if.set_looks_ahead(ahead);
  if (state.range(0) <= 1024) {
    what_if.set("layers", "0,4");
  }
  bool computed = false;
  QObject::connect(&what_if, &gui::WhatIf::computed, [&computed] { computed = true; });
  workspace.open({kSample});
  wait_until([&] { return computed && workspace.jobs().is_idle(); });
  int move = 0;
  for (auto _ : state) {
    computed = false;
    // Without looking ahead every move is to a budget that was never computed.
    const std::string budget =
        ahead ? gui::budget_stops()[static_cast<std::size_t>(++move) % gui::budget_stops().size()]
              : std::to_string(100 + ++move);
    what_if.set("budget", budget);
    wait_until([&] { return computed; });
    state.SetIterationTime(*what_if.last_latency_ms() / 1e3);
    state.PauseTiming();
    wait_until([&] { return workspace.jobs().is_idle(); });
    state.ResumeTiming();
  }
}

void move_to_a_stop_computed_ahead(benchmark::State& state) {
  move_budget(state, true);
}
void move_to_a_new_budget(benchmark::State& state) {
  move_budget(state, false);
}

BENCHMARK(move_to_a_stop_computed_ahead)
    ->ArgName("n")
    ->Arg(1024)
    ->Arg(2009)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(move_to_a_new_budget)
    ->ArgName("n")
    ->Arg(1024)
    ->Arg(2009)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
