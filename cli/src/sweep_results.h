#pragma once
// A store's rows as people look at them: chosen by conditions, ranked, on a Pareto front.

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kvsieve/sim/sweep_report.h"
#include "kvsieve/sim/sweep_store.h"

namespace kvsieve::cli {

/// A finished row, with its documents parsed.
struct SweepResult {
  std::int64_t number = 0;
  nlohmann::ordered_json options;
  nlohmann::ordered_json metrics;

  /// A metric's value, nothing if the row has none or it is no number.
  [[nodiscard]] std::optional<double> metric(std::string_view name) const;
};

/// The rows without errors that meet all conditions over options and metrics, in order.
[[nodiscard]] std::vector<SweepResult> read_results(const sim::SweepStore& store,
                                                    const std::vector<std::string>& conditions);

/// The rows on the front of "tokens_per_second:max,l1_loss_relative:min".
[[nodiscard]] std::vector<SweepResult> on_front(std::vector<SweepResult> results,
                                                const std::string& objectives);

/// The rows with the best values of a metric first, at most `count`.
[[nodiscard]] std::vector<SweepResult> best_of(std::vector<SweepResult> results,
                                               const std::string& objective, std::size_t count);

/// A table: number, options that differ between rows, then `metrics` (all if empty).
[[nodiscard]] std::string describe(const std::vector<SweepResult>& results,
                                   const std::vector<std::string>& metrics,
                                   std::string_view format);

/// The report of two objectives, e.g. "tokens_per_second,l1_loss_relative:min". Throws
/// Error(kUsage) for another number of them, Error(kCheckFailed) if no row has both.
[[nodiscard]] sim::SweepReport front_report(const std::vector<SweepResult>& results,
                                            const std::string& objectives,
                                            const std::string& title);

/// The command that reproduces a row: `kvsieve run ...` with a trace, `kvsieve cost ...` without.
[[nodiscard]] std::string command_of(const SweepResult& result);

}  // namespace kvsieve::cli
