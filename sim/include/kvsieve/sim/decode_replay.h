#pragma once
// Replaying a retrieval method on a backend: every decode step runs there, stage by stage, and the
// tokens that it retrieved are measured as replay_retrieval measures its own.

#include "kvsieve/sim/retrieval_replay.h"

namespace kvsieve::sim {

/// Where and how decode steps run.
struct DecodeOptions {
  kernels::Backend backend = kernels::Backend::kSimt;
  kernels::Schedule schedule = kernels::Schedule::kSerial;
  /// Top K from code buckets, O(C + K) a query head, rather than from the scores of all tokens.
  bool buckets = true;
};

/// Runs all decode steps of `trace` on the backend, then measures what they retrieved:
/// RetrievalResult::decode is set. Keeps K and V of all replayed layers in host memory, as the
/// method does. A codebook that is not given is trained on the trace's prompt first, as
/// replay_retrieval would.
/// Throws as replay_retrieval does; Error(kMissingCapability) for a backend that cannot run here
/// and for scorers, selections and final attention that have no kernels.
[[nodiscard]] RetrievalResult replay_decode(const traces::Trace& trace,
                                            const RetrievalOptions& options,
                                            const DecodeOptions& decode,
                                            const Progress& progress = {});

}  // namespace kvsieve::sim
