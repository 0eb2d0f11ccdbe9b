#include "kernels/a2ats/a2ats_reference.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

namespace kvsieve::kernels::tests {

Matrix reference_moment(const Matrix& queries) {
  Matrix h(queries.cols, queries.cols);
  for (std::int64_t r = 0; r < queries.rows; ++r) {
    for (std::int64_t a = 0; a < h.rows; ++a) {
      for (std::int64_t b = 0; b < h.cols; ++b) {
        h.at(a, b) += queries.at(r, a) * queries.at(r, b);
      }
    }
  }
  return h;
}

Matrix reference_regularised(const Matrix& moment) {
  double squares = 0.0;
  for (const double x : moment.data) {
    squares += x * x;
  }
  const double rms = std::sqrt(squares / static_cast<double>(moment.data.size()));
  Matrix h = moment;
  for (double& x : h.data) {
    x /= rms;
  }
  for (std::int64_t t = 0; t < h.rows; ++t) {
    h.at(t, t) += 1e-6;
  }
  return h;
}

Matrix reference_cholesky(const Matrix& matrix) {
  Matrix lower(matrix.rows, matrix.cols);
  for (std::int64_t r = 0; r < matrix.rows; ++r) {
    for (std::int64_t c = 0; c <= r; ++c) {
      double sum = matrix.at(r, c);
      for (std::int64_t t = 0; t < c; ++t) {
        sum -= lower.at(r, t) * lower.at(c, t);
      }
      lower.at(r, c) = r == c ? std::sqrt(sum) : sum / lower.at(c, c);
    }
  }
  return lower;
}

Matrix transposed(const Matrix& matrix) {
  Matrix result(matrix.cols, matrix.rows);
  for (std::int64_t r = 0; r < matrix.rows; ++r) {
    for (std::int64_t c = 0; c < matrix.cols; ++c) {
      result.at(c, r) = matrix.at(r, c);
    }
  }
  return result;
}

double reference_distance(const Matrix& keys, std::int64_t k, const Matrix& codewords,
                          std::int64_t c, const Matrix& h) {
  double sum = 0.0;
  for (std::int64_t a = 0; a < h.rows; ++a) {
    for (std::int64_t b = 0; b < h.cols; ++b) {
      sum +=
          (keys.at(k, a) - codewords.at(c, a)) * h.at(a, b) * (keys.at(k, b) - codewords.at(c, b));
    }
  }
  return sum;
}

std::vector<Nearest> reference_codes(const Matrix& keys, const Matrix& codewords, const Matrix& h) {
  std::vector<Nearest> nearest;
  for (std::int64_t k = 0; k < keys.rows; ++k) {
    Nearest best{0, std::numeric_limits<double>::infinity(), 0.0};
    double second = std::numeric_limits<double>::infinity();
    for (std::int64_t c = 0; c < codewords.rows; ++c) {
      const double distance = reference_distance(keys, k, codewords, c, h);
      if (distance < best.distance) {
        second = best.distance;
        best.code = c;
        best.distance = distance;
      } else {
        second = std::min(second, distance);
      }
    }
    best.margin = second - best.distance;
    nearest.push_back(best);
  }
  return nearest;
}

EncodingReference::EncodingReference(const Matrix& codewords, const Matrix& lower)
    : m_center(static_cast<std::size_t>(lower.rows), 0.0),
      m_biases(static_cast<std::size_t>(codewords.rows)) {
  Matrix centered = codewords;
  for (std::int64_t t = 0; t < lower.rows; ++t) {
    double& mean = m_center[static_cast<std::size_t>(t)];
    for (std::int64_t m = 0; m < codewords.rows; ++m) {
      mean += codewords.at(m, t) / static_cast<double>(codewords.rows);
    }
    for (std::int64_t m = 0; m < codewords.rows; ++m) {
      centered.at(m, t) -= mean;
    }
  }
  const Matrix offsets = reference_product(centered, lower);
  for (std::int64_t m = 0; m < codewords.rows; ++m) {
    for (std::int64_t t = 0; t < lower.cols; ++t) {
      m_biases[static_cast<std::size_t>(m)] += offsets.at(m, t) * offsets.at(m, t) / 2.0;
    }
  }
  m_weights = reference_product(offsets, transposed(lower));
}

double EncodingReference::distance(std::span<const double> key, std::int64_t codeword) const {
  double sum = m_biases[static_cast<std::size_t>(codeword)];
  for (std::int64_t t = 0; t < m_weights.cols; ++t) {
    sum -= (key[static_cast<std::size_t>(t)] - m_center[static_cast<std::size_t>(t)]) *
           m_weights.at(codeword, t);
  }
  return sum;
}

std::int64_t EncodingReference::code(std::span<const double> key) const {
  std::int64_t best = 0;
  double least = distance(key, 0);
  for (std::int64_t m = 1; m < m_weights.rows; ++m) {
    const double of_codeword = distance(key, m);
    if (of_codeword < least) {
      best = m;
      least = of_codeword;
    }
  }
  return best;
}

double EncodingReference::bound(std::span<const double> key) const {
  double largest = 0.0;
  for (std::int64_t m = 0; m < m_weights.rows; ++m) {
    double sum = std::abs(m_biases[static_cast<std::size_t>(m)]);
    for (std::int64_t t = 0; t < m_weights.cols; ++t) {
      sum += std::abs((key[static_cast<std::size_t>(t)] - m_center[static_cast<std::size_t>(t)]) *
                      m_weights.at(m, t));
    }
    largest = std::max(largest, sum);
  }
  return 2.0 * static_cast<double>(m_weights.cols + 3) * 0x1p-24 * largest;
}

std::vector<std::int32_t> reference_top(std::span<const double> scores, std::int64_t begin,
                                        std::int64_t end, std::int64_t k) {
  std::vector<std::int32_t> tokens(
      static_cast<std::size_t>(std::max<std::int64_t>(0, end - begin)));
  std::iota(tokens.begin(), tokens.end(), static_cast<std::int32_t>(begin));
  std::sort(tokens.begin(), tokens.end(), [&](std::int32_t a, std::int32_t b) {
    const double of_a = scores[static_cast<std::size_t>(a)];
    const double of_b = scores[static_cast<std::size_t>(b)];
    return of_a != of_b ? of_a > of_b : a > b;
  });
  tokens.resize(std::min(tokens.size(), static_cast<std::size_t>(k)));
  std::sort(tokens.begin(), tokens.end());
  return tokens;
}

std::vector<double> reference_rotate(std::span<const double> x, double position,
                                     std::span<const double> frequencies,
                                     const traces::RopeSpec& spec) {
  std::vector<double> turned(x.begin(), x.end());
  const std::size_t pairs = frequencies.size();
  const bool half = spec.pairing == traces::RopePairing::kHalf;
  for (std::size_t t = 0; t < pairs; ++t) {
    const std::size_t first = half ? t : 2 * t;
    const std::size_t second = half ? t + pairs : 2 * t + 1;
    const double cos = std::cos(position * frequencies[t]);
    const double sin = std::sin(position * frequencies[t]);
    turned[first] = x[first] * cos - x[second] * sin;
    turned[second] = x[first] * sin + x[second] * cos;
  }
  return turned;
}

double reference_windowed_score(std::span<const double> q, std::span<const double> k,
                                std::int64_t i, std::int64_t j, std::int64_t window,
                                std::int64_t distance, std::span<const double> frequencies,
                                const traces::RopeSpec& spec) {
  const std::int64_t apart = i - j < window ? i - j : distance;
  const std::vector<double> turned =
      reference_rotate(q, static_cast<double>(apart), frequencies, spec);
  return std::inner_product(turned.begin(), turned.end(), k.begin(), 0.0);
}

Calibration::Calibration(std::int64_t n, std::int64_t m, std::int64_t d,
                         std::uint32_t direction_seed, std::uint32_t seed, double spread)
    : head_dim(d) {
  constexpr std::int64_t kCenters = 400;
  const auto width = static_cast<std::size_t>(d);
  std::normal_distribution<double> normal;
  std::mt19937 shape(direction_seed);
  const auto draw_matrix = [&](std::int64_t rows) {
    Matrix matrix(rows, d);
    for (double& x : matrix.data) {
      x = normal(shape);
    }
    return matrix;
  };
  const Matrix centers = draw_matrix(kCenters);
  const Matrix query_axes = draw_matrix(d);
  const Matrix key_axes = draw_matrix(d);
  std::mt19937 draws(seed);
  // Axis widths fall geometrically from 1 to 1 / spread.
  const auto draw_row = [&](const Matrix& axes, float* row) {
    std::vector<double> sum(width, 0.0);
    for (std::int64_t a = 0; a < d; ++a) {
      const double axis_width = std::pow(
          spread, -static_cast<double>(a) / static_cast<double>(std::max<std::int64_t>(1, d - 1)));
      const double amount = normal(draws) * axis_width;
      for (std::size_t t = 0; t < width; ++t) {
        sum[t] +=
            amount * axes.at(a, static_cast<std::int64_t>(t)) / std::sqrt(static_cast<double>(d));
      }
    }
    std::copy(sum.begin(), sum.end(), row);
  };
  keys.resize(static_cast<std::size_t>(n) * width);
  for (std::int64_t k = 0; k < n; ++k) {
    float* row = keys.data() + k * d;
    draw_row(key_axes, row);
    const auto center = static_cast<std::int64_t>(draws() % kCenters);
    for (std::int64_t t = 0; t < d; ++t) {
      row[t] = static_cast<float>(centers.at(center, t) + 0.5 * static_cast<double>(row[t]));
    }
  }
  queries.resize(static_cast<std::size_t>(m) * width);
  for (std::int64_t q = 0; q < m; ++q) {
    draw_row(query_axes, queries.data() + q * d);
  }
}

}  // namespace kvsieve::kernels::tests
