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

/// Fewer queries, then fewer heads, then shorter ones, until a case is cheap enough for the executor.
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
  // A relative error of a weight is an error of its score: sums of d products in fp32 against the
  // row's largest score, some 1e-6; for 16 bits also that of the fast exponential (1e-6 for each
  // unit of the difference, which means of weights that matter keep below 20).
  const double tolerance = item.dtype == DType::kF32 ? 1e-5 : 3e-5;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    ASSERT_NEAR(results.front()[i], expected[i], tolerance * expected[i] + 1e-12)
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

}  // namespace
}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
