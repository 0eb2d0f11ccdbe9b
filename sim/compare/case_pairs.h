#pragma once
// Which cases of two benchmark files are the same.

#include <string>
#include <utility>
#include <vector>

#include "kvsieve/sim/benchmark_file.h"
#include "kvsieve/sim/result_comparison.h"

namespace kvsieve::sim {

struct CasePairs {
  std::vector<std::pair<const BenchmarkCase*, const BenchmarkCase*>> pairs;  ///< in the new order
  std::vector<std::string> added;
  std::vector<std::string> removed;
  std::vector<RenamedCase> renamed;  ///< they are among the pairs
};

/// Matches cases by operation and parameters, whatever the parameters' order. What is left over on
/// both sides is paired as renamed where it is alike (docs/compare.md): the same parameters under a
/// similar operation, or the same operation and values under other keys; of several the most
/// similar, and of those the one whose values are closest.
/// @param filter as CompareOptions::filter; a case is left out if it is found in neither name
/// Both files must outlive the result.
[[nodiscard]] CasePairs pair_cases(const BenchmarkFile& before, const BenchmarkFile& after,
                                   const std::string& filter);

/// Whether a metric is among the wanted ones: by its whole name or what follows the last '/'.
[[nodiscard]] bool is_wanted(std::string_view metric, const std::vector<std::string>& wanted);

}  // namespace kvsieve::sim
