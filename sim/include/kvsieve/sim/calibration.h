#pragma once
// Fitting a hardware profile to measured rows of one engine.

#include <span>
#include <string>

#include "kvsieve/sim/hardware_profile.h"
#include "kvsieve/sim/measured_rows.h"
#include "kvsieve/sim/validation.h"

namespace kvsieve::sim {

struct CalibrationOptions {
  /// Which of the files' rows, engines, versions and cache types; needed where they hold several.
  RowFilter filter;
  std::string date;  ///< ISO 8601, stored
};

/// Fits decode attention a regime, dense layers, and the step overhead of end-to-end rows, each
/// where the files have at least 4 rows of the profile's device, by the smallest sum of relative
/// errors with coefficients >= 0; what has fewer keeps the preset. Rows faster than the data sheet
/// allows are flagged and left out. A calibration that the profile had is replaced. Throws
/// Error(kUsage) if the choice of engine, version or type is not unique (listing them), and
/// Error(kBadInput) if no row is left or nothing could be fitted.
[[nodiscard]] HardwareProfile calibrate(HardwareProfile profile,
                                        std::span<const MeasuredFile> files,
                                        const CalibrationOptions& options);

/// What a shape's neighbours among the fitted rows left over: the mean of their ratios, weighted by
/// (1 - (r / 2)^2)^2 / (1 + (r / 0.5)^2) over those at distances r < 2, and of 1 with a small
/// weight, which draws it to 1 at the edge of the fitted shapes. Neighbours have the same regime
/// and group; r is taken in (log2 batch x KV heads, log2 context, log2 KV heads). 1 without
/// neighbours.
[[nodiscard]] double residual_correction(const CalibrationRecord& record, AttentionRegime regime,
                                         std::int64_t q_heads, std::int64_t kv_heads, double batch,
                                         double context) noexcept;

/// The like for a dense layer, with the distance in (log2 m, log2 n, log2 k).
[[nodiscard]] double residual_correction(const CalibrationRecord& record, double m, double n,
                                         double k) noexcept;

}  // namespace kvsieve::sim
