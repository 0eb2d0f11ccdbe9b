#pragma once
// Which lines of a kernel's source explain that one of its counters changed.

#include <string>
#include <vector>

#include "kvsieve/sim/benchmark_file.h"
#include "kvsieve/sim/result_comparison.h"

namespace kvsieve::sim {

/// A line of the old source and the same of the new one; null where one side has none.
struct LinePair {
  const SourceCounts* before;
  const SourceCounts* after;
};

/// Pairs the lines file by file. Lines with equal counts that follow each other alike on both sides
/// belong together (the longest common subsequence), wherever an edit above moved them; between
/// those, lines are paired in order. Both lists must outlive the result.
[[nodiscard]] std::vector<LinePair> pair_lines(const std::vector<SourceCounts>& before,
                                               const std::vector<SourceCounts>& after);

/// The `most` largest changes of one counter.
[[nodiscard]] std::vector<LineChange> line_changes(const std::vector<LinePair>& pairs,
                                                   const std::string& counter, std::size_t most);

}  // namespace kvsieve::sim
