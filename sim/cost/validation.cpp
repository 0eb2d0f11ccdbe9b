#include "kvsieve/sim/validation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <tuple>

#include "kvsieve/sim/end_to_end.h"
#include "kvsieve/sim/model_dimensions.h"
#include "kvsieve/sim/operation_time.h"
#include "kvsieve/traces/error.h"
#include "measured_device.h"

namespace kvsieve::sim {
namespace {

using nlohmann::ordered_json;

constexpr std::int64_t kSmallGroup = 8;
constexpr std::string_view kAll = "all";

DecodeAttentionShape shape_of(const MeasuredRow& row) {
  DecodeAttentionShape shape;
  shape.batch = static_cast<double>(row.batch);
  shape.q_heads = row.q_heads;
  shape.kv_heads = row.kv_heads;
  shape.head_dim = row.head_dim;
  shape.context = static_cast<double>(row.context);
  shape.element_bytes = element_bytes_of(row.kv_dtype);
  shape.warm = true;
  return shape;
}

double modelled_us(const HardwareProfile& profile, const OperationTimes& times,
                   const MeasuredRow& row) {
  switch (row.op) {
    case MeasuredOp::kGemm:
      return times.gemm_us(static_cast<double>(row.m), static_cast<double>(row.n),
                           static_cast<double>(row.k));
    case MeasuredOp::kEndToEnd:
      return end_to_end(profile, load_model(row.model), row.batch, row.context, row.output_tokens)
          .us;
    case MeasuredOp::kDecodeAttention:
      break;
  }
  return times.decode_attention_us(shape_of(row));
}

void check_engine(const HardwareProfile& profile, const MeasuredRow& row) {
  const CalibrationRecord& record = *profile.calibration;
  const bool same_engine =
      same_name(record.engine, row.engine) && same_name(record.engine_version, row.engine_version);
  const bool same_dtype = row.op != MeasuredOp::kDecodeAttention || record.kv_dtype.empty() ||
                          record.kv_dtype == row.kv_dtype;
  if (!same_engine || !same_dtype) {
    MeasuredRow fitted;
    fitted.engine = record.engine;
    fitted.engine_version = record.engine_version;
    throw Error(
        ErrorKind::kUsage,
        fmt::format("{} is calibrated for {} {}, but line {} was measured with {} {}", profile.id,
                    engine_of(fitted), record.kv_dtype, row.line, engine_of(row), row.kv_dtype),
        "choose its rows with --engine, --engine-version and --kv-dtype, or judge all with "
        "--any-engine");
  }
}

/// The devices that rows name, each with its times.
class Devices {
 public:
  struct Device {
    HardwareProfile profile;
    OperationTimes times;
  };

  explicit Devices(const ValidationOptions& options) : m_options(options) {}

  /// Null for a device that is not known or not asked for.
  [[nodiscard]] const Device* find(const std::string& gpu) {
    auto found = m_devices.find(gpu);
    if (found == m_devices.end()) {
      std::optional<Device> device;
      if (auto profile = measured_device(gpu, m_options.filter.as_device, m_options.profile)) {
        OperationTimes times(*profile);
        device = Device{*std::move(profile), std::move(times)};
      }
      found = m_devices.emplace(gpu, std::move(device)).first;
    }
    return found->second ? &*found->second : nullptr;
  }

 private:
  const ValidationOptions& m_options;
  std::map<std::string, std::optional<Device>> m_devices;
};

/// Errors of rows that go together, by (regime, device, engine, kv_dtype, op, selection).
class Groups {
 public:
  void add(const RowError& row, std::string_view device, const std::string& engine,
           std::string_view kv_dtype, std::string_view selection = kAll) {
    const std::string op(name_of(row.row.op));
    Key key{device != kAll,     selection != kAll, row.regime, device,
            lower_case(engine), kv_dtype,          op,         selection};
    Group& group = m_groups[key];
    group.engine = group.engine.empty() ? engine : group.engine;
    group.errors.push_back(row.modelled_us / row.row.latency_us - 1.0);
  }

  [[nodiscard]] std::vector<RegimeError> figures() const {
    std::vector<RegimeError> all;
    for (const auto& [key, group] : m_groups) {
      const auto& [single, part, regime, device, engine, kv_dtype, op, selection] = key;
      all.push_back(
          {regime, device, group.engine, op, kv_dtype, selection, error_figures(group.errors)});
    }
    return all;
  }

 private:
  using Key = std::tuple<bool, bool, std::string, std::string, std::string, std::string,
                         std::string, std::string>;
  struct Group {
    std::string engine;  ///< as the first row spells it
    std::vector<double> errors;
  };
  static std::string lower_case(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    return text;
  }
  std::map<Key, Group> m_groups;
};

void add_figures(ValidationReport& report) {
  Groups regimes;
  Groups selections;
  Groups architectures;
  for (const RowError& row : report.rows) {
    if (row.impossible) {
      continue;
    }
    const bool attention = row.row.op == MeasuredOp::kDecodeAttention;
    const std::string engine = engine_of(row.row);
    const std::string_view pooled_dtype = attention ? kAll : std::string_view();
    regimes.add(row, kAll, std::string(kAll), pooled_dtype);
    architectures.add(row, row.architecture, std::string(kAll), pooled_dtype);
    regimes.add(row, row.device, engine, row.row.kv_dtype);
    if (attention && element_bytes_of(row.row.kv_dtype) == 2) {
      selections.add(row, kAll, std::string(kAll), kAll, "16-bit");
      if (row.row.q_heads <= kSmallGroup * row.row.kv_heads) {
        selections.add(row, kAll, std::string(kAll), kAll, "16-bit, group<=8");
        selections.add(row, row.device, engine, row.row.kv_dtype, "16-bit, group<=8");
      }
    }
  }
  report.regimes = regimes.figures();
  report.selections = selections.figures();
  report.architectures = architectures.figures();
}

std::vector<UnknownName> counted_names(const std::map<std::string, std::int64_t>& counts) {
  std::vector<UnknownName> names;
  for (const auto& [name, rows] : counts) {
    names.push_back({name, rows});
  }
  return names;
}

ordered_json to_json(const RegimeError& error) {
  return {{"regime", error.regime},     {"device", error.device},
          {"engine", error.engine},     {"op", error.op},
          {"kv_dtype", error.kv_dtype}, {"selection", error.selection},
          {"n", error.figures.n},       {"median_error", error.figures.median_error},
          {"mape", error.figures.mape}, {"p95", error.figures.p95},
          {"bias", error.figures.bias}};
}

ordered_json to_json(const std::vector<RegimeError>& errors) {
  ordered_json json = ordered_json::array();
  for (const RegimeError& error : errors) {
    json.push_back(to_json(error));
  }
  return json;
}

ordered_json to_json(const std::vector<UnknownName>& names, const char* key) {
  ordered_json json = ordered_json::array();
  for (const UnknownName& name : names) {
    json.push_back({{key, name.name}, {"rows", name.rows}});
  }
  return json;
}

}  // namespace

RowChoice row_choice_from_name(std::string_view name) {
  if (name == "all") {
    return RowChoice::kAll;
  }
  if (name == "even" || name == "odd") {
    return name == "even" ? RowChoice::kEven : RowChoice::kOdd;
  }
  throw Error(ErrorKind::kUsage, fmt::format("rows '{}' are unknown", name),
              "supported: all, even, odd");
}

bool RowFilter::takes(const MeasuredRow& row) const {
  const bool even = row.number % 2 == 0;
  return (rows == RowChoice::kAll || even == (rows == RowChoice::kEven)) &&
         (engine.empty() || same_name(engine, row.engine) || same_name(engine, engine_of(row))) &&
         (engine_version.empty() || same_name(engine_version, row.engine_version)) &&
         (kv_dtype.empty() || row.op != MeasuredOp::kDecodeAttention ||
          same_name(kv_dtype, row.kv_dtype));
}

ErrorFigures error_figures(std::vector<double> errors) {
  ErrorFigures figures;
  figures.n = static_cast<std::int64_t>(errors.size());
  if (errors.empty()) {
    return figures;
  }
  const auto count = static_cast<double>(errors.size());
  std::sort(errors.begin(), errors.end());
  for (double& error : errors) {
    figures.bias += error / count;
    error = std::abs(error);
    figures.mape += error / count;
  }
  std::sort(errors.begin(), errors.end());
  const auto quantile = [&](double share) {
    const double place = share * (count - 1.0);
    const auto below = static_cast<std::size_t>(place);
    const std::size_t above = std::min(below + 1, errors.size() - 1);
    return errors[below] + (place - std::floor(place)) * (errors[above] - errors[below]);
  };
  figures.median_error = quantile(0.5);
  figures.p95 = quantile(0.95);
  return figures;
}

std::string regime_of(const GpuSpec& gpu, const MeasuredRow& row) {
  if (row.op == MeasuredOp::kEndToEnd) {
    return "end-to-end";
  }
  if (row.op == MeasuredOp::kDecodeAttention) {
    return std::string(regime_name(attention_regime(kv_bytes(row), gpu.l2_bytes.value)));
  }
  const auto m = static_cast<double>(row.m);
  const auto n = static_cast<double>(row.n);
  const auto k = static_cast<double>(row.k);
  const double intensity = 2.0 * m * n * k / (2.0 * (n * k + m * (n + k)));
  const double ridge = gpu.bf16_tflops.value * 1e3 / gpu.memory_gbps.value;
  return intensity < ridge ? "gemm-memory" : "gemm-compute";
}

double kv_bytes(const MeasuredRow& row) {
  return shape_of(row).kv_bytes();
}

bool is_impossible(const GpuSpec& gpu, const MeasuredRow& row) {
  if (row.op != MeasuredOp::kDecodeAttention) {
    return false;
  }
  const double kv = kv_bytes(row);
  return attention_regime(kv, gpu.l2_bytes.value) == AttentionRegime::kHbm &&
         kv / row.latency_us > gpu.memory_gbps.value * 1e3;
}

double modelled_us(const HardwareProfile& profile, const MeasuredRow& row) {
  return modelled_us(profile, OperationTimes(profile), row);
}

ValidationReport validate(std::span<const MeasuredFile> files, const ValidationOptions& options) {
  ValidationReport report;
  Devices devices(options);
  std::map<std::string, std::int64_t> unknown_devices;
  std::map<std::string, std::int64_t> unknown_models;
  std::map<std::string, std::int64_t> refused;
  for (const MeasuredFile& file : files) {
    report.files.push_back(file.name);
    report.skipped_rows += file.skipped_rows;
    for (const UnknownName& model : file.unknown_models) {
      unknown_models[model.name] += model.rows;
    }
    for (const MeasuredRow& row : file.rows) {
      if (!options.filter.takes(row)) {
        continue;
      }
      const Devices::Device* device = devices.find(row.gpu);
      if (device == nullptr) {
        ++unknown_devices[row.gpu];
        continue;
      }
      if (device->profile.calibration && !options.any_engine) {
        check_engine(device->profile, row);
      }
      RowError error{row, device->profile.id, device->profile.architecture.id,
                     regime_of(device->profile.gpu, row)};
      error.impossible = is_impossible(device->profile.gpu, row);
      report.impossible_rows += error.impossible ? 1 : 0;
      try {
        error.modelled_us = modelled_us(device->profile, device->times, row);
      } catch (const Error& reason) {
        ++refused[reason.what()];
        continue;
      }
      report.rows.push_back(std::move(error));
    }
  }
  report.unknown_devices = counted_names(unknown_devices);
  report.unknown_models = counted_names(unknown_models);
  report.refused = counted_names(refused);
  add_figures(report);
  return report;
}

ordered_json to_json(const ValidationReport& report) {
  ordered_json impossible = ordered_json::array();
  for (const RowError& row : report.rows) {
    if (row.impossible) {
      impossible.push_back({{"device", row.device},
                            {"engine", engine_of(row.row)},
                            {"line", row.row.line},
                            {"batch", row.row.batch},
                            {"q_heads", row.row.q_heads},
                            {"kv_heads", row.row.kv_heads},
                            {"context", row.row.context},
                            {"kv_dtype", row.row.kv_dtype},
                            {"latency_us", row.row.latency_us}});
    }
  }
  return {{"schema", "kvsieve.validation/1"},
          {"files", report.files},
          {"regimes", to_json(report.regimes)},
          {"selections", to_json(report.selections)},
          {"architectures", to_json(report.architectures)},
          {"impossible_rows", report.impossible_rows},
          {"impossible", std::move(impossible)},
          {"skipped_rows", report.skipped_rows},
          {"unknown_devices", to_json(report.unknown_devices, "gpu")},
          {"unknown_models", to_json(report.unknown_models, "model")},
          {"refused", to_json(report.refused, "reason")}};
}

}  // namespace kvsieve::sim
