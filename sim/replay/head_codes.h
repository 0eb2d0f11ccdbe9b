#pragma once
// The codes of a KV head's tokens, from a codebook.

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "kvsieve/kernels/head_tensors.h"
#include "kvsieve/sim/retrieval_replay.h"
#include "kvsieve/traces/dtype.h"

namespace kvsieve::sim {

/// The codebook of a KV head.
struct HeadCodebook {
  kernels::HeadSlice codewords;               ///< [C, d] of centred keys if there is a mean
  kernels::HeadSlice cholesky;                ///< [d, d]
  std::span<const float> mean = {};           ///< [d] of the calibration keys, or empty
  traces::DType dtype = traces::DType::kF32;  ///< that codewords and factor are rounded to
};

/// The codes of all T tokens of a KV head and what they stand for. Tokens that a decode step adds
/// get their code as they arrive; it is the one they would get in one pass.
struct HeadCodes {
  kernels::HeadKeys codewords;  ///< as keys are: with the mean added back
  std::vector<std::uint16_t> codes;
  std::optional<double> agreement;  ///< share of tokens with the code of the fp32 codebook

  /// @param keys [T, d], rotated if the codebook is of rotated keys
  HeadCodes(const HeadCodebook& codebook, const kernels::HeadSlice& keys);
  [[nodiscard]] CodeUsage usage() const;
};

}  // namespace kvsieve::sim
