#include "kernels/adakv/window_scores_reference.h"

#include <algorithm>
#include <cmath>

namespace kvsieve::kernels::tests {

std::vector<std::int64_t> reference_viewers(std::span<const std::int32_t> positions, std::int64_t n,
                                            const traces::AttentionSpec& attention) {
  std::vector<std::int64_t> viewers(static_cast<std::size_t>(n), 0);
  for (std::int64_t j = 0; j < n; ++j) {
    for (const std::int32_t position : positions) {
      viewers[static_cast<std::size_t>(j)] += sees(attention, position, j) ? 1 : 0;
    }
  }
  return viewers;
}

Matrix reference_column_means(const Matrix& queries, std::span<const std::int32_t> positions,
                              const Matrix& keys, std::int64_t n,
                              const traces::AttentionSpec& attention) {
  const auto per_member = static_cast<std::int64_t>(positions.size());
  const std::int64_t members = queries.rows / per_member;
  const std::vector<std::int64_t> viewers = reference_viewers(positions, n, attention);
  const Matrix visible_keys = rows_of(keys, 0, n);
  Matrix means(members, n);
  for (std::int64_t g = 0; g < members; ++g) {
    const Matrix weights = reference_softmax(
        reference_scores(rows_of(queries, g * per_member, per_member), visible_keys, attention),
        positions, attention);
    for (std::int64_t j = 0; j < n; ++j) {
      double sum = 0.0;
      for (std::int64_t r = 0; r < per_member; ++r) {
        sum += weights.at(r, j);
      }
      const auto count = static_cast<double>(viewers[static_cast<std::size_t>(j)]);
      means.at(g, j) = count > 0.0 ? sum / count : 0.0;
    }
  }
  return means;
}

std::vector<double> reference_reduce(const Matrix& scores, GroupReduce reduce) {
  std::vector<double> reduced;
  for (std::int64_t j = 0; j < scores.cols; ++j) {
    double sum = 0.0;
    double largest = -HUGE_VAL;
    for (std::int64_t g = 0; g < scores.rows; ++g) {
      sum += scores.at(g, j);
      largest = std::max(largest, scores.at(g, j));
    }
    reduced.push_back(reduce == GroupReduce::kMean ? sum / static_cast<double>(scores.rows)
                                                   : largest);
  }
  return reduced;
}

std::vector<double> reference_pool(const std::vector<double>& scores, const Pooling& pooling) {
  if (pooling.kind == Pooling::Kind::kNone) {
    return scores;
  }
  const bool max = pooling.kind == Pooling::Kind::kMax;
  const auto pad = static_cast<std::size_t>(pooling.kernel / 2);
  std::vector<double> padded(scores.size() + 2 * pad, max ? -HUGE_VAL : 0.0);
  std::copy(scores.begin(), scores.end(), padded.begin() + static_cast<std::ptrdiff_t>(pad));
  std::vector<double> pooled;
  for (std::size_t j = 0; j < scores.size(); ++j) {
    double sum = 0.0;
    double largest = -HUGE_VAL;
    for (std::size_t i = 0; i < static_cast<std::size_t>(pooling.kernel); ++i) {
      sum += padded[j + i];
      largest = std::max(largest, padded[j + i]);
    }
    pooled.push_back(max ? largest : sum / static_cast<double>(pooling.kernel));
  }
  return pooled;
}

}  // namespace kvsieve::kernels::tests
