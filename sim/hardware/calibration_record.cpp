#include "kvsieve/sim/calibration_record.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <tuple>

#include "kvsieve/traces/error.h"
#include "kvsieve/traces/json_fields.h"

namespace kvsieve::sim {
namespace {

using nlohmann::ordered_json;
using traces::JsonFields;

constexpr std::int64_t kLargest = std::int64_t{1} << 40;
constexpr double kLargestRatio = 1e6;
constexpr std::array kRegimes{AttentionRegime::kLaunch, AttentionRegime::kL2,
                              AttentionRegime::kHbm};

double non_negative(const JsonFields& fields, std::string_view key) {
  const double value = fields.number(key);
  if (value < 0.0) {
    fields.fail(key, "0 or more");
  }
  return value;
}

ordered_json attention_json(const CalibrationRecord& record, AttentionRegime regime) {
  const AttentionFit& fit = record.attention[static_cast<std::size_t>(regime)];
  ordered_json residuals = ordered_json::array();
  for (const AttentionResidual& residual : record.residuals) {
    if (residual.regime == regime) {
      residuals.push_back(
          {residual.q_heads, residual.kv_heads, residual.batch, residual.context, residual.ratio});
    }
  }
  return {{"rows", fit.rows},
          {"floor_us", fit.floor_us},
          {"unit_us", fit.unit_us},
          {"us_per_gigabyte", fit.us_per_gigabyte},
          {"mape", fit.mape},
          {"median_error", fit.median_error},
          {"residuals", std::move(residuals)}};
}

AttentionResidual residual_from_json(const JsonFields& fields, AttentionRegime regime,
                                     const ordered_json& values) {
  const auto whole = [&](std::size_t i) {
    return values[i].is_number_integer() && values[i] >= 1 && values[i] <= kLargest;
  };
  if (!values.is_array() || values.size() != 5 || !whole(0) || !whole(1) || !whole(2) ||
      !whole(3) || !values[4].is_number() || !(values[4].get<double>() > 0.0) ||
      !(values[4].get<double>() < kLargestRatio)) {
    fields.fail("residuals", "rows [q_heads, kv_heads, batch, context, measured / fitted]");
  }
  return make_residual(regime, values[0], values[1], values[2], values[3], values[4]);
}

void read_attention(const JsonFields& fields, AttentionRegime regime, CalibrationRecord& record) {
  fields.allow_only(
      {"rows", "floor_us", "unit_us", "us_per_gigabyte", "mape", "median_error", "residuals"});
  AttentionFit& fit = record.attention[static_cast<std::size_t>(regime)];
  fit.rows = fields.integer("rows", 0, kLargest);
  fit.floor_us = non_negative(fields, "floor_us");
  fit.unit_us = non_negative(fields, "unit_us");
  fit.us_per_gigabyte = non_negative(fields, "us_per_gigabyte");
  fit.mape = non_negative(fields, "mape");
  fit.median_error = non_negative(fields, "median_error");
  if (fit.rows > 0 && fit.floor_us + fit.unit_us + fit.us_per_gigabyte <= 0.0) {
    fields.fail("floor_us", "some time, as unit_us and us_per_gigabyte are 0");
  }
  const ordered_json& residuals = fields.raw("residuals");
  if (!residuals.is_array()) {
    fields.fail("residuals", "an array");
  }
  for (const ordered_json& values : residuals) {
    record.residuals.push_back(residual_from_json(fields, regime, values));
  }
}

}  // namespace

std::string_view name_of(AttentionRegime regime) noexcept {
  switch (regime) {
    case AttentionRegime::kLaunch:
      return "launch";
    case AttentionRegime::kL2:
      return "l2";
    case AttentionRegime::kHbm:
      break;
  }
  return "hbm";
}

AttentionRegime attention_regime(double kv_bytes, double l2_bytes) noexcept {
  return kv_bytes <= l2_bytes / 4.0   ? AttentionRegime::kLaunch
         : kv_bytes <= 2.0 * l2_bytes ? AttentionRegime::kL2
                                      : AttentionRegime::kHbm;
}

AttentionResidual make_residual(AttentionRegime regime, std::int64_t q_heads, std::int64_t kv_heads,
                                std::int64_t batch, std::int64_t context, double ratio) noexcept {
  AttentionResidual residual{regime, q_heads, kv_heads, batch, context, ratio};
  residual.group = static_cast<double>(q_heads) / static_cast<double>(kv_heads);
  residual.log2_units = std::log2(static_cast<double>(batch) * static_cast<double>(kv_heads));
  residual.log2_context = std::log2(static_cast<double>(context));
  residual.log2_kv_heads = std::log2(static_cast<double>(kv_heads));
  return residual;
}

bool operator<(const AttentionResidual& a, const AttentionResidual& b) noexcept {
  const auto key = [](const AttentionResidual& r) {
    return std::tuple(r.regime, r.group, r.log2_units, r.context, r.kv_heads, r.ratio);
  };
  return key(a) < key(b);
}

ordered_json to_json(const CalibrationRecord& record) {
  ordered_json attention = ordered_json::object();
  for (const AttentionRegime regime : kRegimes) {
    attention[std::string(name_of(regime))] = attention_json(record, regime);
  }
  return {{"engine", record.engine},
          {"engine_version", record.engine_version},
          {"kv_dtype", record.kv_dtype},
          {"date", record.date},
          {"rows_file", record.rows_file},
          {"rows_hash", record.rows_hash},
          {"flagged_rows", record.flagged_rows},
          {"outlier_rows", record.outlier_rows},
          {"attention", std::move(attention)},
          {"gemm",
           {{"rows", record.gemm.rows},
            {"floor_us", record.gemm.floor_us},
            {"bandwidth", record.gemm.bandwidth},
            {"flops", record.gemm.flops},
            {"mape", record.gemm.mape}}},
          {"end_to_end",
           {{"rows", record.end_to_end_rows}, {"step_overhead_us", record.step_overhead_us}}}};
}

CalibrationRecord calibration_from_json(const ordered_json& json) {
  const JsonFields fields(json, "calibration");
  fields.allow_only({"engine", "engine_version", "kv_dtype", "date", "rows_file", "rows_hash",
                     "flagged_rows", "outlier_rows", "attention", "gemm", "end_to_end"});
  CalibrationRecord record;
  record.engine = fields.string("engine");
  record.engine_version = fields.string("engine_version");
  record.kv_dtype = fields.string("kv_dtype");
  record.date = fields.string("date");
  record.rows_file = fields.string("rows_file");
  record.rows_hash = fields.string("rows_hash");
  record.flagged_rows = fields.integer("flagged_rows", 0, kLargest);
  record.outlier_rows = fields.integer("outlier_rows", 0, kLargest);
  const JsonFields attention = fields.object("attention");
  attention.allow_only({"launch", "l2", "hbm"});
  for (const AttentionRegime regime : kRegimes) {
    read_attention(attention.object(name_of(regime)), regime, record);
  }
  std::sort(record.residuals.begin(), record.residuals.end());
  const JsonFields gemm = fields.object("gemm");
  gemm.allow_only({"rows", "floor_us", "bandwidth", "flops", "mape"});
  record.gemm.rows = gemm.integer("rows", 0, kLargest);
  record.gemm.floor_us = non_negative(gemm, "floor_us");
  record.gemm.bandwidth =
      record.gemm.rows > 0 ? gemm.positive("bandwidth") : gemm.number("bandwidth");
  record.gemm.flops = record.gemm.rows > 0 ? gemm.positive("flops") : gemm.number("flops");
  record.gemm.mape = non_negative(gemm, "mape");
  const JsonFields end_to_end = fields.object("end_to_end");
  end_to_end.allow_only({"rows", "step_overhead_us"});
  record.end_to_end_rows = end_to_end.integer("rows", 0, kLargest);
  record.step_overhead_us = non_negative(end_to_end, "step_overhead_us");
  return record;
}

}  // namespace kvsieve::sim
