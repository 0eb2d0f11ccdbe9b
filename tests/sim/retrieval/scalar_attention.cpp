#include "sim/retrieval/scalar_attention.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <set>

#include "kvsieve/traces/dtype.h"
#include "kvsieve/traces/rope.h"

namespace kvsieve::sim::tests {

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

double norm(const Vector& x) {
  return std::sqrt(std::inner_product(x.begin(), x.end(), x.begin(), 0.0));
}

Vector minus(Vector a, const Vector& b) {
  std::transform(a.begin(), a.end(), b.begin(), a.begin(), std::minus<>());
  return a;
}

Tokens ranked(const Vector& scores, std::int64_t begin, std::int64_t end) {
  Tokens tokens;
  for (std::int64_t j = begin; j < end; ++j) {
    tokens.push_back(static_cast<std::int32_t>(j));
  }
  std::sort(tokens.begin(), tokens.end(), [&](std::int32_t a, std::int32_t b) {
    const double of_a = scores[static_cast<std::size_t>(a)];
    const double of_b = scores[static_cast<std::size_t>(b)];
    return of_a != of_b ? of_a > of_b : a > b;
  });
  return tokens;
}

Tokens top_of(const Vector& scores, std::int64_t begin, std::int64_t end, std::int64_t k) {
  Tokens tokens = ranked(scores, begin, end);
  tokens.resize(static_cast<std::size_t>(k));
  std::sort(tokens.begin(), tokens.end());
  return tokens;
}

double shared(const Tokens& a, const Tokens& b) {
  const std::set<std::int32_t> members(a.begin(), a.end());
  return static_cast<double>(
      std::count_if(b.begin(), b.end(), [&](std::int32_t j) { return members.count(j) > 0; }));
}

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

}  // namespace kvsieve::sim::tests
