#pragma once
// Where two documents differ, for people.

#include <string>
#include <string_view>

namespace kvsieve::sim {

/// The values that differ between two JSON documents, each with its path from `name` on, e.g.
/// `inputs.traces.a is "1f" there and "2e" here; inputs.seed is 1 there and missing here`, the
/// first few and how many more; empty if the documents are equal. Texts that are no JSON are only
/// said to differ.
[[nodiscard]] std::string json_difference(std::string_view there, std::string_view here,
                                          std::string_view name);

}  // namespace kvsieve::sim
