#pragma once
// The cost model against measured rows: its error in every regime.

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
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
  std::string device;     ///< hardware id, or "all"
  std::string engine;     ///< "VLLM 0.14.0", or "all"
  std::string op;         ///< decode_attention, gemm, end_to_end
  std::string kv_dtype;   ///< of attention rows, or "all"; empty for others
  std::string selection;  ///< which of these rows: "all", or e.g. "16-bit, group<=8"
  ErrorFigures figures;
};

/// One row beside its modelled time.
struct RowError {
  MeasuredRow row;
  std::string device;
  std::string architecture;
  std::string regime;
  double modelled_us = 0.0;
  bool impossible = false;  ///< faster than the memory's data sheet allows; in no figure
};

/// Which rows of a file take part, by their number in it from 0.
enum class RowChoice { kAll, kEven, kOdd };
/// all, even, odd. Throws Error(kUsage) for another name.
[[nodiscard]] RowChoice row_choice_from_name(std::string_view name);

/// Rows by where they come from; an empty string takes all. Names are compared without letter case.
struct RowFilter {
  RowChoice rows = RowChoice::kAll;
  std::string engine;  ///< with or without its version
  std::string engine_version;
  std::string kv_dtype;  ///< of attention rows; others pass
  /// The device whose rows these are, whatever they say themselves: an id or alias.
  std::string as_device;

  [[nodiscard]] bool takes(const MeasuredRow& row) const;
};

struct ValidationOptions {
  RowFilter filter;
  /// Instead of the built-in profiles: rows of other devices are left out as unknown.
  std::optional<HardwareProfile> profile;
  /// Judge rows of another engine than the profile was calibrated for, too.
  bool any_engine = false;
};

/// What was judged, and what not. JSON: kvsieve.validation/1 (docs/measured-data.md).
struct ValidationReport {
  /// One entry a (regime, device, engine, kv_dtype, op); pooled ones first.
  std::vector<RegimeError> regimes;
  /// Figures of parts of these rows: decode attention in 16 bits, and of it groups of 8 at most.
  std::vector<RegimeError> selections;
  /// Of all devices of an architecture, whose id stands for the device; engines pooled.
  std::vector<RegimeError> architectures;
  std::vector<RowError> rows;
  std::vector<UnknownName> unknown_devices;
  std::vector<UnknownName> unknown_models;
  /// Rows that the model refuses, by its reason: a batch whose cache fits no GPU, say.
  std::vector<UnknownName> refused;
  std::int64_t impossible_rows = 0;
  std::int64_t skipped_rows = 0;  ///< while reading
  std::vector<std::string> files;
};

/// Judges the model by the rows. Decode attention runs warm: a micro-benchmark reads one cache
/// again and again. End-to-end rows whose profile has no step overhead are modelled without one.
/// Throws Error(kUsage) if the profile was calibrated for another engine, version or cache type
/// than some row of its device, unless any_engine, and for an unknown `as_device`.
[[nodiscard]] ValidationReport validate(std::span<const MeasuredFile> files,
                                        const ValidationOptions& options = {});

[[nodiscard]] nlohmann::ordered_json to_json(const ValidationReport& report);

/// Figures of errors (order does not matter). Median and p95 are interpolated between neighbours.
[[nodiscard]] ErrorFigures error_figures(std::vector<double> errors);

/// The regime of a row, by its input and the data sheet alone: decode attention by its KV bytes
/// against L2, dense layers by FLOP a byte against the ridge of the roofline.
[[nodiscard]] std::string regime_of(const GpuSpec& gpu, const MeasuredRow& row);

/// KV bytes that a row of decode attention reads.
[[nodiscard]] double kv_bytes(const MeasuredRow& row);

/// Whether a row of the hbm regime reads its cache faster than the memory's data sheet.
[[nodiscard]] bool is_impossible(const GpuSpec& gpu, const MeasuredRow& row);

/// One row's modelled time on a profile, as `validate` computes it. Errors as end_to_end.
[[nodiscard]] double modelled_us(const HardwareProfile& profile, const MeasuredRow& row);

}  // namespace kvsieve::sim
