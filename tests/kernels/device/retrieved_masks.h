#pragma once
// What the tests of both ways to a top K share: selections by a full sort, and masks on a device.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <random>
#include <span>
#include <vector>

#include "a2ats/topk_retrieval_device.h"

namespace kvsieve::kernels::tests {

using Tokens = std::vector<std::int32_t>;
using Words = std::vector<std::uint32_t>;

/// Sinks and window of the release.
inline constexpr std::int64_t kSinks = 8;
inline constexpr std::int64_t kWindow = 64;

/// What the query at the last of so many tokens may retrieve.
inline TokenRange eligible(std::int64_t tokens) {
  return eligible_tokens(tokens - 1, kSinks, kWindow);
}

struct Selection {
  Tokens tokens;          ///< ascending
  std::int32_t ties = 0;  ///< tokens whose score equals the last selected one's
};

/// The top k of the range by a full sort: score descending, then token descending, NaN last.
inline Selection sorted_selection(std::span<const float> scores, TokenRange range, std::int64_t k) {
  const auto score = [&](std::int32_t j) { return scores[static_cast<std::size_t>(j)]; };
  const auto precedes = [&](float a, float b) { return std::isnan(b) ? !std::isnan(a) : a > b; };
  Selection selection;
  Tokens& tokens = selection.tokens;
  tokens.resize(static_cast<std::size_t>(range.size()));
  std::iota(tokens.begin(), tokens.end(), static_cast<std::int32_t>(range.begin));
  std::sort(tokens.begin(), tokens.end(), [&](std::int32_t a, std::int32_t b) {
    const bool before = precedes(score(a), score(b));
    const bool behind = precedes(score(b), score(a));
    return before != behind ? before : a > b;
  });
  const auto taken = static_cast<std::size_t>(std::clamp<std::int64_t>(k, 0, range.size()));
  if (taken > 0) {
    const float last = score(tokens[taken - 1]);
    selection.ties =
        static_cast<std::int32_t>(std::count_if(tokens.begin(), tokens.end(), [&](std::int32_t j) {
          return !precedes(score(j), last) && !precedes(last, score(j));
        }));
  }
  tokens.resize(taken);
  std::sort(tokens.begin(), tokens.end());
  return selection;
}

/// Sets the tokens' bits in a mask.
inline void add_tokens(const Tokens& tokens, std::span<std::uint32_t> words) {
  for (const std::int32_t j : tokens) {
    words[static_cast<std::size_t>(j / 32)] |= 1U << static_cast<unsigned>(j % 32);
  }
}

/// What a step leaves: masks [S, stride] and [S, G, stride], ties [S, G].
struct Masks {
  Words words;
  Words member_words;
  Tokens ties;

  bool operator==(const Masks&) const = default;
};

/// Masks of the selections [S, G].
inline Masks masks_of(const std::vector<Selection>& selections, std::int64_t group,
                      std::int64_t stride) {
  const auto width = static_cast<std::size_t>(stride);
  Masks masks;
  masks.words.resize(selections.size() / static_cast<std::size_t>(group) * width);
  masks.member_words.resize(selections.size() * width);
  for (std::size_t head = 0; head < selections.size(); ++head) {
    const std::size_t segment = head / static_cast<std::size_t>(group);
    add_tokens(selections[head].tokens, std::span(masks.words).subspan(segment * width, width));
    add_tokens(selections[head].tokens, std::span(masks.member_words).subspan(head * width, width));
    masks.ties.push_back(selections[head].ties);
  }
  return masks;
}

/// K of every query head: a multiple of nothing, some 0, some more than there are.
inline Tokens varied_k(std::size_t heads, std::int64_t m, std::uint32_t seed) {
  std::mt19937 generator(seed);
  Tokens k(heads);
  for (std::int32_t& count : k) {
    count = static_cast<std::int32_t>(generator() % static_cast<unsigned>(m + 4)) - 1;
  }
  return k;
}

}  // namespace kvsieve::kernels::tests

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

/// Masks on a device, with garbage in them before a step.
class DeviceMasks {
 public:
  DeviceMasks(std::int64_t segments, std::int64_t group, std::int64_t stride, Stream& stream)
      : m_stride(stride),
        m_words(static_cast<std::size_t>(segments * stride)),
        m_member_words(static_cast<std::size_t>(segments * group * stride)),
        m_ties(static_cast<std::size_t>(segments * group)) {
    fill_device(m_words.data(), 0x5a, m_words.size_bytes(), stream);
    fill_device(m_member_words.data(), 0x5a, m_member_words.size_bytes(), stream);
    fill_device(m_ties.data(), 0x5a, m_ties.size_bytes(), stream);
  }

  /// @param optional with ties and members' masks
  [[nodiscard]] RetrievedMask view(bool optional = true) const {
    return {m_words.data(), m_stride, optional ? m_ties.data() : nullptr,
            optional ? m_member_words.data() : nullptr};
  }
  [[nodiscard]] tests::Masks download(Stream& stream) const {
    return {m_words.download(stream), m_member_words.download(stream), m_ties.download(stream)};
  }

 private:
  std::int64_t m_stride;
  DeviceBuffer<std::uint32_t> m_words;
  DeviceBuffer<std::uint32_t> m_member_words;
  DeviceBuffer<std::int32_t> m_ties;
};

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
