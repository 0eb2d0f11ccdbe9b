#include "kvsieve/kernels/kv_gather.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "kernels/adakv/sparse_memory.h"
#include "kernels/attention/random_heads.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::kernels::tests {
namespace {

using Tokens = std::vector<std::int32_t>;

std::vector<TokenRun> runs_of(const Tokens& tokens) {
  std::vector<TokenRun> runs{{99, 99}};
  find_runs(tokens, runs);
  return runs;
}

TEST(KvGather, FindsMaximalRuns) {
  EXPECT_TRUE(runs_of({}).empty());
  EXPECT_EQ(runs_of({0}), (std::vector<TokenRun>{{0, 1}}));
  EXPECT_EQ(runs_of({1, 2, 3, 5, 7, 8}), (std::vector<TokenRun>{{1, 3}, {5, 1}, {7, 2}}));
  EXPECT_EQ(runs_of({2147483646, 2147483647}), (std::vector<TokenRun>{{2147483646, 2}}));
}

TEST(KvGather, RunsGiveTheListBack) {
  std::mt19937 random(3);
  for (int turn = 0; turn < 50; ++turn) {
    Tokens tokens;
    const auto keep = random() % 10;
    for (std::int32_t j = 0; j < 200; ++j) {
      if (random() % 10 < keep) {
        tokens.push_back(j);
      }
    }
    Tokens again;
    std::int32_t after = -1;
    for (const TokenRun& run : runs_of(tokens)) {
      EXPECT_GT(run.first, after);
      for (std::int32_t j = run.first; j < run.first + run.count; ++j) {
        again.push_back(j);
      }
      after = run.first + run.count;
    }
    EXPECT_EQ(again, tokens);
  }
}

/// Rows whose every byte is their number, modulo 251.
std::vector<std::byte> numbered_rows(std::int64_t rows, std::int64_t bytes) {
  std::vector<std::byte> result(static_cast<std::size_t>(rows * bytes));
  for (std::int64_t r = 0; r < rows; ++r) {
    std::memset(result.data() + r * bytes, static_cast<int>(r % 251),
                static_cast<std::size_t>(bytes));
  }
  return result;
}

TEST(KvGather, GathersTheListedRows) {
  constexpr std::int64_t kRows = 700;
  for (const std::int64_t d : {2, 64, 80, 96, 128, 256}) {
    for (const traces::DType dtype :
         {traces::DType::kF16, traces::DType::kBF16, traces::DType::kF32}) {
      const std::int64_t bytes = row_bytes(d, static_cast<std::int64_t>(traces::size_of(dtype)));
      const std::vector<std::byte> rows = numbered_rows(2 * kRows, bytes);
      const KvRows cache{rows.data(), dtype, d, kRows};
      std::mt19937 random(5);
      for (const std::size_t count :
           {std::size_t{0}, std::size_t{1}, std::size_t{9}, std::size_t{1500}}) {
        Tokens tokens(count);
        for (std::int32_t& token : tokens) {
          token = static_cast<std::int32_t>(random() % kRows);
        }
        std::vector<std::byte> target(count * static_cast<std::size_t>(bytes) + 16,
                                      std::byte{0xee});
        gather_rows(cache, 1, tokens, target.data());
        for (std::size_t i = 0; i < target.size(); ++i) {
          const std::size_t row = i / static_cast<std::size_t>(bytes);
          const auto expected =
              row < count ? static_cast<std::byte>((kRows + tokens[row]) % 251) : std::byte{0xee};
          ASSERT_EQ(target[i], expected) << count << " tokens, byte " << i;
        }
      }
    }
  }
}

TEST(KvGather, T36_ReachesRowsBeyond2To31Elements) {
  // Segment 1 begins at element 2^31, its last row at nearly twice that.
  constexpr std::int64_t kRows = std::int64_t{1} << 23U;
  constexpr std::int64_t kBytes = row_bytes(128, 2);
  const SparseMemory memory(static_cast<std::size_t>(2 * kRows * kBytes));
  ASSERT_TRUE(memory.mapped());
  std::memset(memory.data() + kRows * kBytes, 1, kBytes);
  std::memset(memory.data() + (2 * kRows - 1) * kBytes, 2, kBytes);
  const KvRows cache{memory.data(), traces::DType::kF16, 128, kRows};
  std::vector<std::byte> target(2 * kBytes);
  gather_rows(cache, 1, Tokens{0, kRows - 1}, target.data());
  EXPECT_EQ(target.front(), std::byte{1});
  EXPECT_EQ(target.back(), std::byte{2});
}

TEST(KvGather, DoesNotDependOnTheNumberOfThreads) {
  const std::vector<std::byte> rows = numbered_rows(5000, 64);
  const KvRows cache{rows.data(), traces::DType::kF16, 16, 5000};
  Tokens tokens(5000);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    tokens[i] = static_cast<std::int32_t>(i * 7 % tokens.size());
  }
  std::vector<std::byte> one(rows.size());
  std::vector<std::byte> many(rows.size());
  with_threads(1, [&] { gather_rows(cache, 0, tokens, one.data()); });
  with_threads(5, [&] { gather_rows(cache, 0, tokens, many.data()); });
  EXPECT_EQ(one, many);
}

TEST(KvGather, RefusesTokensOutsideTheSegment) {
  const std::vector<std::byte> rows = numbered_rows(4, 64);
  const KvRows cache{rows.data(), traces::DType::kF16, 16, 4};
  std::vector<std::byte> target(64);
  EXPECT_THROW(gather_rows(cache, 0, Tokens{4}, target.data()), Error);
  EXPECT_THROW(gather_rows(cache, 0, Tokens{-1}, target.data()), Error);
}

TEST(KvGather, Defect7_RowsCostWhatTheTracesDtypeCosts) {
  EXPECT_EQ(row_bytes(128, 2), 512);
  EXPECT_EQ(kv_gather_work(3, 128, 2).bytes_read, 3 * (512 + 4));
  EXPECT_EQ(kv_gather_work(3, 128, 2).bytes_written, 3 * 512);
}

}  // namespace
}  // namespace kvsieve::kernels::tests
