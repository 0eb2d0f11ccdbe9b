#include "rope_factors.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <vector>

#include "kvsieve/traces/rope.h"

namespace kvsieve::record {
namespace {

using traces::RopeScaling;
using traces::RopeScalingType;
using traces::RopeSpec;

// The divisors are stored in fp32 and were computed in it.
constexpr double kTolerance = 1e-5;

bool reproduces(const RopeScaling& scaling, std::span<const float> factors, double theta) {
  RopeSpec spec;
  spec.theta = theta;
  spec.dim = 2 * static_cast<std::int64_t>(factors.size());
  const std::vector<double> plain = traces::rope_frequencies(spec);
  spec.scaling = scaling;
  const std::vector<double> scaled = traces::rope_frequencies(spec);
  for (std::size_t t = 0; t < factors.size(); ++t) {
    const double expected = plain[t] / static_cast<double>(factors[t]);
    if (std::abs(scaled[t] - expected) > kTolerance * expected) {
      return false;
    }
  }
  return true;
}

/// Solves for the parameters from the divisors strictly between 1 and the largest: there Llama 3's
/// blend is linear in the frequency.
RopeScaling fit_llama3(std::span<const float> factors, double theta) {
  RopeScaling scaling;
  scaling.type = RopeScalingType::kLlama3;
  scaling.factor = static_cast<double>(*std::max_element(factors.begin(), factors.end()));
  scaling.original_max_position_embeddings = 8192;

  RopeSpec spec;
  spec.theta = theta;
  spec.dim = 2 * static_cast<std::int64_t>(factors.size());
  const std::vector<double> plain = traces::rope_frequencies(spec);
  std::vector<double> frequencies;
  std::vector<double> blends;
  for (std::size_t t = 0; t < factors.size(); ++t) {
    const double divisor = static_cast<double>(factors[t]);
    if (divisor > 1.0 + kTolerance && divisor < scaling.factor * (1.0 - kTolerance)) {
      frequencies.push_back(plain[t]);
      blends.push_back((1.0 / divisor - 1.0 / scaling.factor) / (1.0 - 1.0 / scaling.factor));
    }
  }
  if (frequencies.size() < 2) {
    return scaling;  // the published parameters are as good a guess as any; the caller checks it
  }
  const double slope =
      (blends.front() - blends.back()) / (frequencies.front() - frequencies.back());
  const double offset = slope * frequencies.front() - blends.front();
  const double high = 1.0 + 1.0 / offset;
  const double context = 2.0 * std::numbers::pi * slope * (high - 1.0);
  if (std::isfinite(high) && high > 1.0 && std::isfinite(context) && context >= 1.0 &&
      context < 1e9) {
    scaling.high_freq_factor = std::round(high * 1e3) / 1e3;
    scaling.original_max_position_embeddings = std::llround(context);
  }
  return scaling;
}

}  // namespace

std::optional<RopeScaling> scaling_from_rope_factors(std::span<const float> factors, double theta) {
  if (factors.empty() || !std::all_of(factors.begin(), factors.end(), [](float factor) {
        return std::isfinite(factor) && factor > 0.0F;
      })) {
    return std::nullopt;
  }
  RopeScaling none;
  RopeScaling linear;
  linear.type = RopeScalingType::kLinear;
  linear.factor = static_cast<double>(factors.front());
  for (const RopeScaling& scaling : {none, linear, fit_llama3(factors, theta)}) {
    if (reproduces(scaling, factors, theta)) {
      return scaling;
    }
  }
  return std::nullopt;
}

}  // namespace kvsieve::record
