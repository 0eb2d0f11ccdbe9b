#include "kvsieve/kernels/windowed_rope.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>

#include "kernels/a2ats/a2ats_reference.h"
#include "kernels/attention/random_heads.h"
#include "kvsieve/kernels/dense_attention.h"

namespace kvsieve::kernels::tests {
namespace {

using traces::RopePairing;
using traces::RopeScalingType;
using traces::RopeSpec;
using traces::RopeTable;

constexpr std::int64_t kWindow = 64;
constexpr std::int64_t kDistance = 2048;

RopeSpec plain_spec(std::int64_t dim, RopePairing pairing = RopePairing::kHalf) {
  RopeSpec spec;
  spec.dim = dim;
  spec.theta = 1e5;
  spec.pairing = pairing;
  return spec;
}

/// Scores of one query head at several positions over all keys, by both branches.
struct Problem {
  std::int64_t d;
  std::int64_t tokens;
  RopeTable rope;
  RandomHeads keys;
  RandomRows queries;
  std::vector<std::int32_t> positions;
  std::vector<float> near_data;
  std::vector<float> far_data;
  std::vector<float> out_data;

  Problem(const RopeSpec& spec, std::int64_t head_dim, std::int64_t token_count,
          std::vector<std::int32_t> query_positions, std::int64_t distance = kDistance)
      : d(head_dim),
        tokens(token_count),
        rope(spec, head_dim),
        keys(1, tokens, d, traces::DType::kF32, 1),
        queries(static_cast<std::int64_t>(query_positions.size()), d, 2),
        positions(std::move(query_positions)),
        near_data(static_cast<std::size_t>(queries.exact.rows * stride())),
        far_data(near_data.size()),
        out_data(near_data.size()) {
    traces::AttentionSpec attention;
    attention.scale = 1.0;
    std::vector<float> rotated = queries.data;
    std::vector<float> moved = queries.data;
    for (std::size_t r = 0; r < positions.size(); ++r) {
      rope.rotate(positions[r], std::span(rotated).subspan(r * static_cast<std::size_t>(d),
                                                           static_cast<std::size_t>(d)));
    }
    rotate_to_distance(rope, distance, {moved.data(), queries.exact.rows, d});
    const RopePhases phases(rope, tokens);
    HeadKeys packed;
    packed.load(HeadSlice(keys.view(), 0), &phases);
    attention_scores(MatrixView<const float>(rotated.data(), queries.exact.rows, d), packed, 0,
                     attention, view(near_data));
    packed.load(HeadSlice(keys.view(), 0), nullptr);
    attention_scores(MatrixView<const float>(moved.data(), queries.exact.rows, d), packed, 0,
                     attention, view(far_data));
  }

  [[nodiscard]] std::int64_t stride() const { return (tokens + 15) / 16 * 16; }
  [[nodiscard]] MatrixView<float> view(std::vector<float>& data) const {
    return {data.data(), queries.exact.rows, tokens, stride()};
  }
  MatrixView<float> scores(std::int64_t window) {
    windowed_scores(view(near_data), view(far_data), positions, window, view(out_data));
    return view(out_data);
  }
  [[nodiscard]] std::span<const double> query(std::int64_t r) const {
    return std::span(queries.exact.data)
        .subspan(static_cast<std::size_t>(r * d), static_cast<std::size_t>(d));
  }
  [[nodiscard]] std::span<const double> key(std::int64_t j) const {
    return std::span(keys.exact(0).data)
        .subspan(static_cast<std::size_t>(j * d), static_cast<std::size_t>(d));
  }
};

TEST(WindowedRope, T18_BothBranchesMatchEquation11) {
  for (const RopePairing pairing : {RopePairing::kHalf, RopePairing::kInterleaved}) {
    for (const std::int64_t rotated : {32, 48}) {  // 32 of 48: a partial rotation
      const RopeSpec spec = plain_spec(rotated, pairing);
      Problem problem(spec, 48, 300, {0, 63, 64, 65, 299});
      const std::vector<double> frequencies = traces::rope_frequencies(spec);
      const MatrixView<float> scores = problem.scores(kWindow);
      for (std::int64_t r = 0; r < scores.rows; ++r) {
        const std::int64_t i = problem.positions[static_cast<std::size_t>(r)];
        for (std::int64_t j = 0; j <= i; ++j) {
          EXPECT_NEAR(scores.row(r)[static_cast<std::size_t>(j)],
                      reference_windowed_score(problem.query(r), problem.key(j), i, j, kWindow,
                                               kDistance, frequencies, spec),
                      2e-4)
              << i << ' ' << j;
        }
      }
    }
  }
}

TEST(WindowedRope, T18_NearTokensAreBitEqualToRope) {
  Problem problem(plain_spec(64), 64, 200, {199});
  const MatrixView<float> scores = problem.scores(kWindow);
  for (std::size_t j = 200 - kWindow; j < 200; ++j) {
    EXPECT_EQ(scores.row(0)[j], problem.near_data[j]);
  }
  for (std::size_t j = 0; j < 200 - kWindow; ++j) {
    EXPECT_EQ(scores.row(0)[j], problem.far_data[j]);
  }
}

TEST(WindowedRope, T18_FarScoresIgnoreThePositionOfTheKey) {
  // The same far key at two places scores alike; with RoPE it would not.
  Problem problem(plain_spec(32), 32, 200, {199});
  const RopeSpec spec = plain_spec(32);
  const std::vector<double> frequencies = traces::rope_frequencies(spec);
  const auto at = [&](std::int64_t j, std::int64_t window) {
    return reference_windowed_score(problem.query(0), problem.key(5), 199, j, window, kDistance,
                                    frequencies, spec);
  };
  const MatrixView<float> scores = problem.scores(kWindow);
  EXPECT_NEAR(scores.row(0)[5], at(5, kWindow), 1e-4);
  EXPECT_EQ(at(5, kWindow), at(100, kWindow));
  EXPECT_GT(std::abs(at(5, 200) - at(100, 200)), 0.1);
}

TEST(WindowedRope, T18_NegativeControlDistanceEqualToTheWindow) {
  // b = w is a different method: far scores must differ from it.
  Problem right(plain_spec(64), 64, 200, {199});
  Problem wrong(plain_spec(64), 64, 200, {199}, kWindow);
  double difference = 0.0;
  for (std::size_t j = 0; j < 200 - kWindow; ++j) {
    difference += std::abs(right.far_data[j] - wrong.far_data[j]) / (200.0 - kWindow);
  }
  EXPECT_GT(difference, 1.0);  // scores deviate by sqrt(64) = 8
}

TEST(WindowedRope, T19_WindowCoversAllOrNothing) {
  Problem problem(plain_spec(32), 32, 150, {0, 40, 149});
  for (const std::int64_t window : {150, 151, 100000}) {
    const MatrixView<float> all_near = problem.scores(window);
    for (std::int64_t r = 0; r < 3; ++r) {
      for (std::size_t j = 0;
           j <= static_cast<std::size_t>(problem.positions[static_cast<std::size_t>(r)]); ++j) {
        EXPECT_EQ(all_near.row(r)[j], problem.view(problem.near_data).row(r)[j]);
      }
    }
  }
  for (const std::int64_t window : {0, -3}) {
    const MatrixView<float> all_far = problem.scores(window);
    for (std::int64_t r = 0; r < 3; ++r) {
      for (std::size_t j = 0;
           j <= static_cast<std::size_t>(problem.positions[static_cast<std::size_t>(r)]); ++j) {
        EXPECT_EQ(all_far.row(r)[j], problem.view(problem.far_data).row(r)[j]);
      }
    }
  }
}

TEST(WindowedRope, T19_TheConstantDistanceIsExactForATokenAtThatDistance) {
  for (const std::int64_t j : {0, 17, 80}) {
    Problem problem(plain_spec(64), 64, 200, {199}, 199 - j);
    const auto token = static_cast<std::size_t>(j);
    EXPECT_NEAR(problem.far_data[token], problem.near_data[token], 1e-4);
  }
}

TEST(WindowedRope, T20_ShiftingAllPositionsChangesNothing) {
  const std::int64_t d = 48;
  const RopeTable rope(plain_spec(d), d);
  const RandomRows rows(2, d, 3);
  const auto score = [&](std::int64_t i, std::int64_t j) {
    std::vector<float> q(rows.data.begin(), rows.data.begin() + d);
    std::vector<float> k(rows.data.begin() + d, rows.data.end());
    if (is_far(i, j, kWindow)) {
      rotate_to_distance(rope, kDistance, {q.data(), 1, d});
    } else {
      rope.rotate(i, q);
      rope.rotate(j, k);
    }
    return std::inner_product(q.begin(), q.end(), k.begin(), 0.0);
  };
  for (const std::int64_t apart : {0, 1, 63, 64, 1000}) {
    for (const std::int64_t shift : {1, 500, 100000}) {
      EXPECT_NEAR(score(apart + shift, shift), score(apart, 0), 1e-4) << apart << '+' << shift;
    }
  }
}

TEST(WindowedRope, T21_RotationKeepsNormsAndIsUndoneByItsInverse) {
  for (const RopePairing pairing : {RopePairing::kHalf, RopePairing::kInterleaved}) {
    const RopeTable rope(plain_spec(32, pairing), 40);
    const RandomRows rows(9, 40, 4);
    std::vector<float> moved = rows.data;
    const MatrixView<float> view(moved.data(), 9, 40);
    rotate_to_distance(rope, kDistance, view);
    const auto norm = [](std::span<const float> x) {
      return std::sqrt(std::inner_product(x.begin(), x.end(), x.begin(), 0.0));
    };
    for (std::int64_t r = 0; r < 9; ++r) {
      EXPECT_NEAR(norm(view.row(r)), norm(rows.view().row(r)), 1e-5);
      for (std::size_t t = 32; t < 40; ++t) {
        EXPECT_EQ(view.row(r)[t], rows.view().row(r)[t]);  // beyond the rotated dimensions
      }
    }
    rotate_to_distance(rope, -kDistance, view);
    for (std::size_t i = 0; i < moved.size(); ++i) {
      EXPECT_NEAR(moved[i], rows.data[i], 1e-5);
    }
  }
}

/// Rotations by Hugging Face's own code at position 2048, see make_rope_golden.py.
TEST(WindowedRope, T21_DistanceUsesTheModelsOwnFrequencies) {
  std::ifstream file(KVSIEVE_GOLDEN_DIR "/rope_golden.json");
  const auto golden = nlohmann::json::parse(file);
  const auto& positions = golden.at("positions");
  const auto at = static_cast<std::size_t>(
      std::find(positions.begin(), positions.end(), kDistance) - positions.begin());
  int scaled_cases = 0;
  for (const auto& item : golden.at("cases")) {
    SCOPED_TRACE(item.at("name").get<std::string>());
    const auto& rope = item.at("rope");
    RopeSpec spec;
    spec.pairing = rope.at("pairing") == "half" ? RopePairing::kHalf : RopePairing::kInterleaved;
    spec.theta = rope.at("theta");
    spec.dim = rope.at("dim");
    spec.attention_factor = rope.at("attention_factor");
    const RopeSpec unscaled = spec;
    const bool scaled = !rope.at("scaling").is_null();
    if (scaled) {
      const auto& scaling = rope.at("scaling");
      spec.scaling.type = scaling.at("type") == "llama3"   ? RopeScalingType::kLlama3
                          : scaling.at("type") == "linear" ? RopeScalingType::kLinear
                                                           : RopeScalingType::kYarn;
      spec.scaling.factor = scaling.at("factor");
      spec.scaling.low_freq_factor = scaling.value("low_freq_factor", 1.0);
      spec.scaling.high_freq_factor = scaling.value("high_freq_factor", 4.0);
      spec.scaling.original_max_position_embeddings =
          scaling.value("original_max_position_embeddings", std::int64_t{0});
      spec.scaling.truncate = scaling.value("truncate", true);
    }
    const std::int64_t d = item.at("d");
    const auto input = item.at("input").get<std::vector<float>>();
    const auto expected = item.at("rotated").at(at).get<std::vector<double>>();
    const auto error = [&](const RopeSpec& used) {
      std::vector<float> row = input;
      rotate_to_distance(RopeTable(used, d), kDistance, {row.data(), 1, d});
      double largest = 0.0;
      for (std::size_t t = 0; t < row.size(); ++t) {
        largest = std::max(largest, std::abs(static_cast<double>(row[t]) - expected[t]));
      }
      return largest;
    };
    EXPECT_LT(error(spec), 1e-6);
    if (scaled) {
      ++scaled_cases;
      EXPECT_GT(error(unscaled), 0.1);  // negative control: plain theta^(-2t/dim)
    }
  }
  EXPECT_GE(scaled_cases, 3);
}

TEST(WindowedRope, T22_ATokenTurnsFarAsTheQueryAdvances) {
  // Token 36 is at distance 63 from query 99 and at distance 64 from query 100.
  Problem problem(plain_spec(32), 32, 101, {99, 100});
  const MatrixView<float> scores = problem.scores(kWindow);
  EXPECT_EQ(scores.row(0)[36], problem.view(problem.near_data).row(0)[36]);
  EXPECT_EQ(scores.row(1)[36], problem.view(problem.far_data).row(1)[36]);
  // Negative control: a class frozen when the token was near keeps the near score.
  EXPECT_NE(scores.row(1)[36], problem.view(problem.near_data).row(1)[36]);
  static_assert(!is_far(99, 36, kWindow) && is_far(100, 36, kWindow));
}

TEST(WindowedRope, T24_DerotationRoundTrip) {
  const std::int64_t d = 64;
  const RopeTable rope(plain_spec(d), d);
  const RandomRows keys(50, d, 6);
  std::vector<float> stored = keys.data;
  for (std::int64_t r = 0; r < 50; ++r) {
    const auto row = std::span(stored).subspan(static_cast<std::size_t>(r * d), d);
    rope.rotate(997 * r, row);
    rope.rotate(-997 * r, row);
  }
  for (std::size_t i = 0; i < stored.size(); ++i) {
    EXPECT_NEAR(stored[i], keys.data[i], 1e-5);
  }
}

TEST(WindowedRope, ScoresMayBeWrittenOverEitherInput) {
  Problem problem(plain_spec(16), 16, 100, {70, 99});
  const MatrixView<float> expected = problem.scores(10);
  for (const bool over_near : {true, false}) {
    std::vector<float> near = problem.near_data;
    std::vector<float> far = problem.far_data;
    const MatrixView<float> out = problem.view(over_near ? near : far);
    windowed_scores(problem.view(near), problem.view(far), problem.positions, 10, out);
    for (std::int64_t r = 0; r < 2; ++r) {
      for (std::size_t j = 0;
           j <= static_cast<std::size_t>(problem.positions[static_cast<std::size_t>(r)]); ++j) {
        EXPECT_EQ(out.row(r)[j], expected.row(r)[j]);
      }
    }
  }
}

TEST(WindowedRope, WorkCountsRowsAndOneTable) {
  static_assert(windowed_rope_work(4, 80, 64).bytes_read == 4 * 80 * 4 + 64 * 4);
  static_assert(windowed_rope_work(4, 80, 64).bytes_written == 4 * 80 * 4);
  static_assert(windowed_rope_work(4, 80, 64).flops == 4 * 32 * 2 * 3);
}

}  // namespace
}  // namespace kvsieve::kernels::tests
