#pragma once
// Which rows of a sweep no other row beats in everything.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kvsieve::sim {

enum class ParetoDirection { kMin, kMax };

struct ParetoObjective {
  std::string metric;
  ParetoDirection direction = ParetoDirection::kMin;

  friend bool operator==(const ParetoObjective&, const ParetoObjective&) = default;
};

/// Whether large or small values of a metric are best, where its name says it: names that end in
/// tokens_per_second, throughput, recall, captured_mass or hit_rate are best large, those with a
/// word us, ms, bytes, loss, error, bound or evicted best small.
[[nodiscard]] std::optional<ParetoDirection> known_direction(std::string_view metric);

/// Parses "tokens_per_second:max,l1_loss_relative:min". The suffix may be left out where the
/// direction is known (known_direction).
/// Throws Error(kUsage) naming the text, the part and the accepted forms; also for a metric given
/// twice.
[[nodiscard]] std::vector<ParetoObjective> parse_objectives(std::string_view text);

/// The rows of values[rows, directions], row-major, that no other row dominates: is as good as in
/// every objective and better in one. Rows with a NaN, a missing value, are left out; equal rows
/// are all kept. Best first by the first objective, then by row. O(n log n) for one or two
/// objectives, O(n x front) for more. Throws Error(kUsage) without directions, Error(kInternal)
/// for values that are no whole rows.
[[nodiscard]] std::vector<std::int64_t> pareto_front(std::span<const double> values,
                                                     std::span<const ParetoDirection> directions);

}  // namespace kvsieve::sim
