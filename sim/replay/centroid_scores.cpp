#include "replay/centroid_scores.h"

#include "kvsieve/sim/codebook.h"
#include "replay/cluster_keys.h"
#include "replay/code_scores.h"

namespace kvsieve::sim {
namespace {

std::int64_t clusters_of(const IndexInput& input) {
  return input.options.codewords > 0 ? input.options.codewords
                                     : auto_codewords(input.trace.header().prompt_tokens);
}

}  // namespace

CentroidScores::CentroidScores(const IndexInput& input)
    : m_element_bytes(input.element_bytes()),
      m_attention(input.layer.spec.attention),
      m_clusters(cluster_keys(input.rotated_keys(), input, clusters_of(input))) {}

kernels::MatrixView<const float> CentroidScores::scores(
    const QueryBlock& block, std::span<const kernels::TokenRange> eligible,
    ScoreScratch& scratch) const {
  return code_scores(block.near_queries, m_clusters, m_attention, eligible, block.near.cols,
                     scratch);
}

IndexBytes CentroidScores::index_bytes() const {
  return code_index_bytes(m_clusters.codewords.tokens(), m_clusters.codewords.head_dim(),
                          m_element_bytes);
}

}  // namespace kvsieve::sim
