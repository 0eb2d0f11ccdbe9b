#pragma once
// The rows of a ragged cache for decode_shares.cuh: K and V apart, contiguous or in pages.

#include "attention/decode_shares.cuh"
#include "kvsieve/kernels/ragged_cache.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

struct RaggedRows {
  RaggedCacheView cache;

  __host__ __device__ std::int64_t segments() const { return cache.segments; }
  __host__ __device__ std::int64_t head_dim() const { return cache.head_dim; }
  __device__ const void* keys() const { return cache.keys; }
  __device__ const void* values() const { return cache.values; }
  __device__ std::int64_t length(std::int64_t s) const { return cache.lengths[s]; }
  __device__ std::int64_t begin(std::int64_t s) const { return begin_of(cache, s); }
  template <int kHeadDim>
  __device__ std::int64_t element(std::int64_t from, std::int64_t j) const {
    return row_from(cache, from, j) * kHeadDim;
  }
};

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
