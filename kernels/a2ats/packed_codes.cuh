#pragma once
// 12-bit codes in device memory: the layout of pack_codes (key_encoding.h).

#include "exec/device/device.cuh"
#include "kvsieve/kernels/key_encoding.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

/// Code number `token` of packed codes.
__device__ inline unsigned unpack_code(const unsigned* words, std::int64_t token) {
  const std::int64_t bit = token * kPackedCodeBits;
  const auto shift = static_cast<unsigned>(bit % 32);
  const unsigned* word = words + bit / 32;
  // The next word may lie beyond the end unless the code reaches into it.
  const unsigned high = shift > 32 - kPackedCodeBits ? word[1] : 0U;
  return __funnelshift_r(word[0], high, shift) & (kMaxPackedCodewords - 1);
}

/// Word number `word` once codes [begin, end) are there, code(j) being number j: bits of the codes
/// before `begin` are taken from `old`, bits behind `end` are 0.
template <class Code>
__device__ inline unsigned packed_word(std::int64_t word, std::int64_t begin, std::int64_t end,
                                       unsigned old, const Code& code) {
  const std::int64_t first_bit = word * 32;
  const std::int64_t kept = begin * kPackedCodeBits - first_bit;
  unsigned bits = kept > 0 ? old & ((1U << kept) - 1U) : 0U;
  std::int64_t j = max(first_bit / kPackedCodeBits, begin);
  for (; j < end && j * kPackedCodeBits < first_bit + 32; ++j) {
    const auto shift = static_cast<int>(j * kPackedCodeBits - first_bit);
    bits |= shift >= 0 ? code(j) << shift : code(j) >> -shift;
  }
  return bits;
}

/// Word that holds the first bit of code `token`.
__device__ inline std::int64_t word_of_code(std::int64_t token) {
  return token * kPackedCodeBits / 32;
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
