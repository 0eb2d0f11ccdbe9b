#include "kvsieve/traces/model_shape.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <string_view>

#include "kvsieve/traces/error.h"
#include "kvsieve/traces/json_fields.h"

namespace kvsieve::traces {
namespace {

using nlohmann::ordered_json;

// Far beyond any model, and small enough that products of them stay within 64 bits.
constexpr std::int64_t kMaxLayers = 4'096;
constexpr std::int64_t kMaxHeads = 16'384;
constexpr std::int64_t kMaxHeadDim = 16'384;
constexpr std::int64_t kMaxWidth = 1 << 24;
constexpr std::int64_t kMaxPosition = INT32_MAX;

ordered_json to_json(const RopeSpec& rope) {
  ordered_json scaling;
  switch (rope.scaling.type) {
    case RopeScalingType::kNone:
      break;
    case RopeScalingType::kLinear:
      scaling = {{"type", "linear"}, {"factor", rope.scaling.factor}};
      break;
    case RopeScalingType::kLlama3:
      scaling = {
          {"type", "llama3"},
          {"factor", rope.scaling.factor},
          {"low_freq_factor", rope.scaling.low_freq_factor},
          {"high_freq_factor", rope.scaling.high_freq_factor},
          {"original_max_position_embeddings", rope.scaling.original_max_position_embeddings}};
      break;
    case RopeScalingType::kYarn:
      scaling = {
          {"type", "yarn"},
          {"factor", rope.scaling.factor},
          {"original_max_position_embeddings", rope.scaling.original_max_position_embeddings},
          {"beta_fast", rope.scaling.beta_fast},
          {"beta_slow", rope.scaling.beta_slow},
          {"truncate", rope.scaling.truncate}};
      break;
  }
  return {{"pairing", rope.pairing == RopePairing::kHalf ? "half" : "interleaved"},
          {"theta", rope.theta},
          {"dim", rope.dim},
          {"scaling", scaling},
          {"attention_factor", rope.attention_factor}};
}

ordered_json to_json(const LayerSpec& spec) {
  ordered_json attention = {
      {"scale", spec.attention.scale}, {"softcap", nullptr}, {"sliding_window", nullptr}};
  if (spec.attention.softcap) {
    attention["softcap"] = *spec.attention.softcap;
  }
  if (spec.attention.sliding_window) {
    attention["sliding_window"] = *spec.attention.sliding_window;
  }
  return {{"rope", to_json(spec.rope)}, {"attention", attention}};
}

/// What must be merged over `base` to get `value`.
ordered_json difference(const ordered_json& base, const ordered_json& value) {
  ordered_json result = ordered_json::object();
  for (const auto& [key, item] : value.items()) {
    if (!base.contains(key)) {
      result[key] = item;
    } else if (base[key] != item) {
      result[key] = item.is_object() && base[key].is_object() ? difference(base[key], item) : item;
    }
  }
  return result;
}

/// Merges key by key at every depth. Unlike RFC 7386, null is a value here: it switches off.
void merge(ordered_json& base, const ordered_json& patch) {
  for (const auto& [key, item] : patch.items()) {
    if (item.is_object() && base.contains(key) && base[key].is_object()) {
      merge(base[key], item);
    } else {
      base[key] = item;
    }
  }
}

RopeScaling scaling_from_json(const JsonFields& fields) {
  RopeScaling scaling;
  const std::string type = fields.string("type");
  if (type == "linear") {
    scaling.type = RopeScalingType::kLinear;
  } else if (type == "llama3") {
    scaling.type = RopeScalingType::kLlama3;
  } else if (type == "yarn") {
    scaling.type = RopeScalingType::kYarn;
  } else {
    fields.fail("type", "one of linear, llama3, yarn");
  }
  scaling.factor = fields.positive("factor");
  if (scaling.type == RopeScalingType::kLlama3) {
    scaling.low_freq_factor = fields.positive("low_freq_factor");
    scaling.high_freq_factor = fields.positive("high_freq_factor");
    if (scaling.high_freq_factor <= scaling.low_freq_factor) {
      fields.fail("high_freq_factor", "a number above low_freq_factor");
    }
  }
  if (scaling.type == RopeScalingType::kYarn) {
    scaling.beta_slow = fields.has("beta_slow") ? fields.positive("beta_slow") : scaling.beta_slow;
    scaling.beta_fast = fields.number_or("beta_fast", scaling.beta_fast);
    scaling.truncate = fields.boolean_or("truncate", scaling.truncate);
    if (scaling.beta_fast <= scaling.beta_slow) {
      fields.fail("beta_fast", fmt::format("a number above beta_slow = {}", scaling.beta_slow));
    }
  }
  if (scaling.type != RopeScalingType::kLinear) {
    scaling.original_max_position_embeddings =
        fields.integer("original_max_position_embeddings", 1, kMaxPosition);
  }
  return scaling;
}

RopeSpec rope_from_json(const JsonFields& fields, std::int64_t head_dim) {
  RopeSpec rope;
  const std::string pairing = fields.string("pairing");
  if (pairing != "half" && pairing != "interleaved") {
    fields.fail("pairing", "half or interleaved");
  }
  rope.pairing = pairing == "half" ? RopePairing::kHalf : RopePairing::kInterleaved;
  rope.theta = fields.number("theta");
  if (rope.theta <= 1.0) {
    fields.fail("theta", "a number above 1");
  }
  rope.dim = fields.integer("dim", 2, head_dim);
  if (rope.dim % 2 != 0) {
    fields.fail("dim", "an even number");
  }
  if (fields.has("scaling")) {
    rope.scaling = scaling_from_json(fields.object("scaling"));
  }
  rope.attention_factor =
      fields.has("attention_factor") ? fields.positive("attention_factor") : 1.0;
  return rope;
}

AttentionSpec attention_from_json(const JsonFields& fields, std::int64_t head_dim) {
  AttentionSpec attention;
  attention.scale = fields.has("scale") ? fields.positive("scale")
                                        : 1.0 / std::sqrt(static_cast<double>(head_dim));
  if (fields.has("softcap")) {
    attention.softcap = fields.positive("softcap");
  }
  if (fields.has("sliding_window")) {
    attention.sliding_window = fields.integer("sliding_window", 1, kMaxPosition);
  }
  return attention;
}

LayerSpec layer_from_json(const ordered_json& json, const std::string& path,
                          std::int64_t head_dim) {
  const JsonFields fields(json, path);
  return {rope_from_json(fields.object("rope"), head_dim),
          attention_from_json(fields.object("attention"), head_dim)};
}

}  // namespace

const LayerSpec& ModelShape::layer(std::int64_t layer) const {
  const auto found = layer_overrides.find(layer);
  return found == layer_overrides.end() ? defaults : found->second;
}

ordered_json to_json(const ModelShape& model) {
  ordered_json json = {{"name", model.name},         {"architecture", model.architecture},
                       {"layers", model.layers},     {"q_heads", model.q_heads},
                       {"kv_heads", model.kv_heads}, {"head_dim", model.head_dim},
                       {"width", model.width}};
  const ordered_json defaults = to_json(model.defaults);
  json.update(defaults);
  ordered_json overrides = ordered_json::object();
  for (const auto& [layer, spec] : model.layer_overrides) {
    ordered_json changed = difference(defaults, to_json(spec));
    if (!changed.empty()) {
      overrides[std::to_string(layer)] = std::move(changed);
    }
  }
  json["layer_overrides"] = std::move(overrides);
  return json;
}

ModelShape model_shape_from_json(const ordered_json& json) {
  const JsonFields fields(json, "model");
  ModelShape model;
  model.name = fields.string("name");
  model.architecture = fields.string("architecture");
  model.layers = fields.integer("layers", 1, kMaxLayers);
  model.q_heads = fields.integer("q_heads", 1, kMaxHeads);
  model.kv_heads = fields.integer("kv_heads", 1, model.q_heads);
  if (model.q_heads % model.kv_heads != 0) {
    fields.fail("kv_heads", fmt::format("a divisor of q_heads = {}", model.q_heads));
  }
  model.head_dim = fields.integer("head_dim", 2, kMaxHeadDim);
  model.width = fields.integer("width", 1, kMaxWidth);

  const ordered_json defaults = {{"rope", fields.raw("rope")},
                                 {"attention", fields.raw("attention")}};
  model.defaults = layer_from_json(defaults, "model", model.head_dim);
  if (fields.has("layer_overrides")) {
    const JsonFields overrides = fields.object("layer_overrides");
    for (const auto& [key, patch] : fields.raw("layer_overrides").items()) {
      const bool digits = !key.empty() && key.size() <= 5 &&
                          key.find_first_not_of("0123456789") == std::string::npos;
      const std::int64_t layer = digits ? std::stoll(key) : -1;
      // "02" would be a second name for layer 2, which the check for duplicate keys cannot see.
      if (layer < 0 || key != std::to_string(layer) || layer >= model.layers ||
          !patch.is_object()) {
        overrides.fail(key, fmt::format("an object under a layer number below {}", model.layers));
      }
      ordered_json merged = defaults;
      merge(merged, patch);
      model.layer_overrides[layer] =
          layer_from_json(merged, "model.layer_overrides." + key, model.head_dim);
    }
  }
  return model;
}

}  // namespace kvsieve::traces
