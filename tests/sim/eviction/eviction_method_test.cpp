#include "kvsieve/sim/eviction_method.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "kvsieve/traces/error.h"
#include "traces/fails_with.h"

namespace kvsieve::sim::tests {
namespace {

using kernels::AlphaMode;
using kernels::GroupReduce;
using kernels::Pooling;
using kvsieve::tests::fails_with;

const EvictionMethod& preset(std::string_view name) {
  const EvictionMethod* found = find_eviction_preset(name);
  if (found == nullptr) {
    throw std::invalid_argument(std::string(name));
  }
  return *found;
}

TEST(EvictionMethod, PresetsAreListedInTheOrderOfTheDocs) {
  std::vector<std::string> names;
  for (const EvictionMethod& method : eviction_presets()) {
    names.push_back(method.name);
    EXPECT_EQ(find_eviction_preset(method.name), &method);
  }
  EXPECT_EQ(names,
            (std::vector<std::string>{"full", "streaming-llm", "h2o", "tova", "knorm", "snapkv",
                                      "pyramidkv", "pyramidkv-official", "ada-snapkv",
                                      "ada-pyramid", "criticalkv", "ada-criticalkv", "random"}));
  EXPECT_EQ(find_eviction_preset("snapKV"), nullptr);
  EXPECT_EQ(find_eviction_preset(""), nullptr);
}

TEST(EvictionMethod, PresetsAreMadeOfTheDocumentedStages) {
  struct Row {
    const char* name;
    Scorer scorer;
    const char* pool;
    LayerRule rule;
    bool adaptive;
    bool two_stage;
    std::int64_t sinks;
  };
  const auto u = LayerRule::kUniform;
  const std::vector<Row> rows = {
      {"full", Scorer::kNone, "none", u, false, false, 0},
      {"streaming-llm", Scorer::kRecency, "none", u, false, false, 4},
      {"h2o", Scorer::kAttentionSum, "none", u, false, false, 0},
      {"tova", Scorer::kLastQuery, "none", u, false, false, 0},
      {"knorm", Scorer::kKeyNorm, "none", u, false, false, 0},
      {"snapkv", Scorer::kWindowAttention, "max:7", u, false, false, 0},
      {"pyramidkv", Scorer::kWindowAttention, "max:7", LayerRule::kPyramid, false, false, 0},
      {"pyramidkv-official", Scorer::kWindowAttention, "max:7", LayerRule::kPyramidOfficial, false,
       false, 0},
      {"ada-snapkv", Scorer::kWindowAttention, "max:7", u, true, false, 0},
      {"ada-pyramid", Scorer::kWindowAttention, "max:7", LayerRule::kPyramid, true, false, 0},
      {"criticalkv", Scorer::kWindowAttention, "max:7", u, false, true, 0},
      {"ada-criticalkv", Scorer::kWindowAttention, "max:7", u, true, true, 0},
      {"random", Scorer::kRandom, "none", u, false, false, 0},
  };
  ASSERT_EQ(rows.size(), eviction_presets().size());
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    const EvictionMethod& method = preset(row.name);
    EXPECT_EQ(method.scorer, row.scorer);
    EXPECT_EQ(name_of(method.pool), row.pool);
    EXPECT_EQ(method.layer_rule, row.rule);
    EXPECT_EQ(method.adaptive, row.adaptive);
    EXPECT_EQ(method.two_stage, row.two_stage);
    EXPECT_EQ(method.sinks, row.sinks);
    EXPECT_EQ(method.window, 32);
    EXPECT_EQ(method.granularity, Granularity::kKvHead);
    EXPECT_EQ(method.group_reduce, GroupReduce::kMean);
    EXPECT_EQ(method.alpha_mode, AlphaMode::kBlend);
    EXPECT_EQ(method.alpha.text(), "0.2");
    EXPECT_EQ(method.seed, 0U);
  }
}

TEST(EvictionMethod, NamesReadBack) {
  for (const Granularity value : {Granularity::kKvHead, Granularity::kQueryHead}) {
    EXPECT_EQ(granularity_from_name(name_of(value)), value);
  }
  for (const AlphaMode value : {AlphaMode::kBlend, AlphaMode::kFloor, AlphaMode::kFloorKvpress,
                                AlphaMode::kPaperLiteral, AlphaMode::kOfficialRounding}) {
    EXPECT_EQ(alpha_mode_from_name(name_of(value)), value);
  }
  for (const GroupReduce value : {GroupReduce::kMean, GroupReduce::kMax}) {
    EXPECT_EQ(group_reduce_from_name(name_of(value)), value);
  }
  for (const char* name : {"max:7", "avg:5", "max:1", "avg:1001", "none"}) {
    EXPECT_EQ(name_of(pooling_from_name(name)), name);
  }
  EXPECT_EQ(alpha_mode_from_name("official-rounding"), AlphaMode::kOfficialRounding);
  EXPECT_EQ(alpha_mode_from_name("paper-literal"), AlphaMode::kPaperLiteral);
  EXPECT_EQ(pooling_from_name("avg:5").kind, Pooling::Kind::kAverage);
  EXPECT_EQ(pooling_from_name("max:9").kernel, 9);
  EXPECT_EQ(pooling_from_name("none").kind, Pooling::Kind::kNone);
  std::vector<std::string_view> names;
  for (const Scorer value :
       {Scorer::kNone, Scorer::kWindowAttention, Scorer::kAttentionSum, Scorer::kLastQuery,
        Scorer::kKeyNorm, Scorer::kRecency, Scorer::kRandom}) {
    EXPECT_EQ(std::count(names.begin(), names.end(), name_of(value)), 0);
    names.push_back(name_of(value));
  }
  EXPECT_EQ(name_of(LayerRule::kPyramidOfficial), "pyramid-official");
}

TEST(EvictionMethod, UnknownNamesAreUsageErrorsThatListTheSupportedOnes) {
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "--granularity 'head' is unknown, supported: kv, query",
                         [] { static_cast<void>(granularity_from_name("head")); }));
  EXPECT_TRUE(fails_with(ErrorKind::kUsage,
                         "blend, floor, floor-kvpress, paper-literal, official-rounding",
                         [] { static_cast<void>(alpha_mode_from_name("Blend")); }));
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "--group-reduce '' is unknown, supported: mean, max",
                         [] { static_cast<void>(group_reduce_from_name("")); }));
  for (const char* name :
       {"", "max", "max:", "max:0", "max:4", "max:-3", "max:7x", "avg:1003", "min:7", "none:1",
        "max:7:1", ":7", "MAX:7", "avg: 5", "max:99999999999999999999"}) {
    EXPECT_TRUE(fails_with(ErrorKind::kUsage, "max:K or avg:K", [&] {
      static_cast<void>(pooling_from_name(name));
    })) << name;
  }
}

}  // namespace
}  // namespace kvsieve::sim::tests
