#include "core/head_figures.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "core/run.h"
#include "kvsieve/traces/error.h"
#include "report/run_documents.h"
#include "sample_runs.h"

namespace kvsieve::gui {
namespace {

using kvsieve::tests::eviction_document;
using kvsieve::tests::retrieval_document;

std::vector<std::string> ids_of(const Run& run) {
  std::vector<std::string> ids;
  for (const HeadFigureName& name : head_figure_names(run.view())) {
    ids.push_back(name.id);
  }
  return ids;
}

TEST(HeadFigures, ARunOffersWhatItHas) {
  const gui::Run eviction(eviction_document(), "a");
  EXPECT_EQ(ids_of(eviction),
            (std::vector<std::string>{"budget", "budget_ratio", "evicted_mass", "retained_mass",
                                      "l1_loss", "needle_kept"}));
  const gui::Run uniform(eviction_document({.steps = 0, .adaptive = false, .needle = false}), "b");
  EXPECT_EQ(ids_of(uniform), (std::vector<std::string>{"budget"}));
  const std::vector<std::string> retrieval = ids_of(gui::Run(retrieval_document(), "c"));
  for (const char* id : {"recall", "captured_mass", "head_output_error", "union_tokens",
                         "pcie_per_step/fetch-dma/bytes", "query_heads/recall", "needle_recall"}) {
    EXPECT_TRUE(std::count(retrieval.begin(), retrieval.end(), id)) << id;
  }
  EXPECT_FALSE(std::count(retrieval.begin(), retrieval.end(), "budget"));
}

TEST(HeadFigures, EachOfEveryValidDocumentHasNameFormulaAndValues) {
  for (const auto& [name, document] : kvsieve::tests::valid_documents()) {
    const gui::Run run(document, QString::fromStdString(name));
    std::set<std::string> names;
    for (const HeadFigureName& offered : head_figure_names(run.view())) {
      const HeadFigure figure = head_figure(run.view(), offered.id);
      EXPECT_TRUE(names.insert(figure.name).second) << name << ": " << figure.name;
      EXPECT_FALSE(figure.formula.empty()) << name << ": " << figure.name;
      EXPECT_FALSE(figure.origin.empty()) << name << ": " << figure.name;
      EXPECT_TRUE(sim::has_values(figure.map.values)) << name << ": " << figure.name;
      EXPECT_EQ(figure.layers.size(), figure.map.rows.size());
      EXPECT_EQ(figure.column_head.size(), figure.map.columns.size());
    }
  }
}

TEST(HeadFigures, ValuesAreThoseOfTheDocument) {
  const auto run = tests::sample_run("ada-snapkv", "10%");
  const HeadFigure evicted = head_figure(run->view(), "evicted_mass");
  const HeadFigure retained = head_figure(run->view(), "retained_mass");
  const HeadFigure ratio = head_figure(run->view(), "budget_ratio");
  EXPECT_EQ(evicted.layers, (std::vector<std::int64_t>{0, 4, 8}));
  EXPECT_EQ(evicted.map.columns.size(), 3U);
  double ratios = 0.0;
  for (std::size_t head = 0; head < 3; ++head) {
    const sim::Node& node = tests::head_node(*run, 4, static_cast<std::int64_t>(head));
    EXPECT_EQ(evicted.value(1, head), node.number("evicted_mass"));
    EXPECT_EQ(*retained.value(1, head), 1.0 - *node.number("evicted_mass"));
    EXPECT_NEAR(*ratio.value(1, head), *node.number("budget") / 200.0, 1e-12);
    ratios += *ratio.value(1, head);
  }
  EXPECT_NEAR(ratios, 3.0, 1e-12);
  EXPECT_EQ(ratio.centre, ColourCentre::kOne);
  EXPECT_EQ(evicted.head_at(1, 2), (HeadId{4, 2}));
  EXPECT_THROW((void)head_figure(run->view(), "recall"), Error);
}

TEST(HeadFigures, LayersLeftWholeHaveEmptyRows) {
  const gui::Run run(eviction_document({.layers = 4, .whole_layers = {1, 3}}), "a");
  const HeadFigure figure = head_figure(run.view(), "budget");
  EXPECT_EQ(figure.layers, (std::vector<std::int64_t>{0, 1, 2, 3}));
  EXPECT_EQ(figure.whole, (std::vector<bool>{false, true, false, true}));
  EXPECT_TRUE(figure.value(0, 0));
  EXPECT_FALSE(figure.value(1, 0));
  EXPECT_TRUE(figure.value(2, 1));
  EXPECT_EQ(heads_of(figure), (std::vector<HeadId>{{0, 0}, {0, 1}, {2, 0}, {2, 1}}));
}

TEST(HeadFigures, QueryHeadsStandForTheirKvHead) {
  const gui::Run run(retrieval_document(), "a");
  const HeadFigure figure = head_figure(run.view(), "query_heads/recall");
  EXPECT_EQ(figure.map.column_name, "query head");
  EXPECT_EQ(figure.column_head, (std::vector<std::int64_t>{0, 0, 1, 1}));
  EXPECT_EQ(heads_of(figure).size(), 4U);
}

TEST(HeadFigures, RanksCountFromTheLargestAndShareTies) {
  sim::HeatMap map;
  map.values = {2.0, std::nullopt, 9.0, 2.0, 1.0};
  const HeadRanks ranks = rank_heads(map);
  EXPECT_EQ(ranks.places, (std::vector<std::size_t>{2, 0, 1, 2, 4}));
  EXPECT_EQ(ranks.count, 4U);
  for (const auto& [place, text] :
       std::vector<std::pair<std::size_t, std::string>>{{1, "largest of 24"},
                                                        {2, "2nd largest of 24"},
                                                        {3, "3rd largest of 24"},
                                                        {4, "4th largest of 24"},
                                                        {11, "11th largest of 24"},
                                                        {12, "12th largest of 24"},
                                                        {21, "21st largest of 24"}}) {
    EXPECT_EQ(rank_text(place, 24), text);
  }
}

TEST(HeadFigures, ComparedHeadByHeadWithMissingOnesListed) {
  const gui::Run own(eviction_document({.layers = 2, .heads = 3}), "a");
  const gui::Run baseline(eviction_document({.layers = 3, .heads = 2, .adaptive = false}), "b");
  const HeadFigure ours = head_figure(own.view(), "budget");
  const HeadFigure theirs = head_figure(baseline.view(), "budget");
  const HeadComparison difference = compare_heads(ours, theirs, HeadDelta::kDifference);
  EXPECT_EQ(difference.figure.map.rows.size(), 3U);
  EXPECT_EQ(difference.figure.map.columns.size(), 3U);
  EXPECT_EQ(difference.figure.centre, ColourCentre::kZero);
  EXPECT_EQ(difference.figure.value(0, 0), *ours.value(0, 0) - *theirs.value(0, 0));
  EXPECT_FALSE(difference.figure.value(0, 2));
  // Head 2 of two layers here, two heads of layer 2 there.
  EXPECT_EQ(
      difference.missing,
      (std::vector<std::string>{
          "layer 0, KV head 2: only in the run", "layer 1, KV head 2: only in the run",
          "layer 2, KV head 0: only in the baseline", "layer 2, KV head 1: only in the baseline"}));
  const HeadComparison ratio = compare_heads(ours, theirs, HeadDelta::kRatio);
  EXPECT_DOUBLE_EQ(*ratio.figure.value(1, 1), *ours.value(1, 1) / *theirs.value(1, 1));
  EXPECT_EQ(ratio.figure.map.unit, sim::Unit::kRatio);
}

TEST(HeadFigures, HeadsOfAnotherKindAreNotCompared) {
  const auto by_kv = tests::sample_run("snapkv", "10%");
  const auto by_query = tests::sample_run("snapkv", "10%", sim::Granularity::kQueryHead);
  const HeadComparison comparison =
      compare_heads(head_figure(by_kv->view(), "budget"), head_figure(by_query->view(), "budget"),
                    HeadDelta::kDifference);
  EXPECT_FALSE(sim::has_values(comparison.figure.map.values));
  EXPECT_EQ(comparison.missing,
            (std::vector<std::string>{
                "the run has KV heads, the baseline query heads: no head is in both"}));
}

}  // namespace
}  // namespace kvsieve::gui
