#pragma once
// Where the level of a series moved.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace kvsieve::sim {

struct SeriesStep {
  std::size_t first = 0;  ///< of the values on the new level
  double before = 0.0;    ///< median of the level that ends here
  double after = 0.0;     ///< and of the one that begins
  double p = 1.0;
};

/// Steps in ascending order. The split with the largest standardised rank sum is one if fewer than
/// `alpha` of 999 shuffles of the values have a split as large, by random numbers from `seed`; both
/// parts are then searched in turn. A level has at least `shortest` values.
[[nodiscard]] std::vector<SeriesStep> find_steps(std::span<const double> values, double alpha,
                                                 std::size_t shortest, std::uint64_t seed);

}  // namespace kvsieve::sim
