#include "core/pcie_series.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "kvsieve/kernels/retrieval_ledger.h"
#include "kvsieve/sim/run_series.h"
#include "kvsieve/traces/dtype.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::gui {
namespace {

using kernels::Placement;
using sim::Direction;
using sim::Node;
using sim::PcieTraffic;
using sim::TransferPath;

constexpr std::array<TransferPath, sim::kTransferPaths> kPaths{
    TransferPath::kDma, TransferPath::kBatchedDma, TransferPath::kKernel, TransferPath::kZeroCopy};
constexpr double kBytesPerUsOfGbps = 1e3;
constexpr double kSmallestPiece = 64.0;
constexpr double kLargestPiece = 16.0 * 1024.0 * 1024.0;

std::string key_of(Placement placement) {
  return std::string(kernels::name_of(placement));
}

/// The shape of one KV head with its group.
kernels::LedgerShape head_shape(const sim::RunView& run) {
  std::int64_t element_bytes = 2;
  for (const traces::DType dtype :
       {traces::DType::kF16, traces::DType::kBF16, traces::DType::kF32}) {
    if (run.trace.dtype == traces::name_of(dtype)) {
      element_bytes = static_cast<std::int64_t>(traces::size_of(dtype));
    }
  }
  const std::int64_t group = run.trace.q_heads / std::max<std::int64_t>(1, run.trace.kv_heads);
  return {1, group, 1, run.trace.head_dim, element_bytes};
}

PcieTraffic head_traffic(const kernels::LedgerShape& shape, Placement placement, const Node& step) {
  const std::int64_t tokens = step.integer_or("union_tokens", 0);
  const std::int64_t hits =
      placement == Placement::kFetchHotBuffer ? step.integer_or("hot_hits", 0) : 0;
  const kernels::StepTraffic traffic = kernels::step_traffic(
      shape, placement, tokens, tokens - hits, step.integer_or("fetch_pieces", 0));
  return {static_cast<double>(traffic.to_gpu_bytes), static_cast<double>(traffic.to_host_bytes),
          static_cast<double>(traffic.copies - kernels::messages(placement))};
}

void add(PcieTraffic& sum, const PcieTraffic& part) {
  sum.to_gpu_bytes += part.to_gpu_bytes;
  sum.to_host_bytes += part.to_host_bytes;
  sum.pieces += part.pieces;
}

/// The field of each traffic that is there.
sim::Values field_of(const std::vector<std::optional<PcieTraffic>>& traffic,
                     double PcieTraffic::*field) {
  sim::Values values;
  for (const std::optional<PcieTraffic>& one : traffic) {
    values.push_back(one ? std::optional((*one).*field) : std::nullopt);
  }
  return values;
}

template <class Chart>
void add_series(Chart& chart, const char* name, sim::Ink ink, sim::Values values) {
  if (sim::has_values(values)) {
    chart.series.push_back({name, std::move(values), ink});
  }
}

sim::LineChart step_chart(const sim::RunView& run, sim::Unit unit) {
  sim::LineChart chart;
  chart.x_name = "decode step";
  chart.x = sim::step_numbers(run);
  chart.unit = unit;
  return chart;
}

struct GroupTraffic {
  sim::BarChart chart;
  std::vector<std::optional<PcieTraffic>> traffic;
};

GroupTraffic group_traffic(const sim::RunView& run, Placement placement,
                           std::span<const HeadId> selected, sim::Unit unit) {
  GroupTraffic groups;
  groups.chart.category_name = group_kind(run, selected);
  groups.chart.unit = unit;
  groups.chart.stacked = true;
  for (const HeadGroup& group : head_groups(run, selected)) {
    groups.chart.categories.push_back(group.name);
    groups.traffic.push_back(traffic_of(group.node, placement));
  }
  return groups;
}

/// How a placement's rows reach the GPU on a link, as the cost model has it.
TransferPath fetch_path(const sim::TransferTimes& link, Placement placement) {
  if (placement == Placement::kFetchDma) {
    return link.has(TransferPath::kBatchedDma, Direction::kToGpu) ? TransferPath::kBatchedDma
                                                                  : TransferPath::kDma;
  }
  return link.has(TransferPath::kZeroCopy, Direction::kToGpu) ? TransferPath::kZeroCopy
                                                              : TransferPath::kKernel;
}

void add_layer(PlacementCost& cost, const sim::RunView& run, const PcieTraffic& traffic,
               const sim::TransferTimes& link) {
  add(cost.traffic, traffic);
  cost.to_host_us += link.message_us(Direction::kToHost, traffic.to_host_bytes);
  if (!cost.path) {
    cost.to_gpu_us += link.message_us(Direction::kToGpu, traffic.to_gpu_bytes);
    cost.gpu_pieces += traffic.to_gpu_bytes > 0.0 ? 1.0 : 0.0;
    return;
  }
  const kernels::LedgerShape shape = head_shape(run);
  const double rows = traffic.to_gpu_bytes /
                      static_cast<double>(kernels::row_bytes(shape.head_dim, shape.element_bytes));
  // Copies move runs of tokens, kernels rows.
  const double pieces =
      cost.placement == Placement::kFetchDma
          ? traffic.pieces - static_cast<double>(kernels::messages(cost.placement))
          : rows;
  cost.gpu_pieces += std::max(0.0, pieces);
  cost.to_gpu_us +=
      link.transfer_us(*cost.path, Direction::kToGpu, traffic.to_gpu_bytes, std::max(0.0, pieces));
}

sim::BarChart placement_chart(const std::vector<PlacementCost>& costs, sim::Unit unit) {
  sim::BarChart chart;
  chart.category_name = "placement";
  chart.unit = unit;
  chart.stacked = true;
  for (const PlacementCost& cost : costs) {
    chart.categories.push_back(key_of(cost.placement));
  }
  return chart;
}

double rate_gbps(const sim::TransferTimes& link, TransferPath path, double piece) {
  return piece / link.transfer_us(path, Direction::kToGpu, piece, 1.0) / kBytesPerUsOfGbps;
}

/// Sizes of a curve: eight an octave, and either side of each step between segments.
std::vector<double> piece_sizes(const std::vector<sim::TransferSegment>& segments) {
  std::vector<double> sizes;
  constexpr int kPerOctave = 8;
  const int count = static_cast<int>(std::log2(kLargestPiece / kSmallestPiece)) * kPerOctave;
  for (int i = 0; i <= count; ++i) {
    sizes.push_back(std::round(kSmallestPiece * std::exp2(static_cast<double>(i) / kPerOctave)));
  }
  for (const sim::TransferSegment& segment : segments) {
    const auto from = static_cast<double>(segment.from_bytes);
    if (from > kSmallestPiece && from < kLargestPiece) {
      sizes.push_back(from - 1.0);
      sizes.push_back(from);
    }
  }
  std::sort(sizes.begin(), sizes.end());
  sizes.erase(std::unique(sizes.begin(), sizes.end()), sizes.end());
  return sizes;
}

std::string bytes_text(double bytes) {
  return sim::number_text(bytes, sim::Unit::kBytes);
}

}  // namespace

Placement placement_of(const sim::RunView& run) {
  try {
    return kernels::placement_from_name(run.method.text("placement", "fetch-dma"));
  } catch (const Error& error) {
    throw Error(ErrorKind::kBadInput, fmt::format("{}: {}", run.method.path(), error.what()));
  }
}

std::vector<Placement> placements_of(const sim::RunView& run) {
  std::vector<Placement> placements;
  const std::optional<Node> summary = run.document.child("summary");
  for (const Placement placement : kernels::kPlacements) {
    if (summary && traffic_of(*summary, placement)) {
      placements.push_back(placement);
    }
  }
  return placements;
}

std::optional<PcieTraffic> traffic_of(const Node& node, Placement placement) {
  const std::optional<Node> all = node.child("pcie_per_step");
  const std::optional<Node> one = all ? all->child(key_of(placement)) : std::nullopt;
  if (!one) {
    return std::nullopt;
  }
  return PcieTraffic{one->number("to_gpu_bytes").value_or(0.0),
                     one->number("to_host_bytes").value_or(0.0),
                     one->number("pieces").value_or(0.0)};
}

std::vector<std::optional<PcieTraffic>> traffic_by_step(const sim::RunView& run,
                                                        Placement placement,
                                                        std::span<const HeadId> heads) {
  std::vector<std::optional<PcieTraffic>> traffic;
  if (heads.empty()) {
    for (const Node& step : run.steps) {
      traffic.push_back(traffic_of(step, placement));
    }
    return traffic;
  }
  traffic.resize(run.steps.size());
  const kernels::LedgerShape shape = head_shape(run);
  for (const sim::LayerView& layer : run.layers) {
    for (std::size_t h = 0; h < layer.heads.size(); ++h) {
      const HeadId id{layer.layer, layer.heads[h].integer_or("head", static_cast<std::int64_t>(h))};
      // A head has what its run has: no buffer without slots.
      if (!std::binary_search(heads.begin(), heads.end(), id) ||
          !traffic_of(layer.heads[h], placement)) {
        continue;
      }
      const std::vector<Node> steps = layer.heads[h].children("steps");
      for (std::size_t s = 0; s < std::min(steps.size(), traffic.size()); ++s) {
        PcieTraffic sum = traffic[s].value_or(PcieTraffic{});
        add(sum, head_traffic(shape, placement, steps[s]));
        traffic[s] = sum;
      }
    }
  }
  return traffic;
}

sim::LineChart bytes_by_step(const sim::RunView& run, Placement placement,
                             std::span<const HeadId> heads) {
  const auto traffic = traffic_by_step(run, placement, heads);
  sim::LineChart chart = step_chart(run, sim::Unit::kBytes);
  add_series(chart, "to the GPU", sim::Ink::kAccent, field_of(traffic, &PcieTraffic::to_gpu_bytes));
  add_series(chart, "to the host", sim::Ink::kWarm, field_of(traffic, &PcieTraffic::to_host_bytes));
  return chart;
}

sim::LineChart pieces_by_step(const sim::RunView& run, Placement placement,
                              std::span<const HeadId> heads) {
  sim::LineChart chart = step_chart(run, sim::Unit::kTokens);
  add_series(chart, "pieces", sim::Ink::kAccent,
             field_of(traffic_by_step(run, placement, heads), &PcieTraffic::pieces));
  return chart;
}

sim::BarChart bytes_by_group(const sim::RunView& run, Placement placement,
                             std::span<const HeadId> selected) {
  GroupTraffic groups = group_traffic(run, placement, selected, sim::Unit::kBytes);
  add_series(groups.chart, "to the GPU", sim::Ink::kAccent,
             field_of(groups.traffic, &PcieTraffic::to_gpu_bytes));
  add_series(groups.chart, "to the host", sim::Ink::kWarm,
             field_of(groups.traffic, &PcieTraffic::to_host_bytes));
  return std::move(groups.chart);
}

sim::BarChart pieces_by_group(const sim::RunView& run, Placement placement,
                              std::span<const HeadId> selected) {
  GroupTraffic groups = group_traffic(run, placement, selected, sim::Unit::kTokens);
  add_series(groups.chart, "pieces", sim::Ink::kAccent,
             field_of(groups.traffic, &PcieTraffic::pieces));
  return std::move(groups.chart);
}

std::vector<PlacementCost> placement_costs(const sim::RunView& run, const sim::LinkSpec& spec) {
  const sim::TransferTimes link(spec);
  std::vector<PlacementCost> costs;
  for (const Placement placement : placements_of(run)) {
    PlacementCost& cost = costs.emplace_back();
    cost.placement = placement;
    if (placement != Placement::kCpuAttention) {
      cost.path = fetch_path(link, placement);
    }
    for (const sim::LayerView& layer : run.layers) {
      if (const std::optional<PcieTraffic> traffic = traffic_of(layer.node, placement)) {
        add_layer(cost, run, *traffic, link);
      }
    }
  }
  return costs;
}

sim::BarChart placement_bytes(const std::vector<PlacementCost>& costs) {
  sim::BarChart chart = placement_chart(costs, sim::Unit::kBytes);
  sim::Values to_gpu;
  sim::Values to_host;
  for (const PlacementCost& cost : costs) {
    to_gpu.emplace_back(cost.traffic.to_gpu_bytes);
    to_host.emplace_back(cost.traffic.to_host_bytes);
  }
  add_series(chart, "to the GPU", sim::Ink::kAccent, std::move(to_gpu));
  add_series(chart, "to the host", sim::Ink::kWarm, std::move(to_host));
  return chart;
}

sim::BarChart placement_pieces(const std::vector<PlacementCost>& costs) {
  sim::BarChart chart = placement_chart(costs, sim::Unit::kTokens);
  sim::Values pieces;
  for (const PlacementCost& cost : costs) {
    pieces.emplace_back(cost.traffic.pieces);
  }
  add_series(chart, "copies of the copy engines", sim::Ink::kAccent, std::move(pieces));
  return chart;
}

sim::BarChart placement_times(const std::vector<PlacementCost>& costs) {
  sim::BarChart chart = placement_chart(costs, sim::Unit::kMicroseconds);
  sim::Values to_gpu;
  sim::Values to_host;
  for (const PlacementCost& cost : costs) {
    to_gpu.emplace_back(cost.to_gpu_us);
    to_host.emplace_back(cost.to_host_us);
  }
  add_series(chart, "to the GPU", sim::Ink::kAccent, std::move(to_gpu));
  add_series(chart, "to the host", sim::Ink::kWarm, std::move(to_host));
  return chart;
}

sim::Table placement_table(const std::vector<PlacementCost>& costs, const sim::LinkSpec& link) {
  sim::Table table{{{.title = "placement", .numeric = false},
                    {.title = "way to the GPU", .numeric = false},
                    {.title = "to the GPU (IEC)"},
                    {.title = "to the host (IEC)"},
                    {.title = "pieces to the GPU"},
                    {.title = "bytes of a piece (IEC)"},
                    {.title = "time to the GPU"},
                    {.title = "time to the host"},
                    {.title = "rate to the GPU (SI)"},
                    {.title = "of the link's data sheet"}},
                   {},
                   "Placements"};
  const auto cell = [](double value, sim::Unit unit) {
    return sim::Cell{sim::number_text(value, unit), sim::exact_text(value, unit)};
  };
  for (const PlacementCost& cost : costs) {
    table.rows.push_back(
        {{key_of(cost.placement)},
         {cost.path ? std::string(sim::name_of(*cost.path)) : "one message"},
         cell(cost.traffic.to_gpu_bytes, sim::Unit::kBytes),
         cell(cost.traffic.to_host_bytes, sim::Unit::kBytes),
         cell(cost.gpu_pieces, sim::Unit::kTokens),
         cell(cost.piece_bytes(), sim::Unit::kBytes),
         cell(cost.to_gpu_us, sim::Unit::kMicroseconds),
         cell(cost.to_host_us, sim::Unit::kMicroseconds),
         cell(cost.to_gpu_gbps(), sim::Unit::kGbps),
         cell(cost.to_gpu_gbps() / link.to_gpu.spec_gbps.value, sim::Unit::kShare)});
  }
  return table;
}

std::optional<double> knee_bytes(const sim::LinkSpec& link, TransferPath path,
                                 Direction direction) {
  const std::vector<sim::TransferSegment>& segments =
      (direction == Direction::kToGpu ? link.to_gpu : link.to_host).path(path);
  if (segments.empty()) {
    return std::nullopt;
  }
  const double half = 0.5 * segments.back().gbps.value;
  double knee = 0.0;
  for (std::size_t i = segments.size(); i-- > 0;) {
    const double rate = segments[i].gbps.value;
    const auto from = static_cast<double>(segments[i].from_bytes);
    if (rate <= half) {
      return knee;  // no piece of this segment reaches half
    }
    // piece / (t_piece + piece / rate) >= half
    const double least =
        segments[i].piece_us.value * half * kBytesPerUsOfGbps / (1.0 - half / rate);
    knee = std::max(from, least);
    if (knee > from) {
      return knee;
    }
  }
  return knee;
}

PointChart link_curves(const sim::LinkSpec& spec, const std::vector<PlacementCost>& costs,
                       Placement shown) {
  constexpr std::array<sim::Ink, sim::kTransferPaths> kInks{sim::Ink::kAccent, sim::Ink::kWarm,
                                                            sim::Ink::kSand, sim::Ink::kGrey};
  const sim::TransferTimes link(spec);
  PointChart chart;
  chart.x = {.name = "bytes of a piece", .unit = sim::Unit::kBytes, .log = true};
  chart.y = {.name = "modelled rate to the GPU", .unit = sim::Unit::kGbps};
  for (std::size_t p = 0; p < kPaths.size(); ++p) {
    const std::vector<sim::TransferSegment>& segments = spec.to_gpu.path(kPaths[p]);
    if (segments.empty()) {
      continue;
    }
    const std::string name(sim::name_of(kPaths[p]));
    PointChart::Line line{.name = name, .ink = kInks[p]};
    for (const double size : piece_sizes(segments)) {
      line.x.push_back(size);
      line.y.push_back(rate_gbps(link, kPaths[p], size));
    }
    chart.lines.push_back(std::move(line));
    const double knee = *knee_bytes(spec, kPaths[p], Direction::kToGpu);
    if (knee >= kSmallestPiece) {
      chart.marks.push_back({.name = fmt::format("knee of {}: half of its best rate", name),
                             .label = fmt::format("{} knee {}", name, bytes_text(knee)),
                             .x = knee,
                             .y = rate_gbps(link, kPaths[p], knee),
                             .ink = kInks[p]});
    }
  }
  for (const PlacementCost& cost : costs) {
    if (cost.to_gpu_us <= 0.0) {
      continue;
    }
    const std::string way = cost.path ? std::string(sim::name_of(*cost.path)) : "message";
    chart.marks.push_back({.name = fmt::format("{}'s pieces, by {}", key_of(cost.placement), way),
                           .label = key_of(cost.placement),
                           .x = cost.piece_bytes(),
                           .y = cost.to_gpu_gbps(),
                           .ink = sim::Ink::kWarm,
                           .strong = cost.placement == shown});
  }
  return chart;
}

std::string knees_text(const sim::LinkSpec& link) {
  std::string text;
  for (const TransferPath path : kPaths) {
    if (const std::optional<double> knee = knee_bytes(link, path, Direction::kToGpu)) {
      text +=
          fmt::format("{}{} {}", text.empty() ? "" : ", ", sim::name_of(path), bytes_text(*knee));
    }
  }
  return text;
}

sim::Table traffic_totals(const sim::RunView& run, Placement placement) {
  sim::Table table{{{.title = "what", .numeric = false},
                    {.title = "to the GPU (IEC)"},
                    {.title = "to the host (IEC)"},
                    {.title = "both (IEC)"},
                    {.title = "pieces"},
                    {.title = "origin", .numeric = false}},
                   {},
                   "Totals"};
  const auto row = [&](const std::string& what, std::optional<double> to_gpu,
                       std::optional<double> to_host, std::optional<double> pieces,
                       const std::string& origin) {
    const auto bytes = [](const std::optional<double>& value) {
      return sim::Cell{value ? bytes_text(*value) : "",
                       value ? sim::exact_text(*value, sim::Unit::kBytes) : ""};
    };
    const std::optional<double> both =
        to_gpu && to_host ? std::optional(*to_gpu + *to_host) : std::nullopt;
    table.rows.push_back({{what},
                          bytes(to_gpu),
                          bytes(to_host),
                          bytes(both),
                          {pieces ? sim::number_text(*pieces, sim::Unit::kTokens) : ""},
                          {origin}});
  };
  const std::optional<Node> summary = run.document.child("summary");
  if (const auto traffic = summary ? traffic_of(*summary, placement) : std::nullopt) {
    const auto steps = static_cast<double>(run.steps.size());
    const std::string layers =
        sim::counted(static_cast<std::int64_t>(run.layers.size()), "replayed layer");
    row("a decode step of " + layers, traffic->to_gpu_bytes, traffic->to_host_bytes,
        traffic->pieces, "modelled (ledger)");
    row("all " + sim::counted(static_cast<std::int64_t>(run.steps.size()), "decode step"),
        traffic->to_gpu_bytes * steps, traffic->to_host_bytes * steps, traffic->pieces * steps,
        "modelled (ledger)");
  }
  // The backend ran the run's own placement.
  const std::optional<Node> decode = run.document.child("decode");
  const auto bus =
      decode && placement == placement_of(run) ? decode->child("bus_per_step") : std::nullopt;
  if (bus) {
    row("the same step, counted on " + run.document.text("backend"), bus->number("to_gpu_bytes"),
        bus->number("to_host_bytes"), bus->number("copies"), "counted");
  }
  const std::optional<Node> cost = run.document.child("cost");
  const auto model =
      cost && placement == placement_of(run) ? cost->child("pcie_per_step") : std::nullopt;
  if (model) {
    const std::optional<Node> shape = cost->child("model");
    row(fmt::format("a step of all {} layers of {}, batch {}",
                    shape ? shape->integer_or("L", 0) : 0, shape ? shape->text("id") : "the model",
                    cost->integer_or("batch", 1)),
        model->number("to_gpu_bytes"), model->number("to_host_bytes"), std::nullopt,
        "modelled (cost)");
  }
  return table;
}

}  // namespace kvsieve::gui
