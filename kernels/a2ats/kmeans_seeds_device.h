#pragma once
// Starting points of k-means on the device.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>

#include "exec/device/launch_config.h"
#include "exec/device/runtime.h"
#include "kvsieve/kernels/codebook_training.h"
#include "kvsieve/kernels/work.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

/// Points that a block sums, as the CPU backend cuts them.
inline constexpr std::int64_t kSeedPoints = 1024;

/// Work of choosing C seeds among M candidates, the first of which is given. A draw follows from
/// the one before: its seed is read and every point, the point's distance is lowered (the first
/// draw only writes it), and the distances of a block are drawn from.
[[nodiscard]] constexpr Work kmeans_seeds_work(std::int64_t candidates, std::int64_t clusters,
                                               std::int64_t d) {
  const std::int64_t draws = clusters - 1;
  const std::int64_t lowered = std::max<std::int64_t>(draws - 1, 0) * candidates;
  const std::int64_t drawn_from = draws * std::min(candidates, kSeedPoints);
  return {(draws * (candidates * d + 1) + lowered + drawn_from) * 4, draws * (candidates + 1) * 4,
          3 * draws * candidates * d};
}

/// Points in device memory.
struct DevicePoints {
  const float* data = nullptr;  ///< [N, stride], aligned to 16 bytes
  std::int64_t rows = 0;        ///< N, 1 to 2^31 - 1
  std::int64_t head_dim = 0;    ///< d
  std::int64_t stride = 0;      ///< >= d, a multiple of 4
};

struct SeedsArgs {
  DevicePoints points;
  std::int64_t clusters = 0;  ///< C
  std::uint64_t seed = 0;
  KMeansSeeding seeding = KMeansSeeding::kPlusPlus;
  std::int32_t* seeds = nullptr;  ///< [C] out: rows of points
};

/// Points among which seeds are drawn: N, or 4 C of them.
[[nodiscard]] std::int64_t seed_candidates(const SeedsArgs& args);

/// A block kSeedPoints points.
[[nodiscard]] LaunchConfig seed_distances_config(const SeedsArgs& args);

/// Enqueues the draws and waits for them: distinct points first, as KMeansSeeding says, then the
/// first one again. Random numbers come from CounterRandom(seed): those of a sample, then one a
/// seed, which is the point at that share of the cumulated squared distances in fp32. (The CPU
/// backend draws by bounds and so takes other numbers.) Deterministic. `pause`, unless empty, is
/// called now and then and may throw.
/// Throws Error(kUsage) for a head size without a kernel.
void choose_seeds(const SeedsArgs& args, Stream& stream, const std::function<void()>& pause);

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
