#include "adakv/window_scores_device.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <iterator>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "kernels/adakv/window_scores_reference.h"
#include "kernels/attention/case_table.h"
#include "kernels/attention/random_heads.h"
#include "kernels/device/orders.h"
#include "kvsieve/kernels/device_support.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {
namespace {

using tests::Matrix;
using tests::RandomHeads;
using traces::DType;

/// A launch of window_scores.
struct WindowCase {
  std::int64_t sequences = 1;  ///< B
  std::int64_t kv_heads = 1;   ///< Hkv
  std::int64_t group = 1;      ///< G
  std::int64_t head_dim = 64;  ///< d
  std::int64_t tokens = 64;    ///< n
  std::int64_t scored = 64;    ///< m
  std::vector<std::int32_t> positions = {63};
  DType dtype = DType::kF32;
  bool token_major = false;  ///< keys [B, n, Hkv, d] rather than [B, Hkv, n, d]
  traces::AttentionSpec attention = {.scale = 0.125};
  ScoreUnit unit = ScoreUnit::kKvHead;
  GroupReduce reduce = GroupReduce::kMean;
  Pooling pooling;

  [[nodiscard]] std::int64_t queries() const { return std::ssize(positions); }
  [[nodiscard]] std::int64_t heads() const { return sequences * kv_heads; }
  [[nodiscard]] std::int64_t units() const {
    return heads() * (unit == ScoreUnit::kKvHead ? 1 : group);
  }

  /// Multiplications of the two launches that multiply, tiles and rows filled up.
  [[nodiscard]] std::int64_t steps() const {
    const std::int64_t tile = window_scores_tile_keys(dtype, head_dim);
    const std::int64_t padded_tokens = (tokens + tile - 1) / tile * tile;
    return 2 * heads() * group * ((queries() + 15) / 16 * 16) * padded_tokens * head_dim;
  }

  [[nodiscard]] std::string name() const {
    std::string text =
        fmt::format("B{} Hkv{} G{} d{} n{} m{} R{} from {} {} {}", sequences, kv_heads, group,
                    head_dim, tokens, scored, queries(), positions.front(), traces::name_of(dtype),
                    token_major ? "token-major" : "head-major");
    text += unit == ScoreUnit::kQueryHead  ? " query heads"
            : reduce == GroupReduce::kMean ? " mean"
                                           : " max";
    text += fmt::format(" pool {}:{}", static_cast<int>(pooling.kind), pooling.kernel);
    if (attention.sliding_window) {
      text += fmt::format(" sliding {}", *attention.sliding_window);
    }
    return text + (attention.softcap ? " softcap" : "");
  }
};

/// Random queries and keys of a case, as the device and as a reference see them.
class WindowProblemData {
 public:
  explicit WindowProblemData(const WindowCase& item)
      : m_item(item),
        // Scores of about two nats: neither uniform nor one-hot.
        m_queries(item.heads() * item.group, item.queries(), item.head_dim, item.dtype, 1, 2.0),
        m_keys(item.heads(), item.tokens, item.head_dim, item.dtype, 2) {}

  /// Scores [units, m]; nothing else is written.
  [[nodiscard]] std::vector<float> run() const {
    Stream stream;
    const std::vector<std::byte> queries = packed_queries();
    const std::vector<std::byte> keys = packed_keys();
    const DeviceBuffer<std::byte> queries_on_device(std::span<const std::byte>(queries), stream);
    const DeviceBuffer<std::byte> keys_on_device(std::span<const std::byte>(keys), stream);
    const DeviceBuffer<std::int32_t> positions(std::span<const std::int32_t>(m_item.positions),
                                               stream);
    const auto size = static_cast<std::size_t>(m_item.units() * m_item.scored);
    const std::vector<float> untouched(size + kGuard, kUntouched);
    const DeviceBuffer<float> scores(std::span<const float>(untouched), stream);
    WindowScoresArgs args = this->args();
    args.queries = queries_on_device.data();
    args.keys = keys_on_device.data();
    args.positions = positions.data();
    args.scores = scores.data();
    const DeviceBuffer<std::byte> workspace(window_scores_workspace_bytes(args));
    // Not a number, wherever something is read that was not written.
    fill_device(workspace.data(), 0xff, workspace.size_bytes(), stream);
    args.workspace = workspace.data();
    window_scores(args, stream);
    std::vector<float> result = scores.download(stream);
    EXPECT_EQ(std::count(result.end() - kGuard, result.end(), kUntouched), kGuard);
    result.resize(size);
    return result;
  }

  /// The same in double precision, from the rounded queries and keys.
  [[nodiscard]] std::vector<double> expected() const {
    std::vector<double> scores;
    for (std::int64_t head = 0; head < m_item.heads(); ++head) {
      const Matrix means = tests::reference_column_means(
          member_rows(head), m_item.positions, m_keys.exact(head), m_item.tokens, m_item.attention);
      std::vector<std::vector<double>> units;
      for (std::int64_t g = 0; g < m_item.group; ++g) {
        const auto first = means.data.begin() + g * means.cols;
        units.emplace_back(first, first + m_item.scored);
      }
      if (m_item.unit == ScoreUnit::kKvHead) {
        Matrix scored(m_item.group, m_item.scored);
        for (std::int64_t g = 0; g < m_item.group; ++g) {
          std::copy(units[static_cast<std::size_t>(g)].begin(),
                    units[static_cast<std::size_t>(g)].end(),
                    scored.data.begin() + g * m_item.scored);
        }
        units = {tests::reference_reduce(scored, m_item.reduce)};
      }
      for (const std::vector<double>& unit : units) {
        const std::vector<double> pooled = tests::reference_pool(unit, m_item.pooling);
        scores.insert(scores.end(), pooled.begin(), pooled.end());
      }
    }
    return scores;
  }

  /// attention_column_means of the host for all query heads, [B * Hkv * G, n]; fp32 only.
  [[nodiscard]] std::vector<float> host_means() const {
    std::vector<float> means(
        static_cast<std::size_t>(m_item.heads() * m_item.group * m_item.tokens));
    for (std::int64_t head = 0; head < m_item.heads(); ++head) {
      HeadKeys keys;
      keys.load(HeadSlice(m_keys.view(), head), nullptr);
      const Matrix exact = member_rows(head);
      const std::vector<float> rows(exact.data.begin(), exact.data.end());
      attention_column_means(
          {rows.data(), exact.rows, exact.cols}, m_item.positions, keys, m_item.attention,
          {means.data() + head * m_item.group * m_item.tokens, m_item.group, m_item.tokens});
    }
    return means;
  }

  /// Everything but pointers.
  [[nodiscard]] WindowScoresArgs args() const {
    WindowScoresArgs args;
    const std::int64_t d = m_item.head_dim;
    args.head_stride = m_item.token_major ? d : head_rows() * d;
    args.token_stride = m_item.token_major ? m_item.kv_heads * d : d;
    args.sequence_stride = m_item.kv_heads * head_rows() * d;
    args.dtype = m_item.dtype;
    args.sequences = m_item.sequences;
    args.kv_heads = m_item.kv_heads;
    args.group = m_item.group;
    args.queries_count = m_item.queries();
    args.head_dim = d;
    args.tokens = m_item.tokens;
    args.scored_tokens = m_item.scored;
    args.attention = m_item.attention;
    args.unit = m_item.unit;
    args.reduce = m_item.reduce;
    args.pooling = m_item.pooling;
    return args;
  }

 private:
  static constexpr std::ptrdiff_t kGuard = 16;
  static constexpr float kUntouched = -9.0F;
  static constexpr std::int64_t kLaterTokens = 3;  // in the cache, behind the n that count

  [[nodiscard]] std::int64_t head_rows() const { return m_item.tokens + kLaterTokens; }
  [[nodiscard]] std::size_t row_bytes() const {
    return static_cast<std::size_t>(m_item.head_dim) * traces::size_of(m_item.dtype);
  }

  [[nodiscard]] std::vector<std::byte> packed_queries() const {
    const auto rows = static_cast<std::size_t>(m_item.heads() * m_item.group * m_item.queries());
    const std::byte* first = m_queries.view().data;
    return {first, first + rows * row_bytes()};
  }

  /// The keys in the case's layout; rows behind n are not numbers.
  [[nodiscard]] std::vector<std::byte> packed_keys() const {
    const WindowScoresArgs strides = args();
    const std::size_t element = traces::size_of(m_item.dtype);
    std::vector<std::byte> bytes(
        static_cast<std::size_t>(m_item.sequences * strides.sequence_stride) * element,
        std::byte{0xff});
    for (std::int64_t head = 0; head < m_item.heads(); ++head) {
      for (std::int64_t j = 0; j < m_item.tokens; ++j) {
        const std::int64_t place = head / m_item.kv_heads * strides.sequence_stride +
                                   head % m_item.kv_heads * strides.head_stride +
                                   j * strides.token_stride;
        const auto row = static_cast<std::size_t>(head * m_item.tokens + j);
        std::copy_n(m_keys.view().data + row * row_bytes(), row_bytes(),
                    bytes.begin() + place * static_cast<std::int64_t>(element));
      }
    }
    return bytes;
  }

  /// The queries of a KV head's members, [G * R, d].
  [[nodiscard]] Matrix member_rows(std::int64_t head) const {
    Matrix rows(m_item.group * m_item.queries(), m_item.head_dim);
    for (std::int64_t g = 0; g < m_item.group; ++g) {
      const Matrix& member = m_queries.exact(head * m_item.group + g);
      std::copy(member.data.begin(), member.data.end(),
                rows.data.begin() + g * m_item.queries() * m_item.head_dim);
    }
    return rows;
  }

  WindowCase m_item;
  RandomHeads m_queries;
  RandomHeads m_keys;
};

std::vector<std::int32_t> last_positions(std::int64_t count, std::int64_t n) {
  std::vector<std::int32_t> positions(static_cast<std::size_t>(count));
  std::iota(positions.begin(), positions.end(), static_cast<std::int32_t>(n - count));
  return positions;
}

/// From 0 to n - 1, as for H2O; some twice where there are more queries than tokens.
std::vector<std::int32_t> spread_positions(std::int64_t count, std::int64_t n) {
  std::vector<std::int32_t> positions;
  for (std::int64_t r = 0; r < count; ++r) {
    positions.push_back(static_cast<std::int32_t>(count == 1 ? n / 2 : r * (n - 1) / (count - 1)));
  }
  return positions;
}

enum class Mask { kCausal, kSliding, kSoftcap, kBoth };
enum class Scored { kOutsideWindow, kAll, kHalf };
enum class Units { kMean, kMax, kQueryHeads };

/// Fewer queries, then fewer heads, then shorter ones, until a case is cheap enough for the
/// executor.
void make_affordable(std::int64_t max_steps, WindowCase& item) {
  while (item.steps() > max_steps && item.queries() > 16) {
    item.positions.erase(item.positions.begin());
  }
  if (item.steps() > max_steps) {
    item.sequences = 1;
  }
  if (item.steps() > max_steps) {
    item.kv_heads = 1;
  }
  while (item.steps() > max_steps && item.group > 1) {
    --item.group;
  }
  if (item.steps() > max_steps) {
    item.head_dim = 128;
  }
}

std::vector<WindowCase> window_cases() {
  constexpr std::int64_t kMaxSteps = 20'000'000;
  const std::int64_t tokens[] = {1,   31,  33,  64,  65,   127,  128,  129,
                                 255, 256, 257, 513, 1025, 4095, 4096, 4097};
  const std::int64_t queries[] = {1, 2, 8, 15, 16, 17, 33};
  const Pooling poolings[] = {{Pooling::Kind::kNone, 7},
                              {Pooling::Kind::kMax, 7},
                              {Pooling::Kind::kAverage, 5},
                              {Pooling::Kind::kMax, 1},
                              {Pooling::Kind::kAverage, 31}};
  const std::size_t levels[] = {std::size(tokens),
                                std::size(kDeviceHeadDims),
                                std::size(tests::kGroups),
                                std::size(queries),
                                std::size(kDeviceDTypes),
                                4,
                                std::size(poolings),
                                3,
                                4,
                                3,
                                2};
  std::vector<WindowCase> cases;
  for (const std::vector<std::size_t>& row : tests::pairwise(levels)) {
    WindowCase& item = cases.emplace_back();
    item.tokens = tokens[row[0]];
    item.head_dim = kDeviceHeadDims[row[1]];
    item.group = tests::kGroups[row[2]];
    const std::int64_t count = std::min(queries[row[3]], item.tokens);
    item.positions = row[10] == 0 ? last_positions(count, item.tokens)
                                  : spread_positions(queries[row[3]], item.tokens);
    item.dtype = kDeviceDTypes[row[4]];
    item.attention.scale = 1.0 / std::sqrt(static_cast<double>(item.head_dim));
    const auto mask = static_cast<Mask>(row[5]);
    if (mask == Mask::kSliding || mask == Mask::kBoth) {
      item.attention.sliding_window = std::max<std::int64_t>(1, item.tokens / 3);
    }
    if (mask == Mask::kSoftcap || mask == Mask::kBoth) {
      item.attention.softcap = 4.0;
    }
    item.pooling = poolings[row[6]];
    const auto units = static_cast<Units>(row[7]);
    item.unit = units == Units::kQueryHeads ? ScoreUnit::kQueryHead : ScoreUnit::kKvHead;
    item.reduce = units == Units::kMax ? GroupReduce::kMax : GroupReduce::kMean;
    item.token_major = row[8] % 2 == 1;
    item.sequences = row[8] / 2 == 1 ? 2 : 1;
    item.kv_heads = 2;
    const auto scored = static_cast<Scored>(row[9]);
    item.scored = scored == Scored::kAll    ? item.tokens
                  : scored == Scored::kHalf ? (item.tokens + 1) / 2
                                            : item.tokens - count;
    make_affordable(kMaxSteps, item);
  }
  return cases;
}

/// Runs a case under every order, expects the same bits, and compares with the reference.
void expect_reference(const WindowCase& item) {
  SCOPED_TRACE(item.name());
  const WindowProblemData problem(item);
  std::vector<std::vector<float>> results;
  for_each_order([&] { results.push_back(problem.run()); });
  for (const std::vector<float>& result : results) {
    ASSERT_EQ(result, results.front());
  }
  const std::vector<double> expected = problem.expected();
  ASSERT_EQ(results.front().size(), expected.size());
  // A relative error of a weight is an absolute error of its score less the row's largest: sums of
  // up to 256 products in fp32, some 1e-6, and for 16 bits as much from the fast exponential. The
  // largest error of these cases is 3.2e-6.
  constexpr double kTolerance = 1e-5;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    ASSERT_NEAR(results.front()[i], expected[i], kTolerance * expected[i] + 1e-12)
        << "unit " << i / static_cast<std::size_t>(item.scored) << ", token "
        << i % static_cast<std::size_t>(item.scored);
  }
}

TEST(WindowScoresDevice, T21_EqualTheReferenceOnEveryCase) {
  const std::vector<WindowCase> cases = window_cases();
  EXPECT_LE(cases.size(), 150U);
  for (const WindowCase& item : cases) {
    EXPECT_LE(item.steps(), 20'000'000) << item.name();
    expect_reference(item);
    if (HasFatalFailure()) {
      return;
    }
  }
}

TEST(WindowScoresDevice, T21_ManyQueries) {
  WindowCase item;
  item.group = 3;
  item.tokens = item.scored = 300;
  item.positions = spread_positions(150, 300);
  for (const DType dtype : kDeviceDTypes) {
    item.dtype = dtype;
    expect_reference(item);
  }
}

TEST(WindowScoresDevice, QueriesBehindTheKeysSeeTheirWindowOrNothing) {
  // Decode queries with a sliding window that has left the prompt, some of it or all.
  WindowCase item;
  item.group = 2;
  item.tokens = item.scored = 600;
  item.attention.sliding_window = 50;
  item.pooling.kind = Pooling::Kind::kNone;
  for (const DType dtype : kDeviceDTypes) {
    item.dtype = dtype;
    item.positions = {599, 640, 649, 999};
    expect_reference(item);
    item.positions = {649, 700, 800, 2147483647};
    EXPECT_EQ(WindowProblemData(item).run(), std::vector<float>(600, 0.0F));
  }
}

TEST(WindowScoresDevice, NoTokensToScore) {
  WindowCase item;
  item.scored = 0;
  EXPECT_TRUE(WindowProblemData(item).run().empty());
}

/// Group reduction and pooling on the host of the column means of all query heads.
std::vector<float> reduced_and_pooled(const WindowCase& item, std::vector<float>& means) {
  std::vector<float> scores;
  std::vector<float> reduced(static_cast<std::size_t>(item.scored));
  std::vector<float> pooled(reduced.size());
  const std::int64_t members = item.unit == ScoreUnit::kKvHead ? item.group : 1;
  for (std::int64_t unit = 0; unit < item.units(); ++unit) {
    const float* first = means.data() + unit * members * item.scored;
    reduce_group({first, members, item.scored}, item.reduce, reduced);
    pool_scores(reduced, item.pooling, pooled);
    scores.insert(scores.end(), pooled.begin(), pooled.end());
  }
  return scores;
}

TEST(WindowScoresDevice, ReductionAndPoolingAreTheHostsToTheBit) {
  // So a key's mean has the same bits in every tile that reads it, and scores that tie on the host
  // tie here.
  for (const DType dtype : kDeviceDTypes) {
    WindowCase item;
    item.dtype = dtype;
    item.kv_heads = 2;
    item.group = 3;
    item.tokens = 530;
    item.scored = 521;
    item.positions = spread_positions(20, 530);
    item.attention.sliding_window = 300;
    item.unit = ScoreUnit::kQueryHead;
    item.pooling.kind = Pooling::Kind::kNone;
    std::vector<float> means = WindowProblemData(item).run();
    for (const Pooling& pooling :
         {Pooling{Pooling::Kind::kNone, 7}, Pooling{Pooling::Kind::kMax, 7},
          Pooling{Pooling::Kind::kAverage, 7}, Pooling{Pooling::Kind::kAverage, 31}}) {
      for (const ScoreUnit unit : {ScoreUnit::kKvHead, ScoreUnit::kQueryHead}) {
        for (const GroupReduce reduce : {GroupReduce::kMean, GroupReduce::kMax}) {
          item.pooling = pooling;
          item.unit = unit;
          item.reduce = reduce;
          SCOPED_TRACE(item.name());
          const std::vector<float> scores = WindowProblemData(item).run();
          const std::vector<float> expected = reduced_and_pooled(item, means);
          ASSERT_EQ(scores.size(), expected.size());
          for (std::size_t i = 0; i < scores.size(); ++i) {
            ASSERT_EQ(scores[i], expected[i]) << "unit " << i / 521 << ", token " << i % 521;
          }
        }
      }
    }
  }
}

TEST(WindowScoresDevice, AgreesWithTheHost) {
  // The budgets of a replay must not depend on the backend: both are this close to the truth.
  WindowCase item;
  item.kv_heads = 2;
  item.group = 4;
  item.head_dim = 128;
  item.tokens = 700;
  item.scored = 668;
  item.positions = last_positions(32, 700);
  item.unit = ScoreUnit::kQueryHead;
  item.pooling.kind = Pooling::Kind::kNone;
  const WindowProblemData problem(item);
  const std::vector<float> scores = problem.run();
  const std::vector<float> host = problem.host_means();
  for (std::int64_t i = 0; i < std::ssize(scores); ++i) {
    const float expected =
        host[static_cast<std::size_t>(i / item.scored * item.tokens + i % item.scored)];
    ASSERT_NEAR(scores[static_cast<std::size_t>(i)], expected, 1e-5F * expected) << i;
  }
}

WindowScoresArgs sound_args() {
  WindowCase item;
  item.pooling.kind = Pooling::Kind::kNone;
  return WindowProblemData(item).args();
}

TEST(WindowScoresDevice, LaunchesAsManyBlocksAsTilesAndHeads) {
  WindowScoresArgs args = sound_args();
  args.dtype = DType::kF16;
  args.head_dim = 128;
  args.sequences = 2;
  args.kv_heads = 8;
  args.group = 4;
  args.queries_count = 33;
  args.tokens = 1025;
  args.scored_tokens = 1000;
  ASSERT_EQ(window_scores_tile_keys(args.dtype, 128), 256);
  EXPECT_EQ(window_statistics_config(args).grid, (Dim3{5, 16, 1}));
  EXPECT_EQ(window_statistics_config(args).block, (Dim3{256, 1, 1}));
  EXPECT_EQ(window_merge_config(args).grid, (Dim3{5, 16, 1}));  // 132 rows, 32 a block
  EXPECT_EQ(window_merge_config(args).block, (Dim3{32, 8, 1}));
  EXPECT_EQ(window_columns_config(args).grid, (Dim3{4, 16, 1}));
  args.pooling = {Pooling::Kind::kMax, 7};
  EXPECT_EQ(window_scores_tile_columns(args), 250);
  args.scored_tokens = 1001;
  EXPECT_EQ(window_columns_config(args).grid, (Dim3{5, 16, 1}));
  // 16 heads of 5 tiles of 132 rows, then 132 rows; 8 bytes each.
  EXPECT_EQ(window_scores_workspace_bytes(args), 16U * 5 * 132 * 8 + 16U * 132 * 8);
}

TEST(WindowScoresDevice, SharedMemoryFitsEveryGpu) {
  // A block of compute capability 8.0 has 163 KiB, the fixed arrays included.
  constexpr std::size_t kLargestFixed = 8 * 256 * 4 + 64;
  for (const DType dtype : kDeviceDTypes) {
    for (const std::int64_t d : kDeviceHeadDims) {
      WindowScoresArgs args = sound_args();
      args.dtype = dtype;
      args.head_dim = d;
      EXPECT_LE(window_statistics_config(args).shared_bytes + kLargestFixed, 163U * 1024);
      EXPECT_EQ(window_statistics_config(args).shared_bytes,
                window_columns_config(args).shared_bytes);
      EXPECT_GT(window_scores_tile_keys(dtype, d), kMaxPoolingKernel);
    }
  }
}

/// What window_scores says of wrong arguments.
std::string complaint(const WindowScoresArgs& args, ErrorKind kind) {
  Stream stream;
  try {
    window_scores(args, stream);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind);
    return error.what();
  }
  ADD_FAILURE() << "accepted";
  return {};
}

TEST(WindowScoresDevice, NamesWhatHasNoKernel) {
  WindowScoresArgs args = sound_args();
  args.head_dim = 72;
  EXPECT_TRUE(complaint(args, ErrorKind::kUsage).ends_with("supported: 64, 80, 96, 128, 256"));
  args = sound_args();
  args.group = 9;
  EXPECT_TRUE(complaint(args, ErrorKind::kUsage).ends_with("1 to 8"));
  args = sound_args();
  args.dtype = DType::kI32;
  EXPECT_TRUE(complaint(args, ErrorKind::kUsage).ends_with("F16, BF16, F32"));
  for (const std::int64_t kernel : {-1, 0, 4, 33}) {
    args = sound_args();
    args.pooling = {Pooling::Kind::kMax, kernel};
    EXPECT_TRUE(complaint(args, ErrorKind::kUsage).ends_with("odd, 1 to 31"));
  }
}

TEST(WindowScoresDevice, RefusesBrokenArguments) {
  const auto refuses = [](auto breaks) {
    WindowScoresArgs args = sound_args();
    breaks(args);
    EXPECT_NE(complaint(args, ErrorKind::kInternal), "");
  };
  refuses([](WindowScoresArgs& args) { args.sequences = 0; });
  refuses([](WindowScoresArgs& args) { args.kv_heads = 65536; });
  refuses([](WindowScoresArgs& args) { args.queries_count = 0; });
  refuses([](WindowScoresArgs& args) { args.tokens = 0; });
  refuses([](WindowScoresArgs& args) { args.tokens = (std::int64_t{1} << 30) + 1; });
  refuses([](WindowScoresArgs& args) { args.scored_tokens = args.tokens + 1; });
  refuses([](WindowScoresArgs& args) { args.attention.sliding_window = 0; });
  refuses([](WindowScoresArgs& args) { args.attention.softcap = -1.0; });
  refuses([](WindowScoresArgs& args) { args.token_stride = 65; });
  refuses([](WindowScoresArgs& args) { args.keys = reinterpret_cast<const void*>(8); });
}

// Small cases of every path between lanes, for the race detector, which is slow.
TEST(WindowScoresRace, SmallCases) {
  for (const DType dtype : kDeviceDTypes) {
    for (const std::int64_t d : {64, 80, 256}) {
      WindowCase item;
      item.dtype = dtype;
      item.head_dim = d;
      item.group = 2;
      item.tokens = window_scores_tile_keys(dtype, d) + 1;
      item.scored = item.tokens - 3;
      item.positions = last_positions(17, item.tokens);
      item.unit = d == 80 ? ScoreUnit::kQueryHead : ScoreUnit::kKvHead;
      expect_reference(item);
    }
  }
}

}  // namespace
}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
