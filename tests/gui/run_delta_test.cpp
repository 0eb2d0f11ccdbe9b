#include "core/run_delta.h"

#include <gtest/gtest.h>

namespace kvsieve::gui {
namespace {

using Json = nlohmann::ordered_json;

Json head(int number, double mass) {
  return {{"head", number}, {"budget", 100}, {"evicted_mass", mass}, {"kept_runs", Json::array()}};
}

Json a_run() {
  return {{"schema", "kvsieve.run/1"},
          {"tool_version", "0.1.0"},
          {"family", "eviction"},
          {"origin", "captured"},
          {"trace", {{"path", "/a/x.kvtrace"}, {"hash", "00"}, {"model", "m"}, {"L", 9}}},
          {"method",
           {{"name", "ada-snapkv"}, {"budget", "20%"}, {"alpha", 0.2}, {"granularity", "kv"}}},
          {"backend", "cpu"},
          {"isa", "avx2"},
          {"summary",
           {{"evicted_mass", 0.2},
            {"uniform", {{"evicted_mass", 0.25}}},
            {"kept_tokens_per_head_mean", 400.0}}},
          {"layers",
           {{{"layer", 0}, {"evicted_mass", 0.1}, {"heads", {head(0, 0.1), head(1, 0.2)}}},
            {{"layer", 4}, {"evicted_mass", 0.3}, {"heads", {head(0, 0.3), head(1, 0.0)}}}}},
          {"steps",
           {{{"step", 0}, {"position", 10}, {"evicted_mass", 0.1}},
            {{"step", 1}, {"position", 11}, {"evicted_mass", 0.3}}}},
          {"cost", {{"origin", "modelled"}, {"layers", 9}, {"kv_kept_bytes", 1000}}},
          {"warnings", Json::array()}};
}

RunDelta delta_of(const Json& baseline, const Json& shown) {
  return {Run(baseline, "old"), Run(shown, "new")};
}

bool lists(const RunDelta& delta, const QString& what, bool in_baseline) {
  for (const MissingItem& item : delta.missing()) {
    if (item.what == what && item.in_baseline == in_baseline) {
      return true;
    }
  }
  return false;
}

TEST(RunDelta, OfEqualRunsIsNothing) {
  const RunDelta delta = delta_of(a_run(), a_run());
  EXPECT_TRUE(delta.set_up().empty());
  EXPECT_TRUE(delta.missing().empty());
  ASSERT_EQ(delta.figures().size(), 4U);
  for (const FigureDelta& figure : delta.figures()) {
    EXPECT_EQ(verdict_of(figure.value, figure.info), Verdict::kEqual);
  }
}

TEST(RunDelta, C28FiguresHaveSignSizeAndVerdictTheWorstFirst) {
  Json shown = a_run();
  shown["summary"]["evicted_mass"] = 0.3;
  shown["summary"]["uniform"]["evicted_mass"] = 0.2;
  shown["summary"]["kept_tokens_per_head_mean"] = 200.0;
  const RunDelta delta = delta_of(a_run(), shown);
  ASSERT_EQ(delta.figures().size(), 4U);
  const FigureDelta& worst = delta.figures()[0];
  EXPECT_EQ(worst.name, "evicted_mass");
  EXPECT_EQ(verdict_of(worst.value, worst.info), Verdict::kWorse);
  EXPECT_EQ(difference_text(*worst.value.difference(), worst.info), "+10.00%");
  EXPECT_EQ(relative_text(worst.value), "+50.0%");
  EXPECT_EQ(delta.figures()[1].name, "kept_tokens_per_head_mean");
  EXPECT_EQ(verdict_of(delta.figures()[1].value, delta.figures()[1].info), Verdict::kOther);
  EXPECT_EQ(delta.figures()[2].name, "uniform/evicted_mass");
  EXPECT_EQ(verdict_of(delta.figures()[2].value, delta.figures()[2].info), Verdict::kBetter);
  EXPECT_EQ(sign_glyph(*delta.figures()[2].value.difference()), QString::fromUtf8("▼"));
}

TEST(RunDelta, DifferentSetUpIsListed) {
  Json shown = a_run();
  shown["tool_version"] = "0.2.0";
  shown["method"]["alpha"] = 0.5;
  shown["method"]["window"] = 32;
  shown["trace"]["hash"] = "01";
  shown["trace"]["path"] = "/b/x.kvtrace";  // says nothing
  const RunDelta delta = delta_of(a_run(), shown);
  ASSERT_EQ(delta.set_up().size(), 4U);
  EXPECT_EQ(delta.set_up()[0].name, "tool_version");
  EXPECT_EQ(delta.set_up()[1].name, "trace hash");
  EXPECT_EQ(delta.set_up()[2].name, "alpha");
  EXPECT_EQ(delta.set_up()[2].baseline, "0.2");
  EXPECT_EQ(delta.set_up()[2].shown, "0.5");
  EXPECT_EQ(delta.set_up()[3].name, "window");
  EXPECT_EQ(delta.set_up()[3].baseline, "");
}

TEST(RunDelta, C28MissingItemsAreListedOnBothSides) {
  Json shown = a_run();
  shown["layers"][0]["heads"].erase(1);
  shown["layers"][1]["layer"] = 8;
  shown["steps"].push_back({{"step", 2}, {"position", 12}, {"evicted_mass", 0.2}});
  shown["steps"].push_back({{"step", 3}, {"position", 13}, {"evicted_mass", 0.2}});
  shown["summary"].erase("kept_tokens_per_head_mean");
  shown["layers"][0]["heads"][0]["l1_loss"] = 1.0;
  const RunDelta delta = delta_of(a_run(), shown);
  EXPECT_TRUE(lists(delta, "layer 4", true));
  EXPECT_TRUE(lists(delta, "layer 8", false));
  EXPECT_TRUE(lists(delta, "steps 2, 3", false));
  EXPECT_TRUE(lists(delta, "KV head 1 of layer 0", true));
  EXPECT_TRUE(lists(delta, "kept_tokens_per_head_mean of the whole", true));
  EXPECT_TRUE(lists(delta, "l1_loss of 1 KV head", false));
  EXPECT_EQ(delta.missing().size(), 6U);
}

TEST(RunDelta, HeadsLayersAndStepsAreMatchedByTheirNumbers) {
  Json shown = a_run();
  shown["layers"][1]["heads"][0]["evicted_mass"] = 0.1;
  std::swap(shown["layers"][0], shown["layers"][1]);
  shown["layers"][1]["layer"] = 2;
  const RunDelta delta = delta_of(a_run(), shown);
  const DeltaMap map = delta.head_map("evicted_mass");
  EXPECT_EQ(map.layers, (std::vector<std::int64_t>{0, 2, 4}));
  EXPECT_EQ(map.heads, (std::vector<std::int64_t>{0, 1}));
  EXPECT_EQ(map.head_name, "KV head");
  ASSERT_EQ(map.values.size(), 6U);
  EXPECT_NEAR(*map.values[4].difference(), -0.2, 1e-12);
  EXPECT_FALSE(map.values[0].shown);
  EXPECT_FALSE(map.values[2].baseline);
  EXPECT_EQ(delta.by_layer("evicted_mass").size(), 3U);
  EXPECT_EQ(*delta.by_step("evicted_mass")[1].second.difference(), 0.0);
  EXPECT_TRUE(delta.head_figures().contains("budget"));
}

TEST(RunDelta, HeadsOfDifferentKindsAreNoCounterparts) {
  Json shown = a_run();
  shown["method"]["granularity"] = "query";
  const RunDelta delta = delta_of(a_run(), shown);
  EXPECT_TRUE(delta.head_figures().isEmpty());
  EXPECT_TRUE(lists(delta, "budgets by KV head: all heads", true));
  EXPECT_TRUE(lists(delta, "budgets by query head: all heads", false));
}

TEST(RunDelta, NumberListsJoinRuns) {
  EXPECT_EQ(number_list({0, 4, 5, 8, 9, 10}), QString::fromUtf8("0, 4, 5, 8–10"));
  EXPECT_EQ(number_list({}), "");
}

TEST(FigureDelta, RelativeToZeroHasNoShare) {
  EXPECT_FALSE((DeltaValue{0.0, 1.0}.relative()));
  EXPECT_EQ((DeltaValue{0.0, 0.0}.relative()), 0.0);
  EXPECT_EQ((DeltaValue{-2.0, -1.0}.relative()), 0.5);
  EXPECT_FALSE((DeltaValue{std::nullopt, 1.0}.difference()));
  EXPECT_EQ(verdict_of({std::nullopt, 1.0}, metric_info("recall")), Verdict::kMissing);
}

}  // namespace
}  // namespace kvsieve::gui
