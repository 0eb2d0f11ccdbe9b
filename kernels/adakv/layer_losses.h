#pragma once
// The loss terms of one layer on the CPU, KV head by KV head.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kvsieve/kernels/eviction_engine.h"

namespace kvsieve::kernels {

/// Sums the loss terms of one layer. Selections that keep the same tokens of a KV head share
/// everything that is computed of it. Refers to what it is given. Parallel; bits do not depend on
/// the thread count, nor on which other selections are measured.
class LayerLosses {
 public:
  LayerLosses(const CapturedLayer& layer, const LossRequest& request);

  void add_head(std::int64_t kv_head, const HeadKeys& keys, const HeadValues& values);
  [[nodiscard]] LossTerms finish();

 private:
  /// Selections that agree in one KV head: the kept tokens of the head, or of each member.
  struct Decision {
    std::vector<std::size_t> selections;  ///< at least one
    std::size_t first_list = 0;           ///< into m_kept_lists: one list, or one a member
  };

  [[nodiscard]] std::int64_t queries() const { return m_request.queries.count; }
  [[nodiscard]] std::int64_t units_of(std::size_t selection) const {
    return static_cast<std::int64_t>(m_request.selections[selection]->size());
  }
  [[nodiscard]] bool by_kv_head(std::size_t selection) const {
    return units_of(selection) == m_layer.kv_heads();
  }
  /// The lists of the present KV head: one, or one a member.
  [[nodiscard]] std::span<const std::vector<std::int32_t>> lists(std::size_t selection) const;
  [[nodiscard]] bool precedes(std::size_t a, std::size_t b) const;

  void collect_decisions();
  void copy_masses();
  void add_outputs();
  void add_differences(const Decision& decision, std::size_t number, std::int64_t first,
                       std::int64_t rows);
  [[nodiscard]] float* difference(std::size_t selection, std::int64_t row) {
    return m_difference.data() +
           (static_cast<std::int64_t>(selection) * queries() + row) * m_stride;
  }

  const CapturedLayer& m_layer;
  const LossRequest& m_request;
  std::span<const std::int32_t> m_positions;
  std::int64_t m_stride;  // D padded as the projection wants it
  std::int64_t m_kv_head = 0;
  std::vector<float> m_output;      // y [R, stride]
  std::vector<float> m_difference;  // y - y^ [S, R, stride]
  LossTerms m_terms;
  std::vector<float> m_queries;
  std::vector<std::size_t> m_order;  // selections, those that agree side by side
  std::vector<Decision> m_decisions;
  std::vector<std::vector<std::int32_t>> m_kept_lists;
  std::vector<std::span<const std::int32_t>> m_kept_views;
  HeadLoss m_head_loss;
  std::vector<PackedMatrix> m_projections;  // [G]
};

}  // namespace kvsieve::kernels
