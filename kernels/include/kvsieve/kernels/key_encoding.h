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

/// How codes are stored.
enum class CodeFormat {
  kUint16,   ///< 16 bits a code, C up to 65536
  kPacked12  ///< 12 bits a code, C up to 4096
};

/// The most codewords that a packed code can tell apart.
inline constexpr std::int64_t kMaxPackedCodewords = 4096;
/// Bits of a packed code.
inline constexpr std::int64_t kPackedCodeBits = 12;

/// 32-bit words that n packed codes take: 3 words every 8 codes.
[[nodiscard]] constexpr std::int64_t packed_words(std::int64_t codes) {
  return (codes * kPackedCodeBits + 31) / 32;
}

/// Packs codes below 4096, of which the first becomes code number 0. Code j takes bits 12 j to
/// 12 j + 11 of the words, bit 0 of a word before bit 31; bits behind the last code are 0.
/// @param words [packed_words(codes.size())]
void pack_codes(std::span<const std::uint16_t> codes, std::span<std::uint32_t> words);

/// Unpacks codes number `first` and on. @param words at least [packed_words(first + codes.size())]
void unpack_codes(std::span<const std::uint32_t> words, std::int64_t first,
                  std::span<std::uint16_t> codes);

/// Work of encoding N keys of `element_bytes` a number with L folded into the codewords; appending
/// a token is N = 1.
[[nodiscard]] constexpr Work key_encoding_work(std::int64_t keys, std::int64_t codewords,
                                               std::int64_t d, std::int64_t element_bytes,
                                               CodeFormat format = CodeFormat::kUint16) {
  return {keys * d * element_bytes + codewords * d * 4,
          format == CodeFormat::kUint16 ? keys * 2 : packed_words(keys) * 4,
          2 * keys * d * codewords};
}

}  // namespace kvsieve::kernels
