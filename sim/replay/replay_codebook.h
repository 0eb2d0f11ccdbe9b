#pragma once
// The codebook that a replay trains where none is given.

#include "kvsieve/sim/codebook.h"
#include "kvsieve/sim/retrieval_replay.h"

namespace kvsieve::sim {

/// The kind of codebook that a scorer works with.
[[nodiscard]] CodebookKind kind_of(RetrievalScorer scorer);

/// How a replay with these options trains its codebook, layers left open.
[[nodiscard]] CodebookOptions training_options(const RetrievalOptions& options);

}  // namespace kvsieve::sim
