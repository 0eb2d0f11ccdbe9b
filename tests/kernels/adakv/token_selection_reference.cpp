#include "kernels/adakv/token_selection_reference.h"

#include <algorithm>
#include <numeric>

namespace kvsieve::kernels::tests {
namespace {

std::vector<std::int32_t> ranked(std::span<const float> scores) {
  std::vector<std::int32_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
    return scores[static_cast<std::size_t>(a)] > scores[static_cast<std::size_t>(b)];
  });
  return order;
}

}  // namespace

std::vector<std::int32_t> reference_top_tokens(std::span<const float> scores, std::int64_t count) {
  std::vector<std::int32_t> tokens = ranked(scores);
  tokens.resize(std::min(tokens.size(), static_cast<std::size_t>(count)));
  std::sort(tokens.begin(), tokens.end());
  return tokens;
}

std::vector<std::int32_t> reference_critical_tokens(std::span<const float> scores,
                                                    std::span<const float> norms,
                                                    std::int64_t count) {
  std::vector<std::int32_t> tokens = reference_top_tokens(scores, count / 2);
  std::vector<float> products(scores.size());
  std::transform(scores.begin(), scores.end(), norms.begin(), products.begin(),
                 [](float score, float norm) { return score * norm; });
  const std::vector<std::int32_t> first = tokens;
  for (const std::int32_t token : ranked(products)) {
    if (static_cast<std::int64_t>(tokens.size()) < count &&
        std::find(first.begin(), first.end(), token) == first.end()) {
      tokens.push_back(token);
    }
  }
  std::sort(tokens.begin(), tokens.end());
  return tokens;
}

}  // namespace kvsieve::kernels::tests
