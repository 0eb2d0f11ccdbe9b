#include "replay/eviction_scores.h"

#include <fmt/format.h>

#include <algorithm>

#include "kvsieve/kernels/window_scores.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::sim {
namespace {

using kernels::HeadKeys;
using kernels::HeadSlice;
using kernels::MatrixView;

/// A uniform number in [0, 1) that depends on its coordinates alone.
float hashed_uniform(std::uint64_t seed, std::int64_t layer, std::int64_t unit, std::int64_t j) {
  std::uint64_t z = 0;
  for (const std::uint64_t part :
       {seed, static_cast<std::uint64_t>(layer), static_cast<std::uint64_t>(unit),
        static_cast<std::uint64_t>(j)}) {
    z += 0x9e3779b97f4a7c15ULL + part;
    z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27U)) * 0x94d049bb133111ebULL;
    z ^= z >> 31U;
  }
  return static_cast<float>(z >> 40U) * 0x1p-24F;
}

bool reads_attention(Scorer scorer) {
  return scorer == Scorer::kWindowAttention || scorer == Scorer::kAttentionSum ||
         scorer == Scorer::kLastQuery;
}

/// Scores one KV head of a layer under one stage after the other.
class HeadScorer {
 public:
  HeadScorer(const traces::Trace& trace, const traces::TraceLayer& layer,
             const kernels::RopePhases& phases)
      : m_trace(trace),
        m_layer(layer),
        m_phases(phases),
        m_prompt(trace.header().prompt_tokens),
        m_group(trace.header().model.group()) {}

  void load(std::int64_t kv_head, bool attention) {
    m_kv_head = kv_head;
    if (attention) {
      m_keys.load(HeadSlice(m_layer.k, kv_head), &m_phases);
    }
  }

  void score(const ScoreStages& stages, UnitScores& scores) {
    switch (stages.scorer) {
      case Scorer::kNone:
        return;
      case Scorer::kWindowAttention:
      case Scorer::kAttentionSum:
      case Scorer::kLastQuery:
        score_attention(stages, scores);
        return;
      case Scorer::kKeyNorm:
        m_column.resize(static_cast<std::size_t>(m_trace.header().total_tokens()));
        kernels::key_norm_scores(HeadSlice(m_layer.k, m_kv_head), m_column);
        for_units(stages, [&](std::int64_t unit, std::int64_t) {
          std::copy_n(m_column.begin(), scores.tokens, scores.view().row(unit).begin());
        });
        return;
      case Scorer::kRecency:
        for_units(stages, [&](std::int64_t unit, std::int64_t) {
          for (std::int64_t j = 0; j < scores.tokens; ++j) {
            scores.view().row(unit)[static_cast<std::size_t>(j)] = static_cast<float>(j);
          }
        });
        return;
      case Scorer::kRandom:
        for_units(stages, [&](std::int64_t unit, std::int64_t) {
          for (std::int64_t j = 0; j < scores.tokens; ++j) {
            scores.view().row(unit)[static_cast<std::size_t>(j)] =
                hashed_uniform(stages.seed, m_layer.layer, unit, j);
          }
        });
        return;
    }
  }

 private:
  /// Calls body(unit, member) for the units of this KV head.
  template <class Body>
  void for_units(const ScoreStages& stages, Body body) const {
    if (stages.granularity == Granularity::kKvHead) {
      body(m_kv_head, std::int64_t{0});
      return;
    }
    for (std::int64_t member = 0; member < m_group; ++member) {
      body(m_kv_head * m_group + member, member);
    }
  }

  void score_attention(const ScoreStages& stages, UnitScores& scores) {
    const std::int64_t count = queries_needed(m_trace, stages);
    const std::int64_t first = m_trace.prompt_queries() - count;
    const auto positions = m_trace.query_positions().subspan(static_cast<std::size_t>(first),
                                                             static_cast<std::size_t>(count));
    load_group_queries(m_layer.q, m_kv_head, m_group, first, positions, m_phases, m_queries);
    m_means.resize(static_cast<std::size_t>(m_group * m_prompt));
    const MatrixView<float> means(m_means.data(), m_group, m_prompt);
    kernels::attention_column_means(
        {m_queries.data(), m_group * count, m_trace.header().model.head_dim}, positions, m_keys,
        m_layer.spec.attention, means);
    const MatrixView<const float> outside(means.data, m_group, scores.tokens, means.stride);

    if (stages.scorer == Scorer::kLastQuery) {
      add_to_all_units(outside, scores);
      return;
    }
    for_units(stages, [&](std::int64_t unit, std::int64_t member) {
      m_column.resize(static_cast<std::size_t>(scores.tokens));
      const std::int64_t members = stages.granularity == Granularity::kKvHead ? m_group : 1;
      kernels::reduce_group(outside.rows_from(member, members), stages.group_reduce, m_column);
      kernels::pool_scores(m_column, stages.pool, scores.view().row(unit));
    });
  }

  /// TOVA keeps the same tokens in every head: the mean over all query heads of the layer.
  void add_to_all_units(MatrixView<const float> outside, UnitScores& scores) const {
    const auto heads = static_cast<float>(m_trace.header().model.q_heads);
    for (std::int64_t unit = 0; unit < scores.units; ++unit) {
      const std::span<float> row = scores.view().row(unit);
      for (std::int64_t member = 0; member < outside.rows; ++member) {
        for (std::size_t j = 0; j < row.size(); ++j) {
          row[j] += outside.row(member)[j] / heads;
        }
      }
    }
  }

  const traces::Trace& m_trace;
  const traces::TraceLayer& m_layer;
  const kernels::RopePhases& m_phases;
  std::int64_t m_prompt;
  std::int64_t m_group;
  std::int64_t m_kv_head = 0;
  HeadKeys m_keys;
  std::vector<float> m_queries;
  std::vector<float> m_means;
  std::vector<float> m_column;
};

}  // namespace

ScoreStages::ScoreStages(const EvictionMethod& method)
    : scorer(method.scorer),
      pool(method.pool),
      group_reduce(method.group_reduce),
      granularity(method.granularity),
      window(method.window),
      seed(method.seed) {}

std::int64_t queries_needed(const traces::Trace& trace, const ScoreStages& stages) {
  const std::int64_t captured = trace.prompt_queries();
  std::int64_t needed = 0;
  switch (stages.scorer) {
    case Scorer::kWindowAttention:
      needed = std::min(stages.window, trace.header().prompt_tokens);
      break;
    case Scorer::kAttentionSum:
      needed = std::max<std::int64_t>(1, captured);
      break;
    case Scorer::kLastQuery:
      needed = 1;
      break;
    case Scorer::kNone:
    case Scorer::kKeyNorm:
    case Scorer::kRecency:
    case Scorer::kRandom:
      break;
  }
  if (needed > captured) {
    throw Error(
        ErrorKind::kUsage,
        fmt::format("{}: the method needs the last {} prompt queries, the trace captured {}",
                    trace.path().string(), needed, captured),
        "record with more --prompt-queries, or lower --window");
  }
  return needed;
}

std::vector<UnitScores> score_layer(const traces::Trace& trace, const traces::TraceLayer& layer,
                                    std::span<const ScoreStages> stages,
                                    const kernels::RopePhases& phases) {
  const traces::TraceHeader& header = trace.header();
  std::vector<UnitScores> scores(stages.size());
  bool attention = false;
  for (std::size_t i = 0; i < stages.size(); ++i) {
    scores[i].units = stages[i].granularity == Granularity::kKvHead ? header.model.kv_heads
                                                                    : header.model.q_heads;
    scores[i].tokens = std::max<std::int64_t>(0, header.prompt_tokens - stages[i].window);
    scores[i].data.assign(static_cast<std::size_t>(scores[i].units * scores[i].tokens), 0.0F);
    attention = attention || (reads_attention(stages[i].scorer) && scores[i].tokens > 0);
  }
  HeadScorer scorer(trace, layer, phases);
  for (std::int64_t kv_head = 0; kv_head < header.model.kv_heads; ++kv_head) {
    scorer.load(kv_head, attention);
    for (std::size_t i = 0; i < stages.size(); ++i) {
      if (scores[i].tokens > 0) {
        scorer.score(stages[i], scores[i]);
      }
    }
  }
  return scores;
}

}  // namespace kvsieve::sim
