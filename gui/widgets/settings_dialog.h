#pragma once
// The few settings, searchable, with a reset.

#include <QCheckBox>
#include <QDialog>
#include <QLineEdit>
#include <QVBoxLayout>
#include <vector>

namespace kvsieve::gui {

class SettingsDialog : public QDialog {
  Q_OBJECT
 public:
  explicit SettingsDialog(QWidget* parent);

  void accept() override;

 private:
  struct Row {
    QString key;
    bool usual = true;
    QCheckBox* box = nullptr;
  };
  void add(const QString& key, bool usual, const QString& text, const QString& tip);
  void filter(const QString& text);
  void reset();

  QLineEdit* m_search;
  QVBoxLayout* m_list;
  std::vector<Row> m_rows;
};

}  // namespace kvsieve::gui
