#pragma once
// kmeans() on the device: Lloyd iterations over points that stay there.

#include <cstdint>

#include "a2ats/kmeans_seeds_device.h"
#include "exec/device/launch_config.h"
#include "exec/device/runtime.h"
#include "kvsieve/kernels/codebook_training.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

/// Points that share a count of members a cluster.
inline constexpr std::int64_t kMemberPoints = 1024;

/// A block a tile of points.
[[nodiscard]] LaunchConfig nearest_centroids_config(const DevicePoints& points);
/// Blocks that take doubtful points in turn, as many as a quarter of all points at most.
[[nodiscard]] LaunchConfig search_doubtful_config(const DevicePoints& points);
/// 16 lanes a point.
[[nodiscard]] LaunchConfig assign_points_config(const DevicePoints& points);
/// A thread a channel, a block a cluster.
[[nodiscard]] LaunchConfig move_centroids_config(const DevicePoints& points, std::int64_t clusters);

/// kmeans() of codebook_training.h: from the same centroids, the same labels, centroids, means and
/// counts bit for bit. Nearest centroids are screened in fp32; where the best two are
/// within the bound of key_encoding, all centroids are compared in double precision. Objective and
/// shift are added in another, fixed order. The host launches and waits for one small download an
/// iteration. `options.initial` is host memory. Bits depend on the arguments alone.
/// Throws what kmeans() throws, and Error(kUsage) for a head size without a kernel.
[[nodiscard]] KMeansResult kmeans(const DevicePoints& points, const KMeansOptions& options,
                                  Stream& stream);

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
