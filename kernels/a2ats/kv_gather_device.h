#pragma once
// The kernels of kv_gather.h: rows from pinned host memory to device memory, and the hot buffer.

#include <cstddef>
#include <cstdint>

#include "a2ats/topk_retrieval_device.h"
#include "exec/device/launch_config.h"
#include "exec/device/runtime.h"
#include "kvsieve/kernels/kv_gather.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

struct GatherRowsArgs {
  KvRows source;  ///< pinned host memory
  std::int64_t segments = 0;
  TokenLists lists;        ///< the rows of each segment; of a list that was cut, what is there
  void* target = nullptr;  ///< [S, capacity, 2, d] device memory; row i is the i-th of the list
};

// Three ways to the same bytes.

[[nodiscard]] LaunchConfig gather_rows_config(const GatherRowsArgs& args);
/// Zero-copy: every lane loads 16 bytes over the bus, neighbouring lanes neighbouring ones. Lists
/// in device memory. Throws Error(kUsage) for rows that are no multiple of 16 bytes.
void gather_rows(const GatherRowsArgs& args, Stream& stream);

/// A batch of copies, one a run of consecutive tokens. Lists in host memory, read at once.
void gather_rows_by_copies(const GatherRowsArgs& args, Stream& stream);

/// The host's threads gather at once, then one copy a segment. Lists in host memory.
/// @param staging [S, capacity, 2, d] pinned host memory that the stream no longer reads; it must
/// stay unchanged until the stream is synchronised
void gather_rows_by_staging(const GatherRowsArgs& args, void* staging, Stream& stream);

/// The hot buffers of S segments in device memory, N slots each. Make it with
/// hot_buffer_state_bytes() and reset_hot_buffers().
struct HotBuffersArgs {
  KvRows source;  ///< pinned host memory
  std::int64_t segments = 0;
  std::int64_t slots = 0;   ///< N
  std::int64_t tokens = 0;  ///< that may ever be wanted
  HotPolicy policy = HotPolicy::kLru;
  void* state = nullptr;  ///< hot_buffer_state_bytes() of device memory, aligned to 256
  void* pool = nullptr;   ///< [S, N + bypass_rows, 2, d] device memory: slots, then bypass rows
  std::int64_t bypass_rows = 0;    ///< >= the largest list, so that every miss has a place
  TokenLists wanted;               ///< device memory
  std::int32_t* rows = nullptr;    ///< [S, capacity] out: where in the segment's pool each token is
  std::int32_t* misses = nullptr;  ///< [S] out: rows that were fetched
  std::int32_t* bypassed = nullptr;  ///< [S] out: of these, how many were not kept
};
/// It depends on segments, slots, tokens, policy and wanted.capacity, which stay the same from
/// reset_hot_buffers() on.
[[nodiscard]] std::size_t hot_buffer_state_bytes(const HotBuffersArgs& args);
/// Empties the buffers.
void reset_hot_buffers(const HotBuffersArgs& args, Stream& stream);
[[nodiscard]] LaunchConfig serve_hot_buffers_config(const HotBuffersArgs& args);
/// HotBuffer::serve for every segment, exactly, fetching only misses: hit test, eviction and
/// zero-copy fetch without the host.
void serve_hot_buffers(const HotBuffersArgs& args, Stream& stream);

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
