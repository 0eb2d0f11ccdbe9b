#pragma once
// Statistics of two samples that assume no distribution: what timings are judged by
// (docs/compare.md has the formulas).

#include <cstddef>
#include <span>
#include <vector>

namespace kvsieve::sim {

/// A two-sided rank test: Mann-Whitney's where all ranks tell, which is what `u` is named after.
struct RankTest {
  /// Pairs in which the second sample's value is larger, equal ones half, as far as ranks tell.
  double u = 0.0;
  double p = 1.0;      ///< of a U at least as far from its mean if both samples are of one kind
  bool exact = false;  ///< p is counted over all arrangements, ties as they are
};

/// Exact up to 40 values in all, with ties; above, the normal approximation with correction for
/// ties and continuity. p is 1 for an empty sample and where all values are equal.
/// @param inflation of the variance by values that depend on their neighbours (variance_inflation);
/// above 1 the p of the approximation counts where it is larger than the exact one
/// @param telling the share of all values, the smallest ones, whose ranks count: all others have
/// the rank of the largest of these
[[nodiscard]] RankTest rank_test(std::span<const double> first, std::span<const double> second,
                                 double inflation = 1.0, double telling = 1.0);

/// By how much the variance of a mean of these values, in the order in which they were measured, is
/// larger than if they did not depend on each other: 1 + 2 sum (1 - k/n) r_k over the
/// autocorrelations r_k of their ranks, up to the first below 1/sqrt(n). 1 where r_1 is below
/// 2/sqrt(n), which chance alone gives. @param telling as of rank_test
[[nodiscard]] double variance_inflation(std::span<const double> values, double telling = 1.0);

/// p of samples of these sizes of which all of the second is larger; 1 if one is empty.
[[nodiscard]] double least_p(std::size_t first, std::size_t second, double telling = 1.0);

/// By how much the second sample is larger: the shift without which the rank test finds no
/// difference (Hodges and Lehmann's estimate, which is the median of all differences of pairs where
/// all ranks tell), and the interval of those that it does not reject.
struct Shift {
  double estimate = 0.0;
  double low = 0.0;   ///< -infinity where the samples are too small for the confidence
  double high = 0.0;  ///< infinity likewise
};

/// @param confidence of the interval, e.g. 0.99 @param inflation, telling as of rank_test
/// Neither sample may be empty. Takes time and memory proportional to the number of pairs.
[[nodiscard]] Shift shift_between(std::span<const double> first, std::span<const double> second,
                                  double confidence, double inflation = 1.0, double telling = 1.0);

/// Of values above 0: a shift of these is a ratio of the values.
[[nodiscard]] std::vector<double> logarithms(std::span<const double> values);

/// By how much a shift is off because the samples scatter, as a standard error:
/// 1.2533 sqrt(inflation (s_1^2 / m + s_2^2 / n)), s_1 and s_2 the samples' robust deviations, so
/// that neither the shift itself nor what the other side scatters plays a part. Neither sample may
/// be empty.
[[nodiscard]] double shift_noise(std::span<const double> first, std::span<const double> second,
                                 double inflation = 1.0);

/// Holm's step-down correction: a hypothesis whose adjusted p is below alpha is rejected, and the
/// chance of one or more false rejections among all is below alpha. In the order of `p`.
[[nodiscard]] std::vector<double> holm_adjusted(std::span<const double> p);

/// The middle value, the mean of the two middle ones of an even number; NaN of none.
[[nodiscard]] double median_of(std::vector<double> values);

/// 1.4826 n / (n - 0.8) times the median distance of n values from their median, which estimates
/// the standard deviation of normal noise and hardly moves with outliers; 0 of fewer than two
/// values.
[[nodiscard]] double robust_deviation(std::span<const double> values);

/// The normal distribution's quantile: 2.326 for 0.99.
[[nodiscard]] double normal_quantile(double share);

}  // namespace kvsieve::sim
