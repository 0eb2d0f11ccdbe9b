#include "kvsieve/kernels/ragged_decode.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "attention/ragged_decode_cpu.h"
#include "kernels/attention/ragged_problem.h"
#include "kernels/attention/random_heads.h"
#include "kvsieve/kernels/matrix_view.h"
#include "kvsieve/kernels/partial_attention.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::kernels::tests {
namespace {

// Scores of a few units lose about 1e-6 to fp32 sums over d, weights as much relatively, and the
// values that they average are a few units large.
constexpr double kTolerance = 1e-5;

void expect_close(const RaggedProblem& problem, const RaggedReference& reference) {
  ASSERT_EQ(problem.out.size(), reference.out.size());
  for (std::size_t i = 0; i < reference.out.size(); ++i) {
    ASSERT_NEAR(problem.out[i], reference.out[i], kTolerance) << "output " << i;
  }
  for (std::size_t i = 0; i < reference.log_sums.size(); ++i) {
    if (std::isinf(reference.log_sums[i])) {
      ASSERT_EQ(problem.log_sums[i], -std::numeric_limits<float>::infinity()) << i;
    } else {
      ASSERT_NEAR(problem.log_sums[i], reference.log_sums[i], kTolerance) << "log-sum-exp " << i;
    }
  }
}

std::vector<const SimdOps*> instruction_sets() {
  const SimdList list = simd_supported();
  return {list.items, list.items + list.count};
}

class RaggedDecode : public testing::TestWithParam<const SimdOps*> {};

TEST_P(RaggedDecode, EqualsTheReference) {
  for (const RaggedCase& item : ragged_cases()) {
    SCOPED_TRACE(item.name());
    RaggedProblem problem(item);
    const RaggedDecodeArgs args = problem.args();
    ragged_decode(args, *GetParam());
    expect_close(problem, ragged_decode_reference(args));
    ASSERT_FALSE(HasFatalFailure());
  }
}

TEST_P(RaggedDecode, TakesHeadSizesThatFillNoWholeVector) {
  for (const std::int64_t head_dim : {8, 24, 40, 56, 72, 88, 104, 120, 136}) {
    for (const traces::DType dtype : kDTypes) {
      const RaggedCase item{.lengths = {70, 3}, .group = 5, .head_dim = head_dim, .dtype = dtype};
      SCOPED_TRACE(item.name());
      RaggedProblem problem(item);
      const RaggedDecodeArgs args = problem.args();
      ragged_decode(args, *GetParam());
      expect_close(problem, ragged_decode_reference(args));
    }
  }
}

TEST_P(RaggedDecode, PagesChangeNoBit) {
  for (const RaggedCase& item : ragged_cases()) {
    SCOPED_TRACE(item.name());
    RaggedProblem problem(item);
    ragged_decode(problem.args(false), *GetParam());
    const std::vector<float> out = problem.out;
    const std::vector<float> log_sums = problem.log_sums;
    ragged_decode(problem.args(true), *GetParam());
    ASSERT_EQ(problem.out, out);
    ASSERT_EQ(problem.log_sums, log_sums);
  }
}

TEST_P(RaggedDecode, DoesNotDependOnTheSplit) {
  const RaggedCase item{.lengths = {700, 0, 130, 4000}, .group = 4, .head_dim = 128};
  RaggedProblem problem(item);
  const RaggedReference reference = ragged_decode_reference(problem.args());
  for (const std::int64_t shares : {1, 2, 3, 7, 64, 4830, 10000}) {
    SCOPED_TRACE(shares);
    RaggedDecodeArgs args = problem.args();
    args.shares = shares;
    ragged_decode(args, *GetParam());
    expect_close(problem, reference);
  }
}

INSTANTIATE_TEST_SUITE_P(InstructionSets, RaggedDecode, testing::ValuesIn(instruction_sets()),
                         [](const auto& set) { return std::string(set.param->name); });

TEST(RaggedDecodeOnCpu, EqualsDenseAttentionWithEvictedCellsMasked) {
  constexpr std::int64_t kHeads = 3;
  constexpr std::int64_t kTokens = 300;
  for (std::int64_t group = 1; group <= 8; ++group) {
    SCOPED_TRACE(group);
    // The dense cache is a ragged one from which nothing is evicted; the mask then hides cells.
    RaggedProblem dense({.lengths = {kTokens, kTokens, kTokens}, .group = group, .head_dim = 64});
    const RaggedDecodeArgs all = dense.args();
    std::mt19937 random(7);
    std::vector<std::int64_t> kept_rows;
    std::vector<std::int64_t> offsets{0};
    std::vector<std::int32_t> lengths;
    std::vector<std::vector<bool>> kept(kHeads);
    for (std::int64_t h = 0; h < kHeads; ++h) {
      for (std::int64_t j = 0; j < kTokens; ++j) {
        const bool keep = static_cast<std::int64_t>(random() % 8) < 1 + 3 * h;
        kept[static_cast<std::size_t>(h)].push_back(keep);
        if (keep) {
          kept_rows.push_back(row_of(all.cache, h, j));
        }
      }
      offsets.push_back(static_cast<std::int64_t>(kept_rows.size()));
      lengths.push_back(static_cast<std::int32_t>(offsets.back() - offsets[offsets.size() - 2]));
    }
    const std::size_t row_bytes = 64 * sizeof(float);
    std::vector<std::byte> keys(kept_rows.size() * row_bytes);
    std::vector<std::byte> values(keys.size());
    for (std::size_t i = 0; i < kept_rows.size(); ++i) {
      const auto from = kept_rows[i] * static_cast<std::ptrdiff_t>(row_bytes);
      std::copy_n(dense.keys.begin() + from, row_bytes, keys.data() + i * row_bytes);
      std::copy_n(dense.values.begin() + from, row_bytes, values.data() + i * row_bytes);
    }
    RaggedDecodeArgs args = dense.args();
    args.cache.keys = keys.data();
    args.cache.values = values.data();
    args.cache.offsets = offsets.data();
    args.cache.lengths = lengths.data();
    ragged_decode(args);
    // Dense attention with -inf at evicted cells, in double.
    const auto* all_keys = reinterpret_cast<const float*>(dense.keys.data());
    const auto* all_values = reinterpret_cast<const float*>(dense.values.data());
    const auto* queries = reinterpret_cast<const float*>(dense.queries.data());
    for (std::int64_t row = 0; row < kHeads * group; ++row) {
      const std::int64_t h = row / group;
      double sum = 0.0;
      std::vector<double> out(64, 0.0);
      for (std::int64_t j = 0; j < kTokens; ++j) {
        const std::int64_t at = row_of(all.cache, h, j) * 64;
        double score = -std::numeric_limits<double>::infinity();
        if (kept[static_cast<std::size_t>(h)][static_cast<std::size_t>(j)]) {
          score = 0.0;
          for (std::int64_t i = 0; i < 64; ++i) {
            score += static_cast<double>(queries[row * 64 + i]) * all_keys[at + i] / 8.0;
          }
        }
        const double weight = std::exp(score);
        sum += weight;
        for (std::int64_t i = 0; weight > 0.0 && i < 64; ++i) {
          out[static_cast<std::size_t>(i)] += weight * all_values[at + i];
        }
      }
      for (std::size_t i = 0; i < 64; ++i) {
        ASSERT_NEAR(dense.out[static_cast<std::size_t>(row) * 64 + i], out[i] / sum, kTolerance);
      }
    }
  }
}

TEST(RaggedDecodeOnCpu, DoesNotDependOnTheNumberOfThreads) {
  RaggedProblem problem({.lengths = {5000, 0, 3, 9000}, .group = 4, .head_dim = 64});
  with_threads(1, [&] { ragged_decode(problem.args()); });
  const std::vector<float> out = problem.out;
  const std::vector<float> log_sums = problem.log_sums;
  for (const int threads : {2, 5}) {
    with_threads(threads, [&] { ragged_decode(problem.args()); });
    EXPECT_EQ(problem.out, out);
    EXPECT_EQ(problem.log_sums, log_sums);
  }
}

TEST(RaggedDecodeOnCpu, WorksWithoutLogSumsAndWithoutSegments) {
  RaggedProblem problem({.lengths = {9}});
  RaggedDecodeArgs args = problem.args();
  args.log_sums = nullptr;
  ragged_decode(args);
  EXPECT_FALSE(std::isnan(problem.out[0]));
  EXPECT_TRUE(std::isnan(problem.log_sums[0]));
  args.cache.segments = 0;
  ragged_decode(args);
}

TEST(RaggedDecodeOnCpu, PartsOfASequenceMergeToTheWhole) {
  // The first 40 tokens and the others, computed apart as on two devices.
  RaggedProblem problem({.lengths = {100}, .group = 2, .head_dim = 64});
  const RaggedReference whole = ragged_decode_reference(problem.args());
  RaggedDecodeArgs args = problem.args();
  std::int32_t length = 40;
  args.cache.lengths = &length;
  ragged_decode(args);
  std::vector<float> first = problem.out;
  std::vector<double> first_sums(problem.log_sums.begin(), problem.log_sums.end());
  const std::int64_t rest_offset[] = {40, 100};
  length = 60;
  args.cache.offsets = rest_offset;
  ragged_decode(args);
  const std::vector<double> rest_sums(problem.log_sums.begin(), problem.log_sums.end());
  merge_attention({first.data(), 2, 64}, first_sums,
                  MatrixView<const float>(problem.out.data(), 2, 64), rest_sums);
  for (std::size_t i = 0; i < first.size(); ++i) {
    ASSERT_NEAR(first[i], whole.out[i], kTolerance);
  }
  EXPECT_NEAR(first_sums[1], whole.log_sums[1], kTolerance);
}

TEST(RaggedDecodeOnCpu, NamesWhatItDoesNotSupport) {
  RaggedProblem problem({.lengths = {5}});
  RaggedDecodeArgs args = problem.args();
  args.group = 9;
  EXPECT_THROW(ragged_decode(args), Error);
  args = problem.args();
  args.query_dtype = traces::DType::kF16;
  EXPECT_THROW(ragged_decode(args), Error);
  args = problem.args();
  args.cache.dtype = traces::DType::kI32;
  EXPECT_THROW(ragged_decode(args), Error);
  args = problem.args();
  args.cache.head_dim = 3;
  EXPECT_THROW(ragged_decode(args), Error);
}

TEST(DecodeParts, CoverEveryTokenOnceInEqualShares) {
  const std::vector<std::int32_t> lengths = {0, 10, 0, 0, 3, 100, 1, 0};
  for (const std::int64_t shares : {1, 2, 5, 57, 114, 1000}) {
    SCOPED_TRACE(shares);
    const std::vector<DecodePart> parts = decode_parts(lengths, shares);
    std::vector<std::int32_t> reached(lengths.size(), 0);
    std::vector<std::int64_t> share_sizes(static_cast<std::size_t>(shares), 0);
    std::int32_t last_slot = -1;
    for (const DecodePart& part : parts) {
      EXPECT_LT(part.begin, part.end);
      EXPECT_EQ(part.begin, reached[static_cast<std::size_t>(part.segment)]);
      reached[static_cast<std::size_t>(part.segment)] = part.end;
      EXPECT_GT(part.slot, last_slot);
      last_slot = part.slot;
      share_sizes[static_cast<std::size_t>(part.slot - part.segment)] += part.end - part.begin;
    }
    EXPECT_EQ(reached, lengths);
    EXPECT_LT(last_slot, shares + static_cast<std::int64_t>(lengths.size()));
    for (const std::int64_t size : share_sizes) {
      EXPECT_LE(size, decode_share_tokens(114, shares));
    }
  }
}

TEST(DecodeParts, AreTheseForAnExample) {
  // Eight tokens in shares of three: the second share ends the first segment.
  const std::vector<std::int32_t> lengths = {4, 0, 4};
  EXPECT_EQ(decode_parts(lengths, 3),
            (std::vector<DecodePart>{{0, 0, 3, 0}, {0, 3, 4, 1}, {2, 0, 2, 3}, {2, 2, 4, 4}}));
  EXPECT_TRUE(decode_parts({}, 4).empty());
}

TEST(RaggedDecodeWork, CountsTheRowsOnce) {
  const Work work = ragged_decode_work(10, 2, 4, 64, 2, 4);
  EXPECT_EQ(work.bytes_read, 2 * 10 * 64 * 2 + 2 * 4 * 64 * 4);
  EXPECT_EQ(work.bytes_written, 2 * 4 * 65 * 4);
  EXPECT_EQ(work.flops, 10 * 4 * (4 * 64 + 1));
}

TEST(RaggedCases, AreFewAndCoverEmptySegments) {
  EXPECT_LE(ragged_cases().size(), 150U);
}

}  // namespace
}  // namespace kvsieve::kernels::tests
