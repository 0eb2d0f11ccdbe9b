#include "exec/cpu/simd.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "kvsieve/kernels/instruction_set.h"

namespace kvsieve::kernels {
namespace {

using Floats = std::vector<float>;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// Small whole numbers: every product and sum of the tests is exact, so that a wrong element
/// cannot hide in a tolerance.
Floats whole_numbers(std::int64_t n, std::uint32_t seed) {
  std::mt19937 generator(seed);
  Floats x(static_cast<std::size_t>(n));
  for (float& value : x) {
    value = static_cast<float>(static_cast<int>(generator() % 15) - 7);
  }
  return x;
}

Floats noise(std::int64_t n, std::uint32_t seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  Floats x(static_cast<std::size_t>(n));
  std::generate(x.begin(), x.end(), [&] { return normal(generator); });
  return x;
}

/// A left-hand matrix with unused columns and panels with unused rows between them. What must not
/// be read is NaN.
struct Product {
  std::int64_t rows;
  std::int64_t panels_n;
  std::int64_t depth;
  std::int64_t lda = depth + 3;
  std::int64_t panel_stride = (depth + 2) * kPanelWidth;
  std::int64_t ldc = panels_n * kPanelWidth + 5;
  Floats a = Floats(static_cast<std::size_t>(rows * lda), kNan);
  Floats panels = Floats(static_cast<std::size_t>(panels_n * panel_stride), kNan);

  Product(std::int64_t r, std::int64_t p, std::int64_t k,
          Floats (*fill)(std::int64_t, std::uint32_t))
      : rows(r), panels_n(p), depth(k) {
    const Floats left = fill(rows * depth, 1);
    const Floats right = fill(panels_n * depth * kPanelWidth, 2);
    for (std::int64_t i = 0; i < rows; ++i) {
      std::copy_n(left.begin() + i * depth, depth, a.begin() + i * lda);
    }
    for (std::int64_t i = 0; i < panels_n; ++i) {
      std::copy_n(right.begin() + i * depth * kPanelWidth, depth * kPanelWidth,
                  panels.begin() + i * panel_stride);
    }
  }

  [[nodiscard]] std::int64_t columns() const { return panels_n * kPanelWidth; }
  [[nodiscard]] double left(std::int64_t row, std::int64_t k) const {
    return a[static_cast<std::size_t>(row * lda + k)];
  }
  [[nodiscard]] double right(std::int64_t k, std::int64_t column) const {
    return panels[static_cast<std::size_t>(column / kPanelWidth * panel_stride + k * kPanelWidth +
                                           column % kPanelWidth)];
  }
  [[nodiscard]] double element(std::int64_t row, std::int64_t column) const {
    double sum = 0.0;
    for (std::int64_t k = 0; k < depth; ++k) {
      sum += left(row, k) * right(k, column);
    }
    return sum;
  }
  [[nodiscard]] double magnitude(std::int64_t row, std::int64_t column) const {
    double sum = 0.0;
    for (std::int64_t k = 0; k < depth; ++k) {
      sum += std::abs(left(row, k) * right(k, column));
    }
    return sum;
  }
};

constexpr std::int64_t kRowCounts[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 16, 17};
constexpr std::int64_t kPanelCounts[] = {1, 2, 3, 4, 5};
constexpr std::int64_t kDepths[] = {0, 1, 2, 48, 65};

class Simd : public testing::TestWithParam<const SimdOps*> {
 protected:
  const SimdOps& ops = *GetParam();
};

TEST_P(Simd, MultiplyIsExactOnWholeNumbers) {
  for (const std::int64_t rows : kRowCounts) {
    for (const std::int64_t panels_n : kPanelCounts) {
      for (const std::int64_t depth : kDepths) {
        const Product product(rows, panels_n, depth, whole_numbers);
        for (const bool accumulate : {false, true}) {
          Floats c(static_cast<std::size_t>(rows * product.ldc), 3.0F);
          ops.multiply(product.a.data(), product.lda, rows, product.panels.data(),
                       product.panel_stride, panels_n, depth, c.data(), product.ldc, accumulate);
          for (std::int64_t row = 0; row < rows; ++row) {
            for (std::int64_t column = 0; column < product.ldc; ++column) {
              const double before = accumulate || column >= product.columns() ? 3.0 : 0.0;
              const double added = column < product.columns() ? product.element(row, column) : 0.0;
              ASSERT_EQ(c[static_cast<std::size_t>(row * product.ldc + column)], before + added)
                  << rows << " rows, " << panels_n << " panels, depth " << depth << " at " << row
                  << ", " << column << (accumulate ? ", accumulated" : "");
            }
          }
        }
      }
    }
  }
}

TEST_P(Simd, MultiplyRoundsAsOneSumInOrder) {
  for (const std::int64_t depth : {64, 256, 1024}) {
    const Product product(9, 3, depth, noise);
    Floats c(static_cast<std::size_t>(9 * product.ldc));
    ops.multiply(product.a.data(), product.lda, 9, product.panels.data(), product.panel_stride, 3,
                 depth, c.data(), product.ldc, false);
    const double unit = static_cast<double>(depth + 1) * 0x1p-24;
    for (std::int64_t row = 0; row < 9; ++row) {
      for (std::int64_t column = 0; column < product.columns(); ++column) {
        EXPECT_NEAR(c[static_cast<std::size_t>(row * product.ldc + column)],
                    product.element(row, column), unit * product.magnitude(row, column));
      }
    }
  }
}

TEST_P(Simd, MultiplyIndexedTakesTheListedDepthsOnly) {
  const std::vector<std::vector<std::int32_t>> lists = {
      {}, {0}, {64}, {0, 64}, {3, 5, 6, 21, 40, 63}, {40, 7, 7, 0}};
  for (const std::int64_t rows : kRowCounts) {
    for (const std::int64_t panels_n : kPanelCounts) {
      const Product product(rows, panels_n, 65, whole_numbers);
      for (const std::vector<std::int32_t>& list : lists) {
        for (const bool accumulate : {false, true}) {
          Floats c(static_cast<std::size_t>(rows * product.ldc), 3.0F);
          ops.multiply_indexed(product.a.data(), product.lda, rows, product.panels.data(),
                               product.panel_stride, panels_n, list.data(),
                               static_cast<std::int64_t>(list.size()), c.data(), product.ldc,
                               accumulate);
          for (std::int64_t row = 0; row < rows; ++row) {
            for (std::int64_t column = 0; column < product.ldc; ++column) {
              double expected = accumulate || column >= product.columns() ? 3.0 : 0.0;
              for (const std::int32_t k : list) {
                expected += column < product.columns()
                                ? product.left(row, k) * product.right(k, column)
                                : 0.0;
              }
              ASSERT_EQ(c[static_cast<std::size_t>(row * product.ldc + column)], expected)
                  << rows << " rows, " << panels_n << " panels, " << list.size() << " depths";
            }
          }
        }
      }
    }
  }
}

TEST_P(Simd, MultiplyAbsSumAddsToTheRowSums) {
  for (const std::int64_t rows : kRowCounts) {
    for (const std::int64_t panels_n : kPanelCounts) {
      for (const std::int64_t depth : kDepths) {
        const Product product(rows, panels_n, depth, whole_numbers);
        Floats sums(static_cast<std::size_t>(rows + 1), 2.0F);
        ops.multiply_abs_sum(product.a.data(), product.lda, rows, product.panels.data(),
                             product.panel_stride, panels_n, depth, sums.data());
        for (std::int64_t row = 0; row < rows; ++row) {
          double expected = 2.0;
          for (std::int64_t column = 0; column < product.columns(); ++column) {
            expected += std::abs(product.element(row, column));
          }
          ASSERT_EQ(sums[static_cast<std::size_t>(row)], expected)
              << rows << " rows, " << panels_n << " panels, depth " << depth;
        }
        EXPECT_EQ(sums.back(), 2.0F);
      }
    }
  }
}

TEST_P(Simd, MultiplyArgminGivesTheLowestColumnOfTheSmallest) {
  for (const std::int64_t rows : kRowCounts) {
    for (const std::int64_t panels_n : kPanelCounts) {
      for (const std::int64_t depth : {1, 2, 48}) {  // small depths make many ties
        const Product product(rows, panels_n, depth, whole_numbers);
        const Floats bias = whole_numbers(product.columns(), 3);
        Floats best(static_cast<std::size_t>(rows), kInfinity);
        std::vector<std::int32_t> best_index(static_cast<std::size_t>(rows), -1);
        ops.multiply_argmin(product.a.data(), product.lda, rows, product.panels.data(),
                            product.panel_stride, panels_n, depth, bias.data(), 32, best.data(),
                            best_index.data());
        for (std::int64_t row = 0; row < rows; ++row) {
          double least = kInfinity;
          std::int64_t where = -1;
          for (std::int64_t column = 0; column < product.columns(); ++column) {
            const double value =
                bias[static_cast<std::size_t>(column)] - product.element(row, column);
            if (value < least) {
              least = value;
              where = column;
            }
          }
          ASSERT_EQ(best[static_cast<std::size_t>(row)], least);
          ASSERT_EQ(best_index[static_cast<std::size_t>(row)], 32 + where)
              << rows << " rows, " << panels_n << " panels, depth " << depth << ", row " << row;
        }
      }
    }
  }
}

TEST_P(Simd, MultiplyArgminTiesGoToTheLowestColumn) {
  // One row of zeros: a column's value is its bias, so that ties can be set by hand.
  const std::int64_t panels_n = 3;
  const Floats a(1, 0.0F);
  const Floats panels(static_cast<std::size_t>(panels_n * kPanelWidth), 1.0F);
  for (std::int64_t first = 0; first < panels_n * kPanelWidth; ++first) {
    for (std::int64_t second = first; second < panels_n * kPanelWidth; ++second) {
      Floats bias(static_cast<std::size_t>(panels_n * kPanelWidth), 5.0F);
      bias[static_cast<std::size_t>(first)] = 1.0F;
      bias[static_cast<std::size_t>(second)] = 1.0F;
      float best = kInfinity;
      std::int32_t best_index = -1;
      ops.multiply_argmin(a.data(), 1, 1, panels.data(), kPanelWidth, panels_n, 1, bias.data(), 0,
                          &best, &best_index);
      ASSERT_EQ(best_index, first) << "tied with " << second;
    }
  }
}

TEST_P(Simd, MultiplyArgminKeepsTheRunningMinimum) {
  const Floats a(1, 0.0F);
  const Floats panels(kPanelWidth, 1.0F);
  const struct {
    float bias;
    float best;
    std::int32_t index;
  } cases[] = {{2.0F, 1.0F, 4}, {1.0F, 1.0F, 4}, {0.5F, 0.5F, 16}};
  for (const auto& item : cases) {
    const Floats bias(kPanelWidth, item.bias);
    float best = 1.0F;
    std::int32_t best_index = 4;
    ops.multiply_argmin(a.data(), 1, 1, panels.data(), kPanelWidth, 1, 1, bias.data(), 16, &best,
                        &best_index);
    EXPECT_EQ(best, item.best);
    EXPECT_EQ(best_index, item.index);
  }
}

TEST_P(Simd, ReductionsOfEveryLength) {
  for (std::int64_t n = 0; n <= 70; ++n) {
    // One element in, so that no vector is aligned.
    const Floats a = whole_numbers(n + 1, 4);
    const Floats b = whole_numbers(n + 1, 5);
    double dot = 0.0;
    double sum = 0.0;
    for (std::int64_t i = 1; i <= n; ++i) {
      const auto slot = static_cast<std::size_t>(i);
      dot += static_cast<double>(a[slot]) * b[slot];
      sum += std::abs(a[slot]);
    }
    EXPECT_EQ(ops.dot(a.data() + 1, b.data() + 1, n), dot) << n;
    EXPECT_EQ(ops.abs_sum(a.data() + 1, n), sum) << n;
  }
}

TEST_P(Simd, IndexedReductionsOfEveryLength) {
  const Floats a = whole_numbers(500, 6);
  const Floats b = whole_numbers(500, 7);
  std::vector<std::int32_t> index(500);
  std::iota(index.begin(), index.end(), 0);
  std::shuffle(index.begin(), index.end(), std::mt19937(8));
  double dot = 0.0;
  double sum = 0.0;
  for (std::int64_t count = 0; count <= 70; ++count) {
    EXPECT_EQ(ops.dot_indexed(a.data(), b.data(), index.data(), count), dot) << count;
    EXPECT_EQ(ops.sum_indexed(a.data(), index.data(), count), sum) << count;
    const auto next = static_cast<std::size_t>(index[static_cast<std::size_t>(count)]);
    dot += static_cast<double>(a[next]) * b[next];
    sum += a[next];
  }
}

TEST_P(Simd, PanelSumsAreThoseOfTheirColumns) {
  const std::int64_t n = 300;
  const Floats panel = noise(n * kPanelWidth, 10);
  const Floats factors = noise(n, 11);
  std::vector<std::int32_t> index(static_cast<std::size_t>(n));
  std::iota(index.begin(), index.end(), 0);
  std::shuffle(index.begin(), index.end(), std::mt19937(12));
  for (const std::int64_t count : {0, 1, 3, 4, 5, 15, 16, 17, 20, 31, 32, 33, 299, 300}) {
    Floats sums(static_cast<std::size_t>(kPanelWidth), kNan);
    Floats products = sums;
    ops.panel_sums_indexed(panel.data(), nullptr, index.data(), count, sums.data());
    ops.panel_sums_indexed(panel.data(), factors.data(), index.data(), count, products.data());
    for (std::int64_t c = 0; c < kPanelWidth; ++c) {
      Floats column(static_cast<std::size_t>(n));
      for (std::int64_t i = 0; i < n; ++i) {
        column[static_cast<std::size_t>(i)] = panel[static_cast<std::size_t>(i * kPanelWidth + c)];
      }
      const auto slot = static_cast<std::size_t>(c);
      EXPECT_EQ(sums[slot], ops.sum_indexed(column.data(), index.data(), count)) << count;
      EXPECT_EQ(products[slot], ops.dot_indexed(column.data(), factors.data(), index.data(), count))
          << count;
    }
  }
}

TEST_P(Simd, RowSumsInDoubleAddInOrder) {
  for (const std::int64_t rows : {1, 7, 8, 9, 17}) {
    for (const std::int64_t n : {0, 1, 5, 64, 101}) {
      const std::int64_t ld = n + 3;
      const Floats x = noise(rows * ld, 13);
      std::vector<double> sums(static_cast<std::size_t>(rows), -1.0);
      ops.abs_sum_rows(x.data(), ld, rows, n, sums.data());
      for (std::int64_t r = 0; r < rows; ++r) {
        double expected = 0.0;
        for (std::int64_t i = 0; i < n; ++i) {
          expected += std::abs(static_cast<double>(x[static_cast<std::size_t>(r * ld + i)]));
        }
        EXPECT_EQ(sums[static_cast<std::size_t>(r)], expected) << rows << " x " << n;
      }
    }
  }
}

TEST_P(Simd, LongReductionsLoseFewBits) {
  const Floats a = noise(100'003, 9);
  std::vector<std::int32_t> index(a.size());
  std::iota(index.begin(), index.end(), 0);
  double dot = 0.0;
  double sum = 0.0;
  double magnitude = 0.0;
  for (const float value : a) {
    dot += static_cast<double>(value) * value;
    sum += value;
    magnitude += std::abs(value);
  }
  const auto n = static_cast<std::int64_t>(a.size());
  // 16 partial sums: a naive single sum of this length would err about 16 times as much.
  EXPECT_NEAR(ops.dot(a.data(), a.data(), n), dot, 1e-5 * dot);
  EXPECT_NEAR(ops.dot_indexed(a.data(), a.data(), index.data(), n), dot, 1e-5 * dot);
  EXPECT_NEAR(ops.sum_indexed(a.data(), index.data(), n), sum, 1e-5 * magnitude);
  EXPECT_NEAR(ops.abs_sum(a.data(), n), magnitude, 1e-5 * magnitude);
}

TEST_P(Simd, AxpyAndScaleOfEveryLength) {
  for (std::int64_t n = 0; n <= 70; ++n) {
    const Floats x = whole_numbers(n + 2, 10);
    const Floats y = whole_numbers(n + 2, 11);
    Floats sum = y;
    ops.axpy(3.0F, x.data() + 1, sum.data() + 1, n);
    Floats product = y;
    ops.scale(product.data() + 1, n, -2.0F);
    for (std::size_t i = 0; i < y.size(); ++i) {
      const bool inside = i >= 1 && i <= static_cast<std::size_t>(n);
      EXPECT_EQ(sum[i], inside ? y[i] + 3.0F * x[i] : y[i]) << n << " at " << i;
      EXPECT_EQ(product[i], inside ? -2.0F * y[i] : y[i]) << n << " at " << i;
    }
  }
}

TEST_P(Simd, MaxFindsTheLargestAtEveryPlace) {
  for (std::int64_t n = 1; n <= 70; ++n) {
    for (std::int64_t place = 0; place < n; ++place) {
      Floats x(static_cast<std::size_t>(n + 1), -4.0F);
      x[static_cast<std::size_t>(place)] = -1.0F;
      x.back() = 9.0F;
      EXPECT_EQ(ops.max(x.data(), n), -1.0F) << n << " at " << place;
    }
  }
  const Floats hidden(37, -kInfinity);
  EXPECT_EQ(ops.max(hidden.data(), 37), -kInfinity);
}

TEST_P(Simd, ExpIsAccurateDownToTheSmallestNormalNumber) {
  const std::int64_t n = 870'001;
  Floats x(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < n; ++i) {
    x[static_cast<std::size_t>(i)] = static_cast<float>(i) * -1e-4F;
  }
  Floats result = x;
  ops.exp_shift_sum(result.data(), n, 0.0F);
  double worst = 0.0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double exact = std::exp(static_cast<double>(x[i]));
    worst = std::max(worst, std::abs(result[i] - exact) / exact);
  }
  EXPECT_LT(worst, 3e-7);
  EXPECT_EQ(result[0], 1.0F);
}

TEST_P(Simd, ExpShiftSumOfEveryLength) {
  const Floats scores = noise(60, 12);
  const float shift = *std::max_element(scores.begin(), scores.end());
  for (std::int64_t n = 1; n <= 40; ++n) {
    Floats x = scores;
    const float sum = ops.exp_shift_sum(x.data() + 1, n, shift);
    double expected = 0.0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (i < 1 || i > static_cast<std::size_t>(n)) {
        EXPECT_EQ(x[i], scores[i]) << "length " << n << " touches " << i;
        continue;
      }
      const double exact = std::exp(static_cast<double>(scores[i] - shift));
      EXPECT_NEAR(x[i], exact, 3e-7 * exact) << "length " << n << " at " << i;
      expected += static_cast<double>(x[i]);
    }
    EXPECT_NEAR(sum, expected, 5e-7 * expected) << "length " << n;
  }
}

TEST_P(Simd, ExpOfHiddenAndFarScoresIsZero) {
  for (std::int64_t n = 1; n <= 40; ++n) {
    Floats x(static_cast<std::size_t>(n), -kInfinity);
    x[static_cast<std::size_t>(n / 2)] = 5.0F;
    EXPECT_EQ(ops.exp_shift_sum(x.data(), n, 5.0F), 1.0F) << n;
    for (std::int64_t i = 0; i < n; ++i) {
      EXPECT_EQ(x[static_cast<std::size_t>(i)], i == n / 2 ? 1.0F : 0.0F) << n << " at " << i;
    }
  }
  for (const float far : {-88.0F, -104.0F, -1e4F, -1e30F, std::numeric_limits<float>::lowest()}) {
    Floats x(17, far);
    EXPECT_EQ(ops.exp_shift_sum(x.data(), 17, 0.0F), 0.0F) << far;
    EXPECT_EQ(std::count(x.begin(), x.end(), 0.0F), 17) << far;
  }
}

TEST_P(Simd, ExpFallsMonotonically) {
  Floats x(200'000);
  for (std::size_t i = 0; i < x.size(); ++i) {
    x[i] = static_cast<float>(i) * -5e-4F;
  }
  ops.exp_shift_sum(x.data(), static_cast<std::int64_t>(x.size()), 0.0F);
  EXPECT_TRUE(std::is_sorted(x.rbegin(), x.rend()));
}

/// The value of IEEE binary16 bits by its definition.
double half_value(std::uint32_t bits) {
  const int exponent = static_cast<int>(bits >> 10U & 0x1fU);
  const double fraction = static_cast<double>(bits & 0x3ffU);
  const double magnitude =
      exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024.0 + fraction, exponent - 25);
  return (bits & 0x8000U) != 0 ? -magnitude : magnitude;
}

TEST_P(Simd, ConvertsEveryHalf) {
  // One byte in: traces promise no alignment.
  std::vector<char> bytes(1 + 2 * 65'536);
  for (std::uint32_t bits = 0; bits < 65'536; ++bits) {
    const auto word = static_cast<std::uint16_t>(bits);
    std::memcpy(bytes.data() + 1 + 2 * bits, &word, 2);
  }
  Floats out(65'536);
  ops.half_to_float(bytes.data() + 1, out.data(), 65'536);
  for (std::uint32_t bits = 0; bits < 65'536; ++bits) {
    const float value = out[bits];
    if ((bits & 0x7c00U) != 0x7c00U) {
      ASSERT_EQ(value, half_value(bits)) << bits;
      ASSERT_EQ(std::signbit(value), (bits & 0x8000U) != 0) << bits;
    } else if ((bits & 0x3ffU) == 0) {
      ASSERT_EQ(value, (bits & 0x8000U) != 0 ? -kInfinity : kInfinity) << bits;
    } else {
      ASSERT_TRUE(std::isnan(value)) << bits;
    }
  }
}

TEST_P(Simd, ConvertsEveryBfloat) {
  std::vector<char> bytes(1 + 2 * 65'536);
  for (std::uint32_t bits = 0; bits < 65'536; ++bits) {
    const auto word = static_cast<std::uint16_t>(bits);
    std::memcpy(bytes.data() + 1 + 2 * bits, &word, 2);
  }
  Floats out(65'536);
  ops.bfloat_to_float(bytes.data() + 1, out.data(), 65'536);
  for (std::uint32_t bits = 0; bits < 65'536; ++bits) {
    ASSERT_EQ(std::bit_cast<std::uint32_t>(out[bits]), bits << 16U) << bits;
  }
}

TEST_P(Simd, ConvertsTailsOfEveryLength) {
  std::vector<std::uint16_t> words(41);
  std::iota(words.begin(), words.end(), std::uint16_t{0x3c00});
  for (std::int64_t n = 0; n <= 40; ++n) {
    Floats half(42, -1.0F);
    Floats bfloat(42, -1.0F);
    // An exact copy, so that reading past the end shows under the sanitizer.
    const std::vector<std::uint16_t> source(words.begin(), words.begin() + n);
    ops.half_to_float(source.data(), half.data(), n);
    ops.bfloat_to_float(source.data(), bfloat.data(), n);
    for (std::size_t i = 0; i < half.size(); ++i) {
      const bool inside = i < static_cast<std::size_t>(n);
      EXPECT_EQ(half[i], inside ? half_value(words[i]) : -1.0) << n << " at " << i;
      EXPECT_EQ(bfloat[i],
                inside ? std::bit_cast<float>(static_cast<std::uint32_t>(words[i]) << 16U) : -1.0F)
          << n << " at " << i;
    }
  }
}

std::vector<const SimdOps*> supported() {
  const SimdList list = simd_supported();
  return {list.items, list.items + list.count};
}

INSTANTIATE_TEST_SUITE_P(Isa, Simd, testing::ValuesIn(supported()),
                         [](const auto& test) { return std::string(test.param->name); });

TEST(SimdChoice, BaselineIsAlwaysThereAndLast) {
  ASSERT_FALSE(supported().empty());
  EXPECT_STREQ(supported().back()->name, "baseline");
}

TEST(SimdChoice, FollowsTheEnvironment) {
  const char* wanted = std::getenv("KVSIEVE_ISA");
  EXPECT_EQ(instruction_set(), simd().name);
  EXPECT_STREQ(simd().name, wanted != nullptr && *wanted != '\0' ? wanted : supported()[0]->name);
}

/// What the operations return for noise where no product is added to a sum of products, so that a
/// fused multiply-add cannot show: only the order of the sums is left to differ.
std::vector<std::uint32_t> unfused_results(const SimdOps& ops) {
  std::vector<std::uint32_t> bits;
  const auto keep = [&](const Floats& values) {
    for (const float value : values) {
      bits.push_back(std::bit_cast<std::uint32_t>(value));
    }
  };
  const Product product(17, 5, 1, noise);
  Floats c(static_cast<std::size_t>(17 * product.ldc));
  ops.multiply(product.a.data(), product.lda, 17, product.panels.data(), product.panel_stride, 5, 1,
               c.data(), product.ldc, false);
  keep(c);
  Floats sums(17, 1.5F);
  ops.multiply_abs_sum(product.a.data(), product.lda, 17, product.panels.data(),
                       product.panel_stride, 5, 1, sums.data());
  keep(sums);
  for (std::int64_t n = 1; n <= 130; ++n) {
    const Floats a = noise(n, 20);
    std::vector<std::int32_t> all(static_cast<std::size_t>(n));
    std::iota(all.begin(), all.end(), 0);
    keep(
        {ops.abs_sum(a.data(), n), ops.max(a.data(), n), ops.sum_indexed(a.data(), all.data(), n)});
    Floats x = a;
    ops.scale(x.data(), n, 0.7F);
    keep(x);
  }
  return bits;
}

TEST(SimdWidths, SumsHaveOneOrderForEveryWidth) {
  const std::vector<const SimdOps*> sets = supported();
  for (const SimdOps* set : sets) {
    EXPECT_TRUE(unfused_results(*set) == unfused_results(*sets[0])) << set->name;
  }
}

}  // namespace
}  // namespace kvsieve::kernels
