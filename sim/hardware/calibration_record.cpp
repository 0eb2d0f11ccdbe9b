#include "kvsieve/sim/calibration_record.h"

#include <nlohmann/json.hpp>

#include "kvsieve/traces/json_fields.h"
#include "replay/named_values.h"

namespace kvsieve::sim {
namespace {

using nlohmann::ordered_json;
using traces::JsonFields;

constexpr NamedValues<AttentionRegime, kAttentionRegimes> kRegimeNames{
    "attention regime",
    {{{"launch", AttentionRegime::kLaunch},
      {"l2", AttentionRegime::kL2},
      {"hbm", AttentionRegime::kHbm}}}};

double non_negative(const JsonFields& fields, std::string_view key) {
  const double value = fields.number(key);
  if (value < 0.0) {
    fields.fail(key, "0 or more");
  }
  return value;
}

std::int64_t count(const JsonFields& fields, std::string_view key) {
  return fields.integer(key, 0, INT64_MAX);
}

ordered_json to_json(const AttentionFit& fit) {
  return {{"floor_us", fit.floor_us},
          {"unit_us", fit.unit_us},
          {"us_per_gigabyte", fit.us_per_gigabyte},
          {"rows", fit.rows},
          {"mape", fit.mape},
          {"median_error", fit.median_error}};
}

AttentionFit attention_from_json(const JsonFields& fields) {
  fields.allow_only({"floor_us", "unit_us", "us_per_gigabyte", "rows", "mape", "median_error"});
  AttentionFit fit;
  fit.floor_us = non_negative(fields, "floor_us");
  fit.unit_us = non_negative(fields, "unit_us");
  fit.us_per_gigabyte = non_negative(fields, "us_per_gigabyte");
  fit.rows = count(fields, "rows");
  fit.mape = non_negative(fields, "mape");
  fit.median_error = non_negative(fields, "median_error");
  return fit;
}

ordered_json to_json(const AttentionResidual& residual) {
  return {{"regime", name_of(residual.regime)},    {"q_heads", residual.q_heads},
          {"kv_heads", residual.kv_heads},         {"log2_batch", residual.log2_batch},
          {"log2_context", residual.log2_context}, {"ratio", residual.ratio}};
}

AttentionResidual residual_from_json(const JsonFields& fields) {
  fields.allow_only({"regime", "q_heads", "kv_heads", "log2_batch", "log2_context", "ratio"});
  AttentionResidual residual;
  const std::string regime = fields.string("regime");
  residual.regime = AttentionRegime::kHbm;
  if (regime == name_of(AttentionRegime::kLaunch)) {
    residual.regime = AttentionRegime::kLaunch;
  } else if (regime == name_of(AttentionRegime::kL2)) {
    residual.regime = AttentionRegime::kL2;
  } else if (regime != name_of(AttentionRegime::kHbm)) {
    fields.fail("regime", "launch, l2 or hbm");
  }
  residual.q_heads = static_cast<std::int32_t>(fields.integer("q_heads", 1, INT32_MAX));
  residual.kv_heads = static_cast<std::int32_t>(fields.integer("kv_heads", 1, INT32_MAX));
  residual.log2_batch = fields.number("log2_batch");
  residual.log2_context = fields.number("log2_context");
  residual.ratio = fields.positive("ratio");
  return residual;
}

ordered_json to_json(const GemmFit& fit) {
  return {{"floor_us", fit.floor_us},
          {"bandwidth", fit.bandwidth},
          {"flops", fit.flops},
          {"rows", fit.rows},
          {"mape", fit.mape}};
}

GemmFit gemm_from_json(const JsonFields& fields) {
  fields.allow_only({"floor_us", "bandwidth", "flops", "rows", "mape"});
  GemmFit fit;
  fit.floor_us = non_negative(fields, "floor_us");
  fit.bandwidth = non_negative(fields, "bandwidth");
  fit.flops = non_negative(fields, "flops");
  fit.rows = count(fields, "rows");
  fit.mape = non_negative(fields, "mape");
  return fit;
}

}  // namespace

std::string_view name_of(AttentionRegime regime) noexcept {
  return kRegimeNames.name(regime);
}

AttentionRegime attention_regime(double kv_bytes, double l2_bytes) noexcept {
  if (kv_bytes > 2.0 * l2_bytes) {
    return AttentionRegime::kHbm;
  }
  return kv_bytes > l2_bytes / 4.0 ? AttentionRegime::kL2 : AttentionRegime::kLaunch;
}

ordered_json to_json(const CalibrationRecord& record) {
  ordered_json attention = ordered_json::object();
  for (const auto& [name, regime] : kRegimeNames.entries) {
    attention[std::string(name)] = to_json(record.attention[static_cast<std::size_t>(regime)]);
  }
  ordered_json residuals = ordered_json::array();
  for (const AttentionResidual& residual : record.residuals) {
    residuals.push_back(to_json(residual));
  }
  return {{"engine", record.engine},
          {"engine_version", record.engine_version},
          {"kv_dtype", record.kv_dtype},
          {"date", record.date},
          {"rows_file", record.rows_file},
          {"rows_hash", record.rows_hash},
          {"attention", std::move(attention)},
          {"residuals", std::move(residuals)},
          {"gemm", to_json(record.gemm)},
          {"step_overhead_us", record.step_overhead_us},
          {"end_to_end_rows", record.end_to_end_rows},
          {"flagged_rows", record.flagged_rows}};
}

CalibrationRecord calibration_from_json(const ordered_json& json) {
  const JsonFields fields(json, "calibration");
  fields.allow_only({"engine", "engine_version", "kv_dtype", "date", "rows_file", "rows_hash",
                     "attention", "residuals", "gemm", "step_overhead_us", "end_to_end_rows",
                     "flagged_rows"});
  CalibrationRecord record;
  record.engine = fields.string("engine");
  record.engine_version = fields.string("engine_version");
  record.kv_dtype = fields.string("kv_dtype");
  record.date = fields.string("date");
  record.rows_file = fields.string("rows_file");
  record.rows_hash = fields.string("rows_hash");
  const JsonFields attention = fields.object("attention");
  std::vector<std::string> regimes;
  for (const auto& [name, regime] : kRegimeNames.entries) {
    regimes.emplace_back(name);
    record.attention[static_cast<std::size_t>(regime)] =
        attention_from_json(attention.object(name));
  }
  attention.allow_only(regimes);
  for (const JsonFields& residual : fields.objects("residuals")) {
    record.residuals.push_back(residual_from_json(residual));
  }
  record.gemm = gemm_from_json(fields.object("gemm"));
  record.step_overhead_us = non_negative(fields, "step_overhead_us");
  record.end_to_end_rows = count(fields, "end_to_end_rows");
  record.flagged_rows = count(fields, "flagged_rows");
  return record;
}

}  // namespace kvsieve::sim
