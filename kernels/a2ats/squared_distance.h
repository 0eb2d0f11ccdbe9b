#pragma once
// Squared Euclidean distance as a sum of squared differences: exactly zero for equal vectors.

#include <cstddef>
#include <span>

namespace kvsieve::kernels {

/// Sum of (a[t] - b[t])^2 in 16 partial sums of type `Sum`, combined in one order, which leaves the
/// compiler free to use vectors of any width.
template <class Sum>
[[nodiscard]] Sum squared_distance(std::span<const float> a, std::span<const float> b) {
  constexpr std::size_t kLanes = 16;
  Sum lanes[kLanes] = {};
  std::size_t t = 0;
  for (; t + kLanes <= a.size(); t += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const Sum difference = static_cast<Sum>(a[t + lane]) - static_cast<Sum>(b[t + lane]);
      lanes[lane] += difference * difference;
    }
  }
  Sum sum = 0;
  for (const Sum lane : lanes) {
    sum += lane;
  }
  for (; t < a.size(); ++t) {
    const Sum difference = static_cast<Sum>(a[t]) - static_cast<Sum>(b[t]);
    sum += difference * difference;
  }
  return sum;
}

}  // namespace kvsieve::kernels
