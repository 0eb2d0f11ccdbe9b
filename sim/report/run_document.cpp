#include "kvsieve/sim/run_document.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "kvsieve/kernels/instruction_set.h"
#include "kvsieve/sim/version.h"

namespace kvsieve::sim {
namespace {

using nlohmann::ordered_json;

ordered_json trace_json(const traces::Trace& trace) {
  const traces::TraceHeader& header = trace.header();
  ordered_json json = {{"path", trace.path().string()},
                       {"hash", trace.hash()},
                       {"model", header.model.name},
                       {"architecture", header.model.architecture},
                       {"L", header.model.layers},
                       {"Hq", header.model.q_heads},
                       {"Hkv", header.model.kv_heads},
                       {"d", header.model.head_dim},
                       {"D", header.model.width},
                       {"prompt_tokens", header.prompt_tokens},
                       {"prompt_queries", trace.prompt_queries()},
                       {"decode_steps", header.decode_tokens},
                       {"captured_layers", header.captured_layers},
                       {"dtype", traces::name_of(header.dtype)}};
  if (header.needle) {
    json["needle"] = {{"begin", header.needle->begin},
                      {"end", header.needle->end},
                      {"text", header.needle->text}};
  }
  return json;
}

ordered_json document_head(const traces::Trace& trace, const char* family,
                           kernels::Backend backend) {
  return {{"schema", "kvsieve.run/1"},
          {"tool_version", version()},
          {"family", family},
          {"origin", "captured"},
          {"trace", trace_json(trace)},
          {"method", ordered_json::object()},
          {"backend", kernels::name_of(backend)},
          {"isa", kernels::instruction_set()}};
}

template <class T>
void set_optional(ordered_json& json, const char* key, const std::optional<T>& value) {
  if (value) {
    json[key] = *value;
  }
}

// ---- eviction ----------------------------------------------------------------------------------

ordered_json eviction_method_json(const EvictionResult& result) {
  const EvictionMethod& method = result.plan.method;
  ordered_json json = {{"name", result.method_name}, {"scorer", name_of(method.scorer)}};
  if (method.scorer == Scorer::kNone) {
    return json;
  }
  if (result.queries_used > 0) {
    json["queries_used"] = result.queries_used;
  }
  // The other scorers neither reduce groups nor pool, and a query head is a group of its own.
  if (method.scorer == Scorer::kWindowAttention || method.scorer == Scorer::kAttentionSum) {
    if (method.granularity == Granularity::kKvHead) {
      json["group_reduce"] = name_of(method.group_reduce);
    }
    json["pool"] = name_of(method.pool);
  }
  json["granularity"] = name_of(method.granularity);
  json["layer_rule"] = name_of(method.layer_rule);
  json["adaptive"] = method.adaptive;
  if (method.adaptive) {
    json["alpha"] = method.alpha.value();
    json["alpha_mode"] = name_of(method.alpha_mode);
  }
  json["two_stage"] = method.two_stage;
  json["window"] = method.window;
  json["sinks"] = method.sinks;
  if (method.scorer == Scorer::kRandom) {
    json["seed"] = method.seed;
  }
  json["budget"] = result.plan.budget.text();
  json["budget_tokens"] = result.budget_tokens;
  return json;
}

/// Which losses a run measured.
struct Measured {
  explicit Measured(const EvictionResult& result)
      : l1(result.losses == Losses::kProjected), bound(result.bound) {}

  bool l1;
  bool bound;
};

ordered_json figures_json(const LossFigures& figures, const Measured& measured) {
  ordered_json json = {{"evicted_mass", figures.evicted_mass}};
  if (measured.l1) {
    json["l1_loss"] = figures.l1_loss;
    json["l1_loss_relative"] = figures.l1_loss_relative;
  }
  if (measured.bound) {
    json["bound"] = figures.bounds.eps;
    json["bound_head"] = figures.bounds.head;
    json["bound_theta"] = figures.bounds.theta;
  }
  return json;
}

/// Kept tokens as [begin, end) runs: pooling keeps neighbours together, so runs are far shorter.
ordered_json runs_json(const std::vector<std::int32_t>& tokens) {
  ordered_json runs = ordered_json::array();
  for (std::size_t i = 0; i < tokens.size();) {
    std::size_t end = i + 1;
    while (end < tokens.size() && tokens[end] == tokens[end - 1] + 1) {
      ++end;
    }
    runs.push_back({tokens[i], tokens[end - 1] + 1});
    i = end;
  }
  return runs;
}

ordered_json layer_json(const LayerEviction& layer, const Measured& measured, bool needle) {
  ordered_json json = {{"layer", layer.layer}};
  if (!layer.touched) {
    json["touched"] = false;
    return json;
  }
  json["budget_total"] = layer.budget_total;
  if (layer.decode) {
    json.update(figures_json(*layer.decode, measured));
    json["uniform"] = figures_json(*layer.uniform, measured);
  }
  if (layer.observation) {
    json["observation"] = figures_json(*layer.observation, measured);
    json["observation"]["uniform"] = figures_json(*layer.observation_uniform, measured);
  }
  json["heads"] = ordered_json::array();
  for (const HeadEviction& head : layer.heads) {
    ordered_json entry = {{"head", head.head}, {"budget", head.budget}};
    if (layer.decode) {
      entry["evicted_mass"] = head.evicted_mass;
      if (measured.l1) {
        entry["l1_loss"] = head.l1_loss;
      }
    }
    if (needle) {
      entry["needle_kept"] = head.needle_kept;
    }
    entry["kept_runs"] = runs_json(head.kept);
    json["heads"].push_back(std::move(entry));
  }
  return json;
}

/// Means over touched layers, step by step.
ordered_json steps_json(const EvictionResult& result) {
  std::vector<QueryLoss> sums;
  double layers = 0.0;
  for (const LayerEviction& layer : result.layers) {
    if (!layer.touched) {
      continue;
    }
    sums.resize(layer.queries.size());
    layers += 1.0;
    for (std::size_t step = 0; step < sums.size(); ++step) {
      sums[step].position = layer.queries[step].position;
      sums[step].evicted_mass += layer.queries[step].evicted_mass;
      sums[step].l1_loss += layer.queries[step].l1_loss;
    }
  }
  ordered_json steps = ordered_json::array();
  for (std::size_t step = 0; step < sums.size(); ++step) {
    ordered_json entry = {{"step", step},
                          {"position", sums[step].position},
                          {"evicted_mass", sums[step].evicted_mass / layers}};
    if (Measured(result).l1) {
      entry["l1_loss"] = sums[step].l1_loss / layers;
    }
    steps.push_back(std::move(entry));
  }
  return steps;
}

ordered_json needle_json(const traces::Needle& needle, const EvictionResult& result) {
  const std::int64_t tokens = needle.end - needle.begin;
  std::int64_t kept = 0;
  std::int64_t whole = 0;
  std::int64_t units = 0;
  for (const LayerEviction& layer : result.layers) {
    for (const HeadEviction& head : layer.heads) {
      kept += head.needle_kept;
      whole += head.needle_kept == tokens ? 1 : 0;
      ++units;
    }
  }
  ordered_json json = {{"tokens", tokens}, {"heads", units}, {"heads_keeping_all", whole}};
  if (units > 0) {
    json["kept_share"] = static_cast<double>(kept) / static_cast<double>(units * tokens);
  }
  return json;
}

/// What the replayed layers' caches hold and what a decode step reads of them.
ordered_json eviction_cost_json(const traces::TraceHeader& header, const EvictionResult& result) {
  const traces::ModelShape& model = header.model;
  const auto element = static_cast<std::int64_t>(traces::size_of(header.dtype));
  const std::int64_t row = 2 * model.head_dim * element;
  std::int64_t full = 0;
  std::int64_t kept = 0;
  for (const LayerEviction& layer : result.layers) {
    const auto heads =
        layer.touched ? static_cast<std::int64_t>(layer.heads.size()) : model.kv_heads;
    full += model.kv_heads * header.prompt_tokens * row;
    kept += (layer.touched ? layer.budget_total : heads * header.prompt_tokens) * row;
  }
  return {{"origin", "modelled"},
          {"layers", result.layers.size()},
          {"kv_full_bytes", full},
          {"kv_kept_bytes", kept},
          {"pcie_bytes_per_step", 0}};
}

ordered_json eviction_summary_json(const traces::TraceHeader& header,
                                   const EvictionResult& result) {
  const EvictionSummary& summary = result.summary;
  const Measured measured(result);
  ordered_json json = ordered_json::object();
  if (summary.ratio.layers == 0) {
    return json;
  }
  json["kept_tokens_per_head_mean"] = summary.kept_tokens_per_head_mean;
  if (summary.decode) {
    json.update(figures_json(*summary.decode, measured));
    json["uniform"] = figures_json(*summary.uniform, measured);
    ordered_json ratio = ordered_json::object();
    set_optional(ratio, "evicted_mass", summary.ratio.evicted_mass);
    set_optional(ratio, "l1_loss", summary.ratio.l1_loss);
    ratio["layers"] = summary.ratio.layers;
    ratio["layers_improved_mass"] = summary.ratio.layers_improved_mass;
    if (measured.l1) {
      ratio["layers_improved_l1"] = summary.ratio.layers_improved_l1;
    }
    json["ratio_to_uniform"] = std::move(ratio);
  }
  if (summary.observation) {
    json["observation"] = figures_json(*summary.observation, measured);
  }
  if (header.needle) {
    json["needle"] = needle_json(*header.needle, result);
  }
  return json;
}

// ---- retrieval ---------------------------------------------------------------------------------

ordered_json traffic_json(const PcieTraffic& traffic) {
  return {{"to_gpu_bytes", traffic.to_gpu_bytes},
          {"to_host_bytes", traffic.to_host_bytes},
          {"bytes", traffic.bytes()},
          {"pieces", traffic.pieces}};
}

ordered_json score_error_json(const ScoreError& error) {
  ordered_json json = {{"mse", error.mse}};
  set_optional(json, "nmse", error.nmse);
  return json;
}

ordered_json figures_json(const RetrievalFigures& figures) {
  ordered_json json = ordered_json::object();
  set_optional(json, "recall", figures.recall);
  set_optional(json, "recall_vs_wrope", figures.recall_vs_wrope);
  set_optional(json, "wrope_recall", figures.wrope_recall);
  json["captured_mass"] = figures.captured_mass;
  json["retrieved_mass"] = figures.retrieved_mass;
  json["head_output_error"] = figures.output_error;
  json["attended_tokens"] = figures.attended_tokens;
  json["union_tokens"] = figures.union_tokens;
  set_optional(json, "selected_tokens", figures.selected_tokens);
  set_optional(json, "union_factor", figures.union_factor);
  set_optional(json, "boundary_ties", figures.boundary_ties);
  set_optional(json, "overlap", figures.overlap);
  set_optional(json, "hot_hit_rate", figures.hot_hit_rate);
  set_optional(json, "needle_recall", figures.needle_recall);
  if (figures.wrope_error) {
    json["wrope_score_error"] = score_error_json(*figures.wrope_error);
  }
  if (figures.vq_error) {
    json["vq_score_error"] = score_error_json(*figures.vq_error);
  }
  if (figures.score_error) {
    json["score_error"] = score_error_json(*figures.score_error);
  }
  json["index_read_bytes_per_step"] = figures.index_read_bytes;
  for (const Placement placement : kernels::kPlacements) {
    if (placement != Placement::kFetchHotBuffer || figures.hot_hit_rate) {
      json["pcie_per_step"][name_of(placement)] = traffic_json(figures.pcie_of(placement));
    }
  }
  return json;
}

void add_loss(ordered_json& json, const ProjectedLoss& loss) {
  json["output_error"] = loss.output_error;
  json["l1_loss"] = loss.l1_loss;
  json["l1_loss_relative"] = loss.l1_loss_relative;
}

ordered_json retrieval_method_json(const RetrievalResult& result) {
  const RetrievalOptions& options = result.options;
  ordered_json json = {{"name", options.name}, {"scorer", name_of(options.scorer)}};
  if (options.scorer != RetrievalScorer::kNone) {
    json["top"] = options.top.text();
    json["retrieval_budget"] = name_of(options.budget);
  }
  if (options.budget == RetrievalBudget::kAdaptive) {
    json["alpha"] = options.alpha.value();
  }
  if (options.mass) {
    json["mass"] = options.mass->value();
  }
  if (options.scorer == RetrievalScorer::kPq) {
    json["pq_subvectors"] = options.pq_subvectors;
    json["pq_bits"] = options.pq_bits;
  }
  if (options.scorer == RetrievalScorer::kChannelSubset) {
    json["channels"] = options.channels;
  }
  const bool clusters = options.scorer == RetrievalScorer::kClusterCentroid;
  if (clusters && options.codewords > 0) {
    json["codewords"] = options.codewords;
  }
  if (clusters || options.scorer == RetrievalScorer::kPq) {
    json["iterations"] = options.max_iterations;
  }
  json["sinks"] = options.sinks;
  json["window"] = options.window;
  json["wrope_distance"] = options.distance;
  json["final_attention"] = name_of(options.final_attention);
  json["placement"] = name_of(options.placement);
  json["hot_buffer_tokens"] = options.hot_buffer;
  if (options.hot_buffer > 0) {
    json["hot_policy"] = name_of(options.hot_policy);
  }
  json["seed"] = options.seed;
  if (result.codebook) {
    const CodebookInfo& info = result.codebook->info;
    ordered_json traces = ordered_json::array();
    for (const CalibrationTrace& trace : info.traces) {
      traces.push_back({{"name", trace.name}, {"hash", trace.hash}});
    }
    json["codebook"] = {{"kind", name_of(info.kind)},
                        {"codewords", info.codewords},
                        {"dtype", codebook_dtype_name(options.codebook_dtype)},
                        {"center_keys", info.center_keys},
                        {"given", result.codebook->given},
                        {"in_sample", result.codebook->in_sample},
                        {"traces", std::move(traces)}};
    if (result.codebook->given) {
      json["codebook"]["path"] = options.codebook->path().string();
    } else {
      json["codebook"]["iterations"] = options.max_iterations;
    }
  }
  return json;
}

ordered_json head_json(const HeadRetrieval& head, bool needle) {
  ordered_json json = {{"head", head.head}};
  json.update(figures_json(head.figures));
  json["l1_loss"] = head.l1_loss;
  if (head.code_usage) {
    json["code_usage"] = {{"entropy_bits", head.code_usage->entropy_bits},
                          {"dead_codes", head.code_usage->dead_codes},
                          {"largest_bucket", head.code_usage->largest_bucket},
                          {"mean_bucket", head.code_usage->mean_bucket}};
    set_optional(json["code_usage"], "agreement", head.code_usage->agreement);
  }
  json["query_heads"] = ordered_json::array();
  for (const QueryHeadRetrieval& query : head.query_heads) {
    ordered_json entry = {{"head", query.head}};
    set_optional(entry, "recall", query.recall);
    set_optional(entry, "recall_vs_wrope", query.recall_vs_wrope);
    set_optional(entry, "wrope_recall", query.wrope_recall);
    entry["captured_mass"] = query.captured_mass;
    entry["retrieved_mass"] = query.retrieved_mass;
    entry["output_error"] = query.output_error;
    json["query_heads"].push_back(std::move(entry));
  }
  json["steps"] = ordered_json::array();
  for (const HeadStep& step : head.steps) {
    ordered_json entry = {{"union_tokens", step.union_tokens},
                          {"captured_mass", step.captured_mass},
                          {"hot_hits", step.hot_hits},
                          {"fetch_pieces", step.fetch_pieces}};
    if (step.selected > 0.0) {
      entry["recall"] = step.recall;
      entry["recall_vs_wrope"] = step.recall_vs_wrope;
    }
    set_optional(entry, "overlap", step.overlap);
    if (needle) {
      entry["needle_retrieved"] = step.needle_retrieved;
    }
    json["steps"].push_back(std::move(entry));
  }
  return json;
}

ordered_json layer_json(const LayerRetrieval& layer, bool needle) {
  ordered_json json = {{"layer", layer.layer}};
  if (!layer.touched) {
    json["touched"] = false;
    return json;
  }
  json.update(figures_json(layer.figures));
  add_loss(json, layer.loss);
  json["heads"] = ordered_json::array();
  for (const HeadRetrieval& head : layer.heads) {
    json["heads"].push_back(head_json(head, needle));
  }
  return json;
}

ordered_json bus_json(const kernels::StepTraffic& traffic, std::size_t steps) {
  const auto a_step = [&](std::int64_t total) {
    return static_cast<double>(total) / static_cast<double>(steps);
  };
  return {{"to_gpu_bytes", a_step(traffic.to_gpu_bytes)},
          {"to_host_bytes", a_step(traffic.to_host_bytes)},
          {"copies", a_step(traffic.copies)}};
}

/// What running the decode steps on a backend showed: measured times, counted bytes.
ordered_json decode_json(const DecodeReport& decode, std::size_t steps) {
  ordered_json json = {{"schedule", name_of(decode.schedule)}, {"sequences", decode.sequences}};
  if (decode.step_us) {
    json["latency"] = {
        {"origin", "measured"}, {"step_us", *decode.step_us}, {"stages", ordered_json::array()}};
    for (const StageLatency& stage : decode.stages) {
      json["latency"]["stages"].push_back({{"stage", name_of(stage.stage)},
                                           {"lane", name_of(lane_of(stage.stage))},
                                           {"mean_us", stage.mean_us},
                                           {"max_us", stage.max_us}});
    }
  }
  if (decode.counted) {
    json["bus_per_step"] = {{"origin", "counted"}};
    json["bus_per_step"].update(bus_json(*decode.counted, steps));
  }
  json["ledger_per_step"] = {{"origin", "modelled"}};
  json["ledger_per_step"].update(bus_json(decode.ledger, steps));
  json["output_deviation"] = decode.output_deviation;
  return json;
}

/// The ledger of the replayed layers: what stays on the GPU and what a step moves.
ordered_json retrieval_cost_json(const traces::TraceHeader& header, const RetrievalResult& result) {
  const traces::ModelShape& model = header.model;
  const auto element = static_cast<std::int64_t>(traces::size_of(header.dtype));
  const auto touched = std::count_if(result.layers.begin(), result.layers.end(),
                                     [](const LayerRetrieval& layer) { return layer.touched; });
  const std::int64_t heads = touched * model.kv_heads;
  ordered_json json = {
      {"origin", "modelled"},
      {"layers", touched},
      {"kv_full_bytes", heads * header.total_tokens() * 2 * model.head_dim * element},
      {"pcie_bytes_per_step", result.pcie.bytes()},
      {"pcie_pieces_per_step", result.pcie.pieces}};
  if (result.codebook && result.index) {
    json["codes_bytes"] = heads * header.total_tokens() * 2;
    json["codebook_bytes"] = heads * result.index->fixed;
  }
  if (result.index) {
    json["index"] = {{"bytes_per_token", result.index->per_token},
                     {"fixed_bytes", result.index->fixed},
                     {"read_bytes_per_step", result.summary.index_read_bytes}};
  }
  return json;
}

}  // namespace

ordered_json run_document(const traces::Trace& trace, const EvictionResult& result) {
  const traces::TraceHeader& header = trace.header();
  ordered_json document = document_head(trace, "eviction", result.backend);
  document["method"] = eviction_method_json(result);
  document["summary"] = eviction_summary_json(header, result);
  document["layers"] = ordered_json::array();
  for (const LayerEviction& layer : result.layers) {
    document["layers"].push_back(layer_json(layer, Measured(result), header.needle.has_value()));
  }
  document["steps"] = steps_json(result);
  document["cost"] = eviction_cost_json(header, result);
  document["warnings"] = result.warnings;
  return document;
}

ordered_json run_document(const traces::Trace& trace, const RetrievalResult& result) {
  const traces::TraceHeader& header = trace.header();
  ordered_json document = document_head(
      trace, "retrieval", result.decode ? result.decode->backend : kernels::Backend::kCpu);
  document["method"] = retrieval_method_json(result);
  ordered_json summary = figures_json(result.summary);
  add_loss(summary, result.loss);
  summary["pcie_bytes_per_step"] = result.pcie.bytes();
  if (result.selected) {
    summary["selected"] = {{"p10", result.selected->p10},
                           {"median", result.selected->median},
                           {"p90", result.selected->p90},
                           {"largest", result.selected->largest},
                           {"at_top", result.selected->at_top}};
  }
  document["summary"] = std::move(summary);
  document["layers"] = ordered_json::array();
  for (const LayerRetrieval& layer : result.layers) {
    document["layers"].push_back(layer_json(layer, header.needle.has_value()));
  }
  document["steps"] = ordered_json::array();
  for (const RetrievalStep& step : result.steps) {
    ordered_json entry = {{"step", step.step}, {"position", step.position}, {"top", step.top}};
    entry.update(figures_json(step.figures));
    add_loss(entry, step.loss);
    document["steps"].push_back(std::move(entry));
  }
  if (result.decode) {
    document["decode"] = decode_json(*result.decode, result.steps.size());
  }
  document["cost"] = retrieval_cost_json(header, result);
  document["warnings"] = result.warnings;
  return document;
}

}  // namespace kvsieve::sim
