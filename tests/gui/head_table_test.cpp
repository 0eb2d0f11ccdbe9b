#include "core/head_table.h"

#include <gtest/gtest.h>

#include "core/run.h"
#include "report/run_documents.h"
#include "sample_runs.h"

namespace kvsieve::gui {
namespace {

std::vector<HeadFigure> figures_of(const gui::Run& run) {
  std::vector<HeadFigure> figures;
  for (const HeadFigureName& name : head_figure_names(run.view())) {
    figures.push_back(head_figure(run.view(), name.id));
  }
  return figures;
}

TEST(HeadTable, HasARowAHeadAndAColumnAFigure) {
  const auto run = tests::sample_run("ada-snapkv", "10%");
  HeadTable table;
  table.show(figures_of(*run));
  EXPECT_EQ(table.rowCount(), 9);
  EXPECT_EQ(table.columnCount(), 8);
  const int row = table.row_of({4, 2});
  EXPECT_EQ(row, 5);
  EXPECT_EQ(table.head(row), (HeadId{4, 2}));
  EXPECT_EQ(table.row_of({5, 0}), -1);
  const int column = table.column_of("evicted_mass");
  const double mass = *tests::head_node(*run, 4, 2).number("evicted_mass");
  const QModelIndex cell = table.index(row, column);
  EXPECT_EQ(cell.data(HeadTable::kNumberRole).toDouble(), mass);
  EXPECT_EQ(cell.data().toString().toStdString(), sim::number_text(mass, sim::Unit::kShare));
  EXPECT_EQ(table.index(row, 0).data().toLongLong(), 4);
  EXPECT_EQ(table.headerData(1, Qt::Horizontal, Qt::DisplayRole).toString(), "KV head");
  EXPECT_EQ(table.headerData(column, Qt::Horizontal, Qt::DisplayRole).toString(), "evicted mass");
  EXPECT_EQ(table.column_of("recall"), -1);
}

TEST(HeadTable, LeavesOutWholeLayersAndQueryHeads) {
  HeadTable table;
  table.show(figures_of(
      gui::Run(kvsieve::tests::retrieval_document({.layers = 3, .whole_layers = {1}}), "a")));
  EXPECT_EQ(table.rowCount(), 4);
  EXPECT_EQ(table.row_of({1, 0}), -1);
  EXPECT_EQ(table.column_of("query_heads/recall"), -1);
  table.show({});
  EXPECT_EQ(table.rowCount(), 0);
  EXPECT_EQ(table.columnCount(), 0);
}

}  // namespace
}  // namespace kvsieve::gui
