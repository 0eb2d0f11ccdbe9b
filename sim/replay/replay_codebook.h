#pragma once
// The codebook that a replay works with: the given one, or one that it trains.

#include <span>

#include "kvsieve/kernels/head_tensors.h"
#include "kvsieve/sim/codebook.h"
#include "kvsieve/sim/retrieval_replay.h"
#include "replay/head_codes.h"

namespace kvsieve::sim {

/// The kind of codebook that a scorer works with.
[[nodiscard]] CodebookKind kind_of(RetrievalScorer scorer);

/// How a replay with these options trains its codebook, layers left open.
[[nodiscard]] CodebookOptions training_options(const RetrievalOptions& options);

/// Throws Error(kUsage) if the given codebook is not of the scorer's kind, Error(kBadInput) if it
/// does not fit the trace's model or lacks one of its layers.
/// @param indices of the trace's layers that are replayed
void check_codebook(const traces::Trace& trace, const RetrievalOptions& options,
                    std::span<const std::size_t> indices);

/// One KV head's codes, and how their codebook came about.
struct CodedHead {
  HeadCodes codes;
  TrainingRecord calibration;
};

/// Codes the tokens of a KV head by the given codebook, or by one of `codewords` codewords that is
/// trained here on the trace's prompt. Errors name layer and head.
[[nodiscard]] CodedHead code_head(const traces::Trace& trace, const traces::TraceLayer& layer,
                                  std::int64_t kv_head, const kernels::RopePhases& phases,
                                  const RetrievalOptions& options, std::int64_t codewords,
                                  const Progress& progress = {});

}  // namespace kvsieve::sim
