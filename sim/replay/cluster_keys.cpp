#include "replay/cluster_keys.h"

#include "kvsieve/kernels/codebook_training.h"

namespace kvsieve::sim {

HeadCodes cluster_keys(const FloatRows& keys, const IndexInput& input, std::int64_t clusters) {
  const std::int64_t prompt = input.trace.header().prompt_tokens;
  const kernels::KMeansResult found = kernels::kmeans(
      keys.view().rows_from(0, prompt), {.clusters = clusters,
                                         .max_iterations = input.options.max_iterations,
                                         .seed = input.options.seed});
  const kernels::CholeskyFactor identity = kernels::identity_factor(keys.cols);
  const std::vector<float> factor(identity.lower.begin(), identity.lower.end());
  return HeadCodes({.codewords = head_of(found.centroids, clusters, keys.cols),
                    .cholesky = head_of(factor, keys.cols, keys.cols)},
                   keys.head());
}

}  // namespace kvsieve::sim
