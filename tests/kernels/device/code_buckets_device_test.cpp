#include "a2ats/code_buckets_device.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <limits>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "a2ats/score_lookup_device.h"
#include "kernels/attention/case_table.h"
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
using tests::Masks;
using tests::Selection;
using tests::Tokens;
using Codes = std::vector<std::uint16_t>;
using Values = std::vector<float>;

/// How tokens are spread over codes.
enum class Spread { kEven, kFew, kOne, kDescending };
constexpr std::size_t kSpreads = 4;

/// Codes [S, tokens]; those before `begin` are past every table.
Codes codes_of(Spread spread, std::int64_t segments, std::int64_t begin, std::int64_t tokens,
               std::int64_t codewords, std::uint32_t seed) {
  std::mt19937 generator(seed);
  const auto c = static_cast<unsigned>(codewords);
  Codes codes(static_cast<std::size_t>(segments * tokens), 0xffffU);
  for (std::int64_t s = 0; s < segments; ++s) {
    for (std::int64_t j = begin; j < tokens; ++j) {
      const auto at = static_cast<unsigned>(j);
      const unsigned code = spread == Spread::kEven  ? generator() % c
                            : spread == Spread::kFew ? (generator() % 3) * (c - 1) / 2
                            : spread == Spread::kOne ? c - 1
                                                     : c - 1 - at % c;
      codes[static_cast<std::size_t>(s * tokens + j)] = static_cast<std::uint16_t>(code);
    }
  }
  return codes;
}

/// Buckets on a device, -1 before they are built.
class DeviceBuckets {
 public:
  DeviceBuckets(std::int64_t segments, std::int64_t codewords, TokenRange range,
                std::int64_t padding, Stream& stream)
      : m_range(range),
        m_stride(range.size() + padding),
        m_offsets(static_cast<std::size_t>(segments * (codewords + 1))),
        m_tokens(static_cast<std::size_t>(segments * m_stride)) {
    fill_device(m_offsets.data(), 0xff, m_offsets.size_bytes(), stream);
    fill_device(m_tokens.data(), 0xff, m_tokens.size_bytes(), stream);
  }

  [[nodiscard]] DeviceCodeBuckets view() const {
    return {m_range, m_offsets.data(), m_tokens.data(), m_stride};
  }
  void build(const DeviceBuffer<std::uint16_t>& codes, std::int64_t codes_stride,
             std::int64_t segments, std::int64_t codewords, Stream& stream) {
    BuildBucketsArgs args;
    args.codes = codes.data();
    args.codes_stride = codes_stride;
    args.segments = segments;
    args.codeword_count = codewords;
    args.buckets = view();
    m_workspace = DeviceBuffer<unsigned char>(build_buckets_workspace_bytes(args) + 1);
    // A workspace comes as it is.
    fill_device(m_workspace.data(), 0x5a, m_workspace.size(), stream);
    args.workspace = m_workspace.data();
    build_buckets(args, stream);
  }
  [[nodiscard]] Tokens offsets(Stream& stream) const { return m_offsets.download(stream); }
  [[nodiscard]] Tokens tokens(Stream& stream) const { return m_tokens.download(stream); }

 private:
  TokenRange m_range;
  std::int64_t m_stride;
  DeviceBuffer<std::int32_t> m_offsets;
  DeviceBuffer<std::int32_t> m_tokens;
  DeviceBuffer<unsigned char> m_workspace;
};

struct BuildCase {
  std::int64_t segments = 1;
  std::int64_t codewords = 16;
  TokenRange range;
  Spread spread = Spread::kEven;
  std::int64_t padding = 0;

  [[nodiscard]] std::string name() const {
    return std::to_string(segments) + " segments, C" + std::to_string(codewords) + ", " +
           std::to_string(range.begin) + " to " + std::to_string(range.end) + ", spread " +
           std::to_string(static_cast<int>(spread)) + ", +" + std::to_string(padding);
  }
};

std::vector<BuildCase> build_cases() {
  const std::int64_t segments[] = {1, 2, 3};
  const std::int64_t codewords[] = {1, 16, 255, 256, 257, 4096, 16384, 65536};
  // Around the 32 tokens of a warp, its 128 at once, its part and a block's chunk.
  const TokenRange ranges[] = {{0, 0},    {8, 9},    {8, 39},   {8, 40},  {3, 36},
                               {8, 135},  {8, 137},  {0, 511},  {0, 513}, {8, 4103},
                               {8, 4104}, {8, 4105}, {0, 8193}, {5, 9000}};
  const std::int64_t paddings[] = {0, 1, 5};
  const std::size_t levels[] = {std::size(segments), std::size(codewords), std::size(ranges),
                                kSpreads, std::size(paddings)};
  std::vector<BuildCase> cases;
  for (const std::vector<std::size_t>& row : tests::pairwise(levels)) {
    cases.push_back({segments[row[0]], codewords[row[1]], ranges[row[2]],
                     static_cast<Spread>(row[3]), paddings[row[4]]});
  }
  return cases;
}

void check_build(const BuildCase& item, std::uint32_t seed) {
  SCOPED_TRACE(item.name());
  const std::int64_t stride = item.range.end + item.padding;
  const Codes codes =
      codes_of(item.spread, item.segments, item.range.begin, stride, item.codewords, seed);
  Tokens offsets;
  Tokens tokens;
  for (std::int64_t s = 0; s < item.segments; ++s) {
    const auto code = [&](std::int64_t j) {
      return codes[static_cast<std::size_t>(s * stride + j)];
    };
    Tokens sorted(static_cast<std::size_t>(item.range.size()));
    std::iota(sorted.begin(), sorted.end(), static_cast<std::int32_t>(item.range.begin));
    std::stable_sort(sorted.begin(), sorted.end(),
                     [&](std::int32_t a, std::int32_t b) { return code(a) < code(b); });
    for (std::int64_t m = 0; m <= item.codewords; ++m) {
      const auto first =
          std::find_if(sorted.begin(), sorted.end(), [&](std::int32_t j) { return code(j) >= m; });
      offsets.push_back(static_cast<std::int32_t>(first - sorted.begin()));
      if (first == sorted.end()) {
        offsets.resize(static_cast<std::size_t>((s + 1) * (item.codewords + 1)),
                       static_cast<std::int32_t>(sorted.size()));
        break;
      }
    }
    sorted.resize(static_cast<std::size_t>(item.range.size() + item.padding), -1);
    tokens.insert(tokens.end(), sorted.begin(), sorted.end());
  }
  for_each_order([&] {
    Stream stream;
    const DeviceBuffer<std::uint16_t> device_codes(codes, stream);
    DeviceBuckets buckets(item.segments, item.codewords, item.range, item.padding, stream);
    buckets.build(device_codes, stride, item.segments, item.codewords, stream);
    EXPECT_TRUE(buckets.offsets(stream) == offsets);
    EXPECT_TRUE(buckets.tokens(stream) == tokens);
  });
}

TEST(CodeBucketsDevice, T34_EveryBuildIsAStableSort) {
  const std::vector<BuildCase> cases = build_cases();
  EXPECT_LE(cases.size(), 150U);
  std::uint32_t seed = 0;
  for (const BuildCase& item : cases) {
    check_build(item, ++seed);
  }
}

// ---------------------------------------------------------------------------------------------
// Retrieval

/// What the tables of a case hold.
enum class Table { kDistinct, kFewLevels, kEqual, kZerosOfBothSigns, kInfinitiesAndNaN };
constexpr std::size_t kTables = 5;

Values table_of(Table kind, std::int64_t entries, std::uint32_t seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0.0F, 3.0F);
  constexpr float kInf = std::numeric_limits<float>::infinity();
  constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
  const float special[] = {kInf, -kInf, kNaN, -kNaN, 1.0F, -1.0F, 0.0F, -0.0F};
  Values table(static_cast<std::size_t>(entries));
  std::generate(table.begin(), table.end(), [&] {
    switch (kind) {
      case Table::kDistinct:
        return normal(generator);
      case Table::kFewLevels:
        return static_cast<float>(generator() % 5) - 2.0F;
      case Table::kEqual:
        return 0.25F;
      case Table::kZerosOfBothSigns:
        return generator() % 2 == 0 ? 0.0F : -0.0F;
      case Table::kInfinitiesAndNaN:
        break;
    }
    return special[generator() % std::size(special)];
  });
  return table;
}

constexpr int kBudgets = 8;

struct RetrievalCase {
  std::int64_t segments = 1;
  std::int64_t group = 1;
  std::int64_t codewords = 16;
  std::int64_t tokens = 100;
  std::int64_t tail = 0;  ///< of the eligible tokens, not in the buckets
  int budget = 2;
  Spread spread = Spread::kEven;
  Table table = Table::kDistinct;
  std::int64_t padding = 0;

  [[nodiscard]] TokenRange range() const { return eligible(tokens); }
  [[nodiscard]] TokenRange bucket_range() const {
    return {range().begin, std::max(range().end - tail, range().begin)};
  }
  [[nodiscard]] std::int64_t heads() const { return segments * group; }
  [[nodiscard]] std::int64_t mask_stride() const { return mask_words(tokens) + padding; }
  [[nodiscard]] std::int64_t k() const {
    const std::int64_t m = range().size();
    const std::int64_t budgets[kBudgets] = {0, 1, tokens * 3 / 100, m / 2, m - 1, m, m + 5, 1};
    return std::max<std::int64_t>(budgets[budget], 0);
  }
  [[nodiscard]] bool varied() const { return budget + 1 == kBudgets; }
  [[nodiscard]] Tokens head_k(std::uint32_t seed) const {
    const auto count = static_cast<std::size_t>(heads());
    return varied() ? tests::varied_k(count, range().size(), seed)
                    : Tokens(count, static_cast<std::int32_t>(k()));
  }
  [[nodiscard]] std::string name() const {
    return std::to_string(segments) + " segments, G" + std::to_string(group) + " C" +
           std::to_string(codewords) + ", " + std::to_string(tokens) + " tokens, tail " +
           std::to_string(tail) + ", budget " + std::to_string(budget) + ", spread " +
           std::to_string(static_cast<int>(spread)) + ", table " +
           std::to_string(static_cast<int>(table)) + ", +" + std::to_string(padding);
  }
};

std::vector<RetrievalCase> retrieval_cases() {
  const std::int64_t segments[] = {1, 2};
  const std::int64_t codewords[] = {1, 16, 31, 256, 257, 4096, 16384};
  const std::int64_t tokens[] = {0,   1,   64,  65,   71,   72,   73,  74,
                                 104, 105, 328, 1000, 1097, 2048, 4168};
  const std::int64_t tails[] = {0, 1, 33, 300, 100000};
  const std::size_t levels[] = {std::size(segments),
                                std::size_t{8},
                                std::size(codewords),
                                std::size(tokens),
                                std::size(tails),
                                std::size_t{kBudgets},
                                kSpreads,
                                kTables,
                                std::size_t{2}};
  std::vector<RetrievalCase> cases;
  for (const std::vector<std::size_t>& row : tests::pairwise(levels)) {
    cases.push_back({segments[row[0]], static_cast<std::int64_t>(row[1]) + 1, codewords[row[2]],
                     tokens[row[3]], tails[row[4]], static_cast<int>(row[5]),
                     static_cast<Spread>(row[6]), static_cast<Table>(row[7]),
                     static_cast<std::int64_t>(row[8])});
  }
  return cases;
}

/// One step on a device, by both forms.
struct Step {
  const RetrievalCase& item;
  const Values& table;
  const Codes& codes;
  const Tokens& head_k;

  [[nodiscard]] std::int64_t stride() const { return item.tokens + item.padding; }

  [[nodiscard]] Masks by_buckets() const {
    Stream stream;
    const DeviceBuffer<float> device_table(table, stream);
    const DeviceBuffer<std::uint16_t> device_codes(codes, stream);
    const DeviceBuffer<std::int32_t> device_k(head_k, stream);
    DeviceBuckets buckets(item.segments, item.codewords, item.bucket_range(), item.padding, stream);
    buckets.build(device_codes, stride(), item.segments, item.codewords, stream);
    const DeviceMasks masks(item.segments, item.group, item.mask_stride(), stream);
    BucketRetrievalArgs args;
    args.table = device_table.data();
    args.codes = device_codes.data();
    args.codes_stride = stride();
    args.segments = item.segments;
    args.group = item.group;
    args.codeword_count = item.codewords;
    args.buckets = buckets.view();
    args.range = item.range();
    args.k = item.k();
    args.head_k = item.varied() ? device_k.data() : nullptr;
    args.mask = masks.view();
    const DeviceBuffer<unsigned char> workspace(bucket_retrieval_workspace_bytes(args) + 1);
    fill_device(workspace.data(), 0x5a, workspace.size(), stream);
    args.workspace = workspace.data();
    bucket_retrieval(args, stream);
    return masks.download(stream);
  }

  [[nodiscard]] Masks in_full() const {
    Stream stream;
    const DeviceBuffer<float> device_table(table, stream);
    const DeviceBuffer<std::uint16_t> device_codes(codes, stream);
    const DeviceBuffer<std::int32_t> device_k(head_k, stream);
    const DeviceBuffer<float> scores(static_cast<std::size_t>(item.heads() * stride()));
    const DeviceMasks masks(item.segments, item.group, item.mask_stride(), stream);
    LookupScoresArgs lookup;
    lookup.table = device_table.data();
    lookup.codes = device_codes.data();
    lookup.codes_stride = stride();
    lookup.segments = item.segments;
    lookup.group = item.group;
    lookup.codeword_count = item.codewords;
    lookup.range = item.range();
    lookup.scores = scores.data();
    lookup.stride = stride();
    lookup_scores(lookup, stream);
    TopKRetrievalArgs args;
    args.scores = scores.data();
    args.stride = stride();
    args.segments = item.segments;
    args.group = item.group;
    args.range = item.range();
    args.k = item.k();
    args.head_k = item.varied() ? device_k.data() : nullptr;
    args.mask = masks.view();
    const DeviceBuffer<unsigned char> workspace(topk_retrieval_workspace_bytes(args) + 1);
    args.workspace = workspace.data();
    topk_retrieval(args, stream);
    return masks.download(stream);
  }

  /// By a full sort of every query head's scores.
  [[nodiscard]] Masks by_sorting() const {
    std::vector<Selection> selections;
    for (std::int64_t head = 0; head < item.heads(); ++head) {
      Values scores(static_cast<std::size_t>(item.tokens));
      for (std::int64_t j = item.range().begin; j < item.range().end; ++j) {
        const std::uint16_t code =
            codes[static_cast<std::size_t>(head / item.group * stride() + j)];
        scores[static_cast<std::size_t>(j)] =
            table[static_cast<std::size_t>(head * item.codewords + code)];
      }
      selections.push_back(
          tests::sorted_selection(scores, item.range(), head_k[static_cast<std::size_t>(head)]));
    }
    return tests::masks_of(selections, item.group, item.mask_stride());
  }
};

void check_retrieval(const RetrievalCase& item, std::uint32_t seed) {
  SCOPED_TRACE(item.name());
  const Values table = table_of(item.table, item.heads() * item.codewords, seed);
  const Codes codes = codes_of(item.spread, item.segments, item.range().begin,
                               item.tokens + item.padding, item.codewords, seed);
  const Tokens head_k = item.head_k(seed);
  const Step step{item, table, codes, head_k};
  const Masks expected = step.by_sorting();
  for_each_order([&] { EXPECT_TRUE(step.by_buckets() == expected); });
  EXPECT_TRUE(step.in_full() == expected);
}

TEST(BucketRetrievalDevice, TheTableIsSmallEnough) {
  EXPECT_GE(retrieval_cases().size(), 15U * 8U);
  EXPECT_LE(retrieval_cases().size(), 150U);
}

TEST(BucketRetrievalDevice, T30_EveryCaseEqualsTheFullFormAndAFullSort) {
  std::uint32_t seed = 0;
  for (const RetrievalCase& item : retrieval_cases()) {
    check_retrieval(item, ++seed);
  }
}

TEST(BucketRetrievalDevice, T30_EqualCodesShareTheBoundaryByRecency) {
  // Codes 0, 1, 2 take turns; all scores tie, and so do -0 and +0.
  const RetrievalCase item{1, 1, 3, 372, 7, kBudgets - 1, Spread::kDescending, Table::kEqual, 0};
  const Codes codes = codes_of(item.spread, 1, kSinks, item.tokens, 3, 1);
  const Values table{0.0F, -0.0F, 0.0F};
  for (const std::int32_t k : {1, 2, 6, 7, 8, 9, 150, 299, 300}) {
    const Tokens head_k{k};
    const Masks masks = Step{item, table, codes, head_k}.by_buckets();
    Tokens last(static_cast<std::size_t>(k));
    std::iota(last.begin(), last.end(), static_cast<std::int32_t>(item.range().end - k));
    EXPECT_TRUE(masks == tests::masks_of({{last, 300}}, 1, item.mask_stride())) << k;
  }
}

TEST(BucketRetrievalDevice, T29_LargerBudgetsGiveSupersets) {
  const RetrievalCase item{1, 1, 16, 500, 20, kBudgets - 1, Spread::kEven, Table::kFewLevels, 0};
  const Codes codes = codes_of(item.spread, 1, kSinks, item.tokens, item.codewords, 2);
  const Values table = table_of(item.table, item.codewords, 2);
  tests::Words before(static_cast<std::size_t>(item.mask_stride()));
  for (std::int32_t k = 0; k <= item.range().size(); k += 13) {
    const Tokens head_k{k};
    const tests::Words now = Step{item, table, codes, head_k}.by_buckets().words;
    for (std::size_t w = 0; w < now.size(); ++w) {
      EXPECT_EQ(before[w] & ~now[w], 0U);
    }
    before = now;
  }
}

TEST(BucketRetrievalDevice, ALongContextWithTheReleasesBudget) {
  const RetrievalCase item{1, 1, 4096, 131072, 500, 2, Spread::kEven, Table::kDistinct, 0};
  EXPECT_EQ(item.k(), 3932);
  check_retrieval(item, 3);
}

TEST(BucketRetrievalDevice, T36_RowsBeyondTwoToThe31Elements) {
  constexpr std::int64_t kFar = (std::int64_t{1} << 31) + 64;
  const LargeMemory codes((kFar + 64) * 2);
  const LargeMemory tokens((kFar + 64) * 4);
  if (!codes.exists() || !tokens.exists()) {
    GTEST_SKIP() << "this machine has no 13 GiB of address space left";
  }
  Stream stream;
  const Codes first(5, 0);
  const Codes last{1, 0, 1, 0, 1};
  copy_to_device(codes.data(), first.data(), 10, stream);
  copy_to_device(codes.data() + kFar * 2, last.data(), 10, stream);
  const DeviceBuffer<std::int32_t> offsets(6);
  BuildBucketsArgs build;
  build.codes = reinterpret_cast<const std::uint16_t*>(codes.data());
  build.codes_stride = kFar;
  build.segments = 2;
  build.codeword_count = 2;
  build.buckets = {{0, 4}, offsets.data(), reinterpret_cast<std::int32_t*>(tokens.data()), kFar};
  const DeviceBuffer<unsigned char> workspace(build_buckets_workspace_bytes(build));
  build.workspace = workspace.data();
  build_buckets(build, stream);
  EXPECT_EQ(offsets.download(stream), (Tokens{0, 4, 4, 0, 2, 4}));

  const DeviceBuffer<float> table(Values{1.0F, 2.0F, 1.0F, 2.0F}, stream);
  const DeviceMasks masks(2, 1, 1, stream);
  BucketRetrievalArgs args;
  args.table = table.data();
  args.codes = build.codes;
  args.codes_stride = kFar;
  args.segments = 2;
  args.codeword_count = 2;
  args.buckets = build.buckets;
  args.range = {0, 5};
  args.k = 4;
  args.mask = masks.view();
  const DeviceBuffer<unsigned char> thresholds(bucket_retrieval_workspace_bytes(args));
  args.workspace = thresholds.data();
  bucket_retrieval(args, stream);
  // Segment 0 has code 0 alone; of segment 1, tokens 0, 2 and 4 have the better code.
  EXPECT_TRUE(masks.download(stream) == (Masks{{30, 29}, {30, 29}, {5, 2}}));
}

TEST(BucketRetrievalDevice, NoSegmentsAreNoWork) {
  Stream stream;
  BuildBucketsArgs build;
  build.codeword_count = 16;
  build_buckets(build, stream);
  BucketRetrievalArgs args;
  args.codeword_count = 16;
  bucket_retrieval(args, stream);
  stream.synchronize();
}

TEST(BucketRetrievalDevice, WhatHasNoKernelIsNamed) {
  const auto fails = [](ErrorKind kind, const std::string& text, auto change) {
    BucketRetrievalArgs args;
    args.segments = 1;
    args.codes_stride = 40;
    args.codeword_count = 16;
    args.range = {8, 40};
    args.buckets.range = {8, 30};
    args.buckets.stride = 22;
    args.mask.stride = 2;
    change(args);
    Stream stream;
    EXPECT_TRUE(fails_with(kind, text, [&] { bucket_retrieval(args, stream); }));
  };
  fails(ErrorKind::kUsage, "bucket_retrieval: 9 query heads", [](auto& args) { args.group = 9; });
  fails(ErrorKind::kUsage, "codewords of 65537", [](auto& args) { args.codeword_count = 65537; });
  fails(ErrorKind::kUsage, "K of -1", [](auto& args) { args.k = -1; });
  fails(ErrorKind::kInternal, "begin with", [](auto& args) { args.buckets.range.begin = 9; });
  fails(ErrorKind::kInternal, "before the buckets", [](auto& args) { args.range.end = 29; });
  fails(ErrorKind::kInternal, "no room", [](auto& args) { args.mask.stride = 1; });
  fails(ErrorKind::kInternal, "codes overlap", [](auto& args) { args.codes_stride = 39; });
  BuildBucketsArgs build;
  build.codeword_count = 0;
  Stream stream;
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "build_buckets: a number of codewords of 0",
                         [&] { build_buckets(build, stream); }));
  build.codeword_count = 16;
  build.buckets.range = {0, 9};
  build.codes_stride = 9;
  build.buckets.stride = 8;
  EXPECT_TRUE(
      fails_with(ErrorKind::kInternal, "tokens overlap", [&] { build_buckets(build, stream); }));
}

TEST(CodeBucketsDevice, WorkCountsCodesAndBuckets) {
  static_assert(build_buckets_work(2, 1000, 16).bytes_read == 2 * 1000 * 2);
  static_assert(build_buckets_work(2, 1000, 16).bytes_written == 2 * (1000 + 17) * 4);
}

TEST(BucketRetrievalRace, SmallShapes) {
  check_build({1, 300, {8, 200}, Spread::kFew, 0}, 1);
  check_retrieval({1, 2, 40, 150, 10, 2, Spread::kEven, Table::kFewLevels, 0}, 1);
  check_retrieval({1, 1, 40, 150, 10, kBudgets - 1, Spread::kEven, Table::kEqual, 0}, 2);
}

}  // namespace
}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
