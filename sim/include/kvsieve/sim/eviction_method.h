#pragma once
// Eviction methods as compositions of stages: scorer x pooling x group reduce x budget rule x
// protection (docs/methods.md).

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kvsieve/kernels/budget_allocation.h"
#include "kvsieve/kernels/decimal.h"
#include "kvsieve/kernels/window_scores.h"

namespace kvsieve::sim {

/// Where a token's importance comes from.
enum class Scorer {
  kNone,             ///< nothing is evicted
  kWindowAttention,  ///< SnapKV: mean attention of the last `window` prompt queries
  kAttentionSum,     ///< H2O: mean attention of all captured prompt queries that see the token
  kLastQuery,        ///< TOVA: the last prompt query, averaged over all heads of the layer
  kKeyNorm,          ///< low key norms first
  kRecency,          ///< StreamingLLM: the newest tokens
  kRandom,           ///< a seeded draw, the floor that every method must beat
};

/// Who gets a budget and a kept set of its own.
enum class Granularity { kKvHead, kQueryHead };

/// How the budget is spread over layers.
enum class LayerRule {
  kUniform,
  kPyramid,          ///< linear, exact total
  kPyramidOfficial,  ///< the published integer schedule
};

/// One eviction method with all of its parameters.
struct EvictionMethod {
  std::string name;
  Scorer scorer = Scorer::kWindowAttention;
  kernels::Pooling pool;
  kernels::GroupReduce group_reduce = kernels::GroupReduce::kMean;
  Granularity granularity = Granularity::kKvHead;
  LayerRule layer_rule = LayerRule::kUniform;
  bool adaptive = false;  ///< share a layer's budget out among its heads (Ada-KV)
  kernels::Decimal alpha{2, 10};
  kernels::AlphaMode alpha_mode = kernels::AlphaMode::kBlend;
  bool two_stage = false;  ///< CriticalKV: half by score, half by score * ||v W_O||_1
  std::int64_t window = 32;
  std::int64_t sinks = 0;
  std::uint64_t seed = 0;  ///< of kRandom
};

/// The named presets, in the order of the help text.
[[nodiscard]] const std::vector<EvictionMethod>& eviction_presets();

/// The preset called `name`, or nullptr.
[[nodiscard]] const EvictionMethod* find_eviction_preset(std::string_view name);

[[nodiscard]] std::string_view name_of(Granularity granularity) noexcept;
[[nodiscard]] std::string_view name_of(kernels::AlphaMode mode) noexcept;
[[nodiscard]] std::string_view name_of(kernels::GroupReduce reduce) noexcept;
[[nodiscard]] std::string name_of(const kernels::Pooling& pooling);
[[nodiscard]] std::string_view name_of(Scorer scorer) noexcept;
[[nodiscard]] std::string_view name_of(LayerRule rule) noexcept;

/// Inverses of name_of. Throw Error(kUsage) listing the supported names.
[[nodiscard]] Granularity granularity_from_name(std::string_view name);
[[nodiscard]] kernels::AlphaMode alpha_mode_from_name(std::string_view name);
[[nodiscard]] kernels::GroupReduce group_reduce_from_name(std::string_view name);
/// "max:7", "avg:5" or "none"; the kernel is odd.
[[nodiscard]] kernels::Pooling pooling_from_name(std::string_view name);

}  // namespace kvsieve::sim
