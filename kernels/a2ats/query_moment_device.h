#pragma once
// QueryMoment on the device: second moments of a layer's queries.

#include <cstddef>
#include <cstdint>

#include "exec/device/launch_config.h"
#include "exec/device/runtime.h"
#include "kvsieve/kernels/work.h"
#include "kvsieve/traces/dtype.h"

namespace kvsieve::kernels {

/// Work of query_moment for `rows` query rows of all heads together; the moments are read, too.
[[nodiscard]] constexpr Work query_moment_work(std::int64_t rows, std::int64_t kv_heads,
                                               std::int64_t d, std::int64_t element_bytes) {
  const std::int64_t moments = kv_heads * d * d * 8;
  return {rows * d * element_bytes + moments, moments, 2 * rows * d * d};
}

}  // namespace kvsieve::kernels

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

/// Queries of a layer, rotated by the constant distance. All pointers are device memory.
struct QueryMomentArgs {
  const void* queries = nullptr;  ///< [Hq, R, d] dtype, aligned to 16 bytes
  traces::DType dtype{};
  std::int64_t kv_heads = 0;     ///< Hkv
  std::int64_t group = 0;        ///< G; Hq = Hkv G, query head h adds to KV head h / G
  std::int64_t rows = 0;         ///< R
  std::int64_t head_dim = 0;     ///< d
  std::int64_t head_stride = 0;  ///< elements between heads, a multiple of 16 bytes
  std::int64_t row_stride = 0;   ///< elements between rows, a multiple of 16 bytes
  double* moments = nullptr;     ///< [Hkv, d, d] in and out: q^T q is added
  void* workspace = nullptr;     ///< query_moment_workspace_bytes, aligned to 16 bytes
};

[[nodiscard]] std::size_t query_moment_workspace_bytes(const QueryMomentArgs& args);

/// A block a tile of the moment and a share of the rows.
[[nodiscard]] LaunchConfig moment_shares_config(const QueryMomentArgs& args);
/// A thread an element of a tile.
[[nodiscard]] LaunchConfig add_shares_config(const QueryMomentArgs& args);

/// Enqueues moments[g] += sum of q^T q over the rows of a KV head's group, symmetric. Products are
/// exact and sums in double precision, in an order that the shape alone decides: deterministic,
/// additive over calls up to the rounding of double precision.
/// Throws Error(kUsage) for a head size, group or dtype without a kernel, or strides off the
/// 16-byte grid.
void query_moment(const QueryMomentArgs& args, Stream& stream);

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
