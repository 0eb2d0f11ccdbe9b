#pragma once
// KeyEncoder on the device: the codes of many tokens, and of one new token a head.

#include <cstddef>
#include <cstdint>

#include "a2ats/codeword_table_device.h"
#include "exec/device/launch_config.h"
#include "exec/device/runtime.h"
#include "kvsieve/kernels/key_encoding.h"
#include "kvsieve/kernels/work.h"
#include "kvsieve/traces/dtype.h"

namespace kvsieve::kernels {

/// Work of unpack_codes for n codes of each of S segments.
[[nodiscard]] constexpr Work unpack_codes_work(std::int64_t segments, std::int64_t codes) {
  return {segments * packed_words(codes) * 4, segments * codes * 2, 0};
}

}  // namespace kvsieve::kernels

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

/// Where codes are stored, device memory; segments are KV heads of sequences, S = B Hkv, segment =
/// sequence * Hkv + KV head.
struct CodeStore {
  CodeFormat format = CodeFormat::kUint16;
  std::uint16_t* codes = nullptr;  ///< [S, stride] by token, if kUint16
  std::uint32_t* words = nullptr;  ///< [S, stride] packed by token, if kPacked12
  std::int64_t stride = 0;         ///< codes or words from a segment to the next
};

/// Keys before RoPE and where their codes go.
struct KeyEncodingArgs {
  const void* keys = nullptr;  ///< [S, n, d] dtype, aligned to 16 bytes
  traces::DType dtype{};
  std::int64_t segments = 0;        ///< S, a multiple of the table's Hkv
  std::int64_t tokens = 0;          ///< n
  std::int64_t head_dim = 0;        ///< d
  std::int64_t segment_stride = 0;  ///< elements between segments, a multiple of 16 bytes
  std::int64_t token_stride = 0;    ///< elements between tokens, a multiple of 16 bytes
  CodewordTable table;
  std::int64_t first = 0;  ///< number of the first key's code: its token
  CodeStore store;
};

/// A block a tile of tokens, cut at multiples of the tile.
[[nodiscard]] LaunchConfig key_encoding_config(const KeyEncodingArgs& args);

/// Enqueues code(k) = argmin over m of ||zeta_m||^2 / 2 - (k L) . zeta_m for every key (A2ATS eq.
/// 14), the lowest code in a tie. Distances of a tile are compared as they appear and never stored.
/// Of the codes in the store, those before `first` stay as they are; packed codes that share the
/// last new one's word become 0. Deterministic, and independent of how tokens are cut into calls.
/// fp32: a code is the double-precision argmin's unless the two best distances b_m - (k - c~) . w_m
/// differ by less than 2 (d + 3) 2^-24 max over m of (|b_m| + sum over t of |(k - c~)_t w_mt|). A
/// key with a NaN gets code 0.
/// Throws Error(kUsage) for a head size, dtype or number of codewords without a kernel, or strides
/// off the 16-byte grid.
void key_encoding(const KeyEncodingArgs& args, Stream& stream);

/// Bytes of workspace of append_code; the caller sets them to zero once, calls leave them so.
[[nodiscard]] std::size_t append_code_workspace_bytes(std::int64_t segments);
/// A block 128 codewords of a segment.
[[nodiscard]] LaunchConfig append_code_config(const KeyEncodingArgs& args);

/// key_encoding for one token (n = 1) of every segment in one launch, its codewords spread over
/// blocks: the same codes bit for bit.
/// @param workspace append_code_workspace_bytes(S), zero, not shared by streams
void append_code(const KeyEncodingArgs& args, void* workspace, Stream& stream);

/// Packed codes to 16 bits.
struct UnpackCodesArgs {
  const std::uint32_t* words = nullptr;  ///< [S, words_stride] from token 0
  std::int64_t words_stride = 0;
  std::int64_t segments = 0;
  std::int64_t first = 0;          ///< the first token to unpack
  std::int64_t tokens = 0;         ///< n
  std::uint16_t* codes = nullptr;  ///< [S, codes_stride], out: token first + j at j
  std::int64_t codes_stride = 0;
};

[[nodiscard]] LaunchConfig unpack_codes_config(const UnpackCodesArgs& args);
void unpack_codes(const UnpackCodesArgs& args, Stream& stream);

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
