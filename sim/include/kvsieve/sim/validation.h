#pragma once
// The cost model against measured rows: its error in every regime.

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kvsieve/sim/hardware_profile.h"
#include "kvsieve/sim/measured_rows.h"

namespace kvsieve::sim {

/// Error of modelled / measured - 1 over rows, as fractions.
struct ErrorFigures {
  std::int64_t n = 0;
  double median_error = 0.0;  ///< median of |error|
  double mape = 0.0;          ///< mean of |error|
  double p95 = 0.0;           ///< of |error|
  double bias = 0.0;          ///< mean of the signed error; positive: modelled too slow
};

/// Rows of one kind on one device and engine; "all" pools.
struct RegimeError {
  /// attention-launch, attention-l2, attention-hbm, gemm-memory, gemm-compute, end-to-end.
  std::string regime;
  std::string device;    ///< hardware id, or "all"
  std::string engine;    ///< "VLLM 0.14.0", or "all"
  std::string op;        ///< decode_attention, gemm, end_to_end
  std::string kv_dtype;  ///< of attention rows, or "all"; empty for others
  ErrorFigures figures;
};

/// One row beside its modelled time.
struct RowError {
  MeasuredRow row;
  std::string device;
  std::string regime;
  double modelled_us = 0.0;
  bool impossible = false;  ///< faster than the memory's data sheet allows; in no figure
};

/// Which rows of a file take part, by their number in it from 0.
enum class RowChoice { kAll, kEven, kOdd };
/// all, even, odd.
[[nodiscard]] RowChoice row_choice_from_name(std::string_view name);

struct ValidationOptions {
  RowChoice rows = RowChoice::kAll;
  /// Instead of the built-in profiles: rows of other devices are left out as unknown.
  std::optional<HardwareProfile> profile;
  /// Judge rows of another engine than the profile was calibrated for, too.
  bool any_engine = false;
};

struct UnknownDevice {
  std::string gpu;
  std::int64_t rows = 0;
};

struct ValidationReport {
  std::vector<RegimeError> regimes;  ///< pooled first, then by regime, device, engine
  std::vector<RowError> rows;
  std::vector<UnknownDevice> unknown_devices;
  std::int64_t impossible_rows = 0;
};

/// Judges the model by the rows. End-to-end rows whose profile has no step overhead are modelled
/// without one.
/// Throws Error(kUsage) if the profile was calibrated for another engine, version or cache type
/// than some row of its device, unless any_engine.
[[nodiscard]] ValidationReport validate(const MeasuredFile& file,
                                        const ValidationOptions& options = {});

[[nodiscard]] nlohmann::ordered_json to_json(const ValidationReport& report);

/// Figures of errors (order does not matter).
[[nodiscard]] ErrorFigures error_figures(std::vector<double> errors);

/// One row's modelled time on a profile, as `validate` computes it.
[[nodiscard]] double modelled_us(const HardwareProfile& profile, const MeasuredRow& row);

}  // namespace kvsieve::sim
