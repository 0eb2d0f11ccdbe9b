#pragma once
// What retrieval keeps in memory and moves over the bus, in bytes, from shapes alone. Nothing here
// is measured; the simt backend's counters prove it.

#include <cstdint>

#include "kvsieve/kernels/decode_graph.h"
#include "kvsieve/kernels/sparse_decode.h"

namespace kvsieve::kernels {

/// The attention heads of a model. e is the bytes of an element of the KV cache.
struct LedgerShape {
  std::int64_t layers = 0;         ///< L
  std::int64_t q_heads = 0;        ///< Hq
  std::int64_t kv_heads = 0;       ///< Hkv
  std::int64_t head_dim = 0;       ///< d
  std::int64_t element_bytes = 2;  ///< e
};

/// Bytes of codes of T tokens, all layers: 16 bits a code, or 12 bits packed.
[[nodiscard]] constexpr std::int64_t code_bytes(const LedgerShape& shape, std::int64_t tokens,
                                                bool packed = false) noexcept {
  const std::int64_t codes = shape.layers * shape.kv_heads * tokens;
  return packed ? (codes * 3 + 1) / 2 : codes * 2;
}
/// Bytes of the codebooks of all layers and KV heads, shared by all sequences: C codewords of d.
[[nodiscard]] constexpr std::int64_t codebook_bytes(const LedgerShape& shape,
                                                    std::int64_t codewords) noexcept {
  return shape.layers * shape.kv_heads * codewords * shape.head_dim * shape.element_bytes;
}
/// Bytes of the Cholesky factors in fp32.
[[nodiscard]] constexpr std::int64_t factor_bytes(const LedgerShape& shape) noexcept {
  return shape.layers * shape.kv_heads * shape.head_dim * shape.head_dim * 4;
}
/// Bytes of K and V of `tokens` tokens of all layers.
[[nodiscard]] constexpr std::int64_t kv_bytes(const LedgerShape& shape,
                                              std::int64_t tokens) noexcept {
  return shape.layers * shape.kv_heads * tokens * row_bytes(shape.head_dim, shape.element_bytes);
}

/// Bytes of the message that takes a layer's new K and V to the host, and with `query` its query.
[[nodiscard]] constexpr std::int64_t down_bytes(const LedgerShape& shape, bool query) noexcept {
  return ((query ? shape.q_heads : 0) + 2 * shape.kv_heads) * shape.head_dim * shape.element_bytes;
}
/// Bytes of a layer's lists of retrieved tokens: 32 bits a token and a count a KV head.
/// @param union_tokens of all KV heads together
[[nodiscard]] constexpr std::int64_t list_bytes(const LedgerShape& shape,
                                                std::int64_t union_tokens) noexcept {
  return 4 * (union_tokens + shape.kv_heads);
}
/// Bytes of a layer's selection as a mask of a bit a token; the published release ships a byte.
[[nodiscard]] constexpr std::int64_t mask_bytes(const LedgerShape& shape,
                                                std::int64_t tokens) noexcept {
  return shape.kv_heads * ((tokens + 31) / 32) * 4;
}
/// Bytes of a layer's partial attention that goes back to the GPU: outputs and fp32 log-sum-exps.
[[nodiscard]] constexpr std::int64_t up_bytes(const LedgerShape& shape) noexcept {
  return shape.q_heads * (shape.head_dim * shape.element_bytes + 4);
}

/// Copies that all KV heads of a layer share: one down, and for attention on the host one up.
[[nodiscard]] constexpr std::int64_t messages(Placement placement) noexcept {
  return placement == Placement::kCpuAttention ? 2 : 1;
}

/// What a decode step of one sequence moves in one layer.
struct StepTraffic {
  std::int64_t to_gpu_bytes = 0;
  std::int64_t to_host_bytes = 0;
  std::int64_t copies = 0;  ///< of the copy engines

  constexpr StepTraffic& operator+=(const StepTraffic& other) noexcept {
    to_gpu_bytes += other.to_gpu_bytes;
    to_host_bytes += other.to_host_bytes;
    copies += other.copies;
    return *this;
  }
  bool operator==(const StepTraffic&) const = default;
};

/// Traffic of one layer and step:
///   cpu-attention     down with the query, lists, up; two copies
///   fetch-dma         down, lists, the rows of all retrieved tokens; a copy a run, and one down
///   fetch-kernel      down, the rows of all retrieved tokens; one copy down
///   fetch-hot-buffer  down, the rows that the buffer lacked; one copy down
/// @param union_tokens of all KV heads together @param misses of these, rows that were fetched
/// @param runs of consecutive tokens among them
[[nodiscard]] constexpr StepTraffic step_traffic(const LedgerShape& shape, Placement placement,
                                                 std::int64_t union_tokens, std::int64_t misses,
                                                 std::int64_t runs) noexcept {
  const bool on_host = placement == Placement::kCpuAttention;
  StepTraffic traffic;
  traffic.to_host_bytes = down_bytes(shape, on_host);
  if (on_host || placement == Placement::kFetchDma) {
    traffic.to_host_bytes += list_bytes(shape, union_tokens);
  }
  traffic.to_gpu_bytes =
      on_host ? up_bytes(shape) : misses * row_bytes(shape.head_dim, shape.element_bytes);
  traffic.copies = messages(placement) + (placement == Placement::kFetchDma ? runs : 0);
  return traffic;
}

}  // namespace kvsieve::kernels
