#pragma once
// Which tokens some heads keep along the context, under their attention to them.

#include <optional>

#include "core/token_axis.h"
#include "core/token_strip.h"
#include "widgets/plot_view.h"

class QPainter;

namespace kvsieve::gui {

/// Wheel and W, S zoom at the mouse; Shift+wheel, arrows, A and D pan; a drag zooms into its range;
/// Shift+drag selects tokens; double click and 0 show everything; F shows the selected tokens.
/// Comma and full stop move a cursor, with Shift they extend the selected range; Enter selects the
/// token under it.
class TokenStripView : public PlotView {
  Q_OBJECT
 public:
  TokenStripView(QString id, QString title, Workspace& workspace);

  void set_data(TokenStrip data, const QString& origin, const QString& note);
  void clear(const QString& empty_text);
  /// Curves by the logarithm, five decades below their top.
  void set_log(bool log);

  [[nodiscard]] const TokenStrip& data() const noexcept { return m_data; }
  /// Where positions lie in a drawing of that size.
  [[nodiscard]] TokenAxis axis(const QSize& size) const;
  /// The middle of a track in a drawing of that size.
  [[nodiscard]] double track_y(std::size_t track, const QSize& size) const;
  [[nodiscard]] std::optional<std::int64_t> cursor() const noexcept { return m_cursor; }

  [[nodiscard]] bool is_empty() const override { return m_data.tokens == 0; }
  [[nodiscard]] sim::Table table() const override;
  [[nodiscard]] QString csv() const override;
  void draw(QPaintDevice& device, const QSize& size) override;

 public Q_SLOTS:
  /// Moves the cursor line, as the mouse over another plot does; nothing hides it.
  void set_cursor(std::optional<std::int64_t> position);

 Q_SIGNALS:
  /// The mouse or the keys moved the cursor.
  void cursor_moved(std::optional<std::int64_t> position);

 protected:
  bool event(QEvent* event) override;
  void paintEvent(QPaintEvent* event) override;
  void wheelEvent(QWheelEvent* event) override;
  void mousePressEvent(QMouseEvent* event) override;
  void mouseMoveEvent(QMouseEvent* event) override;
  void mouseReleaseEvent(QMouseEvent* event) override;
  void mouseDoubleClickEvent(QMouseEvent* event) override;
  void leaveEvent(QEvent* event) override;
  void keyPressEvent(QKeyEvent* event) override;

 private:
  struct Layout;
  [[nodiscard]] Layout layout(const QSize& size) const;
  [[nodiscard]] QBrush pattern(TokenFate fate) const;
  [[nodiscard]] QColor colour(TokenFate fate) const;
  void draw_legend(QPainter& painter, const Layout& layout) const;
  void draw_curve(QPainter& painter, const Layout& layout, std::size_t index) const;
  void draw_track(QPainter& painter, const Layout& layout, std::size_t index) const;
  void draw_marks(QPainter& painter, const Layout& layout) const;
  void draw_axis(QPainter& painter, const Layout& layout) const;
  void zoom_to(const TokenAxis& axis);
  void point_at(std::optional<std::int64_t> position);
  void walk(std::int64_t by, bool extends);

  TokenStrip m_data;
  bool m_log = true;
  std::optional<std::int64_t> m_cursor;
  std::optional<std::int64_t> m_anchor;  // of the range that keys extend
  std::optional<QPointF> m_pressed;
  std::optional<QPointF> m_dragged_to;
  bool m_selecting = false;
};

}  // namespace kvsieve::gui
