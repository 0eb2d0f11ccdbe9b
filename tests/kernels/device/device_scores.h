#pragma once
// Score matrices of every kind on a device, with rows that begin off the 16-byte grid.

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "exec/device/runtime.h"
#include "kernels/adakv/score_fixtures.h"

namespace kvsieve::kernels::tests {

/// What the scores of a case look like.
enum class ScoreKind { kDistinct, kEqual, kBfloatMeans, kZerosOfBothSigns, kPeakyHead, kNegative };
inline constexpr ScoreKind kScoreKinds[] = {ScoreKind::kDistinct,         ScoreKind::kEqual,
                                            ScoreKind::kBfloatMeans,      ScoreKind::kPeakyHead,
                                            ScoreKind::kZerosOfBothSigns, ScoreKind::kNegative};

/// Row lengths around the sizes of vectors, warps, blocks and tiles.
inline constexpr std::int64_t kRowLengths[] = {1,   31,  32,   33,   63,   64,   65,   255,
                                               256, 257, 1023, 1024, 1025, 4095, 4096, 4097};

/// [rows][m]
inline Scores scores_of_kind(std::int64_t rows, std::int64_t m, ScoreKind kind,
                             std::uint32_t seed) {
  std::mt19937 generator(seed);
  switch (kind) {
    case ScoreKind::kDistinct:
      return random_scores(rows, m, Spread::kDistinct, seed);
    case ScoreKind::kEqual:
      return random_scores(rows, m, Spread::kEqual, seed);
    case ScoreKind::kBfloatMeans:
      return random_scores(rows, m, Spread::kBfloat, seed);
    case ScoreKind::kPeakyHead: {
      Scores scores = random_scores(rows, m, Spread::kDistinct, seed);
      for (float& score : scores[generator() % scores.size()]) {
        score *= 1e6F;
      }
      return scores;
    }
    case ScoreKind::kZerosOfBothSigns: {
      Scores scores = random_scores(rows, m, Spread::kEqual, seed);
      for (std::vector<float>& row : scores) {
        for (float& score : row) {
          score = generator() % 2 == 0 ? 0.0F : -0.0F;
        }
      }
      return scores;
    }
    case ScoreKind::kNegative:
      break;
  }
  Scores scores = random_scores(rows, m, Spread::kHalf, seed);
  for (std::vector<float>& row : scores) {
    for (float& score : row) {
      score = -score;
    }
  }
  return scores;
}

}  // namespace kvsieve::kernels::tests

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

/// Rows of equal length in device memory. What lies between and around them is NaN, so that a
/// kernel that reads it gives itself away.
class DeviceScores {
 public:
  /// Rows begin `padding` elements behind the end of the one before, the first one `offset`
  /// elements into the allocation.
  DeviceScores(const tests::Scores& scores, std::int64_t padding, std::int64_t offset,
               Stream& stream)
      : m_stride(static_cast<std::int64_t>(scores[0].size()) + padding), m_offset(offset) {
    const auto rows = static_cast<std::int64_t>(scores.size());
    std::vector<float> elements(static_cast<std::size_t>(offset + rows * m_stride),
                                std::numeric_limits<float>::quiet_NaN());
    for (std::int64_t row = 0; row < rows; ++row) {
      const std::vector<float>& source = scores[static_cast<std::size_t>(row)];
      std::copy(source.begin(), source.end(), elements.begin() + offset + row * m_stride);
    }
    m_buffer = DeviceBuffer<float>(elements, stream);
  }

  [[nodiscard]] const float* data() const { return m_buffer.data() + m_offset; }
  [[nodiscard]] std::int64_t stride() const { return m_stride; }

 private:
  DeviceBuffer<float> m_buffer;
  std::int64_t m_stride;
  std::int64_t m_offset;
};

/// Tokens a block so that rows of m tokens are spread over about `blocks` blocks.
inline std::int64_t chunk_for(std::int64_t m, std::int64_t blocks) {
  return (m / blocks + 4) / 4 * 4 + (blocks == 1 ? 4 : 0);
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
