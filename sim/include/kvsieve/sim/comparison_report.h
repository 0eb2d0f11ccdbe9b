#pragma once
// A comparison for people and machines: JSON, Markdown for a pull request's comment, JUnit XML,
// GitHub's annotations. The same comparison gives the same bytes, whatever the locale.

#include <cstddef>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "kvsieve/sim/result_comparison.h"
#include "kvsieve/sim/result_gate.h"

namespace kvsieve::sim {

/// Schema kvsieve.comparison/1 (docs/comparison.schema.json). Fields that do not apply are absent.
[[nodiscard]] nlohmann::ordered_json to_json(const ResultComparison& comparison,
                                             const GateRule& rule);

/// A heading with the verdict, the changes worst first in a table of at most `most` rows, then what
/// was added, removed and renamed, and where the set-ups differ.
[[nodiscard]] std::string comparison_markdown(const ResultComparison& comparison,
                                              const GateRule& rule, std::size_t most = 50);

/// A test case for each matched case, which fails where the gate does and is skipped where it is
/// inconclusive, and one for each case that was added, removed or renamed.
[[nodiscard]] std::string comparison_junit(const ResultComparison& comparison,
                                           const GateRule& rule);

/// `::error file=...,line=...::text` for what fails the gate, `::warning` for other changes that
/// are worse or missing, at the source lines that explain them: at most 10 of each, as many as
/// GitHub shows.
/// @param root paths below it are shown relative to it
[[nodiscard]] std::string comparison_annotations(const ResultComparison& comparison,
                                                 const GateRule& rule,
                                                 const std::filesystem::path& root);

/// "3 worse, 1 inconclusive, 40 same of 44 cases": the counts that are not 0.
[[nodiscard]] std::string comparison_summary(const ResultComparison& comparison);

}  // namespace kvsieve::sim
