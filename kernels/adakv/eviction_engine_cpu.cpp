#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "kvsieve/kernels/dense_attention.h"
#include "kvsieve/kernels/eviction_engine.h"
#include "kvsieve/kernels/token_selection.h"

namespace kvsieve::kernels {
namespace {

double abs_sum(std::span<const float> values) {
  double sum = 0.0;
  for (const float value : values) {
    sum += std::abs(static_cast<double>(value));
  }
  return sum;
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

/// Sums the loss terms of one layer KV head by KV head.
class LayerLoss {
 public:
  LayerLoss(const CapturedLayer& layer, const LossRequest& request)
      : m_layer(layer),
        m_request(request),
        m_positions(layer.query_positions.subspan(static_cast<std::size_t>(request.queries.first),
                                                  static_cast<std::size_t>(request.queries.count))),
        m_output(request.queries.count, layer.width()),
        m_difference(request.selections.size(), OutputRows(request.queries.count, layer.width())),
        m_projected(m_difference) {
    const auto selections = static_cast<std::int64_t>(request.selections.size());
    m_terms.retained_mass.resize(selections, layer.q_heads(), queries());
    m_terms.kept_norm.resize(selections, layer.q_heads(), queries());
    m_terms.total_norm.resize(1, layer.q_heads(), queries());
    for (const KeptTokens* kept : request.selections) {
      m_terms.unit_l1.emplace_back(kept->size() * m_positions.size(), 0.0);
      m_terms.layer_l1.emplace_back(m_positions.size(), 0.0);
    }
  }

  void add_head(std::int64_t kv_head, const HeadKeys& keys, const HeadValues& values) {
    load_group_queries(m_layer.q, kv_head, m_layer.group(), m_request.queries.first, m_positions,
                       *m_layer.phases, m_queries);
    collect_kept(kv_head);
    HeadLossProblem problem;
    problem.queries = {m_queries.data(), m_layer.group() * queries(), m_layer.head_dim()};
    problem.positions = m_positions;
    problem.keys = &keys;
    problem.values = &values;
    problem.attention = m_layer.attention;
    problem.kept = m_kept_views;
    problem.selections = static_cast<std::int64_t>(m_request.selections.size());
    if (m_request.norms.rows > 0) {
      problem.norms = m_request.norms.rows_from(kv_head * m_layer.group(), m_layer.group());
    }
    eviction_loss(problem, m_head_loss);
    copy_masses(kv_head);
    add_projections(kv_head);
  }

  LossTerms finish() {
    for (std::int64_t r = 0; r < queries(); ++r) {
      m_terms.output_l1.push_back(abs_sum(m_output.view().row(r)));
      for (std::size_t s = 0; s < m_difference.size(); ++s) {
        m_terms.layer_l1[s][static_cast<std::size_t>(r)] = abs_sum(m_difference[s].view().row(r));
      }
    }
    return std::move(m_terms);
  }

 private:
  [[nodiscard]] std::int64_t queries() const { return m_request.queries.count; }
  [[nodiscard]] bool by_kv_head(std::size_t selection) const {
    return static_cast<std::int64_t>(m_request.selections[selection]->size()) == m_layer.kv_heads();
  }
  [[nodiscard]] std::size_t unit_of(std::size_t selection, std::int64_t kv_head,
                                    std::int64_t member) const {
    return static_cast<std::size_t>(by_kv_head(selection) ? kv_head
                                                          : kv_head * m_layer.group() + member);
  }
  [[nodiscard]] const std::vector<std::int32_t>& kept(std::size_t selection,
                                                      std::size_t unit) const {
    return (*m_request.selections[selection])[unit];
  }

  /// Kept prompt tokens plus all decoded ones, per selection and member.
  void collect_kept(std::int64_t kv_head) {
    m_kept_lists.clear();
    m_kept_views.clear();
    for (std::size_t s = 0; s < m_request.selections.size(); ++s) {
      for (std::int64_t member = 0; member < m_layer.group(); ++member) {
        std::vector<std::int32_t> tokens = kept(s, unit_of(s, kv_head, member));
        for (std::int64_t j = m_layer.prompt_tokens; j < m_layer.tokens(); ++j) {
          tokens.push_back(static_cast<std::int32_t>(j));
        }
        m_kept_lists.push_back(std::move(tokens));
      }
    }
    m_kept_views.assign(m_kept_lists.begin(), m_kept_lists.end());
  }

  void copy_masses(std::int64_t kv_head) {
    for (std::int64_t member = 0; member < m_layer.group(); ++member) {
      const std::int64_t head = kv_head * m_layer.group() + member;
      for (std::int64_t r = 0; r < queries(); ++r) {
        m_terms.total_norm.at(0, head, r) = m_head_loss.total_norm.at(0, member, r);
        for (std::int64_t s = 0; s < m_terms.retained_mass.a; ++s) {
          m_terms.retained_mass.at(s, head, r) = m_head_loss.retained_mass.at(s, member, r);
          m_terms.kept_norm.at(s, head, r) = m_head_loss.kept_norm.at(s, member, r);
        }
      }
    }
  }

  void add_projections(std::int64_t kv_head) {
    const std::int64_t group = m_layer.group();
    for (std::int64_t member = 0; member < group; ++member) {
      m_projection.pack(HeadSlice(m_layer.wo, kv_head * group + member));
      project(m_head_loss.output.matrix(member), m_projection, m_output.view());
      for (std::size_t s = 0; s < m_difference.size(); ++s) {
        const std::size_t unit = unit_of(s, kv_head, member);
        if (static_cast<std::int64_t>(kept(s, unit).size()) == m_layer.prompt_tokens) {
          continue;  // nothing is evicted, so the difference is zero
        }
        if (member == 0 || !by_kv_head(s)) {
          m_projected[s].clear();
        }
        project(m_head_loss.difference.matrix(static_cast<std::int64_t>(s) * group + member),
                m_projection, m_projected[s].view());
        if (member == group - 1 || !by_kv_head(s)) {
          finish_unit(s, unit);
        }
      }
    }
  }

  void finish_unit(std::size_t selection, std::size_t unit) {
    const MatrixView<float> rows = m_projected[selection].view();
    const MatrixView<float> sum = m_difference[selection].view();
    for (std::int64_t r = 0; r < queries(); ++r) {
      m_terms.unit_l1[selection][unit * m_positions.size() + static_cast<std::size_t>(r)] =
          abs_sum(rows.row(r));
      std::transform(rows.row(r).begin(), rows.row(r).end(), sum.row(r).begin(), sum.row(r).begin(),
                     std::plus<>());
    }
  }

  const CapturedLayer& m_layer;
  const LossRequest& m_request;
  std::span<const std::int32_t> m_positions;
  OutputRows m_output;                   // y
  std::vector<OutputRows> m_difference;  // y - y^ per selection
  std::vector<OutputRows> m_projected;   // the same of the current unit
  LossTerms m_terms;
  std::vector<float> m_queries;
  std::vector<std::vector<std::int32_t>> m_kept_lists;
  std::vector<std::span<const std::int32_t>> m_kept_views;
  HeadLoss m_head_loss;
  PackedMatrix m_projection;
};

class CpuEvictionEngine : public EvictionEngine {
 public:
  [[nodiscard]] std::string_view backend() const override { return "cpu"; }

  void set_layer(const CapturedLayer& layer) override { m_layer = layer; }

  void score(std::span<const ScoreRequest> requests) override {
    for (std::int64_t kv_head = 0; kv_head < m_layer.kv_heads() && !requests.empty(); ++kv_head) {
      m_keys.load(HeadSlice(m_layer.k, kv_head), m_layer.phases);
      for (const ScoreRequest& request : requests) {
        score_head(kv_head, request);
      }
    }
  }

  [[nodiscard]] KeptTokens select(const SelectionRequest& request) override {
    const std::int64_t candidates = request.prompt_tokens - request.sinks - request.window;
    const std::int64_t units = request.scores.rows;
    const MatrixView<const float> scores(request.scores.data + request.sinks, units, candidates,
                                         request.scores.stride);
    std::vector<std::int64_t> budgets(static_cast<std::size_t>(units),
                                      std::min(request.budget, candidates));
    if (request.allocation) {
      budgets = allocate_budgets(scores, request.budget, *request.allocation);
    }
    KeptTokens kept(static_cast<std::size_t>(units));
    for (std::int64_t unit = 0; unit < units; ++unit) {
      select_unit(request, unit, budgets[static_cast<std::size_t>(unit)],
                  kept[static_cast<std::size_t>(unit)]);
    }
    return kept;
  }

  void value_norms(MatrixView<float> norms) override {
    PackedMatrix projection;
    for (std::int64_t head = 0; head < m_layer.q_heads(); ++head) {
      projection.pack(HeadSlice(m_layer.wo, head));
      kernels::value_norms(HeadSlice(m_layer.v, head / m_layer.group()), projection,
                           norms.row(head));
    }
  }

  [[nodiscard]] LossTerms losses(const LossRequest& request) override {
    LayerLoss loss(m_layer, request);
    for (std::int64_t kv_head = 0; kv_head < m_layer.kv_heads(); ++kv_head) {
      m_keys.load(HeadSlice(m_layer.k, kv_head), m_layer.phases);
      m_values.load(HeadSlice(m_layer.v, kv_head));
      loss.add_head(kv_head, m_keys, m_values);
    }
    return loss.finish();
  }

 private:
  void score_head(std::int64_t kv_head, const ScoreRequest& request) {
    const std::int64_t group = m_layer.group();
    const std::int64_t prompt = m_layer.prompt_tokens;
    const auto positions =
        m_layer.query_positions.subspan(static_cast<std::size_t>(request.queries.first),
                                        static_cast<std::size_t>(request.queries.count));
    load_group_queries(m_layer.q, kv_head, group, request.queries.first, positions, *m_layer.phases,
                       m_queries);
    m_means.resize(static_cast<std::size_t>(group * prompt));
    const MatrixView<float> means(m_means.data(), group, prompt);
    attention_column_means({m_queries.data(), group * request.queries.count, m_layer.head_dim()},
                           positions, m_keys, m_layer.attention, means);
    const MatrixView<const float> counted(means.data, group, request.scores.cols, means.stride);
    m_column.resize(static_cast<std::size_t>(request.scores.cols));
    const std::int64_t units = request.per_query_head ? group : 1;
    for (std::int64_t unit = 0; unit < units; ++unit) {
      reduce_group(counted.rows_from(unit, group / units), request.group_reduce, m_column);
      pool_scores(m_column, request.pool, request.scores.row(kv_head * units + unit));
    }
  }

  static void select_unit(const SelectionRequest& request, std::int64_t unit, std::int64_t budget,
                          std::vector<std::int32_t>& tokens) {
    const std::int64_t candidates = request.prompt_tokens - request.sinks - request.window;
    const auto first = static_cast<std::size_t>(request.sinks);
    const auto count = static_cast<std::size_t>(candidates);
    tokens.resize(first);
    std::iota(tokens.begin(), tokens.end(), 0);
    if (budget >= candidates) {
      tokens.resize(first + count);
      std::iota(tokens.begin(), tokens.end(), 0);
    } else {
      const auto scores = request.scores.row(unit).subspan(first, count);
      if (request.two_stage) {
        select_tokens_critical(scores, request.norms.row(unit).subspan(first, count), budget,
                               tokens);
      } else {
        select_tokens(scores, budget, tokens);
      }
      // The selection counts from the first candidate.
      for (std::size_t j = first; j < tokens.size(); ++j) {
        tokens[j] += static_cast<std::int32_t>(request.sinks);
      }
    }
    for (std::int64_t j = request.prompt_tokens - request.window; j < request.prompt_tokens; ++j) {
      tokens.push_back(static_cast<std::int32_t>(j));
    }
  }

  CapturedLayer m_layer;
  HeadKeys m_keys;
  HeadValues m_values;
  std::vector<float> m_queries;
  std::vector<float> m_means;
  std::vector<float> m_column;
};

}  // namespace

std::unique_ptr<EvictionEngine> make_cpu_eviction_engine() {
  return std::make_unique<CpuEvictionEngine>();
}

}  // namespace kvsieve::kernels
