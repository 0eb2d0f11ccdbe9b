#pragma once
// Replaying retrieval methods (A2ATS and its peers) on a trace: which tokens every decode step
// fetches, what it loses by leaving out the others, and what moves over PCIe.
//
// At the step of position i, T_now = i + 1 tokens exist. Every query head attends to the sinks
// [0, sinks), the window (i - window, i], and the union over its group of each head's top K among
// the eligible tokens [sinks, i + 1 - window).

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kvsieve/kernels/decimal.h"
#include "kvsieve/sim/codebook.h"
#include "kvsieve/sim/eviction_replay.h"
#include "kvsieve/traces/trace.h"

namespace kvsieve::sim {

/// Where the scores that rank eligible tokens come from.
enum class RetrievalScorer {
  kVqQueryAware,  ///< query-aware codes with windowed RoPE (A2ATS)
  kVqPlain,       ///< plain codes with windowed RoPE
  kExact,         ///< the true scores: the oracle
  kExactWrope,    ///< windowed RoPE on exact keys: what the codes approximate
  kQuest,         ///< upper bound from each page's smallest and largest key (Quest)
  kRandom,        ///< a seeded draw, the floor that every method must beat
  kNone,          ///< nothing is retrieved (StreamingLLM)
};

/// How the selected tokens are scored in the attention itself.
enum class FinalAttention {
  kExact,  ///< RoPE at true positions
  kWrope,  ///< the constant distance for all tokens outside the window
};

/// Who computes the attention over retrieved tokens.
enum class Placement {
  kFetch,         ///< their K and V rows move to the GPU
  kCpuAttention,  ///< the query moves to the host, which sends back a partial result
};

/// Tokens a page, a fixed property of the Quest scorer.
inline constexpr std::int64_t kQuestPageTokens = 16;

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
  std::int64_t sinks = 8;        ///< first tokens that are always attended
  std::int64_t window = 64;      ///< w >= 1, newest tokens that are always attended, i included
  std::int64_t distance = 2048;  ///< b
  FinalAttention final_attention = FinalAttention::kExact;
  /// Which placement summary figures named pcie_* are of; both are always reported.
  Placement placement = Placement::kFetch;
  /// For the VQ scorers; without one, a codebook is trained on this trace's prompt.
  std::shared_ptr<const Codebook> codebook;
  std::int64_t codewords = 0;                    ///< of a codebook trained here; 0 means auto
  std::int64_t max_iterations = 300;             ///< of a codebook trained here
  MomentQueries moment = MomentQueries::kWrope;  ///< of a codebook trained here
  std::int64_t hot_buffer = 0;       ///< LRU slots (tokens) a KV head on the GPU; 0 is off
  std::vector<std::int64_t> layers;  ///< model layer indices; empty means all captured ones
  std::uint64_t seed = 0;            ///< of codebook training and of kRandom
};

/// a2ats, vq-plain, exact-topk, exact-topk-wrope, quest, random-topk, streaming-llm, in this order.
[[nodiscard]] const std::vector<RetrievalOptions>& retrieval_presets();

/// The preset called `name`. Throws Error(kUsage) listing the names.
[[nodiscard]] const RetrievalOptions& retrieval_preset(std::string_view name);

/// Error of approximate scores u^ of exact scores u over eligible tokens, query heads and steps.
struct ScoreError {
  double mse = 0.0;  ///< mean of (u - u^)^2
  std::optional<double>
      nmse;  ///< sum of (u - u^)^2 / sum of (u - mean u)^2, the mean a query's own
};

/// Bytes and separate copies over PCIe in a decode step. With d the head dimension, e the bytes of
/// the trace's dtype, G query heads a KV head, U the union:
///   fetch          to_gpu = missing * 2 d e, to_host = 2 d e (the new token's K and V)
///                  missing = tokens of U that are not in the hot buffer
///                  pieces = contiguous runs of missing tokens
///   cpu-attention  to_host = G d e (query) + 2 d e (new K and V) + 4 |U| (u32 token list)
///                  to_gpu  = G d e (output) + 4 G (fp32 log-sum-exp)
///                  pieces = 2: all heads of a layer share one message each way
/// Nothing moves if the scorer is kNone.
struct PcieTraffic {
  double to_gpu_bytes = 0.0;
  double to_host_bytes = 0.0;
  double pieces = 0.0;

  [[nodiscard]] double bytes() const noexcept { return to_gpu_bytes + to_host_bytes; }
};

/// Bytes that `missing` tokens of one KV head move to the GPU.
[[nodiscard]] constexpr std::int64_t fetch_bytes(std::int64_t missing, std::int64_t head_dim,
                                                 std::int64_t element_bytes) noexcept {
  return missing * 2 * head_dim * element_bytes;
}
/// Bytes of the new token's K and V of one KV head, which the host keeps.
[[nodiscard]] constexpr std::int64_t append_bytes(std::int64_t head_dim,
                                                  std::int64_t element_bytes) noexcept {
  return 2 * head_dim * element_bytes;
}
/// Bytes that attention on the host needs from the GPU, one KV head.
[[nodiscard]] constexpr std::int64_t cpu_attention_to_host_bytes(
    std::int64_t union_tokens, std::int64_t group, std::int64_t head_dim,
    std::int64_t element_bytes) noexcept {
  return group * head_dim * element_bytes + append_bytes(head_dim, element_bytes) +
         4 * union_tokens;
}
/// Bytes that attention on the host sends back, one KV head.
[[nodiscard]] constexpr std::int64_t cpu_attention_to_gpu_bytes(
    std::int64_t group, std::int64_t head_dim, std::int64_t element_bytes) noexcept {
  return group * (head_dim * element_bytes + 4);
}

/// One KV head at one decode step; shares and errors are means over its query heads.
struct HeadStep {
  std::int64_t top = 0;               ///< K of a query head after clamping
  std::int64_t eligible = 0;          ///< tokens that could be retrieved
  std::int64_t attended = 0;          ///< sinks + window + |U|
  std::int64_t union_tokens = 0;      ///< |U|
  std::int64_t hot_hits = 0;          ///< tokens of U in the hot buffer
  std::int64_t fetch_pieces = 0;      ///< contiguous runs of the missing tokens
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
  std::optional<double> union_factor;  ///< |U| / K, within [1, G]
  std::optional<double> boundary_ties;
  std::optional<double> overlap;
  std::optional<double> hot_hit_rate;     ///< hits / |U| over all steps, the empty start included
  std::optional<double> needle_recall;    ///< needle tokens retrieved / eligible
  std::optional<ScoreError> wrope_error;  ///< exact windowed RoPE against RoPE; not for steps
  std::optional<ScoreError> vq_error;     ///< codes against exact windowed RoPE; not for steps
  PcieTraffic fetch;          ///< a decode step: of a KV head, summed over a layer's KV heads, or
  PcieTraffic cpu_attention;  ///< summed over all touched layers
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
  double mean_bucket = 0.0;  ///< T / C
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
  std::optional<CodeUsage> code_usage;           ///< VQ scorers
  std::optional<CalibrationRecord> calibration;  ///< VQ scorers
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
  std::optional<CodebookUse> codebook;  ///< VQ scorers
  std::vector<LayerRetrieval> layers;
  std::vector<RetrievalStep> steps;
  RetrievalFigures summary;  ///< means over the touched layers; traffic is their sum
  ProjectedLoss loss;        ///< means over the touched layers
  PcieTraffic pcie;          ///< summary.fetch or summary.cpu_attention, as options.placement says
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

/// vq-query-aware, vq-plain, exact, exact-wrope, quest, random, none.
[[nodiscard]] std::string_view name_of(RetrievalScorer scorer) noexcept;
/// exact, wrope.
[[nodiscard]] std::string_view name_of(FinalAttention attention) noexcept;
/// fetch, cpu-attention.
[[nodiscard]] std::string_view name_of(Placement placement) noexcept;
/// Inverses of name_of. Throw Error(kUsage) listing the supported names.
[[nodiscard]] RetrievalScorer retrieval_scorer_from_name(std::string_view name);
[[nodiscard]] FinalAttention final_attention_from_name(std::string_view name);
[[nodiscard]] Placement placement_from_name(std::string_view name);

}  // namespace kvsieve::sim
