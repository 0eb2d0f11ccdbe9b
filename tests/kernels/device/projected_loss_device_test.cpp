#include <gtest/gtest.h>

#include <cmath>
#include <iterator>

#include "kernels/device/loss_layer.h"
#include "kernels/device/orders.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {
namespace {

using tests::Matrix;
using traces::DType;

std::vector<LossCase> projection_cases() {
  const std::int64_t groups[] = {1, 2, 3};
  const std::int64_t head_dims[] = {64, 80, 96, 128, 256};
  // Around tiles of 64 queries and 128 columns, and widths that rule out 16-byte loads.
  const std::int64_t query_counts[] = {1, 7, 63, 64, 65, 129};
  const std::int64_t widths[] = {1, 8, 127, 128, 129, 260};
  const std::int64_t selection_counts[] = {0, 1, 2, 3};
  const std::size_t levels[] = {std::size(groups),
                                std::size(head_dims),
                                std::size(query_counts),
                                std::size(widths),
                                std::size(selection_counts),
                                std::size(tests::kDTypes),
                                2};
  std::vector<LossCase> cases;
  for (const std::vector<std::size_t>& row : tests::pairwise(levels)) {
    LossCase& item = cases.emplace_back();
    item.kv_heads = 2;
    item.group = groups[row[0]];
    item.head_dim = head_dims[row[1]];
    item.queries = query_counts[row[2]];
    item.tokens = item.queries;
    item.width = widths[row[3]];
    item.selections = selection_counts[row[4]];
    item.projection_dtype = tests::kDTypes[row[5]];
    item.unit_a_query_head = row[6] == 1;
  }
  return cases;
}

/// Any numbers: what is projected need not come from attention.
LossResult random_loss(const LossCase& item) {
  LossResult loss;
  const std::int64_t rows = item.heads() * item.queries;
  loss.output = tests::RandomRows(rows, item.head_dim, 41).data;
  loss.difference = tests::RandomRows(item.selections * rows, item.head_dim, 42, 0.1).data;
  return loss;
}

/// Row sums of magnitudes of the heads' projections, heads [first, last) of rows [.., R, d].
std::vector<double> expected_norms(const LossLayer& layer, const float* rows, std::int64_t first,
                                   std::int64_t last) {
  const LossCase& item = layer.item;
  Matrix sum(item.queries, item.width);
  for (std::int64_t head = first; head < last; ++head) {
    const MatrixView<const float> x(rows + head * item.queries * item.head_dim, item.queries,
                                    item.head_dim);
    const Matrix product =
        tests::reference_product(tests::to_matrix(x), layer.projections.exact(head));
    for (std::size_t i = 0; i < sum.data.size(); ++i) {
      sum.data[i] += product.data[i];
    }
  }
  std::vector<double> norms(static_cast<std::size_t>(item.queries), 0.0);
  for (std::int64_t r = 0; r < item.queries; ++r) {
    for (std::int64_t c = 0; c < item.width; ++c) {
      norms[static_cast<std::size_t>(r)] += std::abs(sum.at(r, c));
    }
  }
  return norms;
}

void expect_near(const float* actual, const std::vector<double>& expected) {
  for (std::size_t r = 0; r < expected.size(); ++r) {
    // fp32 sums over all heads' channels; one column has no others to hide its rounding.
    ASSERT_NEAR(actual[r], expected[r], 2e-6 * expected[r] + 2e-4) << "query " << r;
  }
}

TEST(ProjectedLossDevice, EqualsTheReference) {
  const std::vector<LossCase> cases = projection_cases();
  EXPECT_LE(cases.size(), 60U);
  for (const LossCase& item : cases) {
    SCOPED_TRACE(item.name());
    const LossLayer layer(item);
    const LossResult loss = random_loss(item);
    std::vector<ProjectedResult> results;
    for_each_order([&] { results.push_back(run_projected_loss(layer, loss)); });
    for (const ProjectedResult& result : results) {
      ASSERT_EQ(result, results.front());
    }
    const ProjectedResult& result = results.front();
    ASSERT_NO_FATAL_FAILURE(expect_near(
        result.output_norm.data(), expected_norms(layer, loss.output.data(), 0, item.heads())));
    const std::int64_t members = item.heads() / item.units();
    for (std::int64_t s = 0; s < item.selections; ++s) {
      const float* rows = loss.difference.data() + s * item.heads() * item.queries * item.head_dim;
      ASSERT_NO_FATAL_FAILURE(expect_near(result.layer_loss.data() + s * item.queries,
                                          expected_norms(layer, rows, 0, item.heads())));
      for (std::int64_t u = 0; u < item.units(); ++u) {
        ASSERT_NO_FATAL_FAILURE(
            expect_near(result.unit_loss.data() + (s * item.units() + u) * item.queries,
                        expected_norms(layer, rows, u * members, (u + 1) * members)));
      }
    }
  }
}

TEST(ProjectedLossDevice, NamesWhatHasNoKernel) {
  Stream stream;
  ProjectedLossArgs args;
  args.q_heads = 4;
  args.units = 2;
  args.head_dim = 72;
  args.projection_dtype = DType::kF32;
  EXPECT_THROW(projected_loss(args, stream), Error);
  args.head_dim = 64;
  args.units = 3;
  EXPECT_THROW(projected_loss(args, stream), Error);
  args.units = 4;
  args.projection_dtype = DType::kI32;
  EXPECT_THROW(projected_loss(args, stream), Error);
}

TEST(ProjectedLossDevice, LaunchesCoverSelectionsUnitsAndTheOutput) {
  ProjectedLossArgs args;
  args.q_heads = 8;
  args.units = 2;
  args.selections = 3;
  args.queries = 130;
  args.width = 260;
  EXPECT_EQ(projected_loss_config(args), (LaunchConfig{{3, 3, 4}, {256, 1, 1}, 0}));
  EXPECT_EQ(projected_loss_sum_config(args), (LaunchConfig{{2, 10, 1}, {128, 1, 1}, 0}));
  EXPECT_EQ(projected_loss_workspace_bytes(args), 10U * 3 * 130 * sizeof(float));
}

}  // namespace
}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
