// What evictions cost, and the bounds above it.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "sim/eviction/replay_expectations.h"
#include "sim/eviction/trace_fixture.h"

namespace kvsieve::sim::tests {
namespace {

std::vector<EvictionPlan> some_plans(std::int64_t window) {
  std::vector<EvictionPlan> plans;
  for (const char* name : {"streaming-llm", "random", "ada-snapkv", "criticalkv"}) {
    for (const Granularity granularity : {Granularity::kKvHead, Granularity::kQueryHead}) {
      plans.push_back(plan_of(name, "25%", [&](EvictionMethod& method) {
        method.window = window;
        method.granularity = granularity;
      }));
    }
  }
  return plans;
}

void expect_reference_losses(const traces::Trace& trace, const std::vector<EvictionPlan>& plans) {
  Tally tally;
  for (const EvictionResult& result : replay_eviction(trace, plans, {})) {
    expect_sound(trace, result);
    expect_matches_reference(trace, result, tally);
  }
}

TEST(EvictionLoss, T33_LossesAreThoseOfDenseAttentionWithoutTheEvictedCells) {
  for (const std::int64_t group : {1, 2, 3, 4, 8}) {
    for (const std::int64_t head_dim : {2, 16, 40}) {
      TraceShape shape;
      shape.kv_heads = group == 8 ? 1 : 2;
      shape.q_heads = group * shape.kv_heads;
      shape.head_dim = head_dim;
      shape.seed = static_cast<std::uint64_t>(group * 100 + head_dim);
      const TraceFixture fixture(shape);
      expect_reference_losses(fixture.trace(), some_plans(10));
    }
  }
}

TEST(EvictionLoss, T34_WithNothingEvictedTheOutputIsTheFullOne) {
  TraceShape shape;
  shape.with_out = true;
  const TraceFixture fixture(shape);
  const EvictionResult full = replay_one(fixture.trace(), plan_of("full", "1"));
  const traces::ModelShape& model = fixture.trace().header().model;
  for (std::size_t i = 0; i < full.layers.size(); ++i) {
    const traces::TraceLayer layer = fixture.trace().layer(i);
    for (std::size_t step = 0; step < full.layers[i].queries.size(); ++step) {
      // y from the captured output alone.
      std::vector<double> y(static_cast<std::size_t>(model.width), 0.0);
      for (std::int64_t head = 0; head < model.q_heads; ++head) {
        std::vector<float> out(static_cast<std::size_t>(layer.out->shape[1] * model.head_dim));
        traces::to_float(layer.out->dtype,
                         layer.out->data + static_cast<std::size_t>(head) * out.size() * 4, out);
        std::vector<float> wo(static_cast<std::size_t>(model.head_dim * model.width));
        traces::to_float(layer.wo.dtype,
                         layer.wo.data + static_cast<std::size_t>(head) * wo.size() * 4, wo);
        const std::size_t row =
            (static_cast<std::size_t>(fixture.trace().prompt_queries()) + step) *
            static_cast<std::size_t>(model.head_dim);
        for (std::size_t t = 0; t < static_cast<std::size_t>(model.head_dim); ++t) {
          for (std::size_t c = 0; c < y.size(); ++c) {
            y[c] += static_cast<double>(out[row + t]) * static_cast<double>(wo[t * y.size() + c]);
          }
        }
      }
      double norm = 0.0;
      for (const double value : y) {
        norm += std::abs(value);
      }
      const QueryLoss& query = full.layers[i].queries[step];
      EXPECT_NEAR(query.output_l1, norm, 1e-5 * norm);
      EXPECT_EQ(query.l1_loss, 0.0);
    }
  }
}

TEST(EvictionLoss, T40_KeepingEverythingCostsExactlyNothing) {
  TraceShape shape;
  shape.prompt_tokens = 150;
  shape.peakiest = 8.0;
  const TraceFixture fixture(shape);
  std::vector<EvictionPlan> plans = {plan_of("full", "20%")};
  for (const EvictionMethod& preset : eviction_presets()) {
    plans.push_back({preset, Budget::parse("150")});
    plans.push_back({preset, Budget::parse("100%")});
    plans.back().method.granularity = Granularity::kQueryHead;
  }
  for (const EvictionResult& result : replay_eviction(fixture.trace(), plans, {})) {
    SCOPED_TRACE(result.method_name);
    const auto expect_nothing = [](const std::optional<LossFigures>& figures) {
      ASSERT_TRUE(figures);
      EXPECT_EQ(figures->evicted_mass, 0.0);
      EXPECT_EQ(figures->l1_loss, 0.0);
      EXPECT_EQ(figures->l1_loss_relative, 0.0);
      EXPECT_EQ(figures->bounds.eps, 0.0);
      EXPECT_EQ(figures->bounds.head, 0.0);
      EXPECT_EQ(figures->bounds.theta, 0.0);
    };
    for (const LayerEviction& layer : result.layers) {
      expect_nothing(layer.decode);
      expect_nothing(layer.uniform);
      expect_nothing(layer.observation);
      expect_nothing(layer.observation_uniform);
      for (const HeadEviction& head : layer.heads) {
        EXPECT_EQ(head.evicted_mass, 0.0);
        EXPECT_EQ(head.l1_loss, 0.0);
      }
      for (const QueryLoss& query : layer.queries) {
        EXPECT_GT(query.output_l1, 0.0);
      }
    }
    // Nothing over nothing is no ratio.
    EXPECT_FALSE(result.summary.ratio.evicted_mass);
    EXPECT_FALSE(result.summary.ratio.l1_loss);
    EXPECT_EQ(result.summary.ratio.layers_improved_mass, 0);
    EXPECT_EQ(result.summary.ratio.layers_improved_l1, 0);
  }
}

TEST(EvictionLoss, HeadsThatKeepEverythingBesideHeadsThatDoNot) {
  // Equal scores fill the first head before the others get anything.
  TraceShape shape;
  shape.q_heads = 6;
  shape.kv_heads = 2;
  shape.edit = clear_queries;
  const TraceFixture fixture(shape);
  for (const Granularity granularity : {Granularity::kKvHead, Granularity::kQueryHead}) {
    EvictionPlan plan = plan_of("ada-snapkv", "70", [&](EvictionMethod& method) {
      method.window = 12;
      method.alpha = {0, 1};
      method.granularity = granularity;
    });
    const EvictionResult result = replay_one(fixture.trace(), plan);
    for (const LayerEviction& layer : result.layers) {
      EXPECT_EQ(layer.heads.front().budget, 96);
      EXPECT_EQ(layer.heads.front().evicted_mass, 0.0);
      EXPECT_EQ(layer.heads.front().l1_loss, 0.0);
      EXPECT_LT(layer.heads.back().budget, 96);
      EXPECT_GT(layer.heads.back().evicted_mass, 0.0);
      EXPECT_GT(layer.heads.back().l1_loss, 0.0);
    }
    expect_reference_losses(fixture.trace(), {plan});
  }
}

TEST(EvictionLoss, T37_TheBoundsHoldInOrderForEveryQueryOfEveryLayer) {
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    TraceShape shape;
    shape.seed = seed;
    shape.q_heads = 6;
    shape.kv_heads = seed % 2 == 0 ? 2 : 3;
    shape.decode_tokens = 20;
    shape.peakiest = static_cast<double>(seed);
    shape.flattest = 0.3 * static_cast<double>(seed % 4);
    shape.dtype = seed % 3 == 0 ? traces::DType::kBF16 : traces::DType::kF32;
    // Uneven value norms tell the bounds apart.
    shape.edit = [](LayerTensors& tensors) {
      for (std::size_t head = 0; head < tensors.v.size(); ++head) {
        for (std::size_t i = 0; i < tensors.v[head].size(); ++i) {
          tensors.v[head][i] *= i / 16 % 5 == 0 ? 6.0F : static_cast<float>(head + 1);
        }
      }
    };
    const TraceFixture fixture(shape);
    std::vector<EvictionPlan> plans;
    for (const EvictionMethod& preset : eviction_presets()) {
      for (const char* budget : {"12", "20%", "70%"}) {
        plans.push_back({preset, Budget::parse(budget)});
        plans.back().method.window = 12;
        plans.back().method.granularity =
            plans.size() % 2 == 0 ? Granularity::kKvHead : Granularity::kQueryHead;
      }
    }
    for (const EvictionResult& result : replay_eviction(fixture.trace(), plans, {})) {
      expect_sound(fixture.trace(), result);
      for (const LayerEviction& layer : result.layers) {
        for (const auto& figures :
             {layer.decode, layer.uniform, layer.observation, layer.observation_uniform}) {
          const double rounding = 1e-5 * layer.queries[0].output_l1 + 1e-6 * figures->bounds.eps;
          EXPECT_LE(figures->l1_loss, figures->bounds.theta + rounding);
          EXPECT_LE(figures->bounds.theta, figures->bounds.head + rounding);
          EXPECT_LE(figures->bounds.head, figures->bounds.eps + rounding);
        }
      }
    }
  }
}

TEST(EvictionLoss, T38_TheTightInstanceReachesEps) {
  // One head, U rows +c and -c: loss = 2 c (1 - F) = eps, and so are the bounds between.
  TraceShape shape;
  shape.layers = 1;
  shape.q_heads = 1;
  shape.kv_heads = 1;
  shape.head_dim = 2;
  shape.width = 3;
  shape.prompt_tokens = 40;
  shape.prompt_queries = 10;
  shape.edit = [](LayerTensors& tensors) {
    clear_queries(tensors);
    for (std::int64_t j = 0; j < 45; ++j) {
      tensors.row(tensors.v, 0, j)[0] = j < 30 ? 1.0F : -1.0F;
      tensors.row(tensors.v, 0, j)[1] = 0.0F;
    }
    tensors.wo[0] = {0.5F, -2.0F, 0.25F, 7.0F, 7.0F, 7.0F};  // c = 2.75
  };
  const TraceFixture fixture(shape);
  const EvictionResult result = replay_one(
      fixture.trace(), plan_of("streaming-llm", "10", [](EvictionMethod& m) { m.window = 10; }));
  for (const QueryLoss& query : result.layers[0].queries) {
    const double evicted = 30.0 / (static_cast<double>(query.position) + 1.0);
    EXPECT_NEAR(query.evicted_mass, evicted, 1e-6);
    EXPECT_NEAR(query.bounds.eps, 2.0 * 2.75 * evicted, 1e-5);
    EXPECT_NEAR(query.bounds.head, query.bounds.eps, 1e-5);
    EXPECT_NEAR(query.bounds.theta, query.bounds.eps, 1e-5);
    EXPECT_NEAR(query.l1_loss, query.bounds.eps, 1e-5);
  }
}

TEST(EvictionLoss, T39_HeadsWhoseKeptMassVanishesStayFiniteAndWithinTheBounds) {
  // Token 5 draws all attention of every query, so that in fp32 nothing is left for the others.
  TraceShape shape;
  shape.rope.dim = 2;
  shape.edit = [](LayerTensors& tensors) {
    clear_first_pair(tensors);
    for (std::size_t head = 0; head < tensors.k.size(); ++head) {
      for (float& value : tensors.row(tensors.k, static_cast<std::int64_t>(head), 5)) {
        value = 0.0F;
      }
      tensors.row(tensors.k, static_cast<std::int64_t>(head), 5)[9] = 100.0F;
    }
    for (std::size_t head = 0; head < tensors.q.size(); ++head) {
      for (std::int64_t i = 0; i < 101; ++i) {
        tensors.row(tensors.q, static_cast<std::int64_t>(head), i)[9] = 100.0F;
      }
    }
  };
  const TraceFixture fixture(shape);
  const EvictionPlan plan =
      plan_of("streaming-llm", "12", [](EvictionMethod& method) { method.window = 12; });
  const EvictionResult result = replay_one(fixture.trace(), plan);
  expect_sound(fixture.trace(), result);
  for (const LayerEviction& layer : result.layers) {
    for (const QueryLoss& query : layer.queries) {
      EXPECT_EQ(query.evicted_mass, 1.0);
      // Heads that output nothing lose what they had.
      EXPECT_NEAR(query.l1_loss, query.output_l1, 1e-5 * query.output_l1);
      EXPECT_TRUE(std::isfinite(query.bounds.theta));
    }
  }
  // Methods that look keep the token.
  const EvictionResult seeing =
      replay_one(fixture.trace(), plan_of("snapkv", "13", [](EvictionMethod& m) {
                   m.window = 12;
                   m.pool = pooling_from_name("none");
                 }));
  EXPECT_LT(seeing.summary.decode->evicted_mass, 1e-6);
}

TEST(EvictionLoss, MoreQueriesThanAreMeasuredTogetherMatchTheReference) {
  TraceShape shape;
  shape.layers = 1;
  shape.prompt_tokens = 330;
  shape.prompt_queries = 330;
  for (const std::int64_t steps : {255, 256, 257, 600}) {
    shape.decode_tokens = steps;
    const TraceFixture fixture(shape);
    // The window is measured in pieces as well.
    expect_reference_losses(
        fixture.trace(),
        {plan_of("ada-snapkv", "310", [](EvictionMethod& method) { method.window = 300; })});
  }
}

TEST(EvictionLoss, UnitsLossesAreThoseOfTheirHeadsAlone) {
  // With the other heads' W_O at zero, the layer's loss is that of the one unit.
  for (const Granularity granularity : {Granularity::kKvHead, Granularity::kQueryHead}) {
    const auto plan = plan_of("snapkv", "30", [&](EvictionMethod& method) {
      method.window = 12;
      method.granularity = granularity;
    });
    TraceShape shape;
    const TraceFixture whole(shape);
    const EvictionResult reference = replay_one(whole.trace(), plan);
    const std::size_t members = granularity == Granularity::kKvHead ? 2 : 1;
    for (std::size_t unit = 0; unit < 4 / members; ++unit) {
      shape.edit = [&](LayerTensors& tensors) {
        for (std::size_t head = 0; head < 4; ++head) {
          if (head / members != unit) {
            std::fill(tensors.wo[head].begin(), tensors.wo[head].end(), 0.0F);
          }
        }
      };
      const TraceFixture fixture(shape);
      const EvictionResult alone = replay_one(fixture.trace(), plan);
      for (std::size_t i = 0; i < alone.layers.size(); ++i) {
        const HeadEviction& head = reference.layers[i].heads[unit];
        EXPECT_EQ(alone.layers[i].heads[unit].kept, head.kept);
        EXPECT_NEAR(alone.layers[i].decode->l1_loss, head.l1_loss, 1e-5 * head.l1_loss);
        EXPECT_NEAR(alone.layers[i].heads[unit].l1_loss, head.l1_loss, 1e-5 * head.l1_loss);
        EXPECT_EQ(alone.layers[i].heads[(unit + 1) % (4 / members)].l1_loss, 0.0);
      }
    }
  }
}

TEST(EvictionLoss, WithoutTheBoundEverythingElseIsTheSame) {
  const TraceFixture fixture({});
  for (const char* name : {"ada-snapkv", "ada-criticalkv"}) {
    const EvictionResult with = replay_one(fixture.trace(), plan_of(name, "45%"));
    const EvictionResult without =
        replay_one(fixture.trace(), plan_of(name, "45%"), {.bound = false});
    EXPECT_TRUE(with.bound);
    EXPECT_FALSE(without.bound);
    for (std::size_t i = 0; i < with.layers.size(); ++i) {
      EXPECT_EQ(kept_lists(with.layers[i]), kept_lists(without.layers[i]));
      EXPECT_EQ(with.layers[i].decode->l1_loss, without.layers[i].decode->l1_loss);
      EXPECT_EQ(with.layers[i].decode->evicted_mass, without.layers[i].decode->evicted_mass);
      EXPECT_GT(with.layers[i].decode->bounds.eps, 0.0);
      EXPECT_EQ(without.layers[i].decode->bounds.eps, 0.0);
      EXPECT_EQ(without.layers[i].uniform->bounds.head, 0.0);
      EXPECT_EQ(without.layers[i].observation->bounds.theta, 0.0);
    }
  }
}

TEST(EvictionLoss, NeverDependsOnValuesBehindTheQuery) {
  // Decoded tokens after a step must not reach its loss.
  TraceShape shape;
  const TraceFixture plain(shape);
  shape.edit = [](LayerTensors& tensors) {
    for (std::size_t head = 0; head < tensors.k.size(); ++head) {
      for (float& value : tensors.row(tensors.k, static_cast<std::int64_t>(head), 100)) {
        value = 50.0F;
      }
      for (float& value : tensors.row(tensors.v, static_cast<std::int64_t>(head), 100)) {
        value = -50.0F;
      }
    }
  };
  const TraceFixture changed(shape);
  const EvictionPlan plan = plan_of("ada-snapkv", "40%");
  const EvictionResult before = replay_one(plain.trace(), plan, {.bound = false});
  const EvictionResult after = replay_one(changed.trace(), plan, {.bound = false});
  for (std::size_t i = 0; i < before.layers.size(); ++i) {
    EXPECT_EQ(kept_lists(before.layers[i]), kept_lists(after.layers[i]));
    for (std::size_t step = 0; step < 4; ++step) {
      EXPECT_EQ(before.layers[i].queries[step].l1_loss, after.layers[i].queries[step].l1_loss);
    }
    EXPECT_NE(before.layers[i].queries[4].l1_loss, after.layers[i].queries[4].l1_loss);
    EXPECT_EQ(before.layers[i].observation->l1_loss, after.layers[i].observation->l1_loss);
  }
}

}  // namespace
}  // namespace kvsieve::sim::tests
