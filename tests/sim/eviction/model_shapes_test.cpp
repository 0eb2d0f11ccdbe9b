// Every preset on every kind of model and length, against the reference.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "kvsieve/traces/error.h"
#include "kvsieve/traces/synth.h"
#include "sim/eviction/replay_expectations.h"
#include "sim/eviction/trace_fixture.h"
#include "traces/fails_with.h"

namespace kvsieve::sim::tests {
namespace {

using kvsieve::tests::fails_with;
using kvsieve::tests::TemporaryFolder;

/// Every preset, with a window that leaves candidates in short prompts.
std::vector<EvictionPlan> all_presets(std::string_view budget, std::int64_t window) {
  std::vector<EvictionPlan> plans;
  for (const EvictionMethod& preset : eviction_presets()) {
    plans.push_back({preset, Budget::parse(budget)});
    plans.back().method.window = window;
  }
  return plans;
}

/// Replays `plans` and compares all of it; a wrong selection cannot hide behind ambiguity.
void expect_all_match(const traces::Trace& trace, const std::vector<EvictionPlan>& plans,
                      const EvictionOptions& options = {}) {
  Tally tally;
  for (const EvictionResult& result : replay_eviction(trace, plans, options)) {
    expect_sound(trace, result);
    expect_matches_reference(trace, result, tally);
  }
  EXPECT_LE(tally.ambiguous * 8, tally.compared) << tally.ambiguous << " of " << tally.compared;
}

struct ShapeCase {
  std::string name;
  TraceShape shape;
};

void PrintTo(const ShapeCase& item, std::ostream* out) {
  *out << item.name;
}

std::vector<ShapeCase> shape_cases() {
  std::vector<ShapeCase> cases;
  const auto add = [&](std::string name, auto change) {
    TraceShape shape;
    change(shape);
    cases.push_back({std::move(name), shape});
  };
  add("gqa2", [](TraceShape&) {});
  add("mha", [](TraceShape& s) { s.kv_heads = 4; });
  add("gqa3", [](TraceShape& s) {
    s.q_heads = 6;
    s.kv_heads = 2;
  });
  add("one_kv_head", [](TraceShape& s) { s.kv_heads = 1; });
  add("one_head", [](TraceShape& s) {
    s.q_heads = 1;
    s.kv_heads = 1;
  });
  add("head_dim_80", [](TraceShape& s) { s.head_dim = 80; });
  add("head_dim_96", [](TraceShape& s) { s.head_dim = 96; });
  add("width_31", [](TraceShape& s) { s.width = 31; });
  add("partial_rotary", [](TraceShape& s) {
    s.head_dim = 32;
    s.rope.dim = 12;
  });
  add("interleaved", [](TraceShape& s) { s.rope.pairing = traces::RopePairing::kInterleaved; });
  add("llama3", [](TraceShape& s) {
    s.rope.theta = 5000.0;
    s.rope.scaling = {traces::RopeScalingType::kLlama3, 8.0, 1.0, 4.0, 64};
  });
  add("linear_scaling", [](TraceShape& s) {
    s.rope.scaling.type = traces::RopeScalingType::kLinear;
    s.rope.scaling.factor = 4.0;
  });
  add("attention_factor", [](TraceShape& s) { s.rope.attention_factor = 1.2; });
  add("softcap", [](TraceShape& s) { s.softcap = 3.0; });
  add("bf16", [](TraceShape& s) { s.dtype = traces::DType::kBF16; });
  add("f16", [](TraceShape& s) { s.dtype = traces::DType::kF16; });
  add("no_decode", [](TraceShape& s) { s.decode_tokens = 0; });
  add("whole_prompt_captured", [](TraceShape& s) { s.prompt_queries = s.prompt_tokens; });
  add("sliding_first_and_third", [](TraceShape& s) {
    s.layers = 4;
    s.sliding_windows = {{0, 20}, {2, 8}};
  });
  add("three_ropes", [](TraceShape& s) {
    s.layers = 5;
    s.layer_ropes[1] = {traces::RopePairing::kInterleaved, 10000.0, 16};
    s.layer_ropes[2] = {traces::RopePairing::kHalf, 100.0, 8};
    s.layer_ropes[3] = s.layer_ropes[1];
  });
  add("some_layers_captured", [](TraceShape& s) {
    s.layers = 6;
    s.captured = {1, 4};
  });
  return cases;
}

class EveryShape : public testing::TestWithParam<ShapeCase> {};

TEST_P(EveryShape, EveryPresetMatchesTheReference) {
  const TraceFixture fixture(GetParam().shape);
  expect_all_match(fixture.trace(), all_presets("35%", 12));
}

TEST_P(EveryShape, QueryHeadsWithSinksMatchTheReference) {
  const TraceFixture fixture(GetParam().shape);
  std::vector<EvictionPlan> plans = all_presets("30%", 10);
  for (EvictionPlan& plan : plans) {
    plan.method.granularity = Granularity::kQueryHead;
    plan.method.sinks = 3;
  }
  expect_all_match(fixture.trace(), plans);
}

INSTANTIATE_TEST_SUITE_P(Models, EveryShape, testing::ValuesIn(shape_cases()),
                         [](const auto& test) { return test.param.name; });

TEST(ModelShapes, EveryPoolReduceAndAlphaModeMatchesTheReference) {
  TraceShape shape;
  shape.q_heads = 6;
  shape.kv_heads = 3;
  shape.peakiest = 6.0;
  const TraceFixture fixture(shape);
  std::vector<EvictionPlan> plans;
  for (const char* pool : {"max:7", "avg:5", "avg:7", "max:1", "none"}) {
    for (const char* reduce : {"mean", "max"}) {
      for (const char* mode :
           {"blend", "floor", "floor-kvpress", "paper-literal", "official-rounding"}) {
        plans.push_back(plan_of("ada-snapkv", "31%", [&](EvictionMethod& method) {
          method.window = 8;
          method.pool = pooling_from_name(pool);
          method.group_reduce = group_reduce_from_name(reduce);
          method.alpha_mode = alpha_mode_from_name(mode);
          method.alpha = plans.size() % 3 == 0 ? kernels::Decimal{5, 10} : kernels::Decimal{2, 10};
        }));
      }
    }
  }
  expect_all_match(fixture.trace(), plans);
}

TEST(ModelShapes, T17_PromptsAroundTheWindowMatchTheReference) {
  for (const std::int64_t n : {1, 7, 31, 32, 33, 34, 40}) {
    SCOPED_TRACE(n);
    TraceShape shape;
    shape.prompt_tokens = n;
    const TraceFixture fixture(shape);
    for (const char* budget : {"32", "33", "50%", "100%"}) {
      expect_all_match(fixture.trace(), all_presets(budget, 32));
    }
  }
}

TEST(ModelShapes, BudgetsFromNothingToEverythingMatchTheReference) {
  const TraceFixture fixture({});
  for (const char* budget : {"0", "1", "12", "13", "15", "17", "40", "95", "96", "97", "1000"}) {
    SCOPED_TRACE(budget);
    expect_all_match(fixture.trace(), all_presets(budget, 12));
  }
}

TEST(ModelShapes, SyntheticTracesMatchTheReference) {
  const TemporaryFolder folder;
  traces::SynthOptions options;
  options.layers = 2;
  options.q_heads = 4;
  options.kv_heads = 2;
  options.head_dim = 32;
  options.width = 40;
  options.prompt_tokens = 200;
  options.decode_tokens = 8;
  options.prompt_queries = 64;
  traces::synthesize(folder / "synth", options);
  const traces::Trace trace = traces::Trace::open(folder / "synth");
  expect_all_match(trace, all_presets("25%", 32));
}

TEST(ModelShapes, MorePromptThanATileOfKeysMatchesTheReference) {
  TraceShape shape;
  shape.layers = 1;
  shape.prompt_tokens = 1100;
  shape.decode_tokens = 3;
  shape.prompt_queries = 40;
  const TraceFixture fixture(shape);
  expect_all_match(fixture.trace(), {plan_of("ada-snapkv", "20%"), plan_of("h2o", "10%"),
                                     plan_of("ada-criticalkv", "128")});
}

TEST(ModelShapes, WithoutPromptQueriesOnlyMethodsThatReadNoneRun) {
  TraceShape shape;
  shape.prompt_queries = 0;
  const TraceFixture fixture(shape);
  Tally tally;
  for (const char* name : {"full", "streaming-llm", "knorm", "random"}) {
    const EvictionResult result = replay_one(fixture.trace(), plan_of(name, "50%"));
    EXPECT_EQ(result.queries_used, 0);
    EXPECT_FALSE(result.summary.observation);
    expect_sound(fixture.trace(), result);
    expect_matches_reference(fixture.trace(), result, tally);
  }
  for (const char* name : {"snapkv", "h2o", "tova", "ada-snapkv", "criticalkv"}) {
    EXPECT_TRUE(fails_with(ErrorKind::kUsage, "prompt queries, the trace captured 0", [&] {
      static_cast<void>(replay_one(fixture.trace(), plan_of(name, "50%")));
    })) << name;
  }
}

TEST(ModelShapes, AWindowBeyondTheCapturedQueriesIsAUsageError) {
  TraceShape shape;
  shape.prompt_queries = 20;
  const TraceFixture fixture(shape);
  const auto replay = [&](const char* name) {
    return [&, name] { static_cast<void>(replay_one(fixture.trace(), plan_of(name, "50%"))); };
  };
  for (const char* name : {"snapkv", "pyramidkv", "ada-snapkv", "ada-criticalkv"}) {
    EXPECT_TRUE(fails_with(ErrorKind::kUsage, "the last 32 prompt queries, the trace captured 20",
                           replay(name)));
    EXPECT_TRUE(fails_with(ErrorKind::kUsage, fixture.trace().path().string(), replay(name)));
  }
  for (const char* name : {"full", "streaming-llm", "h2o", "tova", "knorm", "random"}) {
    EXPECT_NO_THROW(replay(name)()) << name;
  }
}

}  // namespace
}  // namespace kvsieve::sim::tests
