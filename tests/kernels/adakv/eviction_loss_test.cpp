#include "kvsieve/kernels/eviction_loss.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <random>
#include <vector>

#include "exec/cpu/parallel.h"
#include "kernels/adakv/eviction_loss_reference.h"
#include "kernels/attention/case_table.h"
#include "kernels/attention/random_heads.h"
#include "kvsieve/kernels/dense_attention.h"
#include "kvsieve/kernels/token_selection.h"

namespace kvsieve::kernels::tests {
namespace {

using traces::DType;
using Tokens = std::vector<std::int32_t>;

Tokens all_tokens(std::int64_t n) {
  Tokens tokens(static_cast<std::size_t>(n));
  std::iota(tokens.begin(), tokens.end(), 0);
  return tokens;
}

Tokens some_tokens(std::int64_t n, double share, std::uint32_t seed) {
  std::mt19937 generator(seed);
  std::bernoulli_distribution keep(share);
  Tokens tokens;
  for (std::int32_t j = 0; j < n; ++j) {
    if (keep(generator)) {
      tokens.push_back(j);
    }
  }
  return tokens;
}

/// One KV head, loaded, with selections kept[s * G + g].
struct LoadedHead {
  HeadKeys keys;
  HeadValues values;
  std::vector<Tokens> kept;
  std::vector<std::span<const std::int32_t>> spans;
  std::vector<float> norms;

  HeadLossProblem problem(const HeadProblem& head) {
    spans.assign(kept.begin(), kept.end());
    HeadLossProblem result;
    result.queries = head.queries.view();
    result.positions = head.positions;
    result.keys = &keys;
    result.values = &values;
    result.attention = head.item.attention;
    result.kept = spans;
    result.selections = static_cast<std::int64_t>(kept.size()) / head.item.group;
    if (!norms.empty()) {
      result.norms = {norms.data(), head.item.group, head.item.all_tokens()};
    }
    return result;
  }
};

LoadedHead load(const HeadProblem& head) {
  LoadedHead loaded;
  const RopePhases phases(traces::RopeTable(head.item.rope, head.item.head_dim),
                          head.item.all_tokens());
  loaded.keys.load(HeadSlice(head.keys.view(), 0), &phases);
  loaded.values.load(HeadSlice(head.values.view(), 0));
  return loaded;
}

TEST(EvictionLoss, T33_EqualsDenseAttentionWithEvictedCellsHidden) {
  for (const AttentionCase& item : attention_cases()) {
    SCOPED_TRACE(item.name());
    const HeadProblem head(item);
    const std::int64_t tokens = item.all_tokens();
    LoadedHead loaded = load(head);
    for (std::int64_t g = 0; g < item.group; ++g) {
      loaded.kept.push_back(some_tokens(tokens, 0.3, static_cast<std::uint32_t>(g)));
    }
    for (std::int64_t g = 0; g < item.group; ++g) {
      loaded.kept.push_back(some_tokens(tokens, 0.9, static_cast<std::uint32_t>(g)));
    }
    const RandomRows norms(item.group, tokens, 31);
    for (const float norm : norms.data) {
      loaded.norms.push_back(std::abs(norm));
    }
    HeadLoss loss;
    eviction_loss(loaded.problem(head), loss);
    const Matrix keys = head.rotated_keys();
    for (std::int64_t slot = 0; slot < 2 * item.group; ++slot) {
      const std::int64_t g = slot % item.group;
      const std::vector<double> member_norms(loaded.norms.begin() + g * tokens,
                                             loaded.norms.begin() + (g + 1) * tokens);
      const HeadLossReference expected =
          reference_head_loss(rows_of(head.queries.exact, g * item.queries, item.queries),
                              head.positions, keys, head.values.exact(0), item.attention,
                              loaded.kept[static_cast<std::size_t>(slot)], member_norms);
      for (std::int64_t r = 0; r < item.queries; ++r) {
        const auto row = static_cast<std::size_t>(r);
        const std::int64_t selection = slot / item.group;
        ASSERT_NEAR(loss.retained_mass.at(selection, g, r), expected.mass[row], 1e-5);
        ASSERT_NEAR(loss.total_norm.at(0, g, r), expected.total[row], 2e-5);
        ASSERT_NEAR(loss.kept_norm.at(selection, g, r), expected.kept[row], 2e-5);
        for (std::int64_t t = 0; t < item.head_dim; ++t) {
          ASSERT_NEAR(loss.output.at(g, r, t), expected.output.at(r, t), 2e-5)
              << "member " << g << ", query " << r << ", channel " << t;
          ASSERT_NEAR(loss.difference.at(slot, r, t),
                      expected.output.at(r, t) - expected.kept_output.at(r, t), 5e-5)
              << "selection " << selection << ", member " << g << ", query " << r << ", channel "
              << t;
        }
      }
    }
  }
}

TEST(EvictionLoss, T34_T40_KeepingAllCostsNothing) {
  for (const AttentionCase& item : attention_cases()) {
    SCOPED_TRACE(item.name());
    const HeadProblem head(item);
    LoadedHead loaded = load(head);
    loaded.kept.assign(static_cast<std::size_t>(item.group), all_tokens(item.all_tokens()));
    loaded.norms.assign(static_cast<std::size_t>(item.group * item.all_tokens()), 2.0F);
    HeadLoss loss;
    eviction_loss(loaded.problem(head), loss);
    for (const float difference : loss.difference.data) {
      ASSERT_NEAR(difference, 0.0F, 1e-5F);
    }
    for (std::size_t i = 0; i < loss.retained_mass.data.size(); ++i) {
      const double mass = loss.retained_mass.data[i];
      ASSERT_NEAR(mass, 1.0, 1e-5);
      ASSERT_NEAR(loss_bound_theta(mass, loss.total_norm.data[i], loss.kept_norm.data[i]), 0.0,
                  1e-4);
    }
  }
}

/// A whole layer and its losses, as a replay would put them together.
struct Layer {
  std::int64_t kv_heads;
  std::int64_t group;
  std::int64_t tokens;
  std::int64_t head_dim;
  std::int64_t width;
  std::int64_t queries;
  std::int64_t selections;
};

struct Bounds {
  double loss = 0.0;
  double theta = 0.0;
  double eps_head = 0.0;
  double eps = 0.0;
  double scale = 0.0;  ///< T summed over heads: what rounding errors are relative to
};

std::vector<Bounds> layer_bounds(const Layer& layer, std::uint32_t seed) {
  const std::int64_t q_heads = layer.kv_heads * layer.group;
  const RandomHeads projections(q_heads, layer.head_dim, layer.width, DType::kF16, seed + 50);
  const std::int64_t stride = (layer.width + 15) / 16 * 16;
  const std::int64_t cases = layer.selections * layer.queries;
  std::vector<std::vector<float>> lost(
      static_cast<std::size_t>(layer.selections),
      std::vector<float>(static_cast<std::size_t>(layer.queries * stride), 0.0F));
  std::vector<Bounds> bounds(static_cast<std::size_t>(cases));
  double largest_norm = 0.0;
  std::vector<double> evicted(static_cast<std::size_t>(cases), 0.0);
  for (std::int64_t kv = 0; kv < layer.kv_heads; ++kv) {
    AttentionCase item;
    item.group = layer.group;
    item.head_dim = layer.head_dim;
    item.rope.dim = layer.head_dim;
    item.tokens = layer.tokens;
    item.queries = layer.queries;
    item.dtype = DType::kBF16;
    // From nearly uniform to nearly one-hot.
    item.attention.scale = std::pow(3.0, static_cast<double>(seed % 4)) /
                           (3.0 * std::sqrt(static_cast<double>(layer.head_dim)));
    const HeadProblem head(item, seed + 100 * static_cast<std::uint32_t>(kv));
    LoadedHead loaded = load(head);
    std::vector<PackedMatrix> packed(static_cast<std::size_t>(layer.group));
    std::vector<double> member_norm;
    for (std::int64_t g = 0; g < layer.group; ++g) {
      PackedMatrix& matrix = packed[static_cast<std::size_t>(g)];
      matrix.pack(HeadSlice(projections.view(), kv * layer.group + g));
      std::vector<float> norms(static_cast<std::size_t>(layer.tokens));
      value_norms(HeadSlice(head.values.view(), 0), matrix, norms);
      loaded.norms.insert(loaded.norms.end(), norms.begin(), norms.end());
      member_norm.push_back(*std::max_element(norms.begin(), norms.end()));
      largest_norm = std::max(largest_norm, member_norm.back());
    }
    for (std::int64_t s = 0; s < layer.selections; ++s) {
      for (std::int64_t g = 0; g < layer.group; ++g) {
        // Nothing, a little, half, nearly all; the same for the group or different.
        const double share = static_cast<double>(s) / static_cast<double>(layer.selections);
        loaded.kept.push_back(
            some_tokens(layer.tokens, share,
                        seed + static_cast<std::uint32_t>(s % 2 == 0 ? kv : kv * layer.group + g)));
      }
    }
    HeadLoss loss;
    eviction_loss(loaded.problem(head), loss);
    for (std::int64_t s = 0; s < layer.selections; ++s) {
      for (std::int64_t g = 0; g < layer.group; ++g) {
        project(loss.difference.matrix(s * layer.group + g), packed[static_cast<std::size_t>(g)],
                {lost[static_cast<std::size_t>(s)].data(), layer.queries, layer.width, stride});
        for (std::int64_t r = 0; r < layer.queries; ++r) {
          const auto slot = static_cast<std::size_t>(s * layer.queries + r);
          const double mass = loss.retained_mass.at(s, g, r);
          const double total = loss.total_norm.at(0, g, r);
          bounds[slot].theta += loss_bound_theta(mass, total, loss.kept_norm.at(s, g, r));
          bounds[slot].eps_head += 2.0 * member_norm[static_cast<std::size_t>(g)] * (1.0 - mass);
          bounds[slot].scale += total;
          evicted[slot] += 1.0 - mass;
        }
      }
    }
  }
  for (std::int64_t s = 0; s < layer.selections; ++s) {
    for (std::int64_t r = 0; r < layer.queries; ++r) {
      const auto slot = static_cast<std::size_t>(s * layer.queries + r);
      bounds[slot].eps = 2.0 * largest_norm * evicted[slot];
      for (std::int64_t c = 0; c < layer.width; ++c) {
        bounds[slot].loss +=
            std::abs(lost[static_cast<std::size_t>(s)][static_cast<std::size_t>(r * stride + c)]);
      }
    }
  }
  return bounds;
}

TEST(EvictionLoss, T37_LossThetaEpsHeadAndEpsAreOrdered) {
  std::uint32_t seed = 1;
  for (const std::int64_t kv_heads : {1, 2, 3}) {
    for (const std::int64_t group : kGroups) {
      for (const std::int64_t tokens : {1, 33, 70}) {
        const Layer layer{kv_heads,
                          group,
                          tokens,
                          tokens == 33 ? 48 : 16,
                          tokens == 70 ? 33 : 7,
                          std::min<std::int64_t>(tokens, 9),
                          5};
        for (const Bounds& bounds : layer_bounds(layer, seed++)) {
          const double slack = 1e-5 * bounds.scale;
          ASSERT_LE(bounds.loss, bounds.theta + slack);
          ASSERT_LE(bounds.theta, bounds.eps_head + slack);
          ASSERT_LE(bounds.eps_head, bounds.eps + slack);
        }
      }
    }
  }
}

/// A head of two tokens with values +c and -c, the query weighs them a : 1 - a.
struct TightInstance {
  std::vector<float> keys = {1.0F, 0.0F, 0.0F, 0.0F};
  std::vector<float> values = {1.0F, 0.0F, -1.0F, 0.0F};
  std::vector<float> query;
  PackedMatrix projection;
  LoadedHead loaded;
  Tokens kept;
  Tokens positions = {1};

  explicit TightInstance(double a, double c, Tokens keep)
      : query{static_cast<float>(std::log(a / (1.0 - a))), 0.0F}, kept(std::move(keep)) {
    const std::vector<float> w = {static_cast<float>(c), 0.0F, 0.0F, static_cast<float>(c)};
    projection.pack({w.data(), 2, 2});
    loaded.keys.load(HeadSlice(tensor(keys), 0), nullptr);
    loaded.values.load(HeadSlice(tensor(values), 0));
    loaded.norms = {static_cast<float>(c), static_cast<float>(c)};
  }
  static traces::TensorView tensor(const std::vector<float>& data) {
    return {reinterpret_cast<const std::byte*>(data.data()), DType::kF32, {1, 2, 2}};
  }
  HeadLoss run() {
    const std::span<const std::int32_t> span(kept);
    HeadLossProblem problem;
    problem.queries = {query.data(), 1, 2};
    problem.positions = positions;
    problem.keys = &loaded.keys;
    problem.values = &loaded.values;
    problem.attention.scale = 1.0;
    problem.kept = {&span, 1};
    problem.selections = 1;
    problem.norms = {loaded.norms.data(), 1, 2};
    HeadLoss loss;
    eviction_loss(problem, loss);
    return loss;
  }
  double l1_loss(const HeadLoss& loss) const {
    std::vector<float> y(16, 0.0F);
    project(loss.difference.matrix(0), projection, {y.data(), 1, 2, 16});
    return std::abs(static_cast<double>(y[0])) + std::abs(static_cast<double>(y[1]));
  }
};

TEST(EvictionLoss, T38_TheTightInstanceReachesTheBound) {
  for (const double a : {0.1, 0.5, 0.7, 0.99}) {
    for (const double c : {1.0, 3.0}) {
      TightInstance instance(a, c, {0});
      const HeadLoss loss = instance.run();
      const double mass = loss.retained_mass.at(0, 0, 0);
      EXPECT_NEAR(mass, a, 1e-6);
      const double eps = 2.0 * c * (1.0 - a);
      EXPECT_NEAR(instance.l1_loss(loss), eps, 1e-5);
      EXPECT_NEAR(loss_bound_theta(mass, loss.total_norm.at(0, 0, 0), loss.kept_norm.at(0, 0, 0)),
                  eps, 1e-5);
    }
  }
}

TEST(EvictionLoss, T39_AHeadThatKeepsNothingItsQuerySeesOutputsZero) {
  for (const bool unseen : {false, true}) {
    TightInstance instance(0.7, 3.0, unseen ? Tokens{1} : Tokens{});
    instance.positions = {unseen ? 0 : 1};
    const HeadLoss loss = instance.run();
    EXPECT_EQ(loss.retained_mass.at(0, 0, 0), 0.0F);
    EXPECT_EQ(loss.kept_norm.at(0, 0, 0), 0.0F);
    EXPECT_EQ(loss.difference.data, loss.output.data);
    const double theta =
        loss_bound_theta(0.0, loss.total_norm.at(0, 0, 0), loss.kept_norm.at(0, 0, 0));
    EXPECT_NEAR(theta, 3.0, 1e-5);
    EXPECT_LE(instance.l1_loss(loss), theta + 1e-5);
  }
}

TEST(EvictionLoss, T39_AHeadThatKeepsNextToNothingStaysFinite) {
  // Weights down to the smallest that a float holds: 1 / F would overflow.
  const std::int64_t tokens = 4096;
  std::vector<float> keys(static_cast<std::size_t>(2 * tokens), 0.0F);
  std::vector<float> values(static_cast<std::size_t>(2 * tokens), 1.0F);
  keys[0] = -1.0F;
  values[0] = -2.0F;
  values[1] = 3.0F;
  const auto tensor = [&](const std::vector<float>& data) {
    return traces::TensorView{
        reinterpret_cast<const std::byte*>(data.data()), DType::kF32, {1, tokens, 2}};
  };
  HeadKeys packed_keys;
  packed_keys.load(HeadSlice(tensor(keys), 0), nullptr);
  HeadValues packed_values;
  packed_values.load(HeadSlice(tensor(values), 0));
  const std::vector<float> norms(static_cast<std::size_t>(tokens), 5.0F);
  const Tokens kept = {0};
  const std::span<const std::int32_t> span(kept);
  const std::vector<std::int32_t> positions = {static_cast<std::int32_t>(tokens - 1)};
  for (const float distance : {20.0F, 60.0F, 79.0F, 80.0F, 82.0F, 86.0F, 86.9F, 87.5F, 100.0F}) {
    const std::vector<float> query = {distance, 0.0F};
    HeadLossProblem problem;
    problem.queries = {query.data(), 1, 2};
    problem.positions = positions;
    problem.keys = &packed_keys;
    problem.values = &packed_values;
    problem.attention.scale = 1.0;
    problem.kept = {&span, 1};
    problem.selections = 1;
    problem.norms = {norms.data(), 1, tokens};
    HeadLoss loss;
    eviction_loss(problem, loss);
    const double mass = loss.retained_mass.at(0, 0, 0);
    ASSERT_LT(mass, 1e-6);
    for (std::int64_t t = 0; t < 2; ++t) {
      // Either o - v_0 or, once the weight has vanished, o. Denormal weights hold few bits.
      const double output = loss.output.at(0, 0, t);
      const double kept_output = t == 0 ? -2.0 : 3.0;
      EXPECT_NEAR(loss.difference.at(0, 0, t), mass > 0.0 ? output - kept_output : output,
                  mass > 1e-37 ? 1e-4 : 1e-2)
          << "distance " << distance << ", mass " << mass;
    }
    const double theta =
        loss_bound_theta(mass, loss.total_norm.at(0, 0, 0), loss.kept_norm.at(0, 0, 0));
    EXPECT_TRUE(std::isfinite(theta)) << "distance " << distance;
    EXPECT_LE(theta, 2.0 * 5.0 * (1.0 - mass) * 1.01);
  }
}

TEST(EvictionLoss, WithoutNormsTheRestIsTheSame) {
  AttentionCase item;
  item.group = 3;
  item.tokens = 100;
  item.queries = 9;
  item.rope.dim = 64;
  item.attention.scale = 0.125;
  const HeadProblem head(item);
  LoadedHead loaded = load(head);
  loaded.kept = {some_tokens(100, 0.2, 1), some_tokens(100, 0.5, 2), some_tokens(100, 0.8, 3)};
  HeadLoss without;
  eviction_loss(loaded.problem(head), without);
  loaded.norms.assign(300, 1.0F);
  HeadLoss with;
  eviction_loss(loaded.problem(head), with);
  EXPECT_EQ(without.difference.data, with.difference.data);
  EXPECT_EQ(without.retained_mass.data, with.retained_mass.data);
}

TEST(EvictionLoss, HeadsInParallelAreTheHeadsOneByOne) {
  std::vector<HeadProblem> heads;
  for (std::uint32_t i = 0; i < 12; ++i) {
    AttentionCase item;
    item.group = 1 + i % 3;
    item.head_dim = 48;
    item.rope.dim = 48;
    item.tokens = 100 + 60 * i;
    item.queries = 17;
    item.attention.scale = 0.15;
    heads.emplace_back(item, i);
  }
  const auto run = [&](int threads) {
    std::vector<std::vector<float>> results(heads.size());
    with_threads(threads, [&] {
      parallel_blocks(static_cast<std::int64_t>(heads.size()), 1,
                      [&](std::int64_t first, std::int64_t) {
                        const auto i = static_cast<std::size_t>(first);
                        LoadedHead loaded = load(heads[i]);
                        loaded.kept.assign(static_cast<std::size_t>(heads[i].item.group),
                                           some_tokens(heads[i].item.tokens, 0.4, 1));
                        HeadLoss loss;
                        eviction_loss(loaded.problem(heads[i]), loss);
                        results[i] = loss.difference.data;
                      });
    });
    return results;
  };
  const auto expected = run(1);
  EXPECT_EQ(run(2), expected);
  EXPECT_EQ(run(5), expected);
}

TEST(EvictionLoss, BitsDoNotDependOnTheThreadCount) {
  AttentionCase item;
  item.group = 4;
  item.head_dim = 80;
  item.rope.dim = 80;
  item.tokens = 1025;
  item.queries = 33;
  item.attention.scale = 0.1;
  const HeadProblem head(item);
  LoadedHead loaded = load(head);
  for (std::uint32_t slot = 0; slot < 8; ++slot) {
    loaded.kept.push_back(some_tokens(1025, 0.1 + 0.1 * slot, slot));
  }
  loaded.norms.assign(4 * 1025, 0.5F);
  const RandomHeads projections(1, 80, 130, DType::kF16, 9);
  PackedMatrix projection;
  projection.pack(HeadSlice(projections.view(), 0));
  std::vector<std::vector<float>> results;
  for (const int threads : {1, 2, 5}) {
    with_threads(threads, [&] {
      HeadLoss loss;
      eviction_loss(loaded.problem(head), loss);
      std::vector<float> y(33 * 144, 0.0F);
      project(loss.difference.matrix(3), projection, {y.data(), 33, 130, 144});
      std::vector<float>& result = results.emplace_back(y);
      for (const Tensor3* tensor : {&loss.output, &loss.difference, &loss.retained_mass,
                                    &loss.kept_norm, &loss.total_norm}) {
        result.insert(result.end(), tensor->data.begin(), tensor->data.end());
      }
    });
  }
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

TEST(Project, AddsTheProductToTheOutput) {
  for (const std::int64_t rows : {1, 7, 8, 9, 17, 33}) {
    for (const std::int64_t width : {1, 31, 33, 130}) {
      const std::int64_t stride = (width + 15) / 16 * 16 + 16;
      const RandomRows x(rows, 48, 10);
      const RandomHeads projections(2, 48, width, DType::kF16, 11);
      PackedMatrix projection;
      projection.pack(HeadSlice(projections.view(), 1));
      std::vector<float> y(static_cast<std::size_t>(rows * stride), 0.0F);
      for (int times = 1; times <= 2; ++times) {
        project(x.view(), projection, {y.data(), rows, width, stride});
        const Matrix expected = reference_product(x.exact, projections.exact(1));
        for (std::int64_t r = 0; r < rows; ++r) {
          for (std::int64_t c = 0; c < stride; ++c) {
            ASSERT_NEAR(y[static_cast<std::size_t>(r * stride + c)],
                        c < width ? times * expected.at(r, c) : 0.0, 2e-4)
                << rows << " rows, width " << width;
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace kvsieve::kernels::tests
