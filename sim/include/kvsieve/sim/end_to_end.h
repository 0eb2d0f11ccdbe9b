#pragma once
// A batch of requests with full attention, from the first to the last token.

#include <cstdint>

#include "kvsieve/sim/hardware_profile.h"
#include "kvsieve/sim/model_dimensions.h"

namespace kvsieve::sim {

/// Modelled.
struct EndToEndTime {
  double us = 0.0;
  double steps = 0.0;   ///< decode steps of all rounds
  double rounds = 1.0;  ///< batch / the sequences whose cache fits at once, at least 1
};

/// `batch` requests of `prompt` tokens that each generate `output` tokens, served together as far
/// as GPU memory allows and in rounds beyond that, each decode step with the engine's overhead
/// where the profile has one. 16-bit weights and cache. Throws Error(kUsage) for latent attention,
/// or if not even one request fits.
[[nodiscard]] EndToEndTime end_to_end(const HardwareProfile& profile, const ModelDimensions& model,
                                      std::int64_t batch, std::int64_t prompt, std::int64_t output);

}  // namespace kvsieve::sim
