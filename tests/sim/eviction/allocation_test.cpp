// Who gets how much: budgets of layers and heads, on whole replays.

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>
#include <vector>

#include "sim/eviction/replay_expectations.h"
#include "sim/eviction/trace_fixture.h"

namespace kvsieve::sim::tests {
namespace {

using Budgets = std::vector<std::int64_t>;

EvictionPlan adaptive_plan(std::string_view budget, kernels::Decimal alpha,
                           std::string_view mode = "blend", std::string_view pool = "max:7") {
  return plan_of("ada-snapkv", budget, [&](EvictionMethod& method) {
    method.window = 12;
    method.alpha = alpha;
    method.alpha_mode = alpha_mode_from_name(mode);
    method.pool = pooling_from_name(pool);
  });
}

/// Four KV heads whose concentration differs.
TraceShape four_heads() {
  TraceShape shape;
  shape.q_heads = 8;
  shape.kv_heads = 4;
  shape.flattest = 0.2;
  shape.peakiest = 5.0;
  return shape;
}

/// A model in which a token's position does not matter to RoPE.
TraceShape position_free() {
  TraceShape shape = four_heads();
  shape.rope.dim = 2;
  shape.edit = clear_first_pair;
  return shape;
}

Budgets without_window(const LayerEviction& layer, std::int64_t window) {
  Budgets budgets = budgets_of(layer);
  for (std::int64_t& budget : budgets) {
    budget -= window;
  }
  return budgets;
}

TEST(Allocation, T04_AlphaOneIsUniformAlphaZeroTheGlobalTopAndPaperLiteralSwapsThem) {
  const TraceFixture fixture(four_heads());
  const auto layers = [&](const EvictionPlan& plan) {
    std::vector<KeptLists> kept;
    for (const LayerEviction& layer : replay_one(fixture.trace(), plan).layers) {
      kept.push_back(kept_lists(layer));
    }
    return kept;
  };
  const EvictionPlan uniform =
      plan_of("snapkv", "30%", [](EvictionMethod& method) { method.window = 12; });
  for (const char* mode : {"blend", "floor", "official-rounding"}) {
    EXPECT_EQ(layers(adaptive_plan("30%", {1, 1}, mode)), layers(uniform)) << mode;
  }
  EXPECT_EQ(layers(adaptive_plan("30%", {0, 1}, "paper-literal")), layers(uniform));
  const auto pure = layers(adaptive_plan("30%", {0, 1}));
  EXPECT_NE(pure, layers(uniform));
  for (const char* mode : {"floor", "floor-kvpress", "official-rounding"}) {
    EXPECT_EQ(layers(adaptive_plan("30%", {0, 1}, mode)), pure) << mode;
  }
  EXPECT_EQ(layers(adaptive_plan("30%", {1, 1}, "paper-literal")), pure);
  EXPECT_EQ(layers(adaptive_plan("30%", {3, 10}, "paper-literal")),
            layers(adaptive_plan("30%", {7, 10})));

  // alpha 0: exactly the h * b largest scores of the layer.
  const LayerEviction layer =
      replay_one(fixture.trace(), adaptive_plan("30%", {0, 1})).layers.at(0);
  const Matrix scores =
      ReferenceLayer(fixture.trace(), 0).scores(adaptive_plan("30%", {0, 1}).method);
  double smallest_kept = 1.0;
  double largest_evicted = 0.0;
  for (std::int64_t head = 0; head < scores.rows; ++head) {
    const auto& kept = layer.heads[static_cast<std::size_t>(head)].kept;
    for (std::int64_t j = 0; j < scores.cols; ++j) {
      if (std::binary_search(kept.begin(), kept.end(), j)) {
        smallest_kept = std::min(smallest_kept, scores.at(head, j));
      } else {
        largest_evicted = std::max(largest_evicted, scores.at(head, j));
      }
    }
  }
  EXPECT_GE(smallest_kept, largest_evicted);
}

TEST(Allocation, EveryExactModeSpendsTheWholeBudget) {
  const TraceFixture fixture(four_heads());
  for (const char* mode : {"blend", "floor", "floor-kvpress", "paper-literal"}) {
    for (const kernels::Decimal alpha :
         {kernels::Decimal{0, 1}, {1, 10}, {2, 10}, {37, 100}, {1, 1}}) {
      for (std::int64_t budget = 12; budget <= 98; budget += 7) {
        const EvictionPlan plan = adaptive_plan(std::to_string(budget), alpha, mode);
        for (const LayerEviction& layer : replay_one(fixture.trace(), plan).layers) {
          EXPECT_EQ(layer.budget_total, 4 * std::min<std::int64_t>(budget, 96)) << mode;
          if (std::string_view(mode) == "floor") {
            for (const std::int64_t own : without_window(layer, 12)) {
              EXPECT_GE(own, alpha.floor_times(std::min<std::int64_t>(budget, 96) - 12));
            }
          }
        }
      }
    }
  }
}

TEST(Allocation, T11_OneMoreTokenOfBudgetOnlyAddsCells) {
  const TraceFixture fixture(four_heads());
  for (const char* name :
       {"snapkv", "h2o", "tova", "knorm", "streaming-llm", "random", "ada-snapkv"}) {
    std::vector<LayerEviction> before;
    for (std::int64_t budget = 12; budget <= 97; ++budget) {
      const EvictionPlan plan = plan_of(name, std::to_string(budget), [](EvictionMethod& method) {
        method.window = 12;
        method.alpha = {0, 1};
      });
      const std::vector<LayerEviction> layers = replay_one(fixture.trace(), plan).layers;
      for (std::size_t i = 0; i < before.size(); ++i) {
        EXPECT_EQ(layers[i].budget_total, before[i].budget_total + (budget <= 96 ? 4 : 0));
        for (std::size_t head = 0; head < 4; ++head) {
          const auto& more = layers[i].heads[head].kept;
          const auto& less = before[i].heads[head].kept;
          EXPECT_TRUE(std::includes(more.begin(), more.end(), less.begin(), less.end()));
          if (!plan.method.adaptive) {
            EXPECT_EQ(more.size(), less.size() + (budget <= 96 ? 1 : 0)) << name;
          }
        }
      }
      before = layers;
    }
  }
}

TEST(Allocation, T12_ScalingAllKeysAgainstTheQueriesChangesNothing) {
  TraceShape shape = four_heads();
  const TraceFixture plain(shape);
  shape.edit = [](LayerTensors& tensors) {
    for (std::vector<float>& head : tensors.k) {
      std::transform(head.begin(), head.end(), head.begin(), [](float x) { return 2.0F * x; });
    }
    for (std::vector<float>& head : tensors.q) {
      std::transform(head.begin(), head.end(), head.begin(), [](float x) { return 0.5F * x; });
    }
  };
  const TraceFixture scaled(shape);
  for (const char* name : {"ada-snapkv", "knorm", "h2o", "ada-criticalkv"}) {
    const EvictionPlan plan =
        plan_of(name, "40%", [](EvictionMethod& method) { method.adaptive = true; });
    expect_identical(replay_one(plain.trace(), plan), replay_one(scaled.trace(), plan));
  }
}

TEST(Allocation, T12_HigherScoresOfOneHeadNeverLowerItsShare) {
  for (const float factor : {0.9F, 0.5F, 0.1F}) {
    TraceShape shape = four_heads();
    const EvictionPlan plan = plan_of("knorm", "40%", [](EvictionMethod& method) {
      method.adaptive = true;
      method.alpha = {0, 1};
    });
    const TraceFixture plain(shape);
    shape.edit = [&](LayerTensors& tensors) {
      for (float& value : tensors.k[2]) {
        value *= factor;
      }
    };
    const TraceFixture raised(shape);
    const EvictionResult before = replay_one(plain.trace(), plan);
    const EvictionResult after = replay_one(raised.trace(), plan);
    for (std::size_t i = 0; i < before.layers.size(); ++i) {
      EXPECT_GT(after.layers[i].heads[2].budget, before.layers[i].heads[2].budget);
      for (const std::size_t other : {0U, 1U, 3U}) {
        EXPECT_LE(after.layers[i].heads[other].budget, before.layers[i].heads[other].budget);
      }
    }
  }
}

TEST(Allocation, T13_PermutedHeadsHavePermutedBudgets) {
  TraceShape shape = four_heads();
  const TraceFixture plain(shape);
  shape.edit = [](LayerTensors& tensors) {
    std::rotate(tensors.k.begin(), tensors.k.begin() + 1, tensors.k.end());
    std::rotate(tensors.v.begin(), tensors.v.begin() + 1, tensors.v.end());
    std::rotate(tensors.q.begin(), tensors.q.begin() + 2, tensors.q.end());
    std::rotate(tensors.wo.begin(), tensors.wo.begin() + 2, tensors.wo.end());
  };
  const TraceFixture rotated(shape);
  for (const Granularity granularity : {Granularity::kKvHead, Granularity::kQueryHead}) {
    for (const char* name : {"ada-snapkv", "snapkv", "ada-criticalkv", "h2o", "tova", "knorm"}) {
      const EvictionPlan plan = plan_of(name, "30%", [&](EvictionMethod& method) {
        method.window = 12;
        method.alpha = {0, 1};
        method.granularity = granularity;
      });
      const EvictionResult before = replay_one(plain.trace(), plan);
      const EvictionResult after = replay_one(rotated.trace(), plan);
      for (std::size_t i = 0; i < before.layers.size(); ++i) {
        KeptLists expected = kept_lists(before.layers[i]);
        const int step = granularity == Granularity::kKvHead ? 1 : 2;
        std::rotate(expected.begin(), expected.begin() + step, expected.end());
        EXPECT_EQ(kept_lists(after.layers[i]), expected) << name;
        EXPECT_NEAR(after.layers[i].decode->l1_loss, before.layers[i].decode->l1_loss,
                    1e-5 * before.layers[i].queries[0].output_l1);
      }
    }
  }
}

TEST(Allocation, T13_PermutedTokensAreKeptPermutedWithoutPooling) {
  constexpr std::int64_t kCandidates = 96 - 12;
  const TraceFixture plain(position_free());
  TraceShape shape = position_free();
  shape.edit = [](LayerTensors& tensors) {
    clear_first_pair(tensors);
    for (std::vector<std::vector<float>>* tensor : {&tensors.k, &tensors.v}) {
      for (std::int64_t head = 0; head < 4; ++head) {
        for (std::int64_t j = 0; j < kCandidates / 2; ++j) {
          const std::span<float> row = tensors.row(*tensor, head, j);
          std::swap_ranges(row.begin(), row.end(),
                           tensors.row(*tensor, head, kCandidates - 1 - j).begin());
        }
      }
    }
  };
  const TraceFixture mirrored(shape);
  for (const char* name : {"ada-snapkv", "snapkv", "tova", "knorm", "ada-criticalkv"}) {
    const EvictionPlan plan = plan_of(name, "30%", [](EvictionMethod& method) {
      method.window = 12;
      method.pool = pooling_from_name("none");
    });
    const EvictionResult before = replay_one(plain.trace(), plan);
    const EvictionResult after = replay_one(mirrored.trace(), plan);
    for (std::size_t i = 0; i < before.layers.size(); ++i) {
      KeptLists expected = kept_lists(before.layers[i]);
      for (std::vector<std::int32_t>& kept : expected) {
        for (std::int32_t& j : kept) {
          j = j < kCandidates ? static_cast<std::int32_t>(kCandidates - 1 - j) : j;
        }
        std::sort(kept.begin(), kept.end());
      }
      EXPECT_EQ(kept_lists(after.layers[i]), expected) << name;
      EXPECT_NEAR(after.layers[i].decode->evicted_mass, before.layers[i].decode->evicted_mass,
                  1e-5);
    }
  }
}

TEST(Allocation, T14_EqualHeadsGetEqualBudgets) {
  TraceShape shape = four_heads();
  shape.edit = [](LayerTensors& tensors) {
    for (std::vector<float>& head : tensors.k) {
      head = tensors.k[0];
    }
    for (std::vector<float>& head : tensors.q) {
      head = tensors.q[7];
    }
  };
  const TraceFixture fixture(shape);
  for (const char* mode :
       {"blend", "floor", "floor-kvpress", "paper-literal", "official-rounding"}) {
    for (const char* budget : {"20", "33", "50%"}) {
      const EvictionResult result =
          replay_one(fixture.trace(), adaptive_plan(budget, {2, 10}, mode, "none"));
      for (const LayerEviction& layer : result.layers) {
        const Budgets budgets = budgets_of(layer);
        EXPECT_EQ(std::set<std::int64_t>(budgets.begin(), budgets.end()).size(), 1U) << mode;
        if (std::string_view(mode) != "official-rounding") {
          EXPECT_EQ(budgets[0], result.budget_tokens);
        }
      }
    }
  }
}

TEST(Allocation, T15_EqualScoresGoToTheLowerHeadThenTheLowerToken) {
  TraceShape shape = four_heads();
  shape.edit = clear_queries;
  const TraceFixture fixture(shape);
  const auto expect_first_tokens = [](const LayerEviction& layer, const Budgets& free) {
    EXPECT_EQ(without_window(layer, 12), free);
    for (const HeadEviction& head : layer.heads) {
      for (std::int64_t i = 0; i < head.budget; ++i) {
        const std::int64_t expected = i < head.budget - 12 ? i : 96 - head.budget + i;
        EXPECT_EQ(head.kept[static_cast<std::size_t>(i)], expected);
      }
    }
  };
  // 4 heads, 84 candidates each, b = 30: the 120 cells fill head 0 and 36 tokens of head 1.
  const std::vector<std::pair<EvictionPlan, Budgets>> cases = {
      {plan_of("snapkv", "42", [](EvictionMethod& m) { m.window = 12; }), {30, 30, 30, 30}},
      {adaptive_plan("42", {0, 1}), {84, 36, 0, 0}},
      {adaptive_plan("42", {0, 1}, "blend", "none"), {84, 36, 0, 0}},
      // 0.8 * (84, 36, 0, 0) + 6 = (73.2, 34.8, 6, 6)
      {adaptive_plan("42", {2, 10}), {73, 35, 6, 6}},
      {adaptive_plan("42", {2, 10}, "paper-literal"), {41, 31, 24, 24}},
      // 6 each first, then the other 96 cells: 78 of head 0 and 18 of head 1.
      {adaptive_plan("42", {2, 10}, "floor"), {84, 24, 6, 6}},
      // floor(0.2 * 42) = 8 lie within the window.
      {adaptive_plan("42", {2, 10}, "floor-kvpress"), {84, 36, 0, 0}},
      {adaptive_plan("42", {2, 10}, "official-rounding"), {73, 35, 6, 6}},
  };
  for (const auto& [plan, free] : cases) {
    SCOPED_TRACE(plan.method.name + std::string(name_of(plan.method.alpha_mode)));
    for (const LayerEviction& layer : replay_one(fixture.trace(), plan).layers) {
      expect_first_tokens(layer, free);
    }
  }

  // Sinks count like the window: floor(0.6 * 42) = 25 less 12 and 4 leaves 9 of b = 26 each, and
  // head 0 takes the other 68 cells.
  EvictionPlan plan = adaptive_plan("42", {6, 10}, "floor-kvpress");
  plan.method.sinks = 4;
  for (const LayerEviction& layer : replay_one(fixture.trace(), plan).layers) {
    EXPECT_EQ(without_window(layer, 16), (Budgets{77, 9, 9, 9}));
  }
}

TEST(Allocation, T16_BudgetsAtTheEnds) {
  const TraceFixture fixture(four_heads());
  std::vector<std::int32_t> everything(96);
  std::iota(everything.begin(), everything.end(), 0);
  const std::vector<std::int32_t> window(everything.end() - 12, everything.end());
  for (const EvictionMethod& preset : eviction_presets()) {
    if (preset.scorer == Scorer::kNone) {
      continue;
    }
    EvictionPlan plan{preset, {}};
    plan.method.window = 12;
    for (const auto& [budget, kept] :
         std::vector<std::pair<const char*, std::vector<std::int32_t>>>{{"0", window},
                                                                        {"0%", window},
                                                                        {"11", window},
                                                                        {"12", window},
                                                                        {"96", everything},
                                                                        {"100%", everything},
                                                                        {"5000", everything},
                                                                        {"1GiB", everything}}) {
      plan.budget = Budget::parse(budget);
      const EvictionResult result = replay_one(fixture.trace(), plan);
      for (const LayerEviction& layer : result.layers) {
        for (const HeadEviction& head : layer.heads) {
          EXPECT_EQ(head.kept, kept) << preset.name << " at " << budget;
        }
      }
      const bool warned = std::any_of(
          result.warnings.begin(), result.warnings.end(), [](const std::string& warning) {
            return warning.find("only the window is kept") != std::string::npos;
          });
      EXPECT_EQ(warned, kept == window) << preset.name << " at " << budget;
    }
  }
}

TEST(Allocation, T17_OneHeadAloneGetsTheUniformBudget) {
  TraceShape shape;
  shape.q_heads = 4;
  shape.kv_heads = 1;
  const TraceFixture fixture(shape);
  for (const char* mode : {"blend", "floor", "floor-kvpress", "paper-literal"}) {
    const EvictionResult adaptive = replay_one(fixture.trace(), adaptive_plan("40", {2, 10}, mode));
    const EvictionResult uniform = replay_one(
        fixture.trace(), plan_of("snapkv", "40", [](EvictionMethod& m) { m.window = 12; }));
    for (std::size_t i = 0; i < adaptive.layers.size(); ++i) {
      EXPECT_EQ(kept_lists(adaptive.layers[i]), kept_lists(uniform.layers[i]));
    }
    EXPECT_TRUE(std::any_of(adaptive.warnings.begin(), adaptive.warnings.end(), [](const auto& w) {
      return w.find("one KV head") != std::string::npos;
    }));
    EXPECT_TRUE(uniform.warnings.empty());
  }
}

TEST(Allocation, T17_PromptsWithinTheWindowAreKeptWhole) {
  for (const std::int64_t n : {1, 5, 31, 32}) {
    TraceShape shape;
    shape.prompt_tokens = n;
    const TraceFixture fixture(shape);
    for (const EvictionMethod& preset : eviction_presets()) {
      for (const char* budget : {"0", "3", "50%", "32", "100"}) {
        const EvictionResult result = replay_one(fixture.trace(), {preset, Budget::parse(budget)});
        for (const LayerEviction& layer : result.layers) {
          EXPECT_EQ(layer.budget_total, 2 * n) << preset.name << " at " << budget;
        }
      }
    }
  }
}

TEST(Allocation, T17_OneTokenBeyondTheWindow) {
  TraceShape shape;
  shape.prompt_tokens = 33;
  const TraceFixture fixture(shape);
  for (const EvictionMethod& preset : eviction_presets()) {
    if (preset.scorer == Scorer::kNone) {
      continue;
    }
    for (const auto& [budget, total] : {std::pair("32", 64), {"33", 66}, {"34", 66}}) {
      const EvictionResult result = replay_one(fixture.trace(), {preset, Budget::parse(budget)});
      for (const LayerEviction& layer : result.layers) {
        EXPECT_EQ(layer.budget_total, total) << preset.name << " at " << budget;
      }
    }
  }
}

TEST(Allocation, SinksAreKeptAndCountedAfterTheWindow) {
  const TraceFixture fixture(four_heads());
  for (const auto& [budget, sinks] : {std::pair(12, 0), {14, 2}, {17, 5}, {30, 5}}) {
    for (const char* name : {"ada-snapkv", "streaming-llm", "random", "criticalkv", "knorm"}) {
      const EvictionPlan plan = plan_of(name, std::to_string(budget), [](EvictionMethod& method) {
        method.window = 12;
        method.sinks = 5;
        method.alpha = {1, 1};
      });
      const EvictionResult result = replay_one(fixture.trace(), plan);
      for (const LayerEviction& layer : result.layers) {
        for (const HeadEviction& head : layer.heads) {
          EXPECT_EQ(head.budget, budget) << name;
          for (std::int32_t j = 0; j < sinks; ++j) {
            EXPECT_EQ(head.kept[static_cast<std::size_t>(j)], j) << name;
          }
        }
      }
    }
  }
  const EvictionResult streaming = replay_one(fixture.trace(), plan_of("streaming-llm", "40"));
  for (const HeadEviction& head : streaming.layers[0].heads) {
    // 4 sinks and the newest 36.
    EXPECT_EQ(head.kept[3], 3);
    EXPECT_EQ(head.kept[4], 60);
    EXPECT_EQ(head.budget, 40);
  }
}

TEST(Allocation, T20_TheDefaultsAdapt) {
  TraceShape shape;
  shape.q_heads = 2;
  shape.kv_heads = 2;
  shape.flattest = 0.05;
  shape.peakiest = 5.0;
  shape.prompt_tokens = 200;
  const TraceFixture fixture(shape);
  const EvictionResult result = replay_one(fixture.trace(), {eviction_presets()[8], {}});
  EXPECT_EQ(result.method_name, "ada-snapkv");
  EXPECT_EQ(result.budget_tokens, 40);
  for (const LayerEviction& layer : result.layers) {
    EXPECT_EQ(layer.budget_total, 80);
    EXPECT_NE(layer.heads[0].budget, layer.heads[1].budget);
    // alpha 0.2 of b = 8 outside the window stays with the loser.
    EXPECT_GE(std::min(layer.heads[0].budget, layer.heads[1].budget), 32 + 1);
  }
}

TEST(Allocation, T25_QueryHeadsBelongToTheKvHeadOfTheirGroup) {
  // Query heads 3, 4 and 5 look at token 7 of KV head 1, the other query heads at nothing special.
  TraceShape shape = position_free();
  shape.q_heads = 6;
  shape.kv_heads = 2;
  shape.edit = [](LayerTensors& tensors) {
    clear_first_pair(tensors);
    clear_queries(tensors);
    for (std::int64_t head = 0; head < 2; ++head) {
      for (std::int64_t j = 0; j < 101; ++j) {
        tensors.row(tensors.k, head, j)[4] = j == 70 || (j == 7 && head == 1) ? 4.0F : 0.0F;
      }
    }
    for (std::int64_t head = 3; head < 6; ++head) {
      for (std::int64_t i = 0; i < 101; ++i) {
        tensors.row(tensors.q, head, i)[4] = 10.0F;
      }
    }
  };
  const TraceFixture fixture(shape);
  const auto mark = [](EvictionMethod& method) {
    method.window = 12;
    method.pool = pooling_from_name("none");
  };
  const LayerEviction kv = replay_one(fixture.trace(), plan_of("snapkv", "14", mark)).layers.at(0);
  EXPECT_EQ(kv.heads[0].kept[0], 0);  // all scores are equal
  EXPECT_EQ(kv.heads[0].kept[1], 1);
  EXPECT_EQ(kv.heads[1].kept[0], 7);
  EXPECT_EQ(kv.heads[1].kept[1], 70);
  EvictionPlan plan = plan_of("snapkv", "14", mark);
  plan.method.granularity = Granularity::kQueryHead;
  const LayerEviction query = replay_one(fixture.trace(), plan).layers.at(0);
  ASSERT_EQ(query.heads.size(), 6U);
  for (std::size_t head = 0; head < 6; ++head) {
    EXPECT_EQ(query.heads[head].kept[0], head < 3 ? 0 : 7) << head;
    EXPECT_EQ(query.heads[head].kept[1], head < 3 ? 1 : 70) << head;
  }
}

TEST(Allocation, T26_TheGroupIsReducedBeforePooling) {
  const TraceFixture fixture(four_heads());
  const ReferenceLayer reference(fixture.trace(), 0);
  for (const char* pool : {"max:7", "avg:7"}) {
    EvictionPlan plan = plan_of("snapkv", "30", [&](EvictionMethod& method) {
      method.window = 12;
      method.pool = pooling_from_name(pool);
    });
    const LayerEviction layer = replay_one(fixture.trace(), plan).layers.at(0);
    EvictionMethod per_query_head = plan.method;
    per_query_head.granularity = Granularity::kQueryHead;
    const Matrix pooled = reference.scores(per_query_head);
    int differing = 0;
    for (std::int64_t head = 0; head < 4; ++head) {
      // Pooled first, then the mean of the group: the other order.
      std::vector<std::pair<double, std::int32_t>> ranked;
      for (std::int64_t j = 0; j < pooled.cols; ++j) {
        ranked.emplace_back(-(pooled.at(2 * head, j) + pooled.at(2 * head + 1, j)),
                            static_cast<std::int32_t>(j));
      }
      std::sort(ranked.begin(), ranked.end());
      std::vector<std::int32_t> other;
      for (std::size_t i = 0; i < 30 - 12; ++i) {
        other.push_back(ranked[i].second);
      }
      std::sort(other.begin(), other.end());
      const auto& kept = layer.heads[static_cast<std::size_t>(head)].kept;
      differing += std::equal(other.begin(), other.end(), kept.begin()) ? 0 : 1;
    }
    if (std::string_view(pool) == "max:7") {
      EXPECT_GT(differing, 0);
    } else {
      EXPECT_EQ(differing, 0);
    }
    EXPECT_EQ(kept_lists(layer), reference.select(plan.method, 30, false).kept);
  }
}

TEST(Allocation, T41_AdaptiveBudgetsNeverRetainLessOfTheObservedAttention) {
  for (const std::uint64_t seed : {1U, 2U, 3U, 4U, 5U}) {
    TraceShape shape = four_heads();
    shape.seed = seed;
    const TraceFixture fixture(shape);
    for (const Granularity granularity : {Granularity::kKvHead, Granularity::kQueryHead}) {
      for (const kernels::Decimal alpha :
           {kernels::Decimal{0, 1}, {2, 10}, {5, 10}, {8, 10}, {1, 1}}) {
        for (const char* mode : {"blend", "floor", "floor-kvpress", "paper-literal"}) {
          EvictionPlan plan = adaptive_plan("35%", alpha, mode, "none");
          plan.method.granularity = granularity;
          const EvictionResult result = replay_one(fixture.trace(), plan);
          for (const LayerEviction& layer : result.layers) {
            EXPECT_LE(layer.observation->evicted_mass,
                      layer.observation_uniform->evicted_mass + 1e-6);
            EXPECT_LE(layer.observation->bounds.eps,
                      layer.observation_uniform->bounds.eps * (1.0 + 1e-5));
            if (alpha.units == 0 && plan.method.alpha_mode != kernels::AlphaMode::kPaperLiteral) {
              EXPECT_LT(layer.observation->evicted_mass, layer.observation_uniform->evicted_mass);
            }
          }
        }
      }
    }
  }
}

/// Many narrow layers over a prompt that is long enough for the published pyramid.
TraceShape tall_shape() {
  TraceShape shape;
  shape.layers = 32;
  shape.q_heads = 1;
  shape.kv_heads = 1;
  shape.head_dim = 2;
  shape.width = 1;
  shape.prompt_tokens = 600;
  shape.prompt_queries = 32;
  shape.decode_tokens = 1;
  return shape;
}

Budgets layer_budgets(const EvictionResult& result) {
  Budgets budgets;
  for (const LayerEviction& layer : result.layers) {
    if (layer.touched) {
      const Budgets own = without_window(layer, result.plan.method.window);
      budgets.push_back(own[0]);
    }
  }
  return budgets;
}

TEST(Allocation, T43_PyramidsSpreadTheBudgetOverLayers) {
  const TraceFixture fixture(tall_shape());
  const EvictionOptions options{.bound = false};
  const Budgets exact =
      layer_budgets(replay_one(fixture.trace(), plan_of("pyramidkv", "128"), options));
  EXPECT_EQ(exact, reference_pyramid(32, 96, 568, false));
  EXPECT_EQ(std::accumulate(exact.begin(), exact.end(), std::int64_t{0}), 32 * 96);
  EXPECT_TRUE(std::is_sorted(exact.rbegin(), exact.rend()));
  EXPECT_EQ(exact.front(), 188);
  EXPECT_EQ(exact.back(), 4);

  const Budgets official =
      layer_budgets(replay_one(fixture.trace(), plan_of("pyramidkv-official", "128"), options));
  EXPECT_EQ(official.front(), 188);
  EXPECT_EQ(official.back(), 33);
  EXPECT_EQ(std::accumulate(official.begin(), official.end(), std::int64_t{0}), 3536);  // 110.5
  const Budgets larger =
      layer_budgets(replay_one(fixture.trace(), plan_of("pyramidkv-official", "256"), options));
  EXPECT_EQ(larger.front(), 437);
  EXPECT_EQ(larger.back(), 34);
  EXPECT_EQ(std::accumulate(larger.begin(), larger.end(), std::int64_t{0}), 7536);  // 235.5

  // At 90 % the lowest layers would exceed the prompt: its length caps them.
  const EvictionResult capped = replay_one(fixture.trace(), plan_of("pyramidkv", "90%"), options);
  const Budgets most = layer_budgets(capped);
  EXPECT_EQ(most.front(), 568);
  EXPECT_EQ(most.back(), 2 * 508 - 568);
  EXPECT_EQ(std::accumulate(most.begin(), most.end(), std::int64_t{0}), 32 * 508);
  EXPECT_DOUBLE_EQ(capped.summary.kept_tokens_per_head_mean, 540.0);
}

TEST(Allocation, T43_PyramidsLeaveSlidingWindowLayersOut) {
  TraceShape shape = tall_shape();
  for (std::int64_t layer = 0; layer < 32; ++layer) {
    if (layer % 6 != 5) {
      shape.sliding_windows[layer] = 64;
    }
  }
  shape.sliding_windows[31] = 64;
  const TraceFixture fixture(shape);  // layers 5, 11, 17, 23 and 29 are global
  for (const char* name : {"pyramidkv", "ada-pyramid"}) {
    const EvictionResult result = replay_one(fixture.trace(), plan_of(name, "128"));
    const Budgets budgets = layer_budgets(result);
    EXPECT_EQ(budgets, (Budgets{188, 142, 96, 50, 4}));
    EXPECT_EQ(result.summary.ratio.layers, 5);
    EXPECT_DOUBLE_EQ(result.summary.kept_tokens_per_head_mean, 128.0);
  }
  shape.captured = {11, 12, 29};
  const TraceFixture part(shape);
  EXPECT_EQ(layer_budgets(replay_one(part.trace(), plan_of("pyramidkv", "128"))),
            (Budgets{142, 4}));
}

TEST(Allocation, T43_AdaPyramidSharesEachLayersBudgetAmongItsHeads) {
  TraceShape shape = four_heads();
  shape.layers = 3;
  const TraceFixture fixture(shape);
  const EvictionPlan plan =
      plan_of("ada-pyramid", "36", [](EvictionMethod& method) { method.window = 12; });
  const EvictionResult result = replay_one(fixture.trace(), plan);
  const Budgets expected = reference_pyramid(3, 24, 84, false);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(result.layers[i].budget_total, 4 * (expected[i] + 12));
    const Budgets budgets = budgets_of(result.layers[i]);
    EXPECT_GT(std::set<std::int64_t>(budgets.begin(), budgets.end()).size(), 1U);
  }
}

TEST(Allocation, T44_PromptsOfOtherLengthsLeaveNoTrace) {
  TraceShape shape = tall_shape();
  shape.layers = 4;
  shape.prompt_tokens = 60;
  const TraceFixture shorter(shape);
  shape.prompt_tokens = 300;
  const TraceFixture longer(shape);
  const std::vector<EvictionPlan> plans = {plan_of("pyramidkv", "50"),
                                           plan_of("pyramidkv-official", "50"),
                                           plan_of("ada-snapkv", "20%"), plan_of("h2o", "64KiB")};
  const auto first = replay_eviction(longer.trace(), plans, {});
  static_cast<void>(replay_eviction(shorter.trace(), plans, {}));
  const auto again = replay_eviction(longer.trace(), plans, {});
  for (std::size_t i = 0; i < plans.size(); ++i) {
    expect_identical(first[i], again[i]);
  }
  // The shorter prompt clamps the pyramid, the longer one does not.
  EXPECT_EQ(layer_budgets(replay_one(shorter.trace(), plans[0])),
            reference_pyramid(4, 18, 28, false));
  EXPECT_EQ(layer_budgets(replay_one(longer.trace(), plans[0])),
            reference_pyramid(4, 18, 268, false));
}

TEST(Allocation, T49_CapturingMoreQueriesOrInPiecesChangesNoWindowMethod) {
  TraceShape shape = four_heads();
  shape.prompt_tokens = 200;
  shape.prompt_queries = 128;
  const TraceFixture some(shape);
  shape.prompt_queries = 200;
  const TraceFixture all(shape);
  shape.rows_per_write = 33;
  const TraceFixture pieces(shape);
  EXPECT_EQ(some.trace().prompt_queries(), 128);
  EXPECT_EQ(all.trace().prompt_queries(), 200);
  for (const EvictionMethod& preset : eviction_presets()) {
    const EvictionPlan plan{preset, Budget::parse("30%")};
    const EvictionResult from_all = replay_one(all.trace(), plan);
    expect_identical(from_all, replay_one(pieces.trace(), plan));
    if (preset.scorer != Scorer::kAttentionSum) {
      expect_identical(from_all, replay_one(some.trace(), plan));
    }
  }
}

}  // namespace
}  // namespace kvsieve::sim::tests
