#include "kernels/attention/dense_attention_reference.h"

#include <algorithm>
#include <cmath>

namespace kvsieve::kernels::tests {

Matrix rows_of(const Matrix& matrix, std::int64_t first, std::int64_t count) {
  Matrix result(count, matrix.cols);
  std::copy_n(matrix.data.begin() + first * matrix.cols, count * matrix.cols, result.data.begin());
  return result;
}

Matrix magnitudes(Matrix matrix) {
  for (double& x : matrix.data) {
    x = std::abs(x);
  }
  return matrix;
}

Matrix reference_rope(Matrix rows, std::int64_t first_position, const traces::RopeSpec& spec) {
  for (std::int64_t r = 0; r < rows.rows; ++r) {
    for (std::int64_t t = 0; t < spec.dim / 2; ++t) {
      const double angle =
          static_cast<double>(first_position + r) *
          std::pow(spec.theta, -2.0 * static_cast<double>(t) / static_cast<double>(spec.dim));
      const double cos = std::cos(angle) * spec.attention_factor;
      const double sin = std::sin(angle) * spec.attention_factor;
      const bool half = spec.pairing == traces::RopePairing::kHalf;
      double& a = rows.at(r, half ? t : 2 * t);
      double& b = rows.at(r, half ? t + spec.dim / 2 : 2 * t + 1);
      const double turned = a * cos - b * sin;
      b = a * sin + b * cos;
      a = turned;
    }
  }
  return rows;
}

Matrix reference_scores(const Matrix& queries, const Matrix& keys,
                        const traces::AttentionSpec& attention) {
  Matrix scores(queries.rows, keys.rows);
  for (std::int64_t r = 0; r < queries.rows; ++r) {
    for (std::int64_t j = 0; j < keys.rows; ++j) {
      double sum = 0.0;
      for (std::int64_t t = 0; t < keys.cols; ++t) {
        sum += queries.at(r, t) * keys.at(j, t);
      }
      sum *= attention.scale;
      scores.at(r, j) =
          attention.softcap ? *attention.softcap * std::tanh(sum / *attention.softcap) : sum;
    }
  }
  return scores;
}

bool sees(const traces::AttentionSpec& attention, std::int64_t position, std::int64_t j) {
  return j <= position && (!attention.sliding_window || position - j < *attention.sliding_window);
}

Matrix reference_softmax(Matrix scores, std::span<const std::int32_t> positions,
                         const traces::AttentionSpec& attention) {
  for (std::int64_t r = 0; r < scores.rows; ++r) {
    const std::int64_t position = positions[static_cast<std::size_t>(r)];
    double largest = -HUGE_VAL;
    for (std::int64_t j = 0; j < scores.cols; ++j) {
      if (sees(attention, position, j)) {
        largest = std::max(largest, scores.at(r, j));
      }
    }
    double sum = 0.0;
    for (std::int64_t j = 0; j < scores.cols; ++j) {
      double& score = scores.at(r, j);
      score = sees(attention, position, j) ? std::exp(score - largest) : 0.0;
      sum += score;
    }
    for (std::int64_t j = 0; j < scores.cols && sum > 0.0; ++j) {
      scores.at(r, j) /= sum;
    }
  }
  return scores;
}

Matrix reference_weighted_values(const Matrix& weights, const Matrix& values) {
  return reference_product(weights, rows_of(values, 0, weights.cols));
}

Matrix reference_product(const Matrix& x, const Matrix& w) {
  Matrix product(x.rows, w.cols);
  for (std::int64_t r = 0; r < x.rows; ++r) {
    for (std::int64_t k = 0; k < x.cols; ++k) {
      for (std::int64_t c = 0; c < w.cols; ++c) {
        product.at(r, c) += x.at(r, k) * w.at(k, c);
      }
    }
  }
  return product;
}

std::vector<double> reference_value_norms(const Matrix& values, const Matrix& projection) {
  const Matrix projected = magnitudes(reference_product(values, projection));
  std::vector<double> norms(static_cast<std::size_t>(values.rows), 0.0);
  for (std::int64_t j = 0; j < values.rows; ++j) {
    for (std::int64_t c = 0; c < projected.cols; ++c) {
      norms[static_cast<std::size_t>(j)] += projected.at(j, c);
    }
  }
  return norms;
}

}  // namespace kvsieve::kernels::tests
