#pragma once
// A method as the cost model sees it: what stays where, what a step reads, and what it moves.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kvsieve/kernels/decode_graph.h"
#include "kvsieve/sim/budget.h"
#include "kvsieve/sim/retrieval_replay.h"

namespace kvsieve::sim {

/// How fetched rows reach the GPU.
enum class FetchPath {
  kDma,         ///< a copy a run of tokens
  kBatchedDma,  ///< one call for all runs
  kKernel,      ///< a copy kernel
  kZeroCopy,    ///< a kernel that reads rows in host memory
  kCpuGather,   ///< the CPU gathers the rows, one copy takes them
};
/// dma, batched-dma, kernel, zero-copy, cpu-gather.
[[nodiscard]] std::string_view name_of(FetchPath path) noexcept;
/// The inverse of name_of. Throws Error(kUsage) listing the supported names.
[[nodiscard]] FetchPath fetch_path_from_name(std::string_view name);

enum class CostFamily {
  kFull,       ///< everything stays and is read
  kEviction,   ///< a budget of tokens a head stays
  kRetrieval,  ///< everything stays on the host; a step reads what it retrieves
};
/// full, eviction, retrieval.
[[nodiscard]] std::string_view name_of(CostFamily family) noexcept;

/// What ranks tokens.
struct IndexCost {
  /// Codes and a table of C codewords (A2ATS); otherwise a scan of bytes_per_token.
  bool codes = false;
  std::int64_t codewords = 4096;  ///< C
  bool packed = false;            ///< 12 bits a code rather than 16
  bool buckets = true;            ///< top K from code buckets rather than from all scores
  /// Of a token and KV head, kept and read by a scan: rows of d 16-bit numbers (1 is the key
  /// itself, 1/8 a mean of 8 tokens), and bytes besides.
  double rows_per_token = 0.0;
  double bytes_per_token = 0.0;
  std::int64_t unit_tokens = 1;  ///< tokens that are chosen and moved together
  bool on_host = false;          ///< kept and scored on the host
  /// Of a token and KV head in hash tables on the host (MagicPIG: tables x 4).
  std::int64_t table_bytes_per_token = 0;
  /// Rank of a low-rank copy of all keys before RoPE that stays on the GPU, from which keys are
  /// rebuilt so that only values move (ShadowKV); 0 for none.
  std::int64_t key_rank = 0;
};

/// One method with what the cost model needs to know of it.
struct CostMethod {
  std::string name = "full";
  CostFamily family = CostFamily::kFull;

  // Eviction.
  Budget budget;                   ///< tokens a KV head keeps of the context
  double longest_over_mean = 1.0;  ///< longest head / mean of its layer, where no trace says

  // Retrieval.
  IndexCost index;
  TopBudget top;             ///< of a query head
  std::int64_t sinks = 8;    ///< on the GPU
  std::int64_t window = 64;  ///< on the GPU
  Placement placement = Placement::kCpuAttention;
  kernels::Schedule schedule = kernels::Schedule::kSerial;
  /// Of the placements that fetch; the placement's own if not given: batched copies where the link
  /// has them for fetch-dma, zero-copy where it has that for the others.
  std::optional<FetchPath> fetch_path;
  std::int64_t hot_buffer = 0;  ///< slots (tokens) a KV head of a sequence on the GPU
  // Where no trace says:
  std::optional<double> union_factor;  ///< |union| / K of a group; sqrt(G) if not given
  double hit_rate = 0.6;               ///< of the hot buffer
  double run_tokens = 1.0;             ///< tokens of a contiguous run of the union, mean
};

/// full, the eviction presets, the retrieval presets, shadowkv, magicpig; in the order of the help
/// text. The eviction presets differ in cost by their longest head alone.
[[nodiscard]] const std::vector<CostMethod>& cost_methods();
/// The method called `name`. Throws Error(kUsage) listing the names.
[[nodiscard]] const CostMethod& cost_method(std::string_view name);

/// What a layer's step reads, as shares, so that a trace's shares can be applied to any context.
/// Means over the KV heads.
struct LayerLoad {
  double kept_share = 1.0;         ///< eviction: kept tokens / context
  double longest_over_mean = 1.0;  ///< eviction: of kept tokens
  double union_share = 0.0;        ///< retrieval: union / context
  double miss_share = 1.0;         ///< retrieval: of the union, not in the hot buffer
  double run_share = 1.0;          ///< retrieval: runs / union tokens
};

/// Loads of steps x layers, captured in a trace.
struct StepLoads {
  std::int64_t layers = 0;       ///< global layers of the trace that were captured
  std::vector<LayerLoad> loads;  ///< [steps, layers]

  [[nodiscard]] std::int64_t steps() const noexcept {
    return layers > 0 ? static_cast<std::int64_t>(loads.size()) / layers : 0;
  }
};

/// The load that a method states by itself at a context.
[[nodiscard]] LayerLoad stated_load(const CostMethod& method, double context, std::int64_t group);

/// Captured loads: shares of the prompt that were kept, the same every decode step.
[[nodiscard]] StepLoads captured_loads(const EvictionResult& result,
                                       const traces::TraceHeader& trace);
/// Captured loads of every decode step.
[[nodiscard]] StepLoads captured_loads(const RetrievalResult& result,
                                       const traces::TraceHeader& trace);

/// A method with its parameters, as the cost model sees it. A budget in bytes is one of tokens only
/// once it was replayed; codewords that are chosen by the trace are 4,096 until then.
[[nodiscard]] CostMethod cost_method_of(const EvictionPlan& plan);
[[nodiscard]] CostMethod cost_method_of(const RetrievalOptions& options);
/// The method of a replay.
[[nodiscard]] CostMethod cost_method_of(const EvictionResult& result);
[[nodiscard]] CostMethod cost_method_of(const RetrievalResult& result);

}  // namespace kvsieve::sim
