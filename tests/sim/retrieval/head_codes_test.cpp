#include "replay/head_codes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "replay/float_rows.h"
#include "sim/retrieval/retrieval_expectations.h"
#include "sim/retrieval/scalar_attention.h"

namespace kvsieve::sim::tests {
namespace {

using kernels::HeadSlice;

/// A trace whose queries weigh channels very differently, and a codebook for it.
class HeadCodesTest : public testing::Test {
 protected:
  HeadCodesTest()
      : m_fixture(shape()),
        m_book(codebook_for(m_fixture.trace(), RetrievalScorer::kVqQueryAware, 24)) {}

  static TraceShape shape() {
    TraceShape shape = small_shape();
    shape.layers = 1;
    shape.edit = [](LayerTensors& tensors) {
      for (std::vector<float>& head : tensors.q) {
        for (std::size_t i = 0; i < head.size(); ++i) {
          head[i] *= static_cast<float>(std::pow(2.0, static_cast<double>(i % 8) - 4.0));
        }
      }
    };
    return shape;
  }

  [[nodiscard]] HeadCodebook codebook(traces::DType dtype = traces::DType::kF32) const {
    const CodebookLayer& layer = m_book->layers()[0];
    return {.codewords = HeadSlice(layer.codewords, 1),
            .cholesky = HeadSlice(layer.cholesky, 1),
            .dtype = dtype};
  }
  [[nodiscard]] HeadSlice keys() const { return {m_fixture.trace().layer(0).k, 1}; }

  /// argmin over codewords of ||(k - c) M||, M [d, d].
  [[nodiscard]] std::vector<std::uint16_t> brute_force(const std::vector<Vector>& words,
                                                       const std::vector<Vector>& m) const {
    std::vector<std::uint16_t> codes;
    for (const Vector& key : rows_of(m_fixture.trace().layer(0).k, 1)) {
      double least = HUGE_VAL;
      std::size_t best = 0;
      for (std::size_t word = 0; word < words.size(); ++word) {
        double distance = 0.0;
        for (std::size_t c = 0; c < m.size(); ++c) {
          double z = 0.0;
          for (std::size_t r = 0; r < m.size(); ++r) {
            z += (key[r] - words[word][r]) * m[r][c];
          }
          distance += z * z;
        }
        if (distance < least) {
          least = distance;
          best = word;
        }
      }
      codes.push_back(static_cast<std::uint16_t>(best));
    }
    return codes;
  }

  TraceFixture m_fixture;
  std::shared_ptr<const Codebook> m_book;
};

double agreement_of(const std::vector<std::uint16_t>& a, const std::vector<std::uint16_t>& b) {
  return static_cast<double>(std::inner_product(a.begin(), a.end(), b.begin(), std::size_t{0},
                                                std::plus<>(), std::equal_to<>())) /
         static_cast<double>(a.size());
}

TEST_F(HeadCodesTest, CodesAreWhitenedByTheLowerFactorAndNotByItsTranspose) {
  const HeadCodes codes(codebook(), keys());
  const std::vector<Vector> words = rows_of(m_book->layers()[0].codewords, 1);
  const std::vector<Vector> lower = rows_of(m_book->layers()[0].cholesky, 1);
  EXPECT_EQ(codes.codes, brute_force(words, lower));
  EXPECT_FALSE(codes.agreement);
  // Negative control: K L^T measures distances for L^T L, another matrix.
  std::vector<Vector> upper = lower;
  for (std::size_t r = 0; r < lower.size(); ++r) {
    for (std::size_t c = 0; c < lower.size(); ++c) {
      upper[r][c] = lower[c][r];
    }
  }
  EXPECT_LT(agreement_of(codes.codes, brute_force(words, upper)), 0.9);
}

TEST_F(HeadCodesTest, SixteenBitCodebooksSayHowManyCodesStay) {
  const HeadCodes exact(codebook(), keys());
  for (const traces::DType dtype : {traces::DType::kF16, traces::DType::kBF16}) {
    const HeadCodes rounded(codebook(dtype), keys());
    ASSERT_TRUE(rounded.agreement);
    EXPECT_EQ(*rounded.agreement, agreement_of(exact.codes, rounded.codes));
    EXPECT_GE(*rounded.agreement, 0.95);
    EXPECT_EQ(rounded.usage().agreement, rounded.agreement);
    // What is looked up is rounded too.
    std::vector<float> word(16);
    const std::vector<Vector> words = rows_of(m_book->layers()[0].codewords, 1);
    double largest = 0.0;
    for (std::int64_t m = 0; m < 24; ++m) {
      rounded.codewords.copy(m, word);
      for (std::size_t t = 0; t < word.size(); ++t) {
        const double exact_value = words[static_cast<std::size_t>(m)][t];
        largest = std::max(largest, std::abs(word[t] / exact_value - 1.0));
      }
    }
    EXPECT_GT(largest, 1e-5);
    EXPECT_LE(largest, dtype == traces::DType::kF16 ? 0x1p-10 : 0x1p-8);
  }
}

TEST_F(HeadCodesTest, T32_TokensThatComeLaterGetTheCodesOfOnePass) {
  const HeadCodes all(codebook(), keys());
  const FloatRows rows(keys(), nullptr);
  for (const std::int64_t tokens : {1, 17, 180}) {
    const std::vector<float> first(rows.values.begin(), rows.values.begin() + tokens * 16);
    const HeadCodes some(codebook(), head_of(first, tokens, 16));
    EXPECT_TRUE(std::equal(some.codes.begin(), some.codes.end(), all.codes.begin()));
  }
}

TEST_F(HeadCodesTest, CenteredCodewordsHaveTheMeanAddedBack) {
  const auto centred = codebook_for(m_fixture.trace(), RetrievalScorer::kVqQueryAware, 24, 0, true);
  const CodebookLayer& layer = centred->layers()[0];
  const FloatRows mean(HeadSlice(layer.mean, 1), nullptr);
  const HeadCodes codes({.codewords = HeadSlice(layer.codewords, 1),
                         .cholesky = HeadSlice(layer.cholesky, 1),
                         .mean = mean.values},
                        keys());
  std::vector<float> word(16);
  codes.codewords.copy(5, word);
  for (std::size_t t = 0; t < word.size(); ++t) {
    EXPECT_EQ(word[t], static_cast<float>(rows_of(layer.codewords, 1)[5][t]) + mean.values[t]);
  }
}

}  // namespace
}  // namespace kvsieve::sim::tests
