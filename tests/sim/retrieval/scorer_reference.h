#pragma once
// What retrieval scorers think of the keys of one KV head, from their definitions.

#include <cstdint>
#include <set>
#include <vector>

#include "kvsieve/sim/codebook.h"
#include "kvsieve/sim/retrieval_replay.h"
#include "kvsieve/traces/trace.h"
#include "sim/retrieval/scalar_attention.h"

namespace kvsieve::sim::tests {

/// Codes and clusters are found by brute force, given the centroids. Refers to layer and options,
/// which must outlive it.
class ScorerReference {
 public:
  /// @param codebook of the VQ scorers, null for the others
  ScorerReference(const traces::Trace& trace, const traces::TraceLayer& layer, std::int64_t kv_head,
                  const RetrievalOptions& options, const Codebook* codebook);

  /// [T][d] before RoPE, and rotated by their own positions.
  [[nodiscard]] const std::vector<Vector>& keys() const { return m_keys; }
  [[nodiscard]] const std::vector<Vector>& rotated_keys() const { return m_rotated_keys; }

  /// The scores of as many tokens as `far` has, for a query at position i before RoPE.
  /// @param near true scores @param far those at the constant distance of windowed RoPE
  [[nodiscard]] Vector scores(const Vector& q, const Vector& near, const Vector& far,
                              std::int64_t i) const;

 private:
  /// A set of rows and which of them every token has.
  struct Clusters {
    std::vector<Vector> centroids;
    std::vector<std::size_t> labels;
  };
  void encode(const Codebook& codebook);
  void build_index(const traces::Trace& trace);
  [[nodiscard]] Clusters cluster(std::size_t first, std::size_t width, std::int64_t clusters,
                                 std::int64_t prompt_tokens) const;
  void choose_channels(const traces::Trace& trace);

  const traces::TraceLayer& m_layer;
  const RetrievalOptions& m_options;
  std::int64_t m_kv_head;
  std::vector<Vector> m_keys;
  std::vector<Vector> m_rotated_keys;
  std::vector<Vector> m_codewords;
  std::vector<std::size_t> m_codes;
  std::vector<Clusters> m_parts;
  std::set<std::size_t> m_channels;
};

}  // namespace kvsieve::sim::tests
