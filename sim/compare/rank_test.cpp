#include "kvsieve/sim/rank_test.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>

namespace kvsieve::sim {
namespace {

constexpr std::size_t kMostExact = 40;

/// Twice the ranks of all values, first sample first: equal values share the mean of their ranks.
struct Ranks {
  std::vector<std::int64_t> doubled;
  double tie_term = 0.0;  ///< sum of t^3 - t over groups of t equal values
};

Ranks ranks_of(std::span<const double> first, std::span<const double> second) {
  std::vector<double> values(first.begin(), first.end());
  values.insert(values.end(), second.begin(), second.end());
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return values[a] < values[b]; });
  Ranks ranks;
  ranks.doubled.resize(values.size());
  for (std::size_t begin = 0; begin < order.size();) {
    std::size_t end = begin + 1;
    while (end < order.size() && values[order[end]] == values[order[begin]]) {
      ++end;
    }
    for (std::size_t i = begin; i < end; ++i) {
      ranks.doubled[order[i]] = static_cast<std::int64_t>(begin + 1 + end);
    }
    const auto ties = static_cast<double>(end - begin);
    ranks.tie_term += ties * ties * ties - ties;
    begin = end;
  }
  return ranks;
}

/// How many of the ways to choose `chosen` of the ranks have each sum. Counts stay below 2^53.
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

/// Share of the ways whose sum is at least as far from the mean as `sum`.
double exact_p(std::span<const std::int64_t> doubled, std::size_t chosen, std::int64_t sum) {
  const std::vector<double> counts = sum_counts(doubled, chosen);
  const std::int64_t total = std::accumulate(doubled.begin(), doubled.end(), std::int64_t{0});
  // Distances from the mean times the number of values, which are integers.
  const auto values = static_cast<std::int64_t>(doubled.size());
  const std::int64_t mean = total * static_cast<std::int64_t>(chosen);
  const std::int64_t distance = std::abs(sum * values - mean);
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

/// Of U without ties, P(U <= u) for u from 0.
std::vector<double> cumulated_u(std::size_t first, std::size_t second) {
  std::vector<std::int64_t> doubled(first + second);
  for (std::size_t i = 0; i < doubled.size(); ++i) {
    doubled[i] = static_cast<std::int64_t>(2 * (i + 1));
  }
  const std::vector<double> counts = sum_counts(doubled, second);
  const std::size_t least = second * (second + 1);
  std::vector<double> shares(first * second + 1);
  double sum = 0.0;
  for (std::size_t u = 0; u < shares.size(); ++u) {
    sum += counts[least + 2 * u];
    shares[u] = sum;
  }
  for (double& share : shares) {
    share /= sum;
  }
  return shares;
}

/// How many of the smallest and of the largest differences lie outside the interval.
std::size_t outside_interval(std::size_t first, std::size_t second, double tail, double inflation) {
  if (first + second <= kMostExact && inflation <= 1.0) {
    const std::vector<double> shares = cumulated_u(first, second);
    std::size_t outside = 0;
    while (outside < shares.size() && shares[outside] <= tail) {
      ++outside;
    }
    return outside;
  }
  const double m = static_cast<double>(first);
  const double n = static_cast<double>(second);
  const double deviation = std::sqrt(inflation * m * n * (m + n + 1.0) / 12.0);
  const double bound = m * n / 2.0 - normal_quantile(1.0 - tail) * deviation;
  return bound > 0.0 ? static_cast<std::size_t>(bound) : 0;
}

double upper_tail(double z) {
  return 0.5 * std::erfc(z / std::sqrt(2.0));
}

}  // namespace

RankTest rank_test(std::span<const double> first, std::span<const double> second,
                   double inflation) {
  if (first.empty() || second.empty()) {
    return {};
  }
  const Ranks ranks = ranks_of(first, second);
  const std::span<const std::int64_t> of_second = std::span(ranks.doubled).subspan(first.size());
  const std::int64_t sum = std::accumulate(of_second.begin(), of_second.end(), std::int64_t{0});
  const double m = static_cast<double>(first.size());
  const double n = static_cast<double>(second.size());
  RankTest test;
  test.u = static_cast<double>(sum) / 2.0 - n * (n + 1.0) / 2.0;
  test.exact = ranks.doubled.size() <= kMostExact;
  if (test.exact) {
    test.p = std::min(1.0, exact_p(ranks.doubled, second.size(), sum));
    if (inflation <= 1.0) {
      return test;
    }
  }
  const double all = m + n;
  const double variance =
      inflation * m * n / 12.0 * ((all + 1.0) - ranks.tie_term / (all * (all - 1.0)));
  if (variance > 0.0) {
    const double distance = std::max(0.0, std::abs(test.u - m * n / 2.0) - 0.5);
    const double p = std::min(1.0, 2.0 * upper_tail(distance / std::sqrt(variance)));
    test.p = test.exact ? std::max(test.p, p) : p;
  }
  return test;
}

double variance_inflation(std::span<const double> values) {
  const Ranks ranks = ranks_of(values, {});
  const auto n = static_cast<double>(values.size());
  std::vector<double> centred;
  for (const std::int64_t doubled : ranks.doubled) {
    centred.push_back(static_cast<double>(doubled) / 2.0 - (n + 1.0) / 2.0);
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

double least_p(std::size_t first, std::size_t second) {
  if (first == 0 || second == 0) {
    return 1.0;
  }
  // 2 of all ways to choose the second sample's ranks: the lowest ones and the highest ones.
  double ways = 1.0;
  for (std::size_t i = 1; i <= second; ++i) {
    ways *= static_cast<double>(first + i) / static_cast<double>(i);
  }
  return std::min(1.0, 2.0 / ways);
}

Shift shift_between(std::span<const double> first, std::span<const double> second,
                    double confidence, double inflation) {
  std::vector<double> differences;
  differences.reserve(first.size() * second.size());
  for (const double a : first) {
    for (const double b : second) {
      differences.push_back(b - a);
    }
  }
  std::sort(differences.begin(), differences.end());
  const std::size_t pairs = differences.size();
  Shift shift;
  shift.estimate = pairs % 2 == 1 ? differences[pairs / 2]
                                  : (differences[pairs / 2 - 1] + differences[pairs / 2]) / 2.0;
  const std::size_t outside =
      outside_interval(first.size(), second.size(), (1.0 - confidence) / 2.0, inflation);
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  shift.low = outside == 0 ? -kInfinity : differences[outside - 1];
  shift.high = outside == 0 ? kInfinity : differences[pairs - outside];
  return shift;
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
  return 1.4826 * median_of(std::move(distances));
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
