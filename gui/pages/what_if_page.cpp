#include "pages/what_if_page.h"

#include <QApplication>
#include <QClipboard>
#include <QDir>
#include <QHBoxLayout>
#include <algorithm>

#include "core/qt_text.h"
#include "kvsieve/sim/eviction_method.h"
#include "kvsieve/sim/hardware_profile.h"
#include "kvsieve/sim/retrieval_replay.h"

namespace kvsieve::gui {
namespace {

QStringList methods() {
  QStringList names;
  for (const sim::EvictionMethod& method : sim::eviction_presets()) {
    names << qs(method.name);
  }
  for (const sim::RetrievalOptions& method : sim::retrieval_presets()) {
    if (!names.contains(qs(method.name))) {
      names << qs(method.name);
    }
  }
  return names;
}

QStringList hardware_ids() {
  QStringList ids;
  for (const std::string& id : sim::hardware_ids()) {
    ids << qs(id);
  }
  return ids;
}

}  // namespace

WhatIfPage::WhatIfPage(Workspace& workspace, WhatIf& what_if)
    : Page("what-if", "What-if", workspace),
      m_what_if(what_if),
      m_form(new QFormLayout),
      m_method(new QComboBox),
      m_hint(new QLabel),
      m_failure(new QLabel),
      m_latency(new QLabel),
      m_command(new QLineEdit),
      m_from_here(new QPushButton("Compare &from here")),
      m_curve(new ChartView("what-if.curve", "Loss over the budget", workspace)),
      m_measure(new QComboBox) {
  m_hint->setWordWrap(true);
  m_failure->setWordWrap(true);
  m_failure->setTextFormat(Qt::PlainText);
  m_failure->setObjectName("what-if.failure");
  m_failure->hide();
  column().addWidget(m_hint);
  column().addLayout(m_form);

  m_method->setObjectName("what-if.method");
  m_method->addItems(methods());
  add_row("method", "&Method", "Eviction or retrieval method (docs/methods.md)", m_method);
  connect(m_method, &QComboBox::textActivated, this,
          [this](const QString& text) { m_what_if.set_method(text.toStdString()); });
  add_slider("budget", "&Budget",
             "Tokens kept a head, window included: a share of the prompt, tokens (512) or bytes "
             "(64MiB)",
             budget_stops());
  add_slider("alpha", "&Alpha", "Uniform share of the budget: 0 fully adaptive, 1 uniform",
             alpha_stops());
  add_slider("top", "&Top K", "Tokens that a query head retrieves a step: a share or a number",
             {"0.5%", "1%", "2%", "3%", "4%", "5%", "6%", "8%", "10%", "15%", "20%", "30%"});
  add_choice("window", "&Window", "Newest tokens that are always kept",
             {"8", "16", "32", "64", "128"}, true);
  add_choice("sinks", "&Sinks", "First tokens that are always kept", {"0", "4", "8", "16"}, true);
  add_choice("granularity", "&Granularity", "Who gets a budget of its own", {"kv", "query"}, false);
  add_choice("alpha-mode", "Alpha mode", "How alpha guarantees its share",
             {"blend", "floor", "floor-kvpress", "paper-literal", "official-rounding"}, false);
  add_choice("pool", "Pooling", "Of scores over neighbouring tokens",
             {"max:7", "max:5", "avg:5", "avg:7", "none"}, true);
  add_choice("group-reduce", "Group reduce", "Of the query heads of a KV head", {"mean", "max"},
             false);
  add_choice("placement", "&Placement", "Where retrieved tokens are attended to",
             {"fetch-dma", "fetch-kernel", "fetch-hot-buffer", "cpu-attention"}, false);
  add_choice("schedule", "Schedule", "Modelled: one after another, or two micro-batches overlapped",
             {"serial", "overlapped"}, false);
  add_choice("codewords", "Codewords", "C of the codebook trained on this trace",
             {"0", "64", "256", "1024", "4096"}, true);
  add_choice("hot-buffer", "Hot buffer", "Slots (tokens) a KV head on the GPU",
             {"0", "64", "256", "1024"}, true);
  add_choice("hardware", "&Hardware", "GPU profile that the cost is modelled on", hardware_ids(),
             true);
  add_choice("context", "Context",
             "Tokens in the cache that the cost is modelled for; empty: the trace's",
             {"", "8192", "32768", "65536", "131072"}, true);
  add_choice("batch", "Batch", "Sequences side by side, or max", {"1", "4", "8", "16", "max"},
             true);

  auto* row = new QHBoxLayout;
  m_command->setReadOnly(true);
  m_command->setObjectName("what-if.command");
  m_command->setAccessibleName("The command line of the shown run");
  auto* copy = new QPushButton("&Copy as command line");
  copy->setObjectName("what-if.copy");
  connect(copy, &QPushButton::clicked, this, &WhatIfPage::copy_command);
  column().addWidget(m_command);
  row->addWidget(copy);
  m_from_here->setToolTip("The shown run becomes the one that later ones are compared with");
  m_from_here->setObjectName("what-if.baseline");
  connect(m_from_here, &QPushButton::clicked, this,
          [this] { this->workspace().set_baseline(this->workspace().run()); });
  row->addWidget(m_from_here);
  row->addStretch();
  column().addLayout(row);
  column().addWidget(m_failure);
  column().addWidget(m_latency);

  m_measure->addItems({"evicted mass", "relative L1 loss"});
  m_measure->setAccessibleName("What the curve shows");
  m_measure->setObjectName("what-if.measure");
  connect(m_measure, &QComboBox::currentIndexChanged, this, &WhatIfPage::show_curve);
  column().addWidget(m_measure);
  column().addWidget(add_plot(m_curve), 1);
  connect(m_curve, &ChartView::picked, this, [this](int index) {
    const std::vector<BudgetPoint> curve = m_what_if.budget_curve();
    if (static_cast<std::size_t>(index) < curve.size()) {
      m_what_if.set("budget", curve[static_cast<std::size_t>(index)].budget);
    }
  });

  connect(&what_if, &WhatIf::options_changed, this, &WhatIfPage::show_options);
  connect(&what_if, &WhatIf::computed, this, &WhatIfPage::show_latency);
  connect(&what_if, &WhatIf::curve_changed, this, &WhatIfPage::show_curve);
  connect(&what_if, &WhatIf::changed_in_vain, this, [this](const Failure& failure) {
    m_failure->setText(failure.hint.isEmpty() ? failure.what : failure.what + "\n" + failure.hint);
    m_failure->show();
  });
  connect(&workspace, &Workspace::trace_changed, this, &WhatIfPage::show_options);
  connect(&workspace, &Workspace::run_changed, this, &WhatIfPage::show_hint);
  show_options();
  show_curve();
}

QString WhatIfPage::command() const {
  const auto& trace = workspace().trace();
  if (!trace) {
    return {};
  }
  // As short as the folder that the viewer was started in allows.
  const QString path = qs(trace->path().string());
  const QString relative = QDir::current().relativeFilePath(path);
  return command_line(relative.startsWith("..") ? path : relative, m_what_if.options());
}

void WhatIfPage::copy_command() const {
  QApplication::clipboard()->setText(command());
}

void WhatIfPage::add_row(const std::string& option, const QString& label, const QString& tip,
                         QWidget* editor) {
  editor->setToolTip(tip);
  auto* name = new QLabel(label);
  name->setBuddy(editor);
  editor->setAccessibleName(QString(label).remove('&'));
  editor->setAccessibleDescription(tip);
  m_form->addRow(name, editor);
  m_rows[option] = editor;
}

QSlider* WhatIfPage::add_slider(const std::string& option, const QString& label, const QString& tip,
                                const std::vector<std::string>& stops) {
  auto* both = new QWidget;
  auto* layout = new QHBoxLayout(both);
  layout->setContentsMargins(0, 0, 0, 0);
  auto* slider = new QSlider(Qt::Horizontal);
  slider->setObjectName("what-if." + qs(option));
  slider->setRange(0, static_cast<int>(stops.size()) - 1);
  slider->setPageStep(2);
  slider->setAccessibleName(QString(label).remove('&'));
  auto* text = new QLineEdit;
  text->setObjectName("what-if." + qs(option) + ".text");
  text->setAccessibleName(QString(label).remove('&') + ", as text");
  constexpr int kTextWidth = 72;
  text->setMaximumWidth(kTextWidth);
  layout->addWidget(slider, 1);
  layout->addWidget(text);
  both->setFocusProxy(slider);
  add_row(option, label, tip, both);
  m_sliders[option] = slider;
  m_texts[option] = text;
  slider->setProperty("stops", [&stops] {
    QStringList list;
    for (const std::string& stop : stops) {
      list << qs(stop);
    }
    return list;
  }());
  connect(slider, &QSlider::valueChanged, this, [this, option, slider](int stop) {
    if (!m_showing) {
      m_what_if.set(option, slider->property("stops").toStringList()[stop].toStdString());
    }
  });
  connect(text, &QLineEdit::editingFinished, this, [this, option, text] {
    if (!m_showing && text->isModified()) {
      m_what_if.set(option, text->text().trimmed().toStdString());
    }
  });
  return slider;
}

QComboBox* WhatIfPage::add_choice(const std::string& option, const QString& label,
                                  const QString& tip, const QStringList& values, bool editable) {
  auto* box = new QComboBox;
  box->setObjectName("what-if." + qs(option));
  box->setEditable(editable);
  box->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
  constexpr int kLetters = 8;
  box->setMinimumContentsLength(kLetters);
  box->addItem(editable ? QString() : QStringLiteral("(default)"));
  for (const QString& value : values) {
    if (!value.isEmpty()) {
      box->addItem(value);
    }
  }
  if (editable) {
    box->lineEdit()->setPlaceholderText("default");
    connect(box->lineEdit(), &QLineEdit::editingFinished, this, [this, option, box] {
      if (!m_showing && box->lineEdit()->isModified()) {
        const std::string text = box->currentText().trimmed().toStdString();
        m_what_if.set(option, text.empty() ? std::nullopt : std::optional(text));
      }
    });
  }
  connect(box, &QComboBox::activated, this, [this, option, box](int index) {
    if (!m_showing) {
      m_what_if.set(option,
                    index == 0 ? std::nullopt : std::optional(box->currentText().toStdString()));
    }
  });
  add_row(option, label, tip, box);
  m_choices[option] = box;
  return box;
}

void WhatIfPage::show_options() {
  m_showing = true;
  const RunOptions& options = m_what_if.options();
  const bool live = m_what_if.is_live();
  show_hint();
  m_failure->hide();
  const auto text_of = [&options](const std::string& option) {
    const auto found = options.find(option);
    return found == options.end() ? QString() : qs(found->second);
  };
  m_method->setCurrentText(text_of("method"));
  for (const auto& [option, row] : m_rows) {
    const bool always =
        option == "method" || option == "hardware" || option == "context" || option == "batch";
    m_form->setRowVisible(row, always || m_what_if.applies(option));
    row->setEnabled(live);
  }
  for (const auto& [option, slider] : m_sliders) {
    const QStringList stops = slider->property("stops").toStringList();
    QString text = text_of(option);
    if (text.isEmpty()) {
      text = option == "alpha" ? "0.2" : option == "top" ? "3%" : "20%";
    }
    m_texts[option]->setText(text);
    m_texts[option]->setModified(false);
    if (const auto stop = stops.indexOf(text); stop >= 0) {
      slider->setValue(static_cast<int>(stop));
    }
  }
  for (const auto& [option, box] : m_choices) {
    const QString text = text_of(option);
    const int index = text.isEmpty() ? 0 : box->findText(text);
    if (box->isEditable() && index < 0) {
      box->setEditText(text);
    } else {
      box->setCurrentIndex(std::max(index, 0));
    }
    if (box->isEditable()) {
      box->lineEdit()->setModified(false);
    }
  }
  m_command->setText(command());
  m_command->setCursorPosition(0);
  m_showing = false;
}

void WhatIfPage::show_hint() {
  const auto& run = workspace().run();
  const bool live = m_what_if.is_live();
  m_hint->setText(live ? "The shown run is a file's. Change an option to see the trace's own."
                       : "Open a trace (Ctrl+O): its live run follows these options.");
  m_hint->setVisible(!live || (run && !run->path().isEmpty()));
  m_from_here->setEnabled(run && run->is_whole());
}

void WhatIfPage::show_curve() {
  const std::vector<BudgetPoint> curve = m_what_if.budget_curve();
  if (curve.size() < 2) {
    m_curve->clear(m_what_if.is_live()
                       ? "The curve appears when the other budgets are computed; retrieval methods "
                         "have none"
                       : "Open a trace (Ctrl+O) to see its losses over the budget");
    return;
  }
  const bool mass = m_measure->currentIndex() == 0;
  sim::LineChart chart{.x_name = "tokens kept a head"};
  sim::Series own{mass ? "evicted mass" : "relative L1 loss", {}, sim::Ink::kAccent};
  sim::Series uniform{"uniform budgets", {}, sim::Ink::kGrey};
  std::optional<double> here;
  const auto budget = m_what_if.options().find("budget");
  for (const BudgetPoint& point : curve) {
    chart.x.push_back(point.tokens);
    own.values.push_back(mass ? point.evicted_mass : point.l1_loss_relative);
    uniform.values.push_back(mass ? point.uniform_evicted_mass : point.uniform_l1_loss_relative);
    if (budget != m_what_if.options().end() && budget->second == point.budget) {
      here = point.tokens;
    }
  }
  chart.series = {own, uniform};
  m_curve->set_chart(chart, "captured",
                     "Mean over the touched layers on unseen decode steps; a click goes there.");
  m_curve->set_marker(here);
}

void WhatIfPage::show_latency() {
  m_failure->hide();
  if (const auto latency = m_what_if.last_latency_ms()) {
    m_latency->setText(QStringLiteral("Recomputed in %1 ms (measured)").arg(*latency, 0, 'f', 0));
  }
}

}  // namespace kvsieve::gui
