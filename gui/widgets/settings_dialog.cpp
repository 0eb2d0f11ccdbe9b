#include "widgets/settings_dialog.h"

#include <QDialogButtonBox>
#include <QPushButton>
#include <QSettings>

namespace kvsieve::gui {

SettingsDialog::SettingsDialog(QWidget* parent)
    : QDialog(parent), m_search(new QLineEdit), m_list(new QVBoxLayout) {
  setObjectName("settings");
  setWindowTitle("Settings");
  m_search->setPlaceholderText("Find a setting");
  m_search->setAccessibleName("Find a setting");
  m_search->setObjectName("settings.search");
  auto* column = new QVBoxLayout(this);
  column->addWidget(m_search);
  column->addLayout(m_list);
  add("what-if/look-ahead", true, "&Compute the sliders' other stops ahead of time",
      "A move of a slider is then shown at once; costs processor time after each change.");
  add("view/cividis", false, "Colour matrices with c&ividis instead of viridis",
      "Both rise evenly in lightness; cividis looks alike to most colour-blind readers.");
  add("files/reload", true, "&Read files again when they change",
      "The view stays as it is; off, File > Reload does it.");
  auto* buttons = new QDialogButtonBox(QDialogButtonBox::Ok | QDialogButtonBox::Cancel |
                                       QDialogButtonBox::RestoreDefaults);
  column->addStretch(1);
  column->addWidget(buttons);
  connect(buttons, &QDialogButtonBox::accepted, this, &SettingsDialog::accept);
  connect(buttons, &QDialogButtonBox::rejected, this, &QDialog::reject);
  connect(buttons->button(QDialogButtonBox::RestoreDefaults), &QPushButton::clicked, this,
          &SettingsDialog::reset);
  connect(m_search, &QLineEdit::textChanged, this, &SettingsDialog::filter);
}

void SettingsDialog::accept() {
  QSettings settings;
  for (const Row& row : m_rows) {
    settings.setValue(row.key, row.box->isChecked());
  }
  QDialog::accept();
}

void SettingsDialog::add(const QString& key, bool usual, const QString& text, const QString& tip) {
  auto* box = new QCheckBox(text);
  box->setObjectName(key);
  box->setToolTip(tip);
  box->setAccessibleDescription(tip);
  box->setChecked(QSettings().value(key, usual).toBool());
  m_list->addWidget(box);
  m_rows.push_back({key, usual, box});
}

void SettingsDialog::filter(const QString& text) {
  for (const Row& row : m_rows) {
    const QString words = row.box->text().remove('&') + ' ' + row.box->toolTip();
    row.box->setVisible(words.contains(text, Qt::CaseInsensitive));
  }
}

void SettingsDialog::reset() {
  for (const Row& row : m_rows) {
    row.box->setChecked(row.usual);
  }
}

}  // namespace kvsieve::gui
