#include "compare/run_results.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "../../traces/fails_with.h"
#include "kvsieve/sim/compare_results.h"
#include "kvsieve/sim/run_document.h"
#include "traces/temporary_folder.h"

namespace kvsieve::sim {
namespace {

using Json = nlohmann::ordered_json;
using tests::fails_with;

Json a_run() {
  return Json::parse(R"({
    "schema": "kvsieve.run/1", "tool_version": "0.1.0", "isa": "avx2",
    "trace": {"path": "a.kvtrace", "hash": "00"}, "method": {"name": "snapkv", "budget": "20%"},
    "summary": {"l1_loss": 2.0, "uniform": {"l1_loss": 3.0}},
    "layers": [{"layer": 0, "evicted_mass": 0.1, "heads": [
                  {"head": 0, "budget": 10, "evicted_mass": 0.1,
                   "query_heads": [{"head": 3, "recall": 0.5}]}]},
               {"layer": 4, "evicted_mass": 0.2, "heads": []}],
    "steps": [{"step": 0, "position": 99, "recall": 0.5}],
    "cost": {"kv_kept_bytes": 1000}})");
}

ResultComparison compare(const Json& before, const Json& after,
                         const CompareOptions& options = {}) {
  ResultComparison comparison;
  comparison.kind = ResultKind::kRun;
  compare_runs(before, after, options, comparison);
  finish_comparison(comparison);
  return comparison;
}

TEST(RunResults, EqualRuns) {
  const ResultComparison comparison = compare(a_run(), a_run());
  EXPECT_TRUE(comparison.changes.empty());
  EXPECT_TRUE(comparison.set_up.empty());
  EXPECT_EQ(comparison.matched,
            (std::vector<std::string>{"summary", "cost", "layer 0", "layer 0, head 0",
                                      "layer 0, head 0, query head 3", "layer 4", "step 0"}));
}

TEST(RunResults, NamesPartAndFigure) {
  Json after = a_run();
  after["summary"]["uniform"]["l1_loss"] = 3.3;
  after["layers"][0]["heads"][0]["evicted_mass"] = 0.05;
  after["layers"][0]["heads"][0]["budget"] = 11;
  after["steps"][0]["position"] = 100;
  const ResultComparison comparison = compare(a_run(), after);
  ASSERT_EQ(comparison.changes.size(), 3U);
  EXPECT_EQ(comparison.changes[0].case_name, "summary");
  EXPECT_EQ(comparison.changes[0].metric, "uniform/l1_loss");
  EXPECT_EQ(comparison.changes[0].verdict, ChangeVerdict::kWorse);
  EXPECT_EQ(comparison.changes[1].metric, "budget");
  EXPECT_EQ(comparison.changes[1].verdict, ChangeVerdict::kChanged);
  EXPECT_EQ(comparison.changes[2].verdict, ChangeVerdict::kBetter);
}

TEST(RunResults, OtherMethodsAndMissingParts) {
  Json after = a_run();
  after["method"]["budget"] = "10%";
  after["trace"]["path"] = "elsewhere.kvtrace";
  after["layers"].erase(1);
  const ResultComparison comparison = compare(a_run(), after);
  ASSERT_EQ(comparison.set_up.size(), 1U);
  EXPECT_EQ(comparison.set_up[0].what, "method.budget");
  EXPECT_EQ(comparison.set_up[0].after, "10%");
  EXPECT_EQ(comparison.removed, std::vector<std::string>{"layer 4"});
  EXPECT_EQ(compare(after, a_run()).added, std::vector<std::string>{"layer 4"});
}

TEST(RunResults, FiltersPartsAndFigures) {
  Json after = a_run();
  after["summary"]["l1_loss"] = 9.0;
  after["layers"][1]["evicted_mass"] = 0.9;
  CompareOptions options;
  options.filter = "^layer";
  EXPECT_EQ(compare(a_run(), after, options).changes.size(), 1U);
  options = {};
  options.metrics = {"l1_loss"};
  EXPECT_EQ(compare(a_run(), after, options).changes.size(), 1U);
}

TEST(RunResults, UnknownMetrics) {
  CompareOptions options;
  options.metrics = {"l1_loss", "l1_los"};
  EXPECT_TRUE(
      fails_with(ErrorKind::kUsage, "'l1_los'", [&] { compare(a_run(), a_run(), options); }));
}

TEST(RunResults, MalformedParts) {
  Json broken = a_run();
  broken["layers"] = 7;
  EXPECT_TRUE(
      fails_with(ErrorKind::kBadInput, "layers is no array", [&] { compare(broken, a_run()); }));
  broken["layers"] = Json::array({1});
  EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "layers[0]", [&] { compare(broken, a_run()); }));
  broken["layers"] = Json::array({{{"layer", 1}}, {{"layer", 1}}});
  EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "layer 1 twice", [&] { compare(broken, a_run()); }));
}

TEST(RunResults, FilesOfRuns) {
  tests::TemporaryFolder folder;
  Json after = a_run();
  after["summary"]["l1_loss"] = 2.5;
  write_run(folder / "old.kvrun", a_run(), false);
  write_run(folder / "new.json", after, false);
  const ResultComparison comparison =
      compare_results(folder / "old.kvrun", folder / "new.json", {});
  EXPECT_EQ(comparison.kind, ResultKind::kRun);
  EXPECT_EQ(comparison.count(ChangeVerdict::kWorse), 1);
}

}  // namespace
}  // namespace kvsieve::sim
