#include "run_documents.h"

#include <algorithm>

namespace kvsieve::tests {
namespace {

using nlohmann::ordered_json;

bool contains(const std::vector<std::int64_t>& list, std::int64_t value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

ordered_json trace_json(std::int64_t layers, std::int64_t q_heads, std::int64_t kv_heads,
                        std::int64_t prompt_tokens, std::int64_t steps, bool needle) {
  ordered_json captured = ordered_json::array();
  for (std::int64_t layer = 0; layer < layers; ++layer) {
    captured.push_back(layer);
  }
  ordered_json trace = {{"path", "traces/tiny.kvtrace"},
                        {"hash", "00112233445566778899aabbccddeeff"},
                        {"model", "Tiny 1M"},
                        {"architecture", "llama"},
                        {"L", layers},
                        {"Hq", q_heads},
                        {"Hkv", kv_heads},
                        {"d", 64},
                        {"D", 64 * q_heads},
                        {"prompt_tokens", prompt_tokens},
                        {"prompt_queries", 32},
                        {"decode_steps", steps},
                        {"captured_layers", captured},
                        {"dtype", "F16"}};
  if (needle) {
    trace["needle"] = {{"begin", 40}, {"end", 44}, {"text", "the key is green"}};
  }
  return trace;
}

ordered_json head_of_document(const std::string& family, ordered_json trace) {
  return {{"schema", "kvsieve.run/1"}, {"tool_version", "0.1.0"},
          {"family", family},          {"origin", "captured"},
          {"trace", std::move(trace)}, {"method", ordered_json::object()},
          {"backend", "cpu"},          {"isa", "avx2"}};
}

ordered_json loss(double scale) {
  return {{"evicted_mass", 0.1 * scale},      {"l1_loss", 2.5 * scale},
          {"l1_loss_relative", 0.05 * scale}, {"bound", 80.0 * scale},
          {"bound_head", 60.0 * scale},       {"bound_theta", 40.0 * scale}};
}

ordered_json eviction_layer(const EvictionShape& shape, std::int64_t layer) {
  const double better = layer % 2 == 0 ? 1.0 : 1.9;
  ordered_json entry = {{"layer", layer}, {"budget_total", 20 * shape.heads}};
  if (shape.steps > 0) {
    entry.update(loss(shape.adaptive ? better : 2.0));
    entry["uniform"] = loss(2.0);
  }
  entry["observation"] = loss(1.5);
  entry["observation"]["uniform"] = loss(2.0);
  entry["heads"] = ordered_json::array();
  for (std::int64_t head = 0; head < shape.heads; ++head) {
    // Budgets spread by up to five around 20, in opposite directions for neighbours.
    const std::int64_t pair = (head / 2 + layer) % 5 + 1;
    const bool last_alone = head + 1 == shape.heads && shape.heads % 2 == 1;
    const std::int64_t shift = last_alone || !shape.adaptive ? 0 : head % 2 == 0 ? pair : -pair;
    const std::int64_t budget = 20 + shift;
    const std::int64_t old = budget - 10;
    ordered_json unit = {{"head", head}, {"budget", budget}};
    if (shape.steps > 0) {
      unit["evicted_mass"] = 0.01 * static_cast<double>(40 - budget) / 4.0;
      unit["l1_loss"] = 0.125 * static_cast<double>(40 - budget);
    }
    if (shape.needle) {
      unit["needle_kept"] = head % 2 == 0 ? 4 : 1;
    }
    unit["kept_runs"] = {
        {0, 4}, {40, 40 + old - 4}, {shape.prompt_tokens - 10, shape.prompt_tokens}};
    entry["heads"].push_back(std::move(unit));
  }
  return entry;
}

ordered_json eviction_summary(const EvictionShape& shape, std::int64_t touched) {
  ordered_json summary = ordered_json::object();
  if (touched == 0) {
    return summary;
  }
  summary["kept_tokens_per_head_mean"] = 20.0;
  if (shape.steps > 0) {
    const double mean = shape.adaptive ? 1.45 : 2.0;
    summary.update(loss(mean));
    summary["uniform"] = loss(2.0);
    summary["ratio_to_uniform"] = {{"evicted_mass", mean / 2.0},
                                   {"l1_loss", mean / 2.0},
                                   {"layers", touched},
                                   {"layers_improved_mass", shape.adaptive ? touched : 0},
                                   {"layers_improved_l1", shape.adaptive ? touched : 0}};
  }
  summary["observation"] = loss(1.5);
  if (shape.needle) {
    summary["needle"] = {{"tokens", 4},
                         {"heads", touched * shape.heads},
                         {"heads_keeping_all", touched * ((shape.heads + 1) / 2)},
                         {"kept_share", 0.625}};
  }
  return summary;
}

ordered_json traffic(double bytes, double pieces) {
  return {{"to_gpu_bytes", 0.75 * bytes},
          {"to_host_bytes", 0.25 * bytes},
          {"bytes", bytes},
          {"pieces", pieces}};
}

ordered_json figures(const RetrievalShape& shape, double scale) {
  ordered_json json = {{"recall", shape.codes ? 0.5 * scale : 1.0},
                       {"recall_vs_wrope", 0.75 * scale},
                       {"wrope_recall", 0.8 * scale},
                       {"captured_mass", 0.9 * scale},
                       {"retrieved_mass", 0.3 * scale},
                       {"head_output_error", 0.12 * scale},
                       {"attended_tokens", 32.5},
                       {"union_tokens", 8.5},
                       {"index_read_bytes_per_step", 96.0},
                       {"union_factor", 1.7},
                       {"boundary_ties", 1.25},
                       {"overlap", 0.6}};
  if (shape.needle) {
    json["needle_recall"] = 0.25;
  }
  json["wrope_score_error"] = {{"mse", 0.5}, {"nmse", 0.2}};
  if (shape.codes) {
    json["vq_score_error"] = {{"mse", 0.25}, {"nmse", 0.1}};
  }
  json["pcie_per_step"] = {{"cpu-attention", traffic(1024.0 * scale, 2.0)},
                           {"fetch-dma", traffic(20480.0 * scale, 7.5)},
                           {"fetch-kernel", traffic(19456.0 * scale, 1.0)}};
  return json;
}

void add_projected(ordered_json& json, double scale) {
  json["output_error"] = 0.1 * scale;
  json["l1_loss"] = 3.0 * scale;
  json["l1_loss_relative"] = 0.08 * scale;
}

ordered_json retrieval_head(const RetrievalShape& shape, std::int64_t head, double scale) {
  ordered_json json = {{"head", head}};
  json.update(figures(shape, scale));
  json["l1_loss"] = 1.5;
  if (shape.codes) {
    json["code_usage"] = {{"entropy_bits", 3.5 + 0.25 * static_cast<double>(head % 2)},
                          {"dead_codes", head % 3},
                          {"largest_bucket", 20},
                          {"mean_bucket", 6.4375}};
  }
  json["query_heads"] = ordered_json::array();
  for (std::int64_t query = 2 * head; query < 2 * head + 2; ++query) {
    json["query_heads"].push_back({{"head", query},
                                   {"recall", 0.4 + 0.02 * static_cast<double>(query % 10)},
                                   {"captured_mass", 0.9},
                                   {"retrieved_mass", 0.3},
                                   {"output_error", 0.1}});
  }
  json["steps"] = ordered_json::array();
  for (std::int64_t step = 0; step < shape.steps; ++step) {
    json["steps"].push_back({{"union_tokens", 8},
                             {"captured_mass", 0.9},
                             {"hot_hits", 0},
                             {"fetch_pieces", 7},
                             {"recall", 0.5},
                             {"recall_vs_wrope", 0.75}});
  }
  return json;
}

}  // namespace

ordered_json eviction_document(const EvictionShape& shape) {
  ordered_json document =
      head_of_document("eviction", trace_json(shape.layers, 2 * shape.heads, shape.heads,
                                              shape.prompt_tokens, shape.steps, shape.needle));
  document["method"] = {{"name", shape.adaptive ? "ada-snapkv" : "snapkv"},
                        {"scorer", "window-attention"},
                        {"queries_used", 10},
                        {"group_reduce", "mean"},
                        {"pool", "max:7"},
                        {"granularity", "kv"},
                        {"layer_rule", "uniform"},
                        {"adaptive", shape.adaptive}};
  if (shape.adaptive) {
    document["method"].update({{"alpha", 0.2}, {"alpha_mode", "blend"}});
  }
  document["method"].update({{"two_stage", false},
                             {"window", 10},
                             {"sinks", 4},
                             {"budget", "20%"},
                             {"budget_tokens", 20}});
  document["summary"] = ordered_json::object();
  document["layers"] = ordered_json::array();
  std::int64_t touched = 0;
  for (std::int64_t layer = 0; layer < shape.layers; ++layer) {
    if (contains(shape.whole_layers, layer)) {
      document["layers"].push_back({{"layer", layer}, {"touched", false}});
    } else {
      document["layers"].push_back(eviction_layer(shape, layer));
      ++touched;
    }
  }
  document["summary"] = eviction_summary(shape, touched);
  document["steps"] = ordered_json::array();
  for (std::int64_t step = 0; step < shape.steps; ++step) {
    document["steps"].push_back({{"step", step},
                                 {"position", shape.prompt_tokens + step},
                                 {"evicted_mass", 0.1 + 0.02 * static_cast<double>(step % 5)},
                                 {"l1_loss", 3.0 + 0.25 * static_cast<double>(step % 4)}});
  }
  const std::int64_t full = shape.layers * shape.heads * shape.prompt_tokens * 256;
  document["cost"] = {{"origin", "modelled"},
                      {"layers", shape.layers},
                      {"kv_full_bytes", full},
                      {"kv_kept_bytes", full / 5},
                      {"pcie_bytes_per_step", 0}};
  document["warnings"] = ordered_json::array();
  return document;
}

ordered_json retrieval_document(const RetrievalShape& shape) {
  ordered_json document = head_of_document(
      "retrieval",
      trace_json(shape.layers, 2 * shape.heads, shape.heads, 100, shape.steps, shape.needle));
  document["method"] = {{"name", shape.codes ? "a2ats" : "exact-topk"},
                        {"scorer", shape.codes ? "vq-query-aware" : "exact"},
                        {"top", "5%"},
                        {"retrieval_budget", "uniform"},
                        {"sinks", 8},
                        {"window", 16},
                        {"wrope_distance", 2048},
                        {"final_attention", "exact"},
                        {"placement", "fetch-dma"},
                        {"hot_buffer_tokens", 0},
                        {"seed", 0}};
  if (shape.codes) {
    document["method"]["codebook"] = {
        {"kind", "query-aware"},
        {"codewords", 16},
        {"dtype", "fp32"},
        {"center_keys", false},
        {"given", false},
        {"in_sample", true},
        {"traces", {{{"name", "tiny.kvtrace"}, {"hash", "00112233445566778899aabbccddeeff"}}}}};
  }
  ordered_json summary = figures(shape, 1.0);
  add_projected(summary, 1.0);
  summary["pcie_bytes_per_step"] = 20480.0;
  document["summary"] = std::move(summary);
  document["layers"] = ordered_json::array();
  for (std::int64_t layer = 0; layer < shape.layers; ++layer) {
    ordered_json entry = {{"layer", layer}};
    if (contains(shape.whole_layers, layer)) {
      entry["touched"] = false;
    } else {
      const double scale = layer % 2 == 0 ? 1.0 : 0.8;
      entry.update(figures(shape, scale));
      add_projected(entry, scale);
      entry["heads"] = ordered_json::array();
      for (std::int64_t head = 0; head < shape.heads; ++head) {
        entry["heads"].push_back(retrieval_head(shape, head, scale));
      }
    }
    document["layers"].push_back(std::move(entry));
  }
  document["steps"] = ordered_json::array();
  for (std::int64_t step = 0; step < shape.steps; ++step) {
    ordered_json entry = {{"step", step}, {"position", 100 + step}, {"top", 5}};
    entry.update(figures(shape, 1.0 - 0.1 * static_cast<double>(step % 3)));
    add_projected(entry, 1.0);
    document["steps"].push_back(std::move(entry));
  }
  document["cost"] = {{"origin", "modelled"},
                      {"layers", shape.layers},
                      {"kv_full_bytes", shape.layers * shape.heads * 100 * 256},
                      {"pcie_bytes_per_step", 20480.0},
                      {"pcie_pieces_per_step", 7.5}};
  if (shape.codes) {
    document["cost"]["codes_bytes"] = 800;
    document["cost"]["codebook_bytes"] = 8192;
    document["cost"]["index"] = {
        {"bytes_per_token", 2.0}, {"fixed_bytes", 4096}, {"read_bytes_per_step", 192.0}};
  }
  document["warnings"] = ordered_json::array();
  return document;
}

std::string hostile_text() {
  return "<script>alert('x')</script> | a & b \" ` * _ [l](http://evil.example) \x1b[31mred\n@user "
         "\u202e]]> <!-- ${x}";
}

ordered_json hostile_document() {
  ordered_json document = eviction_document();
  const std::string text = hostile_text();
  document["tool_version"] = text;
  document["isa"] = text;
  document["trace"]["path"] = "folder/" + text;
  document["trace"]["model"] = text;
  document["trace"]["needle"]["text"] = text;
  document["method"]["name"] = text;
  document["method"]["budget"] = text;
  document["method"][text] = text;
  document["warnings"] = {text};
  return document;
}

ordered_json bare_document(const std::string& family) {
  return {{"schema", "kvsieve.run/1"},
          {"family", family},
          {"trace", ordered_json::object()},
          {"method", ordered_json::object()}};
}

std::vector<NamedDocument> valid_documents() {
  return {{"eviction", eviction_document()},
          {"eviction_uniform", eviction_document({.adaptive = false, .needle = false})},
          {"eviction_no_decode", eviction_document({.steps = 0})},
          {"eviction_smallest", eviction_document({.layers = 1, .heads = 1, .steps = 1})},
          {"eviction_whole_layers", eviction_document({.layers = 5, .whole_layers = {1, 3}})},
          {"eviction_all_whole", eviction_document({.layers = 2, .whole_layers = {0, 1}})},
          {"eviction_large",
           eviction_document({.layers = 80, .heads = 64, .steps = 64, .prompt_tokens = 200'000})},
          {"eviction_hostile", hostile_document()},
          {"retrieval", retrieval_document()},
          {"retrieval_exact", retrieval_document({.codes = false, .needle = false})},
          {"retrieval_smallest", retrieval_document({.layers = 1, .heads = 1, .steps = 1})},
          {"retrieval_whole_layers", retrieval_document({.layers = 3, .whole_layers = {2}})},
          {"retrieval_large", retrieval_document({.layers = 80, .heads = 32, .steps = 16})}};
}

}  // namespace kvsieve::tests
