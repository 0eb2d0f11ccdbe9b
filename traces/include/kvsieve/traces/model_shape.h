#pragma once
// What a trace says of its model: head counts, RoPE and attention parameters, layer by layer.

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

namespace kvsieve::traces {

/// How RoPE pairs the dimensions of a head.
enum class RopePairing {
  kHalf,         ///< dimension t with t + dim/2 (Hugging Face's layout)
  kInterleaved,  ///< dimension 2t with 2t + 1 (llama.cpp's llama-architecture files)
};

/// Frequency scaling schemes for contexts longer than the model was trained on.
enum class RopeScalingType { kNone, kLinear, kLlama3, kYarn };

/// Parameters of a scaling scheme; names follow Hugging Face's `rope_scaling`.
struct RopeScaling {
  RopeScalingType type = RopeScalingType::kNone;
  double factor = 1.0;
  double low_freq_factor = 1.0;                       ///< llama3
  double high_freq_factor = 4.0;                      ///< llama3
  std::int64_t original_max_position_embeddings = 0;  ///< llama3, yarn
  double beta_fast = 32.0;                            ///< yarn
  double beta_slow = 1.0;                             ///< yarn
  bool truncate = true;  ///< yarn: round the ramp's ends to whole dimensions

  bool operator==(const RopeScaling&) const = default;
};

/// Rotary position embedding of one layer.
struct RopeSpec {
  RopePairing pairing = RopePairing::kHalf;
  double theta = 10000.0;
  std::int64_t dim = 0;  ///< rotated dimensions, the first of the head; the rest pass through
  RopeScaling scaling;
  double attention_factor = 1.0;  ///< multiplied into cos and sin

  bool operator==(const RopeSpec&) const = default;
};

/// Attention parameters of one layer.
struct AttentionSpec {
  double scale = 0.0;                          ///< multiplies q.k; usually 1/sqrt(d)
  std::optional<double> softcap;               ///< score -> softcap * tanh(score / softcap)
  std::optional<std::int64_t> sliding_window;  ///< query i sees key j when i - j < sliding_window

  bool operator==(const AttentionSpec&) const = default;
};

/// RoPE and attention of one layer.
struct LayerSpec {
  RopeSpec rope;
  AttentionSpec attention;

  bool operator==(const LayerSpec&) const = default;
};

/// The model of a trace. Field letters are the glossary's (README): L, Hq, Hkv, d, D.
struct ModelShape {
  std::string name;
  std::string architecture;
  std::int64_t layers = 0;    ///< L, all layers of the model, captured or not
  std::int64_t q_heads = 0;   ///< Hq
  std::int64_t kv_heads = 0;  ///< Hkv
  std::int64_t head_dim = 0;  ///< d
  std::int64_t width = 0;     ///< D
  LayerSpec defaults;         ///< RoPE and attention of every layer without an override
  std::map<std::int64_t, LayerSpec> layer_overrides;  ///< layer -> its complete specification

  /// G = Hq / Hkv, the query heads that share a KV head; query head h reads KV head h / G.
  [[nodiscard]] std::int64_t group() const noexcept { return q_heads / kv_heads; }

  /// RoPE and attention of layer `layer`.
  [[nodiscard]] const LayerSpec& layer(std::int64_t layer) const;
};

/// Writes the `model` object of the trace metadata; overrides hold only what differs.
[[nodiscard]] nlohmann::ordered_json to_json(const ModelShape& model);

/// Reads the `model` object. Throws Error(kBadInput) naming the field, what it holds and what
/// was expected; every count is checked for range and Hq for being a multiple of Hkv.
[[nodiscard]] ModelShape model_shape_from_json(const nlohmann::ordered_json& json);

}  // namespace kvsieve::traces
