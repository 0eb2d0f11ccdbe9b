#include "core/sweep_arrangement.h"

#include <gtest/gtest.h>

#include <QElapsedTimer>
#include <QTemporaryDir>
#include <algorithm>

#include "sweep_fixture.h"

namespace kvsieve::gui {
namespace {

using Kind = SweepColumnId::Kind;

class SweepArrangementTest : public testing::Test {
 protected:
  SweepArrangementTest() {
    tests::write_store(m_folder.filePath("s.db"), 0, 120, 200);
    table = SweepTable::load(m_folder.filePath("s.db"), JobControl::detached());
  }

  std::shared_ptr<const SweepArrangement> arranged(const SweepQuery& query) const {
    return arrange(table, query, JobControl::detached());
  }
  std::shared_ptr<const SweepArrangement> filtered(const char* filter) const {
    return arranged({.filter = filter});
  }

  std::shared_ptr<const SweepTable> table;

 private:
  QTemporaryDir m_folder;
};

TEST_F(SweepArrangementTest, ConditionsAreThoseOfWhere) {
  EXPECT_EQ(filtered("")->shown.size(), 120U);
  const auto cheap = filtered("budget<=10% and method=='ada-snapkv'");
  EXPECT_EQ(cheap->filter_error, "");
  EXPECT_EQ(cheap->shown.size(), 8U);
  for (const std::uint32_t row : cheap->shown) {
    EXPECT_EQ(table->option("method")->text(row), "ada-snapkv");
  }
  // Failed points have no metrics: comparisons with them are false.
  const auto fast = filtered("tpot_ms>0");
  EXPECT_EQ(fast->shown.size(), 120U - table->failed());
  EXPECT_EQ(filtered("throughput>0")->shown.size(), fast->shown.size());
  EXPECT_EQ(filtered("method!='quest'")->shown.size(), 80U);
}

TEST_F(SweepArrangementTest, WordsAreLookedForInOptionsErrorsAndNumbers) {
  EXPECT_EQ(filtered("ADA 25%")->shown.size(), 4U);
  EXPECT_EQ(filtered("out of memory")->shown.size(), table->failed());
  EXPECT_EQ(filtered("#12")->shown, (std::vector<std::uint32_t>{12}));
  EXPECT_TRUE(filtered("nonsense")->shown.empty());
}

TEST_F(SweepArrangementTest, SaysWhyAFilterIsNotApplied) {
  const auto broken = filtered("tpot_ms < ");
  EXPECT_TRUE(broken->filter_error.contains("tpot_ms <")) << broken->filter_error.toStdString();
  EXPECT_EQ(broken->shown.size(), 120U);
  const auto arithmetic = filtered("method*2 < 3");
  EXPECT_TRUE(arithmetic->filter_error.contains("is text"));
  const auto unknown = filtered("tpot<20");
  EXPECT_EQ(unknown->filter_error, "no option or metric is called tpot; did you mean tpot_ms?");
  EXPECT_TRUE(unknown->shown.empty());
}

TEST_F(SweepArrangementTest, SortsByValueWithAbsentOnesLast) {
  const auto by_budget = arranged({.sort = {Kind::kOption, "budget"}});
  const SweepColumn& budget = *table->option("budget");
  EXPECT_TRUE(std::is_sorted(
      by_budget->shown.begin(), by_budget->shown.end(),
      [&](std::uint32_t a, std::uint32_t b) { return budget.number(a) < budget.number(b); }));
  for (const bool descending : {false, true}) {
    const auto by_speed =
        arranged({.sort = {Kind::kMetric, "tokens_per_second"}, .descending = descending});
    EXPECT_TRUE(table->is_failed(by_speed->shown.back()));
    const SweepColumn& speed = *table->metric("tokens_per_second");
    const double first = speed.number(by_speed->shown[0]);
    const double second = speed.number(by_speed->shown[50]);
    EXPECT_EQ(first > second, descending);
  }
  const auto by_error = arranged({.sort = {Kind::kError, {}}});
  EXPECT_TRUE(table->is_failed(by_error->shown.front()));
  const auto by_number = arranged({.sort = {Kind::kNumber, {}}, .descending = true});
  EXPECT_EQ(by_number->shown.front(), 119U);
}

TEST_F(SweepArrangementTest, MarksTheFrontOfWhatIsShown) {
  const SweepQuery query{.filter = "method!='ada-snapkv'",
                         .x = sim::ParetoObjective{"tokens_per_second", sim::ParetoDirection::kMax},
                         .y = sim::ParetoObjective{"l1_loss_relative", sim::ParetoDirection::kMin}};
  const auto arrangement = arranged(query);
  ASSERT_FALSE(arrangement->front.empty());
  const auto value = [&](const char* name, std::uint32_t row) {
    return table->metric(name)->number(row);
  };
  for (const std::uint32_t row : arrangement->shown) {
    const bool beaten =
        std::any_of(arrangement->shown.begin(), arrangement->shown.end(), [&](std::uint32_t other) {
          const double speed = value("tokens_per_second", other) - value("tokens_per_second", row);
          const double loss = value("l1_loss_relative", row) - value("l1_loss_relative", other);
          return speed >= 0.0 && loss >= 0.0 && (speed > 0.0 || loss > 0.0);
        });
    if (!table->is_failed(row)) {
      EXPECT_EQ(arrangement->on_front[row] != 0, !beaten) << row;
    }
  }
  EXPECT_TRUE(counts_text(*arrangement).startsWith("80 of 120 points shown, "));
  EXPECT_TRUE(counts_text(*arrangement)
                  .endsWith(QString("%1 on the front").arg(arrangement->front.size())));
  SweepQuery by_state = query;
  by_state.sort = {Kind::kState, {}};
  const auto sorted = arranged(by_state);
  EXPECT_EQ(sorted->on_front[sorted->shown.front()], 1);
  EXPECT_TRUE(table->is_failed(sorted->shown.back()));
}

TEST(SweepArrangement, OfAHundredThousandRows) {
  const QTemporaryDir folder;
  const QString path = folder.filePath("s.db");
  constexpr std::int64_t kRows = 100'000;
  tests::write_store(path, 0, kRows, kRows);
  QElapsedTimer time;
  time.start();
  const auto table = SweepTable::load(path, JobControl::detached());
  const auto loaded = time.restart();
  const auto same = SweepTable::refreshed(table, JobControl::detached());
  const auto refreshed = time.restart();
  tests::write_store(path, kRows, kRows + 1000, kRows);
  time.restart();
  const auto grown = SweepTable::refreshed(table, JobControl::detached());
  const auto thousand = time.restart();
  SweepQuery query{.x = sim::ParetoObjective{"tokens_per_second", sim::ParetoDirection::kMax},
                   .y = sim::ParetoObjective{"l1_loss_relative", sim::ParetoDirection::kMin}};
  query.sort = {SweepColumnId::Kind::kMetric, "tpot_ms"};
  const auto sorted = arrange(table, query, JobControl::detached());
  const auto sorting = time.restart();
  query.filter = "tpot_ms<20 and method!='quest'";
  const auto filtered = arrange(table, query, JobControl::detached());
  const auto filtering = time.restart();
  query.filter = "ada 25%";
  const auto words = arrange(table, query, JobControl::detached());
  const auto searching = time.restart();
  std::printf(
      "100,000 rows: load %lld ms, refresh of nothing %lld ms, of 1,000 rows %lld ms, sort and "
      "front %lld ms, with a condition %lld ms, with words %lld ms\n",
      loaded, refreshed, thousand, sorting, filtering, searching);
  EXPECT_EQ(same, table);
  EXPECT_EQ(grown->rows(), 101'000U);
  EXPECT_EQ(sorted->shown.size(), 100'000U);
  EXPECT_LT(filtered->shown.size(), 80'000U);
  EXPECT_EQ(words->shown.size(), 3333U);
}

}  // namespace
}  // namespace kvsieve::gui
