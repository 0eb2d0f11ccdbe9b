#include "kvsieve/sim/model_dimensions.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "hardware/built_in_data.h"
#include "hardware/inheritance.h"
#include "hardware/sourced_fields.h"

namespace kvsieve::sim {
namespace {

using nlohmann::ordered_json;
using traces::JsonFields;

// Far beyond any model, and small enough that products of them stay within 64 bits.
constexpr std::int64_t kMaxLayers = 4'096;
constexpr std::int64_t kMaxHeads = 16'384;
constexpr std::int64_t kMaxHeadDim = 16'384;
constexpr std::int64_t kMaxWidth = 1 << 20;
constexpr std::int64_t kMaxExperts = 4'096;
constexpr std::int64_t kMaxPosition = INT32_MAX;

AttentionKind attention_from_json(const JsonFields& fields) {
  const std::string kind = fields.string_or("attention", "grouped");
  if (kind != "grouped" && kind != "latent") {
    fields.fail("attention", "grouped or latent");
  }
  return kind == "grouped" ? AttentionKind::kGrouped : AttentionKind::kLatent;
}

void read_sliding_layers(const JsonFields& fields, ModelDimensions& model) {
  if (!fields.has("sliding_window")) {
    if (fields.has("sliding_layers")) {
      fields.fail("sliding_window", "a number of tokens, as there are sliding_layers");
    }
    return;
  }
  model.sliding_window = fields.integer("sliding_window", 1, kMaxPosition);
  model.sliding_layers = fields.integers("sliding_layers", 0, model.layers - 1);
  if (model.sliding_layers.empty() ||
      std::adjacent_find(model.sliding_layers.begin(), model.sliding_layers.end(),
                         std::greater_equal<>()) != model.sliding_layers.end()) {
    fields.fail("sliding_layers", "ascending layers, at least one");
  }
}

/// The built-in models by id.
const std::map<std::string, ModelDimensions>& models() {
  static const std::map<std::string, ModelDimensions> all = [] {
    std::map<std::string, ModelDimensions> read;
    for (std::string& id : built_in_ids(kModelFolder)) {
      ModelDimensions model = model_from_json(*find_built_in(kModelFolder, id));
      read.emplace(std::move(id), std::move(model));
    }
    return read;
  }();
  return all;
}

}  // namespace

std::int64_t ModelDimensions::parameters() const noexcept {
  if (attention == AttentionKind::kLatent) {
    return 0;
  }
  const std::int64_t projections = 2 * width * (q_heads + kv_heads) * head_dim;
  const std::int64_t mlp = experts * (gated_mlp ? 3 : 2) * width * mlp_width;
  const std::int64_t router = experts > 1 ? experts * width : 0;
  const std::int64_t embeddings = (tied_embeddings ? 1 : 2) * vocabulary * width;
  return embeddings + layers * (projections + mlp + router);
}

double ModelDimensions::kv_bytes(std::int64_t context, double element_bytes) const noexcept {
  const std::int64_t window = std::min(context, sliding_window.value_or(context));
  const std::int64_t rows =
      global_layers() * context + static_cast<std::int64_t>(sliding_layers.size()) * window;
  const std::int64_t row = attention == AttentionKind::kLatent ? head_dim : 2 * kv_heads * head_dim;
  return static_cast<double>(rows * row) * element_bytes;
}

std::vector<std::string> model_ids() {
  return built_in_ids(kModelFolder);
}

ModelDimensions load_model(const std::string& name) {
  if (ends_in_json(name)) {
    return read_data_file(name, kModelFolder, model_from_json);
  }
  const std::string wanted = lower_case(name);
  for (const auto& [id, model] : models()) {
    if (wanted == id || wanted == lower_case(model.name)) {
      return model;
    }
  }
  fail_unknown(kModelFolder, name, model_ids());
}

ordered_json to_json(const ModelDimensions& model) {
  ordered_json json = {
      {"id", model.id},
      {"name", model.name},
      {"source", model.source},
      {"verified", model.verified},
      {"attention", model.attention == AttentionKind::kGrouped ? "grouped" : "latent"},
      {"layers", model.layers},
      {"q_heads", model.q_heads},
      {"kv_heads", model.kv_heads},
      {"head_dim", model.head_dim},
      {"width", model.width},
      {"mlp_width", model.mlp_width},
      {"gated_mlp", model.gated_mlp},
      {"experts", model.experts},
      {"experts_per_token", model.experts_per_token},
      {"vocabulary", model.vocabulary},
      {"tied_embeddings", model.tied_embeddings},
      {"max_context", model.max_context},
      {"weight_bytes", model.weight_bytes}};
  if (model.sliding_window) {
    json["sliding_window"] = *model.sliding_window;
    json["sliding_layers"] = model.sliding_layers;
  }
  return json;
}

ModelDimensions model_from_json(const ordered_json& json) {
  const ordered_json whole = with_base(json, kModelFolder, "model");
  const JsonFields fields(whole, "model");
  fields.allow_only({"base",
                     "id",
                     "name",
                     "source",
                     "verified",
                     "attention",
                     "layers",
                     "q_heads",
                     "kv_heads",
                     "head_dim",
                     "width",
                     "mlp_width",
                     "gated_mlp",
                     "experts",
                     "experts_per_token",
                     "vocabulary",
                     "tied_embeddings",
                     "max_context",
                     "weight_bytes",
                     "sliding_window",
                     "sliding_layers"});
  ModelDimensions model;
  model.id = text_from_json(fields, "id");
  model.name = fields.string_or("name", model.id);
  model.source = text_from_json(fields, "source");
  model.verified = fields.boolean_or("verified", false);
  model.attention = attention_from_json(fields);
  model.layers = fields.integer("layers", 1, kMaxLayers);
  model.q_heads = fields.integer("q_heads", 1, kMaxHeads);
  model.kv_heads = fields.integer("kv_heads", 1, model.q_heads);
  if (model.q_heads % model.kv_heads != 0) {
    fields.fail("kv_heads", fmt::format("a divisor of q_heads = {}", model.q_heads));
  }
  model.head_dim = fields.integer("head_dim", 2, kMaxHeadDim);
  model.width = fields.integer("width", 1, kMaxWidth);
  model.mlp_width = fields.integer("mlp_width", 1, kMaxWidth);
  model.gated_mlp = fields.boolean_or("gated_mlp", true);
  model.experts = fields.has("experts") ? fields.integer("experts", 1, kMaxExperts) : 1;
  model.experts_per_token =
      fields.has("experts_per_token") ? fields.integer("experts_per_token", 1, model.experts) : 1;
  model.vocabulary = fields.integer("vocabulary", 1, kMaxPosition);
  model.tied_embeddings = fields.boolean_or("tied_embeddings", false);
  model.max_context = fields.integer("max_context", 1, kMaxPosition);
  model.weight_bytes = fields.has("weight_bytes") ? fields.integer("weight_bytes", 1, 8) : 2;
  read_sliding_layers(fields, model);
  return model;
}

}  // namespace kvsieve::sim
