#pragma once
// Decode attention on the CPU over tokens that lie anywhere: what the ragged and the sparse decode
// step have in common. The tokens of all segments are cut into shares (ragged_decode.h); each part
// goes through the vector loops block by block, and parts merge in token order.

#include <cstdint>
#include <optional>
#include <string_view>

#include "exec/cpu/simd.h"
#include "kvsieve/traces/dtype.h"

namespace kvsieve::kernels {

/// One decode step, whatever holds its rows.
struct DecodeStep {
  traces::DType dtype = traces::DType::kF32;  ///< of K and V
  std::int64_t head_dim = 0;                  ///< d
  std::int64_t segments = 0;                  ///< S
  const std::int32_t* lengths = nullptr;      ///< [S] tokens
  const void* queries = nullptr;              ///< [S, G, d]
  traces::DType query_dtype = traces::DType::kF32;
  std::int64_t group = 1;
  float scale = 1.0F;
  std::optional<float> softcap;
  float* out = nullptr;          ///< [S, G, d]
  float* log_sums = nullptr;     ///< [S, G], may be null
  std::int64_t shares = 0;       ///< 0: chosen by the number of tokens
  bool adjacent_values = false;  ///< each V row lies directly behind its K row
};

/// Where the rows of a step's tokens are.
class DecodeRows {
 public:
  virtual ~DecodeRows() = default;
  /// Writes the addresses of tokens [first, first + count) of a segment.
  virtual void locate(std::int64_t segment, std::int64_t first, std::int64_t count,
                      const void** keys, const void** values) const = 0;
};

/// Throws Error(kUsage), naming the operation, for a group, dtype or row size that is not
/// supported.
void check_decode_step(std::string_view operation, const DecodeStep& step);

/// The step, already checked. fp32 sums; the result does not depend on the number of threads.
void decode_in_shares(const DecodeStep& step, const DecodeRows& rows, const SimdOps& ops);

}  // namespace kvsieve::kernels
