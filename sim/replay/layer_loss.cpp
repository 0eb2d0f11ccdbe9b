#include "replay/layer_loss.h"

#include <algorithm>

#include "kvsieve/kernels/eviction_loss.h"

namespace kvsieve::sim {
namespace {

// Queries measured together: bounds the [queries, D] sums whatever the number of decode steps.
constexpr std::int64_t kQueriesPerChunk = 256;
// Sums of so many bytes are measured together, of several selections: attention is computed again
// for the others.
constexpr std::int64_t kBytesPerChunk = std::int64_t{256} << 20U;
constexpr std::int64_t kFewestSelections = 8;

/// Turns the loss terms of a chunk of queries into figures.
class ChunkFigures {
 public:
  ChunkFigures(const traces::ModelShape& model, const ValueNorms* norms,
               std::span<const std::int32_t> positions, const kernels::LossTerms& terms)
      : m_model(model), m_positions(positions), m_terms(terms) {
    for (std::int64_t head = 0; norms != nullptr && head < model.q_heads; ++head) {
      m_head_constant.push_back(norms->largest(head));
      m_constant = std::max(m_constant, m_head_constant.back());
    }
  }

  /// Appends the chunk's queries to `loss` and adds to its units.
  void add(std::int64_t selection, Granularity granularity, SelectionLoss& loss) const {
    const auto s = static_cast<std::size_t>(selection);
    const std::size_t base = loss.queries.size();
    for (std::size_t r = 0; r < m_positions.size(); ++r) {
      QueryLoss& query = loss.queries.emplace_back();
      query.position = m_positions[r];
      if (!m_terms.layer_l1.empty()) {
        query.output_l1 = m_terms.output_l1[r];
        query.l1_loss = m_terms.layer_l1[s][r];
      }
    }
    const std::int64_t members = granularity == Granularity::kKvHead ? m_model.group() : 1;
    for (std::int64_t head = 0; head < m_model.q_heads; ++head) {
      add_head(selection, head, std::span(loss.queries).subspan(base), static_cast<double>(members),
               loss.units[static_cast<std::size_t>(head / members)]);
    }
    for (std::size_t r = 0; r < m_positions.size(); ++r) {
      loss.queries[base + r].evicted_mass /= static_cast<double>(m_model.q_heads);
    }
    for (std::size_t unit = 0; unit < loss.units.size() && !m_terms.unit_l1.empty(); ++unit) {
      for (std::size_t r = 0; r < m_positions.size(); ++r) {
        loss.units[unit].l1_loss += m_terms.unit_l1[s][unit * m_positions.size() + r];
      }
    }
  }

 private:
  void add_head(std::int64_t selection, std::int64_t head, std::span<QueryLoss> queries,
                double members, SelectionLoss::Unit& unit) const {
    for (std::size_t r = 0; r < queries.size(); ++r) {
      const auto row = static_cast<std::int64_t>(r);
      const double mass = m_terms.retained_mass.at(selection, head, row);
      // fp32 sums of weights may pass 1 by a rounding error.
      const double evicted = std::max(0.0, 1.0 - mass);
      QueryLoss& query = queries[r];
      query.evicted_mass += evicted;
      unit.evicted_mass += evicted / members;
      if (!m_head_constant.empty()) {
        query.bounds.eps += 2.0 * m_constant * evicted;
        query.bounds.head += 2.0 * m_head_constant[static_cast<std::size_t>(head)] * evicted;
        query.bounds.theta += kernels::loss_bound_theta(mass, m_terms.total_norm.at(0, head, row),
                                                        m_terms.kept_norm.at(selection, head, row));
      }
    }
  }

  const traces::ModelShape& m_model;
  std::span<const std::int32_t> m_positions;
  const kernels::LossTerms& m_terms;
  std::vector<double> m_head_constant;  // C_i
  double m_constant = 0.0;              // C
};

}  // namespace

double ValueNorms::largest(std::int64_t head) const {
  const auto row = rows(head, 1).row(0);
  return *std::max_element(row.begin(), row.end());
}

ValueNorms layer_value_norms(const traces::TraceHeader& header, kernels::EvictionEngine& engine) {
  ValueNorms norms{header.model.q_heads, header.total_tokens(), {}};
  norms.data.resize(static_cast<std::size_t>(norms.heads * norms.tokens));
  engine.value_norms({norms.data.data(), norms.heads, norms.tokens});
  return norms;
}

std::vector<SelectionLoss> measure_layer(const traces::Trace& trace,
                                         std::span<const Selection> selections,
                                         const ValueNorms* norms, bool projected,
                                         std::int64_t first_query, std::int64_t count,
                                         kernels::EvictionEngine& engine) {
  const traces::ModelShape& model = trace.header().model;
  std::vector<SelectionLoss> losses(selections.size());
  std::vector<const kernels::KeptTokens*> kept;
  for (std::size_t s = 0; s < selections.size(); ++s) {
    losses[s].units.resize(selections[s].kept.size());
    losses[s].queries.reserve(static_cast<std::size_t>(count));
    kept.push_back(&selections[s].kept);
  }
  const std::int64_t bytes = std::min(count, kQueriesPerChunk) *
                             std::max(model.width, model.q_heads * 2) *
                             static_cast<std::int64_t>(sizeof(float));
  const auto at_once = static_cast<std::size_t>(
      std::max(kFewestSelections, kBytesPerChunk / std::max<std::int64_t>(1, bytes)));
  for (std::int64_t first = 0; first < count; first += kQueriesPerChunk) {
    const kernels::QueryRange range{first_query + first, std::min(kQueriesPerChunk, count - first)};
    for (std::size_t begin = 0; begin < selections.size(); begin += at_once) {
      const std::size_t some = std::min(at_once, selections.size() - begin);
      kernels::LossRequest request{range, std::span(kept).subspan(begin, some), {}, projected};
      if (norms != nullptr) {
        request.norms = norms->rows(0, norms->heads);
      }
      const kernels::LossTerms terms = engine.losses(request);
      const ChunkFigures figures(
          model, norms,
          trace.query_positions().subspan(static_cast<std::size_t>(range.first),
                                          static_cast<std::size_t>(range.count)),
          terms);
      for (std::size_t s = 0; s < some; ++s) {
        figures.add(static_cast<std::int64_t>(s), selections[begin + s].granularity,
                    losses[begin + s]);
      }
    }
  }
  for (SelectionLoss& loss : losses) {
    for (SelectionLoss::Unit& unit : loss.units) {
      unit.evicted_mass /= static_cast<double>(std::max<std::int64_t>(1, count));
      unit.l1_loss /= static_cast<double>(std::max<std::int64_t>(1, count));
    }
  }
  return losses;
}

}  // namespace kvsieve::sim
