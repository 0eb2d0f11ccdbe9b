#include "a2ats/kmeans_options.h"

#include <fmt/format.h>

#include "kvsieve/traces/error.h"

namespace kvsieve::kernels {
namespace {

constexpr std::int64_t kMaxClusters = 65536;  // codes are 16 bits wide

}  // namespace

void check_kmeans(const KMeansOptions& options, std::int64_t rows, std::int64_t cols) {
  if (options.clusters < 1 || options.clusters > kMaxClusters) {
    throw Error(ErrorKind::kUsage,
                fmt::format("codewords is {}, expected 1 to {}", options.clusters, kMaxClusters));
  }
  if (options.max_iterations < 1 || !(options.tolerance >= 0.0)) {
    throw Error(ErrorKind::kUsage,
                fmt::format("codebook training wants at least 1 iteration and a tolerance of 0 or "
                            "more, not {} and {}",
                            options.max_iterations, options.tolerance));
  }
  if (options.initial.data != nullptr &&
      (options.initial.rows != options.clusters || options.initial.cols != cols)) {
    throw Error(ErrorKind::kUsage,
                fmt::format("initial centroids are [{}, {}], expected [{}, {}]",
                            options.initial.rows, options.initial.cols, options.clusters, cols));
  }
  if (rows < 1) {
    throw Error(ErrorKind::kBadInput, "there are no calibration keys");
  }
}

}  // namespace kvsieve::kernels
