#include "kvsieve/kernels/code_buckets.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
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

// Of fewer codes all are candidates.
constexpr std::size_t kSampledFrom = 1024;
constexpr std::size_t kSamples = 256;
// Of the sample, beyond twice the share that is wanted.
constexpr std::int64_t kMargin = 16;

// Buckets between the prefetch and the marking of one.
constexpr std::int64_t kBucketsAhead = 8;

/// Keys and how many tokens each stands for, with room for all of them.
struct Candidates {
  std::uint32_t* keys;
  std::uint32_t* weights;
  std::size_t count = 0;

  void add(std::uint32_t key, std::uint32_t weight) {
    keys[count] = key;
    weights[count++] = weight;
  }
};

/// Candidates with a larger key are in the top k with all their tokens, and `wanted` of the
/// `tokens` tokens of those with this key.
struct WeightedThreshold {
  std::uint32_t key = 0;
  std::int64_t wanted = 0;
  std::int64_t tokens = 0;
};

/// select_threshold over weighted keys, of 1 <= k tokens of at least as many, by histograms of one
/// digit after the other, the most significant first. Drops candidates.
WeightedThreshold weighted_threshold(Candidates& candidates, std::int64_t k) {
  std::array<std::uint32_t, kBins> histogram;
  std::uint32_t bin = 0;
  std::uint32_t prefix = 0;
  for (std::uint32_t unknown = kKeyBits; unknown > 0;) {
    const std::uint32_t bits = std::min(unknown, kDigitBits);
    const std::uint32_t shift = unknown - bits;
    const std::uint32_t mask = (1U << bits) - 1U;
    histogram.fill(0);
    for (std::size_t i = 0; i < candidates.count; ++i) {
      histogram[candidates.keys[i] >> shift & mask] += candidates.weights[i];
    }
    bin = mask;
    while (histogram[bin] < k) {
      k -= histogram[bin];
      --bin;
    }
    std::size_t kept = 0;
    for (std::size_t i = 0; i < candidates.count; ++i) {
      candidates.keys[kept] = candidates.keys[i];
      candidates.weights[kept] = candidates.weights[i];
      kept += (candidates.keys[i] >> shift & mask) == bin ? 1 : 0;
    }
    candidates.count = kept;
    prefix |= bin << shift;
    unknown = shift;
  }
  return {prefix, k, histogram[bin]};
}

/// A key below which the top k of n tokens probably do not reach, from an even sample of codes that
/// are taken to have as many tokens each.
std::uint32_t probable_floor(std::span<const std::uint32_t> keys, std::int64_t k, std::int64_t n) {
  constexpr auto kCount = static_cast<std::int64_t>(kSamples);
  const std::int64_t rank = 2 * k * kCount / n + kMargin;
  if (keys.size() < kSampledFrom || rank >= kCount) {
    return 0;
  }
  std::array<std::uint32_t, kSamples> sample{};
  for (std::size_t i = 0; i < kSamples; ++i) {
    sample[i] = keys[i * keys.size() / kSamples];
  }
  const auto nth = sample.begin() + rank;
  std::nth_element(sample.begin(), nth, sample.end(), std::greater<>());
  return *nth;
}

using Tokens = std::span<const std::int32_t>;

/// Buckets lie apart, too short for the processor to see them coming.
void prefetch(Tokens bucket) {
  constexpr std::size_t kTokensALine = 64 / sizeof(std::int32_t);
  for (std::size_t i = 0; i < bucket.size(); i += kTokensALine) {
    __builtin_prefetch(bucket.data() + i);
  }
}

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
  const auto code_count = static_cast<std::int64_t>(keys.size());
  const auto bucket_of = [&](std::int32_t code) {
    return Tokens(buckets.tokens.data() + offsets[code],
                  static_cast<std::size_t>(offsets[code + 1] - offsets[code]));
  };

  // Codes that come into question, and tokens behind the buckets, each for itself.
  Scratch<std::int32_t> chosen(keys.size() + static_cast<std::size_t>(kPanelWidth));
  Scratch<std::uint32_t> candidate_keys(keys.size() + tail.size());
  Scratch<std::uint32_t> candidate_weights(keys.size() + tail.size());
  Candidates candidates{candidate_keys.data(), candidate_weights.data()};
  std::int64_t chosen_count = 0;
  std::uint32_t least = probable_floor(keys, k, range.size());
  for (std::int64_t found = 0; found < k; least = 0) {
    found = 0;
    candidates.count = 0;
    chosen_count = simd().indices_above(keys.data(), code_count, least,
                                        std::numeric_limits<std::int64_t>::max(), 0, chosen.data());
    for (std::int64_t i = 0; i < chosen_count; ++i) {
      const std::int32_t code = chosen.data()[i];
      const std::size_t size = bucket_of(code).size();
      candidates.add(keys[static_cast<std::size_t>(code)], static_cast<std::uint32_t>(size));
      found += static_cast<std::int64_t>(size);
    }
    for (const std::uint16_t code : tail) {
      if (keys[code] >= least) {
        candidates.add(keys[code], 1);
        ++found;
      }
    }
  }
  const WeightedThreshold threshold = weighted_threshold(candidates, k);

  std::fill_n(words, token_mask_words(range.size()), std::uint64_t{0});
  // Lists of the tokens that have the boundary's score, the tail's as the last.
  Scratch<Tokens> ties(keys.size() + 1);
  Scratch<std::int32_t> tail_ties(tail.size());
  std::size_t tie_lists = 0;
  std::size_t tail_tie_count = 0;
  std::int64_t taken_count = 0;
  for (std::int64_t i = 0; i < chosen_count; ++i) {
    const std::int32_t code = chosen.data()[i];
    const std::uint32_t key = keys[static_cast<std::size_t>(code)];
    if (key > threshold.key) {
      chosen.data()[taken_count++] = code;
    } else if (key == threshold.key) {
      ties.data()[tie_lists++] = bucket_of(code);
    }
  }
  for (std::int64_t i = 0; i < taken_count; ++i) {
    if (i + kBucketsAhead < taken_count) {
      prefetch(bucket_of(chosen.data()[i + kBucketsAhead]));
    }
    mark_tokens(bucket_of(chosen.data()[i]), range.begin, words);
  }
  for (std::size_t i = 0; i < tail.size(); ++i) {
    const std::uint32_t key = keys[tail[i]];
    const auto token = static_cast<std::int32_t>(buckets.range.end + static_cast<std::int64_t>(i));
    if (key > threshold.key) {
      mark_tokens({&token, 1}, range.begin, words);
    } else if (key == threshold.key) {
      tail_ties.data()[tail_tie_count++] = token;
    }
  }
  ties.data()[tie_lists++] = Tokens(tail_ties.data(), tail_tie_count);
  mark_most_recent({ties.data(), tie_lists}, threshold.wanted, range, words);
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
  simd().list_bits(words.data(), static_cast<std::int64_t>(word_count),
                   static_cast<std::int32_t>(range.begin), selected.data());
  selected.resize(static_cast<std::size_t>(k));
  return ties;
}

}  // namespace kvsieve::kernels
