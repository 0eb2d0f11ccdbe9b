#pragma once
// `kvsieve bench`, over any set of cases.

#include <functional>
#include <string>
#include <vector>

#include "kvsieve/bench/bench_case.h"

namespace kvsieve::cli {

/// A program that has the command.
struct BenchProgram {
  /// The words that start it, without `bench`: what --against measures as the new side.
  std::vector<std::string> words;
  /// Its cases of a backend. Throws Error(kMissingCapability) for one that cannot run here.
  std::function<std::vector<bench::BenchCase>(const std::string& backend,
                                              const bench::CpuCaseOptions& options)>
      cases;
};

/// Runs the command with the arguments after `bench`. Throws and returns as a verb does.
int run_bench_command(const BenchProgram& program, const std::vector<std::string>& words);

}  // namespace kvsieve::cli
