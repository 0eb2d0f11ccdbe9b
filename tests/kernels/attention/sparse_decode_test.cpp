#include "kvsieve/kernels/sparse_decode.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "attention/sparse_decode_cpu.h"
#include "kernels/attention/random_heads.h"
#include "kernels/attention/sparse_problem.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::kernels::tests {
namespace {

// Scores of a few units lose about 1e-6 to fp32 sums over d, weights as much relatively, and the
// values that they average are a few units large.
constexpr double kTolerance = 1e-5;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

void expect_close(const SparseProblem& problem, const SparseReference& reference) {
  ASSERT_EQ(problem.out.size(), reference.out.size());
  for (std::size_t i = 0; i < reference.out.size(); ++i) {
    ASSERT_NEAR(problem.out[i], reference.out[i], kTolerance) << "output " << i;
  }
  for (std::size_t i = 0; i < reference.log_sums.size(); ++i) {
    if (std::isinf(reference.log_sums[i])) {
      ASSERT_EQ(problem.log_sums[i], -kInfinity) << i;
    } else {
      ASSERT_NEAR(problem.log_sums[i], reference.log_sums[i], kTolerance) << "log-sum-exp " << i;
    }
  }
}

std::vector<const SimdOps*> instruction_sets() {
  const SimdList list = simd_supported();
  return {list.items, list.items + list.count};
}

class SparseDecode : public testing::TestWithParam<const SimdOps*> {};

TEST_P(SparseDecode, EqualsTheReference) {
  for (const SparseCase& item : sparse_cases()) {
    SCOPED_TRACE(item.name());
    SparseProblem problem(item);
    const SparseDecodeArgs args = problem.args();
    sparse_decode(args, *GetParam());
    expect_close(problem, sparse_decode_reference(args));
    ASSERT_FALSE(HasFatalFailure());
  }
}

TEST_P(SparseDecode, TakesHeadSizesThatFillNoWholeVector) {
  for (const std::int64_t head_dim : {8, 24, 40, 56, 72, 88, 104, 120, 136}) {
    for (const traces::DType dtype : kDTypes) {
      const SparseCase item{.counts = {70, 3}, .group = 5, .head_dim = head_dim, .dtype = dtype};
      SCOPED_TRACE(item.name());
      SparseProblem problem(item);
      const SparseDecodeArgs args = problem.args();
      sparse_decode(args, *GetParam());
      expect_close(problem, sparse_decode_reference(args));
    }
  }
}

TEST_P(SparseDecode, T31_AnySplitOfTheSetMergesToTheWhole) {
  for (const traces::DType dtype : kDTypes) {
    SparseProblem problem({.counts = {700, 0, 130, 1},
                           .group = 4,
                           .head_dim = 128,
                           .dtype = dtype,
                           .order = ListOrder::kShuffled});
    const SparseReference whole = sparse_decode_reference(problem.args());
    for (const std::int32_t split : {0, 1, 2, 64, 129, 130, 350, 699, 700}) {
      SCOPED_TRACE(split);
      sparse_decode(problem.part(split, 700), *GetParam());
      const std::vector<float> other = problem.out;
      const std::vector<float> other_log_sums = problem.log_sums;
      sparse_decode(problem.part(0, split), *GetParam());
      merge_partial(problem.out.data(), problem.log_sums.data(), other.data(),
                    other_log_sums.data(), static_cast<std::int64_t>(problem.log_sums.size()), 128);
      expect_close(problem, whole);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(InstructionSets, SparseDecode, testing::ValuesIn(instruction_sets()),
                         [](const auto& set) { return std::string(set.param->name); });

TEST(SparseDecodeOnCpu, T26_AllRowsInAnyOrderEqualDenseAttention) {
  // The unlisted form reads every row there is in order.
  SparseProblem listed({.counts = {900, 40},
                        .group = 8,
                        .head_dim = 96,
                        .dtype = traces::DType::kBF16,
                        .order = ListOrder::kShuffled});
  sparse_decode(listed.args());
  const std::vector<float> sparse = listed.out;
  // The same rows laid down in the order of the lists.
  const std::size_t bytes = 2 * 96 * 2;
  std::vector<std::byte> dense(listed.rows.size());
  for (std::int64_t s = 0; s < 2; ++s) {
    for (std::int64_t i = 0; i < listed.item.counts[static_cast<std::size_t>(s)]; ++i) {
      const std::int64_t row = listed.lists[static_cast<std::size_t>(s * listed.capacity + i)];
      const auto from = static_cast<std::ptrdiff_t>(bytes) * (s * listed.segment_rows + row);
      std::copy_n(
          listed.rows.begin() + from, bytes,
          dense.begin() + static_cast<std::ptrdiff_t>(bytes) * (s * listed.segment_rows + i));
    }
  }
  SparseDecodeArgs args = listed.args();
  args.cache.rows = dense.data();
  args.rows = nullptr;
  sparse_decode(args);
  EXPECT_EQ(listed.out, sparse);
}

TEST(SparseDecodeOnCpu, TheOrderOfAListChangesOnlyTheRounding) {
  SparseProblem problem({.counts = {1500}, .group = 3, .order = ListOrder::kShuffled});
  const SparseReference reference = sparse_decode_reference(problem.args());
  std::sort(problem.lists.begin(), problem.lists.begin() + 1500);
  sparse_decode(problem.args());
  expect_close(problem, reference);
}

TEST(SparseDecodeOnCpu, DoesNotDependOnTheNumberOfThreads) {
  SparseProblem problem({.counts = {5000, 0, 3, 9000}, .group = 4, .order = ListOrder::kShuffled});
  with_threads(1, [&] { sparse_decode(problem.args()); });
  const std::vector<float> out = problem.out;
  const std::vector<float> log_sums = problem.log_sums;
  for (const int threads : {2, 5}) {
    with_threads(threads, [&] { sparse_decode(problem.args()); });
    EXPECT_EQ(problem.out, out);
    EXPECT_EQ(problem.log_sums, log_sums);
  }
}

TEST(SparseDecodeOnCpu, WorksWithoutSegments) {
  SparseProblem problem({.counts = {2}});
  SparseDecodeArgs args = problem.args();
  args.segments = 0;
  sparse_decode(args);
  EXPECT_TRUE(std::isnan(problem.out[0]));
}

TEST(SparseDecodeOnCpu, NamesWhatItDoesNotSupport) {
  SparseProblem problem({.counts = {5}});
  const auto message = [](const SparseDecodeArgs& args) -> std::string {
    try {
      sparse_decode(args);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  SparseDecodeArgs args = problem.args();
  args.group = 9;
  EXPECT_EQ(message(args), "sparse_decode: 9 query heads a KV head, supported: 1 to 8");
  args = problem.args();
  args.cache.dtype = traces::DType::kI32;
  EXPECT_EQ(message(args), "sparse_decode: dtype I32 is not supported: F16, BF16, F32");
  args = problem.args();
  args.cache.head_dim = 3;
  EXPECT_EQ(message(args), "sparse_decode: rows of 12 bytes, supported: multiples of 16");
  // A list that was cut: its count is more than there is room for.
  args = problem.args();
  args.capacity = 4;
  EXPECT_EQ(message(args), "sparse_decode: 5 rows in segment 0, the lists have room for 4");
  args = problem.args();
  args.rows = nullptr;
  args.cache.segment_rows = 4;
  EXPECT_EQ(message(args), "sparse_decode: 5 rows in segment 0, a segment has 4");
}

TEST(MergePartial, EmptyPartsChangeNothing) {
  const std::vector<float> values{1.0F, -2.0F, 3.5F};
  std::vector<float> out = values;
  std::vector<float> zeros(3, 0.0F);
  float log_sum = 1.25F;
  const float empty = -kInfinity;
  merge_partial(out.data(), &log_sum, zeros.data(), &empty, 1, 3);
  EXPECT_EQ(out, values);
  EXPECT_EQ(log_sum, 1.25F);
  // Into an empty one.
  float merged = empty;
  merge_partial(zeros.data(), &merged, values.data(), &log_sum, 1, 3);
  EXPECT_EQ(zeros, values);
  EXPECT_EQ(merged, 1.25F);
  // Two empty ones.
  std::vector<float> nothing(3, 0.0F);
  float none = empty;
  merge_partial(nothing.data(), &none, std::vector<float>(3, 0.0F).data(), &empty, 1, 3);
  EXPECT_EQ(nothing, std::vector<float>(3, 0.0F));
  EXPECT_EQ(none, empty);
}

TEST(MergePartial, LargeLogSumsDoNotOverflow) {
  for (const float shift : {-3000.0F, 3000.0F}) {
    std::vector<float> out{2.0F};
    const float other = 8.0F;
    float log_sum = shift;
    const float other_log_sum = shift + 1.0986123F;  // ln 3
    merge_partial(out.data(), &log_sum, &other, &other_log_sum, 1, 1);
    EXPECT_NEAR(out[0], 2.0 / 4.0 + 8.0 * 3.0 / 4.0, 1e-3) << shift;
    EXPECT_NEAR(log_sum, shift + 1.3862944F, 1e-3) << shift;
  }
}

TEST(MergePartial, ManyRowsInAnyNumberOfThreads) {
  const RandomRows first(200, 24, 1);
  const RandomRows second(200, 24, 2);
  const RandomRows sums(2, 200, 3);
  const auto merge = [&] {
    std::vector<float> out = first.data;
    std::vector<float> log_sums(sums.data.begin(), sums.data.begin() + 200);
    merge_partial(out.data(), log_sums.data(), second.data.data(), sums.data.data() + 200, 200, 24);
    out.insert(out.end(), log_sums.begin(), log_sums.end());
    return out;
  };
  std::vector<float> merged;
  with_threads(1, [&] { merged = merge(); });
  for (std::int64_t r = 0; r < 200; ++r) {
    const double mine = std::exp(sums.exact.at(0, r));
    const double theirs = std::exp(sums.exact.at(1, r));
    for (std::int64_t i = 0; i < 24; ++i) {
      const double expected =
          (mine * first.exact.at(r, i) + theirs * second.exact.at(r, i)) / (mine + theirs);
      ASSERT_NEAR(merged[static_cast<std::size_t>(r * 24 + i)], expected, 2e-6);
    }
  }
  with_threads(3, [&] { EXPECT_EQ(merge(), merged); });
}

TEST(SparseDecodeWork, CountsRowsOnceAndTheirNumbers) {
  // 515 MB for 3 % of 128K tokens over 32 layers of 8 heads, d = 128 in two bytes.
  constexpr std::int64_t kRows = std::int64_t{3932} * 8 * 32;
  static_assert(kRows * row_bytes(128, 2) == 515'375'104);
  constexpr Work kWork = sparse_decode_work(10, 2, 4, 64, 2);
  static_assert(kWork.bytes_read == 10 * (256 + 4) + 2 * (4 * 64 * 4 + 4));
  static_assert(kWork.bytes_written == 2 * 4 * 65 * 4);
  static_assert(kWork.flops == 10 * 4 * (4 * 64 + 1));
}

// The release keeps the host's rows in fp32.
TEST(SparseDecodeWork, Defect07_HostRowsKeepTheirTwoBytes) {
  SparseProblem problem({.counts = {40}, .head_dim = 128, .dtype = traces::DType::kBF16});
  EXPECT_EQ(static_cast<std::int64_t>(problem.rows.size()),
            problem.segment_rows * row_bytes(128, 2));
  const SparseDecodeArgs args = problem.args();
  sparse_decode(args);  // straight from them
  expect_close(problem, sparse_decode_reference(args));
}

TEST(SparseCases, AreFewAndCoverEmptySegments) {
  EXPECT_LE(sparse_cases().size(), 150U);
}

}  // namespace
}  // namespace kvsieve::kernels::tests
