// The token strip: what is kept, attention above it, zoom, token ranges.

#include "widgets/token_strip_view.h"

#include <QElapsedTimer>
#include <QSignalSpy>
#include <QToolTip>
#include <QtTest>

#include "patience.h"
#include "pictures.h"
#include "widgets/plot_frame.h"
#include "widgets/theme.h"

namespace kvsieve::gui {
namespace {

using tests::keep_picture;

/// 2,000 prompt tokens and 64 decoded ones; the head keeps 4 sinks, [500, 600) and the window.
TokenStrip strip() {
  TokenStrip data;
  data.tokens = 2064;
  data.prompt_tokens = 2000;
  data.sinks = 4;
  data.window_end = 2000;
  data.window = 32;
  data.needle = sim::TokenRun{974, 993};
  data.tracks = {{"layer 4, KV head 1", {{0, 4}, {500, 600}, {1968, 2000}}},
                 {"layer 8, KV head 0", {{0, 4}, {40, 44}, {700, 1200}, {1968, 2000}}}};
  std::vector<float> attention(2064, 1e-4F);
  attention[0] = 0.5F;
  attention[980] = 0.2F;
  std::vector<float> scores(1968, 2e-4F);
  scores[550] = 0.1F;
  data.curves = {{"attention, mean over decode steps", "softmax(q·k)", sim::Ink::kAccent,
                  std::make_shared<const std::vector<float>>(attention), true},
                 {"score: observation window", "mean attention, pooled max:7", sim::Ink::kWarm,
                  std::make_shared<const std::vector<float>>(scores), true}};
  std::vector<std::int64_t> ranks(1968, 2);
  ranks[550] = 1;
  data.score_ranks = std::make_shared<const std::vector<std::int64_t>>(ranks);
  for (std::int32_t i = 0; i < 2064; ++i) {
    data.token_ids.push_back(10'000 + i);
  }
  return data;
}

class TokenStripViewTest : public QObject {
  Q_OBJECT

 private Q_SLOTS:
  void init();
  void cleanup();
  void c18_kept_sink_window_and_dropped_tokens_have_their_colours();
  void c47_each_kind_has_a_pattern_besides_its_colour();
  void c31_wheel_zooms_at_the_cursor_and_double_click_fits();
  void c31_a_drag_zooms_into_its_range_and_f_shows_the_selection();
  void c32_keys_zoom_and_pan();
  void c15_zooms_are_undone();
  void c29_the_cursor_is_drawn_through_all_tracks_and_told();
  void c33_comma_and_full_stop_walk_the_tokens();
  void c37_hover_says_position_token_attention_fate_and_rank();
  void a_shift_drag_selects_tokens();
  void the_needle_and_the_step_are_marked();
  void a_pixel_shows_the_largest_of_its_tokens();
  void c48_dark_palettes_draw_on_a_dark_ground();
  void c51_it_has_a_table_and_csv();

 private:
  [[nodiscard]] TokenAxis axis() const { return m_view->axis(m_view->size()); }
  [[nodiscard]] QPoint at(std::int64_t position, std::size_t track = 0) const {
    return {static_cast<int>(axis().x(static_cast<double>(position) + 0.5)),
            static_cast<int>(m_view->track_y(track, m_view->size()))};
  }
  [[nodiscard]] QSet<QRgb> colours_around(const QPoint& point, int reach = 2) const {
    const QImage image = m_view->grab().toImage();
    QSet<QRgb> colours;
    for (int y = point.y() - 7; y <= point.y() + 7; ++y) {
      for (int x = point.x() - reach; x <= point.x() + reach; ++x) {
        colours.insert(image.pixel(x, y));
      }
    }
    return colours;
  }
  void drag(const QPoint& from, const QPoint& to, Qt::KeyboardModifiers modifiers) {
    QTest::mousePress(m_view.get(), Qt::LeftButton, modifiers, from);
    for (const QPoint& point : {(from + to) / 2, to}) {
      QMouseEvent move(QEvent::MouseMove, point, m_view->mapToGlobal(point), Qt::NoButton,
                       Qt::LeftButton, modifiers);
      QApplication::sendEvent(m_view.get(), &move);
    }
    QTest::mouseRelease(m_view.get(), Qt::LeftButton, modifiers, to);
  }
  void wheel(int steps, Qt::KeyboardModifiers modifiers, const QPoint& point) {
    QWheelEvent event(point, m_view->mapToGlobal(point), {}, QPoint(0, 120 * steps), Qt::NoButton,
                      modifiers, Qt::NoScrollPhase, false);
    QApplication::sendEvent(m_view.get(), &event);
  }

  std::unique_ptr<Workspace> m_workspace;
  std::unique_ptr<TokenStripView> m_view;
};

void TokenStripViewTest::init() {
  m_workspace = std::make_unique<Workspace>();
  m_view = std::make_unique<TokenStripView>("test.tokens", "Tokens", *m_workspace);
  m_view->resize(1000, 420);
  m_view->show();
  QVERIFY(QTest::qWaitForWindowExposed(m_view.get()));
  m_view->set_data(strip(), "captured", "Token ids only.");
}

void TokenStripViewTest::cleanup() {
  m_view.reset();
  m_workspace.reset();
}

void TokenStripViewTest::c18_kept_sink_window_and_dropped_tokens_have_their_colours() {
  const QPalette& palette = m_view->palette();
  QVERIFY(colours_around(at(550)).contains(category_colour(0, palette).rgb()));
  QVERIFY(!colours_around(at(300)).contains(category_colour(0, palette).rgb()));
  QVERIFY(colours_around(at(1000, 1)).contains(category_colour(0, palette).rgb()));
  QVERIFY(colours_around(at(1985)).contains(category_colour(1, palette).rgb()));
  QVERIFY(colours_around(at(2)).contains(category_colour(2, palette).rgb()));
  QVERIFY(colours_around(at(2040)).contains(category_colour(6, palette).rgb()));
  keep_picture(*m_view, "strip");
  // The same close up, where a token is wider than a pixel.
  m_workspace->view().set_zoom("test.tokens", Zoom{480, 620, 0, 0});
  QVERIFY(colours_around(at(505)).contains(category_colour(0, palette).rgb()));
  QVERIFY(!colours_around(at(495)).contains(category_colour(0, palette).rgb()));
  keep_picture(*m_view, "strip-zoomed");
}

void TokenStripViewTest::c47_each_kind_has_a_pattern_besides_its_colour() {
  m_workspace->view().set_zoom("test.tokens", Zoom{1900, 2064, 0, 0});
  QVERIFY(colours_around(at(1985)).size() > 1);  // window: hatched
  QVERIFY(colours_around(at(2040)).size() > 1);  // decoded: lined
  QVERIFY(colours_around(at(1940)).size() > 1);  // dropped: dotted
  m_workspace->view().set_zoom("test.tokens", Zoom{0, 12, 0, 0});
  QVERIFY(colours_around(at(2), 8).size() > 1);  // sink: lined
  m_workspace->view().set_zoom("test.tokens", Zoom{520, 580, 0, 0});
  QCOMPARE(colours_around(at(550)).size(), qsizetype{1});  // kept: solid
}

void TokenStripViewTest::c31_wheel_zooms_at_the_cursor_and_double_click_fits() {
  const QPoint point = at(500);
  const double under = axis().position(point.x());
  wheel(4, {}, point);
  QVERIFY(axis().high - axis().low < 1000.0);
  QVERIFY(std::abs(axis().position(point.x()) - under) < 1e-6);
  const double low = axis().low;
  wheel(1, Qt::ShiftModifier, point);
  QVERIFY(axis().low < low);
  QTest::mouseDClick(m_view.get(), Qt::LeftButton, {}, point);
  QCOMPARE(axis().low, 0.0);
  QCOMPARE(axis().high, 2064.0);
}

void TokenStripViewTest::c31_a_drag_zooms_into_its_range_and_f_shows_the_selection() {
  drag(at(400), at(800), Qt::NoModifier);
  QVERIFY(std::abs(axis().low - 400.0) < 4.0);
  QVERIFY(std::abs(axis().high - 800.0) < 4.0);
  QVERIFY(!m_workspace->view().selection().tokens);
  Selection selection;
  selection.tokens = TokenRange{970, 1000};
  m_workspace->view().select(selection);
  QTest::keyClick(m_view.get(), Qt::Key_F);
  QCOMPARE(axis().low, 970.0);
  QCOMPARE(axis().high, 1000.0);
}

void TokenStripViewTest::c32_keys_zoom_and_pan() {
  QTest::keyClick(m_view.get(), Qt::Key_W);
  QTest::keyClick(m_view.get(), Qt::Key_Plus);
  QTest::keyClick(m_view.get(), Qt::Key_Up);
  const double span = axis().high - axis().low;
  QVERIFY(span < 2000.0);
  const double low = axis().low;
  QTest::keyClick(m_view.get(), Qt::Key_Right);
  QVERIFY(axis().low > low);
  QTest::keyClick(m_view.get(), Qt::Key_A);
  QVERIFY(std::abs(axis().low - low) < 1e-6);
  QTest::keyClick(m_view.get(), Qt::Key_S);
  QTest::keyClick(m_view.get(), Qt::Key_Minus);
  QTest::keyClick(m_view.get(), Qt::Key_Down);
  QVERIFY(axis().high - axis().low > 2063.0);
  QTest::keyClick(m_view.get(), Qt::Key_Up);
  QTest::keyClick(m_view.get(), Qt::Key_0);
  QVERIFY(!m_workspace->view().zoom("test.tokens"));
}

void TokenStripViewTest::c15_zooms_are_undone() {
  drag(at(400), at(800), Qt::NoModifier);
  QVERIFY(m_workspace->view().can_go_back());
  m_workspace->view().back();
  QCOMPARE(axis().high, 2064.0);
  m_workspace->view().forward();
  QVERIFY(axis().high < 1000.0);
}

void TokenStripViewTest::c29_the_cursor_is_drawn_through_all_tracks_and_told() {
  QSignalSpy moved(m_view.get(), &TokenStripView::cursor_moved);
  const QImage before = m_view->grab().toImage();
  QTest::mouseMove(m_view.get(), at(1400));
  QTRY_VERIFY(!moved.isEmpty());
  const auto position = moved.back().front().value<std::optional<std::int64_t>>();
  QVERIFY(position && std::abs(*position - 1400) <= 2);
  QCOMPARE(m_view->cursor(), position);
  const QImage after = m_view->grab().toImage();
  const int x = static_cast<int>(axis().x(static_cast<double>(*position) + 0.5));
  int changed = 0;
  for (int y = 40; y < 380; ++y) {
    changed += before.pixel(x, y) != after.pixel(x, y) ? 1 : 0;
  }
  QVERIFY2(changed > 250, qPrintable(QString::number(changed)));
  // Another plot's cursor moves this one.
  m_view->set_cursor(200);
  QCOMPARE(m_view->cursor(), std::optional<std::int64_t>(200));
  QCOMPARE(moved.size(), qsizetype{1});
}

void TokenStripViewTest::c33_comma_and_full_stop_walk_the_tokens() {
  m_view->set_cursor(500);
  QTest::keyClick(m_view.get(), Qt::Key_Period);
  QCOMPARE(m_view->cursor(), std::optional<std::int64_t>(501));
  QTest::keyClick(m_view.get(), Qt::Key_Comma);
  QTest::keyClick(m_view.get(), Qt::Key_Comma);
  QCOMPARE(m_view->cursor(), std::optional<std::int64_t>(499));
  QTest::keyClick(m_view.get(), Qt::Key_Return);
  QCOMPARE(m_workspace->view().selection().tokens, (TokenRange{499, 500}));
  QTest::keyClick(m_view.get(), Qt::Key_Period, Qt::ShiftModifier);
  QTest::keyClick(m_view.get(), Qt::Key_Period, Qt::ShiftModifier);
  QCOMPARE(m_workspace->view().selection().tokens, (TokenRange{499, 502}));
  // The cursor stays in sight.
  m_workspace->view().set_zoom("test.tokens", Zoom{400, 450, 0, 0});
  QTest::keyClick(m_view.get(), Qt::Key_Period);
  QVERIFY(axis().low <= 502.0 && axis().high >= 503.0);
}

void TokenStripViewTest::c37_hover_says_position_token_attention_fate_and_rank() {
  m_workspace->view().set_zoom("test.tokens", Zoom{540, 560, 0, 0});
  QSignalSpy said(m_view.get(), &PlotView::hovered);
  QElapsedTimer timer;
  timer.start();
  QTest::mouseMove(m_view.get(), at(550));
  QTRY_VERIFY(!said.isEmpty());
  QVERIFY2(static_cast<double>(timer.elapsed()) < tests::patient_ms(50),
           qPrintable(QString::number(timer.elapsed())));
  const QString text = said.back().front().toString();
  for (const char* part :
       {"position 550", "token id 10550", "layer 4, KV head 1: kept", "layer 8, KV head 0: dropped",
        "0.01%", "softmax", "10.00%", "place 1 of 1,968"}) {
    QVERIFY2(text.contains(part), qPrintable(text + " lacks " + part));
  }
}

void TokenStripViewTest::a_shift_drag_selects_tokens() {
  drag(at(1000), at(1200), Qt::ShiftModifier);
  const std::optional<TokenRange> tokens = m_workspace->view().selection().tokens;
  QVERIFY(tokens);
  QVERIFY(std::abs(tokens->begin - 1000) <= 3);
  QVERIFY(std::abs(tokens->end - 1201) <= 3);
  QCOMPARE(axis().high, 2064.0);
  keep_picture(*m_view, "strip-selected");
}

void TokenStripViewTest::the_needle_and_the_step_are_marked() {
  const QColor needle = category_colour(3, m_view->palette());
  QVERIFY(tests::pixels_of(m_view->grab().toImage(), needle) > 100);
  TokenStrip data = strip();
  data.needle.reset();
  m_view->set_data(data, "captured", {});
  const QImage without = m_view->grab().toImage();
  QCOMPARE(tests::pixels_of(without, needle), 0);
  data.step_position = 2030;
  m_view->set_data(data, "captured", {});
  QVERIFY(m_view->grab().toImage() != without);
}

void TokenStripViewTest::a_pixel_shows_the_largest_of_its_tokens() {
  // One token among half a million, on a screen of a thousand pixels.
  TokenStrip data;
  data.tokens = 500'000;
  data.prompt_tokens = 500'000;
  std::vector<float> attention(500'000, 1e-7F);
  attention[250'000] = 0.9F;
  data.curves = {{"attention", "softmax", sim::Ink::kAccent,
                  std::make_shared<const std::vector<float>>(attention), true}};
  data.tracks = {{"head", {{250'000, 250'001}}}};
  m_view->set_data(data, "captured", {});
  const QImage image = m_view->grab().toImage();
  const QPoint spike = at(250'000);
  QVERIFY(colours_around(spike).contains(category_colour(0, m_view->palette()).rgb()));
  bool line = false;
  for (int x = spike.x() - 2; x <= spike.x() + 2; ++x) {
    line = line || image.pixelColor(x, 60) != m_view->palette().color(QPalette::Base);
  }
  QVERIFY(line);
  keep_picture(*m_view, "strip-long");
}

void TokenStripViewTest::c48_dark_palettes_draw_on_a_dark_ground() {
  m_view->setPalette(tests::dark_palette());
  const QImage image = m_view->grab().toImage();
  QCOMPARE(image.pixelColor(2, image.height() - 2), tests::dark_palette().color(QPalette::Base));
  keep_picture(*m_view, "strip-dark");
}

void TokenStripViewTest::c51_it_has_a_table_and_csv() {
  m_workspace->view().set_zoom("test.tokens", Zoom{500, 520, 0, 0});
  const sim::Table table = m_view->table();
  QCOMPARE(table.rows.size(), std::size_t{20});
  QCOMPARE(table.columns.size(), std::size_t{6});
  QCOMPARE(QString::fromStdString(table.rows.front()[0].text), QString("500"));
  QCOMPARE(QString::fromStdString(table.rows.front()[2].text), QString("kept"));
  QCOMPARE(m_view->csv(), m_view->data().csv());
  auto* view = m_view.release();
  PlotFrame frame(view);
  QVERIFY(!view->accessibleName().isEmpty());
  QVERIFY(!view->accessibleDescription().isEmpty());
  view->clear("Open a trace");
  QVERIFY(view->is_empty());
  QVERIFY(view->accessibleDescription().contains("Open a trace"));
}

}  // namespace
}  // namespace kvsieve::gui

QTEST_MAIN(kvsieve::gui::TokenStripViewTest)
#include "token_strip_view_test.moc"
