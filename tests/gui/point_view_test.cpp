// Plots of many points: what is drawn, mouse, keys, history, exports.

#include "widgets/point_view.h"

#include <QElapsedTimer>
#include <QSignalSpy>
#include <QTemporaryDir>
#include <QtTest>
#include <cmath>

#include "patience.h"
#include "pictures.h"
#include "widgets/plot_export.h"
#include "widgets/plot_frame.h"
#include "widgets/theme.h"

namespace kvsieve::gui {
namespace {

/// A dense cloud with selected points in the middle of it.
PointChart scatter(int points) {
  PointChart chart;
  chart.x = {.name = "exact score u"};
  chart.y = {.name = "score û"};
  chart.id_name = "token";
  chart.diagonal = true;
  PointChart::Cloud others{.name = "not selected", .ink = sim::Ink::kGrey};
  PointChart::Cloud selected{.name = "selected", .ink = sim::Ink::kWarm, .keeps_all = true};
  for (int i = 0; i < points; ++i) {
    const double angle = 2.399963 * i;
    const double radius = std::sqrt(static_cast<double>(i) / points);
    PointChart::Cloud& cloud = i % 997 == 0 ? selected : others;
    cloud.ids.push_back(i);
    cloud.x.push_back(static_cast<float>(radius * std::cos(angle)));
    cloud.y.push_back(static_cast<float>(0.9 * radius * std::sin(angle) + 0.3 * radius));
  }
  chart.clouds = {others, selected};
  return chart;
}

class PointViewTest : public QObject {
  Q_OBJECT

 private Q_SLOTS:
  void init();
  void cleanup();
  void c21_selected_points_stand_out_of_the_densest_cloud();
  void c31_wheel_zooms_at_the_cursor_and_double_click_fits();
  void c31_a_drag_zooms_into_its_box();
  void a_shift_drag_pans_and_picks_nothing();
  void c32_letters_and_arrows_zoom_and_pan();
  void c33_comma_and_full_stop_walk_the_kept_points_and_enter_picks();
  void c15_zooms_are_undone();
  void c38_hover_says_token_values_and_exact_numbers();
  void c41_png_svg_and_csv_hold_the_points();
  void c48_colours_follow_the_palette();
  void c51_the_frame_shows_the_numbers_as_a_table();
  void c52_without_points_it_says_what_to_do();
  void c58_a_hundred_thousand_points_are_drawn_30_times_a_second();

 private:
  [[nodiscard]] QPointF pixel_of(double x, double y) const {
    const XyAxes axes = m_view->axes(m_view->size());
    return {axes.x.pixel(x), axes.y.pixel(y)};
  }
  [[nodiscard]] sim::Range shown_x() const {
    const XyAxes axes = m_view->axes(m_view->size());
    return {axes.x.low, axes.x.high};
  }

  std::unique_ptr<Workspace> m_workspace;
  std::unique_ptr<PointView> m_view;
};

void PointViewTest::init() {
  m_workspace = std::make_unique<Workspace>();
  m_view = std::make_unique<PointView>("test.points", "Points", *m_workspace);
  m_view->resize(700, 500);
  m_view->show();
  QVERIFY(QTest::qWaitForWindowExposed(m_view.get()));
  m_view->set_chart(scatter(20'000), "captured", "How scores compare.");
}

void PointViewTest::cleanup() {
  m_view.reset();
  m_workspace.reset();
}

void PointViewTest::c21_selected_points_stand_out_of_the_densest_cloud() {
  const QImage image = m_view->grab().toImage();
  const QColor warm = ink(sim::Ink::kWarm, m_view->palette());
  const PointChart::Cloud& selected = m_view->chart()->clouds[1];
  for (std::size_t i = 0; i < selected.x.size(); ++i) {
    const QPoint at = pixel_of(selected.x[i], selected.y[i]).toPoint();
    QVERIFY2(tests::pixels_of(image, warm, {at.x() - 2, at.y() - 2, 5, 5}) >= 10,
             qPrintable(QString::number(i)));
  }
  tests::keep_picture(*m_view, "point_view");
}

void PointViewTest::c31_wheel_zooms_at_the_cursor_and_double_click_fits() {
  const QPointF at = pixel_of(0.5, 0.0);
  const sim::Range before = shown_x();
  QWheelEvent wheel(at, m_view->mapToGlobal(at), {}, {0, 120}, Qt::NoButton, Qt::NoModifier,
                    Qt::NoScrollPhase, false);
  QApplication::sendEvent(m_view.get(), &wheel);
  const sim::Range after = shown_x();
  QVERIFY(std::abs((after.high - after.low) / (before.high - before.low) - 0.8) < 1e-9);
  QVERIFY((pixel_of(0.5, 0.0) - at).manhattanLength() < 1e-6);
  QWheelEvent sideways(at, m_view->mapToGlobal(at), {}, {0, 120}, Qt::NoButton, Qt::ControlModifier,
                       Qt::NoScrollPhase, false);
  const double height = m_view->axes(m_view->size()).y.high;
  QApplication::sendEvent(m_view.get(), &sideways);
  QCOMPARE(m_view->axes(m_view->size()).y.high, height);
  QVERIFY(shown_x().high < after.high);
  QTest::mouseDClick(m_view.get(), Qt::LeftButton, {}, at.toPoint());
  QCOMPARE(shown_x().low, before.low);
}

void PointViewTest::c31_a_drag_zooms_into_its_box() {
  const QPoint from = pixel_of(-0.5, 0.5).toPoint();
  const QPoint to = pixel_of(0.5, -0.5).toPoint();
  QTest::mousePress(m_view.get(), Qt::LeftButton, {}, from);
  QTest::mouseMove(m_view.get(), (from + to) / 2);
  QTest::mouseMove(m_view.get(), to);
  QTest::mouseRelease(m_view.get(), Qt::LeftButton, {}, to);
  QVERIFY(std::abs(shown_x().low + 0.5) < 0.02);
  QVERIFY(std::abs(shown_x().high - 0.5) < 0.02);
}

void PointViewTest::a_shift_drag_pans_and_picks_nothing() {
  QSignalSpy picked(m_view.get(), &PointView::picked);
  const PointChart::Cloud& selected = m_view->chart()->clouds[1];
  const QPoint from = pixel_of(selected.x[5], selected.y[5]).toPoint();
  const QPoint to = from + QPoint(30, 20);
  QTest::mousePress(m_view.get(), Qt::LeftButton, Qt::ShiftModifier, from);
  QMouseEvent move(QEvent::MouseMove, to, m_view->mapToGlobal(to), Qt::NoButton, Qt::LeftButton,
                   Qt::ShiftModifier);
  QApplication::sendEvent(m_view.get(), &move);
  QTest::mouseRelease(m_view.get(), Qt::LeftButton, Qt::ShiftModifier, to);
  QVERIFY((pixel_of(selected.x[5], selected.y[5]) - to).manhattanLength() < 2.0);
  QCOMPARE(picked.count(), 0);
  QTest::mouseClick(m_view.get(), Qt::LeftButton, {}, to);
  QCOMPARE(picked.count(), 1);
}

void PointViewTest::c32_letters_and_arrows_zoom_and_pan() {
  m_view->setFocus();
  const sim::Range before = shown_x();
  QTest::keyClick(m_view.get(), Qt::Key_W);
  const sim::Range nearer = shown_x();
  QVERIFY(nearer.high - nearer.low < before.high - before.low);
  QTest::keyClick(m_view.get(), Qt::Key_D);
  QVERIFY(shown_x().low > nearer.low);
  QTest::keyClick(m_view.get(), Qt::Key_Left);
  QVERIFY(std::abs(shown_x().low - nearer.low) < 1e-9);
  QTest::keyClick(m_view.get(), Qt::Key_0);
  QCOMPARE(shown_x().low, before.low);
}

void PointViewTest::c33_comma_and_full_stop_walk_the_kept_points_and_enter_picks() {
  QSignalSpy hovered(m_view.get(), &PlotView::hovered);
  QSignalSpy picked(m_view.get(), &PointView::picked);
  m_view->setFocus();
  QTest::keyClick(m_view.get(), Qt::Key_Return);
  QCOMPARE(picked.count(), 0);  // nothing is pointed at
  QTest::keyClick(m_view.get(), Qt::Key_Period);
  QTest::keyClick(m_view.get(), Qt::Key_Period);
  QTest::keyClick(m_view.get(), Qt::Key_Period);
  QTest::keyClick(m_view.get(), Qt::Key_Comma);
  QVERIFY(hovered.last().front().toString().startsWith("token 997, selected"));
  QTest::keyClick(m_view.get(), Qt::Key_Return);
  QCOMPARE(picked.count(), 1);
  const auto point = picked.last().front().value<PointRef>();
  QCOMPARE(id_of(*m_view->chart(), point), std::optional<std::int64_t>(997));
}

void PointViewTest::c15_zooms_are_undone() {
  const sim::Range before = shown_x();
  m_view->setFocus();
  QTest::keyClick(m_view.get(), Qt::Key_W);
  QVERIFY(shown_x().low != before.low);
  m_workspace->view().back();
  QCOMPARE(shown_x().low, before.low);
  m_workspace->view().forward();
  QVERIFY(shown_x().low != before.low);
}

void PointViewTest::c38_hover_says_token_values_and_exact_numbers() {
  QSignalSpy hovered(m_view.get(), &PlotView::hovered);
  const PointChart::Cloud& selected = m_view->chart()->clouds[1];
  QElapsedTimer clock;
  clock.start();
  QTest::mouseMove(m_view.get(), pixel_of(selected.x[5], selected.y[5]).toPoint());
  QTRY_VERIFY(!hovered.isEmpty());
  QVERIFY(static_cast<double>(clock.elapsed()) < tests::patient_ms(50));
  const QString text = hovered.last().front().toString();
  QVERIFY2(text.startsWith("token 4,985, selected · exact score u: "), qPrintable(text));
  QVERIFY(text.contains(QString::fromStdString(
      sim::exact_text(static_cast<double>(selected.x[5]), sim::Unit::kNumber))));
  QEvent leave(QEvent::Leave);
  QApplication::sendEvent(m_view.get(), &leave);
  QCOMPARE(hovered.last().front().toString(), QString());
}

void PointViewTest::c41_png_svg_and_csv_hold_the_points() {
  const QTemporaryDir folder;
  save_png(*m_view, folder.filePath("a.png"), {600, 400}, 2.0);
  const QImage image(folder.filePath("a.png"));
  QCOMPARE(image.size(), QSize(1200, 800));
  QVERIFY(tests::pixels_of(image, ink(sim::Ink::kWarm, m_view->palette())) > 500);
  save_svg(*m_view, folder.filePath("a.svg"), {600, 400});
  QFile svg(folder.filePath("a.svg"));
  QVERIFY(svg.open(QIODevice::ReadOnly));
  QVERIFY(svg.readAll().contains("exact score u"));
  save_csv(*m_view, folder.filePath("a.csv"));
  QFile csv(folder.filePath("a.csv"));
  QVERIFY(csv.open(QIODevice::ReadOnly));
  QCOMPARE(csv.readAll().count('\n'), 20'001);
}

void PointViewTest::c48_colours_follow_the_palette() {
  m_view->setPalette(tests::dark_palette());
  const QImage night = m_view->grab().toImage();
  QCOMPARE(night.pixelColor(2, 2), tests::dark_palette().color(QPalette::Base));
  QVERIFY(tests::pixels_of(night, ink(sim::Ink::kWarm, m_view->palette())) > 200);
  QVERIFY(ink(sim::Ink::kWarm, m_view->palette()) != ink(sim::Ink::kWarm, QPalette(Qt::white)));
  tests::keep_picture(*m_view, "point_view_dark");
}

void PointViewTest::c51_the_frame_shows_the_numbers_as_a_table() {
  PlotFrame frame(m_view.release());
  frame.set_shows_table(true);
  const auto* table = frame.findChild<QTableWidget*>("test.points.table");
  QVERIFY(table != nullptr);
  QCOMPARE(table->columnCount(), 4);
  QCOMPARE(table->item(0, 1)->text(), QString("selected"));
  QCOMPARE(table->rowCount(), 21 + 1000);  // all selected, the highest of the others
  QVERIFY(!frame.plot()->accessibleName().isEmpty());
  QVERIFY(frame.plot()->accessibleDescription().contains("How scores compare."));
}

void PointViewTest::c52_without_points_it_says_what_to_do() {
  m_view->clear("Open the trace beside the run");
  QVERIFY(m_view->is_empty());
  QCOMPARE(m_view->empty_text(), QString("Open the trace beside the run"));
  QVERIFY(m_view->origin().isEmpty());
  QVERIFY(m_view->csv().isEmpty());
  QTest::keyClick(m_view.get(), Qt::Key_Period);  // no point to walk to
  QTest::mouseMove(m_view.get(), QPoint(300, 200));
  PlotFrame frame(m_view.release());
  QVERIFY(frame.findChild<QStackedWidget*>()->currentIndex() == 1);
}

void PointViewTest::c58_a_hundred_thousand_points_are_drawn_30_times_a_second() {
  m_view->set_chart(scatter(131'072), "captured", {});
  m_view->resize(1200, 800);
  QImage image(m_view->size(), QImage::Format_ARGB32_Premultiplied);
  m_view->draw(image, m_view->size());
  QElapsedTimer clock;
  clock.start();
  constexpr int kFrames = 20;
  for (int i = 0; i < kFrames; ++i) {
    m_view->draw(image, m_view->size());
  }
  const double frame_ms = static_cast<double>(clock.nsecsElapsed()) * 1e-6 / kFrames;
  qInfo("%.1f ms a frame of 131,072 points", frame_ms);
  QVERIFY(frame_ms < tests::patient_ms(1000.0 / 30.0));
}

}  // namespace
}  // namespace kvsieve::gui

QTEST_MAIN(kvsieve::gui::PointViewTest)
#include "point_view_test.moc"
