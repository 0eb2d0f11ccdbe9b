#pragma once
// The results of `kvsieve bench` for people.

#include <vector>

#include "kvsieve/bench/bench_run.h"
#include "terminal.h"

namespace kvsieve::cli {

/// A row a case: the median of its repetitions, their coefficient of variation where there are
/// several, and what its bytes and operations came to. Columns that no case has are left out.
[[nodiscard]] Table bench_table(const std::vector<bench::BenchEntry>& entries);

/// A row an entry, repetitions and statistics, with every counter.
[[nodiscard]] Table bench_rows(const std::vector<bench::BenchEntry>& entries);

}  // namespace kvsieve::cli
