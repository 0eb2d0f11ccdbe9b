#pragma once
// The sizes of a served model, as data: what weights, KV cache and layers weigh. The built-in ones
// are the JSON files under sim/hardware/data/models; users add theirs as files of the same form.

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kvsieve/traces/model_shape.h"

namespace kvsieve::sim {

/// How a model's attention stores its cache.
enum class AttentionKind {
  kGrouped,  ///< MHA, GQA or MQA: K and V a KV head
  kLatent,   ///< MLA: one compressed latent a token, which the methods here do not act on
};

/// One model. Letters are the glossary's.
struct ModelDimensions {
  std::string id;      ///< llama-3.1-8b
  std::string name;    ///< meta-llama/Llama-3.1-8B
  std::string source;  ///< where the numbers were read
  bool verified = false;
  AttentionKind attention = AttentionKind::kGrouped;
  std::int64_t layers = 0;     ///< L
  std::int64_t q_heads = 0;    ///< Hq
  std::int64_t kv_heads = 0;   ///< Hkv
  std::int64_t head_dim = 0;   ///< d; the latent's values in latent attention
  std::int64_t width = 0;      ///< D
  std::int64_t mlp_width = 0;  ///< of one expert, or of the dense MLP
  bool gated_mlp = true;       ///< three matrices an MLP rather than two
  std::int64_t experts = 1;
  std::int64_t experts_per_token = 1;
  std::int64_t vocabulary = 0;
  bool tied_embeddings = false;   ///< input and output embeddings are one matrix
  std::int64_t max_context = 0;   ///< positions that it was made for
  std::int64_t weight_bytes = 2;  ///< an element
  /// Layers that see only this many tokens back: their indices, all below `layers`, ascending.
  std::optional<std::int64_t> sliding_window;
  std::vector<std::int64_t> sliding_layers;

  /// G
  [[nodiscard]] std::int64_t group() const noexcept { return q_heads / kv_heads; }
  [[nodiscard]] std::int64_t global_layers() const noexcept {
    return layers - static_cast<std::int64_t>(sliding_layers.size());
  }
  /// Weights, embeddings included; norms and biases are left out. 0 for latent attention, whose
  /// projections are not described.
  [[nodiscard]] std::int64_t parameters() const noexcept;
  /// Bytes of one sequence's cache at `context` tokens: K and V of all layers, of no more than
  /// their window in sliding layers; one latent of head_dim values a token in latent attention.
  [[nodiscard]] double kv_bytes(std::int64_t context, double element_bytes) const noexcept;
  bool operator==(const ModelDimensions&) const = default;
};

/// Ids of the built-in models, ascending.
[[nodiscard]] std::vector<std::string> model_ids();

/// A model by id, by name (letter case does not matter), or path of a file (a name ending in
/// ".json"); `"base": ID` in a file gives only what differs. Throws Error(kUsage) with the nearest
/// ids for an unknown one; Error(kBadInput), one line that begins with the path, for a bad file.
/// A model with latent attention loads; cost functions refuse it.
[[nodiscard]] ModelDimensions load_model(const std::string& name);

/// A trace's model: heads, layers and sliding windows are its own; what a trace does not say (MLP,
/// vocabulary) comes from the built-in model whose sizes agree in all that it says, otherwise from
/// the family's usual ratio (MLP 8/3 D rounded up to 256, vocabulary 32,000), and `verified` is
/// false.
[[nodiscard]] ModelDimensions dimensions_of(const traces::ModelShape& shape);

[[nodiscard]] nlohmann::ordered_json to_json(const ModelDimensions& model);
/// Throws Error(kBadInput) naming the field, what it holds and what was expected.
[[nodiscard]] ModelDimensions model_from_json(const nlohmann::ordered_json& json);

}  // namespace kvsieve::sim
