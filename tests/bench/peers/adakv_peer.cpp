// The compress pipeline as a C library, for a comparison with Python packages in one process.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "bench/peers/peer_call.h"
#include "kvsieve/bench/roofline.h"
#include "kvsieve/kernels/budget_allocation.h"
#include "kvsieve/kernels/cache_compaction.h"
#include "kvsieve/kernels/instruction_set.h"
#include "kvsieve/kernels/token_selection.h"
#include "kvsieve/kernels/window_scores.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::bench {
namespace {

/// A layer's shape, and the memory of the results, which is reused from one run to the next.
struct Layer {
  kernels::WindowScoresProblem problem;
  std::int64_t kept_per_head = 0;  ///< tokens, window included
  kernels::AllocationOptions allocation;
  std::vector<float> scores;  ///< [Hkv, n - w]
  std::vector<std::int64_t> budgets;
  kernels::LayerSelection kept;
  std::vector<std::byte> kept_keys;
  std::vector<std::byte> kept_values;
  std::vector<std::int32_t> lengths;

  void choose(kernels::MatrixView<const float> view) {
    budgets = kernels::allocate_budgets(view, kept_per_head - problem.window, allocation);
    kernels::select_layer_tokens(view, budgets, problem.window, kept);
  }

  void compact(const void* values) {
    const kernels::DenseCacheView dense{
        problem.keys,     values,         problem.dtype,       problem.head_dim,
        problem.kv_heads, problem.tokens, problem.head_stride, problem.token_stride};
    kernels::RaggedCacheView cache;
    cache.keys = kept_keys.data();
    cache.values = kept_values.data();
    cache.dtype = problem.dtype;
    cache.head_dim = problem.head_dim;
    cache.segments = problem.kv_heads;
    cache.offsets = kept.offsets.data();
    cache.lengths = lengths.data();
    kernels::compact_cache(dense, {kept.tokens.data(), kept.offsets.data(), kept.offsets.back()},
                           cache);
  }
};

}  // namespace
}  // namespace kvsieve::bench

using kvsieve::bench::Layer;

extern "C" {

const char* kvsieve_isa() {
  return kvsieve::kernels::instruction_set().data();
}

/// A layer of keys [Hkv, n, d] of which each head keeps `kept_per_head` tokens on average, scored
/// by average pooling and shared out as kvpress does (alpha 0.2).
Layer* kvsieve_open(int bfloat, std::int64_t q_heads, std::int64_t kv_heads, std::int64_t head_dim,
                    std::int64_t tokens, std::int64_t window, std::int64_t pool_kernel,
                    std::int64_t kept_per_head, double scale) {
  using kvsieve::traces::DType;
  auto* layer = new Layer;
  kvsieve::kernels::WindowScoresProblem& problem = layer->problem;
  problem.dtype = bfloat != 0 ? DType::kBF16 : DType::kF32;
  problem.q_heads = q_heads;
  problem.kv_heads = kv_heads;
  problem.head_dim = head_dim;
  problem.tokens = tokens;
  problem.window = window;
  problem.head_stride = tokens * head_dim;
  problem.token_stride = head_dim;
  problem.attention.scale = scale;
  problem.pooling = {kvsieve::kernels::Pooling::Kind::kAverage, pool_kernel};
  layer->kept_per_head = kept_per_head;
  layer->allocation.mode = kvsieve::kernels::AlphaMode::kFloorKvpress;
  layer->allocation.protected_tokens = window;
  layer->scores.resize(static_cast<std::size_t>(kv_heads * (tokens - window)));
  const auto rows = static_cast<std::size_t>(kv_heads * kept_per_head * head_dim);
  layer->kept_keys.resize(rows * kvsieve::traces::size_of(problem.dtype));
  layer->kept_values.resize(layer->kept_keys.size());
  layer->lengths.resize(static_cast<std::size_t>(kv_heads));
  return layer;
}

void kvsieve_close(Layer* layer) {
  delete layer;
}

/// Scores, allocates, selects and compacts. 0 if it worked.
int kvsieve_compress(Layer* layer, const void* queries, const void* keys, const void* values,
                     int threads) {
  layer->problem.queries = queries;
  layer->problem.keys = keys;
  const bool done = kvsieve::bench::succeeds([&] {
    kvsieve::bench::with_threads(threads, [&] {
      const kvsieve::kernels::MatrixView<float> scores(
          layer->scores.data(), layer->problem.kv_heads,
          layer->problem.tokens - layer->problem.window);
      kvsieve::kernels::window_scores(layer->problem, scores);
      layer->choose(scores);
      layer->compact(values);
    });
  });
  return done ? 0 : 1;
}

/// Allocates and selects only. @param scores [Hkv, n - w], row stride `stride`. 0 if it worked.
int kvsieve_choose(Layer* layer, const float* scores, std::int64_t stride, int threads) {
  const bool done = kvsieve::bench::succeeds([&] {
    kvsieve::bench::with_threads(threads, [&] {
      layer->choose(
          {scores, layer->problem.kv_heads, layer->problem.tokens - layer->problem.window, stride});
    });
  });
  return done ? 0 : 1;
}

/// The kept tokens of the last run; offsets [Hkv + 1].
const std::int32_t* kvsieve_kept(const Layer* layer, const std::int64_t** offsets) {
  *offsets = layer->kept.offsets.data();
  return layer->kept.tokens.data();
}

}  // extern "C"
