#include <algorithm>
#include <cmath>
#include <iterator>

#include "exec/cpu/radix_select.h"
#include "kvsieve/kernels/topk_retrieval.h"

namespace kvsieve::kernels {

std::int64_t select_top(std::span<const float> scores, TokenRange range, std::int64_t k,
                        std::vector<std::int32_t>& selected) {
  selected.clear();
  k = std::min(k, range.size());
  if (k <= 0) {
    return 0;
  }
  thread_local std::vector<std::uint32_t> keys;
  keys.resize(static_cast<std::size_t>(range.size()));
  std::transform(scores.begin() + range.begin, scores.begin() + range.end, keys.begin(),
                 [](float x) { return std::isnan(x) ? 0U : rank_key(x); });
  const RankThreshold threshold = select_threshold(keys, k);
  const std::int64_t ties = std::count(keys.begin(), keys.end(), threshold.key);
  std::int64_t older_ties = ties - threshold.ties;
  for (std::size_t j = 0; j < keys.size(); ++j) {
    if (keys[j] > threshold.key || (keys[j] == threshold.key && older_ties-- <= 0)) {
      selected.push_back(static_cast<std::int32_t>(range.begin + static_cast<std::int64_t>(j)));
    }
  }
  return ties;
}

void unite(std::span<const std::vector<std::int32_t>> sets, std::vector<std::int32_t>& merged) {
  thread_local std::vector<std::int32_t> longer;
  merged.clear();
  for (const std::vector<std::int32_t>& set : sets) {
    longer.clear();
    std::set_union(merged.begin(), merged.end(), set.begin(), set.end(),
                   std::back_inserter(longer));
    merged.swap(longer);
  }
}

std::int64_t common_tokens(std::span<const std::int32_t> a, std::span<const std::int32_t> b) {
  std::int64_t common = 0;
  for (std::size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    common += a[i] == b[j] ? 1 : 0;
    const bool advance_a = a[i] <= b[j];
    j += b[j] <= a[i] ? 1 : 0;
    i += advance_a ? 1 : 0;
  }
  return common;
}

void attended_tokens(std::int64_t i, std::int64_t sinks, std::int64_t window,
                     std::span<const std::int32_t> retrieved, std::vector<std::int32_t>& tokens) {
  const TokenRange eligible = eligible_tokens(i, sinks, window);
  tokens.clear();
  for (std::int64_t j = 0; j < eligible.begin; ++j) {
    tokens.push_back(static_cast<std::int32_t>(j));
  }
  tokens.insert(tokens.end(), retrieved.begin(), retrieved.end());
  for (std::int64_t j = eligible.end; j <= i; ++j) {
    tokens.push_back(static_cast<std::int32_t>(j));
  }
}

}  // namespace kvsieve::kernels
