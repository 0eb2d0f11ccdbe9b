#pragma once
// codebook_training.h on the device: moments of queries, whitening and k-means are kernels, the
// Cholesky factor is the host's (factorise).

#include <cstdint>

#include "a2ats/kmeans_device.h"
#include "a2ats/query_moment_device.h"
#include "exec/device/launch_config.h"
#include "exec/device/runtime.h"
#include "kvsieve/kernels/codebook_training.h"
#include "kvsieve/kernels/work.h"
#include "kvsieve/traces/dtype.h"

namespace kvsieve::kernels {

/// Work of whiten for N keys of `element_bytes` a number.
[[nodiscard]] constexpr Work whiten_work(std::int64_t keys, std::int64_t d,
                                         std::int64_t element_bytes) {
  return {keys * d * element_bytes + d * d * 4, keys * d * 4, 2 * keys * d * d};
}

}  // namespace kvsieve::kernels

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

/// One head's keys before RoPE, device memory.
struct TrainingKeys {
  const void* keys = nullptr;  ///< [N, stride] dtype, aligned to 16 bytes
  traces::DType dtype{};
  std::int64_t rows = 0;      ///< N
  std::int64_t head_dim = 0;  ///< d
  std::int64_t stride = 0;    ///< elements between rows, a multiple of 16 bytes
};

struct WhitenArgs {
  TrainingKeys keys;
  const float* cholesky = nullptr;  ///< [d, d] L, device memory
  float* z = nullptr;               ///< [N, d], out, device memory
};

/// A block 64 keys and 128 channels.
[[nodiscard]] LaunchConfig whiten_config(const WhitenArgs& args);
/// Enqueues z = k L in fp32, channels added in ascending order. Deterministic.
/// Throws Error(kUsage) for a head size or dtype without a kernel.
void whiten(const WhitenArgs& args, Stream& stream);

/// The sum [d, d] of one KV head that query_moment left on the device, for factorise(). Waits for
/// the stream.
[[nodiscard]] QueryMoment download_moment(const double* moment, std::int64_t head_dim,
                                          std::int64_t rows, Stream& stream);

/// train_codebook() of codebook_training.h: whitens and clusters on the device, solves c L = zeta
/// on the host.
[[nodiscard]] TrainedCodebook train_codebook(const TrainingKeys& keys, const CholeskyFactor& factor,
                                             const KMeansOptions& options, Stream& stream);

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
