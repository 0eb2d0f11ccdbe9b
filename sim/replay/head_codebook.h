#pragma once
// The codebook of one KV head: trained from traces, or taken from a codebook.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kvsieve/kernels/codebook_training.h"
#include "kvsieve/sim/codebook.h"
#include "kvsieve/traces/trace.h"

namespace kvsieve::sim {

/// A trained head.
struct TrainedHead {
  kernels::TrainedCodebook codebook;
  std::vector<float> mean;  ///< [d] of the calibration keys; empty unless they are centred
  TrainingRecord record;
};

/// Trains KV head `kv_head` of model layer `layer`, which every trace has captured, on prompt keys
/// and, unless plain, the captured prompt queries. `options.codewords` is set. Errors name layer
/// and head. `progress` gets the share of the iterations that k-means may take; what it throws
/// passes through.
[[nodiscard]] TrainedHead train_head(std::span<const traces::Trace* const> traces,
                                     std::int64_t layer, std::int64_t kv_head,
                                     const CodebookOptions& options, const Progress& progress = {});

/// The description of a codebook trained from `traces` with `options`, codewords resolved, and
/// warnings about thin calibration. Hashes the traces. Throws as train_codebook does for what can
/// be known before training.
[[nodiscard]] CodebookInfo describe_training(std::span<const traces::Trace* const> traces,
                                             const CodebookOptions& options);

}  // namespace kvsieve::sim
