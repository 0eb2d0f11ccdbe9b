#include "kvsieve/kernels/partial_attention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "kernels/attention/random_heads.h"

namespace kvsieve::kernels::tests {
namespace {

constexpr std::int64_t kRows = 3;
constexpr std::int64_t kDim = 40;
constexpr std::int64_t kTokens = 211;

struct Output {
  std::vector<float> data = std::vector<float>(kRows * 48);
  std::vector<double> log_sums = std::vector<double>(kRows);

  [[nodiscard]] MatrixView<float> view() { return {data.data(), kRows, kDim, 48}; }
};

class PartialAttention : public testing::Test {
 protected:
  PartialAttention()
      : m_values(1, kTokens, kDim, traces::DType::kF32, 1), m_scores(kRows, kTokens, 2, 4.0) {
    m_packed.load(HeadSlice(m_values.view(), 0));
  }

  [[nodiscard]] std::vector<std::int32_t> all() const {
    std::vector<std::int32_t> tokens(kTokens);
    std::iota(tokens.begin(), tokens.end(), 0);
    return tokens;
  }
  Output attend(const std::vector<std::int32_t>& tokens) {
    std::vector<float> scores = m_scores.data;
    Output out;
    attend_tokens({scores.data(), kRows, kTokens}, tokens, m_packed, out.view(), out.log_sums);
    return out;
  }
  void expect_reference(Output& out, const std::vector<std::int32_t>& tokens) {
    for (std::int64_t r = 0; r < kRows; ++r) {
      double sum = 0.0;
      std::vector<double> expected(kDim, 0.0);
      for (const std::int32_t j : tokens) {
        const double weight = std::exp(m_scores.exact.at(r, j));
        sum += weight;
        for (std::int64_t t = 0; t < kDim; ++t) {
          expected[static_cast<std::size_t>(t)] += weight * m_values.exact(0).at(j, t);
        }
      }
      EXPECT_NEAR(out.log_sums[static_cast<std::size_t>(r)], std::log(sum), 1e-6);
      for (std::size_t t = 0; t < kDim; ++t) {
        EXPECT_NEAR(out.view().row(r)[t], expected[t] / sum, 2e-6);
      }
    }
  }

  RandomHeads m_values;
  RandomRows m_scores;
  HeadValues m_packed;
};

TEST_F(PartialAttention, MatchesTheSoftmaxOverTheListedTokens) {
  Output whole = attend(all());
  expect_reference(whole, all());
  const std::vector<std::int32_t> some{0, 3, 4, 5, 77, 100, 210};
  Output part = attend(some);
  expect_reference(part, some);
  Output one = attend({9});
  expect_reference(one, {9});
}

TEST_F(PartialAttention, T26_AllTokensListedEqualDenseAttention) {
  std::vector<float> scores = m_scores.data;
  Output dense;
  const std::vector<std::int32_t> positions(kRows, kTokens - 1);
  attend_all({scores.data(), kRows, kTokens}, positions, m_packed, dense.view(), dense.log_sums);
  Output listed = attend(all());
  for (std::int64_t r = 0; r < kRows; ++r) {
    EXPECT_NEAR(dense.log_sums[static_cast<std::size_t>(r)],
                listed.log_sums[static_cast<std::size_t>(r)], 1e-6);
    for (std::size_t t = 0; t < kDim; ++t) {
      EXPECT_NEAR(dense.view().row(r)[t], listed.view().row(r)[t], 1e-6);
    }
  }
}

TEST_F(PartialAttention, DenseAttentionSeesNothingBeyondItsPosition) {
  std::vector<float> scores = m_scores.data;
  const std::vector<std::int32_t> positions{0, 15, 209};
  for (std::int64_t r = 0; r < kRows; ++r) {
    for (auto j = static_cast<std::size_t>(positions[static_cast<std::size_t>(r)]) + 1; j < kTokens;
         ++j) {
      scores[static_cast<std::size_t>(r * kTokens) + j] = std::numeric_limits<float>::quiet_NaN();
    }
  }
  Output dense;
  attend_all({scores.data(), kRows, kTokens}, positions, m_packed, dense.view(), dense.log_sums);
  for (std::int64_t r = 0; r < kRows; ++r) {
    std::vector<std::int32_t> seen(
        static_cast<std::size_t>(positions[static_cast<std::size_t>(r)]) + 1);
    std::iota(seen.begin(), seen.end(), 0);
    Output expected = attend(seen);
    EXPECT_NEAR(dense.log_sums[static_cast<std::size_t>(r)],
                expected.log_sums[static_cast<std::size_t>(r)], 1e-6);
    for (std::size_t t = 0; t < kDim; ++t) {
      EXPECT_NEAR(dense.view().row(r)[t], expected.view().row(r)[t], 1e-6);
    }
  }
}

TEST_F(PartialAttention, T31_AnySplitMergesToTheWhole) {
  Output whole = attend(all());
  std::mt19937 random(3);
  for (int split = 0; split < 30; ++split) {
    std::vector<std::int32_t> parts[3];
    for (const std::int32_t j : all()) {
      // Split 0 leaves two parts empty, splits 1 and 2 one of them.
      const std::size_t part = split == 0 ? 2 : split <= 2 ? random() % 2 : random() % 3;
      parts[part].push_back(j);
    }
    Output merged = attend(parts[0]);
    for (const auto& part : {parts[1], parts[2]}) {
      Output other = attend(part);
      merge_attention(merged.view(), merged.log_sums, other.view(), other.log_sums);
    }
    for (std::int64_t r = 0; r < kRows; ++r) {
      EXPECT_NEAR(merged.log_sums[static_cast<std::size_t>(r)],
                  whole.log_sums[static_cast<std::size_t>(r)], 1e-6);
      for (std::size_t t = 0; t < kDim; ++t) {
        EXPECT_NEAR(merged.view().row(r)[t], whole.view().row(r)[t], 2e-6);  // values near 3
      }
    }
  }
}

TEST_F(PartialAttention, T31_EmptyPartsMergeToNothing) {
  Output empty = attend({});
  Output other = attend({});
  merge_attention(empty.view(), empty.log_sums, other.view(), other.log_sums);
  for (std::int64_t r = 0; r < kRows; ++r) {
    EXPECT_EQ(empty.log_sums[static_cast<std::size_t>(r)], -HUGE_VAL);
    for (const float x : empty.view().row(r)) {
      EXPECT_EQ(x, 0.0F);
    }
  }
}

TEST_F(PartialAttention, T31_ScoresFarApartMergeWithoutOverflow) {
  for (float& score : m_scores.data) {
    score = score * 100.0F;
  }
  std::vector<std::int32_t> even;
  std::vector<std::int32_t> odd;
  for (const std::int32_t j : all()) {
    (j % 2 == 0 ? even : odd).push_back(j);
  }
  Output whole = attend(all());
  Output merged = attend(even);
  Output other = attend(odd);
  merge_attention(merged.view(), merged.log_sums, other.view(), other.log_sums);
  for (std::int64_t r = 0; r < kRows; ++r) {
    for (std::size_t t = 0; t < kDim; ++t) {
      EXPECT_NEAR(merged.view().row(r)[t], whole.view().row(r)[t], 1e-6);
    }
  }
}

TEST_F(PartialAttention, MassIsTheShareOfTheSoftmax) {
  Output whole = attend(all());
  const std::vector<std::int32_t> some{1, 2, 50, 51, 52, 200};
  for (std::int64_t r = 0; r < kRows; ++r) {
    double expected = 0.0;
    double total = 0.0;
    for (const std::int32_t j : all()) {
      total += std::exp(m_scores.exact.at(r, j));
    }
    for (const std::int32_t j : some) {
      expected += std::exp(m_scores.exact.at(r, j)) / total;
    }
    const auto row = m_scores.view().row(r);
    const double log_sum = whole.log_sums[static_cast<std::size_t>(r)];
    EXPECT_NEAR(attention_mass(row, log_sum, some), expected, 1e-5);
    EXPECT_NEAR(attention_mass(row, log_sum, all()), 1.0, 1e-5);
    EXPECT_LE(attention_mass(row, log_sum, all()), 1.0);
    EXPECT_EQ(attention_mass(row, log_sum, {}), 0.0);
  }
}

TEST_F(PartialAttention, WorkCountsListedTokens) {
  static_assert(partial_attention_work(4, 100, 64, 2).flops == 2 * 4 * 100 * 64);
}

}  // namespace
}  // namespace kvsieve::kernels::tests
