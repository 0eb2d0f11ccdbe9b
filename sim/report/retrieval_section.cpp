#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "kvsieve/sim/chart_table.h"
#include "kvsieve/sim/run_series.h"
#include "report_model.h"
#include "section_parts.h"

namespace kvsieve::sim {
namespace {

constexpr const char* kFetchBytes = "pcie_per_step/fetch-dma/bytes";
constexpr const char* kCpuBytes = "pcie_per_step/cpu-attention/bytes";

void add_fact(std::vector<Fact>& facts, const std::string& name, std::optional<double> value,
              Unit unit, const std::string& detail = {}) {
  if (value) {
    facts.push_back({name, number_text(*value, unit), detail});
  }
}

std::string share_text(const RunView& run, std::string_view keys) {
  const std::optional<double> value = run.summary(keys);
  return value ? number_text(*value, Unit::kShare) : "-";
}

std::vector<Fact> headline(const RunView& run) {
  std::vector<Fact> facts;
  const std::string steps = "mean of " + replayed_on(run);
  add_fact(facts, "tokens attended a KV head", run.summary("attended_tokens"), Unit::kTokens,
           fmt::format("of {} at the first step", grouped(run.trace.prompt_tokens + 1)));
  add_fact(facts, "recall of the exact top K", run.summary("recall"), Unit::kShare, steps);
  add_fact(facts, "attention mass captured", run.summary("captured_mass"), Unit::kShare,
           run.summary("retrieved_mass")
               ? share_text(run, "retrieved_mass") + " by retrieved tokens"
               : "");
  add_fact(facts, "error of the output", run.summary("output_error"), Unit::kShare,
           run.summary("l1_loss_relative") ? "L1 loss " + share_text(run, "l1_loss_relative") : "");
  add_fact(facts, "of the needle retrieved", run.summary("needle_recall"), Unit::kShare,
           "of what could be retrieved");
  return facts;
}

/// True if codes approximate windowed RoPE, so that the loss has two parts.
bool uses_codes(const RunView& run) {
  const std::string scorer = run.method.text("scorer");
  return scorer == "vq-query-aware" || scorer == "vq-plain";
}

bool uses_wrope(const RunView& run) {
  return uses_codes(run) || run.method.text("scorer") == "exact-wrope";
}

/// What a share is lost to: exact top K -> windowed RoPE -> codes.
BarChart recall_split(const RunView& run) {
  const Values recall = layer_values(run, "recall");
  const Values wrope = uses_codes(run) ? layer_values(run, "wrope_recall") : Values(recall.size());
  BarChart chart;
  chart.category_name = "layer";
  chart.categories = layer_names(run);
  chart.stacked = true;
  chart.top = 1.0;
  Series found{"found", recall, Ink::kAccent};
  Series by_scorer{"lost to the codes", {}, Ink::kPale};
  Series by_wrope{"lost to windowed RoPE", {}, Ink::kSand};
  for (std::size_t i = 0; i < recall.size(); ++i) {
    const bool split = recall[i] && wrope[i];
    by_scorer.values.push_back(split ? std::optional(std::max(0.0, *wrope[i] - *recall[i]))
                                     : std::nullopt);
    by_wrope.values.push_back(
        split ? std::optional(std::max(0.0, 1.0 - std::max(*wrope[i], *recall[i]))) : std::nullopt);
  }
  chart.series = {std::move(found), std::move(by_scorer), std::move(by_wrope)};
  std::erase_if(chart.series, [](const Series& series) { return !has_values(series.values); });
  return chart;
}

void add_bars(Part& part, const RunView& run, const std::string& title, const std::string& note,
              std::vector<Series> series, Unit unit, std::optional<double> top = {},
              std::optional<Series> marks = {}) {
  std::erase_if(series, [](const Series& one) { return !has_values(one.values); });
  if (series.empty()) {
    return;
  }
  BarChart chart{.category_name = "layer",
                 .categories = layer_names(run),
                 .series = std::move(series),
                 .unit = unit,
                 .top = top,
                 .marks = std::move(marks)};
  part.figures.push_back(make_figure(title, note, std::move(chart), needs_width(run)));
}

void add_head_map(Part& part, HeatMap map, const std::string& title, const std::string& note) {
  if (varies(map)) {
    const bool wide = needs_width(map);
    part.figures.push_back(make_figure(title, note, std::move(map), wide));
  }
}

Part findings(const RunView& run) {
  Part part = make_part("What it finds", run.origin);
  if (run.summary("recall")) {
    const bool split = uses_codes(run) && run.summary("wrope_recall").has_value();
    std::string text =
        fmt::format("Of the exact top K, {} is retrieved.", share_text(run, "recall"));
    if (split && run.summary("recall_vs_wrope")) {
      text += fmt::format(
          " Windowed RoPE alone, on exact keys, would find {}; the codes find {} of what windowed "
          "RoPE ranks highest.",
          share_text(run, "wrope_recall"), share_text(run, "recall_vs_wrope"));
    }
    part.text.push_back(std::move(text));
    part.figures.push_back(make_figure(
        split ? "Where the exact top K goes" : "Recall by layer",
        split ? "Found tokens, then what each approximation costs." : "Share of the exact top K.",
        recall_split(run), needs_width(run)));
    if (split) {
      add_bars(part, run, "Each approximation alone",
               "Windowed RoPE against the exact top K, the codes against windowed RoPE's top K.",
               {{"windowed RoPE", layer_values(run, "wrope_recall"), Ink::kSand},
                {"codes", layer_values(run, "recall_vs_wrope"), Ink::kPale},
                {"both", layer_values(run, "recall"), Ink::kAccent}},
               Unit::kShare, 1.0);
    }
  }
  add_bars(part, run, "Attention mass by layer",
           "True attention on all attended tokens, and the part that retrieval brought in.",
           {{"captured", layer_values(run, "captured_mass"), Ink::kAccent},
            {"retrieved part", layer_values(run, "retrieved_mass"), Ink::kPale}},
           Unit::kShare, 1.0);
  add_bars(part, run, "Error of the output by layer",
           "After the output projection, relative to the exact output.",
           {{"L2 error", layer_values(run, "output_error"), Ink::kAccent},
            {"L1 loss", layer_values(run, "l1_loss_relative"), Ink::kGrey}},
           Unit::kShare);
  HeatMap recall = query_head_map(run, "recall", Unit::kShare, "recall");
  add_head_map(part, std::move(recall), "Recall of each query head",
               "Share of a head's exact top K that it retrieves.");
  HeatMap mass = query_head_map(run, "captured mass", Unit::kShare, "captured_mass");
  add_head_map(part, std::move(mass), "Captured mass of each query head",
               "Share of a head's attention on the tokens it attends to.");
  if (uses_wrope(run)) {
    add_bars(
        part, run, "Error of the scores by layer",
        "Squared error over the variance of the scores, so that 1 is no better than their mean.",
        {{"windowed RoPE", layer_values(run, "wrope_score_error/nmse"), Ink::kSand},
         {"codes", layer_values(run, "vq_score_error/nmse"), Ink::kPale}},
        Unit::kNumber);
  }
  return part;
}

Table layer_table(const RunView& run) {
  struct Field {
    const char* key;
    const char* title;
    Unit unit;
  };
  constexpr Field kFields[] = {
      {"recall", "recall", Unit::kShare},
      {"wrope_recall", "windowed RoPE alone", Unit::kShare},
      {"recall_vs_wrope", "given windowed RoPE", Unit::kShare},
      {"captured_mass", "captured mass", Unit::kShare},
      {"output_error", "output error", Unit::kShare},
      {"l1_loss", "L1 loss", Unit::kNumber},
      {"l1_loss_relative", "L1 relative", Unit::kShare},
      {"attended_tokens", "attended", Unit::kTokens},
      {"union_tokens", "retrieved", Unit::kTokens},
      {"union_factor", "union over K", Unit::kRatio},
      {"overlap", "overlap", Unit::kShare},
      {"boundary_ties", "ties at K", Unit::kNumber},
      {"hot_hit_rate", "hot hits", Unit::kShare},
      {"needle_recall", "needle", Unit::kShare},
  };
  Table table{{{.title = "layer", .numeric = false}}, {}, "Every figure of every layer"};
  std::vector<Values> columns;
  std::vector<Unit> units;
  for (const Field& field : kFields) {
    const bool wrope = std::string_view(field.key).find("wrope") != std::string_view::npos;
    Values values = layer_values(run, field.key);
    if (has_values(values) && (!wrope || uses_wrope(run))) {
      table.columns.push_back({.title = field.title});
      columns.push_back(std::move(values));
      units.push_back(field.unit);
    }
  }
  for (std::size_t row = 0; row < run.layers.size(); ++row) {
    std::vector<Cell> cells{{fmt::format("{}", run.layers[row].layer)}};
    for (std::size_t i = 0; i < columns.size(); ++i) {
      cells.push_back({columns[i][row] ? number_text(*columns[i][row], units[i]) : ""});
    }
    table.rows.push_back(std::move(cells));
  }
  return table;
}

Part decode_steps(const RunView& run) {
  Part part = make_part("Over the decode steps", run.origin);
  const auto add = [&](const std::string& title, const std::string& note,
                       std::vector<Series> series) {
    std::erase_if(series, [](const Series& one) { return !has_values(one.values); });
    if (!series.empty() && run.steps.size() > 1) {
      LineChart chart{"step", step_numbers(run), std::move(series), Unit::kShare, 1.0};
      part.figures.push_back(make_figure(title, note, std::move(chart)));
    }
  };
  add("Recall and captured mass by step", "Means over layers and heads.",
      {{"captured mass", step_values(run, "captured_mass"), Ink::kAccent},
       {"recall", step_values(run, "recall"), Ink::kWarm}});
  add("Overlap of consecutive steps",
      "Share of a step's retrieved tokens that the step before retrieved too; what a buffer could "
      "save.",
      {{"overlap", step_values(run, "overlap"), Ink::kAccent},
       {"hot-buffer hits",
        run.method.integer_or("hot_buffer_tokens", 0) > 0 ? step_values(run, "hot_hit_rate")
                                                          : Values{},
        Ink::kGrey}});
  part.tables.push_back(layer_table(run));
  return part;
}

Part needle(const RunView& run) {
  Part part = make_part("The needle", run.origin);
  if (!run.trace.needle) {
    return part;
  }
  const NeedleView& view = *run.trace.needle;
  part.text.push_back(fmt::format("Tokens {} to {} of the prompt hold this text: \u201c{}\u201d",
                                  grouped(view.tokens.begin), grouped(view.tokens.end - 1),
                                  view.text));
  Series retrieved{"needle retrieved", step_values(run, "needle_recall"), Ink::kAccent};
  if (run.steps.size() > 1 && has_values(retrieved.values)) {
    LineChart chart{"step", step_numbers(run), {std::move(retrieved)}, Unit::kShare, 1.0};
    part.figures.push_back(make_figure(
        "Needle retrieved by step",
        "Share of the needle's tokens among the retrieved ones, mean over layers and KV heads.",
        std::move(chart)));
  }
  HeatMap map = head_map(run, "of the needle", Unit::kShare,
                         [](const Node& head) { return head.number("needle_recall"); });
  map.low = 0.0;
  map.high = 1.0;
  add_head_map(part, std::move(map), "Needle retrieved by each head",
               "Mean over the decode steps.");
  return part;
}

/// Codewords, from the codebook if the document says how many there are.
Part code_usage(const RunView& run) {
  Part part = make_part("How the codes are used", run.origin);
  const auto usage = [&](const char* key) {
    const std::string path = std::string("code_usage/") + key;
    return layer_means(run, [&](const Node& head) { return head.number(path); });
  };
  const Values entropy = usage("entropy_bits");
  if (!has_values(entropy)) {
    return part;
  }
  const std::optional<double> codewords = run.method.number("codebook/codewords");
  std::optional<Series> ceiling;
  std::string note = "Entropy of the codes of all tokens, mean over KV heads.";
  if (codewords && *codewords >= 1.0) {
    ceiling =
        Series{"all codewords alike", Values(entropy.size(), std::log2(*codewords)), Ink::kGrey};
    part.text.push_back(fmt::format("A KV head has {}.",
                                    counted(static_cast<std::int64_t>(*codewords), "codeword")));
  }
  add_bars(part, run, "Entropy of the codes, in bits", note, {{"entropy", entropy, Ink::kAccent}},
           Unit::kNumber, {}, std::move(ceiling));
  const Values dead = usage("dead_codes");
  if (range_of(dead).high > 0.0) {
    add_bars(part, run, "Dead codewords", "Codewords that no token uses, mean over KV heads.",
             {{"dead codewords", dead, Ink::kAccent}}, Unit::kTokens);
  } else if (has_values(dead)) {
    part.text.emplace_back("No codeword is dead: each encodes at least one token.");
  }
  add_bars(part, run, "Tokens of a codeword", "Mean over KV heads.",
           {{"largest", usage("largest_bucket"), Ink::kAccent},
            {"mean", usage("mean_bucket"), Ink::kGrey}},
           Unit::kTokens);
  return part;
}

Part traffic(const RunView& run) {
  Part part = make_part("Memory and PCIe", run.cost_origin);
  const std::string placement = run.method.text("placement");
  const auto add_placement = [&](const std::string& name, const std::string& moves) {
    const std::string prefix = "pcie_per_step/" + name;
    const std::optional<double> pieces = run.summary(prefix + "/pieces");
    std::string detail = moves;
    if (pieces) {
      detail += fmt::format(", in {} pieces", number_text(*pieces, Unit::kTokens));
    }
    add_fact(part.facts, fmt::format("{} a step{}", name, name == placement ? " (chosen)" : ""),
             run.summary(prefix + "/bytes"), Unit::kBytes, detail);
  };
  add_placement("cpu-attention", "queries and results move");
  add_placement("fetch-dma", "K and V rows move by copies, the lists to the host");
  add_placement("fetch-kernel", "K and V rows move");
  add_placement("fetch-hot-buffer", "K and V rows that the GPU lacks move");
  if (part.facts.empty()) {
    add_fact(part.facts, "PCIe a decode step", run.cost("pcie_bytes_per_step"), Unit::kBytes,
             placement);
  }
  add_fact(part.facts, "KV cache of the replayed layers", run.cost("kv_full_bytes"), Unit::kBytes,
           "on the host");
  add_fact(part.facts, "codes", run.cost("codes_bytes"), Unit::kBytes, "16 bits a token");
  add_fact(part.facts, "codebooks", run.cost("codebook_bytes"), Unit::kBytes);
  add_fact(part.facts, "index a token and KV head", run.cost("index/bytes_per_token"), Unit::kBytes,
           "on the GPU");
  add_fact(part.facts, "index read a step", run.cost("index/read_bytes_per_step"), Unit::kBytes,
           "all replayed layers");
  add_bars(part, run, "PCIe bytes by layer", "A decode step.",
           {{"fetch-dma", layer_values(run, kFetchBytes), Ink::kAccent},
            {"cpu-attention", layer_values(run, kCpuBytes), Ink::kGrey}},
           Unit::kBytes);
  if (run.steps.size() > 1) {
    LineChart chart{"step",
                    step_numbers(run),
                    {{"fetch-dma", step_values(run, kFetchBytes), Ink::kAccent},
                     {"cpu-attention", step_values(run, kCpuBytes), Ink::kGrey}},
                    Unit::kBytes,
                    {}};
    std::erase_if(chart.series, [](const Series& one) { return !has_values(one.values); });
    if (!chart.series.empty()) {
      part.figures.push_back(
          make_figure("PCIe bytes by step", "All replayed layers together.", std::move(chart)));
    }
  }
  if (!part.facts.empty()) {
    part.text.emplace_back(
        "Counted from the selections and the trace's shape; no clock was involved.");
  }
  return part;
}

bool is_empty(const Part& part) {
  return part.text.empty() && part.facts.empty() && part.figures.empty() && part.tables.empty();
}

}  // namespace

Section retrieval_section(const RunView& run) {
  Section section;
  section.number = static_cast<int>(run.number);
  section.title = run.label();
  section.family = "retrieval";
  section.origin = run.origin;
  section.headline = headline(run);
  section.warnings = run.warnings;
  section.set_up = set_up(run);
  if (!run.layers.empty()) {
    section.parts = {findings(run), decode_steps(run), needle(run), code_usage(run), traffic(run)};
  }
  std::erase_if(section.parts, is_empty);
  return section;
}

}  // namespace kvsieve::sim
