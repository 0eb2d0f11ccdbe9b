#pragma once
// Numbers that benchmarks fill their tensors with.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

namespace kvsieve::bench {

/// Normal numbers, the same for the same seed.
[[nodiscard]] inline std::vector<float> random_numbers(std::size_t count, std::uint32_t seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  std::vector<float> numbers(count);
  std::generate(numbers.begin(), numbers.end(), [&] { return normal(generator); });
  return numbers;
}

}  // namespace kvsieve::bench
