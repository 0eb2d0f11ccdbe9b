#include <fmt/format.h>

#include <algorithm>

#include "kvsieve/sim/chart_table.h"
#include "kvsieve/sim/run_series.h"
#include "report_model.h"
#include "section_parts.h"

namespace kvsieve::sim {
namespace {

/// Where the losses of a run stand: unseen decode steps, or the observation window without them.
struct LossKeys {
  std::string prefix;
  std::string where;
};

LossKeys loss_keys(const RunView& run) {
  if (run.summary("evicted_mass") || !run.summary("observation/evicted_mass")) {
    return {"", "on " + replayed_on(run)};
  }
  return {"observation/", "on the observation window"};
}

std::optional<double> budget_of(const Node& head) {
  const std::optional<std::int64_t> budget = head.integer("budget");
  return budget ? std::optional(static_cast<double>(*budget)) : std::nullopt;
}

void add_fact(std::vector<Fact>& facts, const std::string& name, std::optional<double> value,
              Unit unit, const std::string& detail = {}) {
  if (value) {
    facts.push_back({name, number_text(*value, unit), detail});
  }
}

std::string against_uniform(const RunView& run, const std::string& key, Unit unit) {
  const std::optional<double> uniform = run.summary(key);
  return run.adaptive && uniform ? number_text(*uniform, unit) + " with equal budgets" : "";
}

std::string improved(const RunView& run, const std::string& key) {
  const std::optional<double> better = run.summary("ratio_to_uniform/" + key);
  const std::optional<double> layers = run.summary("ratio_to_uniform/layers");
  return better && layers ? fmt::format("better in {} of {}", number_text(*better, Unit::kTokens),
                                        counted(static_cast<std::int64_t>(*layers), "layer"))
                          : "";
}

std::vector<Fact> headline(const RunView& run) {
  std::vector<Fact> facts;
  const std::optional<double> kept = run.summary("kept_tokens_per_head_mean");
  const auto prompt = static_cast<double>(run.trace.prompt_tokens);
  const std::optional<double> share = share_of(kept, prompt);
  add_fact(facts, "tokens kept a " + run.unit_name, kept, Unit::kTokens,
           share ? fmt::format("of {} ({})", grouped(run.trace.prompt_tokens),
                               number_text(*share, Unit::kShare))
                 : "");
  const LossKeys keys = loss_keys(run);
  const bool decoded = keys.prefix.empty();
  const std::string uniform_mass =
      decoded ? against_uniform(run, "uniform/evicted_mass", Unit::kShare) : "";
  const std::string uniform_l1 =
      decoded ? against_uniform(run, "uniform/l1_loss_relative", Unit::kShare) : "";
  add_fact(facts, "attention mass evicted", run.summary(keys.prefix + "evicted_mass"), Unit::kShare,
           uniform_mass.empty() ? keys.where : uniform_mass);
  add_fact(facts, "L1 loss of the output", run.summary(keys.prefix + "l1_loss_relative"),
           Unit::kShare, uniform_l1.empty() ? keys.where : uniform_l1);
  if (run.adaptive) {
    add_fact(facts, "evicted mass to uniform", run.summary("ratio_to_uniform/evicted_mass"),
             Unit::kRatio, improved(run, "layers_improved_mass"));
    add_fact(facts, "L1 loss to uniform", run.summary("ratio_to_uniform/l1_loss"), Unit::kRatio,
             improved(run, "layers_improved_l1"));
  }
  if (const std::optional<double> needle = run.summary("needle/kept_share")) {
    const std::optional<double> whole = run.summary("needle/heads_keeping_all");
    const std::optional<double> heads = run.summary("needle/heads");
    facts.push_back({"of the needle kept", number_text(*needle, Unit::kShare),
                     whole && heads ? fmt::format("{} of {} heads keep all of it",
                                                  number_text(*whole, Unit::kTokens),
                                                  number_text(*heads, Unit::kTokens))
                                    : ""});
  }
  return facts;
}

BudgetChart budget_chart(const RunView& run) {
  BudgetChart chart;
  chart.unit_name = run.unit_name;
  for (const LayerView& layer : run.layers) {
    BudgetChart::Layer& entry = chart.layers.emplace_back();
    entry.name = fmt::format("{}", layer.layer);
    double sum = 0.0;
    for (const Node& head : layer.heads) {
      if (const std::optional<double> budget = budget_of(head)) {
        entry.budgets.push_back(*budget);
        sum += *budget;
      }
    }
    const double heads = std::max<double>(1.0, static_cast<double>(entry.budgets.size()));
    entry.equal = layer.node.number("budget_total").value_or(sum) / heads;
  }
  return chart;
}

Part budgets(const RunView& run) {
  Part part = make_part("Where the budget goes", run.origin);
  const HeatMap map = head_map(run, "tokens kept", Unit::kTokens, budget_of);
  const Range range = range_of(map.values);
  const bool wide = needs_width(map);
  if (!has_values(map.values)) {
    return part;
  }
  if (!varies(map)) {
    part.text.push_back(fmt::format("Every {} keeps {}.", run.unit_name,
                                    counted(static_cast<std::int64_t>(range.low), "token")));
  } else {
    part.text.push_back(fmt::format(
        "The {}s keep between {} and {} tokens of the prompt each, window and sinks included.",
        run.unit_name, number_text(range.low, Unit::kTokens),
        number_text(range.high, Unit::kTokens)));
    part.figures.push_back(make_figure("Budget of each head",
                                       fmt::format("Tokens that each {} keeps.", run.unit_name),
                                       map, wide));
  }
  const HeatMap mass = head_map(run, "evicted mass", Unit::kShare,
                                [](const Node& head) { return head.number("evicted_mass"); });
  if (varies(mass)) {
    part.figures.push_back(make_figure("Evicted mass of each head",
                                       "Share of its attention that fell on dropped tokens.", mass,
                                       wide));
  }
  if (varies(map)) {
    part.figures.push_back(make_figure(
        "Budgets beside the equal share",
        fmt::format(
            "Each {} of a layer, and what it would get if the layer's total were shared out "
            "equally.",
            run.unit_name),
        budget_chart(run), true));
  }
  return part;
}

void add_loss_charts(const RunView& run, const LossKeys& keys, Part& part) {
  const std::vector<std::string> names = layer_names(run);
  const bool wide = needs_width(run);
  const auto loss_chart = [&](const std::string& title, const std::string& key,
                              const std::string& note) {
    BarChart chart;
    chart.category_name = "layer";
    chart.categories = names;
    chart.series.push_back({run.method_name, layer_values(run, keys.prefix + key), Ink::kAccent});
    if (run.adaptive) {
      chart.series.push_back(
          {"equal budgets", layer_values(run, keys.prefix + "uniform/" + key), Ink::kGrey});
    }
    if (has_values(chart.series[0].values)) {
      part.figures.push_back(make_figure(title, note, std::move(chart), wide));
    }
  };
  loss_chart("Evicted mass by layer", "evicted_mass",
             "Attention that fell on dropped tokens, mean over query heads.");
  loss_chart("L1 loss by layer", "l1_loss_relative",
             "Change of the layer's attention output, relative to its size.");
  if (!run.adaptive) {
    return;
  }
  const auto ratio_chart = [&](const std::string& title, const std::string& key) {
    RatioChart chart{"layer", "to uniform", names, {}};
    const Values own = layer_values(run, keys.prefix + key);
    const Values uniform = layer_values(run, keys.prefix + "uniform/" + key);
    for (std::size_t i = 0; i < own.size(); ++i) {
      chart.values.push_back(share_of(own[i], uniform[i]));
    }
    if (has_values(chart.values)) {
      part.figures.push_back(
          make_figure(title, "Adaptive over equal budgets at the same total; below one is better.",
                      std::move(chart), wide));
    }
  };
  ratio_chart("Evicted mass against uniform", "evicted_mass");
  ratio_chart("L1 loss against uniform", "l1_loss");
}

/// Every figure of every layer.
Table layer_table(const RunView& run, const LossKeys& keys) {
  struct Field {
    std::string key;
    std::string title;
    Unit unit;
  };
  std::vector<Field> fields{{"budget_total", "budget", Unit::kTokens},
                            {keys.prefix + "evicted_mass", "evicted mass", Unit::kShare},
                            {keys.prefix + "l1_loss", "L1 loss", Unit::kNumber},
                            {keys.prefix + "l1_loss_relative", "L1 relative", Unit::kShare}};
  if (run.adaptive) {
    fields.insert(
        fields.end(),
        {{keys.prefix + "uniform/evicted_mass", "evicted mass, uniform", Unit::kShare},
         {keys.prefix + "uniform/l1_loss", "L1 loss, uniform", Unit::kNumber},
         {keys.prefix + "uniform/l1_loss_relative", "L1 relative, uniform", Unit::kShare}});
  }
  fields.insert(fields.end(), {{keys.prefix + "bound_theta", "bound theta", Unit::kNumber},
                               {keys.prefix + "bound_head", "bound per head", Unit::kNumber},
                               {keys.prefix + "bound", "bound eps", Unit::kNumber}});
  std::erase_if(fields,
                [&](const Field& field) { return !has_values(layer_values(run, field.key)); });
  Table table{{{.title = "layer", .numeric = false}}, {}, "Every figure of every layer"};
  for (const Field& field : fields) {
    table.columns.push_back({.title = field.title});
  }
  for (const LayerView& layer : run.layers) {
    std::vector<Cell> row{{fmt::format("{}", layer.layer)}};
    for (const Field& field : fields) {
      const std::optional<double> value = layer.node.number(field.key);
      row.push_back({value ? number_text(*value, field.unit) : ""});
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

Part losses(const RunView& run) {
  const LossKeys keys = loss_keys(run);
  Part part = make_part("What it loses, layer by layer", run.origin);
  if (keys.prefix.empty() && run.summary("evicted_mass")) {
    part.text.push_back(fmt::format(
        "Losses are means over {} that the method had not seen when it chose.", replayed_on(run)));
  } else {
    part.text.emplace_back(
        "The trace has no decode steps: losses are those on the observation window, whose queries "
        "the method has seen, and therefore flatter it.");
  }
  const std::optional<double> seen = run.summary("observation/evicted_mass");
  const std::optional<double> seen_l1 = run.summary("observation/l1_loss_relative");
  if (keys.prefix.empty() && seen) {
    part.text.push_back(fmt::format(
        "On the observation window, the prompt's last queries, the evicted mass is {}{}.",
        number_text(*seen, Unit::kShare),
        seen_l1 ? " and the relative L1 loss " + number_text(*seen_l1, Unit::kShare) : ""));
  }
  if (const std::optional<double> bound = run.summary("bound")) {
    part.text.push_back(
        fmt::format("The L1 loss of {} has the upper bounds {} (theta, from value norms), {} (a "
                    "constant a head) "
                    "and {} (eps, one constant for all heads).",
                    number_text(run.summary("l1_loss").value_or(0.0), Unit::kNumber),
                    number_text(run.summary("bound_theta").value_or(*bound), Unit::kNumber),
                    number_text(run.summary("bound_head").value_or(*bound), Unit::kNumber),
                    number_text(*bound, Unit::kNumber)));
  }
  add_loss_charts(run, keys, part);
  part.tables.push_back(layer_table(run, keys));
  return part;
}

Part decode_steps(const RunView& run) {
  Part part = make_part("Over the decode steps", run.origin);
  if (run.steps.size() < 2) {
    return part;
  }
  const auto add = [&](const std::string& title, const std::string& key, Unit unit,
                       const std::string& note) {
    LineChart chart{"step", step_numbers(run), {{title, step_values(run, key)}}, unit, {}};
    if (has_values(chart.series[0].values)) {
      part.figures.push_back(make_figure(title + " by step", note, std::move(chart)));
    }
  };
  add("Evicted mass", "evicted_mass", Unit::kShare, "Mean over layers and query heads.");
  add("L1 loss", "l1_loss", Unit::kNumber, "Mean over layers, in the units of the output.");
  return part;
}

/// Heads from the smallest to the largest budget.
TokenStrip token_strip(const RunView& run) {
  constexpr std::size_t kHeads = 8;
  struct Pick {
    std::int64_t budget;
    std::int64_t layer;
    Node head;
  };
  std::vector<Pick> all;
  for (const LayerView& layer : run.layers) {
    for (const Node& head : layer.heads) {
      all.push_back({head.integer_or("budget", 0), layer.layer, head});
    }
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const Pick& a, const Pick& b) { return a.budget < b.budget; });
  TokenStrip strip;
  strip.tokens = run.trace.prompt_tokens;
  if (strip.tokens == 0) {
    return strip;
  }
  strip.sinks = std::min(run.method.integer_or("sinks", 0), strip.tokens);
  strip.window = std::min(run.method.integer_or("window", 0), strip.tokens);
  if (run.trace.needle && run.trace.needle->tokens.end <= strip.tokens) {
    strip.needle = run.trace.needle->tokens;
  }
  const std::size_t shown = std::min(kHeads, all.size());
  for (std::size_t i = 0; i < shown; ++i) {
    const std::size_t at = shown == 1 ? 0 : i * (all.size() - 1) / (shown - 1);
    const Pick& pick = all[at];
    std::vector<TokenRun> runs = kept_runs(pick.head, strip.tokens);
    if (!runs.empty()) {
      strip.rows.push_back(
          {fmt::format("layer {}, head {}", pick.layer, pick.head.integer_or("head", 0)),
           pick.budget, std::move(runs)});
    }
  }
  return strip;
}

Part kept_tokens(const RunView& run) {
  Part part = make_part("What stays of the context", run.origin);
  TokenStrip strip = token_strip(run);
  if (strip.rows.empty()) {
    return part;
  }
  std::size_t heads = 0;
  for (const LayerView& layer : run.layers) {
    heads += layer.heads.size();
  }
  const bool all = heads == strip.rows.size();
  part.figures.push_back(
      make_figure("Tokens kept along the prompt",
                  all ? "Every head, from the smallest to the largest budget."
                      : "A few heads, evenly chosen from the smallest to the largest budget.",
                  std::move(strip), true));
  return part;
}

Part needle(const RunView& run) {
  Part part = make_part("The needle", run.origin);
  if (!run.trace.needle) {
    return part;
  }
  const NeedleView& view = *run.trace.needle;
  const std::int64_t length = view.tokens.end - view.tokens.begin;
  part.text.push_back(fmt::format("Tokens {} to {} of the prompt hold this text: \u201c{}\u201d",
                                  grouped(view.tokens.begin), grouped(view.tokens.end - 1),
                                  view.text));
  const HeatMap map =
      head_map(run, "of the needle", Unit::kShare, [&](const Node& head) -> std::optional<double> {
        const std::optional<std::int64_t> kept = head.integer("needle_kept");
        return kept ? share_of(static_cast<double>(*kept), static_cast<double>(length))
                    : std::nullopt;
      });
  const std::optional<double> share = run.summary("needle/kept_share");
  if (share) {
    part.text.push_back(fmt::format(
        "On average a {} keeps {} of its {}; {} of {} heads keep all of it.", run.unit_name,
        number_text(*share * static_cast<double>(length), Unit::kTokens), counted(length, "token"),
        number_text(run.summary("needle/heads_keeping_all").value_or(0.0), Unit::kTokens),
        number_text(run.summary("needle/heads").value_or(0.0), Unit::kTokens)));
  }
  if (varies(map)) {
    HeatMap scaled = map;
    scaled.low = 0.0;
    scaled.high = 1.0;
    part.figures.push_back(make_figure("Needle kept by each head",
                                       "Share of the needle's tokens that a head keeps.",
                                       std::move(scaled), needs_width(map)));
  }
  return part;
}

Part memory(const RunView& run) {
  Part part = make_part("Memory", run.cost_origin);
  const std::optional<double> full = run.cost("kv_full_bytes");
  const std::optional<double> kept = run.cost("kv_kept_bytes");
  const std::optional<double> share = share_of(kept, full);
  add_fact(part.facts, "KV cache of the replayed layers", full, Unit::kBytes,
           fmt::format("{} of the prompt, {}", counted(run.trace.prompt_tokens, "token"),
                       run.trace.dtype));
  add_fact(part.facts, "kept on the GPU", kept, Unit::kBytes,
           share ? number_text(*share, Unit::kShare) : "");
  add_fact(part.facts, "PCIe a decode step", run.cost("pcie_bytes_per_step"), Unit::kBytes,
           "dropped tokens are gone");
  if (!part.facts.empty()) {
    part.text.emplace_back(
        "Counted from the budgets and the trace's shape; no clock was involved.");
  }
  return part;
}

bool is_empty(const Part& part) {
  return part.text.empty() && part.facts.empty() && part.figures.empty() && part.tables.empty();
}

}  // namespace

Section eviction_section(const RunView& run) {
  Section section;
  section.number = static_cast<int>(run.number);
  section.title = run.label();
  section.family = "eviction";
  section.origin = run.origin;
  section.headline = headline(run);
  section.warnings = run.warnings;
  section.set_up = set_up(run);
  if (!run.layers.empty()) {
    section.parts = {budgets(run),     losses(run), decode_steps(run),
                     kept_tokens(run), needle(run), memory(run)};
  }
  std::erase_if(section.parts, is_empty);
  return section;
}

}  // namespace kvsieve::sim
