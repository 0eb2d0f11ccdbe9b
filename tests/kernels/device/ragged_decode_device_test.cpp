#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include "attention/ragged_decode_device.h"
#include "kernels/attention/ragged_problem.h"
#include "kernels/device/orders.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {
namespace {

using tests::ragged_decode_reference;
using tests::RaggedCase;
using tests::RaggedProblem;
using tests::RaggedReference;

// Scores of a few units lose about 1e-6 to fp32 sums over d and to the approximation of exp2,
// weights as much relatively, and the values that they average are a few units large.
constexpr double kTolerance = 2e-5;

struct Result {
  std::vector<float> out;
  std::vector<float> log_sums;

  bool operator==(const Result&) const = default;
};

template <class T>
DeviceBuffer<T> upload(const std::vector<T>& elements, Stream& stream) {
  return DeviceBuffer<T>(std::span<const T>(elements), stream);
}

Result decode(RaggedProblem& problem, bool paged, std::int64_t shares) {
  Stream stream;
  RaggedDecodeArgs args = problem.args(paged);
  const auto keys = upload(paged ? problem.paged_keys : problem.keys, stream);
  const auto values = upload(paged ? problem.paged_values : problem.values, stream);
  const auto offsets = upload(problem.offsets, stream);
  const auto lengths = upload(problem.item.lengths, stream);
  const auto pages = upload(problem.pages, stream);
  const auto queries = upload(problem.queries, stream);
  // NaN in what the kernels are to write.
  const auto out = upload(problem.out, stream);
  const auto log_sums = upload(problem.log_sums, stream);
  args.cache.keys = keys.data();
  args.cache.values = values.data();
  args.cache.offsets = paged ? nullptr : offsets.data();
  args.cache.lengths = lengths.data();
  args.cache.pages = paged ? pages.data() : nullptr;
  args.queries = queries.data();
  args.out = out.data();
  args.log_sums = log_sums.data();
  args.shares = shares;
  const DeviceBuffer<unsigned char> workspace(ragged_decode_workspace_bytes(args));
  fill_device(workspace.data(), 0xff, workspace.size_bytes(), stream);
  ragged_decode(args, workspace.data(), stream);
  return {out.download(stream), log_sums.download(stream)};
}

void expect_close(const Result& result, const RaggedReference& reference) {
  ASSERT_EQ(result.out.size(), reference.out.size());
  for (std::size_t i = 0; i < reference.out.size(); ++i) {
    ASSERT_NEAR(result.out[i], reference.out[i], kTolerance) << "output " << i;
  }
  for (std::size_t i = 0; i < reference.log_sums.size(); ++i) {
    if (std::isinf(reference.log_sums[i])) {
      ASSERT_EQ(result.log_sums[i], -std::numeric_limits<float>::infinity()) << i;
    } else {
      ASSERT_NEAR(result.log_sums[i], reference.log_sums[i], kTolerance) << "log-sum-exp " << i;
    }
  }
}

/// Shares that differ from case to case, so that parts begin and end everywhere.
std::int64_t shares_of(std::size_t number) {
  constexpr std::int64_t kShares[] = {1, 3, 8, 17};
  return kShares[number % std::size(kShares)];
}

TEST(RaggedDecodeDevice, EqualsTheReferenceWithTheSameBitsInEveryOrder) {
  std::vector<Result> first;
  for_each_order([&] {
    const std::vector<RaggedCase>& cases = tests::ragged_cases();
    for (std::size_t i = 0; i < cases.size(); ++i) {
      SCOPED_TRACE(cases[i].name());
      RaggedProblem problem(cases[i]);
      const Result result = decode(problem, i % 2 == 1, shares_of(i));
      if (i < first.size()) {
        ASSERT_TRUE(result == first[i]);
        continue;
      }
      expect_close(result, ragged_decode_reference(problem.args()));
      ASSERT_FALSE(testing::Test::HasFatalFailure());
      first.push_back(result);
    }
  });
}

TEST(RaggedDecodeDevice, PagesChangeNoBit) {
  for (const traces::DType dtype :
       {traces::DType::kF16, traces::DType::kBF16, traces::DType::kF32}) {
    RaggedProblem problem(
        {.lengths = {100, 0, 257}, .group = 4, .head_dim = 80, .dtype = dtype, .page_rows = 16});
    EXPECT_TRUE(decode(problem, true, 5) == decode(problem, false, 5));
  }
}

TEST(RaggedDecodeDevice, DoesNotDependOnTheSplit) {
  RaggedProblem problem({.lengths = {100, 0, 1, 233}, .group = 8, .head_dim = 64});
  const RaggedReference reference = ragged_decode_reference(problem.args());
  for (const std::int64_t shares : {1, 2, 7, 64, 400}) {
    SCOPED_TRACE(shares);
    expect_close(decode(problem, false, shares), reference);
  }
}

TEST(RaggedDecodeDevice, TakesManySegments) {
  // More than the starts kernel sums up at once: a batch of 40 sequences with 8 KV heads.
  std::vector<std::int32_t> lengths;
  for (std::int32_t s = 0; s < 320; ++s) {
    lengths.push_back(s * 7 % 23);
  }
  RaggedProblem problem({.lengths = lengths, .group = 2, .head_dim = 64});
  expect_close(decode(problem, false, 40), ragged_decode_reference(problem.args()));
}

TEST(RaggedDecodeDevice, NamesWhatItDoesNotSupport) {
  Stream stream;
  RaggedProblem problem({.lengths = {5}});
  RaggedDecodeArgs args = problem.args();
  args.cache.head_dim = 72;
  EXPECT_THROW(ragged_decode(args, nullptr, stream), Error);
  args = problem.args();
  args.group = 9;
  EXPECT_THROW(ragged_decode(args, nullptr, stream), Error);
  args = problem.args();
  args.query_dtype = traces::DType::kBF16;
  EXPECT_THROW(ragged_decode(args, nullptr, stream), Error);
}

TEST(RaggedDecodeDevice, LaunchesABlockAShareWithRoomForEveryWarp) {
  const LaunchConfig config = decode_shares_config(528, 256, 7);
  EXPECT_EQ(config.grid, (Dim3{528, 1, 1}));
  EXPECT_EQ(config.block, (Dim3{128, 1, 1}));
  EXPECT_EQ(config.shared_bytes, 4U * 8U * 258U * 4U);
  EXPECT_EQ(decode_merge_config(16, 4, 80).grid, (Dim3{64, 1, 1}));
  EXPECT_EQ(decode_merge_config(16, 4, 80).block, (Dim3{96, 1, 1}));
}

/// Small enough for a race detector that runs each block's threads one by one.
TEST(RaggedDecodeRace, SmallCases) {
  for (const RaggedCase& item :
       {RaggedCase{
            .lengths = {5, 0, 40}, .group = 4, .head_dim = 64, .dtype = traces::DType::kBF16},
        RaggedCase{.lengths = {33}, .group = 1, .head_dim = 128, .dtype = traces::DType::kF32},
        RaggedCase{.lengths = {9, 8}, .group = 8, .head_dim = 80, .dtype = traces::DType::kF16}}) {
    SCOPED_TRACE(item.name());
    RaggedProblem problem(item);
    expect_close(decode(problem, true, 2), ragged_decode_reference(problem.args()));
  }
}

}  // namespace
}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
