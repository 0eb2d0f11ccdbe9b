// The sweep page: table and chart of one store, together.

#include "pages/sweep_page.h"

#include <QApplication>
#include <QClipboard>
#include <QElapsedTimer>
#include <QFile>
#include <QHeaderView>
#include <QImage>
#include <QProcess>
#include <QSignalSpy>
#include <QTemporaryDir>
#include <QtTest>
#include <algorithm>
#include <atomic>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "kvsieve/traces/error.h"
#include "sweep_fixture.h"
#include "widgets/plot_export.h"

namespace kvsieve::gui {
namespace {

constexpr int kPatienceMs = 30'000;
const QString kTrace = QStringLiteral(KVSIEVE_SOURCE "/traces/samples/smollm2-needle.kvtrace");

/// Runs the real command line and gives its standard output.
QString kvsieve(const QStringList& words) {
  QProcess process;
  process.start(QStringLiteral(KVSIEVE_PROGRAM), words);
  if (!process.waitForFinished(kPatienceMs) || process.exitCode() != 0) {
    qWarning() << words << process.readAllStandardError();
    return {};
  }
  return QString::fromUtf8(process.readAllStandardOutput());
}

/// A window with the page and a store of 200 points in it.
class Shown {
 public:
  explicit Shown(const QString& path = {}) : page(workspace) {
    page.resize(1200, 700);
    page.show();
    workspace.open({path.isEmpty() ? path_of_200() : path});
    static_cast<void>(
        QTest::qWaitFor([this] { return page.model().rowCount() > 0 && is_quiet(); }, kPatienceMs));
  }

  [[nodiscard]] bool is_quiet() { return workspace.jobs().is_idle(); }
  void settle() {
    QTest::qWait(10);
    static_cast<void>(QTest::qWaitFor([this] { return is_quiet(); }, kPatienceMs));
  }
  template <class T>
  T* find(const char* name) {
    return page.findChild<T*>(QString::fromUtf8(name));
  }
  [[nodiscard]] QString counts() { return find<QLabel>("sweep.counts")->text(); }
  [[nodiscard]] QString cell(int row, const char* column) {
    for (int i = 0; i < page.model().columnCount(); ++i) {
      if (page.model().headerData(i, Qt::Horizontal, Qt::DisplayRole) == column) {
        return page.model().index(row, i).data().toString();
      }
    }
    return QStringLiteral("no such column");
  }
  [[nodiscard]] int column(const char* name) {
    for (int i = 0; i < page.model().columnCount(); ++i) {
      if (page.model().headerData(i, Qt::Horizontal, Qt::DisplayRole) == name) {
        return i;
      }
    }
    return -1;
  }
  [[nodiscard]] QPoint center(int row, const char* name) {
    return page.table().visualRect(page.model().index(row, column(name))).center();
  }
  [[nodiscard]] const std::vector<std::int64_t>& points() {
    return workspace.view().selection().points;
  }
  /// Rows that the table has selected.
  [[nodiscard]] std::set<int> table_rows() {
    std::set<int> rows;
    for (const QModelIndex& index : page.table().selectionModel()->selectedIndexes()) {
      rows.insert(index.row());
    }
    return rows;
  }

  QTemporaryDir folder;
  Workspace workspace;
  SweepPage page;

 private:
  QString path_of_200() {
    const QString path = folder.filePath("s.db");
    tests::write_store(path, 0, 200, 200);
    return path;
  }
};

/// Pixels that are not of the ground.
std::int64_t inked(const QImage& image) {
  const QRgb ground = image.pixel(0, 0);
  std::int64_t count = 0;
  for (int y = 0; y < image.height(); ++y) {
    for (int x = 0; x < image.width(); ++x) {
      count += image.pixel(x, y) != ground ? 1 : 0;
    }
  }
  return count;
}

class SweepPageTest : public QObject {
  Q_OBJECT

 private Q_SLOTS:
  void says_what_to_do_without_a_store();
  void c15_the_filter_is_in_the_history();
  void c16_escape_clears_the_selection_then_the_filter();
  void c27_the_table_sorts_and_filters();
  void c27_the_front_is_marked_in_table_and_chart();
  void c27_a_rubber_band_selects_rows_and_the_table_follows();
  void c27_rows_selected_in_the_table_stand_out_in_the_chart();
  void c35_control_f_finds_a_configuration();
  void c37_hovering_a_point_shows_options_and_values();
  void c40_selected_cells_are_copied_tab_separated();
  void c41_shown_rows_are_exported_as_csv();
  void c59_a_point_opens_and_is_copied_with_the_words_of_its_command();
  void columns_that_do_not_vary_are_folded_away();
  void failed_points_are_shown_with_their_error();
  void the_chart_zooms_pans_and_fits();
  void the_keyboard_walks_picks_and_opens_points();
  void a_store_that_another_process_writes_is_followed_and_the_selection_stays();
  void a_store_that_breaks_keeps_no_other_from_being_followed();
  void rows_every_few_milliseconds_keep_nobody_waiting();
  void a_hundred_thousand_points();
};

void SweepPageTest::says_what_to_do_without_a_store() {
  Workspace workspace;
  SweepPage page(workspace);
  page.show();
  const auto* label = page.findChild<QLabel*>("sweep.empty");
  QVERIFY(label->isVisible());
  QVERIFY(label->text().contains("kvsieve sweep"));
}

void SweepPageTest::c15_the_filter_is_in_the_history() {
  Shown shown;
  auto* filter = shown.find<QLineEdit>("sweep.filter");
  QTest::keyClicks(filter, "budget<=10%");
  QTest::keyClick(filter, Qt::Key_Return);
  shown.settle();
  QCOMPARE(shown.workspace.view().state().filter, QString("budget<=10%"));
  const int few = shown.page.model().rowCount();
  QVERIFY(few < 200);
  shown.workspace.view().back();
  shown.settle();
  QCOMPARE(shown.page.model().rowCount(), 200);
  QCOMPARE(filter->text(), QString());
  shown.workspace.view().forward();
  shown.settle();
  QCOMPARE(shown.page.model().rowCount(), few);
  QCOMPARE(filter->text(), QString("budget<=10%"));
}

void SweepPageTest::c16_escape_clears_the_selection_then_the_filter() {
  Shown shown;
  shown.workspace.view().set_filter("method=='quest'");
  shown.settle();
  QTest::mouseClick(shown.page.table().viewport(), Qt::LeftButton, {}, shown.center(2, "method"));
  QCOMPARE(shown.points().size(), std::size_t{1});
  shown.workspace.view().escape();
  QVERIFY(shown.points().empty());
  QVERIFY(shown.table_rows().empty());
  QCOMPARE(shown.find<QLineEdit>("sweep.filter")->text(), QString("method=='quest'"));
  shown.workspace.view().escape();
  shown.settle();
  QCOMPARE(shown.find<QLineEdit>("sweep.filter")->text(), QString());
  QCOMPARE(shown.page.model().rowCount(), 200);
}

void SweepPageTest::c27_the_table_sorts_and_filters() {
  Shown shown;
  QHeaderView* header = shown.page.table().horizontalHeader();
  const int column = shown.column("tokens_per_second");
  shown.page.table().scrollTo(shown.page.model().index(0, column));
  const auto click_header = [&] {
    QTest::mouseClick(header->viewport(), Qt::LeftButton, {},
                      QPoint(header->sectionViewportPosition(column) + 8, header->height() / 2));
    shown.settle();
  };
  const auto speed = [&](int row) {
    return shown.workspace.sweep()
        ->metric("tokens_per_second")
        ->number(shown.page.model().row_of(row));
  };
  click_header();
  QVERIFY(speed(0) < speed(100));
  QCOMPARE(header->sortIndicatorSection(), column);
  click_header();
  QVERIFY(speed(0) > speed(100));
  QCOMPARE(header->sortIndicatorOrder(), Qt::DescendingOrder);
  auto* filter = shown.find<QLineEdit>("sweep.filter");
  QTest::keyClicks(filter, "method=='quest' and tokens_per_second>100");  // applied by itself
  QTRY_VERIFY(shown.counts().contains(" of 200 points shown"));
  QTRY_VERIFY(!shown.counts().startsWith("200"));
  for (int row = 0; row < shown.page.model().rowCount(); ++row) {
    QCOMPARE(shown.cell(row, "method"), QString("quest"));
    QVERIFY(speed(row) > 100.0);
  }
  filter->clear();
  QTest::keyClicks(filter, "tpot_ms <");
  QTest::keyClick(filter, Qt::Key_Return);
  shown.settle();
  auto* error = shown.find<QLabel>("sweep.filter_error");
  QVERIFY(error->isVisible());
  QVERIFY2(error->text().contains("expected a number"), qPrintable(error->text()));
  QCOMPARE(shown.page.model().rowCount(), 200);
}

void SweepPageTest::c27_the_front_is_marked_in_table_and_chart() {
  Shown shown;
  shown.page.set_axes("tokens_per_second", "l1_loss_relative");
  shown.settle();
  const auto arrangement = shown.page.model().arrangement();
  QVERIFY(!arrangement->front.empty());
  QVERIFY(shown.counts().endsWith(QString("%1 on the front").arg(arrangement->front.size())));
  const int place = shown.page.model().place_of(arrangement->front.front());
  QCOMPARE(shown.cell(place, "state"), QString("front"));
  // A large outlined mark: text ink around the point's middle.
  const QPointF at = *shown.page.chart().position_of(arrangement->front.front());
  const QImage image = shown.page.chart().grab().toImage();
  const QColor text = shown.page.palette().color(QPalette::Text);
  bool outlined = false;
  for (int dy = -10; dy <= 10; ++dy) {
    for (int dx = -10; dx <= 10; ++dx) {
      const QPoint pixel = at.toPoint() + QPoint(dx, dy);
      if (image.rect().contains(pixel)) {
        outlined = outlined || image.pixelColor(pixel).lightness() < text.lightness() + 40;
      }
    }
  }
  QVERIFY(outlined);
  // The other way round there is another front.
  shown.find<QComboBox>("sweep.x_direction")->setCurrentIndex(0);
  shown.settle();
  QVERIFY(shown.page.model().arrangement()->front != arrangement->front);
  shown.find<QComboBox>("sweep.x_direction")->setCurrentIndex(2);
  shown.settle();
  QVERIFY(!shown.counts().contains("front"));
}

void SweepPageTest::c27_a_rubber_band_selects_rows_and_the_table_follows() {
  Shown shown;
  ParetoView& chart = shown.page.chart();
  const QPoint from(chart.width() / 4, chart.height() / 5);
  const QPoint to(chart.width() / 2, 3 * chart.height() / 5);
  std::vector<std::int64_t> inside;
  for (std::uint32_t row = 0; row < 200; ++row) {
    const auto at = chart.position_of(row);
    if (at && QRectF(from, to).contains(*at)) {
      inside.push_back(row);
    }
  }
  QVERIFY(inside.size() > 1);
  QVERIFY(inside.size() < 190);
  QTest::mousePress(&chart, Qt::LeftButton, {}, from);
  QTest::mouseMove(&chart, (from + to) / 2);
  QTest::mouseMove(&chart, to);
  QTest::mouseRelease(&chart, Qt::LeftButton, {}, to);
  QCOMPARE(shown.points(), inside);
  QCOMPARE(shown.table_rows().size(), inside.size());
  for (const int row : shown.table_rows()) {
    QVERIFY(shown.page.model().index(row, 0).data(SweepRowsModel::kMarkedRole).toBool());
  }
  QCOMPARE(shown.page.table().currentIndex().row(), *shown.table_rows().begin());
  // Ctrl+click takes one point away, a click elsewhere all of them.
  const QPoint first = chart.position_of(static_cast<std::uint32_t>(inside[0]))->toPoint();
  const auto there = chart.row_at(first);
  QVERIFY(there);
  QTest::mouseClick(&chart, Qt::LeftButton, Qt::ControlModifier, first);
  QVERIFY(std::find(shown.points().begin(), shown.points().end(), *there) == shown.points().end());
  QCOMPARE(shown.points().size(), inside.size() - 1);
  QTest::mouseClick(&chart, Qt::LeftButton, {}, QPoint(2, 2));
  QVERIFY(shown.points().empty());
}

void SweepPageTest::c27_rows_selected_in_the_table_stand_out_in_the_chart() {
  Shown shown;
  ParetoView& chart = shown.page.chart();
  const QImage before = chart.grab().toImage();
  QTest::mouseClick(shown.page.table().viewport(), Qt::LeftButton, {}, shown.center(4, "method"));
  QCOMPARE(shown.points(), std::vector<std::int64_t>{4});
  const QImage after = chart.grab().toImage();
  // The point keeps its colour, another one pales.
  const QPoint kept = chart.position_of(4)->toPoint();
  QCOMPARE(after.pixelColor(kept), before.pixelColor(kept));
  std::uint32_t lonely = 0;
  for (std::uint32_t row = 0; row < 200; ++row) {
    const auto at = chart.position_of(row);
    if (at && row != 4 && shown.page.model().arrangement()->on_front[row] == 0 &&
        (*at - *chart.position_of(4)).manhattanLength() > 30) {
      lonely = row;
    }
  }
  const QPoint pale = chart.position_of(lonely)->toPoint();
  QVERIFY(after.pixelColor(pale) != before.pixelColor(pale));
}

void SweepPageTest::c35_control_f_finds_a_configuration() {
  Shown shown;
  shown.page.activateWindow();
  shown.page.table().setFocus();
  QTest::keyClick(&shown.page.table(), Qt::Key_F, Qt::ControlModifier);
  auto* filter = shown.find<QLineEdit>("sweep.filter");
  QCOMPARE(shown.page.focusWidget(), filter);
  QTest::keyClicks(filter, "ada 25%");
  QTest::keyClick(filter, Qt::Key_Return);
  shown.settle();
  QCOMPARE(shown.page.model().rowCount(), 7);
  QCOMPARE(shown.cell(0, "method"), QString("ada-snapkv"));
  QCOMPARE(shown.cell(0, "budget"), QString("25%"));
}

void SweepPageTest::c37_hovering_a_point_shows_options_and_values() {
  Shown shown;
  shown.page.set_axes("tokens_per_second", "l1_loss_relative");
  shown.settle();
  ParetoView& chart = shown.page.chart();
  QSignalSpy hovered(&shown.page, &Page::hovered);
  const std::uint32_t row = shown.page.model().arrangement()->front.front();
  QTest::mouseMove(&chart, QPoint(2, 2));
  QTest::mouseMove(&chart, chart.position_of(row)->toPoint());
  QVERIFY(!hovered.isEmpty());
  const QString text = hovered.back().front().toString();
  QVERIFY2(text.startsWith(shown.workspace.sweep()->label(row)), qPrintable(text));
  for (const char* part : {"budget", "tokens_per_second", "l1_loss_relative", "%", "captured",
                           "modelled", "on the front"}) {
    QVERIFY2(text.contains(part), qPrintable(text));
  }
}

void SweepPageTest::c40_selected_cells_are_copied_tab_separated() {
  Shown shown;
  QTableView& table = shown.page.table();
  table.setFocus();
  QTest::mouseClick(table.viewport(), Qt::LeftButton, {}, shown.center(1, "method"));
  QTest::mouseClick(table.viewport(), Qt::LeftButton, Qt::ShiftModifier, shown.center(2, "budget"));
  QTest::keyClick(&table, Qt::Key_C, Qt::ControlModifier);
  QCOMPARE(QApplication::clipboard()->text(), QString("method\tbudget\nada-snapkv\t5%\nquest\t5%"));
  QTest::mouseClick(table.viewport(), Qt::LeftButton, {}, shown.center(2, "method"));
  QTest::keyClick(&table, Qt::Key_C, Qt::ControlModifier);
  QCOMPARE(QApplication::clipboard()->text(), QString("quest"));
}

void SweepPageTest::c41_shown_rows_are_exported_as_csv() {
  const QTemporaryDir folder;
  const QString store = folder.filePath("real.db");
  kvsieve({"sweep", "-a", "method=full,quest", "-a", "hardware=a100-sxm-80,h100-sxm", "-a",
           "context[pow2]=[10:14]", "-a", "batch=1,max", "--store", store});
  Shown shown(store);
  QCOMPARE(shown.page.model().rowCount(), 40);
  shown.page.export_csv(folder.filePath("all.csv"));
  QFile all(folder.filePath("all.csv"));
  QVERIFY(all.open(QIODevice::ReadOnly));
  QCOMPARE(QString::fromUtf8(all.readAll()), kvsieve({"sweep", "export", store}));
  shown.workspace.view().set_filter("method=='quest' and context>=8192");
  shown.settle();
  shown.page.export_csv(folder.filePath("some.csv"));
  QFile some(folder.filePath("some.csv"));
  QVERIFY(some.open(QIODevice::ReadOnly));
  const QStringList lines = QString::fromUtf8(some.readAll()).split("\r\n", Qt::SkipEmptyParts);
  QCOMPARE(lines.size(), qsizetype{1 + 8});
  QVERIFY(lines[1].contains(",quest,"));
  QVERIFY_THROWS_EXCEPTION(Error, shown.page.export_csv(folder.filePath("no/such/folder.csv")));
  // The chart as a file.
  save_svg(shown.page.chart(), folder.filePath("chart.svg"), kExportSize);
  QVERIFY(QFileInfo(folder.filePath("chart.svg")).size() > 2000);
  const QString data = shown.page.chart().csv();
  QVERIFY(data.startsWith("number,method,hardware,context,batch,"));
  QCOMPARE(data.count("\r\n"), qsizetype{1 + 8});
}

void SweepPageTest::c59_a_point_opens_and_is_copied_with_the_words_of_its_command() {
  const QTemporaryDir folder;
  const QString store = folder.filePath("real.db");
  kvsieve({"sweep", kTrace, "-a", "method=snapkv,ada-snapkv", "-a", "budget=10%,20%", "-a",
           "layers=0", "--store", store, "-q"});
  Shown shown(store);
  QCOMPARE(shown.page.model().rowCount(), 4);
  const QString best =
      kvsieve({"sweep", "best", store, "--by", "l1_loss_relative", "--where", "budget==20%"});
  shown.workspace.view().set_filter("budget==20%");
  shown.settle();
  const SweepColumn& loss = *shown.workspace.sweep()->metric("l1_loss_relative");
  const int place =
      loss.number(shown.page.model().row_of(0)) <= loss.number(shown.page.model().row_of(1)) ? 0
                                                                                             : 1;
  QSignalSpy opened(&shown.page, &SweepPage::open_point);
  QTest::mouseClick(shown.page.table().viewport(), Qt::LeftButton, {},
                    shown.center(place, "method"));
  QTest::mouseDClick(shown.page.table().viewport(), Qt::LeftButton, {},
                     shown.center(place, "method"));
  QCOMPARE(opened.size(), qsizetype{1});
  const QStringList words = opened.front().front().toStringList();
  QCOMPARE(words.mid(0, 2), (QStringList{"run", kTrace}));
  QCOMPARE("kvsieve " + words.join(' ') + "\n", best);
  shown.page.table().setFocus();
  QTest::keyClick(&shown.page.table(), Qt::Key_C, Qt::ControlModifier | Qt::ShiftModifier);
  QCOMPARE(QApplication::clipboard()->text() + "\n", best);
  // They reproduce the row.
  const auto run =
      nlohmann::json::parse(kvsieve(words + QStringList{"--format", "json"}).toStdString());
  QCOMPARE(run["summary"]["l1_loss_relative"].get<double>(),
           loss.number(shown.page.model().row_of(place)));
  // From the chart, too.
  const std::uint32_t row = shown.page.model().row_of(place);
  QTest::mouseDClick(&shown.page.chart(), Qt::LeftButton, {},
                     shown.page.chart().position_of(row)->toPoint());
  QCOMPARE(opened.size(), qsizetype{2});
  QCOMPARE(opened.back().front().toStringList(), words);
}

void SweepPageTest::columns_that_do_not_vary_are_folded_away() {
  Shown shown;
  QTableView& table = shown.page.table();
  QVERIFY(table.isColumnHidden(shown.column("trace")));
  QVERIFY(table.isColumnHidden(shown.column("loss_context")));
  QVERIFY(table.isColumnHidden(shown.column("key")));
  QVERIFY(!table.isColumnHidden(shown.column("method")));
  QVERIFY(!table.isColumnHidden(shown.column("error")));
  QVERIFY(shown.find<QLabel>("sweep.shared")->text().contains("trace a b.kvtrace"));
  shown.page.model().set_hidden(shown.column("trace"), false);
  shown.page.model().set_hidden(shown.column("method"), true);
  QVERIFY(!table.isColumnHidden(shown.column("trace")));
  QVERIFY(table.isColumnHidden(shown.column("method")));
  shown.workspace.view().set_filter("budget<50%");  // what the user chose stays
  shown.settle();
  QVERIFY(!table.isColumnHidden(shown.column("trace")));
  const QString tooltip = shown.page.model()
                              .headerData(shown.column("tpot_ms"), Qt::Horizontal, Qt::ToolTipRole)
                              .toString();
  QVERIFY2(tooltip.contains("Time per output token") && tooltip.contains("modelled") &&
               tooltip.contains("less is better"),
           qPrintable(tooltip));
}

void SweepPageTest::failed_points_are_shown_with_their_error() {
  Shown shown;
  QVERIFY(shown.counts().startsWith("200 of 200 points shown, 4 failed"));
  QCOMPARE(shown.cell(7, "state"), QString("failed"));
  QCOMPARE(shown.cell(7, "error"), QString("out of memory, point 7"));
  QCOMPARE(shown.cell(7, "tpot_ms"), QString());
  QVERIFY(shown.page.model()
              .index(7, 2)
              .data(Qt::ToolTipRole)
              .toString()
              .contains("out of memory, point 7"));
  shown.workspace.view().set_filter("out of memory");
  shown.settle();
  QVERIFY(shown.counts().startsWith("4 of 200 points shown, 4 failed"));
  QVERIFY(shown.page.chart().is_empty());
  QVERIFY(shown.page.chart().empty_text().contains("clear the filter"));
}

void SweepPageTest::the_chart_zooms_pans_and_fits() {
  Shown shown;
  ParetoView& chart = shown.page.chart();
  ViewStack& view = shown.workspace.view();
  const QPointF before = *chart.position_of(10);
  QWheelEvent wheel(before, chart.mapToGlobal(before), {}, QPoint(0, 240), Qt::NoButton,
                    Qt::NoModifier, Qt::NoScrollPhase, false);
  QApplication::sendEvent(&chart, &wheel);
  QVERIFY(view.zoom("sweep.pareto"));
  // What was under the mouse stays there.
  QVERIFY((*chart.position_of(10) - before).manhattanLength() < 1.0);
  const QPoint start = chart.rect().center();
  QTest::mousePress(&chart, Qt::LeftButton, Qt::ShiftModifier, start);
  QMouseEvent move(QEvent::MouseMove, start + QPoint(30, 10),
                   chart.mapToGlobal(start + QPoint(30, 10)), Qt::NoButton, Qt::LeftButton,
                   Qt::ShiftModifier);
  QApplication::sendEvent(&chart, &move);
  QTest::mouseRelease(&chart, Qt::LeftButton, Qt::ShiftModifier, start + QPoint(30, 10));
  QVERIFY((*chart.position_of(10) - before - QPointF(30, 10)).manhattanLength() < 1.0);
  QTest::qWait(600);  // until the next change is a step of its own
  QTest::keyClick(&chart, Qt::Key_0);
  QVERIFY(!view.zoom("sweep.pareto"));
  QVERIFY((*chart.position_of(10) - before).manhattanLength() < 1e-6);
  view.back();
  QVERIFY(view.zoom("sweep.pareto"));
  view.forward();
  QTest::mousePress(&chart, Qt::LeftButton, Qt::AltModifier, before.toPoint() - QPoint(40, 40));
  QTest::mouseRelease(&chart, Qt::LeftButton, Qt::AltModifier, before.toPoint() + QPoint(40, 40));
  QVERIFY(view.zoom("sweep.pareto"));
  QTest::mouseDClick(&chart, Qt::LeftButton, {}, QPoint(2, 2));
  QVERIFY(!view.zoom("sweep.pareto"));
  // Logarithmic axes show the points elsewhere, and something at all.
  shown.find<QCheckBox>("sweep.x_log")->setChecked(true);
  QVERIFY((*chart.position_of(10) - before).manhattanLength() > 5.0);
  QImage image(kExportSize, QImage::Format_ARGB32_Premultiplied);
  image.fill(chart.palette().color(QPalette::Base));
  chart.draw(image, kExportSize);
  QVERIFY(inked(image) > 5000);
}

void SweepPageTest::the_keyboard_walks_picks_and_opens_points() {
  Shown shown;
  ParetoView& chart = shown.page.chart();
  QSignalSpy opened(&shown.page, &SweepPage::open_point);
  QSignalSpy hovered(&chart, &PlotView::hovered);
  chart.setFocus();
  QTest::keyClick(&chart, Qt::Key_Period);
  QTest::keyClick(&chart, Qt::Key_Period);
  QCOMPARE(hovered.size(), qsizetype{2});
  QVERIFY(hovered[0] != hovered[1]);
  QTest::keyClick(&chart, Qt::Key_Return);
  QCOMPARE(shown.points().size(), std::size_t{1});
  QTest::keyClick(&chart, Qt::Key_Comma);
  QTest::keyClick(&chart, Qt::Key_Return, Qt::ControlModifier);
  QCOMPARE(opened.size(), qsizetype{1});
  QTest::keyClick(&chart, Qt::Key_W);
  QVERIFY(shown.workspace.view().zoom("sweep.pareto"));
  QTableView& table = shown.page.table();
  table.setFocus();
  table.setCurrentIndex(shown.page.model().index(0, shown.column("tpot_ms")));
  QTest::keyClick(&table, Qt::Key_Down, Qt::AltModifier);
  shown.settle();
  QCOMPARE(table.horizontalHeader()->sortIndicatorSection(), shown.column("tpot_ms"));
  QTest::keyClick(&table, Qt::Key_Return, Qt::ControlModifier);
  QCOMPARE(opened.size(), qsizetype{2});
}

void SweepPageTest::a_store_that_another_process_writes_is_followed_and_the_selection_stays() {
  const QTemporaryDir folder;
  const QString store = folder.filePath("live.db");
  QProcess writer;
  writer.start(
      QStringLiteral(KVSIEVE_PROGRAM),
      {"sweep", kTrace, "-a", "method=ada-snapkv", "-a", "budget=[1%:60%:1%]", "-a",
       "alpha=[0:0.96:0.04]", "-a", "losses=mass", "--store", store, "-q", "--threads", "1"});
  QVERIFY(writer.waitForStarted());
  QTRY_VERIFY_WITH_TIMEOUT(QFileInfo(store).size() > 100'000, kPatienceMs);
  Shown shown(store);
  std::set<int> counts{shown.page.model().rowCount()};
  // Three points, by hand, while rows come.
  shown.workspace.view().select(
      {.heads = {}, .current = {}, .tokens = {}, .step = {}, .points = {3, 5, 8}});
  const auto selected_numbers = [&] {
    std::set<std::int64_t> numbers;
    for (const int row : shown.table_rows()) {
      numbers.insert(shown.workspace.sweep()->number(shown.page.model().row_of(row)));
    }
    return numbers;
  };
  QCOMPARE(selected_numbers(), (std::set<std::int64_t>{3, 5, 8}));
  bool was_live = false;
  while (writer.state() != QProcess::NotRunning) {
    QTest::qWait(20);
    counts.insert(shown.page.model().rowCount());
    was_live =
        was_live || shown.find<QLabel>("sweep.live")->text().startsWith(QStringLiteral("● live: "));
    QCOMPARE(selected_numbers(), (std::set<std::int64_t>{3, 5, 8}));
  }
  QCOMPARE(writer.exitCode(), 0);
  const int all = static_cast<int>(shown.workspace.sweep()->identity().points);
  QTRY_COMPARE_WITH_TIMEOUT(shown.page.model().rowCount(), all, kPatienceMs);
  qInfo("%d points came in %zu steps", all, counts.size());
  QVERIFY(counts.size() > 2);
  QVERIFY(was_live);
  QCOMPARE(selected_numbers(), (std::set<std::int64_t>{3, 5, 8}));
  QCOMPARE(shown.find<QLabel>("sweep.live")->text(), QString());
  QVERIFY(shown.workspace.files().front().facts.front().value.startsWith(
      QString::fromStdString(sim::grouped(all))));
}

void SweepPageTest::a_store_that_breaks_keeps_no_other_from_being_followed() {
  const QTemporaryDir folder;
  const QString broken = folder.filePath("broken.db");
  const QString live = folder.filePath("live.db");
  constexpr std::int64_t kPoints = 40;
  tests::write_store(broken, 0, 10, kPoints);
  tests::write_store(live, 0, 10, kPoints);
  Workspace workspace;
  QSignalSpy finished(&workspace, &Workspace::open_finished);
  workspace.open({broken, live});
  QVERIFY(finished.wait(kPatienceMs));
  QFile damage(broken);
  QVERIFY(damage.open(QIODevice::ReadWrite));
  damage.write(QByteArray(4096, 'x'));
  damage.close();
  sim::SweepStore rows(live.toStdString(), sim::SweepStore::Mode::kResume,
                       tests::sweep_identity(kPoints));
  for (std::int64_t number = 10; number < 20; ++number) {
    const sim::SweepRow row = tests::sweep_row(number);
    rows.add({&row, 1});
  }
  QTRY_COMPARE_WITH_TIMEOUT(workspace.sweep()->rows(), std::size_t{20}, kPatienceMs);
  QCOMPARE(workspace.baseline_sweep()->rows(), std::size_t{10});
}

void SweepPageTest::rows_every_few_milliseconds_keep_nobody_waiting() {
  const QTemporaryDir folder;
  const QString store = folder.filePath("live.db");
  constexpr std::int64_t kPoints = 600;
  tests::write_store(store, 0, 1, kPoints);
  Shown shown(store);
  std::atomic<std::int64_t> written = 1;
  std::thread writer([&] {
    sim::SweepStore rows(store.toStdString(), sim::SweepStore::Mode::kResume,
                         tests::sweep_identity(kPoints));
    for (std::int64_t number = 1; number < kPoints; ++number) {
      const sim::SweepRow row = tests::sweep_row(number);
      rows.add({&row, 1});
      written = number + 1;
      std::this_thread::sleep_for(std::chrono::milliseconds(3));
    }
  });
  std::set<int> counts;
  std::int64_t longest_ms = 0;
  QElapsedTimer turn;
  turn.start();
  while (written < kPoints) {
    QCoreApplication::processEvents(QEventLoop::WaitForMoreEvents, 5);
    QThread::msleep(1);
    counts.insert(shown.page.model().rowCount());
    longest_ms = std::max<std::int64_t>(longest_ms, turn.restart());
  }
  writer.join();
  QTRY_COMPARE_WITH_TIMEOUT(shown.page.model().rowCount(), int{kPoints}, kPatienceMs);
  qInfo("%zu counts seen while rows came, longest turn of the event loop %lld ms", counts.size(),
        static_cast<long long>(longest_ms));
  QVERIFY(counts.size() > 3);
}

void SweepPageTest::a_hundred_thousand_points() {
  const QTemporaryDir folder;
  const QString store = folder.filePath("s.db");
  constexpr std::int64_t kPoints = 100'000;
  tests::write_store(store, 0, kPoints, kPoints + 1000);
  Shown shown(store);
  QCOMPARE(shown.page.model().rowCount(), int{kPoints});
  ParetoView& chart = shown.page.chart();
  QElapsedTimer time;
  const auto painted = [&] {
    time.restart();
    static_cast<void>(chart.grab());
    return static_cast<double>(time.nsecsElapsed()) / 1e6;
  };
  chart.show_points(shown.page.model().arrangement(),
                    {"tokens_per_second", "l1_loss_relative", false, false, "method", ""});
  const double first = painted();
  const double again = painted();
  time.restart();
  for (int i = 0; i < 20; ++i) {
    QTest::mouseMove(&chart, QPoint(100 + 10 * i, 100 + 5 * i));
  }
  const double hover = static_cast<double>(time.nsecsElapsed()) / 20e6;
  time.restart();
  const QPoint corner(chart.width() - 2, chart.height() - 2);
  QTest::mousePress(&chart, Qt::LeftButton, {}, QPoint(1, 1));
  QTest::mouseRelease(&chart, Qt::LeftButton, {}, corner);
  const double brush = static_cast<double>(time.nsecsElapsed()) / 1e6;
  QCOMPARE(shown.points().size(), std::size_t{98'000});
  time.restart();
  shown.workspace.view().set_filter("tpot_ms<20 and method!='quest'");
  static_cast<void>(
      QTest::qWaitFor([&] { return shown.page.model().rowCount() < kPoints; }, kPatienceMs));
  const double filter = static_cast<double>(time.nsecsElapsed()) / 1e6;
  shown.settle();
  // A thousand more rows: how long the user interface's thread is busy.
  shown.workspace.view().set_filter({});
  shown.settle();
  tests::write_store(store, kPoints, kPoints + 1000, kPoints + 1000);
  double longest = 0.0;
  while (shown.page.model().rowCount() < kPoints + 1000) {
    time.restart();
    QCoreApplication::processEvents();
    longest = std::max(longest, static_cast<double>(time.nsecsElapsed()) / 1e6);
    QThread::msleep(1);
  }
  qInfo(
      "100,000 points: painted in %.0f ms, again (cached) in %.1f ms, a move of the mouse %.1f ms, "
      "a brush over all %.0f ms, a filter %.0f ms until shown, longest turn of the event loop "
      "while "
      "1,000 rows come %.0f ms",
      first, again, hover, brush, filter, longest);
}

}  // namespace
}  // namespace kvsieve::gui

QTEST_MAIN(kvsieve::gui::SweepPageTest)
#include "sweep_page_test.moc"
