#pragma once
// Results as a document: Google Benchmark's JSON with a block of context of this tool.

#include <array>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "kvsieve/bench/bench_run.h"
#include "kvsieve/bench/machine.h"
#include "kvsieve/bench/roofline.h"

namespace kvsieve::bench {

/// What stood around a run.
struct BenchContext {
  std::string program;  ///< as it was called
  std::string backend = "cpu";
  Machine machine;
  std::vector<int> cpus;  ///< that it may run on
  std::array<double, 3> load_before{};
  std::array<double, 3> load_after{};
  BenchRunOptions options;
  std::string filter;
  std::string pin = "none";
  std::map<int, Roofline> rooflines;  ///< by number of threads, those that were measured
  std::vector<std::string> noise;     ///< warnings
};

/// Whether this is a build for debugging.
[[nodiscard]] bool is_debug_build() noexcept;

/// The document: `context` with Google Benchmark's keys and the object "kvsieve" (schema
/// kvsieve.bench/1, kind timings), and `benchmarks`, which tools/compare.py of google/benchmark
/// reads.
[[nodiscard]] nlohmann::ordered_json bench_document(const BenchContext& context,
                                                    const std::vector<BenchEntry>& entries);

}  // namespace kvsieve::bench
