#include "sim/retrieval/scorer_reference.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "kvsieve/kernels/codebook_training.h"
#include "kvsieve/kernels/head_tensors.h"
#include "kvsieve/traces/rope.h"

namespace kvsieve::sim::tests {
namespace {

std::size_t nearest(const Vector& x, const std::vector<Vector>& centroids) {
  std::size_t best = 0;
  double least = HUGE_VAL;
  for (std::size_t m = 0; m < centroids.size(); ++m) {
    const Vector gap = minus(x, centroids[m]);
    const double distance = std::inner_product(gap.begin(), gap.end(), gap.begin(), 0.0);
    if (distance < least) {
      least = distance;
      best = m;
    }
  }
  return best;
}

}  // namespace

ScorerReference::ScorerReference(const traces::Trace& trace, const traces::TraceLayer& layer,
                                 std::int64_t kv_head, const RetrievalOptions& options,
                                 const Codebook* codebook)
    : m_layer(layer), m_options(options), m_kv_head(kv_head), m_keys(rows_of(layer.k, kv_head)) {
  for (std::size_t j = 0; j < m_keys.size(); ++j) {
    m_rotated_keys.push_back(rotated(m_keys[j], static_cast<double>(j), layer.spec.rope));
  }
  if (codebook != nullptr) {
    encode(*codebook);
  }
  build_index(trace);
}

void ScorerReference::encode(const Codebook& codebook) {
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
  Vector mean(d, 0.0);
  if (codebook.info().center_keys) {
    mean = rows_of(book.mean, m_kv_head)[0];
  }
  const bool rotated = codebook.info().kind == CodebookKind::kPostRope;
  for (const Vector& key : rotated ? m_rotated_keys : m_keys) {
    std::size_t best = 0;
    double least = HUGE_VAL;
    for (std::size_t m = 0; m < m_codewords.size(); ++m) {
      const Vector gap = minus(minus(key, mean), m_codewords[m]);
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
  for (Vector& word : m_codewords) {
    std::transform(word.begin(), word.end(), mean.begin(), word.begin(), std::plus<>());
  }
}

void ScorerReference::build_index(const traces::Trace& trace) {
  const std::size_t d = m_keys[0].size();
  const std::int64_t prompt_tokens = trace.header().prompt_tokens;
  if (m_options.scorer == RetrievalScorer::kClusterCentroid) {
    const std::int64_t clusters =
        m_options.codewords > 0 ? m_options.codewords : auto_codewords(prompt_tokens);
    m_parts = {cluster(0, d, clusters, prompt_tokens)};
  }
  if (m_options.scorer == RetrievalScorer::kPq) {
    const std::size_t width = d / static_cast<std::size_t>(m_options.pq_subvectors);
    for (std::size_t first = 0; first < d; first += width) {
      m_parts.push_back(cluster(first, width, std::int64_t{1} << m_options.pq_bits, prompt_tokens));
    }
  }
  if (m_options.scorer == RetrievalScorer::kChannelSubset) {
    choose_channels(trace);
  }
}

/// Columns [first, first + width) of the rotated keys, the prompt's rows clustered. k-means walks
/// its own way from rows that differ in the last bit, so they are the replay's.
ScorerReference::Clusters ScorerReference::cluster(std::size_t first, std::size_t width,
                                                   std::int64_t clusters,
                                                   std::int64_t prompt_tokens) const {
  const std::size_t d = m_keys[0].size();
  const auto prompt = static_cast<std::size_t>(prompt_tokens);
  std::vector<float> keys(m_keys.size() * d);
  const traces::RopeTable table(m_layer.spec.rope, static_cast<std::int64_t>(d));
  const kernels::RopePhases phases(table, static_cast<std::int64_t>(m_keys.size()));
  kernels::load_rotated_rows(
      kernels::HeadSlice(m_layer.k, m_kv_head), phases,
      {keys.data(), static_cast<std::int64_t>(m_keys.size()), static_cast<std::int64_t>(d)});
  std::vector<float> points;
  for (std::size_t j = 0; j < prompt; ++j) {
    const auto row = keys.begin() + static_cast<std::ptrdiff_t>(j * d + first);
    points.insert(points.end(), row, row + static_cast<std::ptrdiff_t>(width));
  }
  const kernels::KMeansResult found = kernels::kmeans(
      {points.data(), static_cast<std::int64_t>(prompt), static_cast<std::int64_t>(width)},
      {.clusters = clusters, .max_iterations = m_options.max_iterations, .seed = m_options.seed});
  Clusters result;
  for (std::int64_t m = 0; m < clusters; ++m) {
    const auto row = found.centroids.begin() + m * static_cast<std::ptrdiff_t>(width);
    result.centroids.emplace_back(row, row + static_cast<std::ptrdiff_t>(width));
  }
  for (std::size_t j = 0; j < m_keys.size(); ++j) {
    const auto row = keys.begin() + static_cast<std::ptrdiff_t>(j * d + first);
    result.labels.push_back(
        nearest(Vector(row, row + static_cast<std::ptrdiff_t>(width)), result.centroids));
  }
  return result;
}

void ScorerReference::choose_channels(const traces::Trace& trace) {
  const std::int64_t group = trace.header().model.group();
  Vector of_queries(m_keys[0].size(), 0.0);
  for (std::int64_t g = 0; g < group; ++g) {
    const std::vector<Vector> all = rows_of(m_layer.q, m_kv_head * group + g);
    for (std::int64_t r = 0; r < trace.prompt_queries(); ++r) {
      const Vector q =
          rotated(all[static_cast<std::size_t>(r)],
                  trace.query_positions()[static_cast<std::size_t>(r)], m_layer.spec.rope);
      for (std::size_t t = 0; t < q.size(); ++t) {
        of_queries[t] += std::abs(q[t]);
      }
    }
  }
  std::vector<std::pair<double, std::size_t>> order;
  for (std::size_t t = 0; t < of_queries.size(); ++t) {
    double of_keys = 0.0;
    for (std::int64_t j = 0; j < trace.header().prompt_tokens; ++j) {
      of_keys += std::abs(m_rotated_keys[static_cast<std::size_t>(j)][t]);
    }
    order.emplace_back(-of_queries[t] * of_keys, t);
  }
  std::sort(order.begin(), order.end());
  for (std::int64_t c = 0; c < m_options.channels; ++c) {
    m_channels.insert(order[static_cast<std::size_t>(c)].second);
  }
}

Vector ScorerReference::scores(const Vector& q, const Vector& near, const Vector& far,
                               std::int64_t i) const {
  const traces::AttentionSpec& attention = m_layer.spec.attention;
  Vector found = far;
  switch (m_options.scorer) {
    case RetrievalScorer::kExact:
      return near;
    case RetrievalScorer::kVqQueryAware:
    case RetrievalScorer::kVqPlain: {
      const Vector moved = rotated(q, static_cast<double>(m_options.distance), m_layer.spec.rope);
      for (std::size_t j = 0; j < found.size(); ++j) {
        found[j] = score_of(moved, m_codewords[m_codes[j]], attention);
      }
      return found;
    }
    case RetrievalScorer::kVqPostRope: {
      const Vector turned = rotated(q, static_cast<double>(i), m_layer.spec.rope);
      for (std::size_t j = 0; j < found.size(); ++j) {
        found[j] = score_of(turned, m_codewords[m_codes[j]], attention);
      }
      return found;
    }
    case RetrievalScorer::kPq:
    case RetrievalScorer::kClusterCentroid: {
      const Vector turned = rotated(q, static_cast<double>(i), m_layer.spec.rope);
      for (std::size_t j = 0; j < found.size(); ++j) {
        Vector key;
        for (const Clusters& part : m_parts) {
          const Vector& centroid = part.centroids[part.labels[j]];
          key.insert(key.end(), centroid.begin(), centroid.end());
        }
        found[j] = score_of(turned, key, attention);
      }
      return found;
    }
    case RetrievalScorer::kChunkMean: {
      const Vector turned = rotated(q, static_cast<double>(i), m_layer.spec.rope);
      for (std::size_t j = 0; j < found.size(); ++j) {
        Vector mean(turned.size(), 0.0);
        const std::size_t first = j / 8 * 8;
        for (std::size_t n = first; n < std::min(first + 8, m_keys.size()); ++n) {
          for (std::size_t t = 0; t < mean.size(); ++t) {
            mean[t] += m_rotated_keys[n][t] / 8.0;
          }
        }
        found[j] = score_of(turned, mean, attention);
      }
      return found;
    }
    case RetrievalScorer::kChannelSubset: {
      const Vector turned = rotated(q, static_cast<double>(i), m_layer.spec.rope);
      for (std::size_t j = 0; j < found.size(); ++j) {
        Vector key = m_rotated_keys[j];
        for (std::size_t t = 0; t < key.size(); ++t) {
          key[t] = m_channels.count(t) > 0 ? key[t] : 0.0;
        }
        found[j] = score_of(turned, key, attention);
      }
      return found;
    }
    case RetrievalScorer::kQuest: {
      const Vector turned = rotated(q, static_cast<double>(i), m_layer.spec.rope);
      for (std::size_t j = 0; j < found.size(); ++j) {
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
        found[j] = score_of(turned, bound, attention);
      }
      return found;
    }
    case RetrievalScorer::kExactWrope:
    case RetrievalScorer::kRandom:
    case RetrievalScorer::kNone:
      break;
  }
  return found;
}

}  // namespace kvsieve::sim::tests
