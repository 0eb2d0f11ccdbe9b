#include "pages/pcie_page.h"

#include <QGridLayout>
#include <QHBoxLayout>
#include <QSignalBlocker>
#include <algorithm>

#include "core/qt_text.h"
#include "core/run_cost.h"
#include "widgets/table_cells.h"

namespace kvsieve::gui {
namespace {

QString text_of(kernels::Placement placement) {
  return qs(std::string(kernels::name_of(placement)));
}

QLabel* heading(const QString& text, QWidget* buddy) {
  auto* label = new QLabel(text);
  QFont bold = label->font();
  bold.setBold(true);
  label->setFont(bold);
  label->setBuddy(buddy);
  return label;
}

/// Why nothing crosses the link.
QString without_traffic(const Run& run) {
  const sim::RunView& view = run.view();
  if (view.family == sim::Family::kEviction) {
    return QStringLiteral(
               "Nothing crosses PCIe: %1 keeps its tokens in the GPU's memory and drops the rest "
               "for good, so that no decode step waits for the host (0 B a step). Choose a "
               "retrieval method on the What-if page to see what it moves: a2ats, exact-topk, "
               "quest, pq or another of them.")
        .arg(qs(view.method_name));
  }
  return QStringLiteral(
      "Nothing crosses PCIe: every replayed layer has a sliding window and was left whole. Replay "
      "layers without one.");
}

}  // namespace

PciePage::PciePage(Workspace& workspace)
    : Page("pcie", "PCIe", workspace),
      m_empty(new QLabel),
      m_content(new QWidget),
      m_placement(new QComboBox),
      m_hardware(new QLabel),
      m_bytes(new ChartView("pcie.bytes", "Bytes a decode step", workspace)),
      m_pieces(new ChartView("pcie.pieces", "Pieces a decode step", workspace)),
      m_group_bytes(new ChartView("pcie.groups", "Bytes by layer and head", workspace)),
      m_group_pieces(new ChartView("pcie.group_pieces", "Pieces by layer and head", workspace)),
      m_placement_bytes(new ChartView("pcie.placements", "Bytes of the placements", workspace)),
      m_placement_pieces(
          new ChartView("pcie.placement_pieces", "Pieces of the placements", workspace)),
      m_placement_times(
          new ChartView("pcie.placement_times", "Transfer time of the placements", workspace)),
      m_link(new PointView("pcie.link", "Rate of the link by size of a piece", workspace)),
      m_totals(make_table("pcie.totals", "Totals over the link")),
      m_table(make_table("pcie.table", "Placements side by side")) {
  make_layout();
  for (ChartView* chart : {m_bytes, m_pieces}) {
    connect(chart, &ChartView::picked, this, [this](int index) { pick_step(index); });
  }
  for (ChartView* chart : {m_group_bytes, m_group_pieces}) {
    connect(chart, &ChartView::picked, this, &PciePage::pick_group);
  }
  for (ChartView* chart : {m_placement_bytes, m_placement_pieces, m_placement_times}) {
    connect(chart, &ChartView::picked, this, [this](int index) { pick_placement(index); });
  }
  connect(m_placement, &QComboBox::currentIndexChanged, this, &PciePage::show_placements);
  connect(&workspace, &Workspace::run_changed, this, &PciePage::show_run);
  connect(&workspace.view(), &ViewStack::selection_changed, this, &PciePage::show_selection);
  show_run();
}

void PciePage::make_layout() {
  m_empty->setObjectName("pcie.empty");
  m_empty->setWordWrap(true);
  m_empty->setTextFormat(Qt::PlainText);
  m_empty->setAlignment(Qt::AlignCenter);
  m_hardware->setObjectName("pcie.hardware");
  m_hardware->setTextFormat(Qt::PlainText);
  m_hardware->setWordWrap(true);
  m_placement->setObjectName("pcie.placement");
  m_placement->setAccessibleName("Placement whose traffic is shown");
  auto* choice = new QHBoxLayout;
  auto* label = new QLabel("&placement");
  label->setBuddy(m_placement);
  choice->addWidget(label);
  choice->addWidget(m_placement);
  choice->addWidget(m_hardware, 1);

  auto* grid = new QGridLayout(m_content);
  grid->setContentsMargins(0, 0, 0, 0);
  constexpr int kGap = 16;
  constexpr int kColumns = 6;
  grid->setSpacing(kGap);
  grid->addLayout(choice, 0, 0, 1, kColumns);
  grid->addWidget(add_plot(m_bytes), 1, 0, 1, 3);
  grid->addWidget(add_plot(m_pieces), 1, 3, 1, 3);
  grid->addWidget(add_plot(m_group_bytes), 2, 0, 1, 3);
  grid->addWidget(add_plot(m_group_pieces), 2, 3, 1, 3);
  grid->addWidget(heading("Totals over the link (KiB, MiB: IEC, 1,024 bytes and up)", m_totals), 3,
                  0, 1, kColumns);
  grid->addWidget(m_totals, 4, 0, 1, kColumns);
  grid->addWidget(add_plot(m_placement_bytes), 5, 0, 1, 2);
  grid->addWidget(add_plot(m_placement_pieces), 5, 2, 1, 2);
  grid->addWidget(add_plot(m_placement_times), 5, 4, 1, 2);
  grid->addWidget(heading("Placements side by side, a decode step of the replayed layers", m_table),
                  6, 0, 1, kColumns);
  grid->addWidget(m_table, 7, 0, 1, kColumns);
  grid->addWidget(add_plot(m_link), 8, 0, 1, kColumns);
  constexpr std::pair<int, int> kHeights[] = {{1, 260}, {2, 260}, {5, 280}, {8, 420}};
  for (const auto& [row, height] : kHeights) {
    grid->setRowMinimumHeight(row, height);
  }
  for (int column = 0; column < kColumns; ++column) {
    grid->setColumnStretch(column, 1);
  }
  for (QTableWidget* table : {m_totals, m_table}) {
    table->setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);
    table->setSizeAdjustPolicy(QAbstractScrollArea::AdjustToContents);
  }
  column().addWidget(m_empty);
  column().addWidget(m_content, 1);
}

const Run* PciePage::run() const {
  const Run* run = workspace().run().get();
  return run != nullptr && !placements_of(run->view()).empty() && !run->view().layers.empty()
             ? run
             : nullptr;
}

kernels::Placement PciePage::placement() const {
  return static_cast<kernels::Placement>(m_placement->currentData().toInt());
}

void PciePage::show_run() {
  const Run* shown = run();
  m_content->setVisible(shown != nullptr);
  m_empty->setVisible(shown == nullptr);
  if (shown == nullptr) {
    const auto& other = workspace().run();
    clear_all(other ? without_traffic(*other)
                    : QStringLiteral("Open a run of a retrieval method, or a trace and choose one "
                                     "on the What-if page (Ctrl+O)."));
    return;
  }
  m_profile.reset();
  m_no_profile = QStringLiteral(
      "The run was made without a cost (--no-cost), so that no link is "
      "known: make it again with --hardware");
  try {
    m_profile = run_hardware(*shown);
  } catch (...) {
    m_no_profile = current_failure().what;
  }
  m_hardware->setText(
      m_profile ? QStringLiteral("on %1, %2").arg(qs(m_profile->name), qs(m_profile->link.name))
                : m_no_profile);
  {
    // The placement that the user looks at stays where the next run has it.
    const QSignalBlocker quiet(m_placement);
    const QString before = m_placement->currentText();
    const QString own = text_of(placement_of(shown->view()));
    m_placement->clear();
    for (const kernels::Placement one : placements_of(shown->view())) {
      m_placement->addItem(text_of(one), static_cast<int>(one));
    }
    const int same = m_placement->findText(before);
    m_placement->setCurrentIndex(std::max(0, same >= 0 ? same : m_placement->findText(own)));
  }
  show_placements();
}

void PciePage::show_placements() {
  if (run() == nullptr) {
    return;
  }
  show_link();
  show_table(*m_totals, traffic_totals(run()->view(), placement()));
  show_selection();
}

void PciePage::show_selection() {
  if (run() == nullptr) {
    return;
  }
  const sim::RunView& view = run()->view();
  const Selection& selection = workspace().view().selection();
  const std::vector<HeadId>& heads = selection.heads;
  const QString scope =
      QStringLiteral("%1, %2. ").arg(text_of(placement()), qs(scope_text(view, heads)));
  const QString origin = QStringLiteral("modelled");
  const QString nothing = QStringLiteral("None of the selected heads is in this run. Press Esc.");
  const auto present = [&](ChartView& chart, const auto& made, const QString& note) {
    if (made.series.empty()) {
      chart.clear(nothing);
    } else {
      chart.set_chart(made, origin, note);
    }
  };
  present(*m_bytes, bytes_by_step(view, placement(), heads),
          scope + "Bytes of the ledger: counted from the selections and shapes. KiB = 1,024 B.");
  present(*m_pieces, pieces_by_step(view, placement(), heads),
          scope + (heads.empty()
                       ? "Copies of the copy engines, the messages of each layer included."
                       : "Copies of these heads' own rows, without the messages of their layers."));
  m_groups = head_groups(view, heads);
  const QString mean = text_of(placement()) + ", mean of a decode step. ";
  present(*m_group_bytes, bytes_by_group(view, placement(), heads),
          mean + "KiB = 1,024 B. A click on a layer shows its heads, Esc all layers.");
  present(*m_group_pieces, pieces_by_group(view, placement(), heads), mean);
  const std::optional<double> step =
      selection.step ? std::optional(static_cast<double>(*selection.step)) : std::nullopt;
  m_bytes->set_marker(step);
  m_pieces->set_marker(step);
  std::optional<double> group;
  if (const auto at = group_of(m_groups, selection.current)) {
    group = static_cast<double>(*at);
  }
  m_group_bytes->set_marker(group);
  m_group_pieces->set_marker(group);
}

void PciePage::show_link() {
  const sim::RunView& view = run()->view();
  std::vector<PlacementCost> costs;
  QString why = m_no_profile;
  if (m_profile) {
    try {
      costs = placement_costs(view, m_profile->link);
    } catch (...) {
      why = current_failure().what;
    }
  }
  if (costs.empty()) {
    for (ChartView* chart : {m_placement_bytes, m_placement_pieces, m_placement_times}) {
      chart->clear(why);
    }
    m_link->clear(why);
    show_table(*m_table, {});
    return;
  }
  const QString origin = QStringLiteral("modelled");
  const QString layers =
      qs(sim::counted(static_cast<std::int64_t>(view.layers.size()), "replayed layer"));
  m_placement_bytes->set_chart(placement_bytes(costs), origin,
                               QStringLiteral("A decode step of %1. KiB = 1,024 B.").arg(layers));
  m_placement_pieces->set_chart(placement_pieces(costs), origin,
                                "Copies of the copy engines; what kernels read is none.");
  m_placement_times->set_chart(
      placement_times(costs), origin,
      QStringLiteral("%1 one after another, batch 1. Messages wait %2 us each; rows take pieces × "
                     "t_piece + bytes / rate. No band: no public rows measure transfers.")
          .arg(layers, qs(sim::significant(m_profile->link.latency_us.value, 3))));
  const auto at = std::find_if(costs.begin(), costs.end(), [&](const PlacementCost& cost) {
    return cost.placement == placement();
  });
  for (ChartView* chart : {m_placement_bytes, m_placement_pieces, m_placement_times}) {
    chart->set_marker(static_cast<double>(at - costs.begin()));
  }
  show_table(*m_table, placement_table(costs, m_profile->link));
  m_link->set_chart(
      link_curves(m_profile->link, costs, placement()), origin,
      QStringLiteral("%1, data sheet %2 to the GPU. Knee: the size from which a path reaches half "
                     "of its best rate (%3). Labelled: the run's own pieces; %4 moves %5.")
          .arg(qs(m_profile->link.name),
               qs(sim::number_text(m_profile->link.to_gpu.spec_gbps.value, sim::Unit::kGbps)),
               qs(knees_text(m_profile->link)), text_of(placement()),
               at == costs.end() ? QString()
                                 : qs(sim::number_text(at->to_gpu_gbps(), sim::Unit::kGbps))));
}

void PciePage::clear_all(const QString& why) {
  m_empty->setText(why);
  for (ChartView* chart : {m_bytes, m_pieces, m_group_bytes, m_group_pieces, m_placement_bytes,
                           m_placement_pieces, m_placement_times}) {
    chart->clear(why);
  }
  m_link->clear(why);
  m_groups.clear();
  show_table(*m_totals, {});
  show_table(*m_table, {});
}

void PciePage::pick_step(int index) {
  Selection selection = workspace().view().selection();
  selection.step = index;
  workspace().view().select(std::move(selection));
}

void PciePage::pick_group(int index, Qt::KeyboardModifiers modifiers) {
  if (index >= 0 && static_cast<std::size_t>(index) < m_groups.size()) {
    workspace().view().select(gui::pick_group(workspace().view().selection(), m_groups,
                                              static_cast<std::size_t>(index), pick_of(modifiers)));
  }
}

void PciePage::pick_placement(int index) {
  m_placement->setCurrentIndex(index);
}

}  // namespace kvsieve::gui
