#include "core/retrieval_series.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/run_cost.h"
#include "kvsieve/kernels/decode_graph.h"
#include "kvsieve/sim/run_series.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::gui {
namespace {

using sim::Node;
using sim::Values;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

/// The key of a step of the run; nothing of what a run may lack as a whole.
const char* step_key(StepQuantity quantity) {
  switch (quantity) {
    case StepQuantity::kRecall:
      return "recall";
    case StepQuantity::kRecallVsWrope:
      return "recall_vs_wrope";
    case StepQuantity::kCapturedMass:
      return "captured_mass";
    case StepQuantity::kRetrievedMass:
      return "retrieved_mass";
    case StepQuantity::kOutputError:
      return "head_output_error";
    case StepQuantity::kOverlap:
      return "overlap";
    case StepQuantity::kUnionTokens:
      return "union_tokens";
    case StepQuantity::kHotHitRate:
      return "hot_hit_rate";
  }
  return "";
}

/// Whether windowed RoPE is what the scorer ranks by, exactly or through codes.
bool uses_wrope(const sim::RunView& run) {
  const std::string scorer = run.method.text("scorer");
  return scorer == "vq-query-aware" || scorer == "vq-plain" || scorer == "exact-wrope";
}

bool has_hot_buffer(const sim::RunView& run) {
  return run.method.integer_or("hot_buffer_tokens", 0) > 0;
}

std::optional<double> head_step_value(const Node& step, StepQuantity quantity) {
  if (quantity == StepQuantity::kHotHitRate) {
    const std::optional<double> hits = step.number("hot_hits");
    const std::optional<double> wanted = step.number("union_tokens");
    return hits && wanted && *wanted > 0.0 ? std::optional(*hits / *wanted) : std::nullopt;
  }
  return step.number(step_key(quantity));
}

/// Whether a run can have a quantity at all: a buffer that is off has no hits.
bool applies(const sim::RunView& run, StepQuantity quantity) {
  if (quantity == StepQuantity::kHotHitRate) {
    return has_hot_buffer(run);
  }
  return quantity != StepQuantity::kRecallVsWrope || uses_wrope(run);
}

sim::LineChart line_chart(
    const sim::RunView& run, std::span<const HeadId> heads, sim::Unit unit,
    std::initializer_list<std::tuple<const char*, StepQuantity, sim::Ink>> series) {
  sim::LineChart chart;
  chart.x_name = "decode step";
  chart.x = sim::step_numbers(run);
  chart.unit = unit;
  for (const auto& [name, quantity, ink] : series) {
    sim::Series one{name, step_values_of(run, quantity, heads), ink};
    if (sim::has_values(one.values)) {
      chart.series.push_back(std::move(one));
    }
  }
  return chart;
}

sim::BarChart group_chart(const sim::RunView& run, std::span<const HeadId> selected,
                          const std::vector<HeadGroup>& groups, sim::Unit unit) {
  sim::BarChart chart;
  chart.category_name = group_kind(run, selected);
  for (const HeadGroup& group : groups) {
    chart.categories.push_back(group.name);
  }
  chart.unit = unit;
  return chart;
}

void add_series(sim::BarChart& chart, const std::string& name, sim::Ink ink, Values values) {
  if (sim::has_values(values)) {
    chart.series.push_back({name, std::move(values), ink});
  }
}

Values numbers_of(const std::vector<HeadGroup>& groups, std::string_view keys) {
  Values values;
  for (const HeadGroup& group : groups) {
    values.push_back(group.node.number(keys));
  }
  return values;
}

/// The mean of what the heads of a layer, or one head, say of their codes.
std::optional<double> code_value(const Node& node, std::string_view key) {
  const std::string keys = fmt::format("code_usage/{}", key);
  if (const std::optional<double> own = node.number(keys)) {
    return own;
  }
  double sum = 0.0;
  double count = 0.0;
  for (const Node& head : node.children("heads")) {
    if (const std::optional<double> value = head.number(keys)) {
      sum += *value;
      count += 1.0;
    }
  }
  return count > 0.0 ? std::optional(sum / count) : std::nullopt;
}

/// One side of the stages: times by name, in the order of the document.
struct StageList {
  std::vector<std::string> names;
  std::vector<double> us;
  std::vector<double> low;
  std::vector<double> high;
};

bool is_retrieval_stage(const std::string& name) {
  for (std::size_t i = 0; i < kernels::kStepStages; ++i) {
    if (name == kernels::name_of(static_cast<kernels::StepStage>(i))) {
      return true;
    }
  }
  return name == "cpu-score";
}

StageList measured_stages(const sim::RunView& run) {
  StageList list;
  const std::optional<Node> decode = run.document.child("decode");
  const std::optional<Node> latency = decode ? decode->child("latency") : std::nullopt;
  if (!latency) {
    return list;
  }
  const auto layers = static_cast<double>(std::max<std::size_t>(1, run.layers.size()));
  for (const Node& stage : latency->children("stages")) {
    list.names.push_back(stage.text("stage"));
    list.us.push_back(stage.number("mean_us").value_or(0.0) / layers);
  }
  return list;
}

/// Layers that the modelled times are of: those that retrieve.
double modelled_layers(const Run& run, const Node& cost) {
  if (const std::optional<sim::ModelDimensions> known = run_model(run)) {
    return static_cast<double>(std::max<std::int64_t>(1, known->global_layers()));
  }
  const std::optional<Node> model = cost.child("model");
  return std::max(1.0, model ? model->number("L").value_or(1.0) : 1.0);
}

StageList modelled_stages(const Run& run, const Node& cost) {
  StageList list;
  const double layers = modelled_layers(run, cost);
  for (const Node& stage : cost.children("stages")) {
    const std::optional<double> us = stage.number("us");
    const std::string name = stage.text("stage");
    if (!us || !is_retrieval_stage(name)) {
      continue;
    }
    list.names.push_back(name);
    list.us.push_back(*us / layers);
    const std::optional<double> error = stage.number("error/median_error");
    // modelled = measured (1 + error): the measured time lies between these.
    list.low.push_back(error ? list.us.back() / (1.0 + *error) : kNaN);
    list.high.push_back(error ? list.us.back() / (1.0 - std::min(*error, 0.9)) : kNaN);
  }
  return list;
}

std::optional<std::size_t> index_of(const StageList& list, const std::string& name) {
  const auto found = std::find(list.names.begin(), list.names.end(), name);
  return found == list.names.end()
             ? std::nullopt
             : std::optional(static_cast<std::size_t>(found - list.names.begin()));
}

/// Both lists' stages in the order of a decode step.
std::vector<std::string> stages_of(const StageList& measured, const StageList& modelled) {
  std::vector<std::string> names = modelled.names;
  for (const std::string& name : measured.names) {
    if (!index_of(modelled, name)) {
      names.push_back(name);
    }
  }
  const auto place = [](const std::string& name) {
    for (std::size_t i = 0; i < kernels::kStepStages; ++i) {
      if (name == kernels::name_of(static_cast<kernels::StepStage>(i))) {
        return i;
      }
    }
    return static_cast<std::size_t>(kernels::StepStage::kScore);  // cpu-score
  };
  std::stable_sort(names.begin(), names.end(),
                   [&](const std::string& a, const std::string& b) { return place(a) < place(b); });
  return names;
}

}  // namespace

Values step_values_of(const sim::RunView& run, StepQuantity quantity,
                      std::span<const HeadId> heads) {
  if (!applies(run, quantity)) {
    return {};
  }
  if (heads.empty()) {
    return sim::step_values(run, step_key(quantity));
  }
  std::vector<double> sums(run.steps.size(), 0.0);
  std::vector<double> counts(run.steps.size(), 0.0);
  for (const sim::LayerView& layer : run.layers) {
    for (std::size_t h = 0; h < layer.heads.size(); ++h) {
      const HeadId id{layer.layer, layer.heads[h].integer_or("head", static_cast<std::int64_t>(h))};
      if (!std::binary_search(heads.begin(), heads.end(), id)) {
        continue;
      }
      const std::vector<Node> steps = layer.heads[h].children("steps");
      for (std::size_t s = 0; s < std::min(steps.size(), sums.size()); ++s) {
        if (const std::optional<double> value = head_step_value(steps[s], quantity)) {
          sums[s] += *value;
          counts[s] += 1.0;
        }
      }
    }
  }
  Values values;
  for (std::size_t s = 0; s < sums.size(); ++s) {
    values.push_back(counts[s] > 0.0 ? std::optional(sums[s] / counts[s]) : std::nullopt);
  }
  return values;
}

sim::LineChart found_by_step(const sim::RunView& run, std::span<const HeadId> heads) {
  sim::LineChart chart =
      line_chart(run, heads, sim::Unit::kShare,
                 {{"captured mass", StepQuantity::kCapturedMass, sim::Ink::kAccent},
                  {"retrieved mass", StepQuantity::kRetrievedMass, sim::Ink::kGrey},
                  {"recall@K", StepQuantity::kRecall, sim::Ink::kWarm},
                  {"recall vs windowed RoPE", StepQuantity::kRecallVsWrope, sim::Ink::kSand}});
  chart.top = 1.0;
  return chart;
}

sim::LineChart reuse_by_step(const sim::RunView& run, std::span<const HeadId> heads) {
  sim::LineChart chart =
      line_chart(run, heads, sim::Unit::kShare,
                 {{"overlap with the step before", StepQuantity::kOverlap, sim::Ink::kAccent},
                  {"hot-buffer hits", StepQuantity::kHotHitRate, sim::Ink::kWarm}});
  chart.top = 1.0;
  return chart;
}

sim::LineChart error_by_step(const sim::RunView& run, std::span<const HeadId> heads) {
  return line_chart(run, heads, sim::Unit::kShare,
                    {{"output error", StepQuantity::kOutputError, sim::Ink::kWarm}});
}

sim::LineChart tokens_by_step(const sim::RunView& run, std::span<const HeadId> heads) {
  return line_chart(
      run, heads, sim::Unit::kTokens,
      {{"retrieved tokens a KV head", StepQuantity::kUnionTokens, sim::Ink::kAccent}});
}

sim::BarChart score_errors(const sim::RunView& run, std::span<const HeadId> selected) {
  const std::vector<HeadGroup> groups = head_groups(run, selected);
  sim::BarChart chart = group_chart(run, selected, groups, sim::Unit::kNumber);
  if (uses_wrope(run)) {
    add_series(chart, "windowed RoPE", sim::Ink::kSand,
               numbers_of(groups, "wrope_score_error/nmse"));
  }
  add_series(chart, "codes", sim::Ink::kPale, numbers_of(groups, "vq_score_error/nmse"));
  add_series(chart, chart.series.empty() ? "the scorer" : "both", sim::Ink::kAccent,
             numbers_of(groups, "score_error/nmse"));
  return chart;
}

sim::BarChart codeword_use(const sim::RunView& run, std::span<const HeadId> selected) {
  const std::vector<HeadGroup> groups = head_groups(run, selected);
  sim::BarChart chart = group_chart(run, selected, groups, sim::Unit::kShare);
  const double codewords = run.method.number("codebook/codewords").value_or(0.0);
  if (codewords <= 0.0) {
    return chart;
  }
  chart.top = 1.0;
  Values dead;
  Values entropy;
  for (const HeadGroup& group : groups) {
    const std::optional<double> unused = code_value(group.node, "dead_codes");
    const std::optional<double> bits = code_value(group.node, "entropy_bits");
    dead.push_back(unused ? std::optional(*unused / codewords) : std::nullopt);
    entropy.push_back(bits && codewords > 1.0 ? std::optional(*bits / std::log2(codewords))
                                              : std::nullopt);
  }
  add_series(chart, "entropy of that of even use", sim::Ink::kAccent, std::move(entropy));
  add_series(chart, "dead codewords", sim::Ink::kWarm, std::move(dead));
  return chart;
}

StageTimes stage_times(const Run& run) {
  StageTimes times;
  const sim::RunView& view = run.view();
  const std::optional<Node> cost = view.document.child("cost");
  const StageList measured = measured_stages(view);
  const StageList modelled = cost ? modelled_stages(run, *cost) : StageList();
  times.chart.category_name = "stage";
  times.chart.unit = sim::Unit::kMicroseconds;
  times.chart.categories = stages_of(measured, modelled);
  Values measured_us;
  Values modelled_us;
  for (const std::string& name : times.chart.categories) {
    const std::optional<std::size_t> clock = index_of(measured, name);
    const std::optional<std::size_t> model = index_of(modelled, name);
    measured_us.push_back(clock ? std::optional(measured.us[*clock]) : std::nullopt);
    modelled_us.push_back(model ? std::optional(modelled.us[*model]) : std::nullopt);
    times.low.push_back(model ? modelled.low[*model] : kNaN);
    times.high.push_back(model ? modelled.high[*model] : kNaN);
  }
  if (sim::has_values(measured_us)) {
    times.measured_on = view.document.text("backend", "cpu");
  }
  if (sim::has_values(modelled_us)) {
    const std::optional<Node> hardware = cost->child("hardware");
    times.modelled_on = hardware ? hardware->text("name", hardware->text("id")) : "";
  }
  add_series(times.chart, "measured", sim::Ink::kAccent, std::move(measured_us));
  if (sim::has_values(modelled_us)) {
    times.modelled = times.chart.series.size();
    add_series(times.chart, "modelled", sim::Ink::kSand, std::move(modelled_us));
  }
  return times;
}

HeadRanking heads_by_recall(const sim::RunView& run) {
  struct Field {
    const char* key;
    const char* title;
    sim::Unit unit;
  };
  constexpr Field kFields[] = {
      {"recall", "recall@K", sim::Unit::kShare},
      {"wrope_recall", "windowed RoPE alone", sim::Unit::kShare},
      {"recall_vs_wrope", "vs windowed RoPE", sim::Unit::kShare},
      {"captured_mass", "captured mass", sim::Unit::kShare},
      {"retrieved_mass", "retrieved mass", sim::Unit::kShare},
      {"head_output_error", "output error", sim::Unit::kShare},
      {"union_tokens", "retrieved tokens", sim::Unit::kTokens},
      {"overlap", "overlap", sim::Unit::kShare},
      {"hot_hit_rate", "hot hits", sim::Unit::kShare},
      {"code_usage/entropy_bits", "entropy (bits)", sim::Unit::kNumber},
      {"code_usage/dead_codes", "dead codewords", sim::Unit::kTokens},
      {"code_usage/largest_bucket", "largest bucket", sim::Unit::kTokens},
  };
  std::vector<HeadId> all;
  for (const HeadGroup& layer : head_groups(run, {})) {
    all.insert(all.end(), layer.heads.begin(), layer.heads.end());
  }
  const std::vector<HeadGroup> unranked = head_groups(run, all);
  const Values recalls = numbers_of(unranked, "recall");
  std::vector<std::size_t> order(unranked.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return recalls[a].value_or(-1.0) > recalls[b].value_or(-1.0);
  });
  std::vector<HeadGroup> groups;
  for (const std::size_t at : order) {
    groups.push_back(unranked[at]);
  }
  HeadRanking ranking;
  ranking.table.columns = {{.title = "rank"}, {.title = "layer"}, {.title = run.unit_name}};
  for (const HeadGroup& group : groups) {
    ranking.heads.push_back(group.heads.front());
    const HeadId& head = ranking.heads.back();
    ranking.table.rows.push_back({{fmt::format("{}", ranking.heads.size())},
                                  {fmt::format("{}", head.layer)},
                                  {fmt::format("{}", head.head)}});
  }
  for (const Field& field : kFields) {
    const bool wrope = std::string_view(field.key).find("wrope") != std::string_view::npos;
    const Values values = numbers_of(groups, field.key);
    if (!sim::has_values(values) || (wrope && !uses_wrope(run))) {
      continue;
    }
    ranking.table.columns.push_back({.title = field.title});
    for (std::size_t i = 0; i < values.size(); ++i) {
      ranking.table.rows[i].push_back({values[i] ? sim::number_text(*values[i], field.unit) : ""});
    }
  }
  return ranking;
}

}  // namespace kvsieve::gui
