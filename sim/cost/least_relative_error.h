#pragma once
// Fits that make the sum of relative errors small, so that a few rows far off pull little.

#include <array>
#include <functional>
#include <vector>

namespace kvsieve::sim {

inline constexpr std::size_t kLinearTerms = 4;
using LinearTerms = std::array<double, kLinearTerms>;

/// One row of a linear model: value = sum of coefficient x term.
struct LinearRow {
  LinearTerms terms{};
  double value = 0.0;   ///< above 0
  double weight = 1.0;  ///< of its error in the sum
};

/// Coefficients >= 0 with the smallest sum of weight x |modelled / value - 1|, by iteratively
/// reweighted least squares. A term whose column is 0, or that others make up for, gets 0. The same
/// rows give the same bits.
[[nodiscard]] LinearTerms fit_least_relative_error(const std::vector<LinearRow>& rows);

/// The x >= 0 with the smallest sum of |base + slope x - value| / value: a weighted median.
struct ShiftRow {
  double base = 0.0;
  double slope = 0.0;  ///< above 0
  double value = 0.0;  ///< above 0
};
[[nodiscard]] double fit_least_relative_error(const std::vector<ShiftRow>& rows);

/// The point near `start` where `loss` is smallest by the simplex search of Nelder and Mead
/// (Computer Journal 7, 1965), started twice anew where it ended. `steps` are those of the first
/// simplex.
[[nodiscard]] std::array<double, 3> simplex_minimum(
    const std::function<double(const std::array<double, 3>&)>& loss,
    const std::array<double, 3>& start, const std::array<double, 3>& steps);

}  // namespace kvsieve::sim
