#include "kvsieve/sim/comparison_report.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace kvsieve::sim {
namespace {

ResultComparison a_comparison() {
  ResultComparison comparison;
  comparison.kind = ResultKind::kCounters;
  comparison.old_file = "old.json";
  comparison.new_file = "new.json";
  comparison.matched = {"gather|<b>/n:1", "copy/n:1"};
  comparison.changes = {
      {"gather|<b>/n:1",
       "global_load_sectors",
       "gather|<b>/n:1",
       ChangeVerdict::kWorse,
       128.0,
       1024.0,
       "50%\nmore\x01",
       {},
       {{"/project/src/gather, x:y.cuh", 41, 128, 1024}}},
      {"copy/n:1", "registers", "copy/n:1", ChangeVerdict::kBetter, 32.0, 30.0, {}, {}, {}}};
  comparison.added = {"new|case"};
  comparison.removed = {"old_case"};
  comparison.renamed = {{"was", "is"}};
  comparison.set_up = {{"kvsieve.compiler", "nvcc|12", "nvcc 13", true}};
  finish_comparison(comparison);
  return comparison;
}

const GateRule kRule = GateRule::parse({"regression", "missing"});

TEST(ComparisonReport, MarkdownEscapesWhatWouldBreakItsTables) {
  const std::string text = comparison_markdown(a_comparison(), kRule);
  EXPECT_TRUE(text.starts_with("### ❌")) << text;
  EXPECT_NE(text.find("gather\\|&lt;b&gt;/n:1"), std::string::npos) << text;
  EXPECT_NE(text.find("nvcc\\|12"), std::string::npos) << text;
  EXPECT_NE(text.find("new\\|case"), std::string::npos) << text;
  EXPECT_NE(text.find("was → is"), std::string::npos) << text;
  // Every row of the first table has its eight borders and nothing else that looks like one.
  std::size_t rows = 0;
  for (std::size_t at = text.find("\n| "); at != std::string::npos;
       at = text.find("\n| ", at + 1)) {
    const std::string line = text.substr(at + 1, text.find('\n', at + 1) - at - 1);
    std::size_t borders = 0;
    for (std::size_t i = 0; i < line.size(); ++i) {
      borders += line[i] == '|' && (i == 0 || line[i - 1] != '\\') ? 1 : 0;
    }
    EXPECT_TRUE(borders == 8 || borders == 4) << line;
    ++rows;
  }
  EXPECT_EQ(rows, 7U) << text;
}

TEST(ComparisonReport, MarkdownLeavesOutWhatIsTooMuch) {
  ResultComparison comparison = a_comparison();
  comparison.added.assign(200, "one");
  comparison.changes.insert(comparison.changes.end(), 100, comparison.changes[0]);
  const std::string text = comparison_markdown(comparison, kRule, 5);
  EXPECT_NE(text.find("97 more changes"), std::string::npos);
  EXPECT_NE(text.find("and 195 more"), std::string::npos);
}

TEST(ComparisonReport, AnnotationsAreEscapedAndPointAtTheLine) {
  const std::string text = comparison_annotations(a_comparison(), kRule, "/project");
  EXPECT_TRUE(
      text.starts_with("::error file=src/gather%2C x%3Ay.cuh,line=41,title="
                       "gather|<b>/n%3A1::global_load_sectors +700.0%25: 128 to 1,024 (50%25 "
                       "more"))
      << text;
  EXPECT_NE(text.find("::error title=old_case::this case was removed"), std::string::npos) << text;
  EXPECT_EQ(text.find("copy/n"), std::string::npos) << "better ones are no annotation";
  EXPECT_EQ(comparison_annotations(a_comparison(), kRule, "/elsewhere").find("file=src"),
            std::string::npos);
}

TEST(ComparisonReport, AnnotationsAreTenOfAKind) {
  ResultComparison comparison = a_comparison();
  comparison.removed.assign(50, "gone");
  const std::string text = comparison_annotations(comparison, kRule, "/project");
  std::size_t errors = 0;
  for (std::size_t at = text.find("::error"); at != std::string::npos;
       at = text.find("::error", at + 1)) {
    ++errors;
  }
  EXPECT_EQ(errors, 10U);
  EXPECT_NE(text.find("::notice"), std::string::npos);
}

TEST(ComparisonReport, WhatFailsTheGateFailsInEachFormat) {
  ResultComparison nothing;
  nothing.kind = ResultKind::kTimings;
  EXPECT_NE(comparison_junit(nothing, kRule).find("failures=\"1\""), std::string::npos);
  EXPECT_NE(comparison_annotations(nothing, kRule, "/").find("::error"), std::string::npos);
  EXPECT_FALSE(to_json(nothing, kRule)["passed"].get<bool>());
  EXPECT_NE(comparison_markdown(nothing, kRule).find("❌"), std::string::npos);
  const GateRule none = GateRule::parse({"none"});
  EXPECT_NE(comparison_junit(a_comparison(), none).find("failures=\"0\""), std::string::npos);
  EXPECT_TRUE(to_json(a_comparison(), none)["passed"].get<bool>());
  EXPECT_TRUE(comparison_markdown(nothing, kRule).starts_with("### ❌ Failed"));
  EXPECT_TRUE(comparison_markdown(a_comparison(), none).starts_with("### ⚠️ Regression"));
  EXPECT_TRUE(comparison_markdown(nothing, none).starts_with("### ✅ No regression"));
}

TEST(ComparisonReport, JunitHasACaseForEachMatchedOne) {
  const std::string text = comparison_junit(a_comparison(), kRule);
  EXPECT_NE(text.find("name=\"gather|&lt;b&gt;/n:1\""), std::string::npos) << text;
  EXPECT_NE(text.find("tests=\"4\" failures=\"2\""), std::string::npos) << text;
  EXPECT_EQ(text.find('\x01'), std::string::npos);
}

TEST(ComparisonReport, Summary) {
  EXPECT_EQ(comparison_summary(a_comparison()),
            "1 worse, 1 better, 1 added, 1 removed, 1 renamed; 2 cases in both");
  ResultComparison equal;
  equal.kind = ResultKind::kSweep;
  equal.points = 12'000;
  equal.matched = {"l1_loss"};
  EXPECT_EQ(comparison_summary(equal), "no difference; 12,000 points with 1 metric in both");
}

}  // namespace
}  // namespace kvsieve::sim
