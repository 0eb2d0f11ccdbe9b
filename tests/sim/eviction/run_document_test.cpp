// The JSON document of an eviction run: every field, and none that does not apply.

#include "kvsieve/sim/run_document.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "kvsieve/kernels/instruction_set.h"
#include "kvsieve/sim/version.h"
#include "sim/eviction/replay_expectations.h"
#include "sim/eviction/trace_fixture.h"

namespace kvsieve::sim::tests {
namespace {

using nlohmann::ordered_json;
using Keys = std::vector<std::string>;

Keys keys_of(const ordered_json& json) {
  Keys keys;
  for (const auto& [key, value] : json.items()) {
    keys.push_back(key);
  }
  std::sort(keys.begin(), keys.end());
  return keys;
}

Keys sorted(Keys keys) {
  std::sort(keys.begin(), keys.end());
  return keys;
}

Keys operator+(Keys keys, const Keys& more) {
  keys.insert(keys.end(), more.begin(), more.end());
  return keys;
}

const Keys kFigures{"evicted_mass", "l1_loss", "l1_loss_relative"};
const Keys kBounds{"bound", "bound_head", "bound_theta"};
const Keys kMethod{"name",      "scorer", "granularity", "layer_rule", "adaptive",
                   "two_stage", "window", "sinks",       "budget",     "budget_tokens"};

void expect_figures(const ordered_json& json, const LossFigures& figures, bool bound) {
  EXPECT_EQ(json.at("evicted_mass"), figures.evicted_mass);
  EXPECT_EQ(json.at("l1_loss"), figures.l1_loss);
  EXPECT_EQ(json.at("l1_loss_relative"), figures.l1_loss_relative);
  EXPECT_EQ(json.contains("bound"), bound);
  EXPECT_EQ(json.contains("bound_head"), bound);
  EXPECT_EQ(json.contains("bound_theta"), bound);
  if (bound) {
    EXPECT_EQ(json.at("bound"), figures.bounds.eps);
    EXPECT_EQ(json.at("bound_head"), figures.bounds.head);
    EXPECT_EQ(json.at("bound_theta"), figures.bounds.theta);
  }
}

struct Document {
  EvictionResult result;
  ordered_json json;

  Document(const TraceFixture& fixture, const EvictionPlan& plan,
           const EvictionOptions& options = {})
      : result(replay_one(fixture.trace(), plan, options)),
        json(run_document(fixture.trace(), result)) {}
};

/// Three layers, of which the second has a sliding window, and a needle.
TraceShape full_shape() {
  TraceShape shape;
  shape.layers = 5;
  shape.captured = {0, 1, 4};
  shape.sliding_windows = {{1, 30}};
  shape.needle = traces::Needle{58, 70, "the \"needle\""};
  shape.dtype = traces::DType::kF16;
  return shape;
}

TEST(RunDocument, HeadSaysWhatWasRunOnWhat) {
  const TraceFixture fixture(full_shape());
  const Document run(fixture, plan_of("ada-snapkv", "50%"));
  EXPECT_EQ(keys_of(run.json),
            sorted({"schema", "tool_version", "family", "origin", "trace", "method", "backend",
                    "isa", "summary", "layers", "steps", "cost", "warnings"}));
  EXPECT_EQ(run.json["schema"], "kvsieve.run/1");
  EXPECT_EQ(run.json["tool_version"], version());
  EXPECT_EQ(run.json["family"], "eviction");
  EXPECT_EQ(run.json["origin"], "captured");
  EXPECT_EQ(run.json["backend"], "cpu");
  EXPECT_EQ(run.json["isa"], kernels::instruction_set());
  EXPECT_EQ(run.json["warnings"], ordered_json::array());
  const ordered_json trace = {{"path", fixture.trace().path().string()},
                              {"hash", fixture.trace().hash()},
                              {"model", "fixture"},
                              {"architecture", "test"},
                              {"L", 5},
                              {"Hq", 4},
                              {"Hkv", 2},
                              {"d", 16},
                              {"D", 24},
                              {"prompt_tokens", 96},
                              {"prompt_queries", 48},
                              {"decode_steps", 5},
                              {"captured_layers", {0, 1, 4}},
                              {"dtype", "F16"},
                              {"needle", {{"begin", 58}, {"end", 70}, {"text", "the \"needle\""}}}};
  EXPECT_EQ(run.json["trace"], trace);
  TraceShape shape;
  const TraceFixture plain(shape);
  EXPECT_FALSE(Document(plain, plan_of("snapkv", "50%")).json["trace"].contains("needle"));
}

TEST(RunDocument, MethodHasTheParametersThatApplyAndNoOthers) {
  const TraceFixture fixture(full_shape());
  const auto method = [&](const EvictionPlan& plan) {
    return Document(fixture, plan).json.at("method");
  };
  const Keys attention{"queries_used", "pool", "group_reduce"};
  const Keys adaptive{"alpha", "alpha_mode"};
  for (const char* name : {"snapkv", "h2o", "pyramidkv", "pyramidkv-official", "criticalkv"}) {
    EXPECT_EQ(keys_of(method(plan_of(name, "50%"))), sorted(kMethod + attention)) << name;
  }
  for (const char* name : {"ada-snapkv", "ada-pyramid", "ada-criticalkv"}) {
    EXPECT_EQ(keys_of(method(plan_of(name, "50%"))), sorted(kMethod + attention + adaptive))
        << name;
  }
  for (const char* name : {"streaming-llm", "knorm"}) {
    EXPECT_EQ(keys_of(method(plan_of(name, "50%"))), sorted(kMethod)) << name;
  }
  EXPECT_EQ(keys_of(method(plan_of("random", "50%"))), sorted(kMethod + Keys{"seed"}));
  EXPECT_EQ(keys_of(method(plan_of("full", "50%"))), sorted({"name", "scorer"}));
  // TOVA reads one query and takes the mean over all heads: no pool and no group to reduce.
  EXPECT_EQ(keys_of(method(plan_of("tova", "50%"))), sorted(kMethod + Keys{"queries_used"}));
  // A query head is a group of its own.
  const auto by_query_head = [](EvictionMethod& m) { m.granularity = Granularity::kQueryHead; };
  EXPECT_EQ(keys_of(method(plan_of("snapkv", "50%", by_query_head))),
            sorted(kMethod + Keys{"queries_used", "pool"}));

  const ordered_json expected = {{"name", "ada-pyramid"},
                                 {"scorer", "window-attention"},
                                 {"queries_used", 8},
                                 {"group_reduce", "max"},
                                 {"pool", "avg:5"},
                                 {"granularity", "kv"},
                                 {"layer_rule", "pyramid"},
                                 {"adaptive", true},
                                 {"alpha", 0.25},
                                 {"alpha_mode", "floor-kvpress"},
                                 {"two_stage", false},
                                 {"window", 8},
                                 {"sinks", 3},
                                 {"budget", "37.5%"},
                                 {"budget_tokens", 36}};
  EXPECT_EQ(method(plan_of("ada-pyramid", "37.50%",
                           [](EvictionMethod& m) {
                             m.window = 8;
                             m.sinks = 3;
                             m.pool = pooling_from_name("avg:5");
                             m.group_reduce = kernels::GroupReduce::kMax;
                             m.alpha = kernels::Decimal::parse("25%");
                             m.alpha_mode = kernels::AlphaMode::kFloorKvpress;
                           })),
            expected);
  EXPECT_EQ(method(plan_of("h2o", "50%"))["name"], "h2o-window");
  EXPECT_EQ(method(plan_of("h2o", "50%"))["queries_used"], 48);
  EXPECT_EQ(method(plan_of("tova", "50%"))["queries_used"], 1);
  EXPECT_EQ(method(plan_of("criticalkv", "40"))["two_stage"], true);
  EXPECT_EQ(method(plan_of("criticalkv", "40"))["budget"], "40");
  EXPECT_EQ(method(plan_of("snapkv", "50%", by_query_head))["granularity"], "query");
  EXPECT_EQ(
      method(plan_of("random", "50%", [](EvictionMethod& m) { m.seed = UINT64_MAX; }))["seed"],
      UINT64_MAX);
  // 2 * 16 * 2 bytes a token and head, 2 heads, 5 layers: 640 bytes a token.
  EXPECT_EQ(method(plan_of("snapkv", "25KiB"))["budget_tokens"], 40);
  EXPECT_EQ(method(plan_of("snapkv", "25KiB"))["budget"], "25600B");
}

TEST(RunDocument, SummaryHoldsTheMeansAndTheRatio) {
  const TraceFixture fixture(full_shape());
  for (const bool bound : {true, false}) {
    const Document run(fixture, plan_of("ada-snapkv", "45%"), {.bound = bound});
    const ordered_json& summary = run.json["summary"];
    const EvictionSummary& expected = run.result.summary;
    EXPECT_EQ(keys_of(summary), sorted(kFigures + (bound ? kBounds : Keys{}) +
                                       Keys{"kept_tokens_per_head_mean", "uniform",
                                            "ratio_to_uniform", "observation", "needle"}));
    expect_figures(summary, *expected.decode, bound);
    expect_figures(summary["uniform"], *expected.uniform, bound);
    expect_figures(summary["observation"], *expected.observation, bound);
    EXPECT_EQ(summary["kept_tokens_per_head_mean"], 43.0);
    const ordered_json ratio = {{"evicted_mass", *expected.ratio.evicted_mass},
                                {"l1_loss", *expected.ratio.l1_loss},
                                {"layers", 2},
                                {"layers_improved_mass", expected.ratio.layers_improved_mass},
                                {"layers_improved_l1", expected.ratio.layers_improved_l1}};
    EXPECT_EQ(summary["ratio_to_uniform"], ratio);
    EXPECT_NE(*expected.ratio.evicted_mass, 1.0);
  }
}

TEST(RunDocument, NeedleSharesAreCountedOverHeads) {
  const TraceFixture fixture(full_shape());
  const Document run(fixture, plan_of("ada-snapkv", "45%"));
  std::int64_t kept = 0;
  std::int64_t whole = 0;
  for (const LayerEviction& layer : run.result.layers) {
    for (const HeadEviction& head : layer.heads) {
      kept += head.needle_kept;
      whole += head.needle_kept == 12 ? 1 : 0;
    }
  }
  EXPECT_GE(kept, 4 * 6);  // tokens 64 to 69 lie in the window
  const ordered_json needle = {{"tokens", 12},
                               {"heads", 4},
                               {"heads_keeping_all", whole},
                               {"kept_share", static_cast<double>(kept) / 48.0}};
  EXPECT_EQ(run.json["summary"]["needle"], needle);
  const Document full(fixture, plan_of("full", "1"));
  EXPECT_EQ(full.json["summary"]["needle"]["heads_keeping_all"], 4);
  EXPECT_EQ(full.json["summary"]["needle"]["kept_share"], 1.0);
}

TEST(RunDocument, LayersAndHeadsHoldTheirFigures) {
  const TraceFixture fixture(full_shape());
  for (const bool bound : {true, false}) {
    const Document run(fixture,
                       plan_of("ada-snapkv", "45%",
                               [&](EvictionMethod& m) {
                                 m.granularity =
                                     bound ? Granularity::kKvHead : Granularity::kQueryHead;
                               }),
                       {.bound = bound});
    ASSERT_EQ(run.json["layers"].size(), 3U);
    EXPECT_EQ(run.json["layers"][1], (ordered_json{{"layer", 1}, {"touched", false}}));
    for (const std::size_t i : {0U, 2U}) {
      const ordered_json& layer = run.json["layers"][i];
      const LayerEviction& expected = run.result.layers[i];
      EXPECT_EQ(keys_of(layer),
                sorted(kFigures + (bound ? kBounds : Keys{}) +
                       Keys{"layer", "budget_total", "uniform", "observation", "heads"}));
      EXPECT_EQ(layer["layer"], i == 0 ? 0 : 4);
      EXPECT_EQ(layer["budget_total"], (bound ? 2 : 4) * 43);
      expect_figures(layer, *expected.decode, bound);
      expect_figures(layer["uniform"], *expected.uniform, bound);
      expect_figures(layer["observation"], *expected.observation, bound);
      expect_figures(layer["observation"]["uniform"], *expected.observation_uniform, bound);
      ASSERT_EQ(layer["heads"].size(), bound ? 2U : 4U);
      for (std::size_t h = 0; h < layer["heads"].size(); ++h) {
        const ordered_json& head = layer["heads"][h];
        EXPECT_EQ(keys_of(head), sorted({"head", "budget", "evicted_mass", "l1_loss", "needle_kept",
                                         "kept_runs"}));
        EXPECT_EQ(head["head"], h);
        EXPECT_EQ(head["budget"], expected.heads[h].budget);
        EXPECT_EQ(head["evicted_mass"], expected.heads[h].evicted_mass);
        EXPECT_EQ(head["l1_loss"], expected.heads[h].l1_loss);
        EXPECT_EQ(head["needle_kept"], expected.heads[h].needle_kept);
        std::vector<std::int32_t> kept;
        std::int32_t last = -1;
        for (const ordered_json& run_of_tokens : head["kept_runs"]) {
          const auto begin = run_of_tokens.at(0).get<std::int32_t>();
          const auto end = run_of_tokens.at(1).get<std::int32_t>();
          EXPECT_GT(begin, last);  // longest runs: never adjacent to the one before
          EXPECT_LT(begin, end);
          for (std::int32_t j = begin; j < end; ++j) {
            kept.push_back(j);
          }
          last = end;
        }
        EXPECT_EQ(kept, expected.heads[h].kept);
      }
    }
  }
}

TEST(RunDocument, StepsAreMeansOverTouchedLayers) {
  const TraceFixture fixture(full_shape());
  const Document run(fixture, plan_of("knorm", "45%"));
  ASSERT_EQ(run.json["steps"].size(), 5U);
  for (std::size_t step = 0; step < 5; ++step) {
    const ordered_json& json = run.json["steps"][step];
    EXPECT_EQ(keys_of(json), sorted({"step", "position", "evicted_mass", "l1_loss"}));
    EXPECT_EQ(json["step"], step);
    EXPECT_EQ(json["position"], 96 + step);
    const QueryLoss& first = run.result.layers[0].queries[step];
    const QueryLoss& second = run.result.layers[2].queries[step];
    EXPECT_DOUBLE_EQ(json["evicted_mass"], (first.evicted_mass + second.evicted_mass) / 2.0);
    EXPECT_DOUBLE_EQ(json["l1_loss"], (first.l1_loss + second.l1_loss) / 2.0);
  }
}

TEST(RunDocument, CostIsTheBytesOfTheReplayedLayers) {
  const TraceFixture fixture(full_shape());
  const Document run(fixture, plan_of("ada-snapkv", "45%"));
  const ordered_json& cost = run.json["cost"];
  EXPECT_EQ(cost["origin"], "modelled");
  EXPECT_EQ(cost["layers"], 3);
  // K and V rows of 16 F16 numbers take 64 bytes; the layer with a sliding window stays whole.
  EXPECT_EQ(cost["kv_full_bytes"], 3 * 2 * 96 * 64);
  EXPECT_EQ(cost["kv_kept_bytes"], (2 * 2 * 43 + 2 * 96) * 64);
  const Document full(fixture, plan_of("full", "1"));
  EXPECT_EQ(full.json["cost"]["kv_kept_bytes"], full.json["cost"]["kv_full_bytes"]);
}

TEST(RunDocument, WithoutDecodeStepsLossesAreAbsentNotZero) {
  TraceShape shape = full_shape();
  shape.decode_tokens = 0;
  shape.needle.reset();
  const TraceFixture fixture(shape);
  const Document run(fixture, plan_of("ada-snapkv", "45%"));
  EXPECT_EQ(keys_of(run.json["summary"]), sorted({"kept_tokens_per_head_mean", "observation"}));
  EXPECT_EQ(keys_of(run.json["layers"][0]),
            sorted({"layer", "budget_total", "observation", "heads"}));
  EXPECT_EQ(keys_of(run.json["layers"][0]["heads"][0]), sorted({"head", "budget", "kept_runs"}));
  EXPECT_EQ(run.json["steps"], ordered_json::array());
  EXPECT_EQ(run.json["trace"]["decode_steps"], 0);
  EXPECT_EQ(run.json["warnings"].size(), 1U);
  EXPECT_EQ(run.json["warnings"][0], run.result.warnings[0]);
}

TEST(RunDocument, WithoutPromptQueriesTheObservationIsAbsent) {
  TraceShape shape;
  shape.prompt_queries = 0;
  const TraceFixture fixture(shape);
  const Document run(fixture, plan_of("knorm", "45%"));
  EXPECT_FALSE(run.json["summary"].contains("observation"));
  EXPECT_FALSE(run.json["layers"][0].contains("observation"));
  EXPECT_TRUE(run.json["summary"].contains("l1_loss"));
  EXPECT_EQ(run.json["trace"]["prompt_queries"], 0);
}

TEST(RunDocument, WithSlidingWindowLayersOnlyTheSummaryIsEmpty) {
  const TraceFixture fixture(full_shape());
  const Document run(fixture, plan_of("ada-snapkv", "45%"), {.layers = {1}});
  EXPECT_EQ(run.json["summary"], ordered_json::object());
  EXPECT_EQ(run.json["layers"].size(), 1U);
  EXPECT_EQ(run.json["steps"], ordered_json::array());
  EXPECT_EQ(run.json["cost"]["kv_kept_bytes"], run.json["cost"]["kv_full_bytes"]);
}

TEST(RunDocument, ARatioToNothingIsAbsent) {
  const TraceFixture fixture(full_shape());
  for (const char* name : {"full", "snapkv"}) {
    const Document run(fixture, plan_of(name, "100%"));
    EXPECT_EQ(keys_of(run.json["summary"]["ratio_to_uniform"]),
              sorted({"layers", "layers_improved_mass", "layers_improved_l1"}));
    EXPECT_EQ(run.json["summary"]["evicted_mass"], 0.0);
    EXPECT_EQ(run.json["summary"]["l1_loss"], 0.0);
  }
}

TEST(RunDocument, HoldsNoNullWhateverTheMethod) {
  const TraceFixture fixture(full_shape());
  for (const EvictionMethod& preset : eviction_presets()) {
    for (const char* budget : {"0", "45%", "100%"}) {
      const Document run(fixture, {preset, Budget::parse(budget)});
      EXPECT_EQ(run.json.dump().find("null"), std::string::npos) << preset.name;
    }
  }
}

}  // namespace
}  // namespace kvsieve::sim::tests
