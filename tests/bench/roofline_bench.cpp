// The limits themselves, so that every report says what its shares are shares of.

#include "bench/roofline.h"

namespace kvsieve::bench {
namespace {

void measured_limits(benchmark::State& state) {
  const auto threads = static_cast<int>(state.range(0));
  const Roofline& limits = roofline(threads);
  for ([[maybe_unused]] auto iteration : state) {
    benchmark::DoNotOptimize(limits);
  }
  state.counters["read_bytes/s"] = limits.read_bytes_per_second;
  state.counters["fma_FLOP/s"] = limits.flops_per_second;
}
// The name's n is what the smoke test filters by; the limits do not depend on it.
BENCHMARK(measured_limits)
    ->ArgNames({"threads", "n"})
    ->ArgsProduct({{1, 2}, {1024}})
    ->Iterations(1)
    ->UseRealTime();

}  // namespace
}  // namespace kvsieve::bench
