#include "core/budget_parts.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "report/run_documents.h"
#include "sample_runs.h"

namespace kvsieve::gui {
namespace {

TEST(BudgetParts, SumToTheBudgetAndNoHeadFallsBelowTheFloor) {
  using kernels::AlphaMode;
  for (const AlphaMode mode : {AlphaMode::kBlend, AlphaMode::kFloor, AlphaMode::kFloorKvpress,
                               AlphaMode::kPaperLiteral, AlphaMode::kOfficialRounding}) {
    for (const char* preset : {"ada-snapkv", "ada-pyramid"}) {
      const auto run = tests::sample_run(preset, "10%", sim::Granularity::kKvHead, mode);
      for (const sim::LayerView& layer : run->view().layers) {
        const LayerBudget budget = budget_parts(run->view(), layer);
        ASSERT_EQ(budget.heads.size(), 3U);
        for (const BudgetParts& head : budget.heads) {
          const std::int64_t tokens = head.protected_tokens + head.guaranteed + head.by_score;
          EXPECT_EQ(tokens, tests::head_node(*run, layer.layer, head.head).integer("budget"));
          EXPECT_EQ(head.protected_tokens, 32);
          EXPECT_GE(head.by_score, 0);
          EXPECT_GE(static_cast<double>(tokens), budget.floor);
        }
      }
    }
  }
}

TEST(BudgetParts, TheFloorIsWhatAlphaGuarantees) {
  // 200 tokens a head, 32 of them the window: alpha's fifth of 168 is 33.6.
  const auto blend = tests::sample_run("ada-snapkv", "200");
  const LayerBudget budget = budget_parts(blend->view(), blend->view().layers[1]);
  EXPECT_EQ(budget.uniform, 200.0);
  EXPECT_EQ(budget.heads.front().guaranteed, 33);
  EXPECT_EQ(budget.floor, 65.0);
  const auto literal = tests::sample_run("ada-snapkv", "200", sim::Granularity::kKvHead,
                                         kernels::AlphaMode::kPaperLiteral);
  EXPECT_EQ(budget_parts(literal->view(), literal->view().layers[1]).heads.front().guaranteed, 134);
  const auto kvpress = tests::sample_run("ada-snapkv", "200", sim::Granularity::kKvHead,
                                         kernels::AlphaMode::kFloorKvpress);
  EXPECT_EQ(budget_parts(kvpress->view(), kvpress->view().layers[1]).heads.front().guaranteed, 8);
}

TEST(BudgetParts, WithoutAdaptiveBudgetsAllIsGuaranteed) {
  const auto run = tests::sample_run("snapkv", "10%");
  const LayerBudget budget = budget_parts(run->view(), run->view().layers[0]);
  for (const BudgetParts& head : budget.heads) {
    EXPECT_EQ(head.guaranteed, 168);
    EXPECT_EQ(head.by_score, 0);
  }
  EXPECT_EQ(budget.floor, budget.uniform);
}

TEST(BudgetParts, RetrievalHasNone) {
  const gui::Run run(kvsieve::tests::retrieval_document(), "a");
  EXPECT_TRUE(budget_parts(run.view(), run.view().layers[0]).heads.empty());
}

}  // namespace
}  // namespace kvsieve::gui
