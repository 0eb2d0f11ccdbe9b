#include "kvsieve/traces/rope.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <vector>

#include "fails_with.h"

namespace kvsieve::traces {
namespace {

using nlohmann::ordered_json;
using tests::fails_with;

/// The rotations that Hugging Face's own code produced, see make_rope_golden.py.
struct GoldenCase {
  std::string name;
  RopeSpec spec;
  std::int64_t head_dim = 0;
  std::vector<double> frequencies;
  std::vector<float> input;
  std::vector<std::vector<double>> rotated;  // [positions, d]
};

struct Golden {
  std::vector<std::int64_t> positions;
  std::vector<GoldenCase> cases;
};

RopeSpec read_spec(const ordered_json& rope, std::int64_t head_dim) {
  const ordered_json model = {
      {"name", ""},   {"architecture", ""}, {"layers", 1},
      {"q_heads", 1}, {"kv_heads", 1},      {"head_dim", head_dim},
      {"width", 1},   {"rope", rope},       {"attention", ordered_json::object()}};
  return model_shape_from_json(model).defaults.rope;
}

Golden read_golden() {
  std::ifstream file(std::string(KVSIEVE_TEST_DATA_DIR) + "/golden/rope_golden.json");
  const ordered_json json = ordered_json::parse(file);
  Golden golden;
  json.at("positions").get_to(golden.positions);
  for (const ordered_json& item : json.at("cases")) {
    GoldenCase& entry = golden.cases.emplace_back();
    item.at("name").get_to(entry.name);
    item.at("d").get_to(entry.head_dim);
    entry.spec = read_spec(item.at("rope"), entry.head_dim);
    item.at("inv_freq").get_to(entry.frequencies);
    item.at("input").get_to(entry.input);
    item.at("rotated").get_to(entry.rotated);
  }
  return golden;
}

const Golden& golden() {
  static const Golden instance = read_golden();
  return instance;
}

std::vector<float> rotated(const RopeTable& table, std::int64_t position, std::vector<float> x) {
  table.rotate(position, x);
  return x;
}

double dot(const std::vector<float>& a, const std::vector<float>& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

double largest_difference(const std::vector<float>& actual, const std::vector<double>& expected) {
  double largest = 0.0;
  for (std::size_t t = 0; t < expected.size(); ++t) {
    largest = std::max(largest, std::abs(static_cast<double>(actual[t]) - expected[t]));
  }
  return largest;
}

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  return largest_difference(a, std::vector<double>(b.begin(), b.end()));
}

std::vector<float> wave(std::size_t size, double pace) {
  std::vector<float> x(size);
  for (std::size_t t = 0; t < size; ++t) {
    x[t] = static_cast<float>(std::sin(pace * static_cast<double>(t) + 0.3));
  }
  return x;
}

RopeSpec plain(RopePairing pairing, std::int64_t dim) {
  RopeSpec spec;
  spec.pairing = pairing;
  spec.dim = dim;
  return spec;
}

constexpr std::array kPairings{RopePairing::kHalf, RopePairing::kInterleaved};

TEST(rope, golden_file_covers_every_scheme) {
  const auto any = [](auto&& holds) {
    return std::any_of(golden().cases.begin(), golden().cases.end(), holds);
  };
  for (const RopeScalingType type : {RopeScalingType::kNone, RopeScalingType::kLinear,
                                     RopeScalingType::kLlama3, RopeScalingType::kYarn}) {
    EXPECT_TRUE(any([&](const GoldenCase& entry) { return entry.spec.scaling.type == type; }));
  }
  for (const RopePairing pairing : kPairings) {
    EXPECT_TRUE(any([&](const GoldenCase& entry) {
      return entry.spec.pairing == pairing && entry.spec.dim < entry.head_dim;
    }));
  }
  EXPECT_TRUE(any([](const GoldenCase& entry) { return !entry.spec.scaling.truncate; }));
  EXPECT_TRUE(any([](const GoldenCase& entry) { return entry.spec.attention_factor != 1.0; }));
}

TEST(rope, frequencies_match_transformers) {
  for (const GoldenCase& entry : golden().cases) {
    SCOPED_TRACE(entry.name);
    const std::vector<double> actual = rope_frequencies(entry.spec);
    ASSERT_EQ(entry.frequencies.size(), actual.size());
    for (std::size_t t = 0; t < actual.size(); ++t) {
      EXPECT_NEAR(entry.frequencies[t], actual[t], 1e-12 * entry.frequencies[t]) << t;
    }
  }
}

TEST(rope, rotations_match_transformers) {
  for (const GoldenCase& entry : golden().cases) {
    SCOPED_TRACE(entry.name);
    const RopeTable table(entry.spec, entry.head_dim);
    ASSERT_EQ(golden().positions.size(), entry.rotated.size());
    for (std::size_t i = 0; i < entry.rotated.size(); ++i) {
      const std::vector<float> actual = rotated(table, golden().positions[i], entry.input);
      // Three fp32 roundings of numbers below 1.6 each.
      EXPECT_LT(largest_difference(actual, entry.rotated[i]), 4e-7) << golden().positions[i];
    }
  }
}

TEST(rope, unscaled_tables_do_not_match_scaled_ones) {
  for (const GoldenCase& entry : golden().cases) {
    if (entry.spec.scaling.type == RopeScalingType::kNone) {
      continue;
    }
    SCOPED_TRACE(entry.name);
    RopeSpec spec = entry.spec;
    spec.scaling = {};
    const std::vector<double> unscaled = rope_frequencies(spec);
    EXPECT_GT(unscaled.back(), 1.5 * entry.frequencies.back());
    const RopeTable table(spec, entry.head_dim);
    const std::vector<float> actual = rotated(table, golden().positions.back(), entry.input);
    EXPECT_GT(largest_difference(actual, entry.rotated.back()), 0.1);
  }
}

TEST(rope, wrong_pairing_does_not_match) {
  for (const GoldenCase& entry : golden().cases) {
    SCOPED_TRACE(entry.name);
    RopeSpec spec = entry.spec;
    spec.pairing =
        spec.pairing == RopePairing::kHalf ? RopePairing::kInterleaved : RopePairing::kHalf;
    const RopeTable table(spec, entry.head_dim);
    EXPECT_GT(
        largest_difference(rotated(table, golden().positions[1], entry.input), entry.rotated[1]),
        0.1);
  }
}

TEST(rope, linear_scaling_is_position_interpolation) {
  RopeSpec scaled = plain(RopePairing::kHalf, 32);
  scaled.scaling.type = RopeScalingType::kLinear;
  scaled.scaling.factor = 4.0;
  const RopeTable table(plain(RopePairing::kHalf, 32), 32);
  const std::vector<float> x = wave(32, 0.7);
  EXPECT_LT(largest_difference(rotated(RopeTable(scaled, 32), 4 * 37, x), rotated(table, 37, x)),
            4e-7);
}

TEST(rope, llama3_keeps_fast_and_divides_slow_frequencies) {
  RopeSpec spec = plain(RopePairing::kHalf, 128);
  spec.theta = 5e5;
  const std::vector<double> base = rope_frequencies(spec);
  spec.scaling = {RopeScalingType::kLlama3, 8.0, 1.0, 4.0, 8192};
  const std::vector<double> scaled = rope_frequencies(spec);
  EXPECT_EQ(base.front(), scaled.front());
  EXPECT_DOUBLE_EQ(base.back() / 8.0, scaled.back());
  int blended = 0;
  for (std::size_t t = 0; t < base.size(); ++t) {
    EXPECT_LE(scaled[t], base[t]);
    EXPECT_GE(scaled[t], base[t] / 8.0 * (1.0 - 1e-15));
    EXPECT_TRUE(t == 0 || scaled[t] < scaled[t - 1]) << t;
    blended += scaled[t] < base[t] && scaled[t] > base[t] / 8.0 * (1.0 + 1e-9) ? 1 : 0;
  }
  EXPECT_GT(blended, 3);
}

TEST(rope, yarn_stays_finite_when_its_ramp_has_no_length) {
  RopeSpec spec = plain(RopePairing::kHalf, 2);
  spec.scaling.type = RopeScalingType::kYarn;
  spec.scaling.factor = 4.0;
  for (const std::int64_t context : {1, 6, 7, 200, 201, 4096, INT32_MAX}) {
    for (const bool truncate : {true, false}) {
      spec.scaling.original_max_position_embeddings = context;
      spec.scaling.truncate = truncate;
      const double frequency = rope_frequencies(spec).front();
      EXPECT_GE(frequency, 0.25) << context;
      EXPECT_LE(frequency, 1.0) << context;
    }
  }
}

TEST(rope, rotation_preserves_norm) {
  for (const RopePairing pairing : kPairings) {
    const RopeTable table(plain(pairing, 64), 64);
    const std::vector<float> x = wave(64, 1.3);
    for (const std::int64_t position : {1, 17, 4095, 1'000'000}) {
      const std::vector<float> y = rotated(table, position, x);
      EXPECT_NEAR(1.0, dot(y, y) / dot(x, x), 1e-6);
      EXPECT_GT(largest_difference(x, y), 0.1) << "nothing was rotated";
    }
  }
}

TEST(rope, attention_factor_scales_the_norm) {
  RopeSpec spec = plain(RopePairing::kInterleaved, 16);
  spec.attention_factor = 1.5;
  const std::vector<float> x = wave(24, 1.3);
  const std::vector<float> y = rotated(RopeTable(spec, 24), 77, x);
  double rotated_part = 0.0;
  double original_part = 0.0;
  for (std::size_t t = 0; t < 16; ++t) {
    rotated_part += static_cast<double>(y[t]) * y[t];
    original_part += static_cast<double>(x[t]) * x[t];
  }
  EXPECT_NEAR(2.25, rotated_part / original_part, 1e-5);
}

TEST(rope, negative_position_rotates_back) {
  for (const RopePairing pairing : kPairings) {
    const RopeTable table(plain(pairing, 64), 64);
    const std::vector<float> x = wave(64, 0.9);
    for (const std::int64_t position : {0, 1, 1000, 131'071}) {
      EXPECT_LT(largest_difference(rotated(table, -position, rotated(table, position, x)), x),
                1e-6);
    }
  }
}

TEST(rope, scores_depend_on_the_distance_alone) {
  for (const RopePairing pairing : kPairings) {
    RopeSpec spec = plain(pairing, 64);
    spec.scaling.type = RopeScalingType::kYarn;
    spec.scaling.factor = 4.0;
    spec.scaling.original_max_position_embeddings = 4096;
    const RopeTable table(spec, 64);
    const std::vector<float> q = wave(64, 0.9);
    const std::vector<float> k = wave(64, 1.7);
    for (const auto& [i, j] : {std::pair{5, 3}, std::pair{4096, 4000}, std::pair{70'000, 12}}) {
      const double expected = dot(rotated(table, i - j, q), k);
      EXPECT_NEAR(expected, dot(rotated(table, i, q), rotated(table, j, k)), 2e-5);
      EXPECT_GT(std::abs(expected - dot(q, k)), 1e-2) << "the distance made no difference";
    }
  }
}

TEST(rope, dimensions_beyond_the_rotated_ones_pass_through) {
  for (const RopePairing pairing : kPairings) {
    const RopeTable partial(plain(pairing, 16), 40);
    const RopeTable whole(plain(pairing, 16), 16);
    const std::vector<float> x = wave(40, 1.1);
    const std::vector<float> y = rotated(partial, 99, x);
    EXPECT_TRUE(std::equal(x.begin() + 16, x.end(), y.begin() + 16));
    // The rotated part pairs up within itself, as in a head that ends there.
    const std::vector<float> head(x.begin(), x.begin() + 16);
    const std::vector<float> expected = rotated(whole, 99, head);
    EXPECT_TRUE(std::equal(expected.begin(), expected.end(), y.begin()));
  }
}

TEST(rope, pairings_are_a_permutation_of_each_other) {
  const std::vector<float> half = wave(32, 1.9);
  std::vector<float> interleaved(32);
  for (std::size_t t = 0; t < 16; ++t) {
    interleaved[2 * t] = half[t];
    interleaved[2 * t + 1] = half[t + 16];
  }
  const std::vector<float> a = rotated(RopeTable(plain(RopePairing::kHalf, 32), 32), 123, half);
  const std::vector<float> b =
      rotated(RopeTable(plain(RopePairing::kInterleaved, 32), 32), 123, interleaved);
  for (std::size_t t = 0; t < 16; ++t) {
    EXPECT_EQ(a[t], b[2 * t]);
    EXPECT_EQ(a[t + 16], b[2 * t + 1]);
  }
}

TEST(rope, phases_may_be_computed_ahead) {
  const RopeTable table(plain(RopePairing::kHalf, 32), 32);
  const RopePhase phase = table.phase(-321);
  std::vector<float> cos(16);
  std::vector<float> sin(16);
  table.phase(-321, cos, sin);
  EXPECT_EQ(phase.cos, cos);
  EXPECT_EQ(phase.sin, sin);
  std::vector<float> x = wave(32, 0.2);
  const std::vector<float> expected = rotated(table, -321, x);
  table.rotate(phase, x);
  EXPECT_EQ(expected, x);
  EXPECT_NEAR(std::cos(-321.0), cos.front(), 1e-7);
  EXPECT_NEAR(std::sin(-321.0), sin.front(), 1e-7);
}

TEST(rope, impossible_dimensions_are_named) {
  for (const std::int64_t dim : {-2, 0, 7, 34}) {
    EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "rope.dim is " + std::to_string(dim),
                           [&] { RopeTable(plain(RopePairing::kHalf, dim), 32); }));
  }
}

}  // namespace
}  // namespace kvsieve::traces
