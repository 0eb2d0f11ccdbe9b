#include "sim/retrieval/retrieval_reference.h"

#include <algorithm>
#include <cmath>
#include <list>
#include <numeric>
#include <set>

#include "kvsieve/traces/dtype.h"
#include "kvsieve/traces/rope.h"

namespace kvsieve::sim::tests {
namespace {

using Tokens = std::vector<std::int32_t>;

double norm(const Vector& x) {
  return std::sqrt(std::inner_product(x.begin(), x.end(), x.begin(), 0.0));
}

Vector minus(Vector a, const Vector& b) {
  std::transform(a.begin(), a.end(), b.begin(), a.begin(), std::minus<>());
  return a;
}

Tokens top_of(const Vector& scores, std::int64_t begin, std::int64_t end, std::int64_t k) {
  Tokens tokens;
  for (std::int64_t j = begin; j < end; ++j) {
    tokens.push_back(static_cast<std::int32_t>(j));
  }
  std::sort(tokens.begin(), tokens.end(), [&](std::int32_t a, std::int32_t b) {
    const double of_a = scores[static_cast<std::size_t>(a)];
    const double of_b = scores[static_cast<std::size_t>(b)];
    return of_a != of_b ? of_a > of_b : a > b;
  });
  tokens.resize(static_cast<std::size_t>(k));
  std::sort(tokens.begin(), tokens.end());
  return tokens;
}

double shared(const Tokens& a, const Tokens& b) {
  const std::set<std::int32_t> members(a.begin(), a.end());
  return static_cast<double>(
      std::count_if(b.begin(), b.end(), [&](std::int32_t j) { return members.count(j) > 0; }));
}

/// softmax(scores) over the listed tokens times the values.
Vector attend(const Vector& scores, const Tokens& tokens, const std::vector<Vector>& values) {
  double largest = -HUGE_VAL;
  for (const std::int32_t j : tokens) {
    largest = std::max(largest, scores[static_cast<std::size_t>(j)]);
  }
  double sum = 0.0;
  Vector output(values[0].size(), 0.0);
  for (const std::int32_t j : tokens) {
    const double weight = std::exp(scores[static_cast<std::size_t>(j)] - largest);
    sum += weight;
    for (std::size_t t = 0; t < output.size(); ++t) {
      output[t] += weight * values[static_cast<std::size_t>(j)][t];
    }
  }
  for (double& x : output) {
    x /= sum;
  }
  return output;
}

double mass_of(const Vector& scores, const Tokens& tokens) {
  const double largest = *std::max_element(scores.begin(), scores.end());
  double total = 0.0;
  for (const double score : scores) {
    total += std::exp(score - largest);
  }
  double mass = 0.0;
  for (const std::int32_t j : tokens) {
    mass += std::exp(scores[static_cast<std::size_t>(j)] - largest) / total;
  }
  return mass;
}

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

class Head {
 public:
  Head(const traces::Trace& trace, const traces::TraceLayer& layer, std::int64_t kv_head,
       const RetrievalOptions& options, const Codebook* codebook)
      : m_trace(trace),
        m_layer(layer),
        m_options(options),
        m_group(trace.header().model.group()),
        m_kv_head(kv_head),
        m_keys(rows_of(layer.k, kv_head)),
        m_values(rows_of(layer.v, kv_head)) {
    for (std::size_t j = 0; j < m_keys.size(); ++j) {
      m_rotated_keys.push_back(rotated(m_keys[j], static_cast<double>(j), layer.spec.rope));
    }
    for (std::int64_t g = 0; g < m_group; ++g) {
      m_queries.push_back(rows_of(layer.q, kv_head * m_group + g));
      m_queries.back().erase(m_queries.back().begin(),
                             m_queries.back().begin() + trace.prompt_queries());
    }
    if (codebook != nullptr) {
      encode(*codebook);
    }
  }

  ReferenceHead run() {
    ReferenceHead head;
    head.queries.resize(static_cast<std::size_t>(m_group));
    for (std::int64_t s = 0; s < m_trace.header().decode_tokens; ++s) {
      step(s, head);
    }
    head.wrope_mse = m_wrope.squared / m_wrope.count;
    head.wrope_nmse = m_wrope.squared / m_wrope.variation;
    head.vq_mse = m_vq.squared / m_vq.count;
    head.vq_nmse = m_vq.squared / m_vq.variation;
    return head;
  }

 private:
  void encode(const Codebook& codebook) {
    const CodebookLayer& book = *codebook.find(m_layer.layer);
    m_codewords = rows_of(book.codewords, m_kv_head);
    const std::vector<Vector> lower = rows_of(book.cholesky, m_kv_head);
    const std::size_t d = lower.size();
    std::vector<Vector> h(d, Vector(d, 0.0));
    for (std::size_t a = 0; a < d; ++a) {
      for (std::size_t b = 0; b < d; ++b) {
        h[a][b] = std::inner_product(lower[a].begin(), lower[a].end(), lower[b].begin(), 0.0);
      }
    }
    for (const Vector& key : m_keys) {
      std::size_t best = 0;
      double least = HUGE_VAL;
      for (std::size_t m = 0; m < m_codewords.size(); ++m) {
        const Vector gap = minus(key, m_codewords[m]);
        double distance = 0.0;
        for (std::size_t a = 0; a < d; ++a) {
          distance += gap[a] * std::inner_product(gap.begin(), gap.end(), h[a].begin(), 0.0);
        }
        if (distance < least) {
          least = distance;
          best = m;
        }
      }
      m_codes.push_back(best);
    }
  }

  [[nodiscard]] Vector method_scores(const Vector& q, const Vector& near, const Vector& far,
                                     std::int64_t i) const {
    const traces::AttentionSpec& attention = m_layer.spec.attention;
    Vector scores = far;
    switch (m_options.scorer) {
      case RetrievalScorer::kExact:
        return near;
      case RetrievalScorer::kVqQueryAware:
      case RetrievalScorer::kVqPlain: {
        const Vector moved = rotated(q, static_cast<double>(m_options.distance), m_layer.spec.rope);
        for (std::size_t j = 0; j < scores.size(); ++j) {
          scores[j] = score_of(moved, m_codewords[m_codes[j]], attention);
        }
        return scores;
      }
      case RetrievalScorer::kQuest: {
        const Vector turned = rotated(q, static_cast<double>(i), m_layer.spec.rope);
        for (std::size_t j = 0; j < scores.size(); ++j) {
          Vector bound(turned.size());
          const std::size_t first = j / 16 * 16;
          for (std::size_t t = 0; t < turned.size(); ++t) {
            double low = HUGE_VAL;
            double high = -HUGE_VAL;
            for (std::size_t n = first; n < std::min(first + 16, m_keys.size()); ++n) {
              low = std::min(low, m_rotated_keys[n][t]);
              high = std::max(high, m_rotated_keys[n][t]);
            }
            bound[t] = turned[t] * low > turned[t] * high ? low : high;
          }
          scores[j] = score_of(turned, bound, attention);
        }
        return scores;
      }
      case RetrievalScorer::kExactWrope:
      case RetrievalScorer::kRandom:
      case RetrievalScorer::kNone:
        break;
    }
    return scores;
  }

  void step(std::int64_t s, ReferenceHead& head) {
    const std::int64_t i = m_trace.header().prompt_tokens + s;
    const std::int64_t w = m_options.window;
    Tokens resident;
    HeadStep record;
    std::int64_t begin = i + 1;
    std::int64_t end = 0;
    for (std::int64_t j = 0; j <= i; ++j) {
      if (j < m_options.sinks || i - j < w) {
        resident.push_back(static_cast<std::int32_t>(j));
      } else {
        begin = std::min(begin, j);
        end = j + 1;
        ++record.eligible;
      }
    }
    begin = std::min(begin, end);
    record.top = m_options.scorer == RetrievalScorer::kNone
                     ? 0
                     : std::min(record.eligible, m_options.top.at(i + 1));
    std::vector<Vector> near_scores;
    std::vector<Vector> final_scores;
    std::set<std::int32_t> chosen_by_any;
    for (std::int64_t g = 0; g < m_group; ++g) {
      const Vector& q = m_queries[static_cast<std::size_t>(g)][static_cast<std::size_t>(s)];
      const Vector turned = rotated(q, static_cast<double>(i), m_layer.spec.rope);
      const Vector moved = rotated(q, static_cast<double>(m_options.distance), m_layer.spec.rope);
      Vector near;
      Vector far;
      Vector windowed;
      for (std::int64_t j = 0; j <= i; ++j) {
        const auto token = static_cast<std::size_t>(j);
        near.push_back(score_of(turned, m_rotated_keys[token], m_layer.spec.attention));
        far.push_back(score_of(moved, m_keys[token], m_layer.spec.attention));
        windowed.push_back(i - j < w ? near.back() : far.back());
      }
      const Vector scores = method_scores(q, near, far, i);
      m_wrope.add(near, far, begin, end);
      m_vq.add(far, scores, begin, end);
      ReferenceQuery& query = head.queries[static_cast<std::size_t>(g)].emplace_back();
      query.chosen = top_of(scores, begin, end, record.top);
      if (record.top > 0) {
        const auto k = static_cast<double>(record.top);
        const Tokens oracle = top_of(near, begin, end, record.top);
        const Tokens wrope = top_of(far, begin, end, record.top);
        query.recall = shared(query.chosen, oracle) / k;
        query.recall_vs_wrope = shared(query.chosen, wrope) / k;
        query.wrope_recall = shared(wrope, oracle) / k;
        double least = HUGE_VAL;
        for (const std::int32_t j : query.chosen) {
          least = std::min(least, scores[static_cast<std::size_t>(j)]);
        }
        record.boundary_ties +=
            static_cast<double>(std::count(scores.begin() + begin, scores.begin() + end, least)) /
            static_cast<double>(m_group);
      }
      chosen_by_any.insert(query.chosen.begin(), query.chosen.end());
      near_scores.push_back(std::move(near));
      final_scores.push_back(m_options.final_attention == FinalAttention::kWrope
                                 ? std::move(windowed)
                                 : near_scores.back());
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
      record.recall += query.recall / group;
      record.recall_vs_wrope += query.recall_vs_wrope / group;
      record.wrope_recall += query.wrope_recall / group;
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
    for (const std::int32_t j : retrieved) {
      const auto found = std::find(m_hot.begin(), m_hot.end(), j);
      if (found == m_hot.end()) {
        missing.push_back(j);
      } else {
        ++record.hot_hits;
        m_hot.erase(found);
        m_hot.push_back(j);
      }
    }
    for (const std::int32_t j : missing) {
      if (m_options.hot_buffer > 0) {
        if (static_cast<std::int64_t>(m_hot.size()) == m_options.hot_buffer) {
          m_hot.pop_front();
        }
        m_hot.push_back(j);
      }
    }
    for (const std::int32_t j : missing) {
      record.fetch_pieces +=
          std::find(missing.begin(), missing.end(), j - 1) == missing.end() ? 1 : 0;
    }
    head.steps.push_back(record);
    head.unions.push_back(retrieved);
  }

  const traces::Trace& m_trace;
  const traces::TraceLayer& m_layer;
  const RetrievalOptions& m_options;
  std::int64_t m_group;
  std::int64_t m_kv_head;
  std::vector<Vector> m_keys;
  std::vector<Vector> m_rotated_keys;
  std::vector<Vector> m_values;
  std::vector<std::vector<Vector>> m_queries;  // [G][m][d]
  std::vector<Vector> m_codewords;
  std::vector<std::size_t> m_codes;
  std::list<std::int32_t> m_hot;  // oldest first
  Errors m_wrope;
  Errors m_vq;
};

Vector projected(const Vector& x, const std::vector<Vector>& w) {
  Vector y(w[0].size(), 0.0);
  for (std::size_t t = 0; t < x.size(); ++t) {
    for (std::size_t c = 0; c < y.size(); ++c) {
      y[c] += x[t] * w[t][c];
    }
  }
  return y;
}

double abs_sum(const Vector& x) {
  return std::accumulate(x.begin(), x.end(), 0.0,
                         [](double sum, double value) { return sum + std::abs(value); });
}

}  // namespace

std::vector<Vector> rows_of(const traces::TensorView& tensor, std::int64_t head) {
  const auto rows = static_cast<std::size_t>(tensor.shape[1]);
  const auto cols = static_cast<std::size_t>(tensor.shape[2]);
  std::vector<float> values(rows * cols);
  traces::to_float(
      tensor.dtype,
      tensor.data + static_cast<std::size_t>(head) * rows * cols * traces::size_of(tensor.dtype),
      values);
  std::vector<Vector> result;
  for (std::size_t r = 0; r < rows; ++r) {
    result.emplace_back(values.begin() + static_cast<std::ptrdiff_t>(r * cols),
                        values.begin() + static_cast<std::ptrdiff_t>((r + 1) * cols));
  }
  return result;
}

Vector rotated(Vector x, double position, const traces::RopeSpec& spec) {
  const std::vector<double> frequencies = traces::rope_frequencies(spec);
  const std::size_t pairs = frequencies.size();
  for (std::size_t t = 0; t < pairs; ++t) {
    const bool half = spec.pairing == traces::RopePairing::kHalf;
    double& a = x[half ? t : 2 * t];
    double& b = x[half ? t + pairs : 2 * t + 1];
    const double cos = std::cos(position * frequencies[t]) * spec.attention_factor;
    const double sin = std::sin(position * frequencies[t]) * spec.attention_factor;
    const double turned = a * cos - b * sin;
    b = a * sin + b * cos;
    a = turned;
  }
  return x;
}

double score_of(const Vector& q, const Vector& k, const traces::AttentionSpec& attention) {
  const double score = attention.scale * std::inner_product(q.begin(), q.end(), k.begin(), 0.0);
  return attention.softcap ? *attention.softcap * std::tanh(score / *attention.softcap) : score;
}

ReferenceRetrieval reference_retrieval(const traces::Trace& trace, std::size_t index,
                                       const RetrievalOptions& options, const Codebook* codebook) {
  const traces::TraceLayer layer = trace.layer(index);
  const traces::ModelShape& model = trace.header().model;
  const auto steps = static_cast<std::size_t>(trace.header().decode_tokens);
  const auto width = static_cast<std::size_t>(model.width);
  ReferenceRetrieval result;
  std::vector<Vector> output(steps, Vector(width, 0.0));
  std::vector<Vector> lost(steps, Vector(width, 0.0));
  for (std::int64_t kv_head = 0; kv_head < model.kv_heads; ++kv_head) {
    result.heads.push_back(Head(trace, layer, kv_head, options, codebook).run());
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
