#pragma once
// Keys to codes: the nearest codeword under the query-aware distance (A2ATS eq. 14).

#include <cstdint>
#include <memory>
#include <span>

#include "kvsieve/kernels/head_tensors.h"
#include "kvsieve/kernels/matrix_view.h"
#include "kvsieve/kernels/work.h"

namespace kvsieve::kernels {

/// code(k) = argmin over m of ||zeta_m||^2 / 2 - (k L) . zeta_m with zeta = c L, which is the
/// argmin of (k - c_m) L L^T (k - c_m)^T. Ties: the lowest code. Keys are before RoPE, so a code
/// never changes; encoding tokens one by one or all at once gives the same codes. The distances of
/// a tile of codewords are compared as they appear; no [N, C] matrix is stored.
class KeyEncoder {
 public:
  /// Works from fp32 codewords and factor, as a codebook file holds them, so that a codebook
  /// encodes alike before and after it was saved. 16-bit tensors are converted.
  /// @param codewords [C, d], C from 1 to 65536 @param cholesky [d, d]
  /// Throws Error(kBadInput) if the shapes do not fit each other, a codeword is not finite, or the
  /// factor is not lower triangular with a positive diagonal.
  KeyEncoder(const HeadSlice& codewords, const HeadSlice& cholesky);

  [[nodiscard]] std::int64_t codewords() const noexcept { return m_codewords; }
  [[nodiscard]] std::int64_t head_dim() const noexcept { return m_head_dim; }

  /// Encodes rows [first, first + codes.size()) of a head of keys. Parallel over tokens.
  void encode(const HeadSlice& keys, std::int64_t first, std::span<std::uint16_t> codes) const;

 private:
  struct Tables;
  std::int64_t m_codewords;
  std::int64_t m_head_dim;
  std::shared_ptr<const Tables> m_tables;
};

/// Work of encoding N keys of `element_bytes` a number.
[[nodiscard]] constexpr Work key_encoding_work(std::int64_t keys, std::int64_t codewords,
                                               std::int64_t d, std::int64_t element_bytes) {
  return {keys * d * element_bytes + (codewords + d) * d * 4, keys * 2,
          2 * keys * d * (d + codewords)};
}

}  // namespace kvsieve::kernels
