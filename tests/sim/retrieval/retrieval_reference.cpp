#include "sim/retrieval/retrieval_reference.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "sim/retrieval/scorer_reference.h"

namespace kvsieve::sim::tests {
namespace {

/// Sums behind mean and normalised squared errors.
struct Errors {
  double squared = 0.0;
  double variation = 0.0;
  double count = 0.0;

  void add(const Vector& exact, const Vector& approximate, std::int64_t begin, std::int64_t end) {
    double mean = 0.0;
    for (auto j = static_cast<std::size_t>(begin); j < static_cast<std::size_t>(end); ++j) {
      mean += exact[j] / static_cast<double>(end - begin);
    }
    for (auto j = static_cast<std::size_t>(begin); j < static_cast<std::size_t>(end); ++j) {
      squared += std::pow(exact[j] - approximate[j], 2);
      variation += std::pow(exact[j] - mean, 2);
      count += 1.0;
    }
  }
};

/// Hq K tokens shared out by largest remainder after a full sort of (probability, head, token).
std::vector<std::int64_t> shared_out(const std::vector<Vector>& attention, std::int64_t k,
                                     double alpha) {
  const auto heads = attention.size();
  const auto n = static_cast<std::int64_t>(attention[0].size());
  if (k >= n) {
    return std::vector<std::int64_t>(heads, n);
  }
  std::vector<std::pair<double, std::size_t>> all;
  for (std::size_t h = 0; h < heads; ++h) {
    for (const double p : attention[h]) {
      all.emplace_back(-p, h);
    }
  }
  std::stable_sort(all.begin(), all.end());
  Vector wanted(heads, alpha * static_cast<double>(k));
  for (std::size_t i = 0; i < static_cast<std::size_t>(k) * heads; ++i) {
    wanted[all[i].second] += 1.0 - alpha;
  }
  std::vector<std::int64_t> budgets;
  std::vector<std::pair<double, std::size_t>> remainders;
  std::int64_t left = k * static_cast<std::int64_t>(heads);
  for (std::size_t h = 0; h < heads; ++h) {
    budgets.push_back(static_cast<std::int64_t>(std::floor(wanted[h] + 1e-9)));
    remainders.emplace_back(-std::round((wanted[h] - static_cast<double>(budgets[h])) * 1e6), h);
    left -= budgets[h];
  }
  std::sort(remainders.begin(), remainders.end());
  for (std::int64_t i = 0; i < left; ++i) {
    ++budgets[remainders[static_cast<std::size_t>(i)].second];
  }
  return budgets;
}

class Head {
 public:
  Head(const traces::Trace& trace, const traces::TraceLayer& layer, std::int64_t kv_head,
       const RetrievalOptions& options, const Codebook* codebook)
      : m_trace(trace),
        m_layer(layer),
        m_options(options),
        m_group(trace.header().model.group()),
        m_kv_head(kv_head),
        m_scorer(trace, layer, kv_head, options, codebook),
        m_values(rows_of(layer.v, kv_head)) {
    for (std::int64_t g = 0; g < m_group; ++g) {
      m_queries.push_back(rows_of(layer.q, kv_head * m_group + g));
      m_queries.back().erase(m_queries.back().begin(),
                             m_queries.back().begin() + trace.prompt_queries());
    }
  }

  /// Attention of query head g at step s as the scorer sees it, on eligible tokens.
  [[nodiscard]] Vector attention(std::int64_t g, std::int64_t s) const {
    const Scores scores = scores_of(g, s);
    Vector mixed = scores.near;
    const auto [begin, end] = eligible(s);
    for (std::int64_t j = begin; j < end; ++j) {
      mixed[static_cast<std::size_t>(j)] = scores.method[static_cast<std::size_t>(j)];
    }
    Vector shares;
    for (std::int64_t j = begin; j < end; ++j) {
      shares.push_back(mass_of(mixed, {static_cast<std::int32_t>(j)}));
    }
    return shares;
  }

  [[nodiscard]] std::pair<std::int64_t, std::int64_t> eligible(std::int64_t s) const {
    const std::int64_t i = m_trace.header().prompt_tokens + s;
    std::int64_t begin = i + 1;
    std::int64_t end = 0;
    for (std::int64_t j = 0; j <= i; ++j) {
      if (j >= m_options.sinks && i - j >= m_options.window) {
        begin = std::min(begin, j);
        end = j + 1;
      }
    }
    return {std::min(begin, end), end};
  }

  /// @param tops [m][Hq]
  ReferenceHead run(const std::vector<std::vector<std::int64_t>>& tops) {
    m_tops = &tops;
    ReferenceHead head;
    head.queries.resize(static_cast<std::size_t>(m_group));
    for (std::int64_t s = 0; s < m_trace.header().decode_tokens; ++s) {
      step(s, head);
    }
    head.wrope_mse = m_wrope.squared / m_wrope.count;
    head.wrope_nmse = m_wrope.squared / m_wrope.variation;
    head.vq_mse = m_vq.squared / m_vq.count;
    head.vq_nmse = m_vq.squared / m_vq.variation;
    head.score_mse = m_score.squared / m_score.count;
    head.score_nmse = m_score.squared / m_score.variation;
    return head;
  }

 private:
  struct Scores {
    Vector near;      // true
    Vector far;       // at the constant distance
    Vector windowed;  // near inside the window, far beyond it
    Vector method;
  };

  [[nodiscard]] Scores scores_of(std::int64_t g, std::int64_t s) const {
    const std::int64_t i = m_trace.header().prompt_tokens + s;
    const Vector& q = m_queries[static_cast<std::size_t>(g)][static_cast<std::size_t>(s)];
    const Vector turned = rotated(q, static_cast<double>(i), m_layer.spec.rope);
    const Vector moved = rotated(q, static_cast<double>(m_options.distance), m_layer.spec.rope);
    Scores scores;
    for (std::int64_t j = 0; j <= i; ++j) {
      const auto token = static_cast<std::size_t>(j);
      scores.near.push_back(
          score_of(turned, m_scorer.rotated_keys()[token], m_layer.spec.attention));
      scores.far.push_back(score_of(moved, m_scorer.keys()[token], m_layer.spec.attention));
      scores.windowed.push_back(i - j < m_options.window ? scores.near.back() : scores.far.back());
    }
    scores.method = m_scorer.scores(q, scores.near, scores.far, i);
    return scores;
  }

  /// The fewest of the best that hold, with sinks and window, the share of the expected attention.
  [[nodiscard]] std::int64_t needed(const Scores& scores, std::int64_t begin, std::int64_t end,
                                    std::int64_t top) const {
    Vector mixed = scores.near;
    Tokens held;
    for (std::int64_t j = 0; j < static_cast<std::int64_t>(mixed.size()); ++j) {
      if (j >= begin && j < end) {
        mixed[static_cast<std::size_t>(j)] = scores.method[static_cast<std::size_t>(j)];
      } else {
        held.push_back(static_cast<std::int32_t>(j));
      }
    }
    const Tokens order = ranked(scores.method, begin, end);
    std::int64_t count = 0;
    while (count < top && mass_of(mixed, held) < m_options.mass->value()) {
      held.push_back(order[static_cast<std::size_t>(count)]);
      ++count;
    }
    return count;
  }

  void step(std::int64_t s, ReferenceHead& head) {
    const std::int64_t i = m_trace.header().prompt_tokens + s;
    const std::int64_t w = m_options.window;
    Tokens resident;
    HeadStep record;
    const auto [begin, end] = eligible(s);
    for (std::int64_t j = 0; j <= i; ++j) {
      if (j < m_options.sinks || i - j < w) {
        resident.push_back(static_cast<std::int32_t>(j));
      }
    }
    record.eligible = end - begin;
    record.top = m_options.scorer == RetrievalScorer::kNone
                     ? 0
                     : std::min(record.eligible, m_options.top.at(i + 1));
    std::vector<Vector> near_scores;
    std::vector<Vector> final_scores;
    std::set<std::int32_t> chosen_by_any;
    double selecting = 0.0;
    for (std::int64_t g = 0; g < m_group; ++g) {
      Scores scores = scores_of(g, s);
      m_wrope.add(scores.near, scores.far, begin, end);
      m_vq.add(m_options.scorer == RetrievalScorer::kVqPostRope ? scores.near : scores.far,
               scores.method, begin, end);
      m_score.add(scores.near, scores.method, begin, end);
      ReferenceQuery& query = head.queries[static_cast<std::size_t>(g)].emplace_back();
      query.top =
          (*m_tops)[static_cast<std::size_t>(s)][static_cast<std::size_t>(m_kv_head * m_group + g)];
      const std::int64_t count = m_options.mass ? needed(scores, begin, end, query.top) : query.top;
      query.chosen = top_of(scores.method, begin, end, count);
      if (count > 0) {
        const auto k = static_cast<double>(count);
        const Tokens oracle = top_of(scores.near, begin, end, count);
        const Tokens wrope = top_of(scores.far, begin, end, count);
        query.recall = shared(query.chosen, oracle) / k;
        query.recall_vs_wrope = shared(query.chosen, wrope) / k;
        query.wrope_recall = shared(wrope, oracle) / k;
        double least = HUGE_VAL;
        for (const std::int32_t j : query.chosen) {
          least = std::min(least, scores.method[static_cast<std::size_t>(j)]);
        }
        record.boundary_ties += static_cast<double>(
            std::count(scores.method.begin() + begin, scores.method.begin() + end, least));
        record.recall += query.recall;
        record.recall_vs_wrope += query.recall_vs_wrope;
        record.wrope_recall += query.wrope_recall;
        selecting += 1.0;
      }
      record.selected += static_cast<double>(count) / static_cast<double>(m_group);
      chosen_by_any.insert(query.chosen.begin(), query.chosen.end());
      near_scores.push_back(std::move(scores.near));
      final_scores.push_back(m_options.final_attention == FinalAttention::kWrope
                                 ? std::move(scores.windowed)
                                 : near_scores.back());
    }
    for (double* sum :
         {&record.boundary_ties, &record.recall, &record.recall_vs_wrope, &record.wrope_recall}) {
      *sum /= std::max(1.0, selecting);
    }
    const Tokens retrieved(chosen_by_any.begin(), chosen_by_any.end());
    Tokens attended = resident;
    attended.insert(attended.end(), retrieved.begin(), retrieved.end());
    Tokens all(static_cast<std::size_t>(i) + 1);
    std::iota(all.begin(), all.end(), 0);
    const auto group = static_cast<double>(m_group);
    for (std::size_t g = 0; g < near_scores.size(); ++g) {
      ReferenceQuery& query = head.queries[g].back();
      query.dense = attend(near_scores[g], all, m_values);
      query.sparse = attend(final_scores[g], attended, m_values);
      query.captured_mass = mass_of(near_scores[g], attended);
      query.retrieved_mass = mass_of(near_scores[g], retrieved);
      query.output_error = norm(minus(query.dense, query.sparse)) / norm(query.dense);
      record.captured_mass += query.captured_mass / group;
      record.retrieved_mass += query.retrieved_mass / group;
      record.output_error += query.output_error / group;
    }
    finish(retrieved, attended, begin, end, head, record);
  }

  void finish(const Tokens& retrieved, const Tokens& attended, std::int64_t begin, std::int64_t end,
              ReferenceHead& head, HeadStep& record) {
    record.union_tokens = static_cast<std::int64_t>(retrieved.size());
    record.attended = static_cast<std::int64_t>(attended.size());
    if (const auto& needle = m_trace.header().needle) {
      for (std::int64_t j = needle->begin; j < needle->end; ++j) {
        record.needle_eligible += j >= begin && j < end ? 1 : 0;
        record.needle_retrieved +=
            std::count(retrieved.begin(), retrieved.end(), static_cast<std::int32_t>(j));
      }
    }
    if (!head.unions.empty() && !retrieved.empty()) {
      record.overlap =
          shared(retrieved, head.unions.back()) / static_cast<double>(retrieved.size());
    }
    Tokens missing;
    const auto step = static_cast<std::int64_t>(head.steps.size());
    for (const std::int32_t j : retrieved) {
      if (const auto found = m_hot.find(j); found != m_hot.end()) {
        ++record.hot_hits;
        found->second = {found->second.first + 1, step};
      } else {
        missing.push_back(j);
      }
    }
    for (const std::int32_t j : missing) {
      keep(j, step);
    }
    for (const std::int32_t j : retrieved) {
      record.fetch_pieces +=
          std::find(retrieved.begin(), retrieved.end(), j - 1) == retrieved.end() ? 1 : 0;
    }
    head.steps.push_back(record);
    head.unions.push_back(retrieved);
  }

  /// Puts a missing token into the hot buffer, if a slot is free or its token is not used now.
  void keep(std::int32_t token, std::int64_t step) {
    if (static_cast<std::int64_t>(m_hot.size()) < m_options.hot_buffer) {
      m_hot[token] = {1, step};
      return;
    }
    auto leaving = m_hot.end();
    for (auto held = m_hot.begin(); held != m_hot.end(); ++held) {  // ascending: lowest in a tie
      const bool lfu = m_options.hot_policy == HotPolicy::kLfu;
      const auto order = [&](const auto& entry) {
        return std::pair(lfu ? entry.second.first : 0, entry.second.second);
      };
      if (held->second.second < step &&
          (leaving == m_hot.end() || order(*held) < order(*leaving))) {
        leaving = held;
      }
    }
    if (leaving != m_hot.end()) {
      m_hot.erase(leaving);
      m_hot[token] = {1, step};
    }
  }

  const traces::Trace& m_trace;
  const traces::TraceLayer& m_layer;
  const RetrievalOptions& m_options;
  const std::vector<std::vector<std::int64_t>>* m_tops = nullptr;
  std::int64_t m_group;
  std::int64_t m_kv_head;
  ScorerReference m_scorer;
  std::vector<Vector> m_values;
  std::vector<std::vector<Vector>> m_queries;                           // [G][m][d]
  std::map<std::int32_t, std::pair<std::int64_t, std::int64_t>> m_hot;  // uses, last use
  Errors m_wrope;
  Errors m_vq;
  Errors m_score;
};

}  // namespace

ReferenceRetrieval reference_retrieval(const traces::Trace& trace, std::size_t index,
                                       const RetrievalOptions& options, const Codebook* codebook) {
  const traces::TraceLayer layer = trace.layer(index);
  const traces::ModelShape& model = trace.header().model;
  const auto steps = static_cast<std::size_t>(trace.header().decode_tokens);
  const auto width = static_cast<std::size_t>(model.width);
  ReferenceRetrieval result;
  std::vector<Vector> output(steps, Vector(width, 0.0));
  std::vector<Vector> lost(steps, Vector(width, 0.0));
  std::vector<Head> heads;
  for (std::int64_t kv_head = 0; kv_head < model.kv_heads; ++kv_head) {
    heads.emplace_back(trace, layer, kv_head, options, codebook);
  }
  std::vector<std::vector<std::int64_t>> tops;
  for (std::int64_t s = 0; s < trace.header().decode_tokens; ++s) {
    const auto [begin, end] = heads[0].eligible(s);
    const std::int64_t k =
        options.scorer == RetrievalScorer::kNone
            ? 0
            : std::min(end - begin, options.top.at(trace.header().prompt_tokens + s + 1));
    tops.emplace_back(static_cast<std::size_t>(model.q_heads), k);
    if (options.budget == RetrievalBudget::kAdaptive) {
      std::vector<Vector> attention;
      for (std::int64_t q_head = 0; q_head < model.q_heads; ++q_head) {
        attention.push_back(heads[static_cast<std::size_t>(q_head / model.group())].attention(
            q_head % model.group(), s));
      }
      tops.back() = shared_out(attention, k, options.alpha.value());
    }
  }
  for (std::int64_t kv_head = 0; kv_head < model.kv_heads; ++kv_head) {
    result.heads.push_back(heads[static_cast<std::size_t>(kv_head)].run(tops));
    ReferenceHead& head = result.heads.back();
    for (std::size_t s = 0; s < steps; ++s) {
      Vector unit(width, 0.0);
      for (std::int64_t g = 0; g < model.group(); ++g) {
        const std::vector<Vector> w = rows_of(layer.wo, kv_head * model.group() + g);
        const ReferenceQuery& query = head.queries[static_cast<std::size_t>(g)][s];
        const Vector whole = projected(query.dense, w);
        const Vector part = projected(minus(query.dense, query.sparse), w);
        for (std::size_t c = 0; c < width; ++c) {
          output[s][c] += whole[c];
          unit[c] += part[c];
        }
      }
      head.steps[s].l1_loss = abs_sum(unit);
      for (std::size_t c = 0; c < width; ++c) {
        lost[s][c] += unit[c];
      }
    }
  }
  for (std::size_t s = 0; s < steps; ++s) {
    result.steps.push_back(
        {norm(lost[s]) / norm(output[s]), abs_sum(lost[s]), abs_sum(lost[s]) / abs_sum(output[s])});
  }
  return result;
}

}  // namespace kvsieve::sim::tests
