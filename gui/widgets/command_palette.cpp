#include "widgets/command_palette.h"

#include <QKeyEvent>
#include <QVBoxLayout>
#include <algorithm>

namespace kvsieve::gui {

bool matches_loosely(const QString& text, const QString& wanted) {
  qsizetype at = 0;
  for (const QChar letter : wanted) {
    if (letter.isSpace()) {
      continue;
    }
    at = text.indexOf(letter, at, Qt::CaseInsensitive);
    if (at < 0) {
      return false;
    }
    ++at;
  }
  return true;
}

CommandPalette::CommandPalette(std::vector<QAction*> actions, QWidget* parent)
    : QDialog(parent),
      m_actions(std::move(actions)),
      m_search(new QLineEdit),
      m_list(new QListWidget) {
  setWindowTitle("Commands");
  setObjectName("command-palette");
  constexpr QSize kSize(560, 420);
  resize(kSize);
  m_search->setPlaceholderText("Type a part of a command's name");
  m_search->setAccessibleName("Command");
  m_list->setAccessibleName("Commands that match");
  auto* column = new QVBoxLayout(this);
  column->addWidget(m_search);
  column->addWidget(m_list);
  m_search->installEventFilter(this);
  connect(m_search, &QLineEdit::textChanged, this, &CommandPalette::filter);
  connect(m_search, &QLineEdit::returnPressed, this, &CommandPalette::run);
  connect(m_list, &QListWidget::itemActivated, this, &CommandPalette::run);
  filter({});
  m_search->setFocus();
}

bool CommandPalette::eventFilter(QObject* watched, QEvent* event) {
  if (watched == m_search && event->type() == QEvent::KeyPress) {
    const int key = static_cast<QKeyEvent*>(event)->key();
    if (key == Qt::Key_Up || key == Qt::Key_Down) {
      const int row = m_list->currentRow() + (key == Qt::Key_Up ? -1 : 1);
      m_list->setCurrentRow(std::clamp(row, 0, std::max(0, m_list->count() - 1)));
      return true;
    }
  }
  return QDialog::eventFilter(watched, event);
}

void CommandPalette::filter(const QString& text) {
  m_list->clear();
  for (std::size_t i = 0; i < m_actions.size(); ++i) {
    QAction* action = m_actions[i];
    const QString name = action->text().remove('&');
    if (!action->isEnabled() || !matches_loosely(name, text)) {
      continue;
    }
    const QString keys = action->shortcut().toString(QKeySequence::NativeText);
    auto* item = new QListWidgetItem(keys.isEmpty() ? name : name + "    " + keys, m_list);
    item->setData(Qt::UserRole, static_cast<qulonglong>(i));
  }
  m_list->setCurrentRow(0);
}

void CommandPalette::run() {
  const QListWidgetItem* item = m_list->currentItem();
  if (item == nullptr) {
    return;
  }
  QAction* action = m_actions[item->data(Qt::UserRole).toULongLong()];
  accept();
  action->trigger();
}

}  // namespace kvsieve::gui
