#include "kvsieve/kernels/code_buckets.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>

#include "a2ats/token_mask.h"
#include "exec/cpu/scratch.h"
#include "exec/cpu/simd.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::kernels {
namespace {

constexpr std::uint32_t kDigitBits = 11;  // a histogram of 8 KiB leaves room in the L1 cache
constexpr std::uint32_t kBins = 1U << kDigitBits;
constexpr std::uint32_t kKeyBits = 32;

/// Codes with a larger key are in the top k with all their tokens, and `wanted` of the `tokens`
/// tokens of the codes with this key.
struct CodeThreshold {
  std::uint32_t key = 0;
  std::int64_t wanted = 0;
  std::int64_t tokens = 0;
};

/// select_threshold over codes that weigh as much as they have tokens, by histograms of one digit
/// after the other, the most significant first.
/// @param weight of a code
template <class Weight>
CodeThreshold weighted_threshold(std::span<const std::uint32_t> keys, const Weight& weight,
                                 std::int64_t k) {
  Scratch<std::int32_t> scratch(keys.size());
  std::int32_t* candidates = scratch.data();
  std::size_t count = keys.size();
  std::array<std::uint32_t, kBins> histogram;
  std::uint32_t bin = 0;
  std::uint32_t prefix = 0;
  for (std::uint32_t unknown = kKeyBits; unknown > 0;) {
    const std::uint32_t bits = std::min(unknown, kDigitBits);
    const std::uint32_t shift = unknown - bits;
    const std::uint32_t mask = (1U << bits) - 1U;
    const bool all = unknown == kKeyBits;
    const auto code_at = [&](std::size_t i) {
      return all ? static_cast<std::int32_t>(i) : candidates[i];
    };
    histogram.fill(0);
    for (std::size_t i = 0; i < count; ++i) {
      const auto code = static_cast<std::size_t>(code_at(i));
      histogram[keys[code] >> shift & mask] += static_cast<std::uint32_t>(weight(code));
    }
    bin = mask;
    while (histogram[bin] < k) {
      k -= histogram[bin];
      --bin;
    }
    std::size_t kept = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const std::int32_t code = code_at(i);
      candidates[kept] = code;
      kept += (keys[static_cast<std::size_t>(code)] >> shift & mask) == bin ? 1 : 0;
    }
    count = kept;
    prefix |= bin << shift;
    unknown = shift;
  }
  return {prefix, k, histogram[bin]};
}

using Tokens = std::span<const std::int32_t>;

/// Tokens of an ascending list from `token` on.
Tokens from_token(Tokens list, std::int64_t token) {
  const auto at = std::lower_bound(list.begin(), list.end(), token);
  return list.subspan(static_cast<std::size_t>(at - list.begin()));
}

/// Marks the most recent `wanted` tokens of disjoint ascending lists, which have that many.
void mark_most_recent(std::span<const Tokens> lists, std::int64_t wanted, TokenRange range,
                      std::uint64_t* words) {
  // The largest token from which on there are as many as wanted, by bisection.
  std::int64_t enough = range.begin;
  std::int64_t few = range.end;
  while (few - enough > 1) {
    const std::int64_t middle = enough + (few - enough) / 2;
    std::int64_t found = 0;
    for (const Tokens list : lists) {
      found += static_cast<std::int64_t>(from_token(list, middle).size());
    }
    (found >= wanted ? enough : few) = middle;
  }
  for (const Tokens list : lists) {
    mark_tokens(from_token(list, enough), range.begin, words);
  }
}

void check_range(const CodeBuckets& buckets, std::span<const std::uint16_t> codes,
                 TokenRange range) {
  if (range.begin != buckets.range.begin || range.end < buckets.range.end ||
      range.end > static_cast<std::int64_t>(codes.size())) {
    throw Error(
        ErrorKind::kInternal,
        fmt::format("buckets of tokens {} to {} asked for {} to {} of {} codes",
                    buckets.range.begin, buckets.range.end, range.begin, range.end, codes.size()));
  }
}

}  // namespace

void build_buckets(std::span<const std::uint16_t> codes, TokenRange range, std::int64_t codewords,
                   CodeBuckets& buckets) {
  const auto words = static_cast<std::size_t>(codewords);
  buckets.range = range;
  buckets.offsets.assign(words + 1, 0);
  buckets.tokens.resize(static_cast<std::size_t>(range.size()));
  // Counted one entry on, then summed up, then moved to each bucket's end by the placing itself.
  for (std::int64_t j = range.begin; j < range.end; ++j) {
    const std::size_t code = codes[static_cast<std::size_t>(j)];
    if (code >= words) {
      throw Error(ErrorKind::kBadInput,
                  fmt::format("token {} has code {} of a codebook of {}", j, code, codewords));
    }
    ++buckets.offsets[code + 1];
  }
  std::int32_t before = 0;
  for (std::size_t m = 1; m <= words; ++m) {
    const std::int32_t count = buckets.offsets[m];
    buckets.offsets[m] = before;
    before += count;
  }
  for (std::int64_t j = range.begin; j < range.end; ++j) {
    std::int32_t& next = buckets.offsets[std::size_t{codes[static_cast<std::size_t>(j)]} + 1];
    buckets.tokens[static_cast<std::size_t>(next++)] = static_cast<std::int32_t>(j);
  }
}

std::int64_t mask_top_buckets(std::span<const std::uint32_t> keys, const CodeBuckets& buckets,
                              std::span<const std::uint16_t> codes, TokenRange range,
                              std::int64_t k, std::uint64_t* words) {
  check_range(buckets, codes, range);
  const std::int32_t* offsets = buckets.offsets.data();
  const std::span<const std::uint16_t> tail =
      codes.subspan(static_cast<std::size_t>(buckets.range.end),
                    static_cast<std::size_t>(range.end - buckets.range.end));
  const auto size_of = [offsets](std::size_t code) { return offsets[code + 1] - offsets[code]; };
  CodeThreshold threshold;
  if (tail.empty()) {
    threshold = weighted_threshold(keys, size_of, k);
  } else {
    Scratch<std::int32_t> sizes(keys.size());
    for (std::size_t m = 0; m < keys.size(); ++m) {
      sizes.data()[m] = size_of(m);
    }
    for (const std::uint16_t code : tail) {
      ++sizes.data()[code];
    }
    threshold = weighted_threshold(
        keys, [&sizes](std::size_t code) { return sizes.data()[code]; }, k);
  }

  std::fill_n(words, token_mask_words(range.size()), std::uint64_t{0});
  // Codes at and above the threshold, and of those at it the tokens, the tail's as a last list.
  Scratch<std::int32_t> taken(keys.size() + static_cast<std::size_t>(kPanelWidth));
  Scratch<Tokens> lists(keys.size() + 1);
  Scratch<std::int32_t> tail_ties(tail.size());
  std::size_t list_count = 0;
  const std::int64_t taken_count =
      simd().indices_above(keys.data(), static_cast<std::int64_t>(keys.size()), threshold.key,
                           std::numeric_limits<std::int64_t>::max(), 0, taken.data());
  for (std::int64_t i = 0; i < taken_count; ++i) {
    const auto code = static_cast<std::size_t>(taken.data()[i]);
    const Tokens bucket(buckets.tokens.data() + offsets[code],
                        static_cast<std::size_t>(size_of(code)));
    if (keys[code] != threshold.key) {
      mark_tokens(bucket, range.begin, words);
    } else if (!bucket.empty()) {
      lists.data()[list_count++] = bucket;
    }
  }
  std::size_t tail_tie_count = 0;
  for (std::size_t i = 0; i < tail.size(); ++i) {
    const std::uint32_t key = keys[tail[i]];
    const auto token = static_cast<std::int32_t>(buckets.range.end + static_cast<std::int64_t>(i));
    if (key > threshold.key) {
      mark_tokens({&token, 1}, range.begin, words);
    } else if (key == threshold.key) {
      tail_ties.data()[tail_tie_count++] = token;
    }
  }
  if (tail_tie_count > 0) {
    lists.data()[list_count++] = Tokens(tail_ties.data(), tail_tie_count);
  }
  mark_most_recent({lists.data(), list_count}, threshold.wanted, range, words);
  return threshold.tokens;
}

std::int64_t select_top_buckets(std::span<const float> table, const CodeBuckets& buckets,
                                std::span<const std::uint16_t> codes, TokenRange range,
                                std::int64_t k, std::vector<std::int32_t>& selected) {
  check_range(buckets, codes, range);
  k = std::min(k, range.size());
  if (k <= 0) {
    selected.clear();
    return 0;
  }
  const auto word_count = static_cast<std::size_t>(token_mask_words(range.size()));
  Scratch<std::uint32_t> keys(table.size());
  Scratch<std::uint64_t> words(word_count);
  rank_scores(table, keys.data());
  const std::int64_t ties =
      mask_top_buckets({keys.data(), table.size()}, buckets, codes, range, k, words.data());
  selected.resize(static_cast<std::size_t>(k + kListSlack));
  list_mask({words.data(), word_count}, range.begin, selected.data());
  selected.resize(static_cast<std::size_t>(k));
  return ties;
}

}  // namespace kvsieve::kernels
