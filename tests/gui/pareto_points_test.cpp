#include "core/pareto_points.h"

#include <gtest/gtest.h>

#include <QTemporaryDir>
#include <algorithm>

#include "sweep_fixture.h"

namespace kvsieve::gui {
namespace {

using tests::fails;

class ParetoPointsTest : public testing::Test {
 protected:
  ParetoPointsTest() {
    tests::write_store(m_folder.filePath("s.db"), 0, kRows, kRows);
    const auto table = SweepTable::load(m_folder.filePath("s.db"), JobControl::detached());
    SweepQuery query;
    query.x = sim::ParetoObjective{"tokens_per_second", sim::ParetoDirection::kMax};
    query.y = sim::ParetoObjective{"l1_loss_relative", sim::ParetoDirection::kMin};
    arrangement = arrange(table, query, JobControl::detached());
    points = pareto_points(arrangement, look());
  }

  static ParetoLook look() { return {.x = "tokens_per_second", .y = "l1_loss_relative"}; }
  [[nodiscard]] const ParetoPoint& point_of(std::uint32_t row) const {
    return *std::find_if(points.points.begin(), points.points.end(),
                         [&](const ParetoPoint& point) { return point.row == row; });
  }

  static constexpr std::int64_t kRows = 120;
  static constexpr std::size_t kFailed = 3;  // 7, 57 and 107
  std::shared_ptr<const SweepArrangement> arrangement;
  ParetoPoints points;

 private:
  QTemporaryDir m_folder;
};

TEST_F(ParetoPointsTest, RowsWithBothValuesArePoints) {
  EXPECT_EQ(points.points.size(), kRows - kFailed);
  EXPECT_EQ(points.left_out(), kFailed);
  for (const ParetoPoint& point : points.points) {
    EXPECT_FALSE(fails(point.row));
    EXPECT_EQ(point.x, arrangement->table->metric("tokens_per_second")->number(point.row));
    EXPECT_TRUE(point.x > points.x.low && point.x < points.x.high);
    EXPECT_TRUE(point.y > points.y.low && point.y < points.y.high);
  }
  EXPECT_TRUE(pareto_points(arrangement, {.x = "no_such", .y = "recall"}).points.empty());
}

TEST_F(ParetoPointsTest, ValuesStandInTheUnitOfTheAxis) {
  const ParetoPoints times = pareto_points(arrangement, {.x = "tpot_ms", .y = "evicted_mass"});
  const ParetoPoint& first = times.points.front();
  EXPECT_EQ(first.x, 1000.0 * arrangement->table->metric("tpot_ms")->number(first.row));
}

TEST_F(ParetoPointsTest, ALogarithmicAxisBeginsAboveZero) {
  ParetoLook log = look();
  log.log_x = true;
  const ParetoPoints logged = pareto_points(arrangement, log);
  EXPECT_TRUE(logged.x.log);
  EXPECT_GT(logged.x.low, 0.0);
  EXPECT_FALSE(logged.y.log);
  EXPECT_TRUE(logged.note().contains("lack a value above 0"));
  EXPECT_FALSE(log.same_axes(look()));
  log = look();
  log.colour = "method";
  EXPECT_TRUE(log.same_axes(look()));
}

TEST_F(ParetoPointsTest, TheFrontGoesFromLeftToRight) {
  ASSERT_EQ(points.front.size(), arrangement->front.size());
  for (std::size_t i = 0; i < points.front.size(); ++i) {
    const ParetoPoint& point = points.points[points.front[i]];
    EXPECT_TRUE(point.on_front);
    EXPECT_EQ(arrangement->on_front[point.row], 1);
    if (i > 0) {
      EXPECT_LE(points.points[points.front[i - 1]].x, point.x);
    }
  }
  const std::vector<std::size_t> order = points.by_x();
  EXPECT_EQ(order.size(), points.points.size());
  for (std::size_t i = 1; i < order.size(); ++i) {
    EXPECT_LE(points.points[order[i - 1]].x, points.points[order[i]].x);
  }
}

TEST_F(ParetoPointsTest, SelectedPointsAreMarked) {
  points.mark({3, 7, 11});
  EXPECT_TRUE(points.has_selection);
  EXPECT_TRUE(point_of(3).selected);
  EXPECT_TRUE(point_of(11).selected);
  EXPECT_FALSE(point_of(4).selected);
  points.mark({7});  // it failed, and is no point
  EXPECT_FALSE(points.has_selection);
  EXPECT_FALSE(point_of(3).selected);
}

TEST_F(ParetoPointsTest, ThePointNearestToThePixelIsFoundWithinReach) {
  XyAxes axes{points.x, points.y};
  axes.x.from = 0.0;
  axes.x.to = 500.0;
  axes.y.from = 400.0;
  axes.y.to = 0.0;
  for (std::size_t i = 0; i < points.points.size(); i += 10) {
    const QPointF at = axes.pixel(points.points[i].x, points.points[i].y);
    const auto found = points.nearest(axes, at + QPointF(0.1, 0.0), 10.0);
    ASSERT_TRUE(found);
    const QPointF there = axes.pixel(points.points[*found].x, points.points[*found].y);
    EXPECT_LE((there - at).manhattanLength(), 0.3);
  }
  EXPECT_FALSE(points.nearest(axes, {-100.0, -100.0}, 10.0));
  // Of two at one place, the one on the front.
  ParetoPoints twins;
  twins.points = {{.row = 1}, {.row = 2, .on_front = true}, {.row = 3}};
  EXPECT_EQ(twins.nearest({{}, {}}, {0.0, 0.0}, 10.0), std::optional<std::size_t>(1));
}

TEST_F(ParetoPointsTest, TheLegendListsWhatIsDrawn) {
  ParetoLook coloured = look();
  coloured.colour = "method";
  coloured.shape = "budget";
  const ParetoPoints shown = pareto_points(arrangement, coloured);
  const ParetoLegend methods = shown.legend(shown.colours, &ParetoPoint::colour);
  EXPECT_EQ(methods.entries.size(), 3U);
  EXPECT_EQ(methods.more, 0);
  EXPECT_EQ(shown.legend(shown.shapes, &ParetoPoint::shape).entries.size(), 10U);
  SweepCategories many;
  ParetoPoints points_of_many;
  for (std::size_t i = 0; i < 20; ++i) {
    many.names << QString::number(i);
    if (i != 2) {
      points_of_many.points.push_back({.colour = i});
    }
  }
  const ParetoLegend legend = points_of_many.legend(many, &ParetoPoint::colour);
  EXPECT_EQ(legend.entries.size(), 12U);
  EXPECT_EQ(legend.entries[2], 3U);
  EXPECT_EQ(legend.more, 7);
}

TEST_F(ParetoPointsTest, ItSaysWhatItShows) {
  EXPECT_EQ(points.x_title(), "tokens_per_second (more is better)");
  EXPECT_EQ(points.y_title(), "l1_loss_relative (less is better)");
  EXPECT_EQ(points.origin(), "captured and modelled");
  EXPECT_TRUE(points.note().contains("3 of the shown rows lack a value."))
      << points.note().toStdString();
  const ParetoPoint& best = points.points[points.front.front()];
  const QString text = points.text_of(best);
  EXPECT_TRUE(text.startsWith(arrangement->table->label(best.row)));
  EXPECT_TRUE(text.contains("tokens_per_second ") && text.contains(", modelled; l1_loss_relative "))
      << text.toStdString();
  EXPECT_TRUE(text.endsWith("; on the front"));
}

TEST_F(ParetoPointsTest, TheTableBeginsWithTheFrontAndCsvHoldsAll) {
  const sim::Table table = points.table();
  EXPECT_EQ(table.columns[1].title, "tokens_per_second");
  ASSERT_EQ(table.rows.size(), points.points.size());
  EXPECT_EQ(table.rows[0][3].text, "front");
  EXPECT_EQ(table.rows[points.front.size()][3].text, "");
  const QStringList lines = points.csv().split("\r\n", Qt::SkipEmptyParts);
  EXPECT_EQ(lines.size(), 1 + static_cast<qsizetype>(points.points.size()));
  EXPECT_TRUE(lines[0].startsWith("number,"));
  EXPECT_TRUE(lines[0].endsWith(",tokens_per_second,l1_loss_relative,on_front"));
  EXPECT_EQ(ParetoPoints{}.csv(), QString());
}

}  // namespace
}  // namespace kvsieve::gui
