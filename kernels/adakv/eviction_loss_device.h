#pragma once
// What evictions cost, on the device: the attention of one layer computed once and shared by all
// eviction decisions ("selections"); the terms of eviction_loss.h for every query head.

#include <cstdint>

#include "exec/device/launch_config.h"
#include "exec/device/runtime.h"
#include "kvsieve/traces/dtype.h"
#include "kvsieve/traces/model_shape.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

/// Words of 32 tokens in a row of kept bits.
[[nodiscard]] constexpr std::int64_t kept_words(std::int64_t tokens) {
  return (tokens + 31) / 32;
}

/// One layer. Pointers are device memory, aligned to 16 bytes, dense in the shape given.
struct EvictionLossArgs {
  std::int64_t kv_heads = 0;  ///< Hkv
  std::int64_t group = 0;     ///< G; Hq = Hkv G, query head h reads KV head h / G
  std::int64_t queries = 0;   ///< R queries a query head
  std::int64_t tokens = 0;    ///< T
  std::int64_t head_dim = 0;  ///< d
  traces::DType dtype{};      ///< of keys and values
  traces::AttentionSpec attention;
  const float* rotated_queries = nullptr;   ///< [Hq, R, d]
  const std::int32_t* positions = nullptr;  ///< [R]
  const void* rotated_keys = nullptr;       ///< [Hkv, T, d] dtype
  const void* values = nullptr;             ///< [Hkv, T, d] dtype
  const float* norms = nullptr;  ///< [Hq, T] value norms, or null: no kept and total norm

  std::int64_t selections = 0;  ///< S, may be 0
  std::int64_t units = 0;       ///< U = Hkv, a kept set for the G members together, or U = Hq
  /// [S, U, ceil(T / 32)]: bit j % 32 of word j / 32 is set if token j is kept. Tokens that a query
  /// does not see weigh nothing, so all decoded tokens may be set; bits past T are ignored.
  const std::uint32_t* kept = nullptr;

  float* output = nullptr;         ///< [Hq, R, d] o
  float* difference = nullptr;     ///< [S, Hq, R, d] o - o^
  float* retained_mass = nullptr;  ///< [S, Hq, R] F
  float* kept_norm = nullptr;      ///< [S, Hq, R] K, unless norms is null
  float* total_norm = nullptr;     ///< [Hq, R] T, unless norms is null
};

/// Blocks and threads of the launch.
[[nodiscard]] LaunchConfig eviction_loss_config(const EvictionLossArgs& args);

/// Selections that one pass over the keys serves; more take another pass with its own attention.
[[nodiscard]] int eviction_loss_selections_per_pass(std::int64_t head_dim);

/// Enqueues the losses of a layer. fp32; no atomics, so the bits do not depend on the schedule.
/// A row that keeps everything it sees has difference 0, F = 1 and K = T exactly; a row that keeps
/// nothing it sees has difference o, F = 0 and K = 0.
/// Throws Error(kUsage) for a head size, group or dtype without a kernel, Error(kInternal) for
/// shapes that contradict each other.
void eviction_loss(const EvictionLossArgs& args, Stream& stream);

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
