// The table of a sweep: selection, current cell and columns through other orders and filters.

#include "widgets/sweep_table_view.h"

#include <QHeaderView>
#include <QScrollBar>
#include <QSignalSpy>
#include <QTemporaryDir>
#include <QtTest>
#include <set>

#include "core/sweep_arrangement.h"
#include "sweep_fixture.h"

namespace kvsieve::gui {
namespace {

class SweepTableViewTest : public QObject {
  Q_OBJECT

 private Q_SLOTS:
  void init();
  void cleanup();
  void selected_cells_stay_through_another_order();
  void the_current_cell_and_the_row_on_top_stay();
  void cells_that_are_filtered_away_are_let_go();
  void points_are_selected_as_rows_and_brought_into_sight();
  void very_many_separate_rows_are_not_selected();
  void only_the_user_is_said_to_select();
  void rows_are_those_of_points_or_the_current_one();
  void hidden_columns_stay_hidden();

 private:
  static constexpr std::int64_t kRows = 1500;

  bool show(const SweepQuery& query = {}) {
    return m_view->show_arrangement(arrange(m_table, query, JobControl::detached()));
  }
  [[nodiscard]] int column(SweepColumnId::Kind kind, const char* name) const {
    return m_model->column_of({kind, name});
  }
  [[nodiscard]] std::set<std::int64_t> selected_rows() const {
    std::set<std::int64_t> numbers;
    for (const QModelIndex& index : m_view->selectionModel()->selectedIndexes()) {
      numbers.insert(m_table->number(m_model->row_of(index.row())));
    }
    return numbers;
  }
  static SweepQuery by_speed() {
    SweepQuery query;
    query.sort = {SweepColumnId::Kind::kMetric, "tokens_per_second"};
    query.descending = true;
    return query;
  }

  std::unique_ptr<QTemporaryDir> m_folder;
  std::shared_ptr<const SweepTable> m_table;
  std::unique_ptr<SweepRowsModel> m_model;
  std::unique_ptr<SweepTableView> m_view;
};

void SweepTableViewTest::init() {
  m_folder = std::make_unique<QTemporaryDir>();
  tests::write_store(m_folder->filePath("s.db"), 0, kRows, kRows);
  m_table = SweepTable::load(m_folder->filePath("s.db"), JobControl::detached());
  m_model = std::make_unique<SweepRowsModel>(nullptr);
  m_view = std::make_unique<SweepTableView>(m_model.get());
  m_view->resize(700, 400);
  m_view->show();
  QVERIFY(QTest::qWaitForWindowExposed(m_view.get()));
  QVERIFY(!show());
}

void SweepTableViewTest::cleanup() {
  m_view.reset();
  m_model.reset();
}

void SweepTableViewTest::selected_cells_stay_through_another_order() {
  const int method = column(SweepColumnId::Kind::kOption, "method");
  const int budget = column(SweepColumnId::Kind::kOption, "budget");
  QVERIFY(method >= 0 && budget > method);
  m_view->selectionModel()->select(
      QItemSelection(m_model->index(4, method), m_model->index(6, budget)),
      QItemSelectionModel::ClearAndSelect);
  QCOMPARE(m_view->selected_points(), (std::vector<std::int64_t>{4, 5, 6}));
  QVERIFY(show(by_speed()));
  QCOMPARE(m_view->selected_points(), (std::vector<std::int64_t>{4, 5, 6}));
  QVERIFY(m_model->place_of(4) != 4);
  for (const QModelIndex& index : m_view->selectionModel()->selectedIndexes()) {
    QVERIFY(index.column() >= method && index.column() <= budget);  // cells, not whole rows
  }
  QCOMPARE(m_view->horizontalHeader()->sortIndicatorSection(),
           column(SweepColumnId::Kind::kMetric, "tokens_per_second"));
  QCOMPARE(m_view->horizontalHeader()->sortIndicatorOrder(), Qt::DescendingOrder);
}

void SweepTableViewTest::the_current_cell_and_the_row_on_top_stay() {
  const int budget = column(SweepColumnId::Kind::kOption, "budget");
  m_view->setCurrentIndex(m_model->index(40, budget));
  m_view->scrollTo(m_model->index(300, budget), QAbstractItemView::PositionAtTop);
  const std::uint32_t top = m_model->row_of(m_view->verticalScrollBar()->value());
  QCOMPARE(top, std::uint32_t{300});
  show(by_speed());
  QCOMPARE(m_model->row_of(m_view->currentIndex().row()), std::uint32_t{40});
  QCOMPARE(m_view->currentIndex().column(), budget);
  const int last = m_view->verticalScrollBar()->maximum();
  QCOMPARE(m_view->verticalScrollBar()->value(), std::min(m_model->place_of(300), last));
}

void SweepTableViewTest::cells_that_are_filtered_away_are_let_go() {
  m_view->selectRow(4);
  QCOMPARE(m_view->selected_points(), (std::vector<std::int64_t>{4}));
  SweepQuery quest;
  quest.filter = "method=='quest'";  // 4 is ada-snapkv
  QVERIFY(show(quest));
  QVERIFY(m_view->selected_points().empty());
}

void SweepTableViewTest::points_are_selected_as_rows_and_brought_into_sight() {
  m_view->select_points({1000, 1001, 1200}, false);
  QCOMPARE(selected_rows(), (std::set<std::int64_t>{1000, 1001, 1200}));
  QCOMPARE(m_view->verticalScrollBar()->value(), 0);
  m_view->select_points({1000, 1001, 1200}, true);
  QVERIFY(m_view->viewport()->rect().intersects(m_view->visualRect(m_model->index(1000, 1))));
  QCOMPARE(m_view->currentIndex().row(), 1000);
  m_view->select_points({}, true);
  QVERIFY(selected_rows().empty());
}

void SweepTableViewTest::very_many_separate_rows_are_not_selected() {
  std::vector<std::int64_t> every_other;
  std::vector<std::int64_t> all;
  for (std::int64_t number = 0; number < kRows; ++number) {
    all.push_back(number);
    if (number % 2 == 0) {
      every_other.push_back(number);
    }
  }
  m_view->select_points(every_other, false);
  QVERIFY(selected_rows().empty());
  m_view->select_points(all, false);  // one run
  QCOMPARE(selected_rows().size(), all.size());
}

void SweepTableViewTest::only_the_user_is_said_to_select() {
  QSignalSpy said(m_view.get(), &SweepTableView::points_selected);
  m_view->select_points({3, 5}, true);
  show(by_speed());
  QCOMPARE(said.count(), 0);
  const QModelIndex cell = m_model->index(0, column(SweepColumnId::Kind::kOption, "method"));
  m_view->scrollTo(cell);
  QTest::mouseClick(m_view->viewport(), Qt::LeftButton, {}, m_view->visualRect(cell).center());
  QCOMPARE(said.count(), 1);
}

void SweepTableViewTest::rows_are_those_of_points_or_the_current_one() {
  show(by_speed());
  const std::vector<std::uint32_t> rows = m_view->chosen_rows({3, 5, 8});
  QCOMPARE(rows.size(), std::size_t{3});
  QVERIFY(m_model->place_of(rows[0]) < m_model->place_of(rows[1]));
  m_view->setCurrentIndex(m_model->index(7, 1));
  QCOMPARE(m_view->chosen_rows({}), std::vector<std::uint32_t>{m_model->row_of(7)});
  SweepRowsModel nothing(nullptr);
  const SweepTableView empty(&nothing);
  QVERIFY(empty.chosen_rows({3}).empty());
}

void SweepTableViewTest::hidden_columns_stay_hidden() {
  const int trace = column(SweepColumnId::Kind::kOption, "trace");
  const int method = column(SweepColumnId::Kind::kOption, "method");
  QVERIFY(m_view->isColumnHidden(trace));  // it does not vary
  m_model->set_hidden(method, true);
  QVERIFY(m_view->isColumnHidden(method));
  show(by_speed());
  QVERIFY(m_view->isColumnHidden(method));
  QVERIFY(!m_view->isColumnHidden(column(SweepColumnId::Kind::kOption, "budget")));
}

}  // namespace
}  // namespace kvsieve::gui

QTEST_MAIN(kvsieve::gui::SweepTableViewTest)
#include "sweep_table_view_test.moc"
