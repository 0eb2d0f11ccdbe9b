#pragma once
// The kernels of ragged_decode.h: the decode step over a cache in device memory.

#include <cstddef>
#include <cstdint>

#include "exec/device/launch_config.h"
#include "exec/device/runtime.h"
#include "kvsieve/kernels/ragged_decode.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

/// Shares if the caller does not say: four blocks for each multiprocessor of an H100. A multiple of
/// the device's multiprocessors is best, since all shares take equally long.
inline constexpr std::int64_t kDefaultDecodeShares = 4 * 132;

/// One block finds where segments start.
[[nodiscard]] LaunchConfig decode_starts_config();
/// A block a share. @param head_dim d @param group G
[[nodiscard]] LaunchConfig decode_shares_config(std::int64_t shares, std::int64_t head_dim,
                                                std::int64_t group);
/// A block a query head, a thread a number of its row.
[[nodiscard]] LaunchConfig decode_merge_config(std::int64_t segments, std::int64_t group,
                                               std::int64_t head_dim);

/// Bytes where segments start, and with the partial results of all parts.
[[nodiscard]] std::size_t decode_starts_bytes(std::int64_t segments);
[[nodiscard]] std::size_t decode_workspace_bytes(std::int64_t shares, std::int64_t segments,
                                                 std::int64_t group, std::int64_t head_dim);

/// Bytes of device memory that ragged_decode needs at `workspace`: where segments start and the
/// partial results of all parts. It does not depend on the lengths.
[[nodiscard]] std::size_t ragged_decode_workspace_bytes(const RaggedDecodeArgs& args);

/// Enqueues the decode step. Lengths are read on the device.
/// @param args queries aligned to 16 bytes
/// @param workspace aligned to 256 bytes
/// Throws Error(kUsage) for a d, G or dtype without a kernel.
void ragged_decode(const RaggedDecodeArgs& args, void* workspace, Stream& stream);

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
