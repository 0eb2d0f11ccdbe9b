// The inner loops over tiles of scores [keys, rows], for every instruction set of this machine.

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "exec/cpu/simd.h"

namespace kvsieve::kernels {
namespace {

using Floats = std::vector<float>;

constexpr float kHidden = -std::numeric_limits<float>::infinity();

Floats noise(std::int64_t n, std::uint32_t seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  Floats x(static_cast<std::size_t>(n));
  std::generate(x.begin(), x.end(), [&] { return normal(generator); });
  return x;
}

/// The upper half of each number: exact as bfloat16 and as the returned fp32.
std::vector<std::uint16_t> cut_to_bfloat(Floats& x) {
  std::vector<std::uint16_t> words;
  for (float& value : x) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    words.push_back(static_cast<std::uint16_t>(bits >> 16U));
    value = std::bit_cast<float>(bits & 0xffff0000U);
  }
  return words;
}

class SimdSoftmax : public testing::TestWithParam<const SimdOps*> {
 protected:
  const SimdOps& ops = *GetParam();
};

TEST_P(SimdSoftmax, MultiplyBfloatIsTheProductOfItsNumbers) {
  if (ops.multiply_bfloat == nullptr) {
    GTEST_SKIP() << ops.name << " has no products of bfloat16";
  }
  for (const std::int64_t rows : {1, 2, 7, 8, 9, 17}) {
    for (const std::int64_t panels_n : {1, 2, 3, 5}) {
      for (const std::int64_t depth : {2, 48, 128, 256}) {
        const std::int64_t lda = depth + 3;  // odd, so that rows lie at odd addresses
        const std::int64_t ldc = panels_n * kPanelWidth + 5;
        Floats left = noise(rows * lda, 1);
        Floats right = noise(panels_n * kPanelWidth * depth, 2);
        const std::vector<std::uint16_t> a = cut_to_bfloat(left);
        const std::vector<std::uint16_t> panels = cut_to_bfloat(right);
        Floats c(static_cast<std::size_t>(rows * ldc), 3.0F);
        ops.multiply_bfloat(a.data(), lda, rows, panels.data(), kPanelWidth * depth, panels_n,
                            depth, c.data(), ldc);
        for (std::int64_t r = 0; r < rows; ++r) {
          for (std::int64_t column = 0; column < ldc; ++column) {
            const float actual = c[static_cast<std::size_t>(r * ldc + column)];
            if (column >= panels_n * kPanelWidth) {
              ASSERT_EQ(actual, 3.0F);
              continue;
            }
            double sum = 0.0;
            double magnitude = 0.0;
            for (std::int64_t k = 0; k < depth; ++k) {
              const std::int64_t slot = column / kPanelWidth * kPanelWidth * depth +
                                        k / 2 * 2 * kPanelWidth + column % kPanelWidth * 2 + k % 2;
              const double term = static_cast<double>(left[static_cast<std::size_t>(r * lda + k)]) *
                                  right[static_cast<std::size_t>(slot)];
              sum += term;
              magnitude += std::abs(term);
            }
            // A rounding of fp32 for each term of the sum.
            ASSERT_NEAR(actual, sum, static_cast<double>(depth) * 0x1p-24 * magnitude)
                << rows << " rows, " << panels_n << " panels, depth " << depth;
          }
        }
      }
    }
  }
}

TEST_P(SimdSoftmax, ColumnsHaveTheirOwnMaximaAndSums) {
  const float scale = 0.7F;
  for (const std::int64_t panels_n : {1, 2, 3, 8}) {
    for (const std::int64_t rows : {1, 2, 15, 128}) {
      const std::int64_t columns = panels_n * kPanelWidth;
      const std::int64_t ld = columns + 5;
      Floats x = noise(rows * ld, static_cast<std::uint32_t>(rows));
      for (std::int64_t r = 0; r < rows; ++r) {
        x[static_cast<std::size_t>(r * ld + 3)] = kHidden;  // a column that sees nothing
        x[static_cast<std::size_t>(r * ld + 4)] *= 200.0F;  // one that underflows
        if (r > 0) {
          x[static_cast<std::size_t>(r * ld + 5)] = kHidden;  // one that sees a single row
        }
      }
      Floats values = x;
      Floats maxima(static_cast<std::size_t>(columns + 1), 9.0F);
      Floats sums(static_cast<std::size_t>(columns + 1), 9.0F);
      ops.softmax_columns(values.data(), ld, rows, panels_n, scale, maxima.data(), sums.data());
      for (std::int64_t column = 0; column < columns; ++column) {
        float largest = kHidden;
        for (std::int64_t r = 0; r < rows; ++r) {
          largest = std::max(largest, x[static_cast<std::size_t>(r * ld + column)]);
        }
        const auto slot = static_cast<std::size_t>(column);
        ASSERT_EQ(maxima[slot], largest * scale) << column;
        double sum = 0.0;
        for (std::int64_t r = 0; r < rows; ++r) {
          const auto at = static_cast<std::size_t>(r * ld + column);
          const double expected =
              x[at] == kHidden ? 0.0
                               : std::exp(static_cast<double>(x[at]) * static_cast<double>(scale) -
                                          static_cast<double>(maxima[slot]));
          // The product and the difference are rounded: errors in the exponent.
          const double rounding = std::abs(static_cast<double>(x[at])) * 0x1p-22;
          ASSERT_NEAR(values[at], expected,
                      x[at] == kHidden ? 0.0 : (1e-6 + rounding) * expected + 1e-37)
              << column << ", row " << r;
          sum += expected;
        }
        ASSERT_NEAR(sums[slot], sum, 2e-5 * sum) << column;
      }
      EXPECT_EQ(maxima.back(), 9.0F);
      EXPECT_EQ(sums.back(), 9.0F);
      for (std::int64_t r = 0; r < rows; ++r) {
        ASSERT_EQ(values[static_cast<std::size_t>(r * ld + columns)],
                  x[static_cast<std::size_t>(r * ld + columns)]);
      }
    }
  }
}

TEST_P(SimdSoftmax, RowDotsAreAddedToWhatIsThere) {
  for (const std::int64_t n : {1, 15, 16, 17, 33, 128}) {
    const Floats x = noise(5 * 130, 3);
    const Floats weights = noise(n, 4);
    Floats out(6, 2.0F);
    ops.add_row_dots(x.data(), 130, 5, weights.data(), n, out.data());
    for (std::size_t r = 0; r < 5; ++r) {
      double sum = 2.0;
      double magnitude = 2.0;
      for (std::size_t c = 0; c < static_cast<std::size_t>(n); ++c) {
        const double term = static_cast<double>(x[r * 130 + c]) * weights[c];
        sum += term;
        magnitude += std::abs(term);
      }
      EXPECT_NEAR(out[r], sum, 1e-6 * magnitude) << n;
    }
    EXPECT_EQ(out[5], 2.0F);
  }
}

TEST_P(SimdSoftmax, RaiseToTheLarger) {
  for (std::int64_t n = 0; n <= 70; ++n) {
    const Floats x = noise(n + 2, 5);
    const Floats before = noise(n + 2, 6);
    Floats y = before;
    ops.raise_to(x.data() + 1, y.data() + 1, n);
    for (std::int64_t i = 0; i < n + 2; ++i) {
      const auto slot = static_cast<std::size_t>(i);
      EXPECT_EQ(y[slot], i >= 1 && i <= n ? std::max(x[slot], before[slot]) : before[slot]);
    }
  }
}

std::vector<const SimdOps*> supported() {
  const SimdList list = simd_supported();
  return {list.items, list.items + list.count};
}

INSTANTIATE_TEST_SUITE_P(InstructionSets, SimdSoftmax, testing::ValuesIn(supported()),
                         [](const auto& chosen) { return std::string(chosen.param->name); });

}  // namespace
}  // namespace kvsieve::kernels
