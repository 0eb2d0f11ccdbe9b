#pragma once
// llama.cpp stores Llama 3's RoPE scaling as one divisor a frequency; a trace states its
// parameters.

#include <optional>
#include <span>

#include "kvsieve/traces/model_shape.h"

namespace kvsieve::record {

/// The scaling that divides frequency t of theta^(-2t/dim) by `factors[t]` [dim/2]: none, linear,
/// or llama3 with the low frequency factor 1 (the divisors fix the parameters only up to a common
/// scale of the context and its two factors). Empty if no such scaling gives these divisors.
[[nodiscard]] std::optional<traces::RopeScaling> scaling_from_rope_factors(
    std::span<const float> factors, double theta);

}  // namespace kvsieve::record
