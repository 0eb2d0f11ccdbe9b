#include "replay/approximate_attention.h"

#include <algorithm>
#include <cmath>

namespace kvsieve::sim {

ApproximateAttention::ApproximateAttention(const kernels::TokenRange& eligible,
                                           std::span<const float> scores,
                                           std::span<const float> exact) {
  const auto begin = static_cast<std::size_t>(eligible.begin);
  const auto end = static_cast<std::size_t>(eligible.end);
  const std::span<const float> sinks = exact.first(begin);
  const std::span<const float> window = exact.subspan(end);
  const std::span<const float> ranked = scores.subspan(begin, end - begin);
  float largest = -HUGE_VALF;
  for (const std::span<const float> part : {sinks, window, ranked}) {
    for (const float score : part) {
      largest = std::max(largest, score);
    }
  }
  const auto sum_of = [&](std::span<const float> part) {
    double sum = 0.0;
    for (const float score : part) {
      sum += std::exp(static_cast<double>(score) - static_cast<double>(largest));
    }
    return sum;
  };
  const double held = sum_of(sinks) + sum_of(window);
  const double total = held + sum_of(ranked);
  log_sum = static_cast<double>(largest) + std::log(total);
  resident = held / total;
}

double ApproximateAttention::share(float score) const {
  return std::exp(static_cast<double>(score) - log_sum);
}

}  // namespace kvsieve::sim
