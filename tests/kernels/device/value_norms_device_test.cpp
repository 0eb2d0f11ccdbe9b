#include <gtest/gtest.h>

#include <iterator>

#include "kernels/device/loss_layer.h"
#include "kernels/device/orders.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {
namespace {

using traces::DType;

std::vector<LossCase> norm_cases() {
  const std::int64_t groups[] = {1, 2, 7};
  const std::int64_t head_dims[] = {64, 80, 96, 128, 256};
  // Around tiles of 64 tokens and 128 columns, and widths that rule out 16-byte loads.
  const std::int64_t token_counts[] = {1, 33, 63, 64, 65, 130};
  const std::int64_t widths[] = {1, 8, 127, 128, 129, 136, 260};
  const std::size_t levels[] = {std::size(groups),         std::size(head_dims),
                                std::size(token_counts),   std::size(widths),
                                std::size(tests::kDTypes), std::size(tests::kDTypes)};
  std::vector<LossCase> cases;
  for (const std::vector<std::size_t>& row : tests::pairwise(levels)) {
    LossCase& item = cases.emplace_back();
    item.kv_heads = 2;
    item.group = groups[row[0]];
    item.head_dim = head_dims[row[1]];
    item.tokens = token_counts[row[2]];
    item.width = widths[row[3]];
    item.dtype = tests::kDTypes[row[4]];
    item.projection_dtype = tests::kDTypes[row[5]];
  }
  return cases;
}

TEST(ValueNormsDevice, EqualTheReference) {
  const std::vector<LossCase> cases = norm_cases();
  EXPECT_LE(cases.size(), 60U);
  for (const LossCase& item : cases) {
    SCOPED_TRACE(item.name());
    const LossLayer layer(item);
    std::vector<std::vector<float>> results;
    for_each_order([&] { results.push_back(run_value_norms(layer)); });
    for (const std::vector<float>& result : results) {
      ASSERT_EQ(result, results.front());
    }
    for (std::int64_t head = 0; head < item.heads(); ++head) {
      const std::vector<double> expected = tests::reference_value_norms(
          layer.values.exact(head / item.group), layer.projections.exact(head));
      for (std::int64_t j = 0; j < item.tokens; ++j) {
        const double norm = expected[static_cast<std::size_t>(j)];
        // Sums of up to 256 random products, then of magnitudes, in fp32; one column has no
        // others to hide its rounding.
        ASSERT_NEAR(results.front()[static_cast<std::size_t>(head * item.tokens + j)], norm,
                    2e-6 * norm + 2e-5)
            << "head " << head << ", token " << j;
      }
    }
  }
}

TEST(ValueNormsDevice, NoTokensOrNoColumns) {
  LossCase item;
  item.width = 0;
  EXPECT_EQ(run_value_norms(LossLayer(item)), std::vector<float>(64, 0.0F));
  item.width = 8;
  item.tokens = 0;
  item.queries = 0;
  EXPECT_TRUE(run_value_norms(LossLayer(item)).empty());
}

TEST(ValueNormsDevice, NamesWhatHasNoKernel) {
  Stream stream;
  ValueNormsArgs args;
  args.group = 1;
  args.head_dim = 72;
  args.value_dtype = DType::kF32;
  args.projection_dtype = DType::kF32;
  EXPECT_THROW(value_norms(args, stream), Error);
  args.head_dim = 64;
  args.projection_dtype = DType::kI32;
  EXPECT_THROW(value_norms(args, stream), Error);
  args.projection_dtype = DType::kF32;
  args.width = -1;
  EXPECT_THROW(value_norms(args, stream), Error);
}

TEST(ValueNormsDevice, LaunchCoversTokensAndHeads) {
  ValueNormsArgs args;
  args.kv_heads = 4;
  args.group = 2;
  args.tokens = 65;
  EXPECT_EQ(value_norms_config(args), (LaunchConfig{{2, 8, 1}, {256, 1, 1}, 0}));
}

}  // namespace
}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
