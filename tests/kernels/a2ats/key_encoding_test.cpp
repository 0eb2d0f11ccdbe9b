#include "kvsieve/kernels/key_encoding.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "kernels/a2ats/a2ats_reference.h"
#include "kernels/attention/random_heads.h"
#include "kvsieve/kernels/codebook_training.h"
#include "kvsieve/traces/dtype.h"
#include "kvsieve/traces/error.h"
#include "traces/fails_with.h"

namespace kvsieve::kernels::tests {
namespace {

using kvsieve::tests::fails_with;
using traces::DType;

/// A matrix stored as a file would, in any dtype.
class Stored {
 public:
  Stored(const std::vector<float>& values, std::int64_t cols, DType dtype = DType::kF32)
      : m_rows(static_cast<std::int64_t>(values.size()) / cols),
        m_cols(cols),
        m_dtype(dtype),
        m_bytes(values.size() * traces::size_of(dtype)) {
    traces::from_float(dtype, values, m_bytes.data());
  }
  [[nodiscard]] HeadSlice head() const {
    return {traces::TensorView{m_bytes.data(), m_dtype, {1, m_rows, m_cols}}, 0};
  }

 private:
  std::int64_t m_rows;
  std::int64_t m_cols;
  DType m_dtype;
  std::vector<std::byte> m_bytes;
};

std::vector<float> scaled(std::vector<float> values, float factor) {
  for (float& x : values) {
    x *= factor;
  }
  return values;
}

std::vector<float> identity(std::int64_t d, float factor = 1.0F) {
  std::vector<float> matrix(static_cast<std::size_t>(d * d), 0.0F);
  for (std::int64_t t = 0; t < d; ++t) {
    matrix[static_cast<std::size_t>(t * d + t)] = factor;
  }
  return matrix;
}

/// Codewords, factor and keys of one trained head.
struct Trained {
  std::int64_t d;
  Calibration data;
  TrainedCodebook book;

  Trained(std::int64_t head_dim, std::int64_t codewords, double spread = 30.0)
      : d(head_dim),
        data(20 * codewords, 20 * head_dim, head_dim, 1, 2, spread),
        book(train(data, codewords)) {}

  static TrainedCodebook train(const Calibration& data, std::int64_t codewords) {
    QueryMoment moment(data.head_dim);
    moment.add(data.query_view());
    return train_codebook(data.key_view(), factorise(moment),
                          {.clusters = codewords, .max_iterations = 5, .seed = 1});
  }
  [[nodiscard]] KeyEncoder encoder(DType dtype = DType::kF32) const {
    return {Stored(book.codewords, d, dtype).head(), Stored(book.cholesky, d, dtype).head()};
  }
  [[nodiscard]] Matrix codewords() const {
    return to_matrix(MatrixView<const float>(
        book.codewords.data(), static_cast<std::int64_t>(book.codewords.size()) / d, d));
  }
  /// The first keys, few enough for brute force.
  [[nodiscard]] std::vector<float> some_keys(std::int64_t count) const {
    const auto size = std::min(data.keys.size(), static_cast<std::size_t>(count * d));
    return {data.keys.begin(), data.keys.begin() + static_cast<std::ptrdiff_t>(size)};
  }
  /// L L^T.
  [[nodiscard]] Matrix weights() const {
    const Matrix lower = to_matrix(MatrixView<const float>(book.cholesky.data(), d, d));
    return reference_product(lower, transposed(lower));
  }
};

std::vector<std::uint16_t> encode(const KeyEncoder& encoder, const Stored& keys) {
  std::vector<std::uint16_t> codes(static_cast<std::size_t>(keys.head().rows));
  encoder.encode(keys.head(), 0, codes);
  return codes;
}

/// Shares of codes that agree; the others must be near ties: margin below `bound` x distance.
double agreement(const std::vector<std::uint16_t>& codes, const std::vector<Nearest>& expected,
                 double bound) {
  std::size_t same = 0;
  for (std::size_t k = 0; k < codes.size(); ++k) {
    if (codes[k] == expected[k].code) {
      ++same;
    } else {
      EXPECT_LT(expected[k].margin, bound * (expected[k].distance + expected[k].margin)) << k;
    }
  }
  return static_cast<double>(same) / static_cast<double>(codes.size());
}

TEST(KeyEncoding, T03_CodesAreTheBruteForceArgminOfEquation14) {
  for (const std::int64_t d : {2, 16, 33, 64, 80}) {
    for (const std::int64_t codewords : {1, 15, 16, 17, 100}) {
      const Trained trained(d, codewords);
      const std::vector<float> some = trained.some_keys(200);
      const Stored keys(some, d);
      const std::vector<Nearest> expected = reference_codes(
          to_matrix({some.data(), keys.head().rows, d}), trained.codewords(), trained.weights());
      // Every key whose two best codewords differ by more than fp32 can tell.
      EXPECT_GT(agreement(encode(trained.encoder(), keys), expected, 1e-3), 0.99)
          << d << ' ' << codewords;
    }
  }
}

TEST(KeyEncoding, T03_ABiasOfAllKeysCostsNoDigits) {
  const std::int64_t d = 32;
  RandomRows keys(400, d, 1);
  RandomRows codewords(64, d, 2);
  for (RandomRows* rows : {&keys, &codewords}) {
    for (std::size_t i = 0; i < rows->data.size(); ++i) {
      // Large in a few channels, as the key biases of some models are.
      rows->data[i] += i % static_cast<std::size_t>(d) < 3 ? 500.0F : 0.0F;
      rows->exact.data[i] = static_cast<double>(rows->data[i]);
    }
  }
  Matrix euclid(d, d);
  for (std::int64_t t = 0; t < d; ++t) {
    euclid.at(t, t) = 1.0;
  }
  const KeyEncoder encoder(Stored(codewords.data, d).head(), Stored(identity(d), d).head());
  // Squared distances near 40; with ||c||^2 / 2 - k . c alone fp32 would be off by about 0.05.
  EXPECT_GT(agreement(encode(encoder, Stored(keys.data, d)),
                      reference_codes(keys.exact, codewords.exact, euclid), 3e-5),
            0.995);
}

TEST(KeyEncoding, T03_TiesGoToTheLowestCode) {
  const std::int64_t d = 16;
  const RandomRows keys(64, d, 3);
  std::vector<float> repeated = keys.data;
  repeated.insert(repeated.end(), keys.data.begin(), keys.data.end());
  repeated.insert(repeated.end(), keys.data.begin(), keys.data.end());
  const KeyEncoder encoder(Stored(repeated, d).head(), Stored(identity(d), d).head());
  const std::vector<std::uint16_t> codes = encode(encoder, Stored(keys.data, d));
  for (std::size_t k = 0; k < codes.size(); ++k) {
    EXPECT_EQ(codes[k], k);
  }
}

TEST(KeyEncoding, T04_AnIsotropicMomentIsPlainQuantisation) {
  const std::int64_t d = 24;
  const RandomRows keys(500, d, 4);
  const RandomRows codewords(50, d, 5);
  const Stored stored(keys.data, d);
  const Stored book(codewords.data, d);
  const std::vector<std::uint16_t> plain =
      encode(KeyEncoder(book.head(), Stored(identity(d), d).head()), stored);
  Matrix euclid(d, d);
  for (std::int64_t t = 0; t < d; ++t) {
    euclid.at(t, t) = 1.0;
  }
  EXPECT_EQ(agreement(plain, reference_codes(keys.exact, codewords.exact, euclid), 1e-6), 1.0);
  // H = alpha I is L = sqrt(alpha) I.
  for (const float root : {0.03F, 0.5F, 4.0F, 900.0F}) {
    EXPECT_EQ(encode(KeyEncoder(book.head(), Stored(identity(d, root), d).head()), stored), plain);
  }
}

TEST(KeyEncoding, T04_ScalingTheMomentChangesNoCode) {
  const Trained trained(32, 64);
  const Stored keys(trained.data.keys, 32);
  const std::vector<std::uint16_t> codes = encode(trained.encoder(), keys);
  for (const float root : {0.25F, 2.0F, 64.0F}) {  // powers of two round nothing
    const KeyEncoder other(Stored(trained.book.codewords, 32).head(),
                           Stored(scaled(trained.book.cholesky, root), 32).head());
    EXPECT_EQ(encode(other, keys), codes) << root;
  }
  // Distances scale by root^2.
  Matrix wide = trained.weights();
  for (double& x : wide.data) {
    x *= 9.0;
  }
  const Matrix exact = to_matrix(trained.data.key_view());
  EXPECT_NEAR(reference_distance(exact, 3, trained.codewords(), 1, wide) /
                  reference_distance(exact, 3, trained.codewords(), 1, trained.weights()),
              9.0, 1e-12);
}

TEST(KeyEncoding, T05_ADiagonalMomentScalesCoordinates) {
  const std::int64_t d = 12;
  const RandomRows keys(300, d, 6);
  const RandomRows codewords(40, d, 7);
  std::vector<float> root = identity(d);
  std::vector<float> wide_keys = keys.data;
  std::vector<float> wide_codewords = codewords.data;
  for (std::int64_t t = 0; t < d; ++t) {
    const auto factor = static_cast<float>(1 << (t % 5));
    root[static_cast<std::size_t>(t * d + t)] = factor;
    for (std::size_t i = static_cast<std::size_t>(t); i < wide_keys.size();
         i += static_cast<std::size_t>(d)) {
      wide_keys[i] *= factor;
    }
    for (std::size_t i = static_cast<std::size_t>(t); i < wide_codewords.size();
         i += static_cast<std::size_t>(d)) {
      wide_codewords[i] *= factor;
    }
  }
  EXPECT_EQ(encode(KeyEncoder(Stored(codewords.data, d).head(), Stored(root, d).head()),
                   Stored(keys.data, d)),
            encode(KeyEncoder(Stored(wide_codewords, d).head(), Stored(identity(d), d).head()),
                   Stored(wide_keys, d)));
}

TEST(KeyEncoding, T10_SixteenBitCodebooksAgreeWhereMarginsAllow) {
  const std::int64_t d = 64;
  const Trained trained(d, 128, 4.0);
  const std::vector<float> some = trained.some_keys(600);
  const Stored keys(some, d);
  const std::vector<Nearest> expected = reference_codes(
      to_matrix({some.data(), keys.head().rows, d}), trained.codewords(), trained.weights());
  EXPECT_GE(agreement(encode(trained.encoder(DType::kF32), keys), expected, 1e-4), 0.999);
  EXPECT_GE(agreement(encode(trained.encoder(DType::kF16), keys), expected, 0.02), 0.99);
  EXPECT_GE(agreement(encode(trained.encoder(DType::kBF16), keys), expected, 0.15), 0.99);
  const Stored half_keys(some, d, DType::kF16);
  EXPECT_GE(agreement(encode(trained.encoder(), half_keys), expected, 0.02), 0.99);
}

TEST(KeyEncoding, T32_AppendingTokensGivesTheCodesOfOnePass) {
  for (const std::int64_t d : {16, 33, 64}) {
    const Trained trained(d, 100);
    const KeyEncoder encoder = trained.encoder();
    for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
      const Stored keys(trained.data.keys, d, dtype);
      const std::vector<std::uint16_t> whole = encode(encoder, keys);
      std::vector<std::uint16_t> grown(whole.size());
      const std::size_t prefill = 777;
      encoder.encode(keys.head(), 0, std::span(grown).first(prefill));
      for (std::size_t j = prefill; j < grown.size(); ++j) {
        encoder.encode(keys.head(), static_cast<std::int64_t>(j), std::span(grown).subspan(j, 1));
      }
      EXPECT_EQ(grown, whole) << d;
    }
  }
}

TEST(KeyEncoding, T12_CodesDoNotDependOnThreads) {
  const Trained trained(48, 200);
  const Stored keys(trained.data.keys, 48);
  std::vector<std::uint16_t> first;
  for (const int threads : {1, 2, 6}) {
    with_threads(threads, [&] {
      const std::vector<std::uint16_t> codes = encode(trained.encoder(), keys);
      first = first.empty() ? codes : first;
      EXPECT_EQ(codes, first);
    });
  }
}

TEST(KeyEncoding, LargeCodebooksAreSearchedTileByTile) {
  const std::int64_t d = 8;
  const RandomRows codewords(65536, d, 8);
  const KeyEncoder encoder(Stored(codewords.data, d).head(), Stored(identity(d), d).head());
  EXPECT_EQ(encoder.codewords(), 65536);
  const std::vector<float> some(codewords.data.end() - 200 * d, codewords.data.end());
  const std::vector<std::uint16_t> codes = encode(encoder, Stored(some, d));
  for (std::size_t k = 0; k < 200; ++k) {
    EXPECT_EQ(codes[k], 65536 - 200 + k);
  }
}

TEST(KeyEncoding, RefusesShapesThatDoNotFit) {
  const Stored codewords(std::vector<float>(40, 1.0F), 4);
  const Stored narrow(std::vector<float>(9, 1.0F), 3);
  EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "do not make a codebook",
                         [&] { KeyEncoder(codewords.head(), narrow.head()); }));
}

TEST(KeyEncoding, T34_PackedCodesComeBackWhateverTheirNumber) {
  std::mt19937 generator(9);
  for (std::size_t count = 0; count < 70; ++count) {
    std::vector<std::uint16_t> codes(count);
    for (std::uint16_t& code : codes) {
      code = static_cast<std::uint16_t>(generator() % kMaxPackedCodewords);
    }
    std::vector<std::uint32_t> words(
        static_cast<std::size_t>(packed_words(static_cast<std::int64_t>(count))), 0xffffffffU);
    pack_codes(codes, words);
    for (std::size_t first = 0; first <= count; ++first) {
      std::vector<std::uint16_t> some(count - first);
      unpack_codes(words, static_cast<std::int64_t>(first), some);
      EXPECT_TRUE(
          std::equal(some.begin(), some.end(), codes.begin() + static_cast<std::ptrdiff_t>(first)))
          << count << " from " << first;
    }
    if (count * 12 % 32 != 0) {
      EXPECT_EQ(words.back() >> count * 12 % 32, 0U);
    }
  }
}

TEST(KeyEncoding, T34_ThePackedLayoutIsThreeWordsEveryEightCodes) {
  const std::vector<std::uint16_t> codes{0x001, 0x002, 0x003, 0x004, 0x005,
                                         0x006, 0x007, 0x008, 0xfff};
  std::vector<std::uint32_t> words(4);
  pack_codes(codes, words);
  EXPECT_EQ(words, (std::vector<std::uint32_t>{0x03002001, 0x06005004 << 4U, 0x00800700, 0xfff}));
  static_assert(packed_words(0) == 0 && packed_words(1) == 1 && packed_words(8) == 3);
}

TEST(KeyEncoding, WorkCountsTheSearch) {
  static_assert(key_encoding_work(10, 64, 32, 2).flops == 2 * 10 * 32 * 64);
  static_assert(key_encoding_work(10, 64, 32, 2).bytes_read == 10 * 32 * 2 + 64 * 32 * 4);
  static_assert(key_encoding_work(10, 64, 32, 2).bytes_written == 20);
  static_assert(key_encoding_work(10, 64, 32, 2, CodeFormat::kPacked12).bytes_written == 16);
}

}  // namespace
}  // namespace kvsieve::kernels::tests
