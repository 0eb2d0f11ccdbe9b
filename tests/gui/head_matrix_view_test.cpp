// The head matrix: mouse, keys, colours, legend, exports.

#include "widgets/head_matrix_view.h"

#include <QElapsedTimer>
#include <QSignalSpy>
#include <QToolTip>
#include <QtTest>

#include "core/run.h"
#include "kvsieve/traces/error.h"
#include "patience.h"
#include "pictures.h"
#include "report/run_documents.h"
#include "sample_runs.h"
#include "widgets/plot_export.h"
#include "widgets/plot_frame.h"
#include "widgets/theme.h"

namespace kvsieve::gui {
namespace {

using tests::keep_picture;

class HeadMatrixViewTest : public QObject {
  Q_OBJECT

 private Q_SLOTS:
  void init();
  void cleanup();
  void c11_a_cell_a_head_in_the_colour_of_its_value();
  void c12_a_click_selects_the_head_under_it();
  void c13_control_click_toggles_shift_click_extends();
  void c13_a_drag_selects_a_block_and_control_adds_one();
  void c37_hover_says_value_unit_rank_and_formula_at_once();
  void c45_cividis_and_a_diverging_scale_with_ticks();
  void c46_log_clip_and_shared_range_change_the_colours();
  void c47_whole_layers_and_missing_heads_have_patterns();
  void c48_dark_palettes_draw_on_a_dark_ground();
  void c50_keys_do_what_the_mouse_does();
  void c51_it_has_a_name_a_description_and_a_table();
  void c41_csv_and_svg_hold_the_values();
  void query_heads_select_their_kv_head();
  void enter_on_the_selected_head_activates_it();
  void eighty_layers_fit();

 private:
  [[nodiscard]] QPoint at(int row, int column) const {
    const HeadGrid grid = m_view->grid(m_view->size());
    return {static_cast<int>(0.5 * (grid.x(column) + grid.x(column + 1))),
            static_cast<int>(0.5 * (grid.y(row) + grid.y(row + 1)))};
  }
  /// A pixel of a cell that neither text nor outline covers.
  [[nodiscard]] QColor ground(int row, int column) const {
    const HeadGrid grid = m_view->grid(m_view->size());
    const QImage image = m_view->grab().toImage();
    return image.pixelColor(static_cast<int>(grid.x(column)) + 6,
                            static_cast<int>(grid.y(row)) + 6);
  }
  [[nodiscard]] const Selection& selection() const { return m_workspace->view().selection(); }
  void drag(const QPoint& from, const QPoint& to, Qt::KeyboardModifiers modifiers) {
    QTest::mousePress(m_view.get(), Qt::LeftButton, modifiers, from);
    for (const QPoint& point : {(from + to) / 2, to}) {
      QMouseEvent move(QEvent::MouseMove, point, m_view->mapToGlobal(point), Qt::NoButton,
                       Qt::LeftButton, modifiers);
      QApplication::sendEvent(m_view.get(), &move);
    }
    QTest::mouseRelease(m_view.get(), Qt::LeftButton, modifiers, to);
  }

  std::shared_ptr<const Run> m_run;
  std::unique_ptr<Workspace> m_workspace;
  std::unique_ptr<HeadMatrixView> m_view;
};

void HeadMatrixViewTest::init() {
  m_run = tests::sample_run("ada-snapkv", "10%");
  m_workspace = std::make_unique<Workspace>();
  m_view = std::make_unique<HeadMatrixView>("test.matrix", "Heads", *m_workspace);
  m_view->resize(560, 320);
  m_view->show();
  QVERIFY(QTest::qWaitForWindowExposed(m_view.get()));
  m_view->set_figure(head_figure(m_run->view(), "evicted_mass"));
}

void HeadMatrixViewTest::cleanup() {
  m_view.reset();
  m_workspace.reset();
}

void HeadMatrixViewTest::c11_a_cell_a_head_in_the_colour_of_its_value() {
  const HeadFigure& figure = *m_view->figure();
  for (int row = 0; row < 3; ++row) {
    for (int column = 0; column < 3; ++column) {
      const double value =
          *figure.value(static_cast<std::size_t>(row), static_cast<std::size_t>(column));
      QCOMPARE(ground(row, column), m_view->colour_of(value));
    }
  }
  QCOMPARE(m_view->colour_of(m_view->range().low), to_qcolor(sim::sequential_colour(0.0)));
  QCOMPARE(m_view->colour_of(m_view->range().high), to_qcolor(sim::sequential_colour(1.0)));
  keep_picture(*m_view, "matrix");
}

void HeadMatrixViewTest::c12_a_click_selects_the_head_under_it() {
  const QImage before = m_view->grab().toImage();
  QTest::mouseClick(m_view.get(), Qt::LeftButton, {}, at(1, 2));
  QCOMPARE(selection().heads, (std::vector<HeadId>{{4, 2}}));
  QCOMPARE(selection().current, (HeadId{4, 2}));
  // Its outline is drawn.
  const QImage after = m_view->grab().toImage();
  const QColor line = m_view->palette().color(QPalette::Text);
  const HeadGrid grid = m_view->grid(m_view->size());
  const QRect cell(static_cast<int>(grid.x(2)) - 3, static_cast<int>(grid.y(1)) - 3,
                   static_cast<int>(grid.cell_width) + 6, static_cast<int>(grid.cell_height) + 6);
  QVERIFY(tests::pixels_of(after.copy(cell), line) >
          tests::pixels_of(before.copy(cell), line) + 100);
  // A click beside the cells changes nothing.
  QTest::mouseClick(m_view.get(), Qt::LeftButton, {}, QPoint(2, 2));
  QCOMPARE(selection().heads.size(), std::size_t{1});
  // The selection of another page is outlined here too.
  m_workspace->view().select(pick({}, {0, 0}, Pick::kReplace, {}));
  QVERIFY(m_view->grab().toImage() != after);
}

void HeadMatrixViewTest::c13_control_click_toggles_shift_click_extends() {
  QTest::mouseClick(m_view.get(), Qt::LeftButton, {}, at(0, 1));
  QTest::mouseClick(m_view.get(), Qt::LeftButton, Qt::ControlModifier, at(2, 0));
  QCOMPARE(selection().heads, (std::vector<HeadId>{{0, 1}, {8, 0}}));
  QTest::mouseClick(m_view.get(), Qt::LeftButton, Qt::ControlModifier, at(0, 1));
  QCOMPARE(selection().heads, (std::vector<HeadId>{{8, 0}}));
  QTest::mouseClick(m_view.get(), Qt::LeftButton, {}, at(0, 1));
  QTest::mouseClick(m_view.get(), Qt::LeftButton, Qt::ShiftModifier, at(1, 1));
  QCOMPARE(selection().heads, (std::vector<HeadId>{{0, 1}, {0, 2}, {4, 0}, {4, 1}}));
  keep_picture(*m_view, "matrix-selected");
}

void HeadMatrixViewTest::c13_a_drag_selects_a_block_and_control_adds_one() {
  drag(at(0, 0), at(1, 1), Qt::NoModifier);
  QCOMPARE(selection().heads, (std::vector<HeadId>{{0, 0}, {0, 1}, {4, 0}, {4, 1}}));
  drag(at(2, 2), at(2, 1), Qt::ControlModifier);
  QCOMPARE(selection().heads,
           (std::vector<HeadId>{{0, 0}, {0, 1}, {4, 0}, {4, 1}, {8, 1}, {8, 2}}));
  drag(at(0, 2), at(1, 2), Qt::NoModifier);
  QCOMPARE(selection().heads, (std::vector<HeadId>{{0, 2}, {4, 2}}));
}

void HeadMatrixViewTest::c37_hover_says_value_unit_rank_and_formula_at_once() {
  QSignalSpy said(m_view.get(), &PlotView::hovered);
  const double value = *m_view->figure()->value(1, 0);
  QElapsedTimer timer;
  timer.start();
  QTest::mouseMove(m_view.get(), at(1, 0));
  QTRY_COMPARE(said.size(), qsizetype{1});
  const qint64 milliseconds = timer.elapsed();
  QVERIFY2(static_cast<double>(milliseconds) < tests::patient_ms(50),
           qPrintable(QString::number(milliseconds)));
  const QString text = said.front().front().toString();
  for (const QString& part : {QStringLiteral("layer 4, KV head 0"), QStringLiteral("evicted mass"),
                              QString::fromStdString(sim::number_text(value, sim::Unit::kShare)),
                              QString::fromStdString(sim::exact_text(value, sim::Unit::kShare)),
                              QStringLiteral("largest of 9 heads"), QStringLiteral("1 - F")}) {
    QVERIFY2(text.contains(part), qPrintable(text + " lacks " + part));
  }
  QVERIFY(QToolTip::text().contains("largest of 9"));
  QTest::mouseMove(m_view.get(), QPoint(1, 1));
  QTRY_VERIFY(said.back().front().toString().isEmpty());
}

void HeadMatrixViewTest::c45_cividis_and_a_diverging_scale_with_ticks() {
  m_view->set_colours(HeadMatrixView::Colours::kCividis);
  QCOMPARE(m_view->colour_of(m_view->range().low), to_qcolor(sim::cividis_colour(0.0)));
  const double value = *m_view->figure()->value(2, 2);
  QCOMPARE(ground(2, 2), m_view->colour_of(value));
  keep_picture(*m_view, "matrix-cividis");

  m_view->set_figure(head_figure(m_run->view(), "budget_ratio"));
  QCOMPARE(m_view->colour_of(1.0), to_qcolor(sim::diverging_colour(0.0)));
  QCOMPARE(m_view->colour_of(m_view->range().high), to_qcolor(sim::diverging_colour(1.0)));
  QCOMPARE(m_view->colour_of(m_view->range().low), to_qcolor(sim::diverging_colour(-1.0)));
  // The legend shows both ends and the middle.
  const QImage image = m_view->grab().toImage();
  const HeadGrid grid = m_view->grid(m_view->size());
  const QImage legend = image.copy(0, static_cast<int>(grid.y(grid.rows)) + 4, image.width(),
                                   image.height() - static_cast<int>(grid.y(grid.rows)) - 4);
  QVERIFY(tests::pixels_of(legend, m_view->palette().color(QPalette::Text)) > 20);
  QSet<QRgb> colours;
  for (int x = 0; x < legend.width(); ++x) {
    colours.insert(legend.pixel(x, 14));
  }
  QVERIFY2(colours.size() > 50, qPrintable(QString::number(colours.size())));
  keep_picture(*m_view, "matrix-ratio");
}

void HeadMatrixViewTest::c46_log_clip_and_shared_range_change_the_colours() {
  const double middle = *m_view->figure()->value(1, 1);
  const QColor linear = m_view->colour_of(middle);
  m_view->set_log(true);
  QVERIFY(m_view->range().log);
  QVERIFY(m_view->colour_of(middle) != linear);
  QCOMPARE(ground(1, 1), m_view->colour_of(middle));
  keep_picture(*m_view, "matrix-log");
  m_view->set_log(false);
  QCOMPARE(m_view->colour_of(middle), linear);

  const double high = m_view->range().high;
  m_view->set_clip(0.1);
  QVERIFY(m_view->range().high < high);
  QVERIFY(m_view->range().clips_high);
  QCOMPARE(m_view->colour_of(high), to_qcolor(sim::sequential_colour(1.0)));
  keep_picture(*m_view, "matrix-clip");
  m_view->set_clip(0.0);

  m_view->set_figure(head_figure(m_run->view(), "evicted_mass"), {sim::Values{2.0 * high}});
  QCOMPARE(m_view->range().high, 2.0 * high);
  QVERIFY(m_view->colour_of(high) != to_qcolor(sim::sequential_colour(1.0)));
}

void HeadMatrixViewTest::c47_whole_layers_and_missing_heads_have_patterns() {
  const Run run(kvsieve::tests::eviction_document({.layers = 4, .heads = 4, .whole_layers = {2}}),
                "a");
  HeadFigure figure = head_figure(run.view(), "budget");
  figure.map.values[1].reset();
  m_view->set_figure(figure);
  const QImage image = m_view->grab().toImage();
  const HeadGrid grid = m_view->grid(m_view->size());
  const auto colours_in = [&](int row, int column) {
    QSet<QRgb> colours;
    for (int y = static_cast<int>(grid.y(row)) + 3; y < static_cast<int>(grid.y(row + 1)) - 4;
         ++y) {
      for (int x = static_cast<int>(grid.x(column)) + 3; x < static_cast<int>(grid.x(column)) + 20;
           ++x) {
        colours.insert(image.pixel(x, y));
      }
    }
    return colours.size();
  };
  QCOMPARE(colours_in(0, 0), qsizetype{1});  // a value has one colour
  QVERIFY(colours_in(0, 1) > 1);             // a missing head a pattern
  QVERIFY(colours_in(2, 0) > 1);             // a whole layer hatching
  QVERIFY(m_view->text_at({2, 0}).contains("left whole"));
  QVERIFY(m_view->text_at({0, 1}).contains("no value"));
  // Neither can be selected.
  QTest::mouseClick(m_view.get(), Qt::LeftButton, {}, at(2, 0));
  QTest::mouseClick(m_view.get(), Qt::LeftButton, {}, at(0, 1));
  QVERIFY(selection().is_empty());
  keep_picture(*m_view, "matrix-whole");
}

void HeadMatrixViewTest::c48_dark_palettes_draw_on_a_dark_ground() {
  m_view->setPalette(tests::dark_palette());
  const QImage image = m_view->grab().toImage();
  QCOMPARE(image.pixelColor(image.width() - 2, 2), tests::dark_palette().color(QPalette::Base));
  QTest::mouseClick(m_view.get(), Qt::LeftButton, {}, at(1, 1));
  keep_picture(*m_view, "matrix-dark");
}

void HeadMatrixViewTest::c50_keys_do_what_the_mouse_does() {
  m_view->setFocus();
  const QImage before = m_view->grab().toImage();
  QSignalSpy said(m_view.get(), &PlotView::hovered);
  QTest::keyClick(m_view.get(), Qt::Key_Down);
  QTest::keyClick(m_view.get(), Qt::Key_Right);
  QCOMPARE(m_view->cursor(), (GridCell{1, 1}));
  QVERIFY(said.back().front().toString().contains("layer 4, KV head 1"));
  QVERIFY(selection().is_empty());
  QVERIFY(m_view->grab().toImage() != before);  // the focus is visible
  QTest::keyClick(m_view.get(), Qt::Key_Space);
  QCOMPARE(selection().heads, (std::vector<HeadId>{{4, 1}}));
  QTest::keyClick(m_view.get(), Qt::Key_End, Qt::ControlModifier);
  QTest::keyClick(m_view.get(), Qt::Key_Space);
  QCOMPARE(selection().heads, (std::vector<HeadId>{{4, 1}, {8, 2}}));
  QTest::keyClick(m_view.get(), Qt::Key_Space);
  QCOMPARE(selection().heads, (std::vector<HeadId>{{4, 1}}));
  QTest::keyClick(m_view.get(), Qt::Key_Return);
  QCOMPARE(selection().heads, (std::vector<HeadId>{{8, 2}}));
  QTest::keyClick(m_view.get(), Qt::Key_Left, Qt::ShiftModifier);
  QCOMPARE(selection().heads, (std::vector<HeadId>{{8, 1}, {8, 2}}));
  QTest::keyClick(m_view.get(), Qt::Key_A, Qt::ControlModifier);
  QCOMPARE(selection().heads.size(), std::size_t{9});
  QTest::keyClick(m_view.get(), Qt::Key_Home);
  QTest::keyClick(m_view.get(), Qt::Key_Up);
  QTest::keyClick(m_view.get(), Qt::Key_Up);
  QTest::keyClick(m_view.get(), Qt::Key_Up);
  QCOMPARE(m_view->cursor(), (GridCell{0, 0}));  // stops at the edge
}

void HeadMatrixViewTest::c51_it_has_a_name_a_description_and_a_table() {
  auto* view = m_view.release();
  PlotFrame frame(view);
  m_view.reset();
  QVERIFY(!view->accessibleName().isEmpty());
  QVERIFY(view->accessibleDescription().contains("evicted mass"));
  const sim::Table table = view->table();
  QCOMPARE(table.rows.size(), std::size_t{3});
  QCOMPARE(table.columns.size(), std::size_t{4});
  QCOMPARE(
      QString::fromStdString(table.rows[1][1].text),
      QString::fromStdString(sim::number_text(*view->figure()->value(1, 0), sim::Unit::kShare)));
  frame.set_shows_table(true);
  QVERIFY(frame.shows_table());
  view->setFocus();
  QTest::keyClick(view, Qt::Key_Right);
  QVERIFY2(view->accessibleDescription().contains("KV head 1"),
           qPrintable(view->accessibleDescription()));
  view->clear("Open a run");
  QVERIFY(view->is_empty());
  QVERIFY(view->accessibleDescription().contains("Open a run"));
}

void HeadMatrixViewTest::c41_csv_and_svg_hold_the_values() {
  const QString csv = m_view->csv();
  QCOMPARE(csv.trimmed().split('\n').size(), qsizetype{10});
  const double value = *m_view->figure()->value(0, 0);
  QVERIFY(csv.contains(QString::number(value, 'g', 12)));
  const QTemporaryDir folder;
  save_svg(*m_view, folder.filePath("a.svg"), {600, 300});
  save_png(*m_view, folder.filePath("a.png"), {600, 300});
  QFile svg(folder.filePath("a.svg"));
  QVERIFY(svg.open(QIODevice::ReadOnly));
  QVERIFY(svg.readAll().contains(m_view->colour_of(value).name().toUtf8()));
  QCOMPARE(QImage(folder.filePath("a.png")).size(), QSize(1200, 600));
}

void HeadMatrixViewTest::query_heads_select_their_kv_head() {
  const Run run(kvsieve::tests::retrieval_document(), "a");
  m_view->set_figure(head_figure(run.view(), "query_heads/recall"));
  QTest::mouseClick(m_view.get(), Qt::LeftButton, {}, at(1, 3));
  QCOMPARE(selection().heads, (std::vector<HeadId>{{1, 1}}));
  keep_picture(*m_view, "matrix-query-heads");
}

void HeadMatrixViewTest::enter_on_the_selected_head_activates_it() {
  QSignalSpy activated(m_view.get(), &HeadMatrixView::activated);
  QTest::keyClick(m_view.get(), Qt::Key_Return);
  QCOMPARE(activated.size(), qsizetype{0});
  QTest::keyClick(m_view.get(), Qt::Key_Return);
  QCOMPARE(activated.size(), qsizetype{1});
  QTest::mouseDClick(m_view.get(), Qt::LeftButton, {}, at(1, 1));
  QCOMPARE(activated.size(), qsizetype{2});
  QCOMPARE(activated.back().front().value<HeadId>(), (HeadId{4, 1}));
}

void HeadMatrixViewTest::eighty_layers_fit() {
  const Run run(kvsieve::tests::eviction_document(
                    {.layers = 80, .heads = 64, .prompt_tokens = 4096, .whole_layers = {3, 4, 40}}),
                "a");
  m_view->set_figure(head_figure(run.view(), "evicted_mass"));
  m_view->resize(900, 640);
  const HeadGrid grid = m_view->grid(m_view->size());
  QVERIFY(grid.x(64) <= 900.0);
  QVERIFY(grid.y(80) < 600.0);
  QTest::mouseClick(m_view.get(), Qt::LeftButton, {}, at(79, 63));
  QCOMPARE(selection().heads, (std::vector<HeadId>{{79, 63}}));
  drag(at(10, 10), at(20, 30), Qt::ControlModifier);
  QCOMPARE(selection().heads.size(), std::size_t{1 + 11 * 21});
  keep_picture(*m_view, "matrix-80x64");
}

}  // namespace
}  // namespace kvsieve::gui

QTEST_MAIN(kvsieve::gui::HeadMatrixViewTest)
#include "head_matrix_view_test.moc"
