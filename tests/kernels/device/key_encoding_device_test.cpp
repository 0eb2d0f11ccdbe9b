#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "a2ats/key_encoding_device.h"
#include "kernels/a2ats/a2ats_reference.h"
#include "kernels/attention/random_heads.h"
#include "kernels/device/orders.h"
#include "kvsieve/kernels/codebook_training.h"
#include "kvsieve/kernels/device_support.h"
#include "traces/fails_with.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {
namespace {

using kvsieve::tests::fails_with;
using tests::EncodingReference;
using tests::Matrix;
using tests::RandomRows;
using traces::DType;

constexpr std::uint16_t kOldCode = 0xabc;

template <class T>
DeviceBuffer<T> upload(const std::vector<T>& elements, Stream& stream) {
  return DeviceBuffer<T>(std::span<const T>(elements), stream);
}

struct EncodingCase {
  std::int64_t kv_heads = 1;
  std::int64_t sequences = 1;
  std::int64_t head_dim = 64;
  std::int64_t codewords = 16;
  std::int64_t tokens = 1;
  std::int64_t first = 0;
  DType dtype = DType::kF32;
  CodeFormat format = CodeFormat::kUint16;
  bool token_major = false;  ///< [n, S, d] instead of rows with gaps between them

  [[nodiscard]] std::int64_t segments() const { return kv_heads * sequences; }
  [[nodiscard]] std::string name() const {
    return fmt::format("Hkv{} B{} d{} C{} n{} from {} {}{}{}", kv_heads, sequences, head_dim,
                       codewords, tokens, first, traces::name_of(dtype),
                       format == CodeFormat::kUint16 ? "" : " packed",
                       token_major ? " token-major" : "");
  }
};

std::vector<float> random_factor(std::int64_t d, std::uint32_t seed) {
  RandomRows rows(d, d, seed, 0.3);
  for (std::int64_t r = 0; r < d; ++r) {
    for (std::int64_t c = r; c < d; ++c) {
      float& x = rows.data[static_cast<std::size_t>(r * d + c)];
      // Axes of different width.
      x = c > r ? 0.0F : 0.2F + static_cast<float>(r % 7) / 4.0F;
    }
  }
  return rows.data;
}

/// Codebooks of all KV heads and keys of all segments, on the host.
struct EncodingProblem {
  EncodingCase item;
  std::vector<std::vector<float>> codewords;  ///< [Hkv] of [C, d]
  std::vector<std::vector<float>> factors;    ///< [Hkv] of [d, d]
  std::vector<std::vector<float>> keys;       ///< [S] of [n, d], as the dtype rounds them

  explicit EncodingProblem(const EncodingCase& encoding_case) : item(encoding_case) {
    const std::int64_t d = item.head_dim;
    for (std::int64_t head = 0; head < item.kv_heads; ++head) {
      const auto seed = static_cast<std::uint32_t>(10 + head);
      codewords.push_back(RandomRows(item.codewords, d, seed).data);
      factors.push_back(random_factor(d, seed + 10));
    }
    for (std::int64_t s = 0; s < item.segments(); ++s) {
      std::vector<float> rows =
          RandomRows(item.tokens, d, static_cast<std::uint32_t>(100 + s)).data;
      std::vector<std::byte> stored(rows.size() * traces::size_of(item.dtype));
      traces::from_float(item.dtype, rows, stored.data());
      traces::to_float(item.dtype, stored.data(), rows);
      keys.push_back(std::move(rows));
    }
  }

  [[nodiscard]] EncodingReference reference(std::int64_t head) const {
    const auto h = static_cast<std::size_t>(head);
    return {tests::to_matrix({codewords[h].data(), item.codewords, item.head_dim}),
            tests::to_matrix({factors[h].data(), item.head_dim, item.head_dim})};
  }
};

std::vector<float> joined(const std::vector<std::vector<float>>& parts) {
  std::vector<float> all;
  for (const std::vector<float>& part : parts) {
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

/// A problem in device memory.
class DeviceProblem {
 public:
  DeviceProblem(const EncodingProblem& problem, Stream& stream) : m_item(problem.item) {
    const DeviceBuffer<float> codewords = upload(joined(problem.codewords), stream);
    const DeviceBuffer<float> factors = upload(joined(problem.factors), stream);
    const std::int64_t padded = padded_codewords(m_item.codewords);
    m_weights =
        DeviceBuffer<float>(static_cast<std::size_t>(m_item.kv_heads * m_item.head_dim * padded));
    m_biases = DeviceBuffer<float>(static_cast<std::size_t>(m_item.kv_heads * padded));
    CodewordTableArgs table;
    table.codewords = codewords.data();
    table.cholesky = factors.data();
    table.kv_heads = m_item.kv_heads;
    table.codeword_count = m_item.codewords;
    table.head_dim = m_item.head_dim;
    table.weights = m_weights.data();
    m_centers = DeviceBuffer<float>(static_cast<std::size_t>(m_item.kv_heads * m_item.head_dim));
    table.biases = m_biases.data();
    table.centers = m_centers.data();
    codeword_table(table, stream);
    stream.synchronize();
    m_args.table = table.table();
    place_keys(problem, stream);
    m_args.dtype = m_item.dtype;
    m_args.segments = m_item.segments();
    m_args.tokens = m_item.tokens;
    m_args.head_dim = m_item.head_dim;
    m_args.first = m_item.first;
  }

  /// Arguments for keys [begin, begin + count) without a store.
  [[nodiscard]] KeyEncodingArgs args(std::int64_t begin, std::int64_t count) const {
    KeyEncodingArgs args = m_args;
    args.keys = static_cast<const std::byte*>(args.keys) +
                begin * args.token_stride * static_cast<std::int64_t>(traces::size_of(args.dtype));
    args.first += begin;
    args.tokens = count;
    return args;
  }

 private:
  void place_keys(const EncodingProblem& problem, Stream& stream) {
    const std::int64_t d = m_item.head_dim;
    const auto size = static_cast<std::int64_t>(traces::size_of(m_item.dtype));
    m_args.token_stride = m_item.token_major ? m_item.segments() * d : d + 32 / size;
    m_args.segment_stride =
        m_item.token_major ? d : m_item.tokens * m_args.token_stride + 16 / size;
    // What lies between is NaN in every dtype.
    std::vector<std::byte> bytes(
        static_cast<std::size_t>(
            (m_item.segments() * m_args.segment_stride + m_item.tokens * m_args.token_stride) *
            size),
        std::byte{0xff});
    for (std::int64_t s = 0; s < m_item.segments(); ++s) {
      for (std::int64_t j = 0; j < m_item.tokens; ++j) {
        const std::vector<float>& rows = problem.keys[static_cast<std::size_t>(s)];
        traces::from_float(
            m_item.dtype,
            std::span(rows).subspan(static_cast<std::size_t>(j * d), static_cast<std::size_t>(d)),
            bytes.data() + (s * m_args.segment_stride + j * m_args.token_stride) * size);
      }
    }
    m_keys = upload(bytes, stream);
    m_args.keys = m_keys.data();
  }

  EncodingCase m_item;
  DeviceBuffer<float> m_weights;
  DeviceBuffer<float> m_biases;
  DeviceBuffer<float> m_centers;
  DeviceBuffer<std::byte> m_keys;
  KeyEncodingArgs m_args;
};

using Codes = std::vector<std::vector<std::uint16_t>>;  // [S][tokens]

/// A store with room for `tokens` codes a segment, all kOldCode at first.
class DeviceStore {
 public:
  DeviceStore(CodeFormat format, std::int64_t segments, std::int64_t tokens, Stream& stream)
      : m_segments(segments), m_tokens(tokens) {
    m_store.format = format;
    const std::vector<std::uint16_t> old(static_cast<std::size_t>(tokens), kOldCode);
    if (format == CodeFormat::kUint16) {
      m_store.stride = tokens + 3;
      m_codes = upload(
          std::vector<std::uint16_t>(static_cast<std::size_t>(segments * m_store.stride), kOldCode),
          stream);
      m_store.codes = m_codes.data();
    } else {
      m_store.stride = packed_words(tokens) + 1;
      std::vector<std::uint32_t> words(static_cast<std::size_t>(segments * m_store.stride));
      for (std::int64_t s = 0; s < segments; ++s) {
        pack_codes(old, std::span(words).subspan(static_cast<std::size_t>(s * m_store.stride),
                                                 static_cast<std::size_t>(m_store.stride)));
      }
      m_words = upload(words, stream);
      m_store.words = m_words.data();
    }
  }

  [[nodiscard]] const CodeStore& store() const { return m_store; }

  /// The first `tokens` codes of every segment.
  [[nodiscard]] Codes codes(std::int64_t tokens, Stream& stream) const {
    Codes all;
    const std::vector<std::uint16_t> codes = m_codes.download(stream);
    const std::vector<std::uint32_t> words = m_words.download(stream);
    for (std::int64_t s = 0; s < m_segments; ++s) {
      std::vector<std::uint16_t> row(static_cast<std::size_t>(tokens));
      const auto begin = static_cast<std::size_t>(s * m_store.stride);
      if (m_store.format == CodeFormat::kUint16) {
        std::copy_n(codes.begin() + static_cast<std::ptrdiff_t>(begin), row.size(), row.begin());
      } else {
        kernels::unpack_codes(std::span(words).subspan(begin), 0, row);
      }
      all.push_back(std::move(row));
    }
    return all;
  }

 private:
  std::int64_t m_segments;
  std::int64_t m_tokens;
  DeviceBuffer<std::uint16_t> m_codes{0};
  DeviceBuffer<std::uint32_t> m_words{0};
  CodeStore m_store;
};

/// Zeroed state of append_code.
class AppendWorkspace {
 public:
  AppendWorkspace(std::int64_t segments, Stream& stream)
      : m_bytes(upload(std::vector<std::byte>(append_code_workspace_bytes(segments)), stream)) {}
  [[nodiscard]] void* data() const { return m_bytes.data(); }

 private:
  DeviceBuffer<std::byte> m_bytes;
};

/// Codes [0, first + n) after one pass over all keys.
Codes encode(const EncodingProblem& problem) {
  Stream stream;
  const DeviceProblem device(problem, stream);
  const std::int64_t end = problem.item.first + problem.item.tokens;
  const DeviceStore store(problem.item.format, problem.item.segments(), end + 9, stream);
  KeyEncodingArgs args = device.args(0, problem.item.tokens);
  args.store = store.store();
  key_encoding(args, stream);
  return store.codes(end, stream);
}

/// The same in two passes and then token by token.
Codes encode_in_parts(const EncodingProblem& problem, std::int64_t first_part,
                      std::int64_t appended) {
  Stream stream;
  const DeviceProblem device(problem, stream);
  const std::int64_t n = problem.item.tokens;
  const DeviceStore store(problem.item.format, problem.item.segments(), problem.item.first + n + 9,
                          stream);
  const AppendWorkspace workspace(problem.item.segments(), stream);
  const std::int64_t prefill = n - appended;
  for (const auto& [begin, end] : {std::pair{std::int64_t{0}, first_part}, {first_part, prefill}}) {
    KeyEncodingArgs args = device.args(begin, end - begin);
    args.store = store.store();
    key_encoding(args, stream);
  }
  for (std::int64_t j = prefill; j < n; ++j) {
    KeyEncodingArgs args = device.args(j, 1);
    args.store = store.store();
    append_code(args, workspace.data(), stream);
  }
  return store.codes(problem.item.first + n, stream);
}

std::span<const double> row_of(const Matrix& matrix, std::int64_t r) {
  return {matrix.data.data() + r * matrix.cols, static_cast<std::size_t>(matrix.cols)};
}

/// Codes before `first` are old; the others are nearest but for what fp32 cannot tell.
void expect_nearest(const EncodingProblem& problem, const Codes& codes) {
  const EncodingCase& item = problem.item;
  for (std::int64_t s = 0; s < item.segments(); ++s) {
    const EncodingReference reference = problem.reference(s % item.kv_heads);
    const auto segment = static_cast<std::size_t>(s);
    const Matrix keys =
        tests::to_matrix({problem.keys[segment].data(), item.tokens, item.head_dim});
    for (std::int64_t j = 0; j < item.first; ++j) {
      ASSERT_EQ(codes[segment][static_cast<std::size_t>(j)], kOldCode) << s << ' ' << j;
    }
    for (std::int64_t j = 0; j < item.tokens; ++j) {
      const std::int64_t code = codes[segment][static_cast<std::size_t>(item.first + j)];
      ASSERT_LT(code, item.codewords);
      const std::span<const double> key = row_of(keys, j);
      const std::int64_t expected = reference.code(key);
      if (code != expected) {
        ASSERT_LT(reference.distance(key, code) - reference.distance(key, expected),
                  reference.bound(key))
            << "segment " << s << ", key " << j;
      }
    }
  }
}

std::vector<EncodingCase> encoding_cases() {
  const std::int64_t kv_heads[] = {1, 2};
  const std::int64_t sequences[] = {1, 2};
  const std::int64_t codewords[] = {16, 17, 64, 127, 128, 129, 256, 1000, 4096, 16384};
  // Around tiles of 64 and 128 tokens.
  const std::int64_t token_counts[] = {0, 1, 2, 63, 64, 65, 127, 128, 129, 200};
  const std::int64_t firsts[] = {0, 1, 5, 127, 130};
  const std::size_t levels[] = {std::size(kv_heads),
                                std::size(sequences),
                                kDeviceHeadDims.size(),
                                std::size(codewords),
                                std::size(token_counts),
                                std::size(firsts),
                                std::size(tests::kDTypes),
                                2,
                                2};
  std::vector<EncodingCase> cases;
  for (const std::vector<std::size_t>& row : tests::pairwise(levels)) {
    EncodingCase& item = cases.emplace_back();
    item.kv_heads = kv_heads[row[0]];
    item.sequences = sequences[row[1]];
    item.head_dim = kDeviceHeadDims[row[2]];
    item.codewords = codewords[row[3]];
    item.tokens = token_counts[row[4]];
    item.first = firsts[row[5]];
    item.dtype = tests::kDTypes[row[6]];
    item.format = row[7] == 1 && item.codewords <= kMaxPackedCodewords ? CodeFormat::kPacked12
                                                                       : CodeFormat::kUint16;
    item.token_major = row[8] == 1;
    if (item.codewords > kMaxPackedCodewords) {
      item.head_dim = 64;
      item.kv_heads = 1;
    }
    // A thread has 8 rows, so fewer keys than that are no cheaper on the host executor.
    const std::int64_t affordable = 4'000'000 / (item.segments() * item.codewords * item.head_dim);
    item.tokens = std::min(item.tokens, std::max<std::int64_t>(affordable, 2));
  }
  return cases;
}

TEST(KeyEncodingDevice, T03_CodesAreTheArgminInDoublePrecision) {
  const std::vector<EncodingCase> cases = encoding_cases();
  EXPECT_LE(cases.size(), 150U);
  for (const EncodingCase& item : cases) {
    SCOPED_TRACE(item.name());
    const EncodingProblem problem(item);
    std::vector<Codes> results;
    for_each_order([&] { results.push_back(encode(problem)); });
    for (const Codes& codes : results) {
      ASSERT_EQ(codes, results.front());
    }
    ASSERT_NO_FATAL_FAILURE(expect_nearest(problem, results.front()));
  }
}

TEST(KeyEncodingDevice, T32_PartsAndSingleTokensGiveTheCodesOfOnePass) {
  for (const std::int64_t d : kDeviceHeadDims) {
    for (const DType dtype : tests::kDTypes) {
      for (const CodeFormat format : {CodeFormat::kUint16, CodeFormat::kPacked12}) {
        const EncodingCase item{.kv_heads = 2,
                                .head_dim = d,
                                .codewords = 300,
                                .tokens = 41,
                                .first = format == CodeFormat::kUint16 ? 100 : 101,
                                .dtype = dtype,
                                .format = format};
        SCOPED_TRACE(item.name());
        const EncodingProblem problem(item);
        const Codes whole = encode(problem);
        for_each_order([&] { EXPECT_EQ(encode_in_parts(problem, 29, 9), whole); });
      }
    }
  }
}

TEST(KeyEncodingDevice, AgreesWithTheCpuBackend) {
  for (const std::int64_t d : kDeviceHeadDims) {
    EncodingProblem problem(
        {.head_dim = d, .codewords = 200, .tokens = 300, .dtype = DType::kBF16});
    const tests::Calibration data(300, 4 * d, d, 7, 8);
    QueryMoment moment(d);
    moment.add(data.query_view());
    const TrainedCodebook book = train_codebook(data.key_view(), factorise(moment),
                                                {.clusters = 200, .max_iterations = 3, .seed = 2});
    problem.codewords[0] = book.codewords;
    problem.factors[0] = book.cholesky;
    std::vector<std::byte> stored(data.keys.size() * 2);
    traces::from_float(DType::kBF16, data.keys, stored.data());
    traces::to_float(DType::kBF16, stored.data(), problem.keys[0]);
    const auto head = [](const std::vector<float>& rows, std::int64_t cols) {
      return HeadSlice(traces::TensorView{reinterpret_cast<const std::byte*>(rows.data()),
                                          DType::kF32,
                                          {1, static_cast<std::int64_t>(rows.size()) / cols, cols}},
                       0);
    };
    const KeyEncoder encoder(head(book.codewords, d), head(book.cholesky, d));
    std::vector<std::uint16_t> expected(300);
    encoder.encode(head(problem.keys[0], d), 0, expected);
    const Codes codes = encode(problem);
    ASSERT_NO_FATAL_FAILURE(expect_nearest(problem, codes));
    std::int64_t same = 0;
    for (std::size_t j = 0; j < expected.size(); ++j) {
      same += codes[0][j] == expected[j] ? 1 : 0;
    }
    EXPECT_GE(same, 299) << d;
  }
}

TEST(KeyEncodingDevice, T02_TheTransposedFactorGivesOtherCodes) {
  const EncodingProblem problem({.codewords = 256, .tokens = 200});
  const Matrix lower = tests::to_matrix({problem.factors[0].data(), 64, 64});
  const EncodingReference wrong(tests::to_matrix({problem.codewords[0].data(), 256, 64}),
                                tests::transposed(lower));
  const Codes codes = encode(problem);
  const Matrix keys = tests::to_matrix({problem.keys[0].data(), 200, 64});
  std::int64_t same = 0;
  for (std::int64_t j = 0; j < 200; ++j) {
    same += codes[0][static_cast<std::size_t>(j)] == wrong.code(row_of(keys, j)) ? 1 : 0;
  }
  EXPECT_LT(same, 150);
}

TEST(KeyEncodingDevice, T03_TiesGoToTheLowestCode) {
  for (const CodeFormat format : {CodeFormat::kUint16, CodeFormat::kPacked12}) {
    EncodingProblem problem({.codewords = 320, .tokens = 64, .format = format});
    // Codewords 64 apart, in other threads, halves and tiles, are the same; keys lie on them.
    std::vector<float>& codewords = problem.codewords[0];
    for (std::size_t i = 64 * 64; i < codewords.size(); ++i) {
      codewords[i] = codewords[i % (64 * 64)];
    }
    std::copy_n(codewords.begin(), 64 * 64, problem.keys[0].begin());
    for_each_order([&] {
      for (const Codes& codes : {encode(problem), encode_in_parts(problem, 1, 62)}) {
        for (std::uint16_t j = 0; j < 64; ++j) {
          EXPECT_EQ(codes[0][j], j);
        }
      }
    });
  }
}

TEST(KeyEncodingDevice, T03_ABiasOfAllKeysCostsNoDigits) {
  EncodingProblem problem({.codewords = 64, .tokens = 200});
  EncodingProblem plain = problem;
  for (std::vector<float>* rows : {&problem.keys[0], &problem.codewords[0]}) {
    for (std::size_t i = 0; i < rows->size(); ++i) {
      // Large in a few channels, as the key biases of some models are; exact in fp32 afterwards.
      float& x = (*rows)[i];
      x = std::round(x * 256.0F) / 256.0F + (i % 64 < 3 ? 512.0F : 0.0F);
      (rows == problem.keys.data() ? plain.keys[0] : plain.codewords[0])[i] =
          x - (i % 64 < 3 ? 512.0F : 0.0F);
    }
  }
  const Codes with_bias = encode(problem);
  const Codes without = encode(plain);
  std::int64_t same = 0;
  for (std::size_t j = 0; j < 200; ++j) {
    same += with_bias[0][j] == without[0][j] ? 1 : 0;
  }
  EXPECT_GE(same, 199);
}

TEST(KeyEncodingDevice, AKeyWithANanGetsCodeZero) {
  EncodingProblem problem({.codewords = 200, .tokens = 5});
  problem.keys[0][3] = std::numeric_limits<float>::quiet_NaN();
  problem.keys[0][4 * 64 + 63] = std::numeric_limits<float>::quiet_NaN();
  for_each_order([&] {
    const Codes codes = encode(problem);
    EXPECT_EQ(codes[0][0], 0);
    EXPECT_EQ(codes[0][4], 0);
    EXPECT_EQ(encode_in_parts(problem, 0, 5), codes);
  });
}

TEST(KeyEncodingDevice, TheLargestCodebookIsSearchedToItsEnd) {
  EncodingProblem problem({.codewords = kMaxCodewords, .tokens = 2});
  problem.factors[0].assign(64 * 64, 0.0F);
  for (std::size_t t = 0; t < 64; ++t) {
    problem.factors[0][t * 65] = 1.0F;
  }
  std::copy_n(problem.codewords[0].end() - 64, 64, problem.keys[0].begin());
  std::copy_n(problem.codewords[0].begin() + 40000 * 64, 64, problem.keys[0].begin() + 64);
  const Codes expected{{65535, 40000}};
  EXPECT_EQ(encode(problem), expected);
  EXPECT_EQ(encode_in_parts(problem, 0, 2), expected);
}

TEST(KeyEncodingDevice, T34_UnpacksAnyRange) {
  std::vector<std::uint16_t> codes(600);
  for (std::size_t j = 0; j < codes.size(); ++j) {
    codes[j] = static_cast<std::uint16_t>(j * 977 % 4096);
  }
  const std::int64_t words_stride = packed_words(300) + 1;
  std::vector<std::uint32_t> words(static_cast<std::size_t>(2 * words_stride));
  for (std::size_t s = 0; s < 2; ++s) {
    pack_codes(std::span(codes).subspan(s * 300, 300),
               std::span(words).subspan(s * static_cast<std::size_t>(words_stride),
                                        static_cast<std::size_t>(words_stride)));
  }
  for (const std::int64_t first : {0, 1, 2, 3, 5, 8}) {
    for (const std::int64_t tokens : {0, 1, 2, 7, 255, 256, 257, 292}) {
      for_each_order([&] {
        Stream stream;
        const DeviceBuffer<std::uint32_t> packed = upload(words, stream);
        const std::int64_t stride = tokens + 1;
        const DeviceBuffer<std::uint16_t> unpacked = upload(
            std::vector<std::uint16_t>(static_cast<std::size_t>(2 * stride), 0xffff), stream);
        unpack_codes({packed.data(), words_stride, 2, first, tokens, unpacked.data(), stride},
                     stream);
        const std::vector<std::uint16_t> result = unpacked.download(stream);
        for (std::int64_t s = 0; s < 2; ++s) {
          for (std::int64_t j = 0; j < tokens; ++j) {
            ASSERT_EQ(result[static_cast<std::size_t>(s * stride + j)],
                      codes[static_cast<std::size_t>(s * 300 + first + j)]);
          }
          ASSERT_EQ(result[static_cast<std::size_t>(s * stride + tokens)], 0xffff);
        }
      });
    }
  }
}

TEST(KeyEncodingDevice, RefusesWhatHasNoKernel) {
  Stream stream;
  KeyEncodingArgs good;
  good.dtype = DType::kF16;
  good.segments = 2;
  good.tokens = 1;
  good.head_dim = 64;
  good.segment_stride = 64;
  good.token_stride = 64;
  good.table = {nullptr, nullptr, nullptr, 2, 4096, 64};
  const auto refused = [&](const KeyEncodingArgs& args, const char* part) {
    return fails_with(ErrorKind::kUsage, part, [&] { key_encoding(args, stream); });
  };
  KeyEncodingArgs args = good;
  args.head_dim = 72;
  EXPECT_TRUE(refused(args, "key_encoding: head size 72 has no kernel, supported: 64, 80"));
  args = good;
  args.dtype = DType::kI32;
  EXPECT_TRUE(refused(args, "dtype I32 has no kernel"));
  args = good;
  args.table.codewords = 65537;
  EXPECT_TRUE(refused(args, "number of codewords 65537 has no kernel, supported: 1 to 65536"));
  args = good;
  args.table.codewords = 4097;
  args.store.format = CodeFormat::kPacked12;
  EXPECT_TRUE(refused(args, "packed number of codewords 4097"));
  args = good;
  args.token_stride = 68;
  EXPECT_TRUE(refused(args, "multiples of 16 bytes"));
  args = good;
  args.segments = 3;
  EXPECT_TRUE(fails_with(ErrorKind::kInternal, "the table does not fit the keys",
                         [&] { key_encoding(args, stream); }));
  args = good;
  args.tokens = 2;
  EXPECT_TRUE(fails_with(ErrorKind::kInternal, "append_code: takes one token",
                         [&] { append_code(args, nullptr, stream); }));
  CodewordTableArgs table;
  table.head_dim = 64;
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "codeword_table: number of codewords 0",
                         [&] { codeword_table(table, stream); }));
}

TEST(KeyEncodingDevice, LaunchesCoverTokensCodewordsAndSegments) {
  KeyEncodingArgs args;
  args.segments = 6;
  args.tokens = 129;
  args.head_dim = 128;
  args.table.codewords = 4096;
  EXPECT_EQ(key_encoding_config(args).grid, (Dim3{2, 6, 1}));
  EXPECT_EQ(key_encoding_config(args).block, (Dim3{256, 1, 1}));
  args.tokens = 128;
  EXPECT_EQ(key_encoding_config(args).grid, (Dim3{1, 6, 1}));
  // Tiles are cut at multiples of 128 tokens.
  args.first = 127;
  EXPECT_EQ(key_encoding_config(args).grid, (Dim3{2, 6, 1}));
  args.head_dim = 256;
  EXPECT_EQ(key_encoding_config(args).grid, (Dim3{3, 6, 1}));
  EXPECT_EQ(key_encoding_config(args).block, (Dim3{128, 1, 1}));
  args.tokens = 0;
  EXPECT_EQ(key_encoding_config(args).grid.x, 0U);
  EXPECT_EQ(append_code_config(args), (LaunchConfig{{32, 6, 1}, {128, 1, 1}, 0}));
  // Two blocks fit a multiprocessor of compute capability 8.0.
  for (const std::int64_t d : kDeviceHeadDims) {
    args.head_dim = d;
    EXPECT_LE(key_encoding_config(args).shared_bytes, 81U * 1024);
  }
  CodewordTableArgs table;
  table.kv_heads = 2;
  table.head_dim = 80;
  table.codeword_count = 130;
  EXPECT_EQ(mean_codeword_config(table), (LaunchConfig{{3, 2, 1}, {512, 1, 1}, 0}));
  EXPECT_EQ(codeword_table_config(table),
            (LaunchConfig{{8, 2, 1}, {256, 1, 1}, 2 * 80 * 33 * sizeof(double)}));
}

// Few, small and in one order: the thread sanitizer takes about 0.1 s a block, and finds a missing
// barrier in any order.
TEST(KeyEncodingRace, SmallCases) {
  const EncodingCase small[] = {
      {.kv_heads = 2, .codewords = 130, .tokens = 3, .first = 127, .format = CodeFormat::kPacked12},
      {.head_dim = 80, .codewords = 17, .tokens = 9, .dtype = DType::kBF16},
      {.head_dim = 256,
       .codewords = 129,
       .tokens = 2,
       .first = 63,
       .dtype = DType::kF16,
       .format = CodeFormat::kPacked12}};
  for (const EncodingCase& item : small) {
    SCOPED_TRACE(item.name());
    const EncodingProblem problem(item);
    const Codes codes = encode(problem);
    expect_nearest(problem, codes);
    EXPECT_EQ(encode_in_parts(problem, 1, 1), codes);
  }
}

}  // namespace
}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
