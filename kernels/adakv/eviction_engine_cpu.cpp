#include <algorithm>
#include <numeric>
#include <optional>

#include "adakv/layer_losses.h"
#include "adakv/score_ranking.h"
#include "exec/cpu/parallel.h"
#include "exec/cpu/simd.h"
#include "kvsieve/kernels/dense_attention.h"
#include "kvsieve/kernels/eviction_engine.h"
#include "kvsieve/kernels/token_selection.h"

namespace kvsieve::kernels {
namespace {

// From so many requests on, sorting their scores once is less work than a pass for each.
constexpr std::size_t kRankedFrom = 6;

/// Requests that read the same candidates' scores.
bool share_candidates(const SelectionRequest& a, const SelectionRequest& b) {
  return a.scores.data == b.scores.data && a.scores.rows == b.scores.rows &&
         a.scores.stride == b.scores.stride && a.prompt_tokens == b.prompt_tokens &&
         a.sinks == b.sinks && a.window == b.window;
}

/// The candidates' scores of a request, [units, n - sinks - window].
MatrixView<const float> candidate_scores(const SelectionRequest& request) {
  return {request.scores.data + request.sinks, request.scores.rows,
          request.prompt_tokens - request.sinks - request.window, request.scores.stride};
}

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

  [[nodiscard]] std::vector<KeptTokens> select(
      std::span<const SelectionRequest> requests) override {
    std::vector<KeptTokens> kept(requests.size());
    std::vector<bool> done(requests.size(), false);
    std::vector<std::size_t> alike;
    for (std::size_t first = 0; first < requests.size(); ++first) {
      if (done[first]) {
        continue;
      }
      alike.clear();
      for (std::size_t i = first; i < requests.size(); ++i) {
        if (!done[i] && share_candidates(requests[first], requests[i])) {
          alike.push_back(i);
          done[i] = true;
        }
      }
      std::optional<ScoreRanking> ranking;
      if (alike.size() >= kRankedFrom) {
        ranking.emplace(candidate_scores(requests[first]));
      }
      parallel_blocks(static_cast<std::int64_t>(alike.size()), 1,
                      [&](std::int64_t i, std::int64_t) {
                        const std::size_t which = alike[static_cast<std::size_t>(i)];
                        kept[which] = select(requests[which], ranking ? &*ranking : nullptr);
                      });
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
    LayerLosses losses(m_layer, request);
    for (std::int64_t kv_head = 0; kv_head < m_layer.kv_heads(); ++kv_head) {
      m_keys.load(HeadSlice(m_layer.k, kv_head), m_layer.phases);
      m_values.load(HeadSlice(m_layer.v, kv_head));
      losses.add_head(kv_head, m_keys, m_values);
    }
    return losses.finish();
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

  /// @param ranking of the request's candidates, or null
  static KeptTokens select(const SelectionRequest& request, const ScoreRanking* ranking) {
    const MatrixView<const float> scores = candidate_scores(request);
    std::vector<std::int64_t> budgets(static_cast<std::size_t>(scores.rows),
                                      std::min(request.budget, scores.cols));
    if (request.allocation) {
      budgets = ranking != nullptr ? ranking->budgets(request.budget, *request.allocation)
                                   : allocate_budgets(scores, request.budget, *request.allocation);
    }
    KeptTokens kept(static_cast<std::size_t>(scores.rows));
    for (std::int64_t unit = 0; unit < scores.rows; ++unit) {
      select_unit(request, ranking, unit, budgets[static_cast<std::size_t>(unit)],
                  kept[static_cast<std::size_t>(unit)]);
    }
    return kept;
  }

  static void select_unit(const SelectionRequest& request, const ScoreRanking* ranking,
                          std::int64_t unit, std::int64_t budget,
                          std::vector<std::int32_t>& tokens) {
    const std::int64_t candidates = request.prompt_tokens - request.sinks - request.window;
    const auto first = static_cast<std::size_t>(request.sinks);
    const auto count = static_cast<std::size_t>(candidates);
    tokens.reserve(static_cast<std::size_t>(request.sinks + std::min(budget, candidates) +
                                            request.window + kPanelWidth));
    tokens.resize(first);
    std::iota(tokens.begin(), tokens.end(), 0);
    if (budget >= candidates) {
      tokens.resize(first + count);
      std::iota(tokens.begin(), tokens.end(), 0);
    } else if (ranking != nullptr && !request.two_stage) {
      ranking->select(unit, budget, static_cast<std::int32_t>(request.sinks), tokens);
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
