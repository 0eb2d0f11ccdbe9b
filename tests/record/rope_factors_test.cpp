#include "rope_factors.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <vector>

#include "kvsieve/traces/rope.h"

namespace kvsieve::record {
namespace {

using traces::RopeScaling;
using traces::RopeScalingType;
using traces::RopeSpec;

/// What a model file holds for this scaling.
std::vector<float> factors_of(const RopeScaling& scaling, double theta, std::int64_t dim) {
  RopeSpec spec;
  spec.theta = theta;
  spec.dim = dim;
  const std::vector<double> plain = traces::rope_frequencies(spec);
  spec.scaling = scaling;
  const std::vector<double> scaled = traces::rope_frequencies(spec);
  std::vector<float> factors;
  for (std::size_t t = 0; t < plain.size(); ++t) {
    factors.push_back(static_cast<float>(plain[t] / scaled[t]));
  }
  return factors;
}

RopeScaling llama3(double factor, double low, double high, std::int64_t context) {
  RopeScaling scaling;
  scaling.type = RopeScalingType::kLlama3;
  scaling.factor = factor;
  scaling.low_freq_factor = low;
  scaling.high_freq_factor = high;
  scaling.original_max_position_embeddings = context;
  return scaling;
}

TEST(RopeFactors, FindsThePublishedParameters) {
  for (const auto& [scaling, dim] : {std::pair{llama3(8, 1, 4, 8192), 128},  // Llama 3.1 8B
                                     std::pair{llama3(32, 1, 4, 8192), 64},  // Llama 3.2 1B
                                     std::pair{llama3(8, 1, 8, 4096), 96}}) {
    const auto found = scaling_from_rope_factors(factors_of(scaling, 500000.0, dim), 500000.0);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->type, RopeScalingType::kLlama3);
    EXPECT_NEAR(found->factor, scaling.factor, 1e-5 * scaling.factor);
    EXPECT_EQ(found->high_freq_factor, scaling.high_freq_factor);
    EXPECT_EQ(found->original_max_position_embeddings, scaling.original_max_position_embeddings);
  }
}

TEST(RopeFactors, FindsEqualFrequenciesForAnotherLowFactor) {
  // 2 and 8 turns in 16384 tokens are 1 and 4 turns in 8192.
  const std::vector<float> factors = factors_of(llama3(8, 2, 8, 16384), 500000.0, 128);
  const auto found = scaling_from_rope_factors(factors, 500000.0);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->low_freq_factor, 1.0);
  EXPECT_EQ(found->original_max_position_embeddings, 8192);
}

TEST(RopeFactors, KnowsNoneAndLinear) {
  EXPECT_EQ(scaling_from_rope_factors(std::vector<float>(32, 1.0F), 10000.0)->type,
            RopeScalingType::kNone);
  const auto linear = scaling_from_rope_factors(std::vector<float>(32, 4.0F), 10000.0);
  ASSERT_TRUE(linear);
  EXPECT_EQ(linear->type, RopeScalingType::kLinear);
  EXPECT_EQ(linear->factor, 4.0);
}

TEST(RopeFactors, RefusesWhatNoScalingGives) {
  std::vector<float> factors = factors_of(llama3(8, 1, 4, 8192), 500000.0, 128);
  factors[5] = 3.0F;
  EXPECT_FALSE(scaling_from_rope_factors(factors, 500000.0));
  EXPECT_FALSE(scaling_from_rope_factors({}, 10000.0));
  EXPECT_FALSE(scaling_from_rope_factors(std::vector<float>{1.0F, 0.0F}, 10000.0));
  EXPECT_FALSE(scaling_from_rope_factors(
      std::vector<float>{1.0F, std::numeric_limits<float>::quiet_NaN()}, 10000.0));
  EXPECT_FALSE(scaling_from_rope_factors(std::vector<float>{1.0F, 2.0F, 5.0F, 3.0F}, 10000.0));
}

}  // namespace
}  // namespace kvsieve::record
