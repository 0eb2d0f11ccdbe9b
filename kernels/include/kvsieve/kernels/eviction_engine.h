#pragma once
// The operations that replaying an eviction method on one layer takes, behind one interface for
// every backend: captured tensors and figures in host memory, whatever happens in between.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kvsieve/kernels/budget_allocation.h"
#include "kvsieve/kernels/eviction_loss.h"
#include "kvsieve/kernels/head_tensors.h"
#include "kvsieve/kernels/matrix_view.h"
#include "kvsieve/kernels/window_scores.h"
#include "kvsieve/traces/model_shape.h"
#include "kvsieve/traces/safetensors.h"

namespace kvsieve::kernels {

/// The kept prompt tokens of every allocation unit (KV head or query head), each list ascending.
using KeptTokens = std::vector<std::vector<std::int32_t>>;

/// A layer as a trace holds it, before RoPE. The tensors stay owned by the caller.
struct CapturedLayer {
  traces::TensorView q;                           ///< [Hq, M, d]
  traces::TensorView k;                           ///< [Hkv, T, d]
  traces::TensorView v;                           ///< [Hkv, T, d]
  traces::TensorView wo;                          ///< [Hq, d, D]
  std::span<const std::int32_t> query_positions;  ///< [M]
  const RopePhases* phases = nullptr;
  traces::AttentionSpec attention;
  std::int64_t prompt_tokens = 0;  ///< n <= T; the tokens behind them were decoded

  [[nodiscard]] std::int64_t q_heads() const { return q.shape[0]; }
  [[nodiscard]] std::int64_t kv_heads() const { return k.shape[0]; }
  [[nodiscard]] std::int64_t group() const { return q_heads() / kv_heads(); }
  [[nodiscard]] std::int64_t head_dim() const { return k.shape[2]; }
  [[nodiscard]] std::int64_t tokens() const { return k.shape[1]; }
  [[nodiscard]] std::int64_t width() const { return wo.shape[2]; }
};

/// Captured queries [first, first + count) of a layer.
struct QueryRange {
  std::int64_t first = 0;
  std::int64_t count = 0;
};

/// Attention scores of prompt tokens: mean over queries, then group, then pooling.
struct ScoreRequest {
  QueryRange queries;
  bool per_query_head = false;  ///< a row a query head, without group reduce
  GroupReduce group_reduce = GroupReduce::kMean;
  Pooling pool;
  MatrixView<float> scores;  ///< out: [Hkv or Hq, m], m <= n
};

/// Which prompt tokens each unit keeps.
struct SelectionRequest {
  MatrixView<const float> scores;  ///< [units, >= n - window], column j is token j
  MatrixView<const float> norms;   ///< [units, >= n - window] value norms, read if two_stage
  std::int64_t prompt_tokens = 0;  ///< n
  std::int64_t sinks = 0;          ///< oldest tokens, always kept
  std::int64_t window = 0;         ///< newest tokens, always kept; sinks + window <= n
  std::int64_t budget = 0;         ///< tokens a unit outside both, on average
  /// How units share the budget; all get the same if absent.
  std::optional<AllocationOptions> allocation;
  bool two_stage = false;  ///< CriticalKV's selection
};

/// Which evictions to measure, on which queries.
struct LossRequest {
  QueryRange queries;
  /// Per selection the kept prompt tokens of Hkv or Hq units; decoded tokens are always kept.
  std::span<const KeptTokens* const> selections;
  MatrixView<const float> norms;  ///< [Hq, T] value norms, or rows = 0 to leave theta's terms out
  bool projected = true;  ///< false leaves out everything that goes through V and W_O: the l1 terms
};

/// What evictions do to R queries. S selections, units as the selection has them.
struct LossTerms {
  Tensor3 retained_mass;  ///< [S, Hq, R] F
  Tensor3 kept_norm;      ///< [S, Hq, R] K = sum over kept j of A_j norm_j
  Tensor3 total_norm;     ///< [1, Hq, R] T = sum over j of A_j norm_j
  // Empty unless projected:
  std::vector<std::vector<double>> unit_l1;   ///< S x [units, R] of ||(o - o^) W_O||_1
  std::vector<std::vector<double>> layer_l1;  ///< S x [R] ||y - y^||_1
  std::vector<double> output_l1;              ///< [R] ||y||_1
};

/// One backend's Ada-KV operations. Not for several threads at once.
class EvictionEngine {
 public:
  virtual ~EvictionEngine() = default;

  /// The backend's name: "cpu", "simt" or "cuda".
  [[nodiscard]] virtual std::string_view backend() const = 0;

  /// Makes `layer` the one that the following calls are about.
  /// Throws Error(kUsage) naming a shape that the backend has no kernel for.
  virtual void set_layer(const CapturedLayer& layer) = 0;

  /// Fills the scores of every request (Ada-KV algorithm 2, steps 1 to 5). Softmax in fp32 over all
  /// prompt tokens that a query sees.
  virtual void score(std::span<const ScoreRequest> requests) = 0;

  /// Allocates budgets and selects tokens (algorithm 1; algorithm 2, steps 6 to 9), for every
  /// request on its own. Throws Error(kBadInput) naming a score that is not finite.
  [[nodiscard]] virtual std::vector<KeptTokens> select(
      std::span<const SelectionRequest> requests) = 0;

  /// norms [Hq, T] of ||V_j W_O||_1.
  virtual void value_norms(MatrixView<float> norms) = 0;

  /// Attention of the queries with and without the evicted tokens, through W_O if so wanted.
  [[nodiscard]] virtual LossTerms losses(const LossRequest& request) = 0;
};

/// The threads and vector loops of this machine; no shape is unsupported.
[[nodiscard]] std::unique_ptr<EvictionEngine> make_cpu_eviction_engine();

/// The CUDA kernels' source on the host SIMT executor (link kvsieve::kernels_simt).
[[nodiscard]] std::unique_ptr<EvictionEngine> make_simt_eviction_engine();

/// The kernels on the current GPU (link kvsieve::kernels_cuda). Throws Error(kMissingCapability)
/// with the reason if there is none.
[[nodiscard]] std::unique_ptr<EvictionEngine> make_cuda_eviction_engine();

/// Why make_cuda_eviction_engine() would fail here ("no usable GPU (CUDA error 35: ...)"), or
/// nothing.
[[nodiscard]] std::optional<std::string> why_cuda_is_unavailable();

}  // namespace kvsieve::kernels
