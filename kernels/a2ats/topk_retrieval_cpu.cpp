#include "kvsieve/kernels/topk_retrieval.h"

#include <algorithm>
#include <limits>

#include "a2ats/token_mask.h"
#include "exec/cpu/scratch.h"
#include "exec/cpu/simd.h"

namespace kvsieve::kernels {

std::int64_t select_top(std::span<const float> scores, TokenRange range, std::int64_t k,
                        std::vector<std::int32_t>& selected) {
  k = std::min(k, range.size());
  if (k <= 0) {
    selected.clear();
    return 0;
  }
  const auto count = static_cast<std::size_t>(range.size());
  const auto word_count = static_cast<std::size_t>(token_mask_words(range.size()));
  Scratch<std::uint32_t> keys(count);
  Scratch<std::uint64_t> words(word_count);
  rank_scores(scores.subspan(static_cast<std::size_t>(range.begin), count), keys.data());
  const std::int64_t ties = mask_top_keys({keys.data(), count}, k, words.data());
  selected.resize(static_cast<std::size_t>(k + kListSlack));
  simd().list_bits(words.data(), static_cast<std::int64_t>(word_count),
                   static_cast<std::int32_t>(range.begin), selected.data());
  selected.resize(static_cast<std::size_t>(k));
  return ties;
}

void unite(std::span<const std::vector<std::int32_t>> sets, std::vector<std::int32_t>& merged) {
  std::int32_t first = std::numeric_limits<std::int32_t>::max();
  std::int32_t last = -1;
  for (const std::vector<std::int32_t>& set : sets) {
    if (!set.empty()) {
      first = std::min(first, set.front());
      last = std::max(last, set.back());
    }
  }
  if (last < 0) {
    merged.clear();
    return;
  }
  const auto word_count = static_cast<std::size_t>(token_mask_words(last - first + 1));
  Scratch<std::uint64_t> words(word_count);
  std::fill_n(words.data(), word_count, std::uint64_t{0});
  std::size_t most = 0;
  for (const std::vector<std::int32_t>& set : sets) {
    mark_tokens(set, first, words.data());
    most += set.size();
  }
  merged.resize(most + static_cast<std::size_t>(kListSlack));
  merged.resize(static_cast<std::size_t>(
      simd().list_bits(words.data(), static_cast<std::int64_t>(word_count), first, merged.data())));
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
