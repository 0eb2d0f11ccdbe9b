#include "sweep/replay_figures.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "kvsieve/traces/error.h"

namespace kvsieve::sim {
namespace {

using nlohmann::ordered_json;

struct LoadField {
  const char* name;
  double LayerLoad::*value;
};
constexpr std::array<LoadField, 5> kLoadFields{
    {{"kept_share", &LayerLoad::kept_share},
     {"longest_over_mean", &LayerLoad::longest_over_mean},
     {"union_share", &LayerLoad::union_share},
     {"miss_share", &LayerLoad::miss_share},
     {"run_share", &LayerLoad::run_share}}};

void add_figures(const LossFigures& figures, std::string_view prefix, Losses losses, bool bound,
                 MetricsText& text) {
  const auto add = [&](std::string_view name, double value) {
    text.add(std::string(prefix).append(name), value);
  };
  add("evicted_mass", figures.evicted_mass);
  if (losses == Losses::kProjected) {
    add("l1_loss", figures.l1_loss);
    add("l1_loss_relative", figures.l1_loss_relative);
  }
  if (bound) {
    add("bound", figures.bounds.eps);
    add("bound_head", figures.bounds.head);
    add("bound_theta", figures.bounds.theta);
  }
}

void add_ratio(const RatioToUniform& ratio, Losses losses, MetricsText& text) {
  text.add("ratio_evicted_mass", ratio.evicted_mass);
  text.add("ratio_l1_loss", ratio.l1_loss);
  text.add("layers_improved_mass", ratio.layers_improved_mass);
  if (losses == Losses::kProjected) {
    text.add("layers_improved_l1", ratio.layers_improved_l1);
  }
}

/// Share of the needle's tokens that heads kept.
std::optional<double> needle_kept_share(const EvictionResult& result,
                                        const traces::TraceHeader& trace) {
  std::int64_t kept = 0;
  std::int64_t heads = 0;
  for (const LayerEviction& layer : result.layers) {
    for (const HeadEviction& head : layer.heads) {
      kept += head.needle_kept;
      ++heads;
    }
  }
  if (!trace.needle || heads == 0) {
    return std::nullopt;
  }
  return static_cast<double>(kept) /
         static_cast<double>(heads * (trace.needle->end - trace.needle->begin));
}

std::optional<double> nmse(const std::optional<ScoreError>& error) {
  return error ? error->nmse : std::nullopt;
}

ordered_json loads_json(const StepLoads& loads) {
  ordered_json json = {{"layers", loads.layers}};
  for (const LoadField& field : kLoadFields) {
    const double usual = LayerLoad{}.*field.value;
    if (std::any_of(loads.loads.begin(), loads.loads.end(),
                    [&](const LayerLoad& load) { return load.*field.value != usual; })) {
      ordered_json values = ordered_json::array();
      for (const LayerLoad& load : loads.loads) {
        values.push_back(load.*field.value);
      }
      json[field.name] = std::move(values);
    }
  }
  json["count"] = loads.loads.size();
  return json;
}

StepLoads loads_from_json(const ordered_json& json) {
  StepLoads loads;
  loads.layers = json.at("layers").get<std::int64_t>();
  loads.loads.resize(json.at("count").get<std::size_t>());
  for (const LoadField& field : kLoadFields) {
    if (!json.contains(field.name)) {
      continue;
    }
    const auto values = json.at(field.name).get<std::vector<double>>();
    for (std::size_t i = 0; i < loads.loads.size(); ++i) {
      loads.loads[i].*field.value = values.at(i);
    }
  }
  return loads;
}

}  // namespace

std::size_t ReplayFigures::bytes() const noexcept {
  return sizeof(ReplayFigures) + metrics.size() + loads.loads.size() * sizeof(LayerLoad);
}

ReplayFigures replay_figures(const EvictionResult& result, const traces::TraceHeader& trace) {
  MetricsText text;
  const EvictionSummary& summary = result.summary;
  if (summary.ratio.layers > 0) {
    text.add("kept_tokens_per_head_mean", summary.kept_tokens_per_head_mean);
    if (summary.decode) {
      add_figures(*summary.decode, "", result.losses, result.bound, text);
      add_figures(*summary.uniform, "uniform_", result.losses, result.bound, text);
      add_ratio(summary.ratio, result.losses, text);
    }
    text.add("needle_kept_share", needle_kept_share(result, trace));
  }
  ReplayFigures figures;
  figures.metrics = text.members();
  figures.prompt_tokens = trace.prompt_tokens;
  figures.loads = captured_loads(result, trace);
  // All steps have the loads of the first.
  figures.steps = std::max<std::int64_t>(figures.loads.steps(), 1);
  figures.loads.loads.resize(static_cast<std::size_t>(figures.loads.layers));
  figures.budget_tokens = result.budget_tokens;
  return figures;
}

ReplayFigures replay_figures(const RetrievalResult& result, const traces::TraceHeader& trace) {
  MetricsText text;
  const RetrievalFigures& summary = result.summary;
  text.add("recall", summary.recall);
  text.add("recall_vs_wrope", summary.recall_vs_wrope);
  text.add("wrope_recall", summary.wrope_recall);
  text.add("captured_mass", summary.captured_mass);
  text.add("retrieved_mass", summary.retrieved_mass);
  text.add("head_output_error", summary.output_error);
  text.add("attended_tokens", summary.attended_tokens);
  text.add("union_tokens", summary.union_tokens);
  text.add("selected_tokens", summary.selected_tokens);
  text.add("union_factor", summary.union_factor);
  text.add("boundary_ties", summary.boundary_ties);
  text.add("overlap", summary.overlap);
  text.add("hot_hit_rate", summary.hot_hit_rate);
  text.add("needle_recall", summary.needle_recall);
  text.add("wrope_score_error_nmse", nmse(summary.wrope_error));
  text.add("vq_score_error_nmse", nmse(summary.vq_error));
  text.add("score_error_nmse", nmse(summary.score_error));
  text.add("index_read_bytes_per_step", summary.index_read_bytes);
  text.add("output_error", result.loss.output_error);
  text.add("l1_loss", result.loss.l1_loss);
  text.add("l1_loss_relative", result.loss.l1_loss_relative);
  ReplayFigures figures;
  figures.metrics = text.members();
  figures.prompt_tokens = trace.prompt_tokens;
  figures.loads = captured_loads(result, trace);
  figures.steps = std::max<std::int64_t>(figures.loads.steps(), 1);
  if (result.codebook) {
    figures.codewords = result.codebook->info.codewords;
  }
  figures.traffic = summary.pcie;
  return figures;
}

CostMethod replayed_method(const EvictionPlan& plan, const ReplayFigures& figures) {
  EvictionResult result;
  result.plan = plan;
  result.budget_tokens = figures.budget_tokens.value();
  return cost_method_of(result);
}

CostMethod replayed_method(const RetrievalOptions& options, const ReplayFigures& figures) {
  RetrievalResult result;
  result.options = options;
  if (figures.codewords) {
    result.codebook.emplace().info.codewords = *figures.codewords;
  }
  return cost_method_of(result);
}

void add_replay(const ReplayFigures& figures, std::optional<Placement> placement,
                MetricsText& text) {
  text.append(figures.metrics);
  if (placement) {
    const PcieTraffic& traffic = figures.traffic.value()[static_cast<std::size_t>(*placement)];
    text.add("pcie_bytes_per_step", traffic.bytes());
    text.add("pcie_pieces_per_step", traffic.pieces);
  }
  text.add("loss_context", figures.prompt_tokens);
}

void add_cost(const CostFigures& figures, bool batch_was_sought, MetricsText& text) {
  const StepCost& cost = figures.cost;
  if (batch_was_sought) {
    text.add("batch", figures.batch);
  }
  text.add("step_us", cost.step_us);
  text.add("tpot_ms", cost.step_us / 1000.0);
  text.add("tokens_per_second", cost.tokens_per_second);
  text.add("prefill_us", figures.prefill_us);
  text.add("exposed_transfer_us", cost.exposed_transfer_us);
  text.add("to_gpu_bytes", cost.to_gpu_bytes);
  text.add("to_host_bytes", cost.to_host_bytes);
  text.add("gpu_bytes", figures.memory.gpu_bytes(figures.batch));
  text.add("host_bytes", figures.memory.host_bytes(figures.batch));
  text.add("fits", std::int64_t{figures.fits ? 1 : 0});
  text.add("largest_batch", figures.largest_batch);
  text.add("error_low_us", figures.band.low_us);
  text.add("error_high_us", figures.band.high_us);
  if (figures.full.step_us) {
    text.add("speedup", *figures.full.step_us / cost.step_us);
  }
  if (figures.full.best_tokens_per_second) {
    text.add("throughput_ratio", cost.tokens_per_second / *figures.full.best_tokens_per_second);
  }
}

ordered_json to_json(const ReplayFigures& figures) {
  ordered_json json = {{"metrics", ordered_json::parse("{" + figures.metrics + "}")},
                       {"prompt_tokens", figures.prompt_tokens},
                       {"steps", figures.steps},
                       {"loads", loads_json(figures.loads)}};
  if (figures.budget_tokens) {
    json["budget_tokens"] = *figures.budget_tokens;
  }
  if (figures.codewords) {
    json["codewords"] = *figures.codewords;
  }
  if (figures.traffic) {
    for (const PcieTraffic& traffic : *figures.traffic) {
      json["traffic"].push_back({traffic.to_gpu_bytes, traffic.to_host_bytes, traffic.pieces});
    }
  }
  return json;
}

ReplayFigures replay_figures_from_json(const ordered_json& json) {
  ReplayFigures figures;
  MetricsText text;
  for (const auto& [name, value] : json.at("metrics").items()) {
    if (value.is_number_float()) {
      text.add(name, value.get<double>());
    } else {
      text.add(name, value.get<std::int64_t>());
    }
  }
  figures.metrics = text.members();
  figures.prompt_tokens = json.at("prompt_tokens").get<std::int64_t>();
  figures.steps = json.at("steps").get<std::int64_t>();
  figures.loads = loads_from_json(json.at("loads"));
  if (json.contains("budget_tokens")) {
    figures.budget_tokens = json.at("budget_tokens").get<std::int64_t>();
  }
  if (json.contains("codewords")) {
    figures.codewords = json.at("codewords").get<std::int64_t>();
  }
  if (json.contains("traffic")) {
    auto& traffic = figures.traffic.emplace();
    for (std::size_t i = 0; i < traffic.size(); ++i) {
      const ordered_json& values = json.at("traffic").at(i);
      traffic[i] = {values.at(0).get<double>(), values.at(1).get<double>(),
                    values.at(2).get<double>()};
    }
  }
  return figures;
}

}  // namespace kvsieve::sim
