#pragma once
// Where the scores that rank a decode step's eligible tokens come from: an index over the keys of
// one KV head, and what a query reads of it.

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "kvsieve/kernels/head_tensors.h"
#include "kvsieve/kernels/matrix_view.h"
#include "kvsieve/kernels/topk_retrieval.h"
#include "kvsieve/sim/retrieval_replay.h"
#include "kvsieve/traces/trace.h"
#include "replay/float_rows.h"
#include "replay/head_codes.h"

namespace kvsieve::sim {

/// The KV head that an index is built over.
struct IndexInput {
  const traces::Trace& trace;
  const traces::TraceLayer& layer;
  std::int64_t kv_head;
  const kernels::RopePhases& phases;
  const RetrievalOptions& options;
  const HeadCodes* codes;  ///< null unless the scorer works with a codebook

  /// Keys after RoPE, [T, d].
  [[nodiscard]] FloatRows rotated_keys() const {
    return {kernels::HeadSlice(layer.k, kv_head), &phases};
  }
  /// Bytes of a number of the trace's dtype, in which a cache would hold it.
  [[nodiscard]] std::int64_t element_bytes() const {
    return static_cast<std::int64_t>(traces::size_of(trace.header().dtype));
  }
};

/// Consecutive decode steps of one query head.
struct QueryBlock {
  std::int64_t q_head = 0;                        ///< in the model
  std::int64_t first_step = 0;                    ///< of row 0
  kernels::MatrixView<const float> near_queries;  ///< [R, d] rotated to their positions
  kernels::MatrixView<const float> far_queries;   ///< [R, d] rotated by the constant distance
  kernels::MatrixView<const float> near;          ///< [R, n] true scores
  kernels::MatrixView<const float> far;  ///< [R, n] scores at the constant distance, of all tokens
};

/// What one thread needs to score a block.
struct ScoreScratch {
  std::vector<float> scores;   // [R, n]
  std::vector<float> lookup;   // a number a codeword, page or chunk
  std::vector<float> queries;  // what a source makes of the queries
};

/// Scores tokens of one KV head. Safe to use from several threads.
class ScoreSource {
 public:
  virtual ~ScoreSource() = default;

  /// Scores [R, n] by token, higher is better; those of row r are valid at the tokens
  /// `eligible[r]`. The view lives as long as the block and the scratch.
  [[nodiscard]] virtual kernels::MatrixView<const float> scores(
      const QueryBlock& block, std::span<const kernels::TokenRange> eligible,
      ScoreScratch& scratch) const = 0;

  /// What it keeps on the GPU.
  [[nodiscard]] virtual IndexBytes index_bytes() const = 0;

  /// Whether scores estimate the true ones, so that their error means something.
  [[nodiscard]] virtual bool estimates() const { return true; }
};

/// The source that `options.scorer` names, built over one KV head. What it views of the input
/// (trace, options and codes) must outlive it.
[[nodiscard]] std::unique_ptr<ScoreSource> make_score_source(const IndexInput& input);

/// Rows of `columns` numbers in `buffer`, whose stride suits the inner loops.
[[nodiscard]] kernels::MatrixView<float> scratch_rows(std::vector<float>& buffer, std::int64_t rows,
                                                      std::int64_t columns);

/// Scores [R, tokens] in which an eligible token j has the score of part j / part_tokens.
/// @param parts [R, number of parts]
[[nodiscard]] kernels::MatrixView<const float> spread(const kernels::MatrixView<const float>& parts,
                                                      std::int64_t part_tokens,
                                                      std::span<const kernels::TokenRange> eligible,
                                                      std::int64_t tokens, ScoreScratch& scratch);

}  // namespace kvsieve::sim
