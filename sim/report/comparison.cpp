#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "kvsieve/sim/chart_table.h"
#include "kvsieve/sim/run_series.h"
#include "report_model.h"
#include "section_parts.h"

namespace kvsieve::sim {
namespace {

Cell number_cell(std::optional<double> value, Unit unit) {
  return {value ? number_text(*value, unit) : ""};
}

Cell method_cell(const RunView& run) {
  Cell cell{run.method_name, run.family == Family::kEviction ? "eviction" : "retrieval"};
  cell.detail += run.remark.empty() ? "" : ", " + run.remark;
  cell.section = static_cast<int>(run.number);
  return cell;
}

Cell budget_cell(const RunView& run) {
  Cell cell{run.budget};
  if (run.family == Family::kRetrieval) {
    cell.detail = run.budget.empty() ? "" : "top K";
  } else if (const auto tokens = run.method.integer("budget_tokens")) {
    cell.detail = counted(*tokens, "token");
  }
  return cell;
}

Cell tokens_cell(const RunView& run) {
  Cell cell = number_cell(tokens_a_head(run), Unit::kTokens);
  if (!cell.text.empty()) {
    cell.detail = "a " + run.unit_name;
  }
  return cell;
}

Cell ratio_cell(const RunView& run, const std::string& key, const std::string& improved) {
  const std::optional<double> ratio =
      run.adaptive ? run.summary("ratio_to_uniform/" + key) : std::nullopt;
  Cell cell = number_cell(ratio, Unit::kRatio);
  if (ratio) {
    cell.tone = *ratio < 1.0 ? Tone::kBetter : *ratio > 1.0 ? Tone::kWorse : Tone::kPlain;
    const std::optional<double> layers = run.summary("ratio_to_uniform/layers");
    const std::optional<double> better = run.summary("ratio_to_uniform/" + improved);
    if (layers && better) {
      cell.detail = fmt::format("{} of {} layers", number_text(*better, Unit::kTokens),
                                number_text(*layers, Unit::kTokens));
    }
  }
  return cell;
}

Cell traffic_cell(const RunView& run) {
  Cell cell = number_cell(run.cost("pcie_bytes_per_step"), Unit::kBytes);
  if (run.family == Family::kRetrieval) {
    cell.detail = run.method.text("placement");
  }
  return cell;
}

Cell memory_cell(const RunView& run) {
  const std::optional<double> full = run.cost("kv_full_bytes");
  if (!full) {
    return {};
  }
  if (run.family == Family::kRetrieval) {
    return {number_text(1.0, Unit::kShare), fmt::format("of {}", number_text(*full, Unit::kBytes))};
  }
  const std::optional<double> kept = run.cost("kv_kept_bytes");
  Cell cell = number_cell(share_of(kept, full), Unit::kShare);
  if (kept) {
    cell.detail = "of " + number_text(*full, Unit::kBytes);
  }
  return cell;
}

/// "captured", or what the runs have between them.
std::string origins(const std::vector<RunView>& runs) {
  std::string all;
  for (const RunView& run : runs) {
    if (all.find(run.origin) == std::string::npos) {
      all += (all.empty() ? "" : " or ") + run.origin;
    }
  }
  return all;
}

Table comparison_table(const std::vector<RunView>& runs) {
  struct Field {
    Column column;
    std::function<Cell(const RunView&)> cell;
  };
  const std::string captured = origins(runs);
  const std::string modelled = runs[0].cost_origin;
  const auto share = [](const char* key) {
    return [key](const RunView& run) { return number_cell(run.summary(key), Unit::kShare); };
  };
  const Column run_column{.title = "run", .numeric = false};
  std::vector<Field> fields{
      {run_column, [](const RunView& run) { return Cell{fmt::format("{}", run.number)}; }},
      {{.title = "method", .numeric = false}, method_cell},
      {{.title = "budget", .numeric = true}, budget_cell},
      {{.title = "tokens kept or attended", .origin = captured}, tokens_cell},
      {{.title = "evicted mass", .origin = captured}, share("evicted_mass")},
      {{.title = "recall", .origin = captured}, share("recall")},
      {{.title = "captured mass", .origin = captured}, share("captured_mass")},
      {{.title = "output error", .origin = captured}, share("output_error")},
      {{.title = "L1 loss, relative", .origin = captured}, share("l1_loss_relative")},
      {{.title = "mass to uniform", .origin = captured},
       [](const RunView& run) { return ratio_cell(run, "evicted_mass", "layers_improved_mass"); }},
      {{.title = "L1 to uniform", .origin = captured},
       [](const RunView& run) { return ratio_cell(run, "l1_loss", "layers_improved_l1"); }},
      {{.title = "needle kept or found", .origin = captured},
       [](const RunView& run) { return number_cell(needle_share(run), Unit::kShare); }},
      {{.title = "PCIe a step", .origin = modelled}, traffic_cell},
      {{.title = "KV kept of full", .origin = modelled}, memory_cell},
  };
  const bool several_traces = std::any_of(runs.begin(), runs.end(), [&](const RunView& run) {
    return run.trace.hash != runs[0].trace.hash || run.trace.file != runs[0].trace.file;
  });
  if (several_traces) {
    fields.insert(fields.begin() + 2,
                  {{.title = "trace", .numeric = false}, [](const RunView& run) {
                     return Cell{run.trace.file, run.trace.model};
                   }});
  }
  Table table;
  table.rows.resize(runs.size());
  for (const Field& field : fields) {
    std::vector<Cell> column;
    for (const RunView& run : runs) {
      column.push_back(field.cell(run));
    }
    if (std::all_of(column.begin(), column.end(),
                    [](const Cell& cell) { return cell.text.empty(); })) {
      continue;
    }
    table.columns.push_back(field.column);
    for (std::size_t i = 0; i < runs.size(); ++i) {
      table.rows[i].push_back(std::move(column[i]));
    }
  }
  return table;
}

/// Only runs on one trace can be set against each other.
void add_scatter(const std::vector<RunView>& runs, Part& part, const std::string& title,
                 const std::string& loss, const std::string& note,
                 const std::function<std::optional<double>(const RunView&)>& value) {
  ScatterChart chart;
  chart.x_name = "tokens a head";
  chart.y_name = loss;
  for (const RunView& run : runs) {
    const std::optional<double> x = tokens_a_head(run);
    const std::optional<double> y = value(run);
    if (x && y && run.trace.hash == runs[0].trace.hash) {
      chart.points.push_back({fmt::format("{}", run.number), run.method_name, *x, *y,
                              run.family == Family::kEviction ? Ink::kAccent : Ink::kWarm});
    }
  }
  if (chart.points.size() > 1 && chart.points.size() == runs.size()) {
    part.figures.push_back(make_figure(title, note, std::move(chart)));
  }
}

}  // namespace

Part compare_runs(const std::vector<RunView>& runs) {
  Part part =
      make_part(runs.size() == 1 ? "At a glance" : "The runs beside each other", origins(runs));
  part.tables.push_back(comparison_table(runs));
  const std::string axes =
      " against the tokens that a head keeps (eviction) or attends to (retrieval).";
  add_scatter(runs, part, "Attention lost against tokens", "attention mass lost",
              "Mass that a decode step misses," + axes, lost_mass);
  add_scatter(runs, part, "Output changed against tokens", "L1 loss, relative",
              "Change of the output," + axes,
              [](const RunView& run) { return run.summary("l1_loss_relative"); });
  return part;
}

}  // namespace kvsieve::sim
