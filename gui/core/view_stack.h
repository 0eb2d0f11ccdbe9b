#pragma once
// Selection, filter and zoom of all pages, with one history: what Back, Forward, Undo and Esc act
// on.

#include <QObject>
#include <QString>
#include <map>
#include <optional>
#include <vector>

#include "core/selection.h"

namespace kvsieve::gui {

/// Shown ranges of a plot, in values of its axes.
struct Zoom {
  double x_low = 0.0;
  double x_high = 0.0;
  double y_low = 0.0;  ///< equal to y_high where only x zooms
  double y_high = 0.0;

  bool operator==(const Zoom&) const = default;
};

struct ViewState {
  Selection selection;
  QString filter;                ///< of tables: a condition over their columns, as in --where
  std::map<QString, Zoom> zoom;  ///< by plot; a plot that is not in it shows everything

  bool operator==(const ViewState&) const = default;
};

/// The present state and those before and after it. Lives on the user interface's thread.
class ViewStack : public QObject {
  Q_OBJECT
 public:
  explicit ViewStack(QObject* parent = nullptr) : QObject(parent) {}

  [[nodiscard]] const ViewState& state() const noexcept { return m_state; }
  [[nodiscard]] const Selection& selection() const noexcept { return m_state.selection; }
  [[nodiscard]] std::optional<Zoom> zoom(const QString& plot) const;

  void select(Selection selection);
  void set_filter(const QString& filter);
  /// Zooms a plot, or shows everything again. Changes of one plot's zoom within half a second are
  /// one step of the history, so that a turn of the wheel is undone at once.
  void set_zoom(const QString& plot, const std::optional<Zoom>& zoom);

  void back();
  void forward();
  /// Clears the selection; where there is none, the zooms and the filter.
  void escape();
  /// Forgets everything: another file was opened.
  void reset();
  /// Shows `state` as a new entry, for session files.
  void restore(ViewState state);

  [[nodiscard]] bool can_go_back() const noexcept { return !m_before.empty(); }
  [[nodiscard]] bool can_go_forward() const noexcept { return !m_after.empty(); }

 Q_SIGNALS:
  void selection_changed();
  void filter_changed();
  void zoom_changed();
  /// Any of them, or the history.
  void changed();

 private:
  void enter(ViewState state, const QString& zoomed_plot);
  void show(ViewState state);

  ViewState m_state;
  std::vector<ViewState> m_before;
  std::vector<ViewState> m_after;
  QString m_zoomed_plot;  ///< of the last change, if it was a zoom
  qint64 m_last_change_ms = 0;
};

}  // namespace kvsieve::gui
