#include "gguf_model.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <string>
#include <string_view>

#include "kvsieve/traces/error.h"
#include "rope_factors.h"

namespace kvsieve::record {
namespace {

using traces::LayerSpec;
using traces::ModelShape;
using traces::RopePairing;
using traces::RopeScaling;
using traces::RopeScalingType;
using traces::RopeSpec;

/// What differs among the architectures that share this attention block.
struct Architecture {
  std::string_view name;
  RopePairing pairing;
  bool rope_factors;    ///< rope_freqs.weight divides the frequencies
  bool sliding_layers;  ///< some layers slide over a window, with a RoPE of their own
};

/// llama.cpp stores q and k of its llama architecture with the rows of a head permuted, so that
/// RoPE pairs neighbours; the others keep Hugging Face's order.
constexpr std::array<Architecture, 4> kArchitectures = {{
    {"llama", RopePairing::kInterleaved, true, false},
    {"gemma3", RopePairing::kHalf, false, true},
    {"qwen2", RopePairing::kHalf, false, false},
    {"qwen3", RopePairing::kHalf, false, false},
}};

[[noreturn]] void unsupported(const GgufFile& file, std::string_view what) {
  throw Error(ErrorKind::kMissingCapability, fmt::format("{}: {}", file.path().string(), what));
}

const Architecture& find_architecture(const GgufFile& file, const std::string& name) {
  const auto found =
      std::find_if(kArchitectures.begin(), kArchitectures.end(),
                   [&](const Architecture& candidate) { return candidate.name == name; });
  if (found == kArchitectures.end()) {
    std::vector<std::string_view> names;
    names.reserve(kArchitectures.size());
    for (const Architecture& candidate : kArchitectures) {
      names.push_back(candidate.name);
    }
    unsupported(file, fmt::format("architecture '{}' is not supported; supported: {}", name,
                                  fmt::join(names, ", ")));
  }
  return *found;
}

RopeScaling read_scaling(const GgufFile& file, const std::string& prefix, double factor) {
  RopeScaling scaling;
  scaling.factor = factor;
  const std::string type = file.text(prefix + "rope.scaling.type", "linear");
  if (type == "yarn") {
    scaling.type = RopeScalingType::kYarn;
    scaling.original_max_position_embeddings =
        file.number(prefix + "rope.scaling.original_context_length")
            ? file.count(prefix + "rope.scaling.original_context_length")
            : file.count(prefix + "context_length");
  } else if (type == "linear" && factor != 1.0) {
    scaling.type = RopeScalingType::kLinear;
  } else if (type == "none" || type == "linear") {
    return {};
  } else {
    unsupported(file, fmt::format("RoPE scaling '{}' is not supported; supported: none, linear, "
                                  "yarn, and Llama 3's as rope_freqs.weight",
                                  type));
  }
  return scaling;
}

RopeSpec read_rope(const GgufFile& file, const Architecture& architecture,
                   const std::string& prefix, std::int64_t head_dim) {
  RopeSpec rope;
  rope.pairing = architecture.pairing;
  rope.theta = file.number(prefix + "rope.freq_base").value_or(10000.0);
  rope.dim = file.number(prefix + "rope.dimension_count")
                 ? file.count(prefix + "rope.dimension_count")
                 : head_dim;
  if (rope.dim != head_dim) {
    unsupported(file,
                fmt::format("RoPE on {} of {} dimensions is not supported", rope.dim, head_dim));
  }
  const double stated = file.number(prefix + "rope.scaling.factor")
                            .value_or(file.number(prefix + "rope.scale_linear").value_or(0.0));
  rope.scaling = read_scaling(file, prefix, stated == 0.0 ? 1.0 : stated);
  rope.attention_factor = file.number(prefix + "rope.scaling.attn_factor").value_or(1.0);
  if (rope.scaling.type == RopeScalingType::kYarn && rope.scaling.factor > 1.0) {
    rope.attention_factor *= 0.1 * std::log(rope.scaling.factor) + 1.0;
  }
  if (!architecture.rope_factors || !file.has_tensor("rope_freqs.weight")) {
    return rope;
  }
  const std::optional<RopeScaling> scaling =
      scaling_from_rope_factors(file.tensor("rope_freqs.weight"), rope.theta);
  if (!scaling || rope.scaling.type != RopeScalingType::kNone) {
    unsupported(file,
                "rope_freqs.weight is no scaling that a trace can state (none, linear or Llama "
                "3's, and not together with another one)");
  }
  rope.scaling = *scaling;
  return rope;
}

/// Gemma 3's largest model scales by its width; llama.cpp tells it by its layers.
double attention_scale(const Architecture& architecture, const ModelShape& model) {
  const bool by_width = architecture.name == "gemma3" && model.layers == 62;
  return 1.0 /
         std::sqrt(static_cast<double>(by_width ? model.width / model.q_heads : model.head_dim));
}

/// Which layers slide: one flag a layer, or every n-th one does not.
std::vector<bool> sliding_layers(const GgufFile& file, const std::string& prefix,
                                 std::int64_t layers) {
  const std::vector<double> stated = file.numbers(prefix + "attention.sliding_window_pattern");
  std::vector<bool> sliding(static_cast<std::size_t>(layers));
  if (stated.size() > 1 && static_cast<std::int64_t>(stated.size()) != layers) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("{}: attention.sliding_window_pattern has {} entries, expected {}",
                            file.path().string(), stated.size(), layers));
  }
  const std::size_t period = stated.size() == 1 ? static_cast<std::size_t>(stated.front()) : 6;
  for (std::size_t layer = 0; layer < sliding.size(); ++layer) {
    sliding[layer] =
        stated.size() > 1 ? stated[layer] != 0.0 : period == 0 || layer % period < period - 1;
  }
  return sliding;
}

void add_sliding_layers(const GgufFile& file, const std::string& prefix, ModelShape& model) {
  const auto window = file.number(prefix + "attention.sliding_window");
  if (!window || *window == 0.0) {
    return;
  }
  if (model.defaults.rope.scaling.type == RopeScalingType::kYarn) {
    unsupported(file, "YaRN together with sliding-window layers is not supported");
  }
  LayerSpec local = model.defaults;
  local.rope.theta = file.number(prefix + "rope.freq_base_swa").value_or(10000.0);
  local.rope.scaling = {};
  local.attention.sliding_window = static_cast<std::int64_t>(*window);
  const std::vector<bool> sliding = sliding_layers(file, prefix, model.layers);
  for (std::size_t layer = 0; layer < sliding.size(); ++layer) {
    if (sliding[layer]) {
      model.layer_overrides[static_cast<std::int64_t>(layer)] = local;
    }
  }
}

}  // namespace

ModelShape read_model_shape(const GgufFile& file) {
  if (file.number("split.count").value_or(1.0) > 1.0) {
    throw Error(ErrorKind::kMissingCapability,
                fmt::format("{}: the model is split into several files", file.path().string()),
                "join them with `llama-gguf-split --merge`");
  }
  ModelShape model;
  model.architecture = file.text("general.architecture", "");
  const Architecture& architecture = find_architecture(file, model.architecture);
  model.name = file.text("general.name", file.path().stem().string());

  const std::string prefix = model.architecture + ".";
  model.layers = file.count(prefix + "block_count");
  model.width = file.count(prefix + "embedding_length");
  model.q_heads = file.count(prefix + "attention.head_count");
  model.kv_heads = file.number(prefix + "attention.head_count_kv")
                       ? file.count(prefix + "attention.head_count_kv")
                       : model.q_heads;
  if (model.q_heads % model.kv_heads != 0) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("{}: {} query heads cannot share {} KV heads evenly",
                            file.path().string(), model.q_heads, model.kv_heads));
  }
  const auto head_size = [&](const char* key) {
    return file.number(prefix + key) ? file.count(prefix + key) : model.width / model.q_heads;
  };
  model.head_dim = head_size("attention.key_length");
  if (head_size("attention.value_length") != model.head_dim) {
    unsupported(file, "keys and values of different sizes are not supported");
  }
  model.defaults.rope = read_rope(file, architecture, prefix, model.head_dim);
  model.defaults.attention.scale = attention_scale(architecture, model);
  if (architecture.sliding_layers) {
    add_sliding_layers(file, prefix, model);
  }
  return model;
}

std::vector<float> read_output_projection(const GgufFile& file, const ModelShape& model,
                                          std::int64_t layer) {
  const std::string stem = fmt::format("blk.{}.attn_output.", layer);
  if (file.has_tensor(stem + "scale")) {
    unsupported(file,
                fmt::format("{}scale: weights with a separate scale are not supported", stem));
  }
  const std::vector<float> stored = file.tensor(stem + "weight");  // [D, Hq * d]
  const auto width = static_cast<std::size_t>(model.width);
  const auto inputs = static_cast<std::size_t>(model.q_heads * model.head_dim);
  if (stored.size() != width * inputs) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("{}: tensor {}weight has {} values, expected {} x {}",
                            file.path().string(), stem, stored.size(), width, inputs));
  }
  std::vector<float> transposed(stored.size());
  for (std::size_t row = 0; row < width; ++row) {
    for (std::size_t input = 0; input < inputs; ++input) {
      transposed[input * width + row] = stored[row * inputs + input];
    }
  }
  return transposed;
}

}  // namespace kvsieve::record
