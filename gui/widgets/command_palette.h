#pragma once
// Every action by name: type a few letters, Enter runs it. As a list of shortcuts it says what
// there is.

#include <QAction>
#include <QDialog>
#include <QLineEdit>
#include <QListWidget>
#include <vector>

namespace kvsieve::gui {

class CommandPalette : public QDialog {
  Q_OBJECT
 public:
  CommandPalette(std::vector<QAction*> actions, QWidget* parent);

 protected:
  bool eventFilter(QObject* watched, QEvent* event) override;

 private:
  void filter(const QString& text);
  void run();

  std::vector<QAction*> m_actions;
  QLineEdit* m_search;
  QListWidget* m_list;
};

/// Whether the letters of `wanted` occur in `text` in order, whatever the case.
[[nodiscard]] bool matches_loosely(const QString& text, const QString& wanted);

}  // namespace kvsieve::gui
