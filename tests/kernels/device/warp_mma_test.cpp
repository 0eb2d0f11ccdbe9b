#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <random>
#include <span>
#include <vector>

#include "kernels/device/orders.h"
#include "kernels/device/warp_mma_probe.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {
namespace {

using traces::DType;

constexpr std::int64_t kM = 16;
constexpr std::int64_t kN = 8;
constexpr std::int64_t kK = 16;

/// Matrices of several products, with the numbers that remain after rounding to `dtype`.
struct Products {
  DType dtype;
  std::vector<float> a;     // [problems, 16, 16]
  std::vector<float> b;     // [problems, 8, 16]
  std::vector<float> sums;  // [problems, 16, 8]

  Products(DType type, std::int64_t problems)
      : dtype(type),
        a(static_cast<std::size_t>(problems * kM * kK)),
        b(static_cast<std::size_t>(problems * kN * kK)),
        sums(static_cast<std::size_t>(problems * kM * kN)) {}

  [[nodiscard]] std::int64_t problems() const {
    return static_cast<std::int64_t>(sums.size()) / (kM * kN);
  }

  [[nodiscard]] std::vector<std::byte> packed(std::vector<float>& numbers) const {
    std::vector<std::byte> bytes(numbers.size() * 2);
    traces::from_float(dtype, numbers, bytes.data());
    traces::to_float(dtype, bytes.data(), numbers);
    return bytes;
  }

  [[nodiscard]] std::vector<float> multiply() {
    Stream stream;
    const std::vector<std::byte> a_bytes = packed(a);
    const std::vector<std::byte> b_bytes = packed(b);
    const DeviceBuffer<std::byte> a_device(std::span<const std::byte>(a_bytes), stream);
    const DeviceBuffer<std::byte> b_device(std::span<const std::byte>(b_bytes), stream);
    const DeviceBuffer<float> result(std::span<const float>(sums), stream);
    probe_warp_mma(dtype, problems(), a_device.data(), b_device.data(), result.data(), stream);
    return result.download(stream);
  }
};

TEST(WarpMma, EveryElementMeetsItsPartners) {
  for (const DType dtype : {DType::kF16, DType::kBF16}) {
    // Problem p has a single 1 in A, at its element p, so that row p / 16 of the product is column
    // p % 16 of B. The numbers are small whole ones, which both types and fp32 hold exactly.
    Products products(dtype, kM * kK);
    for (std::int64_t p = 0; p < kM * kK; ++p) {
      products.a[static_cast<std::size_t>(p * kM * kK + p)] = 1.0F;
      for (std::int64_t i = 0; i < kN * kK; ++i) {
        products.b[static_cast<std::size_t>(p * kN * kK + i)] = static_cast<float>(i);
      }
      for (std::int64_t i = 0; i < kM * kN; ++i) {
        products.sums[static_cast<std::size_t>(p * kM * kN + i)] = static_cast<float>(1000 * i);
      }
    }
    for_each_order([&] {
      const std::vector<float> result = products.multiply();
      for (std::int64_t p = 0; p < kM * kK; ++p) {
        for (std::int64_t row = 0; row < kM; ++row) {
          for (std::int64_t column = 0; column < kN; ++column) {
            const std::int64_t place = row * kN + column;
            const std::int64_t added = row == p / kK ? column * kK + p % kK : 0;
            ASSERT_EQ(result[static_cast<std::size_t>(p * kM * kN + place)],
                      static_cast<float>(1000 * place + added))
                << "A's element " << p << ", row " << row << ", column " << column;
          }
        }
      }
    });
  }
}

TEST(WarpMma, EqualsTheProductInDouble) {
  for (const DType dtype : {DType::kF16, DType::kBF16}) {
    Products products(dtype, 20);
    std::mt19937 generator(3);
    std::normal_distribution<float> normal(0.0F, 2.0F);
    for (std::vector<float>* numbers : {&products.a, &products.b, &products.sums}) {
      for (float& number : *numbers) {
        number = normal(generator);
      }
    }
    for_each_order([&] {
      const std::vector<float> result = products.multiply();
      for (std::int64_t i = 0; i < products.problems() * kM * kN; ++i) {
        const std::int64_t problem = i / (kM * kN);
        const std::int64_t row = i / kN % kM;
        const std::int64_t column = i % kN;
        double expected = products.sums[static_cast<std::size_t>(i)];
        double magnitude = std::abs(expected);
        for (std::int64_t k = 0; k < kK; ++k) {
          const double product =
              static_cast<double>(
                  products.a[static_cast<std::size_t>((problem * kM + row) * kK + k)]) *
              static_cast<double>(
                  products.b[static_cast<std::size_t>((problem * kN + column) * kK + k)]);
          expected += product;
          magnitude += std::abs(product);
        }
        // Tensor cores add exact products in fp32 but may cut where others round: less than one
        // unit of 2^-23 a term.
        ASSERT_NEAR(result[static_cast<std::size_t>(i)], expected, 17 * 0x1p-23 * magnitude);
      }
    });
  }
}

}  // namespace
}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
