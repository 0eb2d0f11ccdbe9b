#pragma once
// What every drawing of numbers can do: be exported, be read as a table, say what is under the
// mouse, and zoom along with the history.

#include <QString>
#include <QWidget>

#include "core/workspace.h"
#include "kvsieve/sim/chart_table.h"

class QPaintDevice;

namespace kvsieve::gui {

/// Base of all plots. Put one into a page through Page::add_plot, which frames it.
class PlotView : public QWidget {
  Q_OBJECT
 public:
  /// @param id "heads.budget": unique among all plots, the file name of exports, the key of its
  /// zoom
  /// @param title as its frame and exports show it
  PlotView(QString id, QString title, Workspace& workspace);

  [[nodiscard]] const QString& id() const noexcept { return m_id; }
  [[nodiscard]] const QString& title() const noexcept { return m_title; }
  /// "captured", "modelled" or "measured" as the shown numbers are; empty where nothing is shown.
  [[nodiscard]] const QString& origin() const noexcept { return m_origin; }
  /// One sentence on how to read it.
  [[nodiscard]] const QString& note() const noexcept { return m_note; }
  /// What to do to see something here, where there is nothing.
  [[nodiscard]] const QString& empty_text() const noexcept { return m_empty_text; }

  /// Whether there is nothing to show; the frame shows empty_text() then.
  [[nodiscard]] virtual bool is_empty() const = 0;
  /// All shown numbers, as text with units.
  [[nodiscard]] virtual sim::Table table() const = 0;
  /// The numbers for other programs: RFC 4180, plain numbers in full precision, units in the names
  /// of columns.
  [[nodiscard]] virtual QString csv() const = 0;
  /// Draws it as it stands, as large as `size` (device-independent pixels).
  virtual void draw(QPaintDevice& device, const QSize& size) = 0;
  /// What a screen reader says of the whole.
  [[nodiscard]] virtual QString spoken() const;

 public Q_SLOTS:
  /// Shows everything, as double click and 0 do.
  virtual void fit();

 Q_SIGNALS:
  /// What changed: the frame looks at is_empty, title, origin, note and table again.
  void content_changed();
  /// The value under the mouse with its exact number and unit, for the status bar; empty when the
  /// mouse leaves.
  void hovered(const QString& text);

 protected:
  void set_title(const QString& title) { m_title = title; }
  void set_origin(const QString& origin) { m_origin = origin; }
  void set_note(const QString& note) { m_note = note; }
  void set_empty_text(const QString& text) { m_empty_text = text; }
  [[nodiscard]] Workspace& workspace() const noexcept { return m_workspace; }

 private:
  QString m_id;
  QString m_title;
  QString m_origin;
  QString m_note;
  QString m_empty_text;
  Workspace& m_workspace;
};

}  // namespace kvsieve::gui
