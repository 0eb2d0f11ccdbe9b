#pragma once
// A2ATS's heterogeneous decode step behind one interface for every backend: codes, scores and
// selection on the GPU, the whole KV cache in host memory, attention where the placement says.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "kvsieve/kernels/decode_graph.h"
#include "kvsieve/kernels/head_tensors.h"
#include "kvsieve/kernels/kv_gather.h"
#include "kvsieve/kernels/retrieval_ledger.h"
#include "kvsieve/traces/model_shape.h"
#include "kvsieve/traces/safetensors.h"

namespace kvsieve::kernels {

/// The codebook of one KV head.
struct HeadCodebook {
  HeadSlice codewords;  ///< [C, d] in the space of keys
  HeadSlice cholesky;   ///< [d, d]
};

/// A layer as a trace holds it, before RoPE, and its codebooks, all with the same C. The tensors
/// stay owned by the caller while the engine works with the layer.
struct RetrievalLayer {
  traces::TensorView q;            ///< [Hq, M, d]
  traces::TensorView k;            ///< [Hkv, T, d]
  traces::TensorView v;            ///< [Hkv, T, d]
  std::int64_t first_query = 0;    ///< captured query of decode step 0
  std::int64_t prompt_tokens = 0;  ///< n; decode step s is the token n + s
  const RopePhases* phases = nullptr;
  traces::AttentionSpec attention;
  std::vector<HeadCodebook> codebooks;  ///< [Hkv]

  [[nodiscard]] std::int64_t q_heads() const { return q.shape[0]; }
  [[nodiscard]] std::int64_t kv_heads() const { return k.shape[0]; }
  [[nodiscard]] std::int64_t group() const { return q_heads() / kv_heads(); }
  [[nodiscard]] std::int64_t head_dim() const { return k.shape[2]; }
  [[nodiscard]] std::int64_t tokens() const { return k.shape[1]; }
  [[nodiscard]] std::int64_t codewords() const { return codebooks.front().codewords.rows; }
};

/// What all layers and steps share.
struct RetrievalEngineOptions {
  std::int64_t sinks = 8;        ///< first tokens, resident on the GPU
  std::int64_t window = 64;      ///< w >= 1, newest tokens, resident on the GPU
  std::int64_t distance = 2048;  ///< b
  Placement placement = Placement::kCpuAttention;
  Schedule schedule = Schedule::kSerial;
  std::int64_t max_top = 0;     ///< the largest K of any step
  bool buckets = true;          ///< top K from code buckets rather than from all tokens' scores
  std::int64_t hot_buffer = 0;  ///< slots a KV head, for Placement::kFetchHotBuffer
  HotPolicy hot_policy = HotPolicy::kLru;
};

/// What one layer of a decode step did. With two micro-batches, which work on the same sequence,
/// of the first one; the engine compares the second with it.
struct LayerStep {
  std::vector<std::vector<std::int32_t>> selected;   ///< [Hq] each query head's top K, ascending
  std::vector<std::vector<std::int32_t>> retrieved;  ///< [Hkv] their union, ascending
  std::vector<std::int32_t> boundary_ties;           ///< [Hq] tokens with the K-th score
  std::vector<std::int32_t> misses;  ///< [Hkv] rows that were fetched; all of the union without a
                                     ///< hot buffer, empty for attention on the host
  std::vector<float> output;         ///< [Hq, d] attention over sinks, window and union
};

/// One decode step of all layers.
struct DecodeStepRecord {
  std::vector<LayerStep> layers;
  /// What the backend's runtime counted, per micro-batch; absent where it cannot count (cpu, where
  /// nothing moves, and cuda, which cannot see what kernels access).
  std::optional<StepTraffic> counted;
  /// Time of each stage, summed over layers, a micro-batch [kStepStages]; absent on simt.
  std::optional<std::vector<double>> stage_us;
  /// From the first task to the end of the last, for all micro-batches; absent on simt.
  std::optional<double> step_us;
};

/// One backend's decode step. Not for several threads at once.
class RetrievalEngine {
 public:
  virtual ~RetrievalEngine() = default;

  /// The backend's name: "cpu", "simt" or "cuda".
  [[nodiscard]] virtual std::string_view backend() const = 0;

  /// Takes the prompts of all layers: codes, buckets, host rows in the trace's dtype (K after
  /// RoPE), sinks and window. All have the same heads, d, tokens and decode steps. Throws
  /// Error(kUsage) naming a shape that the backend has no kernel for.
  virtual void load(std::span<const RetrievalLayer> layers,
                    const RetrievalEngineOptions& options) = 0;

  /// Runs the next decode step, 0 at first, with K = `top` clamped to the eligible tokens.
  virtual void step(std::int64_t top, DecodeStepRecord& record) = 0;
};

/// The threads and vector loops of this machine. Nothing moves: `fetch` copies rows on the host,
/// there is no `down` and `up`, and `topk` includes `score` and `union`. Serial whatever the
/// schedule.
[[nodiscard]] std::unique_ptr<RetrievalEngine> make_cpu_retrieval_engine();

/// The CUDA kernels' source on the host SIMT executor (link kvsieve::kernels_simt).
[[nodiscard]] std::unique_ptr<RetrievalEngine> make_simt_retrieval_engine();

/// The kernels on the current GPU (link kvsieve::kernels_cuda). Throws Error(kMissingCapability)
/// with the reason if there is none.
[[nodiscard]] std::unique_ptr<RetrievalEngine> make_cuda_retrieval_engine();

}  // namespace kvsieve::kernels
