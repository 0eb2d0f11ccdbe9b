#pragma once
// The codes of a KV head's tokens, from a codebook.

#include <cstdint>
#include <vector>

#include "kvsieve/kernels/head_tensors.h"
#include "kvsieve/sim/retrieval_replay.h"

namespace kvsieve::sim {

/// The codes of all T tokens of a KV head and what they stand for. Tokens that a decode step adds
/// get their code as they arrive; it is the one they would get in one pass.
struct HeadCodes {
  kernels::HeadKeys codewords;
  std::vector<std::uint16_t> codes;

  /// @param codewords [C, d] @param cholesky [d, d] @param keys [T, d] before RoPE
  HeadCodes(const kernels::HeadSlice& codewords, const kernels::HeadSlice& cholesky,
            const kernels::HeadSlice& keys);
  [[nodiscard]] CodeUsage usage() const;
};

}  // namespace kvsieve::sim
