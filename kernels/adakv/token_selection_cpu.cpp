#include <algorithm>
#include <numeric>

#include "exec/cpu/radix_select.h"
#include "kvsieve/kernels/token_selection.h"

namespace kvsieve::kernels {
namespace {

/// Calls take(index) for the `count` largest keys in ascending order, ties to the lower index.
template <class Take>
void take_top(std::span<const std::uint32_t> keys, std::int64_t count, Take take) {
  if (count <= 0) {
    return;
  }
  RankThreshold threshold =
      select_threshold(keys, std::min(count, static_cast<std::int64_t>(keys.size())));
  for (std::size_t j = 0; j < keys.size(); ++j) {
    if (keys[j] > threshold.key || (keys[j] == threshold.key && threshold.ties-- > 0)) {
      take(j);
    }
  }
}

}  // namespace

void select_tokens(std::span<const float> scores, std::int64_t count,
                   std::vector<std::int32_t>& selected) {
  if (scores.empty()) {
    return;
  }
  thread_local std::vector<std::uint32_t> keys;
  keys.resize(scores.size());
  std::transform(scores.begin(), scores.end(), keys.begin(), rank_key);
  take_top(keys, count, [&](std::size_t j) { selected.push_back(static_cast<std::int32_t>(j)); });
}

void select_tokens_critical(std::span<const float> scores, std::span<const float> norms,
                            std::int64_t count, std::vector<std::int32_t>& selected) {
  if (scores.empty()) {
    return;
  }
  constexpr std::uint32_t kFirstStage = 0xffffffffU;
  std::vector<std::uint32_t> keys(scores.size());
  std::transform(scores.begin(), scores.end(), keys.begin(), rank_key);
  std::vector<bool> first(scores.size(), false);
  take_top(keys, count / 2, [&](std::size_t j) { first[j] = true; });
  for (std::size_t j = 0; j < keys.size(); ++j) {
    keys[j] = first[j] ? kFirstStage : rank_key(scores[j] * norms[j]);
  }
  take_top(keys, count, [&](std::size_t j) { selected.push_back(static_cast<std::int32_t>(j)); });
}

}  // namespace kvsieve::kernels
