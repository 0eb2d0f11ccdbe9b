#pragma once
// What differs between two sweeps: set-up, and the metrics of the points that both have.

#include <QString>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "core/figure_delta.h"
#include "core/jobs.h"
#include "core/run_delta.h"
#include "core/sweep_table.h"

namespace kvsieve::gui {

/// How one metric changed over all points that both sweeps finished.
struct MetricChange {
  QString name;
  MetricInfo info;
  std::size_t points = 0;  ///< that have it in both
  std::size_t better = 0;
  std::size_t worse = 0;
  std::size_t other = 0;        ///< differ, but neither is better
  double mean_relative = 0.0;   ///< over the points that have a relative difference
  DeltaValue worst;             ///< of the point that changed for the worst, or the most
  std::uint32_t worst_row = 0;  ///< of the shown table
};

/// Two sweeps. Points are the same if their keys or, failing that, their options are. Shared,
/// never changed.
class SweepDelta {
 public:
  /// Takes about 0.5 s for 100,000 points: for worker threads.
  SweepDelta(std::shared_ptr<const SweepTable> baseline, std::shared_ptr<const SweepTable> shown,
             const JobControl& control);

  [[nodiscard]] const SweepTable& baseline() const { return *m_baseline; }
  [[nodiscard]] const SweepTable& shown() const { return *m_shown; }
  /// Versions, instruction sets, inputs and definitions that differ.
  [[nodiscard]] const std::vector<SetUpDelta>& set_up() const { return m_set_up; }
  /// Rows of the baseline and of the shown table that are one point, in the shown one's order.
  [[nodiscard]] const std::vector<std::pair<std::uint32_t, std::uint32_t>>& pairs() const {
    return m_pairs;
  }
  /// Rows that have no counterpart.
  [[nodiscard]] const std::vector<std::uint32_t>& only_baseline() const { return m_only_baseline; }
  [[nodiscard]] const std::vector<std::uint32_t>& only_shown() const { return m_only_shown; }
  /// Points that failed on one side: in the baseline (true) or the shown sweep, by pair.
  [[nodiscard]] const std::vector<std::pair<std::size_t, bool>>& failed_once() const {
    return m_failed_once;
  }
  /// Points and metrics that one side alone has, in words; the first few points by their options.
  [[nodiscard]] std::vector<MissingItem> missing() const;
  /// Metrics that both have, the worst mean change first.
  [[nodiscard]] const std::vector<MetricChange>& metrics() const { return m_metrics; }
  /// A metric of a pair.
  [[nodiscard]] DeltaValue value(std::size_t pair, const QString& metric) const;
  /// Pairs that have the metric, the worst change first, at most `count`.
  [[nodiscard]] std::vector<std::size_t> worst_pairs(const QString& metric,
                                                     std::size_t count) const;

 private:
  void compare_set_up();
  void match(const JobControl& control);
  void compare_metrics(const JobControl& control);

  std::shared_ptr<const SweepTable> m_baseline;
  std::shared_ptr<const SweepTable> m_shown;
  std::vector<SetUpDelta> m_set_up;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> m_pairs;
  std::vector<std::uint32_t> m_only_baseline;
  std::vector<std::uint32_t> m_only_shown;
  std::vector<std::pair<std::size_t, bool>> m_failed_once;
  std::vector<MissingItem> m_missing_metrics;
  std::vector<MetricChange> m_metrics;
};

}  // namespace kvsieve::gui
