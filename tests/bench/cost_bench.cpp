// Points of the cost model, and timelines driven by the loads of a trace. `n` is the context.

#include <benchmark/benchmark.h>

#include <cstdint>

#include "kvsieve/sim/step_cost.h"

namespace kvsieve::bench {
namespace {

constexpr std::int64_t kSteps = 64;
constexpr std::int64_t kSequences = 8;

sim::CostPoint point_of(const char* method, kernels::Schedule schedule, std::int64_t context) {
  sim::CostPoint point;
  point.method = sim::cost_method(method);
  point.method.schedule = schedule;
  point.context = context;
  point.batch = kSequences;
  return point;
}

void point(benchmark::State& state, const char* method, kernels::Schedule schedule) {
  const sim::StepModel model(sim::load_hardware("a100-sxm-80"), sim::load_model("llama-3.1-8b"));
  sim::CostPoint at = point_of(method, schedule, state.range(0));
  for ([[maybe_unused]] auto iteration : state) {
    at.context ^= 1;
    benchmark::DoNotOptimize(model.step(at).step_us);
  }
  state.counters["points/s"] =
      benchmark::Counter(1.0, benchmark::Counter::kIsIterationInvariantRate);
}

/// 64 steps x 32 layers, each with a load of its own.
void timeline(benchmark::State& state, kernels::Schedule schedule) {
  const sim::StepModel model(sim::load_hardware("a100-sxm-80"), sim::load_model("llama-3.1-8b"));
  const sim::CostPoint at = point_of("a2ats", schedule, state.range(0));
  sim::StepLoads loads;
  loads.layers = model.model().layers;
  for (std::int64_t load = 0; load < kSteps * loads.layers; ++load) {
    loads.loads.push_back({.union_share = 0.03 + 0.001 * static_cast<double>(load % 7)});
  }
  for ([[maybe_unused]] auto iteration : state) {
    const sim::Timeline built = model.timeline(at, loads, kSteps);
    benchmark::DoNotOptimize(sim::simulate(built).total_us);
  }
  state.counters["points/s"] =
      benchmark::Counter(1.0, benchmark::Counter::kIsIterationInvariantRate);
}

BENCHMARK_CAPTURE(point, full, "full", kernels::Schedule::kSerial)
    ->ArgName("n")
    ->Arg(1024)
    ->Arg(131'072)
    ->Unit(benchmark::kMicrosecond)
    ->UseRealTime();
BENCHMARK_CAPTURE(point, ada_snapkv, "ada-snapkv", kernels::Schedule::kSerial)
    ->ArgName("n")
    ->Arg(131'072)
    ->Unit(benchmark::kMicrosecond)
    ->UseRealTime();
BENCHMARK_CAPTURE(point, a2ats_serial, "a2ats", kernels::Schedule::kSerial)
    ->ArgName("n")
    ->Arg(131'072)
    ->Unit(benchmark::kMicrosecond)
    ->UseRealTime();
BENCHMARK_CAPTURE(point, a2ats_overlapped, "a2ats", kernels::Schedule::kOverlapped)
    ->ArgName("n")
    ->Arg(131'072)
    ->Unit(benchmark::kMicrosecond)
    ->UseRealTime();
BENCHMARK_CAPTURE(timeline, serial, kernels::Schedule::kSerial)
    ->ArgName("n")
    ->Arg(131'072)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();
BENCHMARK_CAPTURE(timeline, overlapped, kernels::Schedule::kOverlapped)
    ->ArgName("n")
    ->Arg(131'072)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace
}  // namespace kvsieve::bench
