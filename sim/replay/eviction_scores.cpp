#include "replay/eviction_scores.h"

#include <fmt/format.h>

#include <algorithm>

#include "kvsieve/kernels/window_scores.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::sim {
namespace {

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

/// What the engine computes for a stage that reads attention. TOVA asks for every query head, which
/// `all_heads` [Hq, m] receives.
kernels::ScoreRequest attention_request(const traces::Trace& trace, const ScoreStages& stages,
                                        UnitScores& scores, std::vector<float>& all_heads) {
  const std::int64_t count = queries_needed(trace, stages);
  kernels::ScoreRequest request;
  request.queries = {trace.prompt_queries() - count, count};
  if (stages.scorer == Scorer::kLastQuery) {
    const std::int64_t heads = trace.header().model.q_heads;
    all_heads.resize(static_cast<std::size_t>(heads * scores.tokens));
    request.per_query_head = true;
    request.pool.kind = kernels::Pooling::Kind::kNone;
    request.scores = {all_heads.data(), heads, scores.tokens};
  } else {
    request.per_query_head = stages.granularity == Granularity::kQueryHead;
    request.group_reduce = stages.group_reduce;
    request.pool = stages.pool;
    request.scores = scores.view();
  }
  return request;
}

/// TOVA keeps the same tokens in every head: the mean over all query heads of the layer.
void average_heads(MatrixView<const float> all_heads, UnitScores& scores) {
  const auto heads = static_cast<float>(all_heads.rows);
  for (std::int64_t unit = 0; unit < scores.units; ++unit) {
    const std::span<float> row = scores.view().row(unit);
    for (std::int64_t head = 0; head < all_heads.rows; ++head) {
      for (std::size_t j = 0; j < row.size(); ++j) {
        row[j] += all_heads.row(head)[j] / heads;
      }
    }
  }
}

void score_key_norms(const traces::TraceLayer& layer, UnitScores& scores) {
  const std::int64_t kv_heads = layer.k.shape[0];
  std::vector<float> column(static_cast<std::size_t>(layer.k.shape[1]));
  for (std::int64_t kv_head = 0; kv_head < kv_heads; ++kv_head) {
    kernels::key_norm_scores(HeadSlice(layer.k, kv_head), column);
    const std::int64_t members = scores.units / kv_heads;
    for (std::int64_t member = 0; member < members; ++member) {
      std::copy_n(column.begin(), scores.tokens,
                  scores.view().row(kv_head * members + member).begin());
    }
  }
}

/// Scores that no attention enters: key norms, recency, random.
void score_without_attention(const traces::TraceLayer& layer, const ScoreStages& stages,
                             UnitScores& scores) {
  if (stages.scorer == Scorer::kKeyNorm) {
    score_key_norms(layer, scores);
    return;
  }
  for (std::int64_t unit = 0; unit < scores.units; ++unit) {
    const std::span<float> row = scores.view().row(unit);
    for (std::size_t j = 0; j < row.size(); ++j) {
      const auto token = static_cast<std::int64_t>(j);
      if (stages.scorer == Scorer::kRecency) {
        row[j] = static_cast<float>(token);
      } else if (stages.scorer == Scorer::kRandom) {
        row[j] = hashed_uniform(stages.seed, layer.layer, unit, token);
      }
    }
  }
}

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
                                    kernels::EvictionEngine& engine) {
  const traces::TraceHeader& header = trace.header();
  std::vector<UnitScores> scores(stages.size());
  std::vector<std::vector<float>> all_heads(stages.size());
  std::vector<kernels::ScoreRequest> requests;
  for (std::size_t i = 0; i < stages.size(); ++i) {
    scores[i].units = stages[i].granularity == Granularity::kKvHead ? header.model.kv_heads
                                                                    : header.model.q_heads;
    scores[i].tokens = std::max<std::int64_t>(0, header.prompt_tokens - stages[i].window);
    scores[i].data.assign(static_cast<std::size_t>(scores[i].units * scores[i].tokens), 0.0F);
    if (scores[i].tokens == 0) {
      continue;
    }
    if (reads_attention(stages[i].scorer)) {
      requests.push_back(attention_request(trace, stages[i], scores[i], all_heads[i]));
    } else {
      score_without_attention(layer, stages[i], scores[i]);
    }
  }
  engine.score(requests);
  for (std::size_t i = 0; i < stages.size(); ++i) {
    if (!all_heads[i].empty()) {
      average_heads({all_heads[i].data(), header.model.q_heads, scores[i].tokens}, scores[i]);
    }
  }
  return scores;
}

}  // namespace kvsieve::sim
