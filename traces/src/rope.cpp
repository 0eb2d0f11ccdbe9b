#include "kvsieve/traces/rope.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "kvsieve/traces/error.h"

namespace kvsieve::traces {
namespace {

/// Llama 3.1: wavelengths beyond the original context are slowed by `factor`, short ones kept, and
/// those between are blended by how often they turn in the original context.
double llama3_frequency(double frequency, const RopeScaling& scaling) {
  const auto context = static_cast<double>(scaling.original_max_position_embeddings);
  const double turns = context * frequency / (2.0 * std::numbers::pi);
  if (turns < scaling.low_freq_factor) {
    return frequency / scaling.factor;
  }
  if (turns > scaling.high_freq_factor) {
    return frequency;
  }
  const double smooth =
      (turns - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor);
  return (1.0 - smooth) * frequency / scaling.factor + smooth * frequency;
}

/// YaRN, "correction dimension": the pair index that turns `turns` times in the original context.
double yarn_dimension(double turns, const RopeSpec& spec) {
  const auto context = static_cast<double>(spec.scaling.original_max_position_embeddings);
  return static_cast<double>(spec.dim) * std::log(context / (turns * 2.0 * std::numbers::pi)) /
         (2.0 * std::log(spec.theta));
}

void apply_yarn(const RopeSpec& spec, std::vector<double>& frequencies) {
  double low = yarn_dimension(spec.scaling.beta_fast, spec);
  double high = yarn_dimension(spec.scaling.beta_slow, spec);
  if (spec.scaling.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(spec.dim - 1));
  if (low == high) {
    high += 0.001;  // as published: keeps the ramp finite
  }
  for (std::size_t t = 0; t < frequencies.size(); ++t) {
    const double ramp = std::clamp((static_cast<double>(t) - low) / (high - low), 0.0, 1.0);
    frequencies[t] = frequencies[t] * (1.0 - ramp) + frequencies[t] / spec.scaling.factor * ramp;
  }
}

}  // namespace

std::vector<double> rope_frequencies(const RopeSpec& spec) {
  std::vector<double> frequencies(static_cast<std::size_t>(spec.dim / 2));
  for (std::size_t t = 0; t < frequencies.size(); ++t) {
    const double exponent = -2.0 * static_cast<double>(t) / static_cast<double>(spec.dim);
    frequencies[t] = std::pow(spec.theta, exponent);
  }
  switch (spec.scaling.type) {
    case RopeScalingType::kNone:
      break;
    case RopeScalingType::kLinear:
      for (double& frequency : frequencies) {
        frequency /= spec.scaling.factor;
      }
      break;
    case RopeScalingType::kLlama3:
      for (double& frequency : frequencies) {
        frequency = llama3_frequency(frequency, spec.scaling);
      }
      break;
    case RopeScalingType::kYarn:
      apply_yarn(spec, frequencies);
      break;
  }
  return frequencies;
}

RopeTable::RopeTable(const RopeSpec& spec, std::int64_t head_dim) : m_spec(spec) {
  if (spec.dim <= 0 || spec.dim % 2 != 0 || spec.dim > head_dim) {
    throw Error(
        ErrorKind::kBadInput,
        fmt::format("rope.dim is {}, expected an even number in [2, {}]", spec.dim, head_dim));
  }
  m_frequencies = rope_frequencies(spec);
}

RopePhase RopeTable::phase(std::int64_t position) const {
  RopePhase result{std::vector<float>(m_frequencies.size()),
                   std::vector<float>(m_frequencies.size())};
  phase(position, result.cos, result.sin);
  return result;
}

void RopeTable::phase(std::int64_t position, std::span<float> cos, std::span<float> sin) const {
  for (std::size_t t = 0; t < m_frequencies.size(); ++t) {
    const double angle = static_cast<double>(position) * m_frequencies[t];
    cos[t] = static_cast<float>(std::cos(angle) * m_spec.attention_factor);
    sin[t] = static_cast<float>(std::sin(angle) * m_spec.attention_factor);
  }
}

void RopeTable::rotate(std::int64_t position, std::span<float> x) const {
  rotate(phase(position), x);
}

void RopeTable::rotate(const RopePhase& phase, std::span<float> x) const {
  const std::size_t pairs = m_frequencies.size();
  const bool half = m_spec.pairing == RopePairing::kHalf;
  for (std::size_t t = 0; t < pairs; ++t) {
    float& a = x[half ? t : 2 * t];
    float& b = x[half ? t + pairs : 2 * t + 1];
    const float rotated = a * phase.cos[t] - b * phase.sin[t];
    b = a * phase.sin[t] + b * phase.cos[t];
    a = rotated;
  }
}

}  // namespace kvsieve::traces
