#include "kvsieve/sim/accuracy.h"

#include <fmt/format.h>

#include <algorithm>

#include "hardware/built_in_data.h"

namespace kvsieve::sim {
namespace {

/// One line of accuracy.json, which docs/accuracy.py writes.
struct Entry {
  std::string regime;
  std::string architecture;  ///< or "all"
  ErrorBand band;
};

std::vector<Entry> read_entries() {
  constexpr std::string_view kPath = "accuracy.json";
  std::vector<Entry> entries;
  for (const BuiltInFile& file : built_in_files()) {
    if (file.path != kPath) {
      continue;
    }
    const nlohmann::ordered_json json = traces::parse_json(file.text, kPath);
    for (const nlohmann::ordered_json& item : json.at("regimes")) {
      const traces::JsonFields fields(item, "regimes");
      Entry& entry = entries.emplace_back();
      entry.regime = fields.string("regime");
      entry.architecture = fields.string("architecture");
      entry.band.median_error = fields.number("median_error");
      entry.band.p95 = fields.number("p95");
      entry.band.bias = fields.number("bias");
      entry.band.n = fields.integer("n", 1, std::int64_t{1} << 40);
      entry.band.scope = entry.architecture == "all"
                             ? "all devices with rows"
                             : fmt::format("architecture {}", entry.architecture);
    }
  }
  return entries;
}

/// The band of what a profile was calibrated on, judged with each row left out.
std::optional<ErrorBand> calibrated_band(const HardwareProfile& profile, std::string_view regime) {
  if (!profile.calibration) {
    return std::nullopt;
  }
  const CalibrationRecord& record = *profile.calibration;
  const std::string scope =
      fmt::format("calibrated on {} {}", record.engine, record.engine_version);
  for (std::size_t r = 0; r < kAttentionRegimes; ++r) {
    const AttentionFit& fit = record.attention[r];
    if (fit.rows > 0 && regime == regime_name(static_cast<AttentionRegime>(r))) {
      return ErrorBand{fit.median_error, std::nullopt, std::nullopt, fit.rows, scope};
    }
  }
  if (record.gemm.rows > 0 && regime.starts_with("gemm-")) {
    return ErrorBand{record.gemm.mape, std::nullopt, std::nullopt, record.gemm.rows, scope};
  }
  return std::nullopt;
}

}  // namespace

std::optional<ErrorBand> error_band(const HardwareProfile& profile, std::string_view regime) {
  static const std::vector<Entry> entries = read_entries();
  if (const auto band = calibrated_band(profile, regime)) {
    return band;
  }
  for (const std::string_view architecture :
       {std::string_view(profile.architecture.id), std::string_view("all")}) {
    const auto found = std::find_if(entries.begin(), entries.end(), [&](const Entry& entry) {
      return entry.regime == regime && entry.architecture == architecture;
    });
    if (found != entries.end()) {
      return found->band;
    }
  }
  return std::nullopt;
}

}  // namespace kvsieve::sim
