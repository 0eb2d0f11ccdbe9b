// Charts as widgets: mouse, keys, history, exports.

#include "widgets/chart_view.h"

#include <QImage>
#include <QSignalSpy>
#include <QTemporaryDir>
#include <QtTest>

#include "core/chart_csv.h"
#include "widgets/custom_plot.h"
#include "widgets/plot_export.h"
#include "widgets/plot_frame.h"

namespace kvsieve::gui {
namespace {

sim::LineChart line_chart() {
  sim::LineChart chart{.x_name = "decode step"};
  sim::Series recall{"recall", {}, sim::Ink::kAccent};
  sim::Series mass{"captured mass", {}, sim::Ink::kWarm};
  for (int i = 0; i < 64; ++i) {
    chart.x.push_back(i);
    recall.values.push_back(i == 10 ? std::nullopt : std::optional(0.3 + 0.002 * i));
    mass.values.push_back(0.8 + 0.1 * std::sin(i));
  }
  chart.series = {recall, mass};
  return chart;
}

sim::BarChart bar_chart() {
  return {.category_name = "layer",
          .categories = {"0", "4", "8"},
          .series = {{"KV cache", {1024.0 * 1024, 3.5e6, 2e6}},
                     {"index", {5e5, std::nullopt, 4e5}, sim::Ink::kWarm}},
          .unit = sim::Unit::kBytes,
          .marks = sim::Series{"uniform", {2e6, 2e6, 2e6}}};
}

sim::ScatterChart scatter_chart() {
  return {
      .x_name = "tokens a head",
      .y_name = "lost mass",
      .points = {{"1", "snapkv", 401.0, 0.13}, {"2", "ada-snapkv", 401.0, 0.12, sim::Ink::kWarm}}};
}

/// Saves a picture where somebody wants to look at it.
void keep_picture(QWidget& widget, const QString& name) {
  if (const QString folder = qEnvironmentVariable("KVSIEVE_PICTURES"); !folder.isEmpty()) {
    widget.grab().save(folder + "/" + name + ".png");
  }
}

int different_pixels(const QImage& a, const QImage& b) {
  int count = 0;
  for (int y = 0; y < a.height(); ++y) {
    for (int x = 0; x < a.width(); ++x) {
      count += a.pixel(x, y) != b.pixel(x, y) ? 1 : 0;
    }
  }
  return count;
}

class ChartViewTest : public QObject {
  Q_OBJECT

 private Q_SLOTS:
  void init();
  void cleanup();
  void c31_wheel_zooms_at_the_cursor_and_double_click_fits();
  void c31_a_drag_zooms_into_its_box();
  void c32_letters_and_arrows_zoom_and_pan();
  void c33_comma_and_full_stop_walk_the_points_and_enter_picks();
  void c15_zooms_are_undone();
  void c37_hover_says_exact_numbers_with_units();
  void c41_png_svg_and_csv_hold_the_chart();
  void c48_colours_follow_the_palette();
  void c51_the_frame_shows_the_numbers_as_a_table();
  void c52_without_a_chart_it_says_what_to_do();
  void c54_a_band_is_drawn_around_modelled_values();
  void a_click_picks_the_nearest_point();
  void every_kind_is_drawn_data();
  void every_kind_is_drawn();

 private:
  [[nodiscard]] QCPRange x() const { return m_view->plot().xAxis->range(); }
  [[nodiscard]] QPoint inside(double share_x, double share_y) const {
    const QRect rect = m_view->plot().axisRect()->rect();
    return {rect.left() + static_cast<int>(share_x * rect.width()),
            rect.top() + static_cast<int>(share_y * rect.height())};
  }
  void wheel(int steps, Qt::KeyboardModifiers modifiers, const QPoint& at) {
    QWheelEvent event(at, m_view->plot().mapToGlobal(at), {}, QPoint(0, 120 * steps), Qt::NoButton,
                      modifiers, Qt::NoScrollPhase, false);
    QApplication::sendEvent(&m_view->plot(), &event);
  }

  std::unique_ptr<Workspace> m_workspace;
  std::unique_ptr<ChartView> m_view;
};

void ChartViewTest::init() {
  m_workspace = std::make_unique<Workspace>();
  m_view = std::make_unique<ChartView>("test.lines", "Recall over steps", *m_workspace);
  m_view->resize(640, 360);
  m_view->show();
  QVERIFY(QTest::qWaitForWindowExposed(m_view.get()));
  m_view->set_chart(line_chart(), "captured", "Share of the exact top K.");
  m_view->plot().replot();  // lays the axes out
}

void ChartViewTest::cleanup() {
  m_view.reset();
  m_workspace.reset();
}

void ChartViewTest::c31_wheel_zooms_at_the_cursor_and_double_click_fits() {
  const QCPRange before = x();
  const QPoint at = inside(0.25, 0.5);
  const double under = m_view->plot().xAxis->pixelToCoord(at.x());
  wheel(3, Qt::NoModifier, at);
  QVERIFY(x().size() < before.size() * 0.6);
  QVERIFY(std::abs(m_view->plot().xAxis->pixelToCoord(at.x()) - under) < 0.2);
  const QCPRange y_before = m_view->plot().yAxis->range();
  wheel(1, Qt::ControlModifier, at);
  QCOMPARE(m_view->plot().yAxis->range().size(), y_before.size());
  const double size = x().size();
  wheel(1, Qt::ShiftModifier, at);
  QVERIFY(std::abs(x().size() - size) < 1e-9);
  QTest::mouseDClick(&m_view->plot(), Qt::LeftButton, {}, at);
  QCOMPARE(x().lower, before.lower);
  QCOMPARE(x().upper, before.upper);
}

void ChartViewTest::c31_a_drag_zooms_into_its_box() {
  QTest::mousePress(&m_view->plot(), Qt::LeftButton, {}, inside(0.25, 0.2));
  QTest::mouseMove(&m_view->plot(), inside(0.4, 0.4));
  QTest::mouseMove(&m_view->plot(), inside(0.75, 0.8));
  QTest::mouseRelease(&m_view->plot(), Qt::LeftButton, {}, inside(0.75, 0.8));
  QVERIFY2(x().size() > 25 && x().size() < 40, qPrintable(QString::number(x().size())));
  QVERIFY(m_workspace->view().zoom("test.lines"));
}

void ChartViewTest::c32_letters_and_arrows_zoom_and_pan() {
  const QCPRange before = x();
  m_view->setFocus();
  QTest::keyClick(m_view.get(), Qt::Key_W);
  QVERIFY(x().size() < before.size());
  const double left = x().lower;
  QTest::keyClick(m_view.get(), Qt::Key_D);
  QVERIFY(x().lower > left);
  QTest::keyClick(m_view.get(), Qt::Key_Left);
  QVERIFY(std::abs(x().lower - left) < 1e-6);
  QTest::keyClick(m_view.get(), Qt::Key_0);
  QCOMPARE(x().size(), before.size());
}

void ChartViewTest::c33_comma_and_full_stop_walk_the_points_and_enter_picks() {
  QSignalSpy hovered(m_view.get(), &PlotView::hovered);
  QSignalSpy picked(m_view.get(), &ChartView::picked);
  for (int i = 0; i < 4; ++i) {
    QTest::keyClick(m_view.get(), Qt::Key_Period);
  }
  QTest::keyClick(m_view.get(), Qt::Key_Comma);
  QVERIFY2(hovered.back().front().toString().startsWith("decode step 2"),
           qPrintable(hovered.back().front().toString()));
  QTest::keyClick(m_view.get(), Qt::Key_Return);
  QCOMPARE(picked.size(), qsizetype{1});
  QCOMPARE(picked.front().front().toInt(), 2);
}

void ChartViewTest::c15_zooms_are_undone() {
  const QCPRange before = x();
  wheel(2, Qt::NoModifier, inside(0.5, 0.5));
  QVERIFY(x().size() < before.size());
  const double zoomed = x().size();
  m_workspace->view().back();
  QCOMPARE(x().size(), before.size());
  m_workspace->view().forward();
  QCOMPARE(x().size(), zoomed);
}

void ChartViewTest::c37_hover_says_exact_numbers_with_units() {
  QSignalSpy hovered(m_view.get(), &PlotView::hovered);
  const double at = m_view->plot().xAxis->coordToPixel(20.0);
  QElapsedTimer timer;
  timer.start();
  QTest::mouseMove(&m_view->plot(), QPoint(static_cast<int>(at), inside(0.5, 0.5).y()));
  QTRY_VERIFY(!hovered.isEmpty());
  const QString text = hovered.back().front().toString();
  QVERIFY2(text.contains("decode step 20") && text.contains("recall: 34.00%"), qPrintable(text));
}

void ChartViewTest::c41_png_svg_and_csv_hold_the_chart() {
  const QTemporaryDir folder;
  save_png(*m_view, folder.filePath("a.png"), QSize(800, 500), 2.0);
  const QImage image(folder.filePath("a.png"));
  QCOMPARE(image.size(), QSize(1600, 1000));
  QImage blank(image.size(), image.format());
  blank.fill(image.pixel(2, 2));
  QVERIFY(different_pixels(image, blank) > 5000);
  save_svg(*m_view, folder.filePath("a.svg"), QSize(800, 500));
  QFile svg(folder.filePath("a.svg"));
  QVERIFY(svg.open(QIODevice::ReadOnly));
  const QByteArray text = svg.readAll();
  QVERIFY(text.contains("<title>Recall over steps</title>"));
  QVERIFY(text.count("<path") + text.count("<polyline") > 3);
  save_csv(*m_view, folder.filePath("a.csv"));
  QFile csv(folder.filePath("a.csv"));
  QVERIFY(csv.open(QIODevice::ReadOnly));
  const QList<QByteArray> lines = csv.readAll().split('\n');
  QCOMPARE(lines.front(), QByteArray("decode step,recall (share),captured mass (share)"));
  QCOMPARE(lines.size(), qsizetype{66});
  QVERIFY2(lines[11].startsWith("10,,"), lines[11].constData());
  QVERIFY_EXCEPTION_THROWN(save_csv(*m_view, "/no/such/folder/a.csv"), std::runtime_error);
}

void ChartViewTest::c48_colours_follow_the_palette() {
  const QImage light = m_view->grab().toImage();
  QPalette dark = m_view->palette();
  dark.setColor(QPalette::Base, QColor(30, 30, 30));
  dark.setColor(QPalette::Window, QColor(40, 40, 40));
  dark.setColor(QPalette::Text, QColor(230, 230, 230));
  dark.setColor(QPalette::WindowText, QColor(230, 230, 230));
  m_view->setPalette(dark);
  QCoreApplication::processEvents();
  const QImage night = m_view->grab().toImage();
  QVERIFY(light.pixelColor(3, 3).lightness() > 200);
  QVERIFY(night.pixelColor(3, 3).lightness() < 60);
  keep_picture(*m_view, "chart-dark");
}

void ChartViewTest::c51_the_frame_shows_the_numbers_as_a_table() {
  auto* view = new ChartView("test.bars", "Bytes", *m_workspace);
  PlotFrame frame(view);
  view->set_chart(bar_chart(), "modelled");
  frame.set_shows_table(true);
  QVERIFY(frame.shows_table());
  const auto* table = frame.findChild<QTableWidget*>();
  QCOMPARE(table->rowCount(), 3);
  QCOMPARE(table->item(0, 1)->text(), QString("1.00 MiB"));
  QVERIFY(view->accessibleDescription().contains("modelled"));
  frame.set_shows_table(false);
  QVERIFY(!frame.shows_table());
}

void ChartViewTest::c52_without_a_chart_it_says_what_to_do() {
  auto* view = new ChartView("test.none", "Bytes", *m_workspace);
  PlotFrame frame(view);
  view->clear("Open a trace to see this");
  frame.resize(400, 300);
  frame.show();
  bool found = false;
  for (const QLabel* label : frame.findChildren<QLabel*>()) {
    found = found || (label->isVisible() && label->text() == "Open a trace to see this");
  }
  QVERIFY(found);
}

void ChartViewTest::c54_a_band_is_drawn_around_modelled_values() {
  const QImage before = m_view->grab().toImage();
  std::vector<double> low;
  std::vector<double> high;
  for (int i = 0; i < 64; ++i) {
    low.push_back(0.7);
    high.push_back(0.95);
  }
  m_view->set_band(1, low, high);
  QCoreApplication::processEvents();
  const QImage after = m_view->grab().toImage();
  QVERIFY(different_pixels(before, after) > 10'000);
  keep_picture(*m_view, "chart-band");
}

void ChartViewTest::a_click_picks_the_nearest_point() {
  QSignalSpy picked(m_view.get(), &ChartView::picked);
  const double at = m_view->plot().xAxis->coordToPixel(31.2);
  QTest::mouseClick(&m_view->plot(), Qt::LeftButton, Qt::ControlModifier,
                    QPoint(static_cast<int>(at), inside(0.5, 0.5).y()));
  QCOMPARE(picked.size(), qsizetype{1});
  QCOMPARE(picked.front().front().toInt(), 31);
  QVERIFY(!m_workspace->view().zoom("test.lines"));
}

void ChartViewTest::every_kind_is_drawn_data() {
  QTest::addColumn<int>("kind");
  QTest::newRow("lines") << 0;
  QTest::newRow("bars") << 1;
  QTest::newRow("stacked") << 2;
  QTest::newRow("ratios") << 3;
  QTest::newRow("scatter") << 4;
  QTest::newRow("agreement") << 5;
}

void ChartViewTest::every_kind_is_drawn() {
  QFETCH(const int, kind);
  sim::BarChart stacked = bar_chart();
  stacked.stacked = true;
  const sim::Chart charts[] = {
      line_chart(),
      bar_chart(),
      stacked,
      sim::RatioChart{"layer", "budget / uniform", {"0", "4", "8"}, {0.8, 1.3, std::nullopt}},
      scatter_chart(),
      sim::AgreementChart{.x_name = "measured",
                          .y_name = "modelled",
                          .unit = "us",
                          .kinds = {{"hbm"}, {"l2", sim::Ink::kWarm}},
                          .points = {{"a", 10, 11, 0}, {"b", 100, 90, 1}, {"c", 55, 60, 0}}}};
  m_view->clear("nothing");
  QCoreApplication::processEvents();
  const QImage empty = m_view->grab().toImage();
  m_view->set_chart(charts[kind], "modelled", "");
  m_view->plot().replot();
  QVERIFY(different_pixels(m_view->grab().toImage(), empty) > 300);
  QVERIFY(!chart_csv(charts[kind]).isEmpty());
  QVERIFY(!m_view->table().rows.empty());
  keep_picture(*m_view, QStringLiteral("chart-%1").arg(QTest::currentDataTag()));
}

}  // namespace
}  // namespace kvsieve::gui

QTEST_MAIN(kvsieve::gui::ChartViewTest)
#include "chart_view_test.moc"
