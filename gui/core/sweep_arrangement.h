#pragma once
// Which rows of a sweep are shown, in which order, and which of them are on the Pareto front.

#include <QString>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/jobs.h"
#include "core/sweep_table.h"
#include "kvsieve/sim/pareto.h"

namespace kvsieve::gui {

/// A column of the shown table.
struct SweepColumnId {
  enum class Kind { kState, kNumber, kOption, kMetric, kError, kKey };
  Kind kind = Kind::kNumber;
  std::string name;  ///< of an option or metric

  bool operator==(const SweepColumnId&) const = default;
};

/// What is asked for.
struct SweepQuery {
  /// A condition as of --where ("tpot_ms<20 and method!='quest'"), or words that a row's options,
  /// texts, error or number ("#12") must have. What holds a comparison is a condition.
  QString filter;
  SweepColumnId sort;
  bool descending = false;
  /// The front's objectives; without both there is none.
  std::optional<sim::ParetoObjective> x;
  std::optional<sim::ParetoObjective> y;

  bool operator==(const SweepQuery&) const = default;
};

/// The answer. Shared, never changed.
struct SweepArrangement {
  std::shared_ptr<const SweepTable> table;
  SweepQuery query;
  std::vector<std::uint32_t> shown;    ///< rows of the table, in order
  std::vector<std::uint32_t> front;    ///< of those, the best by x first
  std::vector<std::uint8_t> on_front;  ///< [rows of the table]
  std::size_t failed = 0;              ///< of the shown ones
  QString filter_error;  ///< why the filter is not applied, or what is odd about it; one line
};

/// Sorts failed points and absent values last, equal ones by number. A filter that cannot be read
/// lets all rows through, and says so; one that no row can meet because it names what no row has
/// says that, too. Takes about 50 ms for 100,000 rows.
[[nodiscard]] std::shared_ptr<const SweepArrangement> arrange(
    const std::shared_ptr<const SweepTable>& table, const SweepQuery& query,
    const JobControl& control);

/// "1,234 of 5,000 points shown, 12 failed, 37 on the front".
[[nodiscard]] QString counts_text(const SweepArrangement& arrangement);

}  // namespace kvsieve::gui
