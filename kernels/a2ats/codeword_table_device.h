#pragma once
// Codewords brought into the form that searches for the nearest one compare with, on the device.

#include <cstdint>

#include "exec/device/launch_config.h"
#include "exec/device/runtime.h"
#include "kvsieve/kernels/work.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

/// Codewords that a block of a search compares with at once. A codebook's table is padded to a
/// multiple of it.
inline constexpr std::int64_t kSearchCodewords = 128;
/// The most codewords of a codebook: codes are 16 bits wide.
inline constexpr std::int64_t kMaxCodewords = 65536;

[[nodiscard]] constexpr std::int64_t padded_codewords(std::int64_t codewords) {
  return (codewords + kSearchCodewords - 1) / kSearchCodewords * kSearchCodewords;
}

/// Work of codeword_table for Hkv codebooks of C codewords: two products with a triangle and one
/// norm for each codeword.
[[nodiscard]] constexpr Work codeword_table_work(std::int64_t kv_heads, std::int64_t codewords,
                                                 std::int64_t d) {
  return {kv_heads * (codewords * d + d * (d + 1) / 2) * 4,
          kv_heads * (padded_codewords(codewords) * (d + 1) + d) * 4,
          kv_heads * codewords * 2 * d * (d + 2)};
}

/// With the mean codeword c~ (rounded to fp32) and o_m = (c_m - c~) L:
///   b_m = ||o_m||^2 / 2  and  w_m = L o_m,
/// so b_m - (k - c~) . w_m is half of ||k L - c_m L||^2 but for a summand that all codewords share
/// (A2ATS eq. 14 to 18). What keys and codewords have in common, large for keys with a bias, has
/// gone before any product is rounded, and keys are not multiplied by L one by one.
struct CodewordTable {
  const float* weights = nullptr;  ///< [Hkv, d, padded] w, codewords innermost; padding is 0
  const float* biases = nullptr;   ///< [Hkv, padded] b; padding is +infinity
  const float* centers = nullptr;  ///< [Hkv, d] c~
  std::int64_t kv_heads = 0;       ///< Hkv
  std::int64_t codewords = 0;      ///< C
  std::int64_t head_dim = 0;       ///< d
};

/// All pointers are device memory, aligned to 16 bytes, dense in the shape given.
struct CodewordTableArgs {
  const float* codewords = nullptr;  ///< [Hkv, C, d] in the space of keys, finite
  const float* cholesky = nullptr;   ///< [Hkv, d, d] L, lower triangular; null is L = I
  std::int64_t kv_heads = 0;         ///< Hkv
  std::int64_t codeword_count = 0;   ///< C, 1 to kMaxCodewords
  std::int64_t head_dim = 0;         ///< d
  float* weights = nullptr;          ///< out, [Hkv, d, padded]
  float* biases = nullptr;           ///< out, [Hkv, padded]
  float* centers = nullptr;          ///< out, [Hkv, d]

  /// What codeword_table writes.
  [[nodiscard]] CodewordTable table() const {
    return {weights, biases, centers, kv_heads, codeword_count, head_dim};
  }
};

/// A block 32 channels of a head.
[[nodiscard]] LaunchConfig mean_codeword_config(const CodewordTableArgs& args);
/// A block 32 codewords of a head.
[[nodiscard]] LaunchConfig codeword_table_config(const CodewordTableArgs& args);

/// Enqueues the table of a layer's codebooks, in double precision until the results are rounded.
/// Only the lower triangle of L is read. Deterministic.
/// Throws Error(kUsage) for a head size or number of codewords without a kernel.
void codeword_table(const CodewordTableArgs& args, Stream& stream);

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
