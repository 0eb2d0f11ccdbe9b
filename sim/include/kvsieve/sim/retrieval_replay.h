#pragma once
// Replaying retrieval methods (A2ATS and its peers) on a trace: which tokens every decode step
// fetches, what it loses by leaving out the others, and what moves over PCIe.
//
// At the step of position i, T_now = i + 1 tokens exist. Every query head attends to the sinks
// [0, sinks), the window (i - window, i], and the union over its group of each head's top K among
// the eligible tokens [sinks, i + 1 - window).

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kvsieve/kernels/decimal.h"
#include "kvsieve/kernels/decode_graph.h"
#include "kvsieve/kernels/kv_gather.h"
#include "kvsieve/sim/codebook.h"
#include "kvsieve/sim/decode_report.h"
#include "kvsieve/sim/eviction_replay.h"
#include "kvsieve/traces/trace.h"

namespace kvsieve::sim {

/// Where the scores that rank eligible tokens come from.
enum class RetrievalScorer {
  kVqQueryAware,     ///< query-aware codes with windowed RoPE (A2ATS)
  kVqPlain,          ///< plain codes with windowed RoPE
  kVqPostRope,       ///< query-aware codes of rotated keys, for queries at true positions
  kExact,            ///< the true scores: the oracle
  kExactWrope,       ///< windowed RoPE on exact keys: what the codes approximate
  kQuest,            ///< upper bound from each page's smallest and largest key (Quest)
  kPq,               ///< product quantisation of the prompt's rotated keys (PQCache)
  kChunkMean,        ///< mean rotated key of a chunk (ShadowKV's landmark)
  kClusterCentroid,  ///< centroid of a token's cluster (ClusterKV, RetroInfer)
  kChannelSubset,    ///< a few channels of the keys (DoubleSparse)
  kRandom,           ///< a seeded draw, the floor that every method must beat
  kNone,             ///< nothing is retrieved (StreamingLLM)
};

/// How the selected tokens are scored in the attention itself.
enum class FinalAttention {
  kExact,  ///< RoPE at true positions
  kWrope,  ///< the constant distance for all tokens outside the window
};

using kernels::HotPolicy;
using kernels::Placement;

/// How many tokens each query head of a layer retrieves at a step.
enum class RetrievalBudget {
  kUniform,   ///< K each
  kAdaptive,  ///< the layer's Hq K shared out by approximate attention (Ada-KV's allocation)
};

/// Tokens a page, a fixed property of the Quest scorer.
inline constexpr std::int64_t kQuestPageTokens = 16;
/// Tokens a chunk, a fixed property of the chunk-mean scorer.
inline constexpr std::int64_t kChunkTokens = 8;

/// K of a step: "3%" of all tokens so far (floor, exact), or "512" tokens.
struct TopBudget {
  bool is_share = true;
  kernels::Decimal share{3, 100};
  std::int64_t count = 0;

  /// Throws Error(kUsage) naming the text and the accepted forms.
  [[nodiscard]] static TopBudget parse(std::string_view text);
  [[nodiscard]] std::string text() const;
  /// K before it is clamped to the eligible tokens.
  [[nodiscard]] std::int64_t at(std::int64_t tokens) const;
};

/// One retrieval method with all of its parameters.
struct RetrievalOptions {
  std::string name = "a2ats";
  RetrievalScorer scorer = RetrievalScorer::kVqQueryAware;
  TopBudget top;
  RetrievalBudget budget = RetrievalBudget::kUniform;
  kernels::Decimal alpha{2, 10};  ///< uniform share of an adaptive budget
  /// A query head takes its best tokens only until they, sinks and window hold this share of its
  /// approximate attention; at most K.
  std::optional<kernels::Decimal> mass;
  std::int64_t sinks = 8;        ///< first tokens that are always attended
  std::int64_t window = 64;      ///< w >= 1, newest tokens that are always attended, i included
  std::int64_t distance = 2048;  ///< b
  FinalAttention final_attention = FinalAttention::kExact;
  /// Which placement summary figures named pcie_* are of; all are always reported.
  Placement placement = Placement::kFetchDma;
  /// For the VQ scorers; without one, a codebook is trained on this trace's prompt.
  std::shared_ptr<const Codebook> codebook;
  /// Of a codebook trained here, or clusters of kClusterCentroid; 0 means auto_codewords.
  std::int64_t codewords = 0;
  std::int64_t max_iterations = 300;             ///< of a codebook trained here
  MomentQueries moment = MomentQueries::kWrope;  ///< of a codebook trained here
  bool center_keys = false;                      ///< of a codebook trained here
  /// What codewords and Cholesky factor are rounded to before they are used.
  traces::DType codebook_dtype = traces::DType::kF32;
  std::int64_t pq_subvectors = 2;  ///< of kPq, a divisor of d
  std::int64_t pq_bits = 6;        ///< of kPq, 1 to 12
  std::int64_t channels = 16;      ///< of kChannelSubset, 1 to d
  std::int64_t hot_buffer = 0;     ///< slots (tokens) a KV head on the GPU; 0 is off
  HotPolicy hot_policy = HotPolicy::kLru;
  std::vector<std::int64_t> layers;  ///< model layer indices; empty means all captured ones
  std::uint64_t seed = 0;            ///< of codebook training and of kRandom
};

/// Throws Error(kUsage), naming the option, for options that no replay takes.
void check_ranges(const RetrievalOptions& options);

/// K of a query head with a uniform budget at the step of position i, at most its eligible tokens.
[[nodiscard]] std::int64_t uniform_top(const RetrievalOptions& options, std::int64_t position);

/// a2ats, vq-plain, vq-post-rope, exact-topk, exact-topk-wrope, quest, pq, chunk-mean,
/// cluster-centroid, channel-subset, random-topk, streaming-llm, in this order.
[[nodiscard]] const std::vector<RetrievalOptions>& retrieval_presets();

/// The preset called `name`. Throws Error(kUsage) listing the names.
[[nodiscard]] const RetrievalOptions& retrieval_preset(std::string_view name);

/// Error of approximate scores u^ of exact scores u over eligible tokens, query heads and steps.
struct ScoreError {
  double mse = 0.0;  ///< mean of (u - u^)^2
  std::optional<double>
      nmse;  ///< sum of (u - u^)^2 / sum of (u - mean u)^2, the mean a query's own
};

/// What ranking the tokens of one KV head keeps on the GPU besides the cache. A step reads all of
/// it for the tokens that it ranks.
struct IndexBytes {
  double per_token = 0.0;  ///< code, label, bounds, means, channels, or the key itself
  std::int64_t fixed =
      0;  ///< codewords or centroids; the factor, which only coding reads, is not in

  /// Bytes that ranking `tokens` tokens reads; nothing is read for none.
  [[nodiscard]] constexpr double read(std::int64_t tokens) const noexcept {
    return tokens > 0 ? per_token * static_cast<double>(tokens) + static_cast<double>(fixed) : 0.0;
  }
};

/// Index of codes as uint16 and C codewords.
[[nodiscard]] constexpr IndexBytes code_index_bytes(std::int64_t codewords, std::int64_t head_dim,
                                                    std::int64_t element_bytes) noexcept {
  return {2.0, codewords * head_dim * element_bytes};
}

/// Bytes and separate copies over PCIe in a decode step, by the ledger (kernels::step_traffic).
/// Nothing moves if the scorer is kNone. A KV head's pieces are the copies of its own rows; its
/// layer adds the messages that all heads share.
struct PcieTraffic {
  double to_gpu_bytes = 0.0;
  double to_host_bytes = 0.0;
  double pieces = 0.0;

  [[nodiscard]] double bytes() const noexcept { return to_gpu_bytes + to_host_bytes; }
};

/// One KV head at one decode step; shares and errors are means over its query heads.
struct HeadStep {
  std::int64_t top = 0;               ///< K of a query head after clamping
  std::int64_t eligible = 0;          ///< tokens that could be retrieved
  std::int64_t attended = 0;          ///< sinks + window + |U|
  std::int64_t union_tokens = 0;      ///< |U|
  std::int64_t hot_hits = 0;          ///< tokens of U in the hot buffer
  std::int64_t fetch_pieces = 0;      ///< contiguous runs of tokens of U
  std::int64_t needle_eligible = 0;   ///< needle tokens that could be retrieved
  std::int64_t needle_retrieved = 0;  ///< needle tokens in U
  double selected = 0.0;              ///< |S|, tokens that a query head retrieves
  /// Recalls and ties are means over the query heads that retrieve any: 0 if none does.
  double recall = 0.0;           ///< |S n S*| / |S|, S* the top |S| of the true scores
  double recall_vs_wrope = 0.0;  ///< the same against the top K of exact windowed-RoPE scores
  double wrope_recall = 0.0;     ///< recall of the exact windowed-RoPE top K in S*
  double captured_mass = 0.0;    ///< true attention on sinks, window and U
  double retrieved_mass = 0.0;   ///< true attention on U
  double output_error = 0.0;     ///< ||o - o^||_2 / ||o||_2 before W_O
  double l1_loss = 0.0;          ///< ||sum over its query heads of (o - o^) W_O||_1
  double boundary_ties = 0.0;    ///< eligible tokens whose score equals the lowest in S
  /// |U n U of the step before| / |U|; absent without either.
  std::optional<double> overlap;
};

/// Means over decode steps (and over whatever else the owner says). A field is absent where no
/// step defines it: recalls, ties and factor need K > 0, overlap a step before.
struct RetrievalFigures {
  std::optional<double> recall;
  std::optional<double> recall_vs_wrope;  ///< what the scorer alone loses after windowed RoPE
  std::optional<double> wrope_recall;     ///< what windowed RoPE alone loses
  double captured_mass = 0.0;
  double retrieved_mass = 0.0;
  double output_error = 0.0;
  double attended_tokens = 0.0;  ///< sinks + window + |U|
  double union_tokens = 0.0;
  std::optional<double> selected_tokens;  ///< |S|, a query head; absent if nothing is retrieved
  std::optional<double> union_factor;     ///< |U| / |S|, within [1, G] for equal |S|
  std::optional<double> boundary_ties;
  std::optional<double> overlap;
  std::optional<double> hot_hit_rate;     ///< hits / |U| over all steps, the empty start included
  std::optional<double> needle_recall;    ///< needle tokens retrieved / eligible
  std::optional<ScoreError> wrope_error;  ///< exact windowed RoPE against RoPE; not for steps
  /// Codes against what they approximate: exact windowed RoPE, or RoPE for kVqPostRope; not for
  /// steps.
  std::optional<ScoreError> vq_error;
  std::optional<ScoreError> score_error;  ///< the scorer against RoPE; not for steps
  double index_read_bytes = 0.0;          ///< a decode step: summed as traffic is
  /// By placement, a decode step: of a KV head, summed over a layer's KV heads, or summed over all
  /// touched layers. kFetchHotBuffer is that of an empty buffer where there is none.
  std::array<PcieTraffic, kernels::kPlacements.size()> pcie;

  [[nodiscard]] const PcieTraffic& pcie_of(Placement placement) const noexcept {
    return pcie[static_cast<std::size_t>(placement)];
  }
};

/// Loss after the output projection; means over decode steps.
struct ProjectedLoss {
  double output_error = 0.0;      ///< ||y - y^||_2 / ||y||_2
  double l1_loss = 0.0;           ///< ||y - y^||_1
  double l1_loss_relative = 0.0;  ///< mean ||y - y^||_1 / mean ||y||_1
};

/// How the codewords of one KV head are used by all T tokens.
struct CodeUsage {
  double entropy_bits = 0.0;    ///< of the histogram of codes, at most log2 C
  std::int64_t dead_codes = 0;  ///< codewords that no token uses
  std::int64_t largest_bucket = 0;
  double mean_bucket = 0.0;         ///< T / C
  std::optional<double> agreement;  ///< share of tokens with the code of the fp32 codebook
};

/// How the numbers of tokens that query heads retrieve are spread over layers, query heads and
/// steps. Quantiles are order statistics, the lower one of two.
struct SelectedSpread {
  std::int64_t p10 = 0;
  std::int64_t median = 0;
  std::int64_t p90 = 0;
  std::int64_t largest = 0;
  double at_top = 0.0;  ///< share of query heads and steps that retrieve K or more
};

/// One query head; means over decode steps.
struct QueryHeadRetrieval {
  std::int64_t head = 0;
  std::optional<double> recall;
  std::optional<double> recall_vs_wrope;
  std::optional<double> wrope_recall;
  double captured_mass = 0.0;
  double retrieved_mass = 0.0;
  double output_error = 0.0;
};

/// One KV head. Figures are means over its query heads and the decode steps.
struct HeadRetrieval {
  std::int64_t head = 0;
  RetrievalFigures figures;
  double l1_loss = 0.0;
  std::vector<QueryHeadRetrieval> query_heads;
  std::vector<HeadStep> steps;
  std::optional<CodeUsage> code_usage;        ///< VQ scorers
  std::optional<TrainingRecord> calibration;  ///< VQ scorers
};

/// One layer. Figures are means over its KV heads.
struct LayerRetrieval {
  std::int64_t layer = 0;
  bool touched =
      true;  ///< false for sliding-window layers, which are left whole: all else is empty
  RetrievalFigures figures;
  ProjectedLoss loss;
  std::vector<HeadRetrieval> heads;
  std::vector<ProjectedLoss> steps;  ///< [decode steps]
};

/// One decode step. Figures are means over the touched layers' KV heads.
struct RetrievalStep {
  std::int64_t step = 0;
  std::int64_t position = 0;  ///< i
  std::int64_t top = 0;       ///< K after clamping
  RetrievalFigures figures;
  ProjectedLoss loss;
};

/// Where the codes came from.
struct CodebookUse {
  CodebookInfo info;
  bool given = false;      ///< false: trained here
  bool in_sample = false;  ///< this trace's prompt took part in the calibration
};

/// A replay's outcome.
struct RetrievalResult {
  RetrievalOptions options;
  std::optional<CodebookUse> codebook;     ///< VQ scorers
  std::optional<IndexBytes> index;         ///< of a KV head; absent if every layer is left whole
  std::optional<SelectedSpread> selected;  ///< adaptive budgets and thresholds by mass
  std::vector<LayerRetrieval> layers;
  std::vector<RetrievalStep> steps;
  RetrievalFigures summary;  ///< means over the touched layers; traffic is their sum
  ProjectedLoss loss;        ///< means over the touched layers
  PcieTraffic pcie;          ///< the summary's, of options.placement
  /// Where decode steps ran on a backend (replay_decode); absent from a replay alone.
  std::optional<DecodeReport> decode;
  std::vector<std::string> warnings;
};

/// Replays one method over every decode step of `trace`. Memory is bounded by one KV head, three
/// rows of D numbers a decode step, and the results. Results do not depend on the number of
/// threads. `progress` is called on the calling thread; what it throws ends the replay. Throws
/// Error(kUsage) for options out of range, a layer that was not captured or a codebook of the other
/// kind, Error(kBadInput) for a trace without decode steps or a codebook that does not fit it.
[[nodiscard]] RetrievalResult replay_retrieval(const traces::Trace& trace,
                                               const RetrievalOptions& options,
                                               const Progress& progress = {});

/// vq-query-aware, vq-plain, vq-post-rope, exact, exact-wrope, quest, pq, chunk-mean,
/// cluster-centroid, channel-subset, random, none.
[[nodiscard]] std::string_view name_of(RetrievalScorer scorer) noexcept;
/// exact, wrope.
[[nodiscard]] std::string_view name_of(FinalAttention attention) noexcept;
/// uniform, adaptive.
[[nodiscard]] std::string_view name_of(RetrievalBudget budget) noexcept;
/// lru, lfu.
[[nodiscard]] std::string_view name_of(HotPolicy policy) noexcept;
/// fp32, fp16, bf16.
[[nodiscard]] std::string_view codebook_dtype_name(traces::DType dtype) noexcept;
/// Inverses of name_of. Throw Error(kUsage) listing the supported names.
[[nodiscard]] RetrievalScorer retrieval_scorer_from_name(std::string_view name);
[[nodiscard]] FinalAttention final_attention_from_name(std::string_view name);
[[nodiscard]] RetrievalBudget retrieval_budget_from_name(std::string_view name);
[[nodiscard]] HotPolicy hot_policy_from_name(std::string_view name);
[[nodiscard]] traces::DType codebook_dtype_from_name(std::string_view name);

/// Whether a scorer works with a codebook.
[[nodiscard]] constexpr bool uses_codebook(RetrievalScorer scorer) noexcept {
  return scorer == RetrievalScorer::kVqQueryAware || scorer == RetrievalScorer::kVqPlain ||
         scorer == RetrievalScorer::kVqPostRope;
}
/// Whether its scores can be read as logits of attention: adaptive budgets and thresholds need it.
[[nodiscard]] constexpr bool ranks_by_attention(RetrievalScorer scorer) noexcept {
  return scorer != RetrievalScorer::kRandom && scorer != RetrievalScorer::kNone;
}

}  // namespace kvsieve::sim
