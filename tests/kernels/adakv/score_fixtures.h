#pragma once
// Layers of scores for the tests of allocation and selection.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "kernels/adakv/budget_allocation_reference.h"
#include "kvsieve/kernels/matrix_view.h"
#include "kvsieve/kernels/token_selection.h"
#include "kvsieve/traces/dtype.h"

namespace kvsieve::kernels::tests {

/// Scores in one piece, as the operations take them.
class ScoreMatrix {
 public:
  explicit ScoreMatrix(const Scores& scores)
      : m_rows(static_cast<std::int64_t>(scores.size())),
        m_cols(static_cast<std::int64_t>(scores[0].size())) {
    for (const std::vector<float>& row : scores) {
      m_data.insert(m_data.end(), row.begin(), row.end());
    }
  }
  [[nodiscard]] MatrixView<const float> view() const { return {m_data.data(), m_rows, m_cols}; }

 private:
  std::int64_t m_rows;
  std::int64_t m_cols;
  std::vector<float> m_data;
};

/// How scores are spread. Each head has its own scale, so that adaptive budgets are not uniform.
enum class Spread {
  kDistinct,   ///< log-normal, as attention is
  kHalf,       ///< the same rounded to fp16: many ties
  kBfloat,     ///< the same rounded to bf16: more ties
  kFewLevels,  ///< three values, among them +0 and -0
  kSigned,     ///< negative and positive, as key norms are negative
  kEqual,      ///< all the same
};
inline constexpr Spread kSpreads[] = {Spread::kDistinct,  Spread::kHalf,   Spread::kBfloat,
                                      Spread::kFewLevels, Spread::kSigned, Spread::kEqual};

inline Scores random_scores(std::int64_t heads, std::int64_t m, Spread spread, std::uint32_t seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  Scores scores(static_cast<std::size_t>(heads), std::vector<float>(static_cast<std::size_t>(m)));
  for (std::size_t head = 0; head < scores.size(); ++head) {
    const float sharpness = 0.5F + static_cast<float>((head * 3) % 4);
    for (float& score : scores[head]) {
      const float noise = normal(generator);
      score = std::exp(sharpness * noise) / static_cast<float>(m);
      switch (spread) {
        case Spread::kDistinct:
          break;
        case Spread::kHalf:
          score = traces::half_to_float(traces::float_to_half(score));
          break;
        case Spread::kBfloat:
          score = traces::bfloat_to_float(traces::float_to_bfloat(score));
          break;
        case Spread::kFewLevels:
          score = noise < -0.5F ? -0.0F : noise < 0.5F ? 0.0F : sharpness;
          break;
        case Spread::kSigned:
          score = sharpness * noise;
          break;
        case Spread::kEqual:
          score = 0.25F;
          break;
      }
    }
  }
  return scores;
}

inline std::vector<std::vector<std::int32_t>> select_all(const Scores& scores,
                                                         const Budgets& budgets) {
  std::vector<std::vector<std::int32_t>> kept(scores.size());
  for (std::size_t head = 0; head < scores.size(); ++head) {
    select_tokens(scores[head], budgets[head], kept[head]);
  }
  return kept;
}

/// Sum of the scores that budgets retain when each head keeps its largest.
inline double retained_mass(const Scores& scores, const Budgets& budgets) {
  double mass = 0.0;
  for (std::size_t head = 0; head < scores.size(); ++head) {
    std::vector<float> sorted = scores[head];
    std::sort(sorted.rbegin(), sorted.rend());
    for (std::int64_t i = 0; i < budgets[head]; ++i) {
      mass += static_cast<double>(sorted[static_cast<std::size_t>(i)]);
    }
  }
  return mass;
}

}  // namespace kvsieve::kernels::tests
