#include "a2ats/codebook_training_device.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <iterator>
#include <string>
#include <vector>

#include "kernels/a2ats/a2ats_reference.h"
#include "kernels/attention/random_heads.h"
#include "kernels/device/orders.h"
#include "kvsieve/kernels/device_support.h"
#include "traces/fails_with.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {
namespace {

using kvsieve::tests::fails_with;
using tests::Matrix;
using tests::RandomRows;
using traces::DType;

/// Rows [heads, count, d] as a dtype rounds them, in device memory with gaps of NaN between rows
/// and between heads.
class StoredRows {
 public:
  StoredRows(std::int64_t heads, std::int64_t count, std::int64_t d, DType dtype, std::int64_t gaps,
             std::uint32_t seed, Stream& stream)
      : m_stride(d + gaps * 16 / static_cast<std::int64_t>(traces::size_of(dtype))),
        m_head_stride((count + gaps) * m_stride) {
    const std::size_t size = traces::size_of(dtype);
    std::vector<float> values = RandomRows(heads * count, d, seed).data;
    std::vector<std::byte> stored(values.size() * size);
    traces::from_float(dtype, values, stored.data());
    traces::to_float(dtype, stored.data(), values);
    m_exact = tests::to_matrix({values.data(), heads * count, d});
    std::vector<std::byte> bytes(static_cast<std::size_t>(heads * m_head_stride) * size,
                                 std::byte{0xff});
    for (std::int64_t r = 0; r < heads * count; ++r) {
      const auto row = static_cast<std::size_t>(d) * size;
      const std::int64_t place = r / count * m_head_stride + r % count * m_stride;
      std::copy_n(stored.begin() + r * static_cast<std::int64_t>(row), row,
                  bytes.begin() + place * static_cast<std::int64_t>(size));
    }
    m_bytes = DeviceBuffer<std::byte>(std::span<const std::byte>(bytes), stream);
  }
  [[nodiscard]] const void* data() const { return m_bytes.data(); }
  [[nodiscard]] std::int64_t stride() const { return m_stride; }
  [[nodiscard]] std::int64_t head_stride() const { return m_head_stride; }
  [[nodiscard]] const Matrix& exact() const { return m_exact; }

 private:
  std::int64_t m_stride;
  std::int64_t m_head_stride;
  DeviceBuffer<std::byte> m_bytes;
  Matrix m_exact;
};

struct MomentCase {
  std::int64_t kv_heads = 1;
  std::int64_t group = 1;
  std::int64_t rows = 16;
  std::int64_t head_dim = 64;
  DType dtype = DType::kF32;
  std::int64_t gaps = 0;

  [[nodiscard]] std::string name() const {
    return fmt::format("Hkv{} G{} R{} d{} {} gaps {}", kv_heads, group, rows, head_dim,
                       traces::name_of(dtype), gaps);
  }
};

/// Adds the queries to `moments` [Hkv, d, d].
void add_moment(const MomentCase& item, const StoredRows& queries, const double* moments,
                Stream& stream) {
  QueryMomentArgs args;
  args.queries = queries.data();
  args.dtype = item.dtype;
  args.kv_heads = item.kv_heads;
  args.group = item.group;
  args.rows = item.rows;
  args.head_dim = item.head_dim;
  args.head_stride = queries.head_stride();
  args.row_stride = queries.stride();
  args.moments = const_cast<double*>(moments);
  const DeviceBuffer<std::byte> workspace(query_moment_workspace_bytes(args));
  args.workspace = workspace.data();
  query_moment(args, stream);
  stream.synchronize();
}

/// The moments after adding the queries of each seed.
std::vector<double> run_moment(const MomentCase& item, std::initializer_list<std::uint32_t> seeds) {
  Stream stream;
  const std::int64_t size = item.kv_heads * item.head_dim * item.head_dim;
  const DeviceBuffer<double> moments(
      std::span<const double>(std::vector<double>(static_cast<std::size_t>(size), 0.0)), stream);
  for (const std::uint32_t seed : seeds) {
    add_moment(item,
               StoredRows(item.kv_heads * item.group, item.rows, item.head_dim, item.dtype,
                          item.gaps, seed, stream),
               moments.data(), stream);
  }
  return moments.download(stream);
}

Matrix expected_moment(const MomentCase& item, std::int64_t head, std::uint32_t seed) {
  Stream stream;
  const StoredRows queries(item.kv_heads * item.group, item.rows, item.head_dim, item.dtype, 0,
                           seed, stream);
  const std::int64_t count = item.group * item.rows;
  return tests::reference_moment(tests::rows_of(queries.exact(), head * count, count));
}

std::vector<MomentCase> moment_cases() {
  const std::int64_t kv_heads[] = {1, 2};
  const std::int64_t groups[] = {1, 2, 3, 8};
  // Around steps of 16 rows and shares of 128; a step over several members of a group.
  const std::int64_t row_counts[] = {0, 1, 3, 15, 16, 17, 127, 128, 129, 300};
  const std::size_t levels[] = {std::size(kv_heads),       std::size(groups),
                                std::size(row_counts),     kDeviceHeadDims.size(),
                                std::size(tests::kDTypes), 2};
  std::vector<MomentCase> cases;
  for (const std::vector<std::size_t>& row : tests::pairwise(levels)) {
    MomentCase& item = cases.emplace_back();
    item.kv_heads = kv_heads[row[0]];
    item.group = groups[row[1]];
    item.rows = row_counts[row[2]];
    item.head_dim = kDeviceHeadDims[row[3]];
    item.dtype = tests::kDTypes[row[4]];
    item.gaps = static_cast<std::int64_t>(row[5]);
    const std::int64_t affordable =
        8'000'000 / (item.kv_heads * item.group * item.head_dim * item.head_dim);
    item.rows = std::min(item.rows, std::max<std::int64_t>(affordable, 1));
  }
  return cases;
}

TEST(QueryMomentDevice, EqualsTheReference) {
  const std::vector<MomentCase> cases = moment_cases();
  EXPECT_LE(cases.size(), 150U);
  for (const MomentCase& item : cases) {
    SCOPED_TRACE(item.name());
    std::vector<std::vector<double>> results;
    for_each_order([&] { results.push_back(run_moment(item, {1})); });
    for (const std::vector<double>& result : results) {
      ASSERT_EQ(result, results.front());
    }
    const std::int64_t d = item.head_dim;
    const double rows = static_cast<double>(item.rows * item.group);
    for (std::int64_t head = 0; head < item.kv_heads; ++head) {
      const Matrix expected = expected_moment(item, head, 1);
      const double* moment = results.front().data() + head * d * d;
      for (std::int64_t a = 0; a < d; ++a) {
        for (std::int64_t b = 0; b < d; ++b) {
          ASSERT_NEAR(moment[a * d + b], expected.at(a, b), 1e-14 * (rows + 1.0) * 10.0);
          ASSERT_EQ(moment[a * d + b], moment[b * d + a]);
        }
      }
    }
  }
}

TEST(QueryMomentDevice, T08_AddsOverCallsAndHeads) {
  const MomentCase item{.kv_heads = 2, .group = 2, .rows = 150, .head_dim = 80};
  const std::vector<double> both = run_moment(item, {1, 2});
  const std::vector<double> first = run_moment(item, {1});
  const std::vector<double> second = run_moment(item, {2});
  for (std::size_t i = 0; i < both.size(); ++i) {
    ASSERT_NEAR(both[i], first[i] + second[i], 1e-12 * (1.0 + std::abs(both[i])));
  }
  // The group's sum is the sum over its heads.
  const std::vector<double> alone =
      run_moment({.kv_heads = 4, .group = 1, .rows = 150, .head_dim = 80}, {1});
  for (std::size_t i = 0; i < 80 * 80; ++i) {
    ASSERT_NEAR(first[i], alone[i] + alone[i + 80 * 80], 1e-12 * (1.0 + std::abs(first[i])));
  }
}

TEST(QueryMomentDevice, T01_FactorisesAsTheCpuBackend) {
  const MomentCase item{.group = 4, .rows = 200};
  Stream stream;
  const std::vector<double> sum = run_moment(item, {3});
  const DeviceBuffer<double> moment(std::span<const double>(sum), stream);
  const QueryMoment downloaded = download_moment(moment.data(), 64, 800, stream);
  EXPECT_EQ(downloaded.rows(), 800);
  QueryMoment expected(64);
  const std::vector<float> queries = RandomRows(800, 64, 3).data;
  expected.add({queries.data(), 800, 64});
  const CholeskyFactor factor = factorise(downloaded);
  const CholeskyFactor cpu = factorise(expected);
  for (std::size_t i = 0; i < cpu.lower.size(); ++i) {
    ASSERT_NEAR(factor.lower[i], cpu.lower[i], 1e-10);
  }
}

TEST(QueryMomentDevice, RefusesWhatHasNoKernel) {
  Stream stream;
  QueryMomentArgs args;
  args.dtype = DType::kF16;
  args.kv_heads = 1;
  args.group = 9;
  args.head_dim = 64;
  const auto refused = [&](const char* part) {
    return fails_with(ErrorKind::kUsage, part, [&] { query_moment(args, stream); });
  };
  EXPECT_TRUE(refused("query_moment: 9 query heads a KV head have no kernel"));
  args.group = 1;
  args.head_dim = 72;
  EXPECT_TRUE(refused("head size 72 has no kernel"));
  args.head_dim = 64;
  args.row_stride = 68;
  EXPECT_TRUE(refused("multiples of 16 bytes"));
  args.row_stride = 64;
  args.rows = 1;
  args.dtype = DType::kI32;
  EXPECT_TRUE(refused("dtype I32 has no kernel"));
}

TEST(QueryMomentDevice, LaunchesCoverTilesSharesAndHeads) {
  QueryMomentArgs args;
  args.kv_heads = 8;
  args.group = 4;
  args.rows = 100;
  args.head_dim = 128;
  EXPECT_EQ(moment_shares_config(args), (LaunchConfig{{3, 4, 8}, {256, 1, 1}, 0}));
  EXPECT_EQ(add_shares_config(args), (LaunchConfig{{3, 16, 8}, {256, 1, 1}, 0}));
  EXPECT_EQ(query_moment_workspace_bytes(args), 8U * 4 * 3 * 4096 * sizeof(double));
  args.head_dim = 80;
  args.rows = 100'000;
  EXPECT_EQ(moment_shares_config(args).grid, (Dim3{3, 64, 8}));
}

/// z [N, d] of random keys and a full matrix in place of L.
void check_whitening(std::int64_t rows, std::int64_t d, DType dtype, std::int64_t gaps) {
  SCOPED_TRACE(fmt::format("N{} d{} {} gaps {}", rows, d, traces::name_of(dtype), gaps));
  const RandomRows factor(d, d, 9);
  std::vector<float> first;
  for_each_order([&] {
    Stream stream;
    const StoredRows keys(1, rows, d, dtype, gaps, 5, stream);
    const DeviceBuffer<float> cholesky(std::span<const float>(factor.data), stream);
    const DeviceBuffer<float> z(static_cast<std::size_t>(rows * d));
    whiten({{keys.data(), dtype, rows, d, keys.stride()}, cholesky.data(), z.data()}, stream);
    const std::vector<float> result = z.download(stream);
    first = first.empty() ? result : first;
    ASSERT_EQ(result, first);
    const Matrix expected = tests::reference_product(keys.exact(), factor.exact);
    const Matrix sizes =
        tests::reference_product(tests::magnitudes(keys.exact()), tests::magnitudes(factor.exact));
    for (std::size_t i = 0; i < result.size(); ++i) {
      ASSERT_NEAR(static_cast<double>(result[i]), expected.data[i],
                  static_cast<double>(d + 1) * 0x1p-24 * sizes.data[i]);
    }
  });
}

TEST(WhitenDevice, EqualsTheReference) {
  for (const std::int64_t d : kDeviceHeadDims) {
    for (const std::int64_t rows : {0, 1, 63, 64, 65}) {
      const DType dtype = tests::kDTypes[static_cast<std::size_t>(rows + d / 16) % 3];
      check_whitening(rows, d, dtype, rows % 2);
    }
  }
}

TEST(WhitenDevice, RefusesWhatHasNoKernel) {
  Stream stream;
  WhitenArgs args;
  args.keys = {nullptr, DType::kF32, 1, 72, 72};
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "whiten: head size 72 has no kernel",
                         [&] { whiten(args, stream); }));
  args.keys = {nullptr, DType::kF16, 1, 64, 68};
  EXPECT_TRUE(
      fails_with(ErrorKind::kUsage, "multiples of 16 bytes", [&] { whiten(args, stream); }));
}

TEST(CodebookTrainingDevice, T14_CodewordsAreMeansInTheSpaceOfKeys) {
  const std::int64_t d = 64;
  const tests::Calibration data(600, 300, d, 1, 2);
  QueryMoment moment(d);
  moment.add(data.query_view());
  const CholeskyFactor factor = factorise(moment);
  const KMeansOptions options{.clusters = 24, .max_iterations = 100, .tolerance = 0.0, .seed = 3};
  Stream stream;
  const DeviceBuffer<float> keys(std::span<const float>(data.keys), stream);
  const TrainedCodebook book =
      train_codebook({keys.data(), DType::kF32, 600, d, d}, factor, options, stream);
  ASSERT_TRUE(book.clustering.converged);
  Matrix means(24, d);
  std::vector<double> counts(24, 0.0);
  for (std::int64_t i = 0; i < 600; ++i) {
    const auto label = book.clustering.labels[static_cast<std::size_t>(i)];
    counts[static_cast<std::size_t>(label)] += 1.0;
    for (std::int64_t t = 0; t < d; ++t) {
      means.at(label, t) +=
          static_cast<double>(data.key_view().row(i)[static_cast<std::size_t>(t)]);
    }
  }
  for (std::int64_t c = 0; c < 24; ++c) {
    for (std::int64_t t = 0; t < d; ++t) {
      // Whitened keys are rounded to fp32, which the solve by L magnifies.
      EXPECT_NEAR(static_cast<double>(book.codewords[static_cast<std::size_t>(c * d + t)]),
                  means.at(c, t) / counts[static_cast<std::size_t>(c)], 1e-3);
    }
  }
  // As good as the CPU backend's, which rounds whitened keys in its own way.
  const TrainedCodebook cpu = kernels::train_codebook(data.key_view(), factor, options);
  EXPECT_NEAR(book.clustering.objective.back() / cpu.clustering.objective.back(), 1.0, 0.05);
  EXPECT_EQ(book.cholesky, cpu.cholesky);
}

TEST(CodebookTrainingRace, MomentAndWhitening) {
  const MomentCase item{.group = 2, .rows = 40, .head_dim = 80, .dtype = DType::kBF16};
  const std::vector<double> moment = run_moment(item, {1});
  const Matrix expected = expected_moment(item, 0, 1);
  for (std::size_t i = 0; i < moment.size(); ++i) {
    EXPECT_NEAR(moment[i], expected.data[i], 1e-11);
  }
  check_whitening(3, 80, DType::kF16, 1);
}

}  // namespace
}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
