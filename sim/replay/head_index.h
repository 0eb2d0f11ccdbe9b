#pragma once
// What ranks the tokens of one KV head: its decode queries and the index over its keys.

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "kvsieve/kernels/head_tensors.h"
#include "kvsieve/kernels/matrix_view.h"
#include "replay/head_codes.h"
#include "replay/score_source.h"

namespace kvsieve::sim {

/// Queries and index of one KV head. Stays where it is: the source views the codes.
class HeadIndex {
 public:
  /// @param codes of the head's tokens; nothing unless the scorer works with a codebook
  HeadIndex(const traces::Trace& trace, const traces::TraceLayer& layer, std::int64_t kv_head,
            const kernels::RopePhases& phases, const RetrievalOptions& options,
            std::optional<HeadCodes> codes);
  HeadIndex(const HeadIndex&) = delete;
  HeadIndex& operator=(const HeadIndex&) = delete;

  [[nodiscard]] const HeadCodes* codes() const { return m_codes ? &*m_codes : nullptr; }
  [[nodiscard]] const ScoreSource& source() const { return *m_source; }
  /// Decode queries [G * m, d], member by member, rotated to their positions.
  [[nodiscard]] kernels::MatrixView<const float> near_queries() const {
    return {m_near_queries.data(), m_rows, m_head_dim};
  }
  /// The same rotated by the constant distance.
  [[nodiscard]] kernels::MatrixView<const float> far_queries() const {
    return {m_far_queries.data(), m_rows, m_head_dim};
  }

 private:
  std::int64_t m_rows;
  std::int64_t m_head_dim;
  std::optional<HeadCodes> m_codes;
  std::vector<float> m_near_queries;
  std::vector<float> m_far_queries;
  std::unique_ptr<ScoreSource> m_source;
};

}  // namespace kvsieve::sim
