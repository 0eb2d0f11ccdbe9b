#pragma once
// The name of a benchmark's case, `operation/key:value/key:value`, taken apart.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kvsieve::sim {

struct CaseName {
  std::string operation;                                        ///< all before the parameters
  std::vector<std::string> positional;                          ///< `BM_copy/64/8`: 64 and 8
  std::vector<std::pair<std::string, std::string>> parameters;  ///< ascending by key

  /// One text for all names that mean the same case: whatever the order of their parameters.
  [[nodiscard]] std::string key() const;
  /// The same of the parameters alone.
  [[nodiscard]] std::string parameter_key() const;
};

/// Segments are split at '/' outside of <>. How long and how often a case was measured
/// (`repeats:`, `iterations:`, `min_time:`, `min_warmup_time:`) is no part of it.
[[nodiscard]] CaseName parse_case_name(std::string_view name);

}  // namespace kvsieve::sim
