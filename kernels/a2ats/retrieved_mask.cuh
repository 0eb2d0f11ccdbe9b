#pragma once
// What the ways to a top K share: how many tokens a query head takes, and its bits in the masks.

#include "a2ats/topk_retrieval_device.h"
#include "exec/device/device.cuh"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

/// Enqueues zeros in every word of the masks.
inline void clear_mask(const RetrievedMask& mask, std::int64_t segments, std::int64_t group,
                       Stream& stream) {
  const auto bytes = static_cast<std::size_t>(segments * mask.stride) * sizeof(std::uint32_t);
  fill_device(mask.words, 0, bytes, stream);
  if (mask.member_words != nullptr) {
    fill_device(mask.member_words, 0, static_cast<std::size_t>(group) * bytes, stream);
  }
}

/// Tokens that a query head takes.
__device__ inline unsigned retrieved_tokens(const std::int32_t* head_k, unsigned k, unsigned m,
                                            std::int64_t head) {
  return min(head_k == nullptr ? k : static_cast<unsigned>(max(head_k[head], 0)), m);
}
/// Where a query head's selection goes.
struct MaskRow {
  std::uint32_t* words;         ///< the group's
  std::uint32_t* member_words;  ///< the query head's own, or null
};

__device__ inline MaskRow mask_row(const RetrievedMask& mask, std::int64_t head, int group) {
  return {mask.words + head / group * mask.stride,
          mask.member_words == nullptr ? nullptr : mask.member_words + head * mask.stride};
}

__device__ inline void set_bits(MaskRow row, std::int64_t word, unsigned bits) {
  if (bits != 0) {
    atomicOr(row.words + word, bits);
    if (row.member_words != nullptr) {
      atomicOr(row.member_words + word, bits);
    }
  }
}

__device__ inline void store_ties(const RetrievedMask& mask, std::int64_t head, unsigned ties) {
  if (mask.boundary_ties != nullptr && threadIdx.x == 0) {
    mask.boundary_ties[head] = static_cast<std::int32_t>(ties);
  }
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
