#pragma once
// Whether a comparison fails.

#include <string>
#include <vector>

#include "kvsieve/sim/result_comparison.h"

namespace kvsieve::sim {

/// What fails a comparison.
struct GateRule {
  bool regression = false;  ///< a value is worse, or changed where neither direction is better
  bool missing = false;     ///< a case was removed
  bool added = false;
  bool renamed = false;
  bool inconclusive = false;
  bool any = false;   ///< any difference at all, better ones included
  bool none = false;  ///< nothing of these fails; otherwise a comparison that could not judge does
  bool same_machine = false;  ///< besides, another machine, instruction set, compiler or flags

  /// From "regression", "missing", "added", "renamed", "inconclusive", "any" or "none".
  /// Throws Error(kUsage) for another word, and for "none" beside others.
  [[nodiscard]] static GateRule parse(const std::vector<std::string>& words);
};

/// Whether one change fails.
[[nodiscard]] bool fails(const ResultChange& change, const GateRule& rule);

/// One line that says how much failed and names the worst; empty if nothing did.
[[nodiscard]] std::string gate_failure(const ResultComparison& comparison, const GateRule& rule);

}  // namespace kvsieve::sim
