#include "replay/layer_loss.h"

#include <algorithm>

#include "kvsieve/kernels/dense_attention.h"
#include "kvsieve/kernels/eviction_loss.h"
#include "replay/phase_cache.h"

namespace kvsieve::sim {
namespace {

using kernels::HeadSlice;
using kernels::MatrixView;

// Queries measured together: bounds the [queries, D] sums whatever the number of decode steps.
constexpr std::int64_t kQueriesPerChunk = 256;

double abs_sum(std::span<const float> values) {
  double sum = 0.0;
  for (const float value : values) {
    sum += std::abs(static_cast<double>(value));
  }
  return sum;
}

void add(MatrixView<const float> x, MatrixView<float> y) {
  for (std::int64_t r = 0; r < x.rows; ++r) {
    for (std::size_t t = 0; t < x.row(r).size(); ++t) {
      y.row(r)[t] += x.row(r)[t];
    }
  }
}

/// Rows [queries, D] of sums, padded as the projection wants them.
class OutputRows {
 public:
  OutputRows(std::int64_t queries, std::int64_t width)
      : m_queries(queries), m_width(width), m_stride((width + 15) / 16 * 16) {
    m_data.assign(static_cast<std::size_t>(m_queries * m_stride), 0.0F);
  }
  void clear() { std::fill(m_data.begin(), m_data.end(), 0.0F); }
  [[nodiscard]] MatrixView<float> view() { return {m_data.data(), m_queries, m_width, m_stride}; }

 private:
  std::int64_t m_queries;
  std::int64_t m_width;
  std::int64_t m_stride;
  std::vector<float> m_data;
};

/// Sums the losses of one chunk of queries head by head.
class ChunkLoss {
 public:
  ChunkLoss(const traces::Trace& trace, const traces::TraceLayer& layer,
            std::span<const Selection> selections, const ValueNorms* norms, std::int64_t first,
            std::int64_t count, std::span<SelectionLoss> losses)
      : m_trace(trace),
        m_layer(layer),
        m_model(trace.header().model),
        m_selections(selections),
        m_norms(norms),
        m_first(first),
        m_positions(trace.query_positions().subspan(static_cast<std::size_t>(first),
                                                    static_cast<std::size_t>(count))),
        m_losses(losses),
        m_output(count, m_model.width),
        m_difference(selections.size(), OutputRows(count, m_model.width)),
        m_projected(m_difference) {
    for (SelectionLoss& loss : losses) {
      m_query_base = loss.queries.size();
      loss.queries.resize(m_query_base + static_cast<std::size_t>(count));
    }
    for (std::int64_t head = 0; norms != nullptr && head < m_model.q_heads; ++head) {
      m_head_constant.push_back(norms->largest(head));
    }
  }

  void add_head(std::int64_t kv_head, const kernels::HeadKeys& keys,
                const kernels::HeadValues& values, const kernels::RopePhases& phases) {
    const std::int64_t group = m_model.group();
    load_group_queries(m_layer.q, kv_head, group, m_first, m_positions, phases, m_queries);
    collect_kept(kv_head);
    kernels::HeadLossProblem problem;
    problem.queries = {m_queries.data(), group * queries(), m_model.head_dim};
    problem.positions = m_positions;
    problem.keys = &keys;
    problem.values = &values;
    problem.attention = m_layer.spec.attention;
    problem.kept = m_kept_views;
    problem.selections = static_cast<std::int64_t>(m_selections.size());
    if (m_norms != nullptr) {
      problem.norms = m_norms->rows(kv_head * group, group);
    }
    kernels::eviction_loss(problem, m_head_loss);
    add_masses(kv_head);
    add_projections(kv_head);
  }

  void finish() {
    for (std::int64_t r = 0; r < queries(); ++r) {
      const double output = abs_sum(m_output.view().row(r));
      for (std::size_t s = 0; s < m_selections.size(); ++s) {
        QueryLoss& query = query_loss(s, r);
        query.position = m_positions[static_cast<std::size_t>(r)];
        query.output_l1 = output;
        query.l1_loss = abs_sum(m_difference[s].view().row(r));
        query.evicted_mass /= static_cast<double>(m_model.q_heads);
      }
    }
  }

 private:
  [[nodiscard]] std::int64_t queries() const {
    return static_cast<std::int64_t>(m_positions.size());
  }
  [[nodiscard]] QueryLoss& query_loss(std::size_t selection, std::int64_t r) {
    return m_losses[selection].queries[m_query_base + static_cast<std::size_t>(r)];
  }
  [[nodiscard]] std::size_t unit_of(const Selection& selection, std::int64_t kv_head,
                                    std::int64_t member) const {
    return static_cast<std::size_t>(selection.granularity == Granularity::kKvHead
                                        ? kv_head
                                        : kv_head * m_model.group() + member);
  }

  /// A unit that evicts nothing loses exactly nothing, whatever rounding would say.
  [[nodiscard]] bool keeps_all(const Selection& selection, std::size_t unit) const {
    return static_cast<std::int64_t>(selection.kept[unit].size()) == m_trace.header().prompt_tokens;
  }

  /// Kept prompt tokens plus all decoded ones, per selection and member.
  void collect_kept(std::int64_t kv_head) {
    const traces::TraceHeader& header = m_trace.header();
    m_kept_lists.clear();
    m_kept_views.clear();
    for (const Selection& selection : m_selections) {
      for (std::int64_t member = 0; member < m_model.group(); ++member) {
        std::vector<std::int32_t> tokens = selection.kept[unit_of(selection, kv_head, member)];
        for (std::int64_t j = header.prompt_tokens; j < header.total_tokens(); ++j) {
          tokens.push_back(static_cast<std::int32_t>(j));
        }
        m_kept_lists.push_back(std::move(tokens));
      }
    }
    m_kept_views.assign(m_kept_lists.begin(), m_kept_lists.end());
  }

  void add_masses(std::int64_t kv_head) {
    const std::int64_t group = m_model.group();
    const double largest = m_head_constant.empty()
                               ? 0.0
                               : *std::max_element(m_head_constant.begin(), m_head_constant.end());
    for (std::size_t s = 0; s < m_selections.size(); ++s) {
      const auto selection = static_cast<std::int64_t>(s);
      for (std::int64_t member = 0; member < group; ++member) {
        const std::int64_t head = kv_head * group + member;
        const std::size_t unit = unit_of(m_selections[s], kv_head, member);
        if (keeps_all(m_selections[s], unit)) {
          continue;
        }
        const double members =
            m_selections[s].granularity == Granularity::kKvHead ? static_cast<double>(group) : 1.0;
        for (std::int64_t r = 0; r < queries(); ++r) {
          const double mass = m_head_loss.retained_mass.at(selection, member, r);
          // fp32 sums of weights may pass 1 by a rounding error.
          const double evicted = std::max(0.0, 1.0 - mass);
          QueryLoss& query = query_loss(s, r);
          query.evicted_mass += evicted;
          m_losses[s].units[unit].evicted_mass += evicted / members;
          if (!m_head_constant.empty()) {
            query.bounds.eps += 2.0 * largest * evicted;
            query.bounds.head += 2.0 * m_head_constant[static_cast<std::size_t>(head)] * evicted;
            query.bounds.theta +=
                kernels::loss_bound_theta(mass, m_head_loss.total_norm.at(0, member, r),
                                          m_head_loss.kept_norm.at(selection, member, r));
          }
        }
      }
    }
  }

  void add_projections(std::int64_t kv_head) {
    const std::int64_t group = m_model.group();
    for (std::int64_t member = 0; member < group; ++member) {
      m_projection.pack(HeadSlice(m_layer.wo, kv_head * group + member));
      kernels::project(m_head_loss.output.matrix(member), m_projection, m_output.view());
      for (std::size_t s = 0; s < m_selections.size(); ++s) {
        const std::size_t unit = unit_of(m_selections[s], kv_head, member);
        if (keeps_all(m_selections[s], unit)) {
          continue;
        }
        const bool first = member == 0 || m_selections[s].granularity == Granularity::kQueryHead;
        if (first) {
          m_projected[s].clear();
        }
        kernels::project(
            m_head_loss.difference.matrix(static_cast<std::int64_t>(s) * group + member),
            m_projection, m_projected[s].view());
        const bool last =
            member == group - 1 || m_selections[s].granularity == Granularity::kQueryHead;
        if (last) {
          finish_unit(s, unit);
        }
      }
    }
  }

  void finish_unit(std::size_t selection, std::size_t unit) {
    const MatrixView<float> rows = m_projected[selection].view();
    for (std::int64_t r = 0; r < queries(); ++r) {
      m_losses[selection].units[unit].l1_loss += abs_sum(rows.row(r));
    }
    add(rows, m_difference[selection].view());
  }

  const traces::Trace& m_trace;
  const traces::TraceLayer& m_layer;
  const traces::ModelShape& m_model;
  std::span<const Selection> m_selections;
  const ValueNorms* m_norms;
  std::int64_t m_first;
  std::span<const std::int32_t> m_positions;
  std::span<SelectionLoss> m_losses;
  std::size_t m_query_base = 0;
  std::vector<double> m_head_constant;   // C_i
  OutputRows m_output;                   // y
  std::vector<OutputRows> m_difference;  // y - y^ per selection
  std::vector<OutputRows> m_projected;   // the same of the current unit
  std::vector<float> m_queries;
  std::vector<std::vector<std::int32_t>> m_kept_lists;
  std::vector<std::span<const std::int32_t>> m_kept_views;
  kernels::HeadLoss m_head_loss;
  kernels::PackedMatrix m_projection;
};

}  // namespace

double ValueNorms::largest(std::int64_t head) const {
  const auto row = rows(head, 1).row(0);
  return *std::max_element(row.begin(), row.end());
}

ValueNorms layer_value_norms(const traces::Trace& trace, const traces::TraceLayer& layer) {
  const traces::TraceHeader& header = trace.header();
  ValueNorms norms{header.model.q_heads, header.total_tokens(), {}};
  norms.data.resize(static_cast<std::size_t>(norms.heads * norms.tokens));
  kernels::PackedMatrix projection;
  for (std::int64_t head = 0; head < norms.heads; ++head) {
    projection.pack(HeadSlice(layer.wo, head));
    kernels::value_norms(
        HeadSlice(layer.v, head / header.model.group()), projection,
        {norms.data.data() + head * norms.tokens, static_cast<std::size_t>(norms.tokens)});
  }
  return norms;
}

std::vector<SelectionLoss> measure_layer(const traces::Trace& trace,
                                         const traces::TraceLayer& layer,
                                         const kernels::RopePhases& phases,
                                         std::span<const Selection> selections,
                                         const ValueNorms* norms, std::int64_t first_query,
                                         std::int64_t count) {
  std::vector<SelectionLoss> losses(selections.size());
  for (std::size_t s = 0; s < selections.size(); ++s) {
    losses[s].units.resize(selections[s].kept.size());
  }
  kernels::HeadKeys keys;
  kernels::HeadValues values;
  for (std::int64_t first = 0; first < count; first += kQueriesPerChunk) {
    ChunkLoss chunk(trace, layer, selections, norms, first_query + first,
                    std::min(kQueriesPerChunk, count - first), losses);
    for (std::int64_t kv_head = 0; kv_head < trace.header().model.kv_heads; ++kv_head) {
      keys.load(HeadSlice(layer.k, kv_head), &phases);
      values.load(HeadSlice(layer.v, kv_head));
      chunk.add_head(kv_head, keys, values, phases);
    }
    chunk.finish();
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
