#include "kernels/adakv/eviction_loss_reference.h"

#include <cmath>

namespace kvsieve::kernels::tests {

HeadLossReference reference_head_loss(const Matrix& queries,
                                      std::span<const std::int32_t> positions, const Matrix& keys,
                                      const Matrix& values, const traces::AttentionSpec& attention,
                                      std::span<const std::int32_t> kept_tokens,
                                      std::span<const double> norms) {
  const Matrix scores = reference_scores(queries, keys, attention);
  const Matrix weights = reference_softmax(scores, positions, attention);
  std::vector<bool> keeps(static_cast<std::size_t>(keys.rows), false);
  for (const std::int32_t token : kept_tokens) {
    keeps[static_cast<std::size_t>(token)] = true;
  }
  HeadLossReference result{
      reference_weighted_values(weights, values), Matrix(queries.rows, values.cols), {}, {}, {}};
  for (std::int64_t r = 0; r < queries.rows; ++r) {
    const std::int64_t position = positions[static_cast<std::size_t>(r)];
    double largest = -HUGE_VAL;
    double mass = 0.0;
    double total = 0.0;
    double kept = 0.0;
    for (std::int64_t j = 0; j < keys.rows; ++j) {
      const auto slot = static_cast<std::size_t>(j);
      const double norm = norms.empty() ? 0.0 : norms[slot];
      total += weights.at(r, j) * norm;
      if (keeps[slot]) {
        mass += weights.at(r, j);
        kept += weights.at(r, j) * norm;
        if (sees(attention, position, j)) {
          largest = std::max(largest, scores.at(r, j));
        }
      }
    }
    double sum = 0.0;
    for (std::int64_t j = 0; j < keys.rows; ++j) {
      if (keeps[static_cast<std::size_t>(j)] && sees(attention, position, j)) {
        const double weight = std::exp(scores.at(r, j) - largest);
        sum += weight;
        for (std::int64_t t = 0; t < values.cols; ++t) {
          result.kept_output.at(r, t) += weight * values.at(j, t);
        }
      }
    }
    for (std::int64_t t = 0; t < values.cols && sum > 0.0; ++t) {
      result.kept_output.at(r, t) /= sum;
    }
    result.mass.push_back(mass);
    result.total.push_back(total);
    result.kept.push_back(kept);
  }
  return result;
}

}  // namespace kvsieve::kernels::tests
