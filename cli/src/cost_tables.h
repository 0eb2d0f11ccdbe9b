#pragma once
// What `kvsieve cost` prints in the formats table, csv and md.

#include <string>
#include <string_view>

#include "kvsieve/sim/break_even.h"
#include "kvsieve/sim/cost_report.h"

namespace kvsieve::cli {

/// A report: its figures as lines, then its stages; csv and md have the stages alone.
[[nodiscard]] std::string describe(const sim::CostReport& report, std::string_view format);

/// The cost of a replayed trace in a few lines, for the table of `kvsieve run`.
[[nodiscard]] std::string cost_lines(const sim::CostReport& report);

/// Every term with its value, formula, inputs and source.
[[nodiscard]] std::string describe(const sim::CostTerms& terms, std::string_view format);

/// The map of ratios to full attention: contexts down, batches across; csv has every point.
[[nodiscard]] std::string describe(const sim::BreakEvenMap& map, const sim::CostRequest& request,
                                   std::string_view format);

}  // namespace kvsieve::cli
