#include "core/attention_row.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "kvsieve/kernels/window_scores.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::gui {
namespace {

using kernels::HeadSlice;
using kernels::MatrixView;

traces::TraceLayer layer_of(const traces::Trace& trace, std::int64_t layer) {
  const std::optional<std::size_t> found = trace.find_layer(layer);
  if (!found) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("{}: layer {} was not captured", trace.path().string(), layer),
                "open the trace that the run was made of");
  }
  return trace.layer(*found);
}

/// Queries among `positions` (ascending) that see a token.
std::int64_t queries_seeing(std::span<const std::int32_t> positions, std::int64_t token,
                            const std::optional<std::int64_t>& sliding_window) {
  const auto first = std::lower_bound(positions.begin(), positions.end(), token);
  auto end = positions.end();
  if (sliding_window) {
    end = std::lower_bound(first, positions.end(), token + *sliding_window);
  }
  return end - first;
}

}  // namespace

std::optional<ScoreRecipe> score_recipe(const sim::RunView& run) {
  if (run.family != sim::Family::kEviction) {
    return std::nullopt;
  }
  using Source = ScoreRecipe::Source;
  const std::string scorer = run.method.text("scorer");
  ScoreRecipe recipe;
  for (const auto& [known, source] :
       {std::pair(sim::Scorer::kWindowAttention, Source::kWindowAttention),
        std::pair(sim::Scorer::kAttentionSum, Source::kAttentionSum),
        std::pair(sim::Scorer::kLastQuery, Source::kLastQuery),
        std::pair(sim::Scorer::kKeyNorm, Source::kKeyNorm),
        std::pair(sim::Scorer::kRecency, Source::kRecency)}) {
    if (scorer != sim::name_of(known)) {
      continue;
    }
    recipe.source = source;
    recipe.window = run.method.integer_or("window", 0);
    recipe.pool = sim::pooling_from_name(run.method.text("pool", "none"));
    recipe.group_reduce = sim::group_reduce_from_name(run.method.text("group_reduce", "mean"));
    return recipe;
  }
  return std::nullopt;
}

AttentionRow::AttentionRow(const traces::Trace& trace, const HeadId& unit, bool query_head)
    : m_trace(trace),
      m_layer(layer_of(trace, unit.layer)),
      m_phases(traces::RopeTable(m_layer.spec.rope, trace.header().model.head_dim),
               trace.header().total_tokens()),
      m_kv_head(unit.head) {
  const traces::ModelShape& model = trace.header().model;
  const std::int64_t heads = query_head ? model.q_heads : model.kv_heads;
  if (unit.head < 0 || unit.head >= heads) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("{}: there is no {} {}, expected 0 to {}", trace.path().string(),
                            query_head ? "query head" : "KV head", unit.head, heads - 1));
  }
  m_members = model.group();
  if (query_head) {
    m_kv_head = unit.head / model.group();
    m_first_member = unit.head % model.group();
    m_members = 1;
  }
  m_keys.load(HeadSlice(m_layer.k, m_kv_head), &m_phases);
}

std::vector<float> AttentionRow::group_means(const Head& head, std::int64_t first_query,
                                             std::int64_t count, std::int64_t tokens) const {
  const traces::ModelShape& model = m_trace.header().model;
  const auto positions = m_trace.query_positions().subspan(static_cast<std::size_t>(first_query),
                                                           static_cast<std::size_t>(count));
  std::vector<float> queries;
  kernels::load_group_queries(m_layer.q, head.kv_head, model.group(), first_query, positions,
                              m_phases, queries);
  std::vector<float> means(static_cast<std::size_t>(model.group() * tokens));
  kernels::attention_column_means({queries.data(), model.group() * count, model.head_dim},
                                  positions, head.keys, m_layer.spec.attention,
                                  {means.data(), model.group(), tokens});
  return means;
}

std::vector<float> AttentionRow::unit_mean(std::int64_t first_query, std::int64_t count) const {
  const std::int64_t tokens = m_trace.header().total_tokens();
  const std::vector<float> means = group_means({m_kv_head, m_keys}, first_query, count, tokens);
  const auto positions = m_trace.query_positions().subspan(static_cast<std::size_t>(first_query),
                                                           static_cast<std::size_t>(count));
  std::vector<float> mean(static_cast<std::size_t>(tokens));
  for (std::int64_t token = 0; token < tokens; ++token) {
    double sum = 0.0;
    for (std::int64_t member = m_first_member; member < m_first_member + m_members; ++member) {
      sum += means[static_cast<std::size_t>(member * tokens + token)];
    }
    // The kernel's means are over the queries that see a token.
    const auto seeing = static_cast<double>(
        queries_seeing(positions, token, m_layer.spec.attention.sliding_window));
    mean[static_cast<std::size_t>(token)] = static_cast<float>(
        sum / static_cast<double>(m_members) * seeing / static_cast<double>(count));
  }
  return mean;
}

std::vector<float> AttentionRow::of_query(std::int64_t q_head, std::int64_t query) const {
  const traces::ModelShape& model = m_trace.header().model;
  const auto captured = static_cast<std::int64_t>(m_trace.query_positions().size());
  if (q_head / model.group() != m_kv_head || query < 0 || query >= captured) {
    throw Error(ErrorKind::kInternal,
                fmt::format("query {} of head {} is not of KV head {}", query, q_head, m_kv_head));
  }
  const std::int64_t tokens = m_trace.header().total_tokens();
  const std::vector<float> means = group_means({m_kv_head, m_keys}, query, 1, tokens);
  const auto begin = means.begin() + (q_head % model.group()) * tokens;
  return {begin, begin + tokens};
}

std::vector<float> AttentionRow::of_step(std::int64_t step) const {
  if (step < 0 || step >= m_trace.header().decode_tokens) {
    return {};
  }
  return unit_mean(m_trace.prompt_queries() + step, 1);
}

std::vector<float> AttentionRow::mean_over_steps(const JobControl& control) const {
  control.check();
  const std::int64_t steps = m_trace.header().decode_tokens;
  return steps > 0 ? unit_mean(m_trace.prompt_queries(), steps) : std::vector<float>{};
}

std::vector<float> AttentionRow::scores(const ScoreRecipe& recipe,
                                        const JobControl& control) const {
  using Source = ScoreRecipe::Source;
  const traces::TraceHeader& header = m_trace.header();
  const std::int64_t group = header.model.group();
  const std::int64_t prompt = header.prompt_tokens;
  const std::int64_t tokens = std::max<std::int64_t>(0, prompt - recipe.window);
  std::vector<float> scores(static_cast<std::size_t>(tokens));
  if (recipe.source == Source::kRecency) {
    std::iota(scores.begin(), scores.end(), 0.0F);
    return scores;
  }
  if (recipe.source == Source::kKeyNorm) {
    std::vector<float> norms(static_cast<std::size_t>(m_layer.k.shape[1]));
    kernels::key_norm_scores(HeadSlice(m_layer.k, m_kv_head), norms);
    std::copy_n(norms.begin(), tokens, scores.begin());
    return scores;
  }
  const std::int64_t captured = m_trace.prompt_queries();
  const std::int64_t wanted = recipe.source == Source::kAttentionSum ? captured
                              : recipe.source == Source::kLastQuery
                                  ? 1
                                  : std::min(recipe.window, prompt);
  if (tokens == 0 || wanted <= 0 || wanted > captured) {
    return {};
  }
  const std::int64_t first = captured - wanted;
  if (recipe.source == Source::kLastQuery) {
    // TOVA keeps the same tokens in every head: the mean over all heads of the layer.
    kernels::HeadKeys keys;
    const auto heads = static_cast<float>(header.model.q_heads);
    for (std::int64_t kv_head = 0; kv_head < header.model.kv_heads; ++kv_head) {
      control.check();
      keys.load(HeadSlice(m_layer.k, kv_head), &m_phases);
      const std::vector<float> means = group_means({kv_head, keys}, first, wanted, prompt);
      for (std::int64_t member = 0; member < group; ++member) {
        for (std::int64_t token = 0; token < tokens; ++token) {
          scores[static_cast<std::size_t>(token)] +=
              means[static_cast<std::size_t>(member * prompt + token)] / heads;
        }
      }
    }
    return scores;
  }
  control.check();
  const std::vector<float> means = group_means({m_kv_head, m_keys}, first, wanted, prompt);
  const MatrixView<const float> counted(means.data() + m_first_member * prompt, m_members, tokens,
                                        prompt);
  std::vector<float> reduced(scores.size());
  kernels::reduce_group(counted, recipe.group_reduce, reduced);
  kernels::pool_scores(reduced, recipe.pool, scores);
  return scores;
}

}  // namespace kvsieve::gui
