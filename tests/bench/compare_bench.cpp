// Two sweep stores of `n` points with 24 metrics each, point against point: equal ones, ones in
// which each metric of each point moved, and ones whose points stand in another order under keys of
// another version.

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <filesystem>
#include <string>
#include <vector>

#include "kvsieve/sim/compare_results.h"
#include "kvsieve/sim/sweep_store.h"
#include "traces/temporary_folder.h"

namespace kvsieve::bench {
namespace {

enum class Variant { kEqual, kMoved, kReordered };

sim::SweepRow row(std::int64_t number, std::int64_t points, Variant variant) {
  const bool reordered = variant == Variant::kReordered;
  const std::int64_t point = reordered ? points - 1 - number : number;
  sim::SweepRow row{number, fmt::format("{:032x}", static_cast<std::uint64_t>(point) * 31U + 7U),
                    "", "", ""};
  row.key[0] = reordered ? 'b' : 'a';
  row.options = fmt::format(
      R"({{"method":"ada-snapkv","budget":"{}","alpha":"0.2","context":"{}","batch":"max",)"
      R"("hardware":"h100-sxm","model-shape":"llama-3.1-8b"}})",
      point % 1000, 1024 * (point / 1000 + 1));
  row.metrics = "{";
  for (int i = 0; i < 24; ++i) {
    const double value = 1.0 / static_cast<double>(point + i + 3);
    row.metrics += fmt::format(R"({}"figure{}_us":{})", i == 0 ? "" : ",", i,
                               variant == Variant::kMoved ? 1.001 * value : value);
  }
  row.metrics += "}";
  return row;
}

void write_store(const std::filesystem::path& path, std::int64_t points, Variant variant) {
  const sim::SweepIdentity identity{variant == Variant::kReordered ? "0.2.0" : "0.1.0", "avx2",
                                    R"({"axes":[{"name":"budget","values":[]}]})", "{}", points};
  sim::SweepStore store(path, sim::SweepStore::Mode::kCreate, identity);
  std::vector<sim::SweepRow> rows;
  for (std::int64_t i = 0; i < points; ++i) {
    rows.push_back(row(i, points, variant));
  }
  store.add(rows);
}

void compare_stores(benchmark::State& state, Variant variant) {
  const kvsieve::tests::TemporaryFolder folder;
  write_store(folder / "old.db", state.range(0), Variant::kEqual);
  write_store(folder / "new.db", state.range(0), variant);
  std::int64_t points = 0;
  for (auto _ : state) {
    points = sim::compare_results(folder / "old.db", folder / "new.db", {}).points;
  }
  if (points != state.range(0)) {
    state.SkipWithError("not all points were matched");
  }
  state.counters["points_per_second"] = benchmark::Counter(
      static_cast<double>(points), benchmark::Counter::kIsIterationInvariantRate);
}

BENCHMARK_CAPTURE(compare_stores, equal, Variant::kEqual)
    ->ArgName("n")
    ->Arg(1024)
    ->Arg(100'000)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(compare_stores, moved, Variant::kMoved)
    ->ArgName("n")
    ->Arg(1024)
    ->Arg(100'000)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(compare_stores, reordered, Variant::kReordered)
    ->ArgName("n")
    ->Arg(1024)
    ->Arg(100'000)
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace kvsieve::bench
