#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "a2ats/windowed_rope_device.h"
#include "kernels/a2ats/a2ats_reference.h"
#include "kernels/attention/random_heads.h"
#include "kernels/device/large_memory.h"
#include "kernels/device/orders.h"
#include "kvsieve/kernels/device_support.h"
#include "traces/fails_with.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {
namespace {

using kvsieve::tests::fails_with;
using tests::RandomRows;
using traces::RopePairing;
using traces::RopeSpec;
using traces::RopeTable;
using Values = std::vector<float>;

constexpr std::int64_t kWindow = 64;
constexpr std::int64_t kDistance = 2048;

RopeSpec spec_of(std::int64_t dim, RopePairing pairing = RopePairing::kHalf) {
  RopeSpec spec;
  spec.dim = dim;
  spec.theta = 1e5;
  spec.pairing = pairing;
  spec.attention_factor = 1.0;
  return spec;
}

/// Rows [R, d] rotated by one phase on the device.
Values rotated(const RopeSpec& spec, std::int64_t d, std::int64_t position, const Values& rows,
               bool in_place) {
  Stream stream;
  const traces::RopePhase phase = RopeTable(spec, d).phase(position);
  const DeviceBuffer<float> from(rows, stream);
  const DeviceBuffer<float> to(rows.size());
  const DeviceBuffer<float> cos(phase.cos, stream);
  const DeviceBuffer<float> sin(phase.sin, stream);
  RotateRowsArgs args;
  args.rows = from.data();
  args.row_count = static_cast<std::int64_t>(rows.size()) / d;
  args.head_dim = d;
  args.cos = cos.data();
  args.sin = sin.data();
  args.rope_dim = spec.dim;
  args.pairing = spec.pairing;
  args.out = in_place ? from.data() : to.data();
  rotate_rows(args, stream);
  return (in_place ? from : to).download(stream);
}

struct RotateCase {
  std::int64_t rows = 1;
  std::int64_t d = 64;
  int part = 0;  ///< all dimensions turn, half of them, or two
  RopePairing pairing = RopePairing::kHalf;
  std::int64_t position = kDistance;
  bool in_place = false;

  [[nodiscard]] std::int64_t rope_dim() const { return part == 0 ? d : part == 1 ? d / 2 : 2; }
  [[nodiscard]] std::string name() const {
    return std::to_string(rows) + " rows of " + std::to_string(d) + ", " +
           std::to_string(rope_dim()) + (pairing == RopePairing::kHalf ? " half" : " interleaved") +
           " at " + std::to_string(position) + (in_place ? ", in place" : "");
  }
};

std::vector<RotateCase> rotate_cases() {
  const std::int64_t rows[] = {1, 2, 3, 7, 8, 32, 257};
  const std::int64_t positions[] = {0, 1, kDistance, -kDistance, 131071};
  const std::size_t levels[] = {std::size(rows), kDeviceHeadDims.size() + 1,
                                std::size_t{3},  std::size_t{2},
                                std::size_t{2},  std::size(positions)};
  std::vector<RotateCase> cases;
  for (const std::vector<std::size_t>& row : tests::pairwise(levels)) {
    RotateCase& item = cases.emplace_back();
    item.rows = rows[row[0]];
    item.d = row[1] < kDeviceHeadDims.size() ? kDeviceHeadDims[row[1]] : 4;
    item.part = static_cast<int>(row[2]);
    item.pairing = row[3] == 0 ? RopePairing::kHalf : RopePairing::kInterleaved;
    item.in_place = row[4] == 1;
    item.position = positions[row[5]];
  }
  return cases;
}

void check_rotation(const RotateCase& item, std::uint32_t seed) {
  SCOPED_TRACE(item.name());
  const RopeSpec spec = spec_of(item.rope_dim(), item.pairing);
  const RandomRows rows(item.rows, item.d, seed);
  Values expected = rows.data;
  rotate_to_distance(RopeTable(spec, item.d), item.position, {expected.data(), item.rows, item.d});
  const std::vector<double> frequencies = traces::rope_frequencies(spec);
  for (std::int64_t r = 0; r < item.rows; ++r) {
    const auto begin = static_cast<std::size_t>(r * item.d);
    const std::vector<double> exact = tests::reference_rotate(
        std::span(rows.exact.data).subspan(begin, static_cast<std::size_t>(item.d)),
        static_cast<double>(item.position), frequencies, spec);
    for (std::size_t t = 0; t < exact.size(); ++t) {
      ASSERT_NEAR(expected[begin + t], exact[t], 2e-6) << "row " << r << ", dimension " << t;
    }
  }
  for_each_order(
      [&] { EXPECT_EQ(rotated(spec, item.d, item.position, rows.data, item.in_place), expected); });
}

TEST(WindowedRopeDevice, TheTablesAreSmallEnough) {
  EXPECT_GE(rotate_cases().size(), 7U * 6U);
  EXPECT_LE(rotate_cases().size(), 150U);
}

TEST(WindowedRopeDevice, EveryRotationEqualsTheHostBitForBit) {
  std::uint32_t seed = 0;
  for (const RotateCase& item : rotate_cases()) {
    check_rotation(item, ++seed);
  }
}

TEST(WindowedRopeDevice, T21_RotationKeepsNormsAndIsUndoneByItsInverse) {
  for (const RopePairing pairing : {RopePairing::kHalf, RopePairing::kInterleaved}) {
    const RandomRows rows(9, 80, 4);
    const RopeSpec spec = spec_of(64, pairing);
    const Values moved = rotated(spec, 80, kDistance, rows.data, false);
    const Values back = rotated(spec, 80, -kDistance, moved, true);
    const auto norm = [](const Values& values, std::size_t row) {
      const auto begin = values.begin() + static_cast<std::ptrdiff_t>(row * 80);
      return std::sqrt(std::inner_product(begin, begin + 80, begin, 0.0));
    };
    for (std::size_t r = 0; r < 9; ++r) {
      EXPECT_NEAR(norm(moved, r), norm(rows.data, r), 1e-5);
    }
    for (std::size_t i = 0; i < back.size(); ++i) {
      EXPECT_NEAR(back[i], rows.data[i], 1e-5);
    }
  }
}

TEST(WindowedRopeDevice, T21_TheDistanceTakesTheModelsOwnFrequencies) {
  RopeSpec scaled = spec_of(64);
  scaled.theta = 5e5;
  scaled.scaling.type = traces::RopeScalingType::kLlama3;
  scaled.scaling.factor = 8.0;
  scaled.scaling.low_freq_factor = 1.0;
  scaled.scaling.high_freq_factor = 4.0;
  scaled.scaling.original_max_position_embeddings = 8192;
  RopeSpec unscaled = spec_of(64);
  unscaled.theta = 5e5;
  const RandomRows rows(1, 64, 3);
  const std::vector<double> exact =
      tests::reference_rotate(rows.exact.data, kDistance, traces::rope_frequencies(scaled), scaled);
  const Values right = rotated(scaled, 64, kDistance, rows.data, false);
  const Values wrong = rotated(unscaled, 64, kDistance, rows.data, false);
  double largest = 0.0;
  for (std::size_t t = 0; t < 64; ++t) {
    EXPECT_NEAR(right[t], exact[t], 2e-6);
    largest = std::max(largest, std::abs(static_cast<double>(wrong[t]) - exact[t]));
  }
  EXPECT_GT(largest, 0.1);  // negative control: plain theta^(-2t/dim)
}

TEST(WindowedRopeDevice, T18_NegativeControlDistanceEqualToTheWindow) {
  // b = w is a different method: rotated queries must differ from it.
  const RandomRows rows(1, 64, 5);
  const Values right = rotated(spec_of(64), 64, kDistance, rows.data, false);
  const Values wrong = rotated(spec_of(64), 64, kWindow, rows.data, false);
  double difference = 0.0;
  for (std::size_t t = 0; t < 64; ++t) {
    difference += std::abs(static_cast<double>(right[t]) - static_cast<double>(wrong[t])) / 64.0;
  }
  EXPECT_GT(difference, 0.1);
}

/// Which rows of scores the result is written over.
enum class Target { kOwn, kNear, kFar };

struct ScoresCase {
  std::int64_t rows = 1;
  std::int64_t tokens = 64;
  std::int64_t padding = 0;
  std::int64_t window = kWindow;
  int positions = 0;  ///< the last tokens, all the last, from the first on, or behind the keys
  Target target = Target::kOwn;

  [[nodiscard]] std::int64_t stride() const { return tokens + padding; }
  [[nodiscard]] std::int32_t position(std::int64_t r) const {
    const std::int64_t first[] = {tokens - rows + r, tokens - 1, r, tokens + r};
    return static_cast<std::int32_t>(std::max<std::int64_t>(first[positions], 0));
  }
  [[nodiscard]] std::string name() const {
    return std::to_string(rows) + " rows of " + std::to_string(tokens) + "+" +
           std::to_string(padding) + ", window " + std::to_string(window) + ", positions " +
           std::to_string(positions) + ", target " + std::to_string(static_cast<int>(target));
  }
};

std::vector<ScoresCase> scores_cases() {
  const std::int64_t rows[] = {1, 2, 7, 33};
  const std::int64_t tokens[] = {1, 2, 63, 64, 65, 72, 73, 255, 256, 257, 513};
  const std::int64_t paddings[] = {0, 1, 3};
  const std::int64_t windows[] = {-3, 0, 1, 63, 64, 65, 256, 100000};
  const std::size_t levels[] = {std::size(rows),    std::size(tokens), std::size(paddings),
                                std::size(windows), std::size_t{4},    std::size_t{3}};
  std::vector<ScoresCase> cases;
  for (const std::vector<std::size_t>& row : tests::pairwise(levels)) {
    cases.push_back({rows[row[0]], tokens[row[1]], paddings[row[2]], windows[row[3]],
                     static_cast<int>(row[4]), static_cast<Target>(row[5])});
  }
  return cases;
}

/// Scores [R, stride] by equation 11; columns that no query sees stay as they were.
Values choose(const ScoresCase& item, const Values& near, const Values& far, Values out) {
  for (std::int64_t r = 0; r < item.rows; ++r) {
    for (std::int64_t j = 0; j < item.tokens && j <= item.position(r); ++j) {
      const auto at = static_cast<std::size_t>(r * item.stride() + j);
      out[at] = item.position(r) - j < item.window ? near[at] : far[at];
    }
  }
  return out;
}

Values device_scores(const ScoresCase& item, const Values& near, const Values& far,
                     const Values& before) {
  Stream stream;
  const DeviceBuffer<float> of_near(near, stream);
  const DeviceBuffer<float> of_far(far, stream);
  const DeviceBuffer<float> own(before, stream);
  std::vector<std::int32_t> positions;
  for (std::int64_t r = 0; r < item.rows; ++r) {
    positions.push_back(item.position(r));
  }
  const DeviceBuffer<std::int32_t> device_positions(positions, stream);
  const DeviceBuffer<float>& out = item.target == Target::kOwn    ? own
                                   : item.target == Target::kNear ? of_near
                                                                  : of_far;
  WindowedScoresArgs args;
  args.near = of_near.data();
  args.far = of_far.data();
  args.positions = device_positions.data();
  args.rows = item.rows;
  args.tokens = item.tokens;
  args.stride = item.stride();
  args.window = item.window;
  args.out = out.data();
  windowed_scores(args, stream);
  return out.download(stream);
}

void check_scores(const ScoresCase& item, std::uint32_t seed) {
  SCOPED_TRACE(item.name());
  const Values near = RandomRows(item.rows, item.stride(), seed).data;
  const Values far = RandomRows(item.rows, item.stride(), seed + 1000).data;
  const Values before(near.size(), 0.25F);
  const Values& start = item.target == Target::kOwn    ? before
                        : item.target == Target::kNear ? near
                                                       : far;
  const Values expected = choose(item, near, far, start);
  for_each_order([&] { EXPECT_EQ(device_scores(item, near, far, before), expected); });
}

TEST(WindowedRopeDevice, T18_T19_EveryScoreComesFromItsBranch) {
  const std::vector<ScoresCase> cases = scores_cases();
  EXPECT_LE(cases.size(), 150U);
  std::uint32_t seed = 0;
  for (const ScoresCase& item : cases) {
    check_scores(item, ++seed);
  }
}

TEST(WindowedRopeDevice, T18_ScoresEqualTheHostBitForBit) {
  const ScoresCase item{3, 300, 4, kWindow, 0, Target::kOwn};
  const Values near = RandomRows(3, item.stride(), 7).data;
  const Values far = RandomRows(3, item.stride(), 8).data;
  const std::vector<std::int32_t> positions{item.position(0), item.position(1), item.position(2)};
  Values expected(near.size(), 0.0F);
  kernels::windowed_scores({near.data(), 3, 300, item.stride()},
                           {far.data(), 3, 300, item.stride()}, positions, kWindow,
                           {expected.data(), 3, 300, item.stride()});
  EXPECT_EQ(device_scores(item, near, far, Values(near.size(), 0.0F)), expected);
}

TEST(WindowedRopeDevice, T20_ShiftingAllPositionsShiftsTheClasses) {
  // The same distances at other positions: the same branch for every token.
  const auto branches = [](std::int64_t tokens) {
    const ScoresCase item{1, tokens, 0, kWindow, 0, Target::kOwn};
    const Values scores = device_scores(item, Values(static_cast<std::size_t>(tokens), 1.0F),
                                        Values(static_cast<std::size_t>(tokens), 2.0F),
                                        Values(static_cast<std::size_t>(tokens), 0.0F));
    return Values(scores.end() - 100, scores.end());
  };
  EXPECT_EQ(branches(100), branches(1000));
}

TEST(WindowedRopeDevice, T22_ATokenTurnsFarAsTheQueryAdvances) {
  // Token 36 is at distance 63 from query 99 and at distance 64 from query 100.
  const ScoresCase item{2, 101, 0, kWindow, 0, Target::kOwn};
  const Values scores =
      device_scores(item, Values(202, 1.0F), Values(202, 2.0F), Values(202, 0.0F));
  EXPECT_EQ(scores[36], 1.0F);
  EXPECT_EQ(scores[101 + 36], 2.0F);
  // Negative control: with the class frozen when the token was written it would still be near.
  EXPECT_NE(scores[101 + 36], scores[36]);
}

TEST(WindowedRopeDevice, T36_RowsBeyondTwoToThe31Elements) {
  constexpr std::int64_t kFar = (std::int64_t{1} << 31) + 64;
  const LargeMemory memory((kFar + 64) * 4);
  if (!memory.exists()) {
    GTEST_SKIP() << "this machine has no 8 GiB of address space left";
  }
  Stream stream;
  auto* scores = reinterpret_cast<float*>(memory.data());
  const Values near{1.0F, 2.0F};
  const Values far{3.0F, 4.0F};
  copy_to_device(scores, near.data(), 8, stream);
  copy_to_device(scores + 2, far.data(), 8, stream);
  copy_to_device(scores + kFar, near.data(), 8, stream);
  copy_to_device(scores + kFar + 2, far.data(), 8, stream);
  const DeviceBuffer<std::int32_t> positions(std::vector<std::int32_t>{1, 1}, stream);
  WindowedScoresArgs args;
  args.near = scores;
  args.far = scores + 2;
  args.positions = positions.data();
  args.rows = 2;
  args.tokens = 2;
  args.stride = kFar;
  args.window = 1;
  args.out = scores + 4;
  windowed_scores(args, stream);
  Values out(2);
  copy_to_host(out.data(), scores + kFar + 4, 8, stream);
  stream.synchronize();
  EXPECT_EQ(out, (Values{3.0F, 2.0F}));
}

TEST(WindowedRopeDevice, NoRowsAndNoTokensLaunchNothing) {
  Stream stream;
  rotate_rows({}, stream);
  windowed_scores({}, stream);
  WindowedScoresArgs args;
  args.rows = 3;
  windowed_scores(args, stream);
  stream.synchronize();
  EXPECT_EQ(windowed_scores_config(args).grid.x, 0U);
}

TEST(WindowedRopeDevice, WhatHasNoKernelIsNamed) {
  Stream stream;
  const auto rotate = [&](std::int64_t dim, std::int64_t rope_dim, std::int64_t rows) {
    RotateRowsArgs args;
    args.head_dim = dim;
    args.rope_dim = rope_dim;
    args.row_count = rows;
    rotate_rows(args, stream);
  };
  EXPECT_TRUE(fails_with(ErrorKind::kUsage,
                         "windowed_rope: 7 rotated dimensions have no kernel, supported: even, "
                         "0 to 64",
                         [&] { rotate(64, 7, 1); }));
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "66 rotated", [&] { rotate(64, 66, 1); }));
  EXPECT_TRUE(fails_with(ErrorKind::kInternal, "rows is negative", [&] { rotate(64, 64, -1); }));
  EXPECT_TRUE(fails_with(ErrorKind::kInternal, "do not fit",
                         [&] { rotate(64, 64, std::int64_t{1} << 40); }));
  WindowedScoresArgs args;
  args.rows = 1;
  args.tokens = 8;
  args.stride = 7;
  EXPECT_TRUE(fails_with(ErrorKind::kInternal, "overlap", [&] { windowed_scores(args, stream); }));
}

TEST(WindowedRopeDevice, AThreadAPairOrColumn) {
  RotateRowsArgs rotation;
  rotation.row_count = 32;
  rotation.head_dim = 128;
  rotation.rope_dim = 128;
  EXPECT_EQ(rotate_rows_config(rotation), (LaunchConfig{{8}, {256}, 0}));
  rotation.rope_dim = 64;  // 64 dimensions more pass through
  EXPECT_EQ(rotate_rows_config(rotation), (LaunchConfig{{12}, {256}, 0}));
  WindowedScoresArgs scores;
  scores.rows = 4;
  scores.tokens = 257;
  EXPECT_EQ(windowed_scores_config(scores), (LaunchConfig{{8}, {256}, 0}));
}

TEST(WindowedRopeRace, SmallShapes) {
  check_rotation({.rows = 3, .d = 64, .part = 1, .in_place = true}, 1);
  check_scores({.rows = 2, .tokens = 70, .padding = 1, .target = Target::kNear}, 1);
}

}  // namespace
}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
