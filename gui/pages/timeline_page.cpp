#include "pages/timeline_page.h"

#include <QFileDialog>
#include <QHBoxLayout>
#include <QShortcut>
#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "core/qt_text.h"
#include "core/run_cost.h"
#include "kvsieve/sim/version.h"
#include "kvsieve/traces/output_file.h"

namespace kvsieve::gui {
namespace {

const QString kComputing = QStringLiteral("Computing the timeline");

QString share_text(double share) {
  return qs(sim::number_text(share, sim::Unit::kShare));
}

QLabel* wrapped_label(const QString& name) {
  auto* label = new QLabel;
  label->setObjectName(name);
  label->setWordWrap(true);
  label->setTextFormat(Qt::PlainText);
  label->setTextInteractionFlags(Qt::TextSelectableByMouse | Qt::TextSelectableByKeyboard);
  return label;
}

QString joined(const std::vector<std::string>& texts) {
  QStringList list;
  for (const std::string& text : texts) {
    list << qs(text);
  }
  return list.join(QStringLiteral(", "));
}

}  // namespace

TimelinePage::TimelinePage(Workspace& workspace)
    : Page("timeline", "Timeline", workspace),
      m_summary(wrapped_label("timeline.summary")),
      m_warning(wrapped_label("timeline.warning")),
      m_step(new QSpinBox),
      m_search(new QLineEdit),
      m_found(new QLabel),
      m_export(new QPushButton("Export as Chrome trace...")),
      m_view(new TimelineView("timeline.lanes", workspace)),
      m_measured(wrapped_label("timeline.measured")),
      m_critical(new ChartView("timeline.critical", "Critical path by stage", workspace)),
      m_overlap(new ChartView("timeline.overlap", "Transfers by step", workspace)),
      m_roofline(new PointView("timeline.roofline", "Roofline", workspace)) {
  m_step->setObjectName("timeline.step");
  m_step->setAccessibleName("Decode step");
  m_step->setPrefix("step ");
  m_step->setSpecialValueText("all steps");
  m_step->setRange(-1, -1);
  m_search->setObjectName("timeline.search");
  m_search->setPlaceholderText("Find an event by name (Enter: next, Shift+Enter: previous)");
  m_search->setAccessibleName("Find an event by name");
  m_search->setClearButtonEnabled(true);
  m_found->setObjectName("timeline.found");
  m_export->setObjectName("timeline.export");
  m_critical->setObjectName("timeline.critical");
  auto* tools = new QHBoxLayout;
  tools->addWidget(m_step);
  tools->addWidget(m_search, 1);
  tools->addWidget(m_found);
  tools->addWidget(m_export);
  column().addWidget(m_summary);
  column().addWidget(m_warning);
  column().addLayout(tools);
  column().addWidget(add_plot(m_view), 3);
  column().addWidget(m_measured);
  auto* charts = new QHBoxLayout;
  auto* stages = new QVBoxLayout;
  stages->addWidget(add_plot(m_critical));
  stages->addWidget(add_plot(m_overlap));
  charts->addLayout(stages, 1);
  charts->addWidget(add_plot(m_roofline), 1);
  column().addLayout(charts, 3);

  connect(&workspace, &Workspace::run_changed, this, &TimelinePage::compute);
  connect(&workspace, &Workspace::timeline_changed, this, &TimelinePage::compute);
  connect(&workspace.view(), &ViewStack::selection_changed, this, &TimelinePage::show_step);
  connect(m_view, &TimelineView::measured, m_measured, &QLabel::setText);
  connect(m_step, &QSpinBox::valueChanged, this, &TimelinePage::choose_step);
  connect(m_search, &QLineEdit::textEdited, this, [this] { m_found->clear(); });
  connect(m_search, &QLineEdit::returnPressed, this, [this] { search(true); });
  auto* back = new QShortcut(QKeySequence(Qt::SHIFT | Qt::Key_Return), m_search);
  back->setContext(Qt::WidgetShortcut);
  connect(back, &QShortcut::activated, this, [this] { search(false); });
  connect(m_export, &QPushButton::clicked, this, [this] {
    const QString path = QFileDialog::getSaveFileName(this, "Export the modelled timeline",
                                                      "timeline.json", "Chrome trace (*.json)");
    if (!path.isEmpty()) {
      export_chrome_trace(path);
    }
  });
  connect(m_overlap, &ChartView::picked, this, [this](int index) {
    if (const TimelineEvents* events = first_events()) {
      choose_step(static_cast<int>(events->steps()[static_cast<std::size_t>(index)].step));
    }
  });
  compute();
}

void TimelinePage::compute() {
  const std::shared_ptr<const Run> run = workspace().run();
  const std::shared_ptr<const TimelineEvents> file = workspace().timeline();
  if (!run && !file) {
    workspace().jobs().cancel(kComputing);
    m_modelled.reset();
    m_file.reset();
    m_failure.clear();
    show_all();
    return;
  }
  const std::shared_ptr<const TimelineDetail> known =
      m_file && file.get() == &m_file->events() ? m_file : nullptr;
  struct Outcome {
    std::shared_ptr<Modelled> modelled;
    std::shared_ptr<const TimelineDetail> file;
    QString failure;
  };
  workspace().jobs().start(kComputing, [this, run, file, known](const JobControl& control) {
    auto outcome = std::make_shared<Outcome>();
    outcome->file = known;
    if (file && !known) {
      outcome->file = std::make_shared<const TimelineDetail>(file);
    }
    control.progress(0.3);
    try {
      if (const auto request = run ? run_cost_request(*run) : std::nullopt) {
        auto modelled = std::make_shared<Modelled>();
        modelled->timeline = sim::cost_timeline(*request);
        control.progress(0.5);
        modelled->result = sim::simulate(modelled->timeline);
        control.progress(0.8);
        modelled->title = QStringLiteral("%1 on %2, batch %3, context %4")
                              .arg(qs(run->view().label()), qs(request->hardware.id))
                              .arg(request->point.batch)
                              .arg(qs(sim::grouped(request->point.context)));
        modelled->steps = request->steps;
        modelled->step_us = modelled->result.total_us / static_cast<double>(request->steps);
        modelled->detail = std::make_shared<const TimelineDetail>(
            TimelineEvents::from_model(modelled->timeline, modelled->result, modelled->title));
        modelled->roofline = roofline_of(*run, *request);
        outcome->modelled = std::move(modelled);
      }
    } catch (const JobCancelled&) {
      throw;
    } catch (...) {
      // The file's timeline is shown all the same.
      outcome->failure = current_failure().what;
    }
    control.check();
    return [this, outcome] {
      m_modelled = outcome->modelled;
      m_file = outcome->file;
      m_failure = outcome->failure;
      show_all();
    };
  });
}

const TimelineEvents* TimelinePage::first_events() const {
  return m_view->timelines().empty() ? nullptr : &m_view->timelines().front()->events();
}

void TimelinePage::show_all() {
  Timelines timelines;
  if (m_modelled) {
    timelines.push_back(m_modelled->detail);
  }
  if (m_file) {
    timelines.push_back(m_file);
  }
  QString empty =
      "Open a trace or a run to see its modelled timeline, or a Chrome trace file "
      "(kvsieve cost --timeline) to see that one (Ctrl+O).";
  if (workspace().run()) {
    empty = m_failure.isEmpty()
                ? "The run has no cost on hardware: it was made with --no-cost. Make it again "
                  "without, or open a Chrome trace file."
                : m_failure;
  }
  m_view->set_timelines(std::move(timelines), empty);
  const TimelineEvents* events = first_events();
  {
    const QSignalBlocker quiet(m_step);
    const bool steps = events != nullptr && !events->steps().empty();
    m_step->setRange(-1, steps ? static_cast<int>(events->steps().back().step) : -1);
    m_step->setEnabled(steps);
  }
  m_search->setEnabled(events != nullptr);
  m_export->setEnabled(m_modelled != nullptr);
  m_export->setToolTip(m_modelled ? "For Perfetto and chrome://tracing"
                                  : "Needs a run with a modelled timeline");
  QStringList warnings;
  const auto documented =
      workspace().run() ? workspace().run()->view().cost("step_us") : std::nullopt;
  constexpr double kSame = 1e-6;
  if (m_modelled && documented && std::abs(m_modelled->step_us / *documented - 1.0) > kSame) {
    warnings << QStringLiteral(
                    "The file says %1 a step, by version %2 of the tool; this "
                    "timeline is of version %3's model.")
                    .arg(time_text(*documented),
                         qs(workspace().run()->view().document.text("tool_version")),
                         qs(std::string(sim::version())));
  }
  if (!m_failure.isEmpty() && m_file) {
    warnings << m_failure;
  }
  if (m_file && m_file->events().skipped() > 0) {
    warnings << QStringLiteral("Not shown: %1 entries of the file without a begin and an end.")
                    .arg(qs(sim::grouped(m_file->events().skipped())));
  }
  m_warning->setText(warnings.join('\n'));
  m_warning->setVisible(!warnings.isEmpty());
  show_overlap();
  show_roofline();
  show_step();
}

TimelineStep TimelinePage::shown_step() const {
  const TimelineEvents* events = first_events();
  if (events == nullptr) {
    return {-1, 0.0, 0.0};
  }
  const auto selected = workspace().view().selection().step;
  for (const TimelineStep& step : events->steps()) {
    if (step.step == selected) {
      return step;
    }
  }
  return {-1, 0.0, events->total_us()};
}

void TimelinePage::show_step() {
  {
    const QSignalBlocker quiet(m_step);
    m_step->setValue(static_cast<int>(shown_step().step));
  }
  show_summary();
  show_critical_path();
}

void TimelinePage::choose_step(int step) {
  Selection selection = workspace().view().selection();
  selection.step = step >= 0 ? std::optional<std::int64_t>(step) : std::nullopt;
  workspace().view().select(std::move(selection));
  if (step < 0) {
    m_view->fit();
    return;
  }
  const TimelineStep shown = shown_step();
  m_view->focus(shown.begin_us, shown.end_us);
}

void TimelinePage::search(bool forward) {
  m_found->setText(m_view->find(m_search->text(), forward) ? QString() : "No such event");
}

void TimelinePage::show_summary() {
  const TimelineEvents* events = first_events();
  m_summary->setVisible(events != nullptr);
  if (events == nullptr) {
    return;
  }
  const TimelineStep step = shown_step();
  const RangeFigures figures = events->figures(step.begin_us, step.end_us);
  const double steps =
      step.step >= 0 ? 1.0 : static_cast<double>(std::max<std::size_t>(1, events->steps().size()));
  QStringList parts;
  parts << (step.step >= 0 ? QStringLiteral("Step %1: %2").arg(step.step).arg(time_text(figures.us))
            : events->steps().empty() ? QStringLiteral("%1 in all").arg(time_text(figures.us))
                                      : QStringLiteral("A step takes %1, the mean of %2 steps")
                                            .arg(time_text(figures.us / steps))
                                            .arg(events->steps().size()));
  parts.back() += QStringLiteral(" (%1)").arg(events->origin());
  if (m_modelled && step.step < 0) {
    const sim::RunView& view = workspace().run()->view();
    const auto cost = view.document.child("cost");
    const auto low = cost ? cost->number("error_band/low_us") : std::nullopt;
    const auto high = cost ? cost->number("error_band/high_us") : std::nullopt;
    if (low && high) {
      parts << QStringLiteral("error band %1 to %2, %3 of its time has measured rows")
                   .arg(time_text(*low), time_text(*high),
                        share_text(cost->number("error_band/covered_share").value_or(0.0)));
    }
  }
  if (events->has_transfers()) {
    parts << QStringLiteral("exposed transfer %1 (%2)")
                 .arg(
                     time_text(figures.exposed_transfer_us / steps),
                     share_text(figures.us > 0.0 ? figures.exposed_transfer_us / figures.us : 0.0));
    if (const auto overlap = figures.overlap()) {
      parts << QStringLiteral("overlap %1 of the transfers' time").arg(share_text(*overlap));
    }
  }
  for (std::size_t lane = 0; lane < events->lanes().size() && lane < sim::kLanes; ++lane) {
    parts << QStringLiteral("%1 busy %2")
                 .arg(events->lanes()[lane].name,
                      share_text(figures.us > 0.0 ? figures.busy_us[lane] / figures.us : 0.0));
  }
  m_summary->setText(parts.join(QStringLiteral(" · ")));
}

void TimelinePage::show_critical_path() {
  const TimelineEvents* events = first_events();
  if (events == nullptr || !events->has_critical()) {
    m_critical->clear(events == nullptr ? "Appears with a timeline"
                                        : "The file marks no critical path");
    return;
  }
  const TimelineStep step = shown_step();
  std::map<std::int32_t, double> us_of;
  double total_us = 0.0;
  for (const NameSum& sum : events->sums(step.begin_us, step.end_us)) {
    if (sum.critical_us > 0.0) {
      us_of[sum.name] += sum.critical_us;
      total_us += sum.critical_us;
    }
  }
  std::vector<std::pair<double, std::int32_t>> longest;
  for (const auto& [name, us] : us_of) {
    longest.emplace_back(us, name);
  }
  std::sort(longest.rbegin(), longest.rend());
  sim::BarChart chart{.category_name = "stage"};
  sim::Series share{"of the critical path", {}, sim::Ink::kAccent};
  for (const auto& [us, name] : longest) {
    chart.categories.push_back(events->names()[static_cast<std::size_t>(name)].toStdString());
    share.values.emplace_back(us / total_us);
  }
  chart.series = {std::move(share)};
  m_critical->set_chart(
      chart, events->origin(),
      QStringLiteral("Shares of %1 that %2 waits for, one stage after another.")
          .arg(time_text(total_us), step.step >= 0 ? QStringLiteral("step %1").arg(step.step)
                                                   : QStringLiteral("everything")));
}

void TimelinePage::show_overlap() {
  const TimelineEvents* events = first_events();
  if (events == nullptr || events->steps().empty() || !events->has_transfers()) {
    m_overlap->clear(events == nullptr          ? "Appears with a timeline"
                     : !events->has_transfers() ? "Nothing crosses the link"
                                                : "The events say of no step");
    return;
  }
  sim::LineChart chart{.x_name = "decode step"};
  sim::Series overlap{"overlap: of the transfers' time", {}, sim::Ink::kAccent};
  sim::Series exposed{"exposed: of the step", {}, sim::Ink::kWarm};
  for (const TimelineStep& step : events->steps()) {
    const RangeFigures figures = events->figures(step.begin_us, step.end_us);
    chart.x.push_back(static_cast<double>(step.step));
    overlap.values.push_back(figures.overlap());
    exposed.values.push_back(
        figures.us > 0.0 ? std::optional(figures.exposed_transfer_us / figures.us) : std::nullopt);
  }
  chart.series = {std::move(overlap), std::move(exposed)};
  chart.top = 1.0;
  m_overlap->set_chart(chart, events->origin(),
                       "Time in which transfers hide behind computing, and time in which only the "
                       "link works.");
}

void TimelinePage::show_roofline() {
  if (!m_modelled || m_modelled->roofline.points.empty()) {
    m_roofline->clear("Appears with a run that has a modelled cost");
    return;
  }
  const Roofline& roofline = m_modelled->roofline;
  const bool measured =
      std::any_of(roofline.points.begin(), roofline.points.end(),
                  [](const RooflinePoint& point) { return point.origin != "modelled"; });
  const std::string hardware =
      workspace().run()->view().document.child("cost")->child("hardware")->text("id");
  QString note =
      QStringLiteral("Roofs of %1's data sheets; bytes and FLOP are the model's").arg(qs(hardware));
  note += measured ? QStringLiteral("; measured times are of one sequence.") : QStringLiteral(".");
  if (!roofline.left_out.empty()) {
    note += QStringLiteral(" Without arithmetic: %1.").arg(joined(roofline.left_out));
  }
  m_roofline->set_chart(roofline_chart(roofline), measured ? "modelled and measured" : "modelled",
                        note);
}

void TimelinePage::export_chrome_trace(const QString& path) {
  const std::shared_ptr<const Modelled> modelled = m_modelled;
  if (!modelled) {
    return;
  }
  workspace().jobs().start(QStringLiteral("Exporting the timeline"),
                           [modelled, path](const JobControl& control) -> Jobs::Delivery {
                             const std::string text =
                                 sim::chrome_trace(modelled->timeline, modelled->result,
                                                   modelled->title.toStdString(), 0,
                                                   static_cast<std::int32_t>(modelled->steps))
                                     .dump();
                             control.progress(0.8);
                             traces::write_file(path.toStdString(), text, true);
                             return {};
                           });
}

}  // namespace kvsieve::gui
