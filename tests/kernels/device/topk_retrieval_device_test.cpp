#include "a2ats/topk_retrieval_device.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <iterator>
#include <limits>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "kernels/attention/case_table.h"
#include "kernels/device/device_scores.h"
#include "kernels/device/large_memory.h"
#include "kernels/device/orders.h"
#include "kernels/device/retrieved_masks.h"
#include "kvsieve/kernels/device_support.h"
#include "traces/fails_with.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {
namespace {

using kvsieve::tests::fails_with;
using tests::eligible;
using tests::kSinks;
using tests::kWindow;
using tests::Masks;
using tests::Scores;
using tests::Selection;
using tests::Tokens;
using tests::Words;

/// What the scores of a case look like.
enum class Kind { kDistinct, kCoded, kEqual, kZerosOfBothSigns, kInfinitiesAndNaN, kNaN };
constexpr std::size_t kKinds = 6;

Scores scores_of(Kind kind, std::int64_t heads, std::int64_t tokens, std::uint32_t seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0.0F, 3.0F);
  constexpr float kInf = std::numeric_limits<float>::infinity();
  constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
  const float special[] = {kInf, -kInf, kNaN, -kNaN, 1.0F, -1.0F, 0.0F, -0.0F};
  Scores scores(static_cast<std::size_t>(heads));
  for (std::vector<float>& row : scores) {
    std::vector<float> table(20);
    std::generate(table.begin(), table.end(), [&] { return normal(generator); });
    row.resize(static_cast<std::size_t>(tokens));
    std::generate(row.begin(), row.end(), [&] {
      switch (kind) {
        case Kind::kDistinct:
          return normal(generator);
        case Kind::kCoded:
          return table[generator() % table.size()];
        case Kind::kEqual:
          return -0.5F;
        case Kind::kZerosOfBothSigns:
          return generator() % 2 == 0 ? 0.0F : -0.0F;
        case Kind::kInfinitiesAndNaN:
          return special[generator() % std::size(special)];
        case Kind::kNaN:
          break;
      }
      return kNaN;
    });
  }
  return scores;
}

constexpr std::int64_t kSegments[] = {1, 2, 3};
/// Tokens so far: around sinks and window, warps, blocks and tiles.
constexpr std::int64_t kTokens[] = {0,   1,   63,  64,   65,   72,   73,   74,  104,
                                    327, 328, 329, 1095, 1096, 1097, 4167, 4169};
constexpr int kBudgets = 8;

struct TopKCase {
  std::int64_t segments = 1;
  std::int64_t group = 1;
  std::int64_t tokens = 100;
  int budget = 2;
  Kind kind = Kind::kCoded;
  std::int64_t padding = 0;
  std::int64_t blocks = 1;  ///< a row
  bool optional = true;

  [[nodiscard]] TokenRange range() const { return eligible(tokens); }
  [[nodiscard]] std::int64_t heads() const { return segments * group; }
  [[nodiscard]] std::int64_t mask_stride() const { return mask_words(tokens) + padding; }
  /// K of all query heads; the last budget is a K of its own for each.
  [[nodiscard]] std::int64_t k() const {
    const std::int64_t m = range().size();
    const std::int64_t budgets[kBudgets] = {0, 1, tokens * 3 / 100, m / 2, m - 1, m, m + 5, 1};
    return std::max<std::int64_t>(budgets[budget], 0);
  }
  [[nodiscard]] Tokens head_k(std::uint32_t seed) const {
    return budget + 1 < kBudgets
               ? Tokens(static_cast<std::size_t>(heads()), static_cast<std::int32_t>(k()))
               : tests::varied_k(static_cast<std::size_t>(heads()), range().size(), seed);
  }
  [[nodiscard]] std::string name() const {
    return std::to_string(segments) + " segments, G" + std::to_string(group) + ", " +
           std::to_string(tokens) + " tokens, budget " + std::to_string(budget) + ", kind " +
           std::to_string(static_cast<int>(kind)) + ", +" + std::to_string(padding) + ", " +
           std::to_string(blocks) + " blocks" + (optional ? "" : ", mask alone");
  }
};

std::vector<TopKCase> topk_cases() {
  const std::size_t levels[] = {std::size(kSegments),  std::size_t{8}, std::size(kTokens),
                                std::size_t{kBudgets}, kKinds,         std::size_t{3},
                                std::size_t{3},        std::size_t{2}};
  std::vector<TopKCase> cases;
  for (const std::vector<std::size_t>& row : tests::pairwise(levels)) {
    cases.push_back({kSegments[row[0]], static_cast<std::int64_t>(row[1]) + 1, kTokens[row[2]],
                     static_cast<int>(row[3]), static_cast<Kind>(row[4]),
                     static_cast<std::int64_t>(row[5]), std::int64_t{1} << row[6], row[7] == 0});
  }
  return cases;
}

Masks device_masks(const TopKCase& item, const Scores& scores, const Tokens& head_k) {
  Stream stream;
  const DeviceScores rows(scores, item.padding, item.padding, stream);
  const DeviceBuffer<std::int32_t> device_k(head_k, stream);
  const DeviceMasks masks(item.segments, item.group, item.mask_stride(), stream);
  TopKRetrievalArgs args;
  args.scores = rows.data();
  args.stride = rows.stride();
  args.segments = item.segments;
  args.group = item.group;
  args.range = item.range();
  args.k = item.k();
  args.head_k = item.budget + 1 < kBudgets ? nullptr : device_k.data();
  args.mask = masks.view(item.optional);
  args.chunk_tokens = chunk_for(item.range().size(), item.blocks);
  const DeviceBuffer<unsigned char> workspace(topk_retrieval_workspace_bytes(args) + 1);
  // A workspace comes as it is.
  fill_device(workspace.data(), 0x5a, workspace.size(), stream);
  args.workspace = workspace.data();
  topk_retrieval(args, stream);
  return masks.download(stream);
}

std::vector<Selection> selections(const Scores& scores, TokenRange range, const Tokens& head_k) {
  std::vector<Selection> result;
  for (std::size_t head = 0; head < scores.size(); ++head) {
    result.push_back(tests::sorted_selection(scores[head], range, head_k[head]));
  }
  return result;
}

void check_case(const TopKCase& item, std::uint32_t seed) {
  SCOPED_TRACE(item.name());
  const Scores scores = scores_of(item.kind, item.heads(), item.tokens, seed);
  const Tokens head_k = item.head_k(seed);
  const std::vector<Selection> expected = selections(scores, item.range(), head_k);
  for (std::size_t head = 0; head < scores.size(); ++head) {
    Tokens tokens;
    const std::int64_t ties =
        select_top(scores[head], item.range(), std::max(head_k[head], 0), tokens);
    ASSERT_EQ(tokens, expected[head].tokens);  // the host's selection is the same
    ASSERT_EQ(ties, expected[head].ties);
  }
  Masks masks = tests::masks_of(expected, item.group, item.mask_stride());
  for_each_order([&] {
    Masks found = device_masks(item, scores, head_k);
    if (!item.optional) {
      found.member_words = masks.member_words;
      found.ties = masks.ties;
    }
    EXPECT_TRUE(found == masks);
  });
}

TEST(TopKRetrievalDevice, TheTableIsSmallEnough) {
  EXPECT_GE(topk_cases().size(), std::size(kTokens) * kBudgets);
  EXPECT_LE(topk_cases().size(), 150U);
}

TEST(TopKRetrievalDevice, T27_T30_T34_EveryCaseEqualsTheHostAndAFullSort) {
  std::uint32_t seed = 0;
  for (const TopKCase& item : topk_cases()) {
    check_case(item, ++seed);
  }
}

TEST(TopKRetrievalDevice, T30_TiesGoToTheMostRecentTokenAcrossBlocks) {
  // Of 1024 equal scores in 16 chunks every K takes the last K.
  const TopKCase item{1, 1, 1024 + kSinks + kWindow, 0, Kind::kEqual, 0, 16, true};
  const Scores scores = scores_of(Kind::kEqual, 1, item.tokens, 1);
  for (const std::int32_t k : {1, 63, 64, 65, 1000, 1024}) {
    TopKCase one = item;
    one.budget = kBudgets - 1;
    const Masks masks = device_masks(one, scores, {k});
    Words expected(static_cast<std::size_t>(item.mask_stride()));
    for (std::int64_t j = item.range().end - k; j < item.range().end; ++j) {
      expected[static_cast<std::size_t>(j / 32)] |= 1U << static_cast<unsigned>(j % 32);
    }
    EXPECT_EQ(masks.words, expected) << k;
    EXPECT_EQ(masks.ties, Tokens{1024});
  }
}

TEST(TopKRetrievalDevice, T27_TheUnionHoldsEveryHeadsTopAndNoMore) {
  for (std::int64_t group = 1; group <= kDeviceMaxGroup; ++group) {
    const TopKCase item{2, group, 700, 2, Kind::kCoded, 0, 2, true};
    const Scores scores = scores_of(item.kind, item.heads(), item.tokens, 3);
    const Masks masks = device_masks(item, scores, item.head_k(3));
    const auto width = static_cast<std::size_t>(item.mask_stride());
    const auto bits = [](std::span<const std::uint32_t> words) {
      std::int64_t count = 0;
      for (const std::uint32_t word : words) {
        count += std::popcount(word);
      }
      return count;
    };
    for (std::size_t segment = 0; segment < 2; ++segment) {
      const auto all = std::span(masks.words).subspan(segment * width, width);
      EXPECT_GE(bits(all), item.k());
      EXPECT_LE(bits(all), std::min(group * item.k(), item.range().size()));
      for (std::int64_t g = 0; g < group; ++g) {
        const auto own =
            std::span(masks.member_words)
                .subspan((segment * static_cast<std::size_t>(group) + static_cast<std::size_t>(g)) *
                             width,
                         width);
        EXPECT_EQ(bits(own), item.k());
        for (std::size_t w = 0; w < width; ++w) {
          EXPECT_EQ(own[w] & ~all[w], 0U);
        }
        if (group == 1) {
          EXPECT_TRUE(std::equal(own.begin(), own.end(), all.begin()));
        }
      }
      // Neither sinks nor window.
      for (std::int64_t j = 0; j < item.tokens; ++j) {
        if (j < kSinks || j >= item.tokens - kWindow) {
          EXPECT_EQ(all[static_cast<std::size_t>(j / 32)] >> (j % 32) & 1U, 0U) << j;
        }
      }
    }
  }
}

TEST(TopKRetrievalDevice, T29_LargerBudgetsGiveSupersets) {
  const TopKCase item{1, 1, 500, kBudgets - 1, Kind::kCoded, 0, 2, true};
  const Scores scores = scores_of(item.kind, 1, item.tokens, 4);
  Words before(static_cast<std::size_t>(item.mask_stride()));
  for (std::int32_t k = 0; k <= item.range().size(); k += 13) {
    const Words now = device_masks(item, scores, {k}).words;
    for (std::size_t w = 0; w < now.size(); ++w) {
      EXPECT_EQ(before[w] & ~now[w], 0U);
    }
    before = now;
  }
}

TEST(TopKRetrievalDevice, ALongContextWithTheReleasesBudget) {
  TopKCase item{1, 1, 131072, 2, Kind::kCoded, 0, 16, true};
  EXPECT_EQ(item.k(), 3932);
  check_case(item, 5);
}

TEST(TopKRetrievalDevice, MoreChunksThanABlockHasThreads) {
  check_case({1, 1, 1100 + kSinks + kWindow, 3, Kind::kEqual, 1, 275, true}, 6);
}

TEST(TopKRetrievalDevice, T36_RowsBeyondTwoToThe31Elements) {
  constexpr std::int64_t kFar = (std::int64_t{1} << 31) + 64;
  const LargeMemory scores((kFar + 64) * 4);
  if (!scores.exists()) {
    GTEST_SKIP() << "this machine has no 8 GiB of address space left";
  }
  Stream stream;
  const std::vector<float> first(4, 0.0F);
  const std::vector<float> row{1.0F, 5.0F, 5.0F, 3.0F};
  copy_to_device(scores.data(), first.data(), 16, stream);
  copy_to_device(scores.data() + kFar * 4, row.data(), 16, stream);
  for (const std::int64_t chunk : {kSelectChunkTokens, std::int64_t{4}}) {
    const DeviceMasks masks(1, 2, 1, stream);
    TopKRetrievalArgs args;
    args.scores = reinterpret_cast<const float*>(scores.data());
    args.stride = kFar;
    args.segments = 1;
    args.group = 2;
    args.range = {0, 4};
    args.k = 1;
    args.mask = masks.view();
    args.chunk_tokens = chunk;
    const DeviceBuffer<unsigned char> workspace(topk_retrieval_workspace_bytes(args) + 1);
    args.workspace = workspace.data();
    topk_retrieval(args, stream);
    EXPECT_TRUE(masks.download(stream) == (Masks{{12}, {8, 4}, {4, 2}}));
  }
}

TEST(TopKRetrievalDevice, NoSegmentsAndNoTokensAreNoWork) {
  Stream stream;
  topk_retrieval({}, stream);
  list_tokens({}, stream);
  stream.synchronize();
  check_case({2, 3, 0, 1, Kind::kEqual, 1, 1, true}, 1);
}

TEST(TopKRetrievalDevice, WhatHasNoKernelIsNamed) {
  const auto fails = [](ErrorKind kind, const std::string& text, auto change) {
    TopKRetrievalArgs args;
    args.segments = 1;
    args.range = {0, 40};
    args.stride = 40;
    args.mask.stride = 2;
    change(args);
    Stream stream;
    EXPECT_TRUE(fails_with(kind, text, [&] { topk_retrieval(args, stream); }));
  };
  fails(ErrorKind::kUsage, "topk_retrieval: 9 query heads", [](auto& args) { args.group = 9; });
  fails(ErrorKind::kUsage, "K of -1", [](auto& args) { args.k = -1; });
  fails(ErrorKind::kUsage, "chunk of 6", [](auto& args) { args.chunk_tokens = 6; });
  fails(ErrorKind::kUsage, "tokens of 2147483648",
        [](auto& args) { args.range.end = std::int64_t{1} << 31; });
  fails(ErrorKind::kUsage, "query heads of 2147483647", [](auto& args) {
    args.segments = (std::int64_t{1} << 31) - 1;
    args.chunk_tokens = 4;
  });
  fails(ErrorKind::kInternal, "no room", [](auto& args) { args.mask.stride = 1; });
  fails(ErrorKind::kInternal, "overlap", [](auto& args) { args.stride = 39; });
  fails(ErrorKind::kInternal, "before it begins", [](auto& args) { args.range.begin = 100; });
}

TEST(TopKRetrievalDevice, ShortRangesTakeABlockAndNoWorkspace) {
  TopKRetrievalArgs args;
  args.segments = 8;
  args.group = 4;
  args.range = {8, 1000};
  EXPECT_EQ(topk_retrieval_config(args), (LaunchConfig{{32}, {256}, 0}));
  EXPECT_EQ(topk_retrieval_workspace_bytes(args), 0U);
  args.range = {8, 131072};
  EXPECT_EQ(topk_retrieval_config(args), (LaunchConfig{{32 * 16}, {256}, 0}));
  EXPECT_GE(topk_retrieval_workspace_bytes(args), 32U * 5120U * 4U);
}

// ---------------------------------------------------------------------------------------------
// Lists

struct ListCase {
  std::int64_t segments = 1;
  TokenRange range;
  std::int64_t window = 0;  ///< tokens behind the range
  unsigned density = 1;     ///< of 32 tokens
  int capacity = 0;         ///< room for all, for all but one, for one, for none
  bool resident = false;
  bool on_host = false;
  std::int64_t padding = 0;

  [[nodiscard]] std::int64_t stride() const { return mask_words(range.end) + padding; }
  [[nodiscard]] std::string name() const {
    return std::to_string(segments) + " segments, " + std::to_string(range.begin) + " to " +
           std::to_string(range.end) + "+" + std::to_string(window) + ", density " +
           std::to_string(density) + ", capacity " + std::to_string(capacity) +
           (resident ? ", resident" : "") + (on_host ? ", on host" : "");
  }
};

std::vector<ListCase> list_cases() {
  const TokenRange ranges[] = {{0, 0},    {8, 8},    {0, 1},    {8, 40},    {31, 33},  {33, 64},
                               {8, 8191}, {8, 8192}, {8, 8193}, {40, 8233}, {8, 8200}, {0, 16385}};
  const std::int64_t windows[] = {0, 1, 64, 300};
  const unsigned densities[] = {0, 1, 16, 32};
  const std::size_t levels[] = {std::size(kSegments), std::size(ranges), std::size(windows),
                                std::size(densities), std::size_t{4},    std::size_t{2},
                                std::size_t{2},       std::size_t{2}};
  std::vector<ListCase> cases;
  for (const std::vector<std::size_t>& row : tests::pairwise(levels)) {
    cases.push_back({kSegments[row[0]], ranges[row[1]], windows[row[2]], densities[row[3]],
                     static_cast<int>(row[4]), row[5] == 1, row[6] == 1,
                     static_cast<std::int64_t>(row[7])});
  }
  return cases;
}

/// Lists [S, capacity] and counts [S]; tokens that nobody wrote are -1.
struct Lists {
  Tokens tokens;
  Tokens counts;

  bool operator==(const Lists&) const = default;
};

/// Memory of either side, -1 at first.
template <class Buffer>
Buffer cleared(std::size_t size, Stream& stream) {
  Buffer buffer(size);
  fill_device(buffer.data(), 0xff, buffer.size_bytes(), stream);
  stream.synchronize();
  return buffer;
}

Lists device_lists(const ListCase& item, const Words& words, std::int64_t capacity) {
  Stream stream;
  const DeviceBuffer<std::uint32_t> device_words(words, stream);
  ListTokensArgs args;
  args.words = device_words.data();
  args.stride = item.stride();
  args.segments = item.segments;
  args.range = item.range;
  args.with_resident = item.resident;
  args.tokens = item.range.end + item.window;
  args.lists.capacity = capacity;
  args.lists_on_host = item.on_host;
  const auto room = static_cast<std::size_t>(item.segments * capacity);
  const auto lists = static_cast<std::size_t>(item.segments);
  if (!item.on_host) {
    const DeviceBuffer<std::int32_t> tokens = cleared<DeviceBuffer<std::int32_t>>(room, stream);
    const DeviceBuffer<std::int32_t> counts = cleared<DeviceBuffer<std::int32_t>>(lists, stream);
    args.lists.tokens = tokens.data();
    args.lists.counts = counts.data();
    list_tokens(args, stream);
    return {tokens.download(stream), counts.download(stream)};
  }
  PinnedBuffer<std::int32_t> tokens(room);
  PinnedBuffer<std::int32_t> counts(lists);
  std::fill_n(tokens.data(), room, -1);
  std::fill_n(counts.data(), lists, -1);
  args.lists.tokens = tokens.data();
  args.lists.counts = counts.data();
  const std::optional<BusTraffic> before = bus_traffic(BusPath::kWrittenByKernel);
  list_tokens(args, stream);
  stream.synchronize();
  Lists result{Tokens(tokens.data(), tokens.data() + room),
               Tokens(counts.data(), counts.data() + lists)};
  if (before) {
    // 4 bytes a token that had room, 4 a count, nothing else.
    const auto written = static_cast<std::int64_t>(
        lists + room -
        static_cast<std::size_t>(std::count(result.tokens.begin(), result.tokens.end(), -1)));
    const std::optional<BusTraffic> after = bus_traffic(BusPath::kWrittenByKernel);
    EXPECT_EQ(after->bytes - before->bytes, 4 * written);
    EXPECT_EQ(after->pieces - before->pieces, written);
  }
  return result;
}

void check_list(const ListCase& item, std::uint32_t seed) {
  SCOPED_TRACE(item.name());
  std::mt19937 generator(seed);
  std::vector<Tokens> tokens(static_cast<std::size_t>(item.segments));
  Words words(static_cast<std::size_t>(item.segments * item.stride()));
  std::size_t longest = 0;
  for (std::size_t s = 0; s < tokens.size(); ++s) {
    Tokens retrieved;
    for (std::int64_t j = item.range.begin; j < item.range.end; ++j) {
      if (generator() % 32 < item.density) {
        retrieved.push_back(static_cast<std::int32_t>(j));
      }
    }
    const auto width = static_cast<std::size_t>(item.stride());
    tests::add_tokens(retrieved, std::span(words).subspan(s * width, width));
    tokens[s] = retrieved;
    if (item.resident) {
      attended_tokens(item.range.end + item.window - 1, item.range.begin, item.window, retrieved,
                      tokens[s]);
    }
    longest = std::max(longest, tokens[s].size());
  }
  const std::int64_t capacities[] = {
      static_cast<std::int64_t>(longest) + 3,
      std::max<std::int64_t>(static_cast<std::int64_t>(longest) - 1, 0), 1, 0};
  const std::int64_t capacity = capacities[item.capacity];
  Lists expected;
  for (Tokens& list : tokens) {
    expected.counts.push_back(static_cast<std::int32_t>(list.size()));
    list.resize(static_cast<std::size_t>(capacity), -1);
    expected.tokens.insert(expected.tokens.end(), list.begin(), list.end());
  }
  for_each_order([&] { EXPECT_TRUE(device_lists(item, words, capacity) == expected); });
}

TEST(ListTokensDevice, T34_EveryListIsAscendingAndWhole) {
  const std::vector<ListCase> cases = list_cases();
  EXPECT_LE(cases.size(), 150U);
  std::uint32_t seed = 0;
  for (const ListCase& item : cases) {
    check_list(item, ++seed);
  }
}

TEST(ListTokensDevice, ALongContext) {
  check_list({1, {kSinks, 131072 - kWindow}, kWindow, 1, 0, true, true, 0}, 1);
}

TEST(ListTokensDevice, T36_ListsBeyondTwoToThe31Elements) {
  constexpr std::int64_t kFar = (std::int64_t{1} << 31) + 64;
  const LargeMemory words((kFar + 64) * 4);
  const LargeMemory lists((kFar + 64) * 4);
  if (!words.exists() || !lists.exists()) {
    GTEST_SKIP() << "this machine has no 16 GiB of address space left";
  }
  Stream stream;
  const Words none{0};
  const Words bits{0x80000001U};
  copy_to_device(words.data(), none.data(), 4, stream);
  copy_to_device(words.data() + kFar * 4, bits.data(), 4, stream);
  const DeviceBuffer<std::int32_t> counts(2);
  ListTokensArgs args;
  args.words = reinterpret_cast<const std::uint32_t*>(words.data());
  args.stride = kFar;
  args.segments = 2;
  args.range = {0, 32};
  args.lists = {reinterpret_cast<std::int32_t*>(lists.data()), counts.data(), kFar};
  list_tokens(args, stream);
  Tokens found(2);
  copy_to_host(found.data(), lists.data() + kFar * 4, 8, stream);
  EXPECT_EQ(counts.download(stream), (Tokens{0, 2}));
  EXPECT_EQ(found, (Tokens{0, 31}));
}

TEST(ListTokensDevice, WhatHasNoKernelIsNamed) {
  const auto fails = [](ErrorKind kind, const std::string& text, auto change) {
    ListTokensArgs args;
    args.segments = 1;
    args.range = {0, 40};
    args.stride = 2;
    args.tokens = 40;
    args.with_resident = true;
    change(args);
    Stream stream;
    EXPECT_TRUE(fails_with(kind, text, [&] { list_tokens(args, stream); }));
  };
  fails(ErrorKind::kUsage, "list_tokens: a number of tokens of",
        [](auto& args) { args.tokens = std::int64_t{1} << 31; });
  fails(ErrorKind::kInternal, "no room", [](auto& args) { args.stride = 1; });
  fails(ErrorKind::kInternal, "behind the tokens", [](auto& args) { args.tokens = 39; });
  fails(ErrorKind::kInternal, "capacity", [](auto& args) { args.lists.capacity = -1; });
}

TEST(ListTokensDevice, ABlockHas256Words) {
  ListTokensArgs args;
  args.segments = 8;
  args.range = {8, 131072 - 64};
  EXPECT_EQ(list_tokens_config(args), (LaunchConfig{{8 * 16}, {256}, 0}));
  args.range = {8, 8};
  EXPECT_EQ(list_tokens_config(args), (LaunchConfig{{8}, {256}, 0}));  // its count is still written
}

TEST(TopKRetrievalRace, SmallRanges) {
  check_case({1, 2, 150, 2, Kind::kCoded, 1, 1, true}, 1);
  check_case({1, 2, 150, kBudgets - 1, Kind::kEqual, 1, 2, true}, 2);
  check_list({2, {8, 70}, 3, 16, 0, true, false, 0}, 3);
}

}  // namespace
}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
