#include "run/interleaving.h"

#include <algorithm>
#include <numeric>
#include <string_view>

#include "kvsieve/kernels/counter_random.h"
#include "kvsieve/sim/rank_test.h"

namespace kvsieve::bench {

std::vector<Side> block_order(std::uint64_t seed, std::int64_t block) {
  // Seeds next to each other give unrelated first numbers.
  const bool old_first =
      kernels::CounterRandom(seed + static_cast<std::uint64_t>(block)).uniform() < 0.5;
  const Side first = old_first ? Side::kOld : Side::kNew;
  const Side second = old_first ? Side::kNew : Side::kOld;
  return {first, second, second, first};
}

std::vector<std::size_t> counted_blocks(std::span<const double> disturbances, std::size_t wanted) {
  std::vector<std::size_t> blocks(disturbances.size());
  std::iota(blocks.begin(), blocks.end(), std::size_t{0});
  // Whether a block is quiet says nothing about how fast either side was in it.
  const auto rank = [&](std::size_t block) {
    return disturbances[block] > kMostDisturbance ? disturbances[block] : 0.0;
  };
  std::stable_sort(blocks.begin(), blocks.end(),
                   [&](std::size_t a, std::size_t b) { return rank(a) < rank(b); });
  blocks.resize(std::min(wanted, blocks.size()));
  std::sort(blocks.begin(), blocks.end());
  return blocks;
}

bool is_noisy(std::span<const double> before, std::span<const double> after) {
  constexpr double kMostNoise = 0.005;
  const std::vector<double> old_logs = sim::logarithms(before);
  const std::vector<double> new_logs = sim::logarithms(after);
  const double inflation =
      std::max(sim::variance_inflation(old_logs), sim::variance_inflation(new_logs));
  return sim::shift_noise(old_logs, new_logs, inflation) > kMostNoise;
}

std::string exact_pattern(const std::string& name) {
  constexpr std::string_view kSpecial = R"(.^$|()[]{}*+?\)";
  std::string pattern = "^";
  for (const char letter : name) {
    if (kSpecial.find(letter) != std::string_view::npos) {
      pattern += '\\';
    }
    pattern += letter;
  }
  return pattern + "$";
}

}  // namespace kvsieve::bench
