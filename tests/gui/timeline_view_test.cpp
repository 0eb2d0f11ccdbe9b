// Timelines by mouse, keys and pixels.

#include "widgets/timeline_view.h"

#include <QImage>
#include <QSignalSpy>
#include <QTemporaryDir>
#include <QToolTip>
#include <QtTest>
#include <random>

#include "patience.h"
#include "pictures.h"
#include "sample_runs.h"
#include "timeline_fixture.h"
#include "widgets/plot_export.h"
#include "widgets/plot_frame.h"
#include "widgets/theme.h"

namespace kvsieve::gui {
namespace {

using tests::keep_picture;
using tests::small_timeline;
using tests::timeline_detail;
using tests::timeline_event;

/// A million events on four lanes.
TimelineParts large_parts(std::size_t events) {
  TimelineParts parts = small_timeline();
  parts.events.clear();
  std::mt19937 generator(1);
  std::uniform_real_distribution<double> us(0.5, 30.0);
  std::array<double, 4> at{};
  for (std::size_t i = 0; i < events; ++i) {
    const auto lane = static_cast<std::int32_t>(i % 4);
    double& now = at[i % 4];
    const double begin = now + (i % 3 == 0 ? us(generator) : 0.0);
    now = begin + us(generator);
    parts.events.push_back(timeline_event(lane, static_cast<std::int32_t>(i % 5), begin, now,
                                          static_cast<std::int32_t>(i / 1000),
                                          static_cast<std::int32_t>(i % 32)));
    parts.events.back().critical = i % 97 == 0;
    parts.events.back().bytes = lane == 1 ? 4096 : 0;
  }
  return parts;
}

class TimelineViewTest : public QObject {
  Q_OBJECT

 private Q_SLOTS:
  void init();
  void cleanup();
  void c22_lanes_for_gpu_both_directions_and_cpu();
  void c22_measured_stands_below_modelled_from_the_same_zero();
  void c23_the_critical_path_is_outlined_and_exposed_transfers_are_hatched();
  void c29_one_cursor_goes_through_all_timelines();
  void c30_a_drag_measures_time_bytes_and_busy_shares();
  void c30_the_keyboard_measures_too();
  void c31_ctrl_wheel_zooms_at_the_cursor_and_double_click_fits();
  void c31_f_focuses_the_event_the_step_and_the_range();
  void c31_shift_drag_pans();
  void c32_letters_and_arrows_zoom_and_pan();
  void c33_comma_and_full_stop_walk_the_lane();
  void c15_zooms_are_undone();
  void c12_a_click_selects_step_and_layer();
  void a_step_selected_elsewhere_is_shown_and_the_event_let_go();
  void c37_hover_says_what_an_event_did();
  void c37_hover_stays_quick_at_a_million_events();
  void c39_units_follow_the_zoom();
  void c41_png_svg_and_csv_hold_the_timeline();
  void c48_dark_palettes_keep_text_readable();
  void c51_a_table_stands_behind_it();
  void c52_without_a_timeline_it_says_what_to_do();
  void c58_a_million_events_paint_in_a_frame();
  void search_goes_on_in_the_other_timeline();

 private:
  void show_small();
  [[nodiscard]] QPoint at(double us, std::size_t row = 0) const;
  [[nodiscard]] QColor pixel(const QPoint& at) { return m_view->grab().toImage().pixelColor(at); }
  [[nodiscard]] std::size_t first_of(std::size_t timeline, const QString& name) const {
    return *m_view->timelines()[timeline]->events().find(name, std::nullopt);
  }
  void key(Qt::Key key, Qt::KeyboardModifiers modifiers = Qt::NoModifier) {
    QTest::keyClick(m_view.get(), key, modifiers);
  }
  void wheel(int steps, Qt::KeyboardModifiers modifiers, const QPoint& at) {
    QWheelEvent event(at, m_view->mapToGlobal(at), {}, QPoint(0, 120 * steps), Qt::NoButton,
                      modifiers, Qt::NoScrollPhase, false);
    QApplication::sendEvent(m_view.get(), &event);
  }

  std::unique_ptr<Workspace> m_workspace;
  std::unique_ptr<TimelineView> m_view;
};

void TimelineViewTest::init() {
  m_workspace = std::make_unique<Workspace>();
  m_view = std::make_unique<TimelineView>("timeline.lanes", *m_workspace);
  m_view->resize(1000, 320);
  m_view->show();
  m_view->setFocus();
  QVERIFY(QTest::qWaitForWindowExposed(m_view.get()));
}

void TimelineViewTest::cleanup() {
  m_view.reset();
  m_workspace.reset();
}

void TimelineViewTest::show_small() {
  m_view->set_timelines({timeline_detail(small_timeline())}, {});
}

/// A place in the row of a lane (in the order of lanes) of the first timeline.
QPoint TimelineViewTest::at(double us, std::size_t row) const {
  const TimelineEvents& events = m_view->timelines().front()->events();
  const TimeMapping shown = m_view->mapping();
  const double label_px = m_view->width() - shown.width_px;
  const std::size_t event = events.rows()[row].begin;
  const std::optional<QPoint> somewhere = m_view->position_of({0, event});
  const int y = somewhere ? somewhere->y() : 0;
  return {static_cast<int>(label_px + shown.x_of(us)), y};
}

void TimelineViewTest::c22_lanes_for_gpu_both_directions_and_cpu() {
  show_small();
  keep_picture(*m_view, "timeline-small");
  // Each lane's event is painted in its colour where it runs, and in no other lane.
  struct Case {
    const char* name;
    std::size_t row;
    double us;
  };
  int y = 0;
  for (const Case& c :
       {Case{"qkv", 0, 30}, Case{"fetch", 1, 50}, Case{"down", 2, 7}, Case{"append", 3, 12}}) {
    const QPoint place = at(c.us, c.row);
    QVERIFY(place.y() > y);  // one below the other
    y = place.y();
    const QColor there = pixel(place + QPoint(0, 8));
    QVERIFY2(there != m_view->palette().color(QPalette::Base), c.name);
    QCOMPARE(pixel(at(97, c.row == 0 ? 1 : c.row) + QPoint(0, 8)),
             m_view->palette().color(QPalette::Base));
  }
  QCOMPARE(m_view->origin(), QString("modelled"));
}

void TimelineViewTest::c22_measured_stands_below_modelled_from_the_same_zero() {
  TimelineParts later = small_timeline("measured");
  for (TimelineEvent& one : later.events) {
    one.begin_us += 5e6;
    one.end_us += 5e6;
  }
  m_view->resize(1000, 480);
  m_view->set_timelines({timeline_detail(small_timeline()), timeline_detail(std::move(later))}, {});
  QCOMPARE(m_view->origin(), QString("modelled above measured"));
  const QPoint above = *m_view->position_of({0, first_of(0, "mlp")});
  const QPoint below = *m_view->position_of({1, first_of(1, "mlp")});
  QCOMPARE(above.x(), below.x());
  QVERIFY(below.y() > above.y() + 100);
  QCOMPARE(pixel(above + QPoint(30, 8)), pixel(below + QPoint(30, 8)));
  keep_picture(*m_view, "timeline-both");
}

void TimelineViewTest::c23_the_critical_path_is_outlined_and_exposed_transfers_are_hatched() {
  show_small();
  const QColor text = m_view->palette().color(QPalette::Text);
  const auto outlined = [&](const QPoint& middle) {
    const QImage image = m_view->grab().toImage();
    for (int y = middle.y() - 40; y < middle.y(); ++y) {
      if (y > 0 && image.pixelColor(middle.x(), y) == text) {
        return true;
      }
    }
    return false;
  };
  QVERIFY(outlined(at(35, 0)));     // qkv is critical
  QVERIFY(!outlined(at(12.5, 3)));  // append is not
  // Nothing computes from 40 to 60 us while the fetch goes on.
  const auto warm = [&](double us) {
    const QColor colour = ink(sim::Ink::kWarm, m_view->palette());
    const QImage image = m_view->grab().toImage();
    const int x = at(us).x();
    int pixels = 0;
    for (int y = at(0, 3).y() + 20; y < image.height(); ++y) {
      for (int dx = 0; dx < 12; ++dx) {
        pixels += image.pixelColor(x + dx, y) == colour ? 1 : 0;
      }
    }
    return pixels;
  };
  QVERIFY(warm(45) > 10);
  QCOMPARE(warm(30), 0);
  QCOMPARE(warm(70), 0);
  // Zoomed out to columns, criticality is a line on top of the lane.
  m_view->set_timelines({timeline_detail(large_parts(100'000))}, {});
  const QImage image = m_view->grab().toImage();
  int longest = 0;
  for (int y = at(0, 0).y() - 40; y < at(0, 0).y(); ++y) {
    int dark = 0;
    for (int x = 200; x < 900 && y > 0; ++x) {
      dark += image.pixelColor(x, y) == text ? 1 : 0;
    }
    longest = std::max(longest, dark);
  }
  // A column in four has one of every 97 events.
  QVERIFY2(longest > 100 && longest < 600, qPrintable(QString::number(longest)));
  keep_picture(*m_view, "timeline-columns");
}

void TimelineViewTest::c29_one_cursor_goes_through_all_timelines() {
  m_view->resize(1000, 480);
  m_view->set_timelines(
      {timeline_detail(small_timeline()), timeline_detail(small_timeline("measured"))}, {});
  const QImage before = m_view->grab().toImage();
  const QPoint mouse = at(80, 2);
  QTest::mouseMove(m_view.get(), mouse);
  const QImage after = m_view->grab().toImage();
  const int top = m_view->position_of({0, first_of(0, "qkv")})->y();
  const int bottom = m_view->position_of({1, first_of(1, "append")})->y();
  int changed = 0;
  for (int y = top; y < bottom; ++y) {
    changed += before.pixelColor(mouse.x(), y) != after.pixelColor(mouse.x(), y) ? 1 : 0;
  }
  QVERIFY2(changed > (bottom - top) / 4, qPrintable(QString::number(changed)));
}

void TimelineViewTest::c30_a_drag_measures_time_bytes_and_busy_shares() {
  show_small();
  QSignalSpy measured(m_view.get(), &TimelineView::measured);
  QTest::mousePress(m_view.get(), Qt::LeftButton, {}, at(20, 3));
  QTest::mouseMove(m_view.get(), at(30, 3));
  QTest::mouseMove(m_view.get(), at(60, 3));
  QTest::mouseRelease(m_view.get(), Qt::LeftButton, {}, at(60, 3));
  QVERIFY(m_view->range());
  QVERIFY(std::abs(m_view->range()->first - 20) < 0.5);
  QVERIFY(std::abs(m_view->range()->second - 60) < 0.5);
  const QString text = measured.back().front().toString();
  QVERIFY2(text.contains(QStringLiteral("µs")), qPrintable(text));
  QVERIFY2(text.contains("KiB moved"), qPrintable(text));
  QVERIFY2(text.contains("GPU busy 5") || text.contains("GPU busy 49"), qPrintable(text));
  QVERIFY2(text.contains("CPU busy 0"), qPrintable(text));
  keep_picture(*m_view, "timeline-measure");
  // What the table tells is of the range.
  QCOMPARE(m_view->table().rows.size(), std::size_t{2});
  QTest::keyClick(m_view.get(), Qt::Key_Escape);
  QVERIFY(!m_view->range());
  QCOMPARE(measured.back().front().toString(), QString());
}

void TimelineViewTest::c30_the_keyboard_measures_too() {
  show_small();
  m_view->select({0, first_of(0, "fetch")});
  key(Qt::Key_M);
  QCOMPARE(*m_view->range(), std::pair(20.0, 60.0));
  key(Qt::Key_Right, Qt::ShiftModifier);
  QCOMPARE(*m_view->range(), std::pair(20.0, 70.0));
  key(Qt::Key_Left, Qt::ShiftModifier);
  QCOMPARE(*m_view->range(), std::pair(20.0, 60.0));
}

void TimelineViewTest::c31_ctrl_wheel_zooms_at_the_cursor_and_double_click_fits() {
  show_small();
  const QPoint mouse = at(50);
  const double label_px = m_view->width() - m_view->mapping().width_px;
  const double under = m_view->mapping().us_of(mouse.x() - label_px);
  wheel(2, Qt::ControlModifier, mouse);
  TimeMapping shown = m_view->mapping();
  QVERIFY(shown.span_us() < 100.0);
  QVERIFY(std::abs(shown.us_of(mouse.x() - label_px) - under) < 1e-6);
  const double low = shown.low_us;
  wheel(-1, {}, mouse);  // the wheel alone pans
  shown = m_view->mapping();
  QVERIFY(shown.low_us > low);
  QTest::mouseDClick(m_view.get(), Qt::LeftButton, {}, mouse);
  QCOMPARE(m_view->mapping().span_us(), 200.0);
  wheel(-3, Qt::ControlModifier, mouse);  // there is no more than everything
  QCOMPARE(m_view->mapping().span_us(), 200.0);
}

void TimelineViewTest::c31_f_focuses_the_event_the_step_and_the_range() {
  show_small();
  m_view->select({0, first_of(0, "fetch")});
  key(Qt::Key_F);
  QCOMPARE(m_view->mapping().low_us, 16.0);
  QCOMPARE(m_view->mapping().high_us, 64.0);
  Selection step;
  step.step = 1;
  m_workspace->view().select(step);
  key(Qt::Key_F);
  QCOMPARE(m_view->mapping().low_us, 90.0);
  QCOMPARE(m_view->mapping().high_us, 200.0);
  key(Qt::Key_0);
  QCOMPARE(m_view->mapping().span_us(), 200.0);
  key(Qt::Key_Right, Qt::ShiftModifier);
  key(Qt::Key_F);
  QVERIFY(std::abs(m_view->mapping().span_us() - 12.0) < 1e-9);
}

void TimelineViewTest::c31_shift_drag_pans() {
  show_small();
  m_view->focus(50, 100);
  const TimeMapping before = m_view->mapping();
  QTest::mousePress(m_view.get(), Qt::LeftButton, Qt::ShiftModifier, {500, 100});
  QTest::mouseMove(m_view.get(), {400, 100});
  QTest::mouseRelease(m_view.get(), Qt::LeftButton, Qt::ShiftModifier, {400, 100});
  const TimeMapping after = m_view->mapping();
  QVERIFY(std::abs(after.low_us - before.us_of(100)) < 1e-6);
  QVERIFY(!m_view->range());
  QVERIFY(!m_view->selected());
}

void TimelineViewTest::c32_letters_and_arrows_zoom_and_pan() {
  show_small();
  key(Qt::Key_W);
  key(Qt::Key_W);
  const TimeMapping zoomed = m_view->mapping();
  QVERIFY(zoomed.span_us() < 100.0);
  key(Qt::Key_D);
  QVERIFY(m_view->mapping().low_us > zoomed.low_us);
  QCOMPARE(m_view->mapping().span_us(), zoomed.span_us());
  key(Qt::Key_A);
  QVERIFY(std::abs(m_view->mapping().low_us - zoomed.low_us) < 1e-6);
  key(Qt::Key_Right);
  QVERIFY(m_view->mapping().low_us > zoomed.low_us);
  key(Qt::Key_Left);
  key(Qt::Key_S);
  key(Qt::Key_S);
  QCOMPARE(m_view->mapping().span_us(), 200.0);
}

void TimelineViewTest::c33_comma_and_full_stop_walk_the_lane() {
  show_small();
  const auto name = [&] {
    return m_view->timelines()[0]->events().name_of(m_view->selected()->event);
  };
  key(Qt::Key_Period);
  QCOMPARE(name(), QString("qkv"));
  key(Qt::Key_Period);
  QCOMPARE(name(), QString("mlp"));
  key(Qt::Key_Period);
  QCOMPARE(name(), QString("qkv"));
  QCOMPARE(m_workspace->view().selection().step, std::optional<std::int64_t>(1));
  key(Qt::Key_Comma);
  QCOMPARE(name(), QString("mlp"));
  key(Qt::Key_Down);
  QCOMPARE(name(), QString("fetch"));
  key(Qt::Key_Down);
  QCOMPARE(name(), QString("down"));
  key(Qt::Key_Up);
  QCOMPARE(name(), QString("fetch"));
  // One that is out of view is brought into it.
  m_view->focus(0, 10);
  key(Qt::Key_Period);
  QVERIFY(m_view->position_of(*m_view->selected()));
  QVERIFY(m_view->mapping().low_us > 50.0);
}

void TimelineViewTest::c15_zooms_are_undone() {
  show_small();
  m_view->focus(0, 10);
  QVERIFY(m_view->mapping().span_us() < 20.0);
  m_workspace->view().back();
  QCOMPARE(m_view->mapping().span_us(), 200.0);
  m_workspace->view().forward();
  QVERIFY(m_view->mapping().span_us() < 20.0);
}

void TimelineViewTest::c12_a_click_selects_step_and_layer() {
  m_workspace->show_run(tests::eviction_run());  // heads of layers 0 and 4
  show_small();
  QTest::mouseClick(m_view.get(), Qt::LeftButton, {}, at(180, 0));
  QVERIFY(m_view->selected());
  const Selection& selection = m_workspace->view().selection();
  QCOMPARE(selection.step, std::optional<std::int64_t>(1));
  QCOMPARE(selection.heads, (std::vector<HeadId>{{4, 0}, {4, 1}, {4, 2}}));
  QTest::mouseClick(m_view.get(), Qt::LeftButton, {}, at(97, 1));  // nothing there
  QCOMPARE(m_workspace->view().selection().step, std::optional<std::int64_t>(1));
  // Events of the selected layer are underlined.
  const QImage image = m_view->grab().toImage();
  const QColor highlight = m_view->palette().color(QPalette::Highlight);
  int marked = 0;
  for (int y = at(80, 0).y(); y < at(80, 1).y(); ++y) {
    marked += image.pixelColor(at(80, 0).x(), y) == highlight ? 1 : 0;
  }
  QVERIFY(marked >= 2);
}

void TimelineViewTest::a_step_selected_elsewhere_is_shown_and_the_event_let_go() {
  show_small();
  m_view->select({0, first_of(0, "qkv")});
  const QPoint empty = at(150, 3) + QPoint(0, 5);
  const QColor before = pixel(empty);
  Selection step;
  step.step = 1;
  m_workspace->view().select(step);
  QVERIFY(!m_view->selected());
  QVERIFY(pixel(empty) != before);
  m_workspace->view().escape();
  QCOMPARE(pixel(empty), before);
}

void TimelineViewTest::c37_hover_says_what_an_event_did() {
  show_small();
  QSignalSpy hovered(m_view.get(), &PlotView::hovered);
  QTest::mouseMove(m_view.get(), at(150, 1));
  const QString text = hovered.back().front().toString();
  for (const QString& part :
       {QStringLiteral("fetch on H2D"), QStringLiteral("modelled"),
        QStringLiteral("begins at 120.000 µs"), QStringLiteral("takes 40.00 µs (40.0000 µs)"),
        QStringLiteral("alone 32.0000 µs (×1.25)"), QStringLiteral("977 KiB"),
        QStringLiteral("1,000,000 B"), QStringLiteral("in 250 pieces"), QStringLiteral("25.0 GB/s"),
        QStringLiteral("step 1, layer 0, micro-batch 1"), QStringLiteral("on the critical path")}) {
    QVERIFY2(text.contains(part), qPrintable(part + " in " + text));
  }
  QVERIFY(QToolTip::text().contains("fetch"));
  QEvent leave(QEvent::Leave);
  QApplication::sendEvent(m_view.get(), &leave);
  QCOMPARE(hovered.back().front().toString(), QString());
}

void TimelineViewTest::c37_hover_stays_quick_at_a_million_events() {
  m_view->set_timelines({timeline_detail(large_parts(1'000'000))}, {});
  static_cast<void>(m_view->grab());
  QSignalSpy hovered(m_view.get(), &PlotView::hovered);
  qint64 slowest_ms = 0;
  for (int x = 200; x < 900; x += 50) {
    QElapsedTimer timer;
    timer.start();
    QTest::mouseMove(m_view.get(), {x, at(0, 0).y()});
    QApplication::processEvents();  // what it repaints counts
    slowest_ms = std::max(slowest_ms, timer.elapsed());
  }
  QVERIFY(hovered.back().front().toString().contains("events on GPU"));
  QVERIFY2(static_cast<double>(slowest_ms) < tests::patient_ms(50),
           qPrintable(QString::number(slowest_ms)));
}

void TimelineViewTest::c39_units_follow_the_zoom() {
  m_view->set_timelines({timeline_detail(large_parts(10'000))}, {});
  QCOMPARE(time_axis(m_view->mapping(), 90).unit, QString("ms"));
  m_view->focus(10, 20);
  QCOMPARE(time_axis(m_view->mapping(), 90).unit, QStringLiteral("µs"));
  m_view->focus(0.1, 0.2);
  QCOMPARE(time_axis(m_view->mapping(), 90).unit, QString("ns"));
  keep_picture(*m_view, "timeline-ns");
}

void TimelineViewTest::c41_png_svg_and_csv_hold_the_timeline() {
  show_small();
  const QTemporaryDir folder;
  save_png(*m_view, folder.filePath("t.png"), kExportSize);
  const QImage image(folder.filePath("t.png"));
  QCOMPARE(image.size(), kExportSize * 2);
  save_svg(*m_view, folder.filePath("t.svg"), kExportSize);
  QFile svg(folder.filePath("t.svg"));
  QVERIFY(svg.open(QIODevice::ReadOnly));
  const QString drawing = QString::fromUtf8(svg.readAll());
  for (const char* text : {"qkv", "fetch", "GPU", "CPU", "exposed transfer", "step 1"}) {
    QVERIFY2(drawing.contains(text), text);
  }
  const QStringList lines = m_view->csv().split("\r\n", Qt::SkipEmptyParts);
  QCOMPARE(lines.front(),
           QString("timeline,origin,lane,event,begin_us,end_us,events,us,longest_us,critical_us,"
                   "bytes,pieces"));
  QCOMPARE(lines.size(), qsizetype{6});
  QVERIFY2(lines[3].startsWith(
               "\"small\",modelled,\"H2D (to GPU)\",\"fetch\",0,200,2,80,40,80,2000000,500"),
           qPrintable(lines[3]));
}

void TimelineViewTest::c48_dark_palettes_keep_text_readable() {
  QPalette dark;
  dark.setColor(QPalette::Base, QColor(25, 25, 28));
  dark.setColor(QPalette::Window, QColor(35, 35, 38));
  dark.setColor(QPalette::Text, Qt::white);
  dark.setColor(QPalette::WindowText, Qt::white);
  show_small();
  const QColor light_ground = pixel({500, 300});
  m_view->setPalette(dark);
  QVERIFY(pixel({500, m_view->height() - 4}) != light_ground);
  QCOMPARE(pixel({995, m_view->height() - 4}), QColor(25, 25, 28));
  keep_picture(*m_view, "timeline-dark");
}

void TimelineViewTest::c51_a_table_stands_behind_it() {
  auto* view = new TimelineView("timeline.framed", *m_workspace);
  PlotFrame frame(view);
  view->set_timelines({timeline_detail(small_timeline())}, {});
  frame.set_shows_table(true);
  QVERIFY(frame.shows_table());
  const auto* table = frame.findChild<QTableWidget*>();
  QCOMPARE(table->rowCount(), 5);
  QCOMPARE(table->item(0, 2)->text(), QString("qkv"));
  QVERIFY(view->accessibleName().contains("Timeline"));
}

void TimelineViewTest::c52_without_a_timeline_it_says_what_to_do() {
  m_view->set_timelines({}, "Open a run");
  QVERIFY(m_view->is_empty());
  QCOMPARE(m_view->empty_text(), QString("Open a run"));
  for (const Qt::Key one : {Qt::Key_W, Qt::Key_F, Qt::Key_Period, Qt::Key_M, Qt::Key_Down}) {
    key(one);
  }
  QTest::mouseMove(m_view.get(), {500, 100});
  QTest::mouseClick(m_view.get(), Qt::LeftButton, {}, {500, 100});
  wheel(1, Qt::ControlModifier, {500, 100});
  static_cast<void>(m_view->grab());
}

void TimelineViewTest::c58_a_million_events_paint_in_a_frame() {
  m_view->set_timelines({timeline_detail(large_parts(1'000'000))}, {});
  QImage image(1920, 1080, QImage::Format_ARGB32_Premultiplied);
  const double total = m_view->timelines()[0]->events().total_us();
  for (const double share : {1.0, 0.1, 1e-3, 1e-5}) {
    m_view->focus(0.3 * total, 0.3 * total + share * total);
    qint64 best_ms = 100'000;
    for (int i = 0; i < 5; ++i) {
      QElapsedTimer timer;
      timer.start();
      m_view->draw(image, image.size());
      best_ms = std::min(best_ms, timer.elapsed());
    }
    QVERIFY2(static_cast<double>(best_ms) < tests::patient_ms(33),
             qPrintable(QStringLiteral("%1 of all: %2 ms").arg(share).arg(best_ms)));
  }
  m_view->fit();
  m_view->resize(1200, 400);
  keep_picture(*m_view, "timeline-million");
}

void TimelineViewTest::search_goes_on_in_the_other_timeline() {
  TimelineParts other = small_timeline("measured");
  other.names[0] = QStringLiteral("unique kernel");
  m_view->set_timelines({timeline_detail(small_timeline()), timeline_detail(std::move(other))}, {});
  QVERIFY(m_view->find("kernel", true));
  QCOMPARE(m_view->selected()->timeline, std::size_t{1});
  QVERIFY(m_view->find("mlp", true));
  QCOMPARE(m_view->selected()->timeline, std::size_t{1});
  QVERIFY(!m_view->find("nothing", true));
}

}  // namespace
}  // namespace kvsieve::gui

QTEST_MAIN(kvsieve::gui::TimelineViewTest)
#include "timeline_view_test.moc"
