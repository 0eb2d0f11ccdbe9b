#include "replay/head_index.h"

#include "kvsieve/kernels/windowed_rope.h"

namespace kvsieve::sim {

HeadIndex::HeadIndex(const traces::Trace& trace, const traces::TraceLayer& layer,
                     std::int64_t kv_head, const kernels::RopePhases& phases,
                     const RetrievalOptions& options, std::optional<HeadCodes> codes)
    : m_rows(trace.header().model.group() * trace.header().decode_tokens),
      m_head_dim(trace.header().model.head_dim),
      m_codes(std::move(codes)) {
  const std::int64_t group = trace.header().model.group();
  const std::int64_t steps = trace.header().decode_tokens;
  kernels::load_group_queries(layer.q, kv_head, group, trace.prompt_queries(),
                              trace.query_positions().last(static_cast<std::size_t>(steps)), phases,
                              m_near_queries);
  m_far_queries.resize(m_near_queries.size());
  for (std::int64_t member = 0; member < group; ++member) {
    kernels::load_rows(kernels::HeadSlice(layer.q, kv_head * group + member),
                       trace.prompt_queries(),
                       {m_far_queries.data() + member * steps * m_head_dim, steps, m_head_dim});
  }
  kernels::rotate_to_distance(phases.table(), options.distance,
                              {m_far_queries.data(), m_rows, m_head_dim});
  m_source = make_score_source({trace, layer, kv_head, phases, options, this->codes()});
}

}  // namespace kvsieve::sim
