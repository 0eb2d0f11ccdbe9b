#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "attention/sparse_decode_device.h"
#include "kernels/attention/case_table.h"
#include "kernels/device/orders.h"
#include "kvsieve/kernels/device_support.h"
#include "kvsieve/traces/error.h"
#ifdef KVSIEVE_TEST_SIMT
#include "kernels/adakv/sparse_memory.h"
#endif

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {
namespace {

// Scores of a few units lose about 1e-6 to fp32 sums over d and to the approximation of exp2,
// weights as much relatively, and the values that they average are a few units large.
constexpr double kTolerance = 2e-5;
// Of a row's norm: two fp32 sums over the same rows in another order.
constexpr double kMergeTolerance = 1e-6;
constexpr float kEmpty = -std::numeric_limits<float>::infinity();

enum class Listing { kFirstRows, kAscending, kShuffled };

struct SparseCase {
  std::vector<std::int32_t> counts{40};
  std::int64_t group = 1;
  std::int64_t head_dim = 64;
  traces::DType dtype = traces::DType::kF16;
  std::optional<float> softcap;
  bool equal_scores = false;  ///< all keys zero
  Listing listing = Listing::kShuffled;
  std::int64_t more_rows = 9;  ///< rows of a segment besides the longest list's
  std::int64_t shares = 3;

  [[nodiscard]] std::string name() const {
    std::string text = "counts";
    for (const std::int32_t count : counts) {
      text += ' ' + std::to_string(count);
    }
    return text + " G" + std::to_string(group) + " d" + std::to_string(head_dim) + ' ' +
           std::string(traces::name_of(dtype)) + " listing " +
           std::to_string(static_cast<int>(listing)) + " shares " + std::to_string(shares);
  }
};

struct Result {
  std::vector<float> out;       ///< [S, G, d]
  std::vector<float> log_sums;  ///< [S, G]

  bool operator==(const Result&) const = default;
};
struct Reference {
  std::vector<double> out;
  std::vector<double> log_sums;
};

/// A cache whose unlisted rows hold NaN, and lists of its rows.
class SparseProblem {
 public:
  explicit SparseProblem(const SparseCase& item, std::uint32_t seed = 1)
      : m_item(item),
        m_segments(static_cast<std::int64_t>(item.counts.size())),
        m_capacity(*std::max_element(item.counts.begin(), item.counts.end())),
        m_segment_rows(m_capacity + item.more_rows),
        m_numbers(static_cast<std::size_t>(m_segments * m_segment_rows * 2 * item.head_dim),
                  std::numeric_limits<float>::quiet_NaN()),
        m_queries(static_cast<std::size_t>(m_segments * item.group * item.head_dim)) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    std::generate(m_queries.begin(), m_queries.end(), [&] { return normal(random); });
    for (std::int64_t s = 0; s < m_segments; ++s) {
      lists.push_back(list(item.counts[static_cast<std::size_t>(s)], random));
      for (const std::int32_t row : lists.back()) {
        float* numbers = m_numbers.data() + (s * m_segment_rows + row) * 2 * item.head_dim;
        for (std::int64_t i = 0; i < 2 * item.head_dim; ++i) {
          numbers[i] = item.equal_scores && i < item.head_dim ? 0.0F : normal(random);
        }
      }
    }
    m_rows.resize(m_numbers.size() * traces::size_of(item.dtype));
    traces::from_float(item.dtype, m_numbers, m_rows.data());
    // What the rounded rows hold.
    traces::to_float(item.dtype, m_rows.data(), m_numbers);
  }

  /// Attention over `chosen` rows of every segment.
  [[nodiscard]] Result decode(const std::vector<std::vector<std::int32_t>>& chosen) const {
    Stream stream;
    std::vector<std::int32_t> counts;
    std::vector<std::int32_t> rows(static_cast<std::size_t>(m_segments * m_capacity),
                                   std::numeric_limits<std::int32_t>::min());
    for (std::size_t s = 0; s < chosen.size(); ++s) {
      counts.push_back(static_cast<std::int32_t>(chosen[s].size()));
      std::copy(chosen[s].begin(), chosen[s].end(),
                rows.begin() + static_cast<std::ptrdiff_t>(s) * m_capacity);
    }
    const DeviceBuffer<std::byte> cache(std::span<const std::byte>(m_rows), stream);
    const DeviceBuffer<float> queries(std::span<const float>(m_queries), stream);
    const DeviceBuffer<std::int32_t> device_rows(std::span<const std::int32_t>(rows), stream);
    const DeviceBuffer<std::int32_t> device_counts(std::span<const std::int32_t>(counts), stream);
    const DeviceBuffer<float> out(m_queries.size());
    const DeviceBuffer<float> log_sums(static_cast<std::size_t>(m_segments * m_item.group));
    fill_device(out.data(), 0xff, out.size_bytes(), stream);
    fill_device(log_sums.data(), 0xff, log_sums.size_bytes(), stream);
    SparseDecodeArgs args;
    args.cache = {cache.data(), m_item.dtype, m_item.head_dim, m_segment_rows};
    args.segments = m_segments;
    args.queries = queries.data();
    args.group = m_item.group;
    args.rows = m_item.listing == Listing::kFirstRows ? nullptr : device_rows.data();
    args.capacity = m_capacity;
    args.counts = device_counts.data();
    args.scale = scale();
    args.softcap = m_item.softcap;
    args.out = out.data();
    args.log_sums = log_sums.data();
    args.shares = m_item.shares;
    const DeviceBuffer<unsigned char> workspace(sparse_decode_workspace_bytes(args));
    fill_device(workspace.data(), 0xff, workspace.size_bytes(), stream);
    sparse_decode(args, workspace.data(), stream);
    return {out.download(stream), log_sums.download(stream)};
  }
  [[nodiscard]] Result decode() const { return decode(lists); }

  [[nodiscard]] Reference reference() const {
    Reference result;
    const std::int64_t d = m_item.head_dim;
    for (std::int64_t s = 0; s < m_segments; ++s) {
      for (std::int64_t g = 0; g < m_item.group; ++g) {
        const float* q = m_queries.data() + (s * m_item.group + g) * d;
        std::vector<double> scores;
        for (const std::int32_t row : lists[static_cast<std::size_t>(s)]) {
          const float* k = m_numbers.data() + (s * m_segment_rows + row) * 2 * d;
          double score = static_cast<double>(scale()) * std::inner_product(q, q + d, k, 0.0);
          if (m_item.softcap) {
            score = *m_item.softcap * std::tanh(score / *m_item.softcap);
          }
          scores.push_back(score);
        }
        std::vector<double> out(static_cast<std::size_t>(d), 0.0);
        double sum = 0.0;
        for (std::size_t i = 0; i < scores.size(); ++i) {
          const double weight = std::exp(scores[i]);
          sum += weight;
          const float* v = m_numbers.data() +
                           (s * m_segment_rows + lists[static_cast<std::size_t>(s)][i]) * 2 * d + d;
          for (std::size_t t = 0; t < out.size(); ++t) {
            out[t] += weight * static_cast<double>(v[t]);
          }
        }
        for (const double x : out) {
          result.out.push_back(scores.empty() ? 0.0 : x / sum);
        }
        result.log_sums.push_back(std::log(sum));
      }
    }
    return result;
  }

  std::vector<std::vector<std::int32_t>> lists;  ///< [S] rows

 private:
  [[nodiscard]] float scale() const {
    return 1.0F / std::sqrt(static_cast<float>(m_item.head_dim));
  }

  std::vector<std::int32_t> list(std::int32_t count, std::mt19937& random) const {
    std::vector<std::int32_t> rows(
        static_cast<std::size_t>(m_item.listing == Listing::kFirstRows ? count : m_segment_rows));
    std::iota(rows.begin(), rows.end(), 0);
    if (m_item.listing != Listing::kFirstRows) {
      std::shuffle(rows.begin(), rows.end(), random);
      rows.resize(static_cast<std::size_t>(count));
    }
    if (m_item.listing == Listing::kAscending) {
      std::sort(rows.begin(), rows.end());
    }
    return rows;
  }

  SparseCase m_item;
  std::int64_t m_segments;
  std::int64_t m_capacity;
  std::int64_t m_segment_rows;
  std::vector<float> m_numbers;  ///< [S, segment_rows, 2, d]
  std::vector<float> m_queries;
  std::vector<std::byte> m_rows;
};

void expect_close(const Result& result, const Reference& reference) {
  ASSERT_EQ(result.out.size(), reference.out.size());
  for (std::size_t i = 0; i < reference.out.size(); ++i) {
    ASSERT_NEAR(result.out[i], reference.out[i], kTolerance) << "output " << i;
  }
  for (std::size_t i = 0; i < reference.log_sums.size(); ++i) {
    if (std::isinf(reference.log_sums[i])) {
      ASSERT_EQ(result.log_sums[i], kEmpty) << i;
    } else {
      ASSERT_NEAR(result.log_sums[i], reference.log_sums[i], kTolerance) << "log-sum-exp " << i;
    }
  }
}

std::vector<SparseCase> sparse_cases() {
  const std::vector<std::vector<std::int32_t>> counts = {
      {0},         {1},          {31, 32, 33}, {0, 64, 0, 1}, {63, 65}, {128, 0, 127, 2},
      {0, 0, 257}, {1500, 1, 5}, {511, 513},
  };
  enum Option { kPlain, kSoftcap, kEqualScores, kOptions };
  constexpr Listing kListings[] = {Listing::kFirstRows, Listing::kAscending, Listing::kShuffled};
  constexpr std::int64_t kMoreRows[] = {0, 200};
  constexpr std::int64_t kShares[] = {1, 3, 8, 17, 0};
  const std::size_t levels[] = {
      counts.size(), kDeviceHeadDims.size(), std::size(tests::kGroups), kDeviceDTypes.size(),
      kOptions,      std::size(kListings),   std::size(kMoreRows),      std::size(kShares)};
  std::vector<SparseCase> cases;
  for (const std::vector<std::size_t>& row : tests::pairwise(levels)) {
    SparseCase& item = cases.emplace_back();
    item.counts = counts[row[0]];
    item.head_dim = kDeviceHeadDims[row[1]];
    item.group = tests::kGroups[row[2]];
    item.dtype = kDeviceDTypes[row[3]];
    if (row[4] == kSoftcap) {
      item.softcap = 3.0F;
    }
    item.equal_scores = row[4] == kEqualScores;
    item.listing = kListings[row[5]];
    item.more_rows = kMoreRows[row[6]];
    item.shares = kShares[row[7]];
  }
  return cases;
}

TEST(SparseDecodeDevice, EqualsTheReferenceWithTheSameBitsInEveryOrder) {
  const std::vector<SparseCase> cases = sparse_cases();
  EXPECT_LE(cases.size(), 150U);
  std::vector<Result> first;
  for_each_order([&] {
    for (std::size_t i = 0; i < cases.size(); ++i) {
      SCOPED_TRACE(cases[i].name());
      const SparseProblem problem(cases[i]);
      const Result result = problem.decode();
      if (i < first.size()) {
        ASSERT_TRUE(result == first[i]);
        continue;
      }
      expect_close(result, problem.reference());
      ASSERT_FALSE(testing::Test::HasFatalFailure());
      first.push_back(result);
    }
  });
}

TEST(SparseDecodeDevice, RowsOfALongContext) {
  const SparseProblem problem({.counts = {300, 131, 7},
                               .group = 4,
                               .head_dim = 64,
                               .listing = Listing::kAscending,
                               .more_rows = 131072 - 300,
                               .shares = 0});
  expect_close(problem.decode(), problem.reference());
}

/// The rows of every segment that go into the first part of a split, by the bits of `seed`.
void split(const std::vector<std::vector<std::int32_t>>& lists, std::uint32_t seed,
           std::uint32_t of_eight, std::vector<std::vector<std::int32_t>>& one,
           std::vector<std::vector<std::int32_t>>& other) {
  std::mt19937 random(seed);
  one.assign(lists.size(), {});
  other.assign(lists.size(), {});
  for (std::size_t s = 0; s < lists.size(); ++s) {
    for (const std::int32_t row : lists[s]) {
      (random() % 8 < of_eight ? one : other)[s].push_back(row);
    }
  }
}

Result merged(const Result& one, const Result& other, std::int64_t head_dim) {
  Stream stream;
  const DeviceBuffer<float> out(std::span<const float>(one.out), stream);
  const DeviceBuffer<float> log_sums(std::span<const float>(one.log_sums), stream);
  const DeviceBuffer<float> other_out(std::span<const float>(other.out), stream);
  const DeviceBuffer<float> other_log_sums(std::span<const float>(other.log_sums), stream);
  merge_partial({out.data(), log_sums.data(), other_out.data(), other_log_sums.data(),
                 static_cast<std::int64_t>(one.log_sums.size()), head_dim},
                stream);
  return {out.download(stream), log_sums.download(stream)};
}

void expect_rows_close(const Result& result, const Result& whole, std::int64_t head_dim) {
  const auto d = static_cast<std::size_t>(head_dim);
  for (std::size_t r = 0; r < whole.log_sums.size(); ++r) {
    double error = 0.0;
    double norm = 0.0;
    for (std::size_t i = r * d; i < (r + 1) * d; ++i) {
      error += std::pow(static_cast<double>(result.out[i]) - static_cast<double>(whole.out[i]), 2);
      norm += std::pow(static_cast<double>(whole.out[i]), 2);
    }
    ASSERT_LE(std::sqrt(error), kMergeTolerance * std::sqrt(norm)) << "row " << r;
    if (whole.log_sums[r] == kEmpty) {
      ASSERT_EQ(result.log_sums[r], kEmpty);
    } else {
      ASSERT_NEAR(result.log_sums[r], whole.log_sums[r], 2e-6) << "row " << r;
    }
  }
}

TEST(SparseDecodeDevice, T31_AnySplitMergesToTheWhole) {
  for_each_order([] {
    for (const std::int64_t d : {64, 128}) {
      const SparseProblem problem(
          {.counts = {200, 0, 1, 77, 2}, .group = 4, .head_dim = d, .dtype = traces::DType::kBF16});
      const Result whole = problem.decode();
      // From nothing to everything in the first part.
      for (const std::uint32_t of_eight : {0U, 1U, 4U, 7U, 8U}) {
        SCOPED_TRACE(of_eight);
        std::vector<std::vector<std::int32_t>> one;
        std::vector<std::vector<std::int32_t>> other;
        split(problem.lists, of_eight + 1, of_eight, one, other);
        const Result first = problem.decode(one);
        const Result second = problem.decode(other);
        expect_rows_close(merged(first, second, d), whole, d);
        expect_rows_close(merged(second, first, d), whole, d);
      }
    }
  });
}

TEST(MergePartialDevice, EmptyPartsChangeNoBit) {
  const Result some{{1.5F, -2.0F, 0.25F, 8.0F}, {0.75F, -3.0F}};
  const Result none{{0.0F, 0.0F, 0.0F, 0.0F}, {kEmpty, kEmpty}};
  EXPECT_TRUE(merged(some, none, 2) == some);
  EXPECT_TRUE(merged(none, some, 2) == some);
  EXPECT_TRUE(merged(none, none, 2) == none);
}

TEST(MergePartialDevice, EqualsTheReference) {
  std::mt19937 random(11);
  std::normal_distribution<float> normal;
  for_each_order([&] {
    for (const std::int64_t d : {1, 2, 31, 32, 33, 64, 80, 96, 128, 256, 300}) {
      for (const std::size_t n :
           {std::size_t{1}, std::size_t{3}, std::size_t{4}, std::size_t{37}}) {
        Result one;
        Result other;
        for (Result* part : {&one, &other}) {
          part->out.resize(n * static_cast<std::size_t>(d));
          part->log_sums.resize(n);
          std::generate(part->out.begin(), part->out.end(), [&] { return normal(random); });
          // Also parts that outweigh each other beyond the range of exp.
          std::generate(part->log_sums.begin(), part->log_sums.end(),
                        [&] { return normal(random) * (random() % 4 == 0 ? 200.0F : 2.0F); });
        }
        const Result result = merged(one, other, d);
        for (std::size_t r = 0; r < n; ++r) {
          const double a = one.log_sums[r];
          const double b = other.log_sums[r];
          const double both = std::max(a, b) + std::log1p(std::exp(-std::abs(a - b)));
          ASSERT_NEAR(result.log_sums[r], both, 1e-6 * std::max(10.0, std::abs(both)));
          for (std::size_t i = r * static_cast<std::size_t>(d);
               i < (r + 1) * static_cast<std::size_t>(d); ++i) {
            const double expected = std::exp(a - both) * static_cast<double>(one.out[i]) +
                                    std::exp(b - both) * static_cast<double>(other.out[i]);
            ASSERT_NEAR(result.out[i], expected, 3e-6) << d << ' ' << n;
          }
        }
      }
    }
  });
}

TEST(MergePartialDevice, LaunchesAWarpARow) {
  MergePartialArgs args;
  args.n = 9;
  EXPECT_EQ(merge_partial_config(args), (LaunchConfig{{3}, {128}, 0}));
}

TEST(SparseDecodeDevice, NamesWhatItDoesNotSupport) {
  Stream stream;
  SparseDecodeArgs args;
  args.cache = {nullptr, traces::DType::kF16, 72, 1};
  EXPECT_THROW(sparse_decode(args, nullptr, stream), Error);
  args.cache.head_dim = 64;
  args.group = 9;
  EXPECT_THROW(sparse_decode(args, nullptr, stream), Error);
  args.group = 1;
  args.cache.dtype = traces::DType::kI32;
  EXPECT_THROW(sparse_decode(args, nullptr, stream), Error);
}

#ifdef KVSIEVE_TEST_SIMT
TEST(SparseDecodeDevice, T36_ReachesRowsBeyond2To31Elements) {
  constexpr std::int64_t kRows = std::int64_t{1} << 24U;
  constexpr std::int64_t kDim = 64;
  constexpr std::int64_t kBytes = row_bytes(kDim, 2);
  const tests::SparseMemory memory(static_cast<std::size_t>(2 * kRows * kBytes));
  ASSERT_TRUE(memory.mapped());
  // All keys are zero, so that the output is the mean of the values.
  const std::vector<float> ones(kDim, 1.0F);
  const std::vector<float> threes(kDim, 3.0F);
  const auto value = [&](std::int64_t row) { return memory.data() + row * kBytes + kBytes / 2; };
  traces::from_float(traces::DType::kF16, ones, value(kRows));
  traces::from_float(traces::DType::kF16, threes, value(2 * kRows - 1));
  Stream stream;
  std::vector<float> queries(2 * kDim, 1.0F);
  std::vector<std::int32_t> rows{-1, -1, 0, kRows - 1};
  std::vector<std::int32_t> counts{0, 2};
  std::vector<float> out(2 * kDim);
  std::vector<float> log_sums(2);
  SparseDecodeArgs args;
  args.cache = {memory.data(), traces::DType::kF16, kDim, kRows};
  args.segments = 2;
  args.queries = queries.data();
  args.rows = rows.data();
  args.capacity = 2;
  args.counts = counts.data();
  args.out = out.data();
  args.log_sums = log_sums.data();
  args.shares = 2;
  const DeviceBuffer<unsigned char> workspace(sparse_decode_workspace_bytes(args));
  sparse_decode(args, workspace.data(), stream);
  stream.synchronize();
  EXPECT_EQ(out[0], 0.0F);
  EXPECT_EQ(out[kDim], 2.0F);
  EXPECT_NEAR(log_sums[1], std::log(2.0F), 1e-6);
}
#endif

TEST(SparseDecodeWork, CountsTheRowsOnce) {
  const Work work = sparse_decode_work(10, 2, 4, 64, 2);
  EXPECT_EQ(work.bytes_read, 10 * (2 * 64 * 2 + 4) + 2 * (4 * 64 * 4 + 4));
  EXPECT_EQ(work.bytes_written, 2 * 4 * 65 * 4);
  EXPECT_EQ(work.flops, 10 * 4 * (4 * 64 + 1));
  const Work merge = merge_partial_work(8, 64);
  EXPECT_EQ(merge.bytes_read, 2 * 8 * 65 * 4);
  EXPECT_EQ(merge.bytes_written, 8 * 65 * 4);
  EXPECT_EQ(merge.flops, 3 * 8 * 64);
}

/// Small enough for a race detector that runs each block's threads one by one.
TEST(SparseDecodeRace, SmallCases) {
  for (const SparseCase& item :
       {SparseCase{.counts = {5, 0, 40}, .group = 4, .dtype = traces::DType::kBF16, .shares = 2},
        SparseCase{.counts = {33}, .head_dim = 128, .dtype = traces::DType::kF32, .shares = 2}}) {
    SCOPED_TRACE(item.name());
    const SparseProblem problem(item);
    const Result result = problem.decode();
    expect_close(result, problem.reference());
    std::vector<std::vector<std::int32_t>> one;
    std::vector<std::vector<std::int32_t>> other;
    split(problem.lists, 1, 3, one, other);
    expect_rows_close(merged(problem.decode(one), problem.decode(other), item.head_dim), result,
                      item.head_dim);
  }
}

}  // namespace
}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
