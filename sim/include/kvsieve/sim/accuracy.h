#pragma once
// How far off the model was where it could be checked: the error of every regime against public
// measured rows, as docs/accuracy.py found it and docs/accuracy.md shows it.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "kvsieve/sim/hardware_profile.h"

namespace kvsieve::sim {

/// Errors of modelled / measured - 1 in a regime, as fractions.
struct ErrorBand {
  double median_error = 0.0;  ///< of the absolute error
  std::optional<double> p95;  ///< absent where a calibration does not hold it
  std::optional<double> bias;
  std::int64_t n = 0;  ///< rows behind it
  std::string scope;   ///< "architecture hopper", "all devices", "calibrated on VLLM 0.24.0"
};

/// The band of a regime on a profile: of its calibration's own rows, else of its architecture, else
/// of all devices; nothing for a regime that has no measured rows.
[[nodiscard]] std::optional<ErrorBand> error_band(const HardwareProfile& profile,
                                                  std::string_view regime);

}  // namespace kvsieve::sim
