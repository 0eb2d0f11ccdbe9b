#pragma once
// Whether a trace is sound: finite values, and dense attention that reproduces the captured output.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kvsieve/sim/eviction_replay.h"
#include "kvsieve/traces/trace.h"

namespace kvsieve::sim {

/// The largest relative error that `kvsieve check` accepts by default.
inline constexpr double kCheckTolerance = 5e-3;

/// One layer's verdict.
struct LayerCheck {
  std::int64_t layer = 0;
  std::vector<std::string> nonfinite;  ///< tensors with NaN or infinite values, and how many
  /// ||replayed - captured||_F / ||captured||_F over all captured queries; absent without `out`
  /// or with values that are not finite.
  std::optional<double> output_error;
  bool passed = false;
};

struct TraceCheck {
  double tolerance = kCheckTolerance;
  std::vector<LayerCheck> layers;
  bool passed = false;
};

/// Checks every captured layer.
[[nodiscard]] TraceCheck check_trace(const traces::Trace& trace, double tolerance,
                                     const Progress& progress = {});

}  // namespace kvsieve::sim
