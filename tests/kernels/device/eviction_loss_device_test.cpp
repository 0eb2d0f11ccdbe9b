#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numeric>

#include "kernels/adakv/eviction_loss_reference.h"
#include "kernels/device/loss_layer.h"
#include "kernels/device/orders.h"
#include "kvsieve/kernels/eviction_loss.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {
namespace {

using tests::HeadLossReference;
using tests::Matrix;
using traces::DType;

constexpr std::int64_t kHeadDims[] = {64, 80, 96, 128, 256};
// Around tiles of 32 tokens, and several of them.
constexpr std::int64_t kTokenCounts[] = {1,   31,  32,  33,  63,   64,   65,
                                         255, 256, 257, 511, 1023, 1025, 4097};
// Around the rows of a warp (4) and of a block (32).
constexpr std::int64_t kQueryCounts[] = {1, 3, 4, 5, 31, 32, 33, 65};
// One pass holds two or three.
constexpr std::int64_t kSelectionCounts[] = {0, 1, 2, 3, 5};
// Multiply-adds of the attention, so that the executor finishes a case soon.
constexpr std::int64_t kLargestCase = 4'000'000;

enum class View { kCausal, kSliding, kSoftcap, kBoth };

LossCase make_case(const std::vector<std::size_t>& row) {
  LossCase item;
  item.kv_heads = row[0] == 0 ? 1 : 3;
  item.group = tests::kGroups[row[1]];
  item.head_dim = kHeadDims[row[2]];
  item.tokens = kTokenCounts[row[3]];
  item.selections = kSelectionCounts[row[5]];
  item.dtype = tests::kDTypes[row[6]];
  item.kept = static_cast<KeptKind>(row[7]);
  item.unit_a_query_head = row[8] == 1;
  item.norms = row[10] == 0;
  item.scattered = row[11] == 1;
  const std::int64_t row_cost = 2 * item.heads() * item.tokens * item.head_dim;
  const std::int64_t most = item.scattered ? kQueryCounts[row[4]] : item.tokens;
  item.queries =
      std::clamp<std::int64_t>(kLargestCase / row_cost, 1, std::min(kQueryCounts[row[4]], most));
  const auto view = static_cast<View>(row[9]);
  if (view == View::kSliding || view == View::kBoth) {
    item.attention.sliding_window = std::max<std::int64_t>(1, item.tokens / 3);
  }
  if (view == View::kSoftcap || view == View::kBoth) {
    item.attention.softcap = 4.0;
  }
  return item;
}

std::vector<LossCase> loss_cases() {
  const std::size_t levels[] = {2,
                                std::size(tests::kGroups),
                                std::size(kHeadDims),
                                std::size(kTokenCounts),
                                std::size(kQueryCounts),
                                std::size(kSelectionCounts),
                                std::size(tests::kDTypes),
                                kKeptKinds,
                                2,
                                4,
                                2,
                                2};
  std::vector<LossCase> cases;
  for (const std::vector<std::size_t>& row : tests::pairwise(levels)) {
    cases.push_back(make_case(row));
  }
  return cases;
}

/// Compares all that belongs to one query head and selection; without a selection, the output.
void expect_head(const LossLayer& layer, const LossResult& loss, std::int64_t selection,
                 std::int64_t head) {
  const LossCase& item = layer.item;
  const std::int64_t tokens = item.tokens;
  std::vector<double> norms;
  if (item.norms) {
    norms.assign(layer.norms.begin() + head * tokens, layer.norms.begin() + (head + 1) * tokens);
  }
  const bool selected = selection < item.selections;
  const HeadLossReference expected = tests::reference_head_loss(
      tests::rows_of(layer.queries.exact, head * item.queries, item.queries), layer.positions,
      layer.keys.exact(head / item.group), layer.values.exact(head / item.group), item.attention,
      selected ? layer.kept_of(selection, head) : std::vector<std::int32_t>{}, norms);
  for (std::int64_t r = 0; r < item.queries; ++r) {
    const auto row = static_cast<std::size_t>(r);
    const auto slot = static_cast<std::size_t>(head * item.queries + r);
    const auto selected_slot =
        static_cast<std::size_t>((selection * item.heads() + head) * item.queries + r);
    // Scores of up to about ten nats in fp32 make weights wrong by some 1e-6 of themselves.
    if (item.norms) {
      ASSERT_NEAR(loss.total_norm[slot], expected.total[row], 2e-5);
    }
    if (selected) {
      ASSERT_NEAR(loss.retained_mass[selected_slot], expected.mass[row], 1e-5);
      if (item.norms) {
        ASSERT_NEAR(loss.kept_norm[selected_slot], expected.kept[row], 2e-5);
      }
    }
    for (std::int64_t t = 0; t < item.head_dim; ++t) {
      const auto channel = static_cast<std::size_t>(t);
      const auto d = static_cast<std::size_t>(item.head_dim);
      ASSERT_NEAR(loss.output[slot * d + channel], expected.output.at(r, t), 2e-5)
          << "head " << head << ", query " << r << ", channel " << t;
      if (selected) {
        ASSERT_NEAR(loss.difference[selected_slot * d + channel],
                    expected.output.at(r, t) - expected.kept_output.at(r, t), 5e-5)
            << "selection " << selection << ", head " << head << ", query " << r << ", channel "
            << t;
      }
    }
  }
}

TEST(EvictionLossDevice, EqualsAttentionWithEvictedCellsHidden) {
  const std::vector<LossCase> cases = loss_cases();
  EXPECT_LE(cases.size(), 150U);
  for (const LossCase& item : cases) {
    SCOPED_TRACE(item.name());
    const LossLayer layer(item);
    std::vector<LossResult> results;
    for_each_order([&] { results.push_back(run_eviction_loss(layer)); });
    for (const LossResult& result : results) {
      ASSERT_EQ(result, results.front());
    }
    for (std::int64_t head = 0; head < item.heads(); ++head) {
      for (std::int64_t s = 0; s < std::max<std::int64_t>(1, item.selections); ++s) {
        ASSERT_NO_FATAL_FAILURE(expect_head(layer, results.front(), s, head));
      }
    }
  }
}

/// A small layer of every head size and dtype.
std::vector<LossCase> small_cases() {
  std::vector<LossCase> cases;
  for (const std::int64_t d : kHeadDims) {
    for (const DType dtype : tests::kDTypes) {
      LossCase& item = cases.emplace_back();
      item.kv_heads = 2;
      item.group = 2;
      item.head_dim = d;
      item.tokens = 131;
      item.queries = 9;
      item.selections = 2;
      item.unit_a_query_head = d == 80;
      item.dtype = dtype;
    }
  }
  return cases;
}

void expect_no_loss(const LossLayer& layer, const LossResult& loss) {
  for (const float difference : loss.difference) {
    ASSERT_EQ(difference, 0.0F);
  }
  for (const float mass : loss.retained_mass) {
    ASSERT_EQ(mass, 1.0F);
  }
  for (std::size_t i = 0; i < loss.kept_norm.size(); ++i) {
    ASSERT_EQ(loss.kept_norm[i], loss.total_norm[i % loss.total_norm.size()]);
  }
  const ProjectedResult projected = run_projected_loss(layer, loss);
  for (const std::vector<float>& losses : {projected.unit_loss, projected.layer_loss}) {
    for (const float lost : losses) {
      ASSERT_EQ(lost, 0.0F);
    }
  }
}

TEST(EvictionLossDevice, T34_T40_KeepingAllCostsExactlyNothing) {
  for (const LossCase& item : small_cases()) {
    SCOPED_TRACE(item.name());
    LossLayer layer(item);
    for (std::vector<std::int32_t>& kept : layer.kept) {
      kept.resize(static_cast<std::size_t>(item.tokens));
      std::iota(kept.begin(), kept.end(), 0);
    }
    for_each_order(
        [&] { ASSERT_NO_FATAL_FAILURE(expect_no_loss(layer, run_eviction_loss(layer))); });
  }
}

TEST(EvictionLossDevice, KeepingAllThatAQuerySeesCostsExactlyNothing) {
  for (LossCase item : small_cases()) {
    item.attention.sliding_window = 40;
    SCOPED_TRACE(item.name());
    LossLayer layer(item);
    const auto seen = static_cast<std::int32_t>(item.tokens - item.queries + 1 - 40);
    for (std::vector<std::int32_t>& kept : layer.kept) {
      kept.resize(static_cast<std::size_t>(item.tokens - seen));
      std::iota(kept.begin(), kept.end(), seen);
    }
    for_each_order(
        [&] { ASSERT_NO_FATAL_FAILURE(expect_no_loss(layer, run_eviction_loss(layer))); });
  }
}

TEST(EvictionLossDevice, T39_AHeadThatKeepsNothingItsQuerySeesOutputsZero) {
  for (LossCase item : small_cases()) {
    item.selections = 1;
    for (const bool unseen : {false, true}) {
      SCOPED_TRACE(item.name());
      LossLayer layer(item);
      for (std::vector<std::int32_t>& kept : layer.kept) {
        kept = unseen ? std::vector<std::int32_t>{130} : std::vector<std::int32_t>{};
      }
      std::iota(layer.positions.begin(), layer.positions.end(), 100);
      for_each_order([&] {
        const LossResult loss = run_eviction_loss(layer);
        EXPECT_EQ(loss.difference, loss.output);
        EXPECT_EQ(loss.retained_mass, std::vector<float>(loss.retained_mass.size(), 0.0F));
        EXPECT_EQ(loss.kept_norm, std::vector<float>(loss.kept_norm.size(), 0.0F));
      });
    }
  }
}

TEST(EvictionLossDevice, T39_AHeadThatKeepsNextToNothingStaysFinite) {
  // One kept token whose weight falls to the smallest that a float holds: 1 / F would overflow.
  for (const double score : {-20.0, -60.0, -80.0, -86.0, -87.5, -95.0, -102.0, -110.0}) {
    SCOPED_TRACE(score);
    LossCase item;
    item.tokens = 300;
    item.attention.scale = 1.0;
    LossLayer layer(item);
    layer.kept = {{7}};
    // The kept key's product with the query is the score; all others' are about 0.
    const Matrix& keys = layer.keys.exact(0);
    double square = 0.0;
    for (std::int64_t t = 0; t < item.head_dim; ++t) {
      square += keys.at(7, t) * keys.at(7, t);
    }
    for (std::int64_t t = 0; t < item.head_dim; ++t) {
      const auto slot = static_cast<std::size_t>(t);
      layer.queries.data[slot] = static_cast<float>(score * keys.at(7, t) / square);
    }
    for_each_order([&] {
      const LossResult loss = run_eviction_loss(layer);
      const float mass = loss.retained_mass[0];
      ASSERT_LT(mass, 1e-6F);
      for (std::size_t t = 0; t < loss.output.size(); ++t) {
        const double kept = layer.values.exact(0).at(7, static_cast<std::int64_t>(t));
        // Either o - v_7 or, once the weight has vanished, o. Denormal weights hold few bits.
        ASSERT_NEAR(loss.difference[t], mass > 0.0F ? loss.output[t] - kept : loss.output[t],
                    mass > 1e-36F ? 1e-4 : 2.0);
      }
      const double theta = loss_bound_theta(mass, loss.total_norm[0], loss.kept_norm[0]);
      ASSERT_TRUE(std::isfinite(theta));
      ASSERT_LE(theta, 2.0 * 2.0 * (1.0 - mass) * 1.01);
    });
  }
}

TEST(EvictionLossDevice, T37_LossThetaEpsHeadAndEpsAreOrdered) {
  std::uint32_t seed = 1;
  for (LossCase item : small_cases()) {
    item.selections = 5;
    item.tokens = 70;
    item.width = 33;
    item.attention.scale = std::pow(3.0, static_cast<double>(seed % 4)) /
                           (3.0 * std::sqrt(static_cast<double>(item.head_dim)));
    SCOPED_TRACE(item.name());
    LossLayer layer(item, seed++);
    layer.norms = run_value_norms(layer);
    const float largest = *std::max_element(layer.norms.begin(), layer.norms.end());
    const LossResult loss = run_eviction_loss(layer);
    const ProjectedResult projected = run_projected_loss(layer, loss);
    for (std::int64_t s = 0; s < item.selections; ++s) {
      for (std::int64_t r = 0; r < item.queries; ++r) {
        double theta = 0.0;
        double eps_head = 0.0;
        double eps = 0.0;
        double total = 0.0;
        for (std::int64_t head = 0; head < item.heads(); ++head) {
          const auto row = static_cast<std::size_t>(head * item.queries + r);
          const std::size_t slot = static_cast<std::size_t>(s * item.heads() * item.queries) + row;
          const double mass = loss.retained_mass[slot];
          theta += loss_bound_theta(mass, loss.total_norm[row], loss.kept_norm[slot]);
          const auto norms = layer.norms.begin() + head * item.tokens;
          eps_head += 2.0 * *std::max_element(norms, norms + item.tokens) * (1.0 - mass);
          eps += 2.0 * largest * (1.0 - mass);
          total += loss.total_norm[row];
        }
        const double slack = 1e-5 * total;
        const double lost = projected.layer_loss[static_cast<std::size_t>(s * item.queries + r)];
        ASSERT_LE(lost, theta + slack);
        ASSERT_LE(theta, eps_head + slack);
        ASSERT_LE(eps_head, eps + slack);
      }
    }
  }
}

TEST(EvictionLossDevice, PassesAndNormsDoNotChangeASelection) {
  LossCase item;
  item.kv_heads = 2;
  item.group = 3;
  item.tokens = 200;
  item.queries = 37;
  item.selections = 7;
  item.kept = KeptKind::kNothing;
  const LossLayer all(item);
  const LossResult together = run_eviction_loss(all);
  const std::size_t size = together.output.size();
  for (std::int64_t s = 0; s < item.selections; ++s) {
    LossLayer one(item);
    one.item.selections = 1;
    one.item.norms = s % 2 == 0;
    one.kept = {all.kept.begin() + 2 * s, all.kept.begin() + 2 * s + 2};
    const LossResult alone = run_eviction_loss(one);
    EXPECT_EQ(alone.output, together.output);
    EXPECT_TRUE(std::equal(alone.difference.begin(), alone.difference.end(),
                           together.difference.begin() + s * static_cast<std::int64_t>(size)));
  }
}

TEST(EvictionLossDevice, LaunchCoversRowsHeadsAndSelections) {
  EvictionLossArgs args;
  args.kv_heads = 4;
  args.group = 3;
  args.queries = 33;
  args.head_dim = 128;
  args.dtype = DType::kF32;
  args.selections = 5;
  const LaunchConfig config = eviction_loss_config(args);
  EXPECT_EQ(config.grid, (Dim3{2, 12, 3}));
  EXPECT_EQ(config.block, (Dim3{256, 1, 1}));
  // 2 blocks fit an A100's multiprocessor, 164 KiB.
  EXPECT_LE(config.shared_bytes, 82U * 1024);
  args.selections = 0;
  EXPECT_EQ(eviction_loss_config(args).grid, (Dim3{2, 12, 1}));
}

TEST(EvictionLossDevice, NamesWhatHasNoKernel) {
  Stream stream;
  EvictionLossArgs args;
  args.kv_heads = 1;
  args.group = 1;
  args.queries = 1;
  args.tokens = 1;
  args.head_dim = 72;
  args.dtype = DType::kF32;
  EXPECT_THROW(eviction_loss(args, stream), Error);
  args.head_dim = 64;
  args.group = 9;
  EXPECT_THROW(eviction_loss(args, stream), Error);
  args.group = 4;
  args.dtype = DType::kI32;
  EXPECT_THROW(eviction_loss(args, stream), Error);
  args.dtype = DType::kF32;
  args.selections = 1;
  args.units = 3;
  EXPECT_THROW(eviction_loss(args, stream), Error);
}

// Few and small: the thread sanitizer takes about 0.1 s a block.
TEST(EvictionLossRace, AllThreeKernels) {
  std::uint32_t seed = 1;
  for (const std::int64_t d : {64, 80}) {
    LossCase item;
    item.group = 2;
    item.head_dim = d;
    item.tokens = 70;
    item.queries = 5;
    item.selections = 2;
    item.dtype = d == 64 ? DType::kF32 : DType::kBF16;
    item.width = 130;
    SCOPED_TRACE(item.name());
    LossLayer layer(item, seed++);
    std::vector<ProjectedResult> results;
    for_each_order([&] {
      layer.norms = run_value_norms(layer);
      results.push_back(run_projected_loss(layer, run_eviction_loss(layer)));
    });
    for (const ProjectedResult& result : results) {
      EXPECT_EQ(result, results.front());
    }
  }
}

}  // namespace
}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
