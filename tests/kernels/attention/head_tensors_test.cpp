#include "kvsieve/kernels/head_tensors.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "kernels/attention/case_table.h"
#include "kernels/attention/dense_attention_reference.h"
#include "kernels/attention/random_heads.h"
#include "traces/fails_with.h"

namespace kvsieve::kernels::tests {
namespace {

using kvsieve::tests::fails_with;
using traces::DType;

constexpr std::int64_t kWidth = 16;  // of a panel, as the header states the layout

std::int64_t panels_of(std::int64_t columns) {
  return (columns + kWidth - 1) / kWidth;
}

/// Element (k, column) of panels [ceil(columns/16)][depth][16].
float packed(const float* panels, std::int64_t depth, std::int64_t k, std::int64_t column) {
  return panels[column / kWidth * depth * kWidth + k * kWidth + column % kWidth];
}

void expect_keys(const HeadKeys& keys, const Matrix& expected) {
  ASSERT_EQ(keys.tokens(), expected.rows);
  ASSERT_EQ(keys.head_dim(), expected.cols);
  std::vector<float> row(static_cast<std::size_t>(expected.cols));
  for (std::int64_t j = 0; j < panels_of(expected.rows) * kWidth; ++j) {
    if (j < expected.rows) {
      keys.copy(j, row);
    }
    for (std::int64_t t = 0; t < expected.cols; ++t) {
      const double value = j < expected.rows ? expected.at(j, t) : 0.0;
      ASSERT_EQ(packed(keys.panels(), expected.cols, t, j), value) << "key " << j << ", " << t;
      if (j < expected.rows) {
        ASSERT_EQ(row[static_cast<std::size_t>(t)], value);
      }
    }
  }
}

void expect_values(const HeadValues& values, const Matrix& expected) {
  ASSERT_EQ(values.tokens(), expected.rows);
  ASSERT_EQ(values.head_dim(), expected.cols);
  ASSERT_EQ(values.panel_stride(), expected.rows * kWidth);
  for (std::int64_t j = 0; j < expected.rows; ++j) {
    for (std::int64_t t = 0; t < panels_of(expected.cols) * kWidth; ++t) {
      const double value = t < expected.cols ? expected.at(j, t) : 0.0;
      ASSERT_EQ(packed(values.panels(), expected.rows, j, t), value) << "value " << j << ", " << t;
    }
  }
}

void expect_matrix(const PackedMatrix& matrix, const Matrix& expected) {
  ASSERT_EQ(matrix.depth(), expected.rows);
  ASSERT_EQ(matrix.columns(), expected.cols);
  ASSERT_EQ(matrix.panel_stride(), expected.rows * kWidth);
  for (std::int64_t k = 0; k < expected.rows; ++k) {
    for (std::int64_t c = 0; c < panels_of(expected.cols) * kWidth; ++c) {
      const double value = c < expected.cols ? expected.at(k, c) : 0.0;
      ASSERT_EQ(packed(matrix.panels(), expected.rows, k, c), value) << k << ", " << c;
    }
  }
}

TEST(HeadKeys, PacksByTokenWithZerosBehindTheLast) {
  HeadKeys keys;  // reused throughout, so that old contents would show
  for (const AttentionCase& item : attention_cases()) {
    SCOPED_TRACE(item.name());
    const RandomHeads heads(2, item.tokens, item.head_dim, item.dtype, 3);
    keys.load(HeadSlice(heads.view(), 1), nullptr);
    expect_keys(keys, heads.exact(1));
  }
}

TEST(HeadKeys, T24_RotatesEachKeyToItsPosition) {
  HeadKeys keys;
  for (const AttentionCase& item : attention_cases()) {
    SCOPED_TRACE(item.name());
    traces::RopeSpec rope = item.rope;
    rope.attention_factor = 1.25;
    const RandomHeads heads(1, item.tokens, item.head_dim, item.dtype, 4);
    const RopePhases phases(traces::RopeTable(rope, item.head_dim), item.tokens + 3);
    keys.load(HeadSlice(heads.view(), 0), &phases);
    const Matrix expected = reference_rope(heads.exact(0), 0, rope);
    std::vector<float> row(static_cast<std::size_t>(item.head_dim));
    for (std::int64_t j = 0; j < item.tokens; ++j) {
      keys.copy(j, row);
      for (std::int64_t t = 0; t < item.head_dim; ++t) {
        ASSERT_NEAR(row[static_cast<std::size_t>(t)], expected.at(j, t), 3e-6) << j << ", " << t;
      }
    }
  }
}

TEST(HeadKeys, RotationKeepsPairsThatTheSpecLeavesAlone) {
  const RandomHeads heads(1, 20, 64, DType::kF32, 5);
  for (const auto pairing : {traces::RopePairing::kHalf, traces::RopePairing::kInterleaved}) {
    traces::RopeSpec rope;
    rope.pairing = pairing;
    rope.dim = 24;
    const RopePhases phases(traces::RopeTable(rope, 64), 20);
    HeadKeys keys;
    keys.load(HeadSlice(heads.view(), 0), &phases);
    std::vector<float> row(64);
    for (std::int64_t j = 0; j < 20; ++j) {
      keys.copy(j, row);
      for (std::int64_t t = 24; t < 64; ++t) {
        EXPECT_EQ(row[static_cast<std::size_t>(t)], heads.exact(0).at(j, t));
      }
    }
  }
}

TEST(HeadValues, PacksByChannelWithZerosBehindTheLast) {
  HeadValues values;
  for (const AttentionCase& item : attention_cases()) {
    SCOPED_TRACE(item.name());
    const RandomHeads heads(2, item.tokens, item.head_dim, item.dtype, 6);
    values.load(HeadSlice(heads.view(), 1));
    expect_values(values, heads.exact(1));
  }
}

TEST(HeadTensors, PackHeadDimensionsThatEndInsideAPanel) {
  HeadKeys keys;
  HeadValues values;
  PackedMatrix matrix;
  for (const std::int64_t d : {17, 2, 15, 33, 16, 1}) {
    for (const DType dtype : {DType::kF16, DType::kBF16, DType::kF32}) {
      const RandomHeads heads(3, 37, d, dtype, static_cast<std::uint32_t>(d));
      keys.load(HeadSlice(heads.view(), 2), nullptr);
      expect_keys(keys, heads.exact(2));
      values.load(HeadSlice(heads.view(), 2));
      expect_values(values, heads.exact(2));
      matrix.pack(HeadSlice(heads.view(), 2));
      expect_matrix(matrix, heads.exact(2));
    }
  }
}

TEST(PackedMatrix, PacksRowsOfFloatsAndForgetsTheOldOnes) {
  PackedMatrix matrix;
  for (const auto& [depth, columns] : std::vector<std::pair<std::int64_t, std::int64_t>>{
           {64, 577}, {48, 48}, {2, 31}, {1, 1}, {96, 130}}) {
    const RandomRows rows(depth, columns, static_cast<std::uint32_t>(columns));
    matrix.pack(rows.view());
    expect_matrix(matrix, rows.exact);
  }
}

TEST(PackedMatrix, ReadsRowsAtTheirStride) {
  const RandomRows rows(5, 40, 7);
  PackedMatrix matrix;
  matrix.pack(MatrixView<const float>(rows.data.data() + 2, 4, 19, 40));
  Matrix expected(4, 19);
  for (std::int64_t k = 0; k < 4; ++k) {
    for (std::int64_t c = 0; c < 19; ++c) {
      expected.at(k, c) = rows.exact.at(k, c + 2);
    }
  }
  expect_matrix(matrix, expected);
}

TEST(LoadRows, ConvertsAStretchOfRowsToAnyStride) {
  for (const DType dtype : {DType::kF16, DType::kBF16, DType::kF32}) {
    const RandomHeads heads(2, 40, 23, dtype, 8);
    std::vector<float> out(5 * 30, -1.0F);
    load_rows(HeadSlice(heads.view(), 1), 17, {out.data(), 5, 23, 30});
    for (std::int64_t r = 0; r < 5; ++r) {
      for (std::int64_t t = 0; t < 30; ++t) {
        EXPECT_EQ(out[static_cast<std::size_t>(r * 30 + t)],
                  t < 23 ? heads.exact(1).at(17 + r, t) : -1.0);
      }
    }
  }
}

TEST(HeadSlice, RejectsWhatHasNoSuchHead) {
  const RandomHeads heads(2, 4, 8, DType::kF32, 9);
  for (const std::int64_t head : {-1, 2, 100}) {
    EXPECT_TRUE(fails_with(ErrorKind::kInternal, "no head",
                           [&] { static_cast<void>(HeadSlice(heads.view(), head)); }));
  }
  traces::TensorView flat = heads.view();
  flat.shape = {2, 32};
  EXPECT_TRUE(fails_with(ErrorKind::kInternal, "no head 0",
                         [&] { static_cast<void>(HeadSlice(flat, 0)); }));
}

TEST(HeadSlice, IntegersAreNoValues) {
  const std::vector<std::int32_t> numbers(32);
  const traces::TensorView view{
      reinterpret_cast<const std::byte*>(numbers.data()), DType::kI32, {1, 4, 8}};
  EXPECT_TRUE(fails_with(ErrorKind::kInternal, "integers", [&] {
    HeadKeys keys;
    keys.load(HeadSlice(view, 0), nullptr);
  }));
}

TEST(RopePhases, AreTheTablesPhases) {
  traces::RopeSpec rope;
  rope.dim = 16;
  const traces::RopeTable table(rope, 16);
  const RopePhases phases(table, 700);  // several blocks
  EXPECT_EQ(phases.positions(), 700);
  for (const std::int64_t position : {0, 1, 255, 256, 257, 699}) {
    const traces::RopePhase expected = table.phase(position);
    EXPECT_TRUE(std::equal(expected.cos.begin(), expected.cos.end(), phases.cos(position).begin(),
                           phases.cos(position).end()));
    EXPECT_TRUE(std::equal(expected.sin.begin(), expected.sin.end(), phases.sin(position).begin(),
                           phases.sin(position).end()));
  }
}

TEST(HeadTensors, BitsDoNotDependOnTheThreadCount) {
  const RandomHeads heads(1, 1025, 80, DType::kF16, 10);
  traces::RopeSpec rope;
  rope.dim = 80;
  std::vector<std::vector<float>> results;
  for (const int threads : {1, 2, 5}) {
    with_threads(threads, [&] {
      const RopePhases phases(traces::RopeTable(rope, 80), 1025);
      HeadKeys keys;
      keys.load(HeadSlice(heads.view(), 0), &phases);
      HeadValues values;
      values.load(HeadSlice(heads.view(), 0));
      std::vector<float>& result = results.emplace_back();
      result.assign(keys.panels(), keys.panels() + panels_of(1025) * kWidth * 80);
      result.insert(result.end(), values.panels(), values.panels() + 1025 * 80);
    });
  }
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

}  // namespace
}  // namespace kvsieve::kernels::tests
