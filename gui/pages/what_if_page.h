#pragma once
// What-if: the options of the live run, and the loss over the budget.

#include <QCheckBox>
#include <QComboBox>
#include <QFormLayout>
#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <QSlider>
#include <map>

#include "core/what_if.h"
#include "widgets/chart_view.h"
#include "widgets/page.h"

namespace kvsieve::gui {

class WhatIfPage : public Page {
  Q_OBJECT
 public:
  WhatIfPage(Workspace& workspace, WhatIf& what_if);

  /// The command that computes the shown run.
  [[nodiscard]] QString command() const;

 public Q_SLOTS:
  void copy_command() const;

 private:
  /// A row of the form: an option with its editor.
  void add_row(const std::string& option, const QString& label, const QString& tip,
               QWidget* editor);
  QSlider* add_slider(const std::string& option, const QString& label, const QString& tip,
                      const std::vector<std::string>& stops);
  QComboBox* add_choice(const std::string& option, const QString& label, const QString& tip,
                        const QStringList& values, bool editable);
  void show_options();
  void show_curve();
  void show_hint();
  void show_latency();

  WhatIf& m_what_if;
  QFormLayout* m_form;
  std::map<std::string, QWidget*> m_rows;
  std::map<std::string, QSlider*> m_sliders;
  std::map<std::string, QLineEdit*> m_texts;
  std::map<std::string, QComboBox*> m_choices;
  QComboBox* m_method;
  QLabel* m_hint;
  QLabel* m_failure;
  QLabel* m_latency;
  QLineEdit* m_command;
  QPushButton* m_from_here;
  ChartView* m_curve;
  QComboBox* m_measure;
  bool m_showing = false;
};

}  // namespace kvsieve::gui
