// The compare page: two runs, and two sweeps.

#include "pages/compare_page.h"

#include <QImage>
#include <QProcess>
#include <QSignalSpy>
#include <QTemporaryDir>
#include <QtTest>

#include "sweep_fixture.h"
#include "widgets/plot_export.h"
#include "widgets/theme.h"

namespace kvsieve::gui {
namespace {

constexpr int kPatienceMs = 30'000;
const QString kTrace = QStringLiteral(KVSIEVE_SOURCE "/traces/samples/smollm2-needle.kvtrace");

void run(const QStringList& options, const QString& output) {
  QProcess process;
  process.start(QStringLiteral(KVSIEVE_PROGRAM),
                QStringList{"run", kTrace} + options + QStringList{"--output", output});
  QVERIFY(process.waitForFinished(kPatienceMs));
  QVERIFY2(process.exitCode() == 0, process.readAllStandardError().constData());
}

class Shown {
 public:
  explicit Shown(const QStringList& paths) : page(workspace) {
    page.resize(1200, 1000);
    page.show();
    workspace.open(paths);
    static_cast<void>(QTest::qWaitFor(
        [&] { return workspace.files().size() == std::size_t(paths.size()); }, kPatienceMs));
    settle();
  }
  void settle() {
    QTest::qWait(10);
    static_cast<void>(QTest::qWaitFor([this] { return workspace.jobs().is_idle(); }, kPatienceMs));
  }
  template <class T>
  T* find(const char* name) {
    return page.findChild<T*>(QString::fromUtf8(name));
  }
  /// A cell of the row whose first column says `name`.
  QString cell(const char* table, const QString& name, int column) {
    const auto* widget = find<QTableWidget>(table);
    for (int row = 0; row < widget->rowCount(); ++row) {
      if (widget->item(row, 0)->text() == name) {
        return widget->item(row, column)->text();
      }
    }
    return QStringLiteral("no such row");
  }

  Workspace workspace;
  ComparePage page;
};

class ComparePageTest : public QObject {
  Q_OBJECT

 private Q_SLOTS:
  void initTestCase();
  void says_what_to_do_without_two_files();
  void c28_two_runs_show_changes_with_sign_size_and_verdict();
  void c28_missing_items_are_listed();
  void c28_the_map_shows_heads_by_sign_and_links_the_selection();
  void c28_swapping_turns_the_signs();
  void c28_another_open_run_can_be_the_baseline();
  void c28_two_sweeps_are_matched_by_their_points();
  void c45_the_map_is_centred_at_zero_with_a_scale();

 private:
  QTemporaryDir m_folder;
  QString m_a;
  QString m_b;
  QString m_c;
};

void ComparePageTest::initTestCase() {
  m_a = m_folder.filePath("a.kvrun");
  m_b = m_folder.filePath("b.kvrun");
  m_c = m_folder.filePath("c.kvrun");
  run({"--method", "ada-snapkv", "--budget", "20%", "--layers", "0,4"}, m_a);
  run({"--method", "ada-snapkv", "--budget", "10%", "--layers", "0,4"}, m_b);
  run({"--method", "snapkv", "--budget", "10%", "--layers", "4,8", "--losses", "mass"}, m_c);
}

void ComparePageTest::says_what_to_do_without_two_files() {
  Shown shown({m_a});
  QVERIFY(shown.find<QLabel>("compare.empty")->isVisible());
  QVERIFY(shown.find<QLabel>("compare.empty")->text().contains("Open two runs"));
  shown.workspace.add({m_b});
  QTRY_VERIFY(!shown.find<QLabel>("compare.empty")->isVisible());
}

void ComparePageTest::c28_two_runs_show_changes_with_sign_size_and_verdict() {
  Shown shown({m_a, m_b});
  QCOMPARE(shown.cell("compare.set_up", "budget", 1), QString("20%"));
  QCOMPARE(shown.cell("compare.set_up", "budget", 2), QString("10%"));
  const double before = *shown.workspace.baseline()->view().summary("evicted_mass");
  const double after = *shown.workspace.run()->view().summary("evicted_mass");
  QVERIFY(after > before);
  const MetricInfo info = metric_info("evicted_mass");
  QCOMPARE(shown.cell("compare.figures", "evicted_mass", 1), info.text(before));
  QCOMPARE(shown.cell("compare.figures", "evicted_mass", 2), info.text(after));
  QCOMPARE(shown.cell("compare.figures", "evicted_mass", 3),
           QStringLiteral("▲ +") + info.text(after - before));
  QVERIFY(shown.cell("compare.figures", "evicted_mass", 4).startsWith('+'));
  QCOMPARE(shown.cell("compare.figures", "evicted_mass", 5), QString("worse"));
  QCOMPARE(shown.cell("compare.figures", "evicted_mass", 6), QString("captured"));
  QCOMPARE(shown.cell("compare.figures", "cost/kv_kept_bytes", 5), QString("better"));
  QCOMPARE(shown.cell("compare.figures", "cost/kv_kept_bytes", 6), QString("modelled"));
  const auto* figures = shown.find<QTableWidget>("compare.figures");
  QCOMPARE(figures->item(0, 5)->text(), QString("worse"));
  QCOMPARE(figures->item(0, 3)->foreground().color(), ink(sim::Ink::kWarm, shown.page.palette()));
}

void ComparePageTest::c28_missing_items_are_listed() {
  Shown shown({m_a, m_c});
  QCOMPARE(shown.cell("compare.missing", "layer 0", 1), QString("baseline"));
  QCOMPARE(shown.cell("compare.missing", "layer 8", 1), QString("shown"));
  QCOMPARE(shown.cell("compare.missing", "l1_loss of the whole", 1), QString("baseline"));
  QCOMPARE(shown.cell("compare.missing", "l1_loss of 3 KV heads", 1), QString("baseline"));
}

void ComparePageTest::c28_the_map_shows_heads_by_sign_and_links_the_selection() {
  Shown shown({m_a, m_b});
  auto* map = shown.find<DeltaMapView>("compare.heads");
  shown.find<QComboBox>("compare.figure")->setCurrentText("budget");
  const sim::Table table = map->table();
  QCOMPARE(table.rows.size(), std::size_t{6});
  const QRectF cell = map->cell_of({4, 1});
  QVERIFY(!cell.isEmpty());
  QTest::mouseClick(map, Qt::LeftButton, {}, cell.center().toPoint());
  QCOMPARE(shown.workspace.view().selection().heads, (std::vector<HeadId>{{4, 1}}));
  QTest::mouseClick(map, Qt::LeftButton, Qt::ControlModifier,
                    map->cell_of({0, 2}).center().toPoint());
  QCOMPARE(shown.workspace.view().selection().heads, (std::vector<HeadId>{{0, 2}, {4, 1}}));
  QSignalSpy hovered(&shown.page, &Page::hovered);
  QTest::mouseMove(map, map->cell_of({4, 0}).center().toPoint());
  QVERIFY(!hovered.isEmpty());
  const QString text = hovered.back().front().toString();
  QVERIFY2(text.startsWith("layer 4, KV head 0: budget ") && text.contains("in the baseline"),
           qPrintable(text));
  // The keyboard does the same.
  map->setFocus();
  QTest::keyClick(map, Qt::Key_Up);
  QTest::keyClick(map, Qt::Key_Return);
  QCOMPARE(shown.workspace.view().selection().heads, (std::vector<HeadId>{{0, 0}}));
  QVERIFY(!shown.find<ChartView>("compare.layers")->is_empty() ||
          !shown.find<ChartView>("compare.layers")->empty_text().isEmpty());
  shown.find<QComboBox>("compare.figure")->setCurrentText("evicted_mass");
  QVERIFY(!shown.find<ChartView>("compare.layers")->is_empty());
  QVERIFY(!shown.find<ChartView>("compare.steps")->is_empty());
  QVERIFY(map->csv().startsWith("layer,head,evicted_mass baseline,evicted_mass shown,change\r\n"));
}

void ComparePageTest::c28_swapping_turns_the_signs() {
  Shown shown({m_a, m_b});
  const QString before = shown.cell("compare.figures", "evicted_mass", 3);
  QVERIFY(before.startsWith(QStringLiteral("▲ +")));
  QTest::mouseClick(shown.find<QPushButton>("compare.swap"), Qt::LeftButton);
  shown.settle();
  QCOMPARE(shown.workspace.run()->name(), QString("a.kvrun"));
  QCOMPARE(shown.workspace.baseline()->name(), QString("b.kvrun"));
  QCOMPARE(shown.cell("compare.figures", "evicted_mass", 3), QStringLiteral("▼ -") + before.mid(3));
  QCOMPARE(shown.cell("compare.figures", "evicted_mass", 5), QString("better"));
  QVERIFY(shown.find<QComboBox>("compare.baseline")->currentText().startsWith("b.kvrun"));
}

void ComparePageTest::c28_another_open_run_can_be_the_baseline() {
  Shown shown({m_a, m_c, m_b});
  auto* choice = shown.find<QComboBox>("compare.baseline");
  QCOMPARE(choice->count(), 2);
  QVERIFY(choice->currentText().startsWith("c.kvrun"));
  choice->setFocus();
  QTest::keyClick(choice, Qt::Key_Up);
  shown.settle();
  QCOMPARE(shown.workspace.baseline()->name(), QString("a.kvrun"));
  QCOMPARE(shown.cell("compare.set_up", "budget", 1), QString("20%"));
}

void ComparePageTest::c28_two_sweeps_are_matched_by_their_points() {
  const QTemporaryDir folder;
  const QString old = folder.filePath("old.db");
  const QString now = folder.filePath("now.db");
  tests::write_store(old, 0, 60, 100);
  tests::write_store(now, 30, 100, 100, "0.2.0");
  Shown shown({old, now});
  QCOMPARE(shown.cell("compare.set_up", "tool version", 2), QString("0.2.0"));
  QVERIFY(shown.find<QLabel>("compare.summary")
              ->text()
              .startsWith("30 points are in both, 30 in the baseline alone, 40 in the shown"));
  QCOMPARE(shown.cell("compare.missing", "point #0 snapkv, budget 5%, batch 1", 1),
           QString("baseline"));
  QCOMPARE(shown.cell("compare.missing", "point #99 snapkv, budget 20%, batch 4", 1),
           QString("shown"));
  QCOMPARE(shown.find<QTableWidget>("compare.missing")->rowCount(), 70);
  QVERIFY(shown.find<QTableWidget>("compare.metrics")->rowCount() >= 5);
  // A point is selected in all pages.
  auto* points = shown.find<QTableWidget>("compare.points");
  QCOMPARE(points->rowCount(), 29);  // one failed
  QTest::mouseClick(points->viewport(), Qt::LeftButton, {},
                    points->visualItemRect(points->item(2, 0)).center());
  QCOMPARE(shown.workspace.view().selection().points.size(), std::size_t{1});
  shown.workspace.swap_compared();
  shown.settle();
  QCOMPARE(shown.workspace.sweep()->name(), QString("old.db"));
  QVERIFY(shown.find<QLabel>("compare.summary")->text().startsWith("30 points are in both, 40"));
}

void ComparePageTest::c45_the_map_is_centred_at_zero_with_a_scale() {
  Workspace workspace;
  DeltaMapView map(workspace);
  map.resize(600, 300);
  DeltaMap values{"KV head", {0}, {0, 1, 2, 3}, {}};
  values.values = {{0.5, 0.9}, {0.5, 0.5}, {0.5, 0.3}, {0.5, std::nullopt}};
  const auto colour = [&](std::int64_t head) {
    const QImage image = map.grab().toImage();
    const QRectF cell = map.cell_of({0, head});
    return image.pixelColor(cell.topLeft().toPoint() + QPoint(3, 3));
  };
  map.set_map(values, "evicted_mass", metric_info("evicted_mass"), false);
  QCOMPARE(colour(0), to_qcolor(sim::diverging_colour(1.0)));
  QCOMPARE(colour(1), to_qcolor(sim::diverging_colour(0.0)));
  QCOMPARE(colour(2), to_qcolor(sim::diverging_colour(-0.5)));
  QVERIFY(colour(0).red() > colour(0).blue());
  QVERIFY(colour(2).blue() > colour(2).red());
  // Where more is better, the same rise is blue.
  map.set_map(values, "recall", metric_info("recall"), false);
  QCOMPARE(colour(0), to_qcolor(sim::diverging_colour(-1.0)));
  // Relative changes have a scale of their own.
  map.set_map(values, "recall", metric_info("recall"), true);
  QCOMPARE(colour(2), to_qcolor(sim::diverging_colour(0.5)));
  QVERIFY(map.table().rows[3][2].text != "missing");
  QCOMPARE(map.table().rows[3][3].text, std::string("missing"));
}

}  // namespace
}  // namespace kvsieve::gui

QTEST_MAIN(kvsieve::gui::ComparePageTest)
#include "compare_page_test.moc"
