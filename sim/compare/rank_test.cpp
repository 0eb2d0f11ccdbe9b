#include "kvsieve/sim/rank_test.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <numeric>

namespace kvsieve::sim {
namespace {

constexpr std::size_t kMostExact = 40;
constexpr double kContinuity = 0.5;  // a sum of ranks is whole
// Standard error of a median by that of a mean, of normal noise: sqrt(pi / 2).
constexpr double kMedianEfficiency = 1.2533;
// Normal noise's deviation by the median distance from its median. Of few values, whose median is
// their own, the distances are too small by about (n - 0.8) / n: Croux and Rousseeuw,
// Time-efficient algorithms for two highly robust estimators of scale (1992). Within 4 % from 5
// values on.
constexpr double kNormalDeviation = 1.4826;
constexpr double kFewValues = 0.8;

/// Twice the scores of all values, first sample first: their ranks, up to the one from which on all
/// count alike. Equal values share the mean of their ranks.
std::vector<std::int64_t> doubled_scores(std::span<const double> first,
                                         std::span<const double> second, double telling) {
  std::vector<double> values(first.begin(), first.end());
  values.insert(values.end(), second.begin(), second.end());
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return values[a] < values[b]; });
  const auto last =
      2 * static_cast<std::int64_t>(std::ceil(telling * static_cast<double>(values.size())));
  std::vector<std::int64_t> doubled(values.size());
  for (std::size_t begin = 0; begin < order.size();) {
    std::size_t end = begin + 1;
    while (end < order.size() && values[order[end]] == values[order[begin]]) {
      ++end;
    }
    for (std::size_t i = begin; i < end; ++i) {
      doubled[order[i]] = std::min(last, static_cast<std::int64_t>(begin + 1 + end));
    }
    begin = end;
  }
  return doubled;
}

/// The same without ties, in ascending order.
std::vector<std::int64_t> ordered_scores(std::size_t count, double telling) {
  std::vector<double> values(count);
  std::iota(values.begin(), values.end(), 0.0);
  return doubled_scores(values, {}, telling);
}

/// The second sample's sum of scores less what it is on average.
double excess_of(std::span<const std::int64_t> doubled, std::size_t first) {
  const auto sum_from = [&](std::size_t begin) {
    return std::accumulate(doubled.begin() + static_cast<std::ptrdiff_t>(begin), doubled.end(),
                           std::int64_t{0});
  };
  const auto all = static_cast<std::int64_t>(doubled.size());
  const auto second = static_cast<std::int64_t>(doubled.size() - first);
  return static_cast<double>(sum_from(first) * all - sum_from(0) * second) /
         static_cast<double>(2 * all);
}

/// By how much a sum of `chosen` of the scores varies.
double deviation_of(std::span<const std::int64_t> doubled, std::size_t chosen, double inflation) {
  const auto all = static_cast<double>(doubled.size());
  const double mean =
      static_cast<double>(std::accumulate(doubled.begin(), doubled.end(), std::int64_t{0})) / all;
  double square = 0.0;
  for (const std::int64_t score : doubled) {
    square += (static_cast<double>(score) - mean) * (static_cast<double>(score) - mean) / 4.0;
  }
  const auto n = static_cast<double>(chosen);
  return std::sqrt(inflation * n * (all - n) / (all * (all - 1.0)) * square);
}

/// How many of the ways to choose `chosen` of the scores have each sum. Counts stay below 2^53.
std::vector<double> sum_counts(std::span<const std::int64_t> doubled, std::size_t chosen) {
  const auto total =
      static_cast<std::size_t>(std::accumulate(doubled.begin(), doubled.end(), std::int64_t{0}));
  std::vector<std::vector<double>> counts(chosen + 1, std::vector<double>(total + 1, 0.0));
  counts[0][0] = 1.0;
  std::size_t reached = 0;
  for (const std::int64_t rank : doubled) {
    const auto step = static_cast<std::size_t>(rank);
    reached += step;
    for (std::size_t k = chosen; k > 0; --k) {
      for (std::size_t sum = reached; sum >= step; --sum) {
        counts[k][sum] += counts[k - 1][sum - step];
      }
    }
  }
  return std::move(counts[chosen]);
}

/// Share of the ways whose sum is at least as far from the mean as `excess`.
double exact_p(std::span<const std::int64_t> doubled, std::size_t chosen, double excess) {
  const std::vector<double> counts = sum_counts(doubled, chosen);
  const std::int64_t total = std::accumulate(doubled.begin(), doubled.end(), std::int64_t{0});
  // Distances from the mean times twice the number of values, which are integers.
  const auto values = static_cast<std::int64_t>(doubled.size());
  const std::int64_t mean = total * static_cast<std::int64_t>(chosen);
  const std::int64_t distance = std::llround(2.0 * std::abs(excess) * static_cast<double>(values));
  double as_far = 0.0;
  double all = 0.0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    all += counts[i];
    if (std::abs(static_cast<std::int64_t>(i) * values - mean) >= distance) {
      as_far += counts[i];
    }
  }
  return as_far / all;
}

double upper_tail(double z) {
  return 0.5 * std::erfc(z / std::sqrt(2.0));
}

/// The least excess of samples without ties that the test rejects at `alpha`; infinity if none is.
double critical_excess(std::size_t first, std::size_t second, double alpha, double inflation,
                       double telling) {
  const std::vector<std::int64_t> doubled = ordered_scores(first + second, telling);
  if (doubled.size() > kMostExact || inflation > 1.0) {
    return normal_quantile(1.0 - alpha / 2.0) * deviation_of(doubled, second, inflation) +
           kContinuity;
  }
  const std::vector<double> counts = sum_counts(doubled, second);
  const std::int64_t total = std::accumulate(doubled.begin(), doubled.end(), std::int64_t{0});
  const auto values = static_cast<std::int64_t>(doubled.size());
  const double all = std::accumulate(counts.begin(), counts.end(), 0.0);
  // Ways by their distance from the mean times twice the number of values, the furthest first.
  std::map<std::int64_t, double, std::greater<>> ways;
  for (std::size_t sum = 0; sum < counts.size(); ++sum) {
    if (counts[sum] > 0.0) {
      ways[std::abs(static_cast<std::int64_t>(sum) * values -
                    total * static_cast<std::int64_t>(second))] += counts[sum];
    }
  }
  double critical = std::numeric_limits<double>::infinity();
  double as_far = 0.0;
  for (const auto& [distance, count] : ways) {
    as_far += count;
    if (as_far > alpha * all) {
      break;
    }
    critical = static_cast<double>(distance) / static_cast<double>(2 * values);
  }
  return critical;
}

/// The first of 0, ..., count - 1 that a predicate holds for, and so for all behind it; else count.
template <class Predicate>
std::size_t first_where(std::size_t count, const Predicate& predicate) {
  std::size_t low = 0;
  while (low < count) {
    const std::size_t middle = low + (count - low) / 2;
    if (predicate(middle)) {
      count = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

}  // namespace

RankTest rank_test(std::span<const double> first, std::span<const double> second, double inflation,
                   double telling) {
  if (first.empty() || second.empty()) {
    return {};
  }
  const std::vector<std::int64_t> doubled = doubled_scores(first, second, telling);
  const double excess = excess_of(doubled, first.size());
  RankTest test;
  test.u = static_cast<double>(first.size() * second.size()) / 2.0 + excess;
  test.exact = doubled.size() <= kMostExact;
  if (test.exact) {
    test.p = std::min(1.0, exact_p(doubled, second.size(), excess));
    if (inflation <= 1.0) {
      return test;
    }
  }
  const double deviation = deviation_of(doubled, second.size(), inflation);
  if (deviation > 0.0) {
    const double distance = std::max(0.0, std::abs(excess) - kContinuity);
    const double p = std::min(1.0, 2.0 * upper_tail(distance / deviation));
    test.p = test.exact ? std::max(test.p, p) : p;
  }
  return test;
}

double variance_inflation(std::span<const double> values, double telling) {
  const std::vector<std::int64_t> doubled = doubled_scores(values, {}, telling);
  const auto n = static_cast<double>(values.size());
  const auto total =
      static_cast<double>(std::accumulate(doubled.begin(), doubled.end(), std::int64_t{0}));
  std::vector<double> centred;
  for (const std::int64_t score : doubled) {
    centred.push_back((static_cast<double>(score) - total / n) / 2.0);
  }
  const double square = std::inner_product(centred.begin(), centred.end(), centred.begin(), 0.0);
  if (square <= 0.0) {
    return 1.0;
  }
  double inflation = 1.0;
  for (std::size_t k = 1; k < centred.size(); ++k) {
    const auto lag = static_cast<std::ptrdiff_t>(k);
    const double correlation =
        std::inner_product(centred.begin() + lag, centred.end(), centred.begin(), 0.0) / square;
    if (correlation < (k == 1 ? 2.0 : 1.0) / std::sqrt(n)) {
      break;
    }
    inflation += 2.0 * (1.0 - static_cast<double>(k) / n) * correlation;
  }
  return inflation;
}

double least_p(std::size_t first, std::size_t second, double telling) {
  std::vector<double> values(first + second);
  std::iota(values.begin(), values.end(), 0.0);
  return rank_test(std::span(values).first(first), std::span(values).subspan(first), 1.0, telling)
      .p;
}

Shift shift_between(std::span<const double> first, std::span<const double> second,
                    double confidence, double inflation, double telling) {
  std::vector<double> differences;
  differences.reserve(first.size() * second.size());
  for (const double a : first) {
    for (const double b : second) {
      differences.push_back(b - a);
    }
  }
  std::sort(differences.begin(), differences.end());
  const std::size_t pairs = differences.size();
  std::vector<double> shifted(second.size());
  // Falls as the shift grows, and changes at the differences alone.
  const auto excess_at = [&](double shift) {
    std::transform(second.begin(), second.end(), shifted.begin(),
                   [&](double value) { return value - shift; });
    return excess_of(doubled_scores(first, shifted, telling), first.size());
  };
  const auto between = [&](std::size_t gap) {
    return gap == 0       ? differences.front() - 1.0
           : gap == pairs ? differences.back() + 1.0
                          : (differences[gap - 1] + differences[gap]) / 2.0;
  };
  const double critical =
      critical_excess(first.size(), second.size(), 1.0 - confidence, inflation, telling);
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  constexpr double kRounding = 1e-9;
  Shift shift;
  // The first gap between differences in which the excess is below this.
  const auto gap_below = [&](double excess) {
    return first_where(pairs + 1,
                       [&](std::size_t gap) { return excess_at(between(gap)) < excess; });
  };
  const auto difference_before = [&](std::size_t gap) {
    return gap == 0 ? -kInfinity : gap > pairs ? kInfinity : differences[gap - 1];
  };
  shift.estimate =
      (difference_before(gap_below(kRounding)) + difference_before(gap_below(-kRounding))) / 2.0;
  shift.low = difference_before(gap_below(critical - kRounding));
  shift.high = difference_before(gap_below(kRounding - critical));
  return shift;
}

std::vector<double> logarithms(std::span<const double> values) {
  std::vector<double> logs(values.size());
  std::transform(values.begin(), values.end(), logs.begin(),
                 [](double value) { return std::log(value); });
  return logs;
}

double shift_noise(std::span<const double> first, std::span<const double> second,
                   double inflation) {
  const auto error_of = [&](std::span<const double> side) {
    return kMedianEfficiency * robust_deviation(side) *
           std::sqrt(inflation / static_cast<double>(side.size()));
  };
  return std::hypot(error_of(first), error_of(second));
}

std::vector<double> holm_adjusted(std::span<const double> p) {
  std::vector<std::size_t> order(p.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return p[a] < p[b]; });
  std::vector<double> adjusted(p.size());
  double largest = 0.0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    largest = std::max(largest, p[order[i]] * static_cast<double>(order.size() - i));
    adjusted[order[i]] = std::min(1.0, largest);
  }
  return adjusted;
}

double median_of(std::vector<double> values) {
  if (values.empty()) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2.0;
}

double robust_deviation(std::span<const double> values) {
  if (values.size() < 2) {
    return 0.0;
  }
  const double middle = median_of({values.begin(), values.end()});
  std::vector<double> distances;
  for (const double value : values) {
    distances.push_back(std::abs(value - middle));
  }
  const auto n = static_cast<double>(values.size());
  return kNormalDeviation * n / (n - kFewValues) * median_of(std::move(distances));
}

double normal_quantile(double share) {
  // Bisection of the distribution function: rarely called, and nothing to get wrong.
  double low = -40.0;
  double high = 40.0;
  for (int i = 0; i < 200; ++i) {
    const double middle = (low + high) / 2.0;
    (upper_tail(-middle) < share ? low : high) = middle;
  }
  return (low + high) / 2.0;
}

}  // namespace kvsieve::sim
