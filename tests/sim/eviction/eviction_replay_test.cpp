// The replay as a whole: plans side by side, layers, threads, names, warnings and errors.

#include "kvsieve/sim/eviction_replay.h"

#include <gtest/gtest.h>
#include <tbb/global_control.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "kvsieve/traces/error.h"
#include "sim/eviction/replay_expectations.h"
#include "sim/eviction/trace_fixture.h"
#include "traces/fails_with.h"

namespace kvsieve::sim::tests {
namespace {

using kvsieve::tests::fails_with;

std::vector<EvictionPlan> varied_plans() {
  std::vector<EvictionPlan> plans;
  std::int64_t window = 4;
  for (const EvictionMethod& preset : eviction_presets()) {
    for (const char* budget : {"20%", "45"}) {
      plans.push_back({preset, Budget::parse(budget)});
      plans.back().method.window = window;
      plans.back().method.granularity =
          plans.size() % 3 == 0 ? Granularity::kQueryHead : Granularity::kKvHead;
      plans.back().method.seed = plans.size();
      window = window % 40 + 4;
    }
  }
  return plans;
}

bool mentions(const EvictionResult& result, std::string_view part) {
  return std::any_of(result.warnings.begin(), result.warnings.end(),
                     [&](const std::string& text) { return text.find(part) != std::string::npos; });
}

TEST(EvictionReplay, T27_T28_KeptListsAreSortedWholeAndCounted) {
  TraceShape shape;
  shape.q_heads = 6;
  const TraceFixture fixture(shape);
  for (const EvictionResult& result : replay_eviction(fixture.trace(), varied_plans(), {})) {
    expect_sound(fixture.trace(), result);
  }
}

TEST(EvictionReplay, SeveralPlansGiveWhatEachGivesAlone) {
  TraceShape shape;
  shape.layers = 3;
  shape.sliding_windows = {{1, 30}};
  shape.needle = traces::Needle{20, 40, ""};
  const TraceFixture fixture(shape);
  const std::vector<EvictionPlan> plans = varied_plans();
  const std::vector<EvictionResult> together = replay_eviction(fixture.trace(), plans, {});
  ASSERT_EQ(together.size(), plans.size());
  for (std::size_t i = 0; i < plans.size(); ++i) {
    expect_identical(together[i], replay_one(fixture.trace(), plans[i]));
  }
  EXPECT_TRUE(replay_eviction(fixture.trace(), {}, {}).empty());
}

/// Budgets, alphas and rules of one scorer: selections are read off one ranking, and many agree.
std::vector<EvictionPlan> plans_of_one_scorer() {
  std::vector<EvictionPlan> plans;
  for (const char* budget : {"8%", "35%", "100%"}) {
    for (const char* alpha : {"0", "0.3"}) {
      for (const kernels::AlphaMode mode : {kernels::AlphaMode::kBlend, kernels::AlphaMode::kFloor,
                                            kernels::AlphaMode::kOfficialRounding}) {
        for (const char* name : {"ada-snapkv", "ada-pyramid", "ada-criticalkv", "snapkv"}) {
          plans.push_back({*find_eviction_preset(name), Budget::parse(budget)});
          EvictionMethod& method = plans.back().method;
          method.window = 8;
          method.alpha = kernels::Decimal::parse(alpha);
          method.alpha_mode = mode;
          method.granularity =
              plans.size() % 5 == 0 ? Granularity::kQueryHead : Granularity::kKvHead;
        }
      }
    }
  }
  return plans;
}

TEST(EvictionReplay, ManyPlansOfOneScorerGiveWhatEachGivesAlone) {
  TraceShape shape;
  shape.q_heads = 6;
  shape.prompt_tokens = 150;
  shape.needle = traces::Needle{20, 40, ""};
  const TraceFixture fixture(shape);
  const std::vector<EvictionPlan> plans = plans_of_one_scorer();
  for (const Losses losses : {Losses::kProjected, Losses::kMass}) {
    const EvictionOptions options{.losses = losses};
    const std::vector<EvictionResult> together = replay_eviction(fixture.trace(), plans, options);
    for (std::size_t i = 0; i < plans.size(); ++i) {
      SCOPED_TRACE(i);
      expect_identical(together[i], replay_one(fixture.trace(), plans[i], options));
    }
  }
}

TEST(EvictionReplay, MassesAloneAreThoseOfTheWholeReplay) {
  const TraceFixture fixture(TraceShape{});
  for (const EvictionPlan& plan : varied_plans()) {
    const EvictionResult whole = replay_one(fixture.trace(), plan);
    const EvictionResult alone = replay_one(fixture.trace(), plan, {.losses = Losses::kMass});
    SCOPED_TRACE(whole.method_name);
    EXPECT_EQ(alone.losses, Losses::kMass);
    EXPECT_FALSE(alone.bound);
    EXPECT_EQ(alone.summary.ratio.evicted_mass, whole.summary.ratio.evicted_mass);
    EXPECT_EQ(alone.summary.ratio.l1_loss, std::nullopt);
    ASSERT_EQ(alone.layers.size(), whole.layers.size());
    for (std::size_t i = 0; i < alone.layers.size(); ++i) {
      EXPECT_EQ(kept_lists(alone.layers[i]), kept_lists(whole.layers[i]));
      EXPECT_EQ(alone.layers[i].decode->evicted_mass, whole.layers[i].decode->evicted_mass);
      EXPECT_EQ(alone.layers[i].uniform->evicted_mass, whole.layers[i].uniform->evicted_mass);
      EXPECT_EQ(alone.layers[i].observation->evicted_mass,
                whole.layers[i].observation->evicted_mass);
      EXPECT_EQ(alone.layers[i].decode->l1_loss, 0.0);
      EXPECT_EQ(alone.layers[i].heads[0].evicted_mass, whole.layers[i].heads[0].evicted_mass);
    }
  }
  EXPECT_EQ(losses_from_name("mass"), Losses::kMass);
  EXPECT_EQ(name_of(losses_from_name("projected")), "projected");
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "--losses 'l2'",
                         [] { static_cast<void>(losses_from_name("l2")); }));
}

TEST(EvictionReplay, ASummaryIsThatOfTheWholeReplay) {
  TraceShape shape;
  shape.needle = traces::Needle{20, 40, ""};
  const TraceFixture fixture(shape);
  for (const EvictionPlan& plan : varied_plans()) {
    const EvictionResult whole = replay_one(fixture.trace(), plan);
    const EvictionResult brief =
        replay_one(fixture.trace(), plan, {.detail = EvictionDetail::kSummary});
    SCOPED_TRACE(whole.method_name);
    EXPECT_EQ(brief.summary.decode->l1_loss, whole.summary.decode->l1_loss);
    EXPECT_EQ(brief.summary.uniform->bounds.eps, whole.summary.uniform->bounds.eps);
    EXPECT_EQ(brief.summary.kept_tokens_per_head_mean, whole.summary.kept_tokens_per_head_mean);
    EXPECT_FALSE(brief.summary.observation);
    for (std::size_t i = 0; i < brief.layers.size(); ++i) {
      EXPECT_EQ(budgets_of(brief.layers[i]), budgets_of(whole.layers[i]));
      EXPECT_EQ(brief.layers[i].heads[0].needle_kept, whole.layers[i].heads[0].needle_kept);
      EXPECT_TRUE(brief.layers[i].heads[0].kept.empty());
      EXPECT_TRUE(brief.layers[i].queries.empty());
    }
  }
}

TEST(EvictionReplay, ThreadsChangeNoBit) {
  TraceShape shape;
  shape.prompt_tokens = 700;
  shape.decode_tokens = 20;
  shape.prompt_queries = 300;
  const TraceFixture fixture(shape);
  const std::vector<EvictionPlan> plans = {plan_of("ada-snapkv", "20%"), plan_of("h2o", "15%"),
                                           plan_of("ada-criticalkv", "128"), plan_of("tova", "20%"),
                                           plan_of("random", "20%")};
  std::vector<EvictionResult> first;
  for (const int threads : {1, 2, 5}) {
    const tbb::global_control limit(tbb::global_control::max_allowed_parallelism,
                                    static_cast<std::size_t>(threads));
    std::vector<EvictionResult> results;
    tbb::task_arena(threads).execute(
        [&] { results = replay_eviction(fixture.trace(), plans, {}); });
    for (std::size_t i = 0; i < first.size(); ++i) {
      SCOPED_TRACE(threads);
      expect_identical(first[i], results[i]);
    }
    first = results;
  }
}

TEST(EvictionReplay, ChosenLayersAreThoseOfTheWholeReplay) {
  TraceShape shape;
  shape.layers = 5;
  shape.captured = {0, 2, 3, 4};
  const TraceFixture fixture(shape);
  const EvictionPlan plan = plan_of("ada-pyramid", "50%");
  const EvictionResult all = replay_one(fixture.trace(), plan);
  EXPECT_EQ(all.layers.size(), 4U);
  EXPECT_EQ(all.layers[1].layer, 2);
  const EvictionResult some = replay_one(fixture.trace(), plan, {.layers = {2, 4}});
  ASSERT_EQ(some.layers.size(), 2U);
  EXPECT_EQ(some.layers[0].layer, 2);
  EXPECT_EQ(some.layers[1].layer, 4);
  EXPECT_EQ(some.summary.ratio.layers, 2);
  for (const std::size_t i : {0U, 1U}) {
    const LayerEviction& whole = all.layers[i == 0 ? 1 : 3];
    EXPECT_EQ(kept_lists(some.layers[i]), kept_lists(whole));
    EXPECT_EQ(some.layers[i].decode->l1_loss, whole.decode->l1_loss);
  }
  EXPECT_EQ(captured_indices(fixture.trace(), {}), (std::vector<std::size_t>{0, 1, 2, 3}));
  const std::vector<std::int64_t> wanted = {4, 0};
  EXPECT_EQ(captured_indices(fixture.trace(), wanted), (std::vector<std::size_t>{3, 0}));
}

TEST(EvictionReplay, LayersThatWereNotCapturedAreUsageErrors) {
  TraceShape shape;
  shape.layers = 6;
  shape.captured = {1, 4};
  const TraceFixture fixture(shape);
  for (const std::int64_t layer : {std::int64_t{0}, std::int64_t{5}, std::int64_t{6},
                                   std::int64_t{-1}, std::int64_t{INT64_MAX}}) {
    const auto replay = [&] {
      static_cast<void>(
          replay_one(fixture.trace(), plan_of("snapkv", "50%"), {.layers = {1, layer}}));
    };
    EXPECT_TRUE(fails_with(ErrorKind::kUsage, "layer " + std::to_string(layer), replay));
    EXPECT_TRUE(fails_with(ErrorKind::kUsage, "1, 4", replay));
    EXPECT_TRUE(fails_with(ErrorKind::kUsage, fixture.trace().path().string(), replay));
  }
}

TEST(EvictionReplay, SlidingWindowLayersAreLeftWholeAndOut) {
  TraceShape shape;
  shape.layers = 4;
  shape.sliding_windows = {{0, 10}, {3, 1000}};
  const TraceFixture mixed(shape);
  shape.sliding_windows.clear();
  shape.captured = {1, 2};
  const TraceFixture global(shape);
  for (const char* name : {"ada-snapkv", "knorm", "full", "criticalkv"}) {
    const EvictionPlan plan = plan_of(name, "50%");
    const EvictionResult result = replay_one(mixed.trace(), plan);
    ASSERT_EQ(result.layers.size(), 4U);
    for (const std::size_t i : {0U, 3U}) {
      EXPECT_EQ(result.layers[i].layer, static_cast<std::int64_t>(i));
      EXPECT_FALSE(result.layers[i].touched);
      EXPECT_TRUE(result.layers[i].heads.empty());
      EXPECT_TRUE(result.layers[i].queries.empty());
      EXPECT_FALSE(result.layers[i].decode);
    }
    const EvictionResult alone = replay_one(global.trace(), plan);
    EXPECT_EQ(result.summary.ratio.layers, 2);
    EXPECT_EQ(result.summary.decode->l1_loss, alone.summary.decode->l1_loss);
    EXPECT_EQ(result.summary.uniform->evicted_mass, alone.summary.uniform->evicted_mass);
    EXPECT_EQ(result.summary.ratio.l1_loss, alone.summary.ratio.l1_loss);
    EXPECT_EQ(result.summary.kept_tokens_per_head_mean, alone.summary.kept_tokens_per_head_mean);
    EXPECT_FALSE(mentions(result, "sliding window"));
    const EvictionResult none = replay_one(mixed.trace(), plan, {.layers = {0, 3}});
    EXPECT_TRUE(mentions(none, "every replayed layer has a sliding window"));
    EXPECT_FALSE(none.summary.decode);
    EXPECT_FALSE(none.summary.observation);
    EXPECT_FALSE(none.summary.ratio.l1_loss);
    EXPECT_EQ(none.summary.kept_tokens_per_head_mean, 0.0);
  }
}

TEST(EvictionReplay, WithoutDecodeStepsLossesAreAbsent) {
  TraceShape shape;
  shape.decode_tokens = 0;
  const TraceFixture fixture(shape);
  for (const EvictionMethod& preset : eviction_presets()) {
    const EvictionResult result = replay_one(fixture.trace(), {preset, Budget::parse("60%")});
    EXPECT_TRUE(mentions(result, "no decode steps"));
    EXPECT_FALSE(result.summary.decode);
    EXPECT_FALSE(result.summary.uniform);
    EXPECT_FALSE(result.summary.ratio.evicted_mass);
    EXPECT_FALSE(result.summary.ratio.l1_loss);
    EXPECT_TRUE(result.summary.observation);
    for (const LayerEviction& layer : result.layers) {
      EXPECT_TRUE(layer.queries.empty());
      EXPECT_FALSE(layer.decode);
      EXPECT_FALSE(layer.uniform);
      EXPECT_TRUE(layer.observation);
      EXPECT_GT(layer.budget_total, 0);
    }
  }
}

TEST(EvictionReplay, H2oIsNamedByWhatItSaw) {
  TraceShape shape;
  for (const std::int64_t queries : {1, 20, 95, 96}) {
    shape.prompt_queries = queries;
    const TraceFixture fixture(shape);
    const EvictionResult result = replay_one(fixture.trace(), plan_of("h2o", "50%"));
    EXPECT_EQ(result.method_name, queries == 96 ? "h2o" : "h2o-window");
    EXPECT_EQ(result.plan.method.name, "h2o");
    EXPECT_EQ(result.queries_used, queries);
    EXPECT_EQ(mentions(result, "of 96 prompt queries"), queries != 96);
  }
}

TEST(EvictionReplay, QueriesUsedAreThoseOfTheScorer) {
  const TraceFixture fixture({});
  const auto used = [&](const char* name, std::int64_t window) {
    const EvictionPlan plan =
        plan_of(name, "50%", [&](EvictionMethod& method) { method.window = window; });
    const EvictionResult result = replay_one(fixture.trace(), plan);
    EXPECT_EQ(result.method_name, std::string(name) == "h2o" ? "h2o-window" : name);
    return result.queries_used;
  };
  EXPECT_EQ(used("snapkv", 32), 32);
  EXPECT_EQ(used("ada-snapkv", 7), 7);
  EXPECT_EQ(used("ada-criticalkv", 48), 48);
  EXPECT_EQ(used("pyramidkv", 1), 1);
  EXPECT_EQ(used("tova", 32), 1);
  EXPECT_EQ(used("h2o", 8), 48);
  for (const char* name : {"full", "streaming-llm", "knorm", "random"}) {
    EXPECT_EQ(used(name, 32), 0) << name;
  }
  TraceShape shape;
  shape.prompt_tokens = 20;
  const TraceFixture shorter(shape);
  EXPECT_EQ(replay_one(shorter.trace(), plan_of("snapkv", "50%")).queries_used, 20);
}

TEST(EvictionReplay, RandomDependsOnSeedLayerAndHeadAlone) {
  TraceShape shape;
  shape.q_heads = 4;
  shape.kv_heads = 4;
  shape.layers = 3;
  const TraceFixture fixture(shape);
  const auto kept = [&](std::uint64_t seed, const TraceFixture& source) {
    std::vector<KeptLists> lists;
    const EvictionPlan plan = plan_of("random", "40", [&](EvictionMethod& m) { m.seed = seed; });
    for (const LayerEviction& layer : replay_one(source.trace(), plan).layers) {
      lists.push_back(kept_lists(layer));
    }
    return lists;
  };
  const auto first = kept(7, fixture);
  EXPECT_EQ(first, kept(7, fixture));
  EXPECT_NE(first, kept(8, fixture));
  EXPECT_NE(first, kept(7 + (1ULL << 63U), fixture));
  // A neighbouring seed is no shifted copy: neither layer 1 nor head 1 of the one is layer 0 or
  // head 0 of the next.
  const auto next = kept(8, fixture);
  EXPECT_NE(first[1], next[0]);
  EXPECT_NE(first[0][1], next[0][0]);
  KeptLists seen;
  for (const KeptLists& layer : first) {
    seen.insert(seen.end(), layer.begin(), layer.end());
  }
  std::sort(seen.begin(), seen.end());
  EXPECT_EQ(std::unique(seen.begin(), seen.end()), seen.end());
  // Other tensors, the same draw.
  shape.seed = 99;
  EXPECT_EQ(first, kept(7, TraceFixture(shape)));
}

TEST(EvictionReplay, RandomDrawsEvenly) {
  TraceShape shape;
  shape.layers = 4;
  shape.head_dim = 2;
  shape.width = 1;
  shape.decode_tokens = 1;
  const TraceFixture fixture(shape);
  std::vector<int> times(96, 0);
  constexpr int kSeeds = 100;
  std::vector<EvictionPlan> plans;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    plans.push_back(plan_of("random", "48", [&](EvictionMethod& m) { m.seed = seed; }));
  }
  for (const EvictionResult& result : replay_eviction(fixture.trace(), plans, {.bound = false})) {
    for (const LayerEviction& layer : result.layers) {
      for (const HeadEviction& head : layer.heads) {
        for (const std::int32_t j : head.kept) {
          ++times[static_cast<std::size_t>(j)];
        }
      }
    }
  }
  // 800 draws of 16 out of 64 candidates: 200 times each, standard deviation 12.2.
  for (std::size_t j = 0; j < 64; ++j) {
    EXPECT_NEAR(times[j], 200, 5 * 12.2) << j;
  }
  EXPECT_EQ(times[64], 800);
}

TEST(EvictionReplay, NeedleTokensAreCountedInEveryHead) {
  TraceShape shape;
  shape.needle = traces::Needle{60, 70, "needle"};
  shape.rope.dim = 2;
  shape.edit = [](LayerTensors& tensors) {
    // KV head 0 looks at needle tokens 61 to 63, KV head 1 elsewhere.
    clear_first_pair(tensors);
    clear_queries(tensors);
    for (std::int64_t j = 0; j < 101; ++j) {
      tensors.row(tensors.k, 0, j)[5] = j >= 61 && j < 64 ? 3.0F : 0.0F;
      tensors.row(tensors.k, 1, j)[5] = j < 3 ? 3.0F : 0.0F;
      for (std::int64_t head = 0; head < 4; ++head) {
        tensors.row(tensors.q, head, j)[5] = 9.0F;
      }
    }
  };
  const TraceFixture fixture(shape);
  const auto mark = [](EvictionMethod& method) {
    method.window = 32;  // 64 to 95: six needle tokens lie inside
    method.pool = pooling_from_name("none");
  };
  const EvictionResult result = replay_one(fixture.trace(), plan_of("snapkv", "35", mark));
  for (const LayerEviction& layer : result.layers) {
    EXPECT_EQ(layer.heads[0].needle_kept, 9);
    EXPECT_EQ(layer.heads[1].needle_kept, 6);
  }
  for (const LayerEviction& layer : replay_one(fixture.trace(), plan_of("full", "35")).layers) {
    EXPECT_EQ(layer.heads[0].needle_kept, 10);
  }
  const EvictionResult window = replay_one(fixture.trace(), plan_of("snapkv", "32", mark));
  EXPECT_EQ(window.layers[0].heads[0].needle_kept, 6);
  const TraceFixture plain({});
  EXPECT_EQ(replay_one(plain.trace(), plan_of("full", "1")).layers[0].heads[0].needle_kept, 0);
}

TEST(EvictionReplay, WarnsOnlyWhereThereIsAReason) {
  const TraceFixture fixture({});
  for (const char* name : {"full", "snapkv", "ada-snapkv", "tova", "random", "streaming-llm"}) {
    EXPECT_TRUE(replay_one(fixture.trace(), plan_of(name, "40")).warnings.empty()) << name;
  }
  EXPECT_TRUE(mentions(replay_one(fixture.trace(), plan_of("knorm", "32")),
                       "a budget of 32 tokens is at most the window of 32"));
  EXPECT_TRUE(replay_one(fixture.trace(), plan_of("knorm", "33")).warnings.empty());
  EXPECT_TRUE(replay_one(fixture.trace(), plan_of("full", "1")).warnings.empty());
  TraceShape shape;
  shape.kv_heads = 1;
  const TraceFixture one(shape);
  EXPECT_TRUE(mentions(replay_one(one.trace(), plan_of("ada-snapkv", "40")), "one KV head"));
  EXPECT_TRUE(replay_one(one.trace(), plan_of("snapkv", "40")).warnings.empty());
  EXPECT_TRUE(replay_one(one.trace(), plan_of("ada-snapkv", "40",
                                              [](EvictionMethod& method) {
                                                method.granularity = Granularity::kQueryHead;
                                              }))
                  .warnings.empty());
}

TEST(EvictionReplay, WarnsWhereTheTwinHasAnotherTotal) {
  TraceShape shape;
  shape.layers = 4;
  const TraceFixture whole(shape);
  // Only a part of the pyramid: its layers hold more than the nominal budget.
  EXPECT_TRUE(mentions(replay_one(whole.trace(), plan_of("pyramidkv", "50%"), {.layers = {0, 1}}),
                       "not at the same total"));
  EXPECT_FALSE(
      mentions(replay_one(whole.trace(), plan_of("pyramidkv", "50%")), "not at the same total"));
  EXPECT_FALSE(mentions(replay_one(whole.trace(), plan_of("snapkv", "50%"), {.layers = {0, 1}}),
                        "not at the same total"));
  // Published roundings miss the total.
  EXPECT_TRUE(mentions(replay_one(whole.trace(), plan_of("pyramidkv-official", "51")),
                       "not at the same total"));
  const EvictionResult drifted =
      replay_one(whole.trace(), plan_of("ada-snapkv", "43", [](EvictionMethod& method) {
                   method.alpha = {5, 10};
                   method.alpha_mode = kernels::AlphaMode::kOfficialRounding;
                 }));
  std::int64_t total = 0;
  for (const LayerEviction& layer : drifted.layers) {
    total += layer.budget_total;
  }
  ASSERT_NE(total, 4 * 2 * 43);
  EXPECT_TRUE(mentions(drifted, "not at the same total"));
}

TEST(EvictionReplay, ImpossibleParametersAreUsageErrors) {
  const TraceFixture fixture({});
  const auto replay = [&](const char* name, auto change) {
    return [&fixture, plan = plan_of(name, "50%", change)] {
      static_cast<void>(replay_one(fixture.trace(), plan));
    };
  };
  for (const char* name : {"snapkv", "random", "streaming-llm", "knorm", "h2o"}) {
    EXPECT_TRUE(fails_with(ErrorKind::kUsage, "window",
                           replay(name, [](EvictionMethod& m) { m.window = -1; })))
        << name;
    EXPECT_TRUE(fails_with(ErrorKind::kUsage, "sinks",
                           replay(name, [](EvictionMethod& m) { m.sinks = -1; })))
        << name;
  }
  // Without a window no query is observed.
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "window",
                         replay("snapkv", [](EvictionMethod& m) { m.window = 0; })));
  EXPECT_NO_THROW(replay("knorm", [](EvictionMethod& m) { m.window = 0; })());
  EXPECT_TRUE(
      fails_with(ErrorKind::kUsage, "alpha is 1.5", replay("ada-snapkv", [](EvictionMethod& m) {
                   m.alpha = {15, 10};
                 })));
}

TEST(EvictionReplay, ValuesThatAreNotFiniteAreRefusedWithTheLayer) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  using Tensor = std::vector<std::vector<float>> LayerTensors::*;
  for (const float bad : {nan, infinity, -infinity}) {
    for (const Tensor tensor : {&LayerTensors::k, &LayerTensors::v, &LayerTensors::wo}) {
      TraceShape shape;
      shape.edit = [&](LayerTensors& tensors) {
        if (tensors.layer == 1) {
          (tensors.*tensor)[1][40] = bad;
        }
      };
      const TraceFixture fixture(shape);
      for (const char* name : {"snapkv", "ada-snapkv", "knorm", "tova", "random", "full"}) {
        SCOPED_TRACE(name);
        for (const bool bound : {true, false}) {
          const auto replay = [&] {
            static_cast<void>(replay_one(fixture.trace(), plan_of(name, "50%"), {.bound = bound}));
          };
          EXPECT_TRUE(fails_with(ErrorKind::kBadInput, fixture.trace().path().string(), replay));
          EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "layer 1", replay));
        }
        EXPECT_NO_THROW(
            static_cast<void>(replay_one(fixture.trace(), plan_of(name, "50%"), {.layers = {0}})));
      }
    }
  }
}

TEST(EvictionReplay, ValuesThatAreNotFiniteAreRefusedWithoutDecodeStepsToo) {
  TraceShape shape;
  shape.decode_tokens = 0;
  shape.edit = [](LayerTensors& tensors) {
    tensors.v[0][90] = std::numeric_limits<float>::infinity();
  };
  const TraceFixture fixture(shape);
  for (const char* name : {"snapkv", "full", "random"}) {
    EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "layer 0", [&] {
      static_cast<void>(replay_one(fixture.trace(), plan_of(name, "50%")));
    })) << name;
  }
}

TEST(EvictionReplay, ReportsProgressAfterEveryLayer) {
  TraceShape shape;
  shape.layers = 4;
  shape.sliding_windows = {{2, 9}};
  const TraceFixture fixture(shape);
  std::vector<double> shares;
  const EvictionPlan plan = plan_of("snapkv", "50%");
  static_cast<void>(replay_eviction(fixture.trace(), {&plan, 1}, {},
                                    [&](double share) { shares.push_back(share); }));
  EXPECT_EQ(shares, (std::vector<double>{0.25, 0.5, 0.75, 1.0}));
}

}  // namespace
}  // namespace kvsieve::sim::tests
