#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "a2ats/score_lookup_device.h"
#include "kernels/attention/random_heads.h"
#include "kernels/device/large_memory.h"
#include "kernels/device/orders.h"
#include "kvsieve/kernels/device_support.h"
#include "traces/fails_with.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {
namespace {

using kvsieve::tests::fails_with;
using tests::Matrix;
using tests::RandomHeads;
using tests::RandomRows;
using traces::DType;
using Values = std::vector<float>;
using Codes = std::vector<std::uint16_t>;

struct TableCase {
  std::int64_t sequences = 1;
  std::int64_t kv_heads = 1;
  std::int64_t group = 1;
  std::int64_t codewords = 16;
  std::int64_t d = 64;
  DType dtype = DType::kF32;
  bool capped = false;

  [[nodiscard]] std::int64_t segments() const { return sequences * kv_heads; }
  [[nodiscard]] std::string name() const {
    return std::to_string(sequences) + " sequences, " + std::to_string(kv_heads) + " KV heads, G" +
           std::to_string(group) + " C" + std::to_string(codewords) + " d" + std::to_string(d) +
           " " + std::string(traces::name_of(dtype)) + (capped ? " softcap" : "");
  }
};

std::vector<TableCase> table_cases() {
  const std::int64_t sequences[] = {1, 2, 3};
  const std::int64_t kv_heads[] = {1, 2};
  // Around tiles of 128 codewords and its halves of 64.
  const std::int64_t codewords[] = {1, 16, 63, 64, 65, 127, 128, 129, 256, 1000};
  const std::size_t levels[] = {
      std::size(sequences),   std::size(kv_heads),       std::size_t{8}, std::size(codewords),
      kDeviceHeadDims.size(), std::size(tests::kDTypes), std::size_t{2}};
  std::vector<TableCase> cases;
  for (const std::vector<std::size_t>& row : tests::pairwise(levels)) {
    cases.push_back({sequences[row[0]], kv_heads[row[1]], static_cast<std::int64_t>(row[2]) + 1,
                     codewords[row[3]], kDeviceHeadDims[row[4]], tests::kDTypes[row[5]],
                     row[6] == 1});
  }
  // The sizes of real codebooks.
  cases.push_back({1, 1, 4, 4096, 128, DType::kF16, false});
  cases.push_back({1, 1, 8, 16384, 64, DType::kBF16, true});
  return cases;
}

constexpr float kScale = 0.17F;
constexpr float kSoftcap = 3.0F;

/// Queries and codewords of a case, and the same for a reference.
struct TableInputs {
  TableCase item;
  RandomRows queries;
  RandomHeads codewords;

  TableInputs(const TableCase& table_case, std::uint32_t seed)
      : item(table_case),
        queries(item.segments() * item.group, item.d, seed),
        codewords(item.kv_heads, item.codewords, item.d, item.dtype, seed + 1) {}

  [[nodiscard]] ScoreTableArgs args() const {
    ScoreTableArgs args;
    args.dtype = item.dtype;
    args.segments = item.segments();
    args.kv_heads = item.kv_heads;
    args.group = item.group;
    args.codeword_count = item.codewords;
    args.head_dim = item.d;
    args.scale = kScale;
    if (item.capped) {
      args.softcap = kSoftcap;
    }
    return args;
  }

  /// The table [S, G, C] of the device.
  [[nodiscard]] Values run() const {
    Stream stream;
    const DeviceBuffer<float> device_queries(queries.data, stream);
    const std::span<const std::byte> bytes(
        codewords.view().data, static_cast<std::size_t>(item.kv_heads * item.codewords * item.d) *
                                   traces::size_of(item.dtype));
    const DeviceBuffer<std::byte> device_codewords(bytes, stream);
    const DeviceBuffer<float> table(
        static_cast<std::size_t>(item.segments() * item.group * item.codewords + 1));
    fill_device(table.data(), 0xff, table.size_bytes(), stream);
    ScoreTableArgs task = args();
    task.queries = device_queries.data();
    task.codewords = device_codewords.data();
    task.table = table.data();
    score_table(task, stream);
    Values values = table.download(stream);
    EXPECT_TRUE(std::isnan(values.back()));  // nothing is written behind the table
    values.pop_back();
    return values;
  }

  /// softcap(scale * q . c_m) in double precision, [S, G, C].
  [[nodiscard]] std::vector<double> expected() const {
    std::vector<double> table;
    for (std::int64_t row = 0; row < item.segments() * item.group; ++row) {
      const Matrix& words = codewords.exact(row / item.group % item.kv_heads);
      for (std::int64_t m = 0; m < item.codewords; ++m) {
        double score = 0.0;
        for (std::int64_t t = 0; t < item.d; ++t) {
          score += queries.exact.at(row, t) * words.at(m, t);
        }
        score *= static_cast<double>(kScale);
        const auto cap = static_cast<double>(kSoftcap);
        table.push_back(item.capped ? cap * std::tanh(score / cap) : score);
      }
    }
    return table;
  }
};

void check_table(const TableCase& item, std::uint32_t seed) {
  SCOPED_TRACE(item.name());
  const TableInputs problem(item, seed);
  std::vector<Values> results;
  for_each_order([&] { results.push_back(problem.run()); });
  for (const Values& result : results) {
    ASSERT_EQ(result, results.front());
  }
  const std::vector<double> expected = problem.expected();
  for (std::size_t i = 0; i < expected.size(); ++i) {
    // Up to 256 products of unit variance, added in fp32 one after the other.
    ASSERT_NEAR(results.front()[i], expected[i], 2e-5) << "entry " << i;
  }
}

TEST(ScoreLookupDevice, TheTablesAreSmallEnough) {
  EXPECT_GE(table_cases().size(), 80U);
  EXPECT_LE(table_cases().size(), 150U);
}

TEST(ScoreLookupDevice, EveryTableEqualsTheReference) {
  std::uint32_t seed = 0;
  for (const TableCase& item : table_cases()) {
    check_table(item, ++seed);
  }
}

TEST(ScoreLookupDevice, T33_AnEntryDependsOnItsQueryAndCodewordAlone) {
  // The rows of three sequences, and each sequence by itself: other tiles, the same bits.
  const TableInputs all({3, 2, 3, 130, 80, DType::kF16, false}, 1);
  const Values expected = all.run();
  const auto row = static_cast<std::size_t>(all.item.group * all.item.d);
  const std::size_t entries = static_cast<std::size_t>(all.item.group * all.item.codewords);
  for (std::size_t sequence = 0; sequence < 3; ++sequence) {
    TableInputs one = all;
    one.item.sequences = 1;
    one.queries.data.assign(
        all.queries.data.begin() + static_cast<std::ptrdiff_t>(2 * sequence * row),
        all.queries.data.begin() + static_cast<std::ptrdiff_t>(2 * (sequence + 1) * row));
    const Values table = one.run();
    EXPECT_TRUE(std::equal(table.begin(), table.end(),
                           expected.begin() + static_cast<std::ptrdiff_t>(2 * sequence * entries)));
  }
}

struct LookupCase {
  std::int64_t segments = 1;
  std::int64_t group = 1;
  std::int64_t codewords = 16;
  TokenRange range;
  std::int64_t padding = 0;  ///< behind the range, of codes and of scores

  [[nodiscard]] std::int64_t stride() const { return range.end + padding; }
  [[nodiscard]] std::string name() const {
    return std::to_string(segments) + " segments, G" + std::to_string(group) + " C" +
           std::to_string(codewords) + ", tokens " + std::to_string(range.begin) + " to " +
           std::to_string(range.end) + " of " + std::to_string(stride());
  }
};

std::vector<LookupCase> lookup_cases() {
  const std::int64_t segments[] = {1, 2, 3};
  const std::int64_t codewords[] = {1, 16, 255, 256, 4096, 5216, 16384};
  const TokenRange ranges[] = {{0, 0},    {0, 1},    {8, 9},    {8, 72},   {8, 264},
                               {0, 255},  {1, 258},  {5, 1029}, {8, 8191}, {0, 8192},
                               {3, 8195}, {8, 8201}, {0, 8193}};
  const std::int64_t paddings[] = {0, 1, 64};
  const std::size_t levels[] = {std::size(segments), std::size_t{8}, std::size(codewords),
                                std::size(ranges), std::size(paddings)};
  std::vector<LookupCase> cases;
  for (const std::vector<std::size_t>& row : tests::pairwise(levels)) {
    cases.push_back({segments[row[0]], static_cast<std::int64_t>(row[1]) + 1, codewords[row[2]],
                     ranges[row[3]], paddings[row[4]]});
  }
  cases.push_back({1, 2, 65536, {3, 300}, 0});  // the largest codebook
  return cases;
}

/// Codes [S, stride]; those outside the range are past the tables.
Codes random_codes(const LookupCase& item, std::uint32_t seed) {
  std::mt19937 generator(seed);
  Codes codes(static_cast<std::size_t>(item.segments * item.stride()), 0xffffU);
  for (std::int64_t s = 0; s < item.segments; ++s) {
    for (std::int64_t j = item.range.begin; j < item.range.end; ++j) {
      codes[static_cast<std::size_t>(s * item.stride() + j)] =
          static_cast<std::uint16_t>(generator() % static_cast<unsigned>(item.codewords));
    }
  }
  return codes;
}

/// Scores [S, G, stride] of the device over -1.
Values looked_up(const LookupCase& item, const Values& table, const Codes& codes) {
  Stream stream;
  const DeviceBuffer<float> device_table(table, stream);
  const DeviceBuffer<std::uint16_t> device_codes(codes, stream);
  const DeviceBuffer<float> scores(
      Values(static_cast<std::size_t>(item.segments * item.group * item.stride()), -1.0F), stream);
  LookupScoresArgs args;
  args.table = device_table.data();
  args.codes = device_codes.data();
  args.codes_stride = item.stride();
  args.segments = item.segments;
  args.group = item.group;
  args.codeword_count = item.codewords;
  args.range = item.range;
  args.scores = scores.data();
  args.stride = item.stride();
  lookup_scores(args, stream);
  return scores.download(stream);
}

void check_lookup(const LookupCase& item, std::uint32_t seed) {
  SCOPED_TRACE(item.name());
  const Values table = RandomRows(item.segments * item.group, item.codewords, seed).data;
  const Codes codes = random_codes(item, seed);
  Values expected(static_cast<std::size_t>(item.segments * item.group * item.stride()), -1.0F);
  for (std::int64_t row = 0; row < item.segments * item.group; ++row) {
    for (std::int64_t j = item.range.begin; j < item.range.end; ++j) {
      const std::uint16_t code =
          codes[static_cast<std::size_t>(row / item.group * item.stride() + j)];
      expected[static_cast<std::size_t>(row * item.stride() + j)] =
          table[static_cast<std::size_t>(row * item.codewords + code)];
    }
  }
  for_each_order([&] { EXPECT_EQ(looked_up(item, table, codes), expected); });
}

TEST(ScoreLookupDevice, T34_EveryLookupGathersByCode) {
  const std::vector<LookupCase> cases = lookup_cases();
  EXPECT_LE(cases.size(), 150U);
  std::uint32_t seed = 0;
  for (const LookupCase& item : cases) {
    check_lookup(item, ++seed);
  }
}

TEST(ScoreLookupDevice, T36_RowsBeyondTwoToThe31Elements) {
  constexpr std::int64_t kFar = (std::int64_t{1} << 31) + 64;
  const LargeMemory codes((kFar + 64) * 2);
  const LargeMemory scores(3 * (kFar + 64) * 4);
  if (!codes.exists() || !scores.exists()) {
    GTEST_SKIP() << "this machine has no 30 GiB of address space left";
  }
  Stream stream;
  const Codes first{0, 0, 0};
  const Codes last{1, 0, 1};
  copy_to_device(codes.data(), first.data(), 6, stream);
  copy_to_device(codes.data() + kFar * 2, last.data(), 6, stream);
  const DeviceBuffer<float> table(Values{0.0F, 1.0F, 2.0F, 3.0F}, stream);
  LookupScoresArgs args;
  args.table = table.data();
  args.codes = reinterpret_cast<const std::uint16_t*>(codes.data());
  args.codes_stride = kFar;
  args.segments = 2;
  args.codeword_count = 2;
  args.range = {0, 3};
  args.scores = reinterpret_cast<float*>(scores.data());
  args.stride = kFar;
  lookup_scores(args, stream);
  Values found(3);
  copy_to_host(found.data(), scores.data() + kFar * 4, 12, stream);
  stream.synchronize();
  EXPECT_EQ(found, (Values{3.0F, 2.0F, 3.0F}));
}

TEST(ScoreLookupDevice, T35_TablesStayInSharedMemoryWhileTheyFit) {
  const auto shared_bytes = [](std::int64_t group, std::int64_t codewords) {
    LookupScoresArgs args;
    args.segments = 1;
    args.group = group;
    args.codeword_count = codewords;
    args.range = {0, 1};
    return lookup_scores_config(args).shared_bytes;
  };
  EXPECT_EQ(shared_bytes(1, 4096), 16U * 1024);
  EXPECT_EQ(shared_bytes(4, 4096), 64U * 1024);  // above 48 KiB, asked for at the launch
  EXPECT_EQ(shared_bytes(8, 4096), 128U * 1024);
  EXPECT_EQ(shared_bytes(8, 5216), 163U * 1024);  // all that a block of sm_80 can have
  EXPECT_EQ(shared_bytes(8, 5217), 0U);
  EXPECT_EQ(shared_bytes(2, 16384), 128U * 1024);
  EXPECT_EQ(shared_bytes(4, 16384), 0U);
  EXPECT_EQ(shared_bytes(1, 65536), 0U);
}

TEST(ScoreLookupDevice, LaunchesCoverCodewordsRowsAndTokens) {
  ScoreTableArgs table;
  table.segments = 8;
  table.kv_heads = 8;
  table.group = 4;
  table.codeword_count = 4096;
  EXPECT_EQ(score_table_config(table), (LaunchConfig{{8 * 32}, {128}, 0}));
  table.segments = 8 * 5;  // 20 rows a KV head, 8 a block
  EXPECT_EQ(score_table_config(table), (LaunchConfig{{8 * 3 * 32}, {128}, 0}));
  table.segments = 0;
  EXPECT_EQ(score_table_config(table).grid.x, 0U);
  LookupScoresArgs lookup;
  lookup.segments = 8;
  lookup.group = 4;
  lookup.codeword_count = 4096;
  lookup.range = {8, 131072 - 64};
  EXPECT_EQ(lookup_scores_config(lookup), (LaunchConfig{{8 * 16}, {256}, 64 * 1024}));
}

TEST(ScoreLookupDevice, WhatHasNoKernelIsNamed) {
  const auto fails = [](ErrorKind kind, const std::string& text, auto change) {
    ScoreTableArgs args;
    args.segments = 2;
    args.kv_heads = 2;
    args.codeword_count = 16;
    args.head_dim = 64;
    change(args);
    Stream stream;
    EXPECT_TRUE(fails_with(kind, text, [&] { score_table(args, stream); }));
  };
  fails(ErrorKind::kUsage, "score_table: head size 72", [](auto& args) { args.head_dim = 72; });
  fails(ErrorKind::kUsage, "9 query heads", [](auto& args) { args.group = 9; });
  fails(ErrorKind::kUsage, "dtype I32", [](auto& args) { args.dtype = DType::kI32; });
  fails(ErrorKind::kUsage, "codewords of 0", [](auto& args) { args.codeword_count = 0; });
  fails(ErrorKind::kUsage, "codewords of 65537", [](auto& args) { args.codeword_count = 65537; });
  fails(ErrorKind::kInternal, "multiple", [](auto& args) { args.segments = 3; });
  fails(ErrorKind::kInternal, "softcap", [](auto& args) { args.softcap = 0.0F; });
  fails(ErrorKind::kInternal, "aligned",
        [](auto& args) { args.codewords = reinterpret_cast<const void*>(std::uintptr_t{8}); });
  LookupScoresArgs lookup;
  lookup.segments = 1;
  lookup.codeword_count = 16;
  lookup.range = {0, 9};
  lookup.stride = 8;
  lookup.codes_stride = 9;
  Stream stream;
  EXPECT_TRUE(fails_with(ErrorKind::kInternal, "lookup_scores: rows of codes or scores overlap",
                         [&] { lookup_scores(lookup, stream); }));
}

TEST(ScoreLookupRace, SmallShapes) {
  check_table({2, 1, 3, 130, 80, DType::kF16, false}, 1);
  check_table({1, 1, 1, 20, 64, DType::kF32, true}, 2);
  check_lookup({1, 2, 40, {3, 300}, 1}, 1);
}

}  // namespace
}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
