#pragma once
// Fitting a hardware profile to measured rows of one engine.

#include <string>

#include "kvsieve/sim/hardware_profile.h"
#include "kvsieve/sim/measured_rows.h"
#include "kvsieve/sim/validation.h"

namespace kvsieve::sim {

struct CalibrationOptions {
  RowChoice rows = RowChoice::kAll;
  /// Which of the file's engines, versions and cache types; needed where it holds several.
  std::string engine;
  std::string engine_version;
  std::string kv_dtype;
  std::string date;  ///< ISO 8601, stored
};

/// Fits decode attention a regime, dense layers, and the step overhead of end-to-end rows, each
/// where the file has rows of the profile's device, by the smallest sum of relative errors with
/// coefficients >= 0. Rows faster than the data sheet allows are flagged and left out; a regime
/// with fewer than 4 rows keeps the preset. Throws Error(kUsage) if the choice of engine, version
/// or type is not unique (listing them), and Error(kBadInput) if no row is left.
[[nodiscard]] HardwareProfile calibrate(HardwareProfile profile, const MeasuredFile& file,
                                        const CalibrationOptions& options);

/// What a shape's neighbours among the fitted rows left over: the mean of their ln ratios, weighted
/// by nearness in (log2 batch, log2 context) among rows of the same heads and regime, and drawn to
/// 1 with distance. 1 without neighbours.
[[nodiscard]] double residual_correction(const CalibrationRecord& record, AttentionRegime regime,
                                         std::int64_t q_heads, std::int64_t kv_heads, double batch,
                                         double context) noexcept;

}  // namespace kvsieve::sim
