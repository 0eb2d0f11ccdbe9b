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
          {"preset_share", fit.preset_share},
          {"mape", fit.mape},
          {"median_error", fit.median_error},
          {"residuals", std::move(residuals)}};
}

/// Rows of `wholes` whole numbers and a ratio.
std::vector<std::pair<std::vector<std::int64_t>, double>> residual_rows(const JsonFields& fields,
                                                                        std::size_t wholes,
                                                                        std::string_view expected) {
  const ordered_json& rows = fields.raw("residuals");
  if (!rows.is_array()) {
    fields.fail("residuals", expected);
  }
  std::vector<std::pair<std::vector<std::int64_t>, double>> residuals;
  for (const ordered_json& row : rows) {
    const auto is_whole = [](const ordered_json& value) {
      return value.is_number_integer() && value >= 1 && value <= kLargest;
    };
    if (!row.is_array() || row.size() != wholes + 1 ||
        !std::all_of(row.begin(), row.end() - 1, is_whole) || !row.back().is_number() ||
        !(row.back().get<double>() > 0.0) || !(row.back().get<double>() < kLargestRatio)) {
      fields.fail("residuals", expected);
    }
    std::vector<std::int64_t> shape;
    std::transform(row.begin(), row.end() - 1, std::back_inserter(shape),
                   [](const ordered_json& value) { return value.get<std::int64_t>(); });
    residuals.emplace_back(std::move(shape), row.back().get<double>());
  }
  return residuals;
}

void read_attention(const JsonFields& fields, AttentionRegime regime, CalibrationRecord& record) {
  fields.allow_only({"rows", "floor_us", "unit_us", "us_per_gigabyte", "preset_share", "mape",
                     "median_error", "residuals"});
  AttentionFit& fit = record.attention[static_cast<std::size_t>(regime)];
  fit.rows = fields.integer("rows", 0, kLargest);
  fit.floor_us = non_negative(fields, "floor_us");
  fit.unit_us = non_negative(fields, "unit_us");
  fit.us_per_gigabyte = non_negative(fields, "us_per_gigabyte");
  fit.preset_share = non_negative(fields, "preset_share");
  fit.mape = non_negative(fields, "mape");
  fit.median_error = non_negative(fields, "median_error");
  if (fit.rows > 0 && fit.floor_us + fit.unit_us + fit.us_per_gigabyte + fit.preset_share <= 0.0) {
    fields.fail("floor_us", "some time, as the other coefficients are 0");
  }
  for (const auto& [shape, ratio] :
       residual_rows(fields, 4, "rows [q_heads, kv_heads, batch, context, measured / fitted]")) {
    record.residuals.push_back(
        make_residual(regime, shape[0], shape[1], shape[2], shape[3], ratio));
  }
}

ordered_json gemm_json(const CalibrationRecord& record) {
  ordered_json residuals = ordered_json::array();
  for (const GemmResidual& residual : record.gemm_residuals) {
    residuals.push_back({residual.m, residual.n, residual.k, residual.ratio});
  }
  return {{"rows", record.gemm.rows},           {"floor_us", record.gemm.floor_us},
          {"bandwidth", record.gemm.bandwidth}, {"flops", record.gemm.flops},
          {"mape", record.gemm.mape},           {"median_error", record.gemm.median_error},
          {"residuals", std::move(residuals)}};
}

void read_gemm(const JsonFields& fields, CalibrationRecord& record) {
  fields.allow_only(
      {"rows", "floor_us", "bandwidth", "flops", "mape", "median_error", "residuals"});
  GemmFit& fit = record.gemm;
  fit.rows = fields.integer("rows", 0, kLargest);
  fit.floor_us = non_negative(fields, "floor_us");
  fit.bandwidth = fit.rows > 0 ? fields.positive("bandwidth") : fields.number("bandwidth");
  fit.flops = fit.rows > 0 ? fields.positive("flops") : fields.number("flops");
  fit.mape = non_negative(fields, "mape");
  fit.median_error = non_negative(fields, "median_error");
  for (const auto& [shape, ratio] : residual_rows(fields, 3, "rows [m, n, k, measured / fitted]")) {
    record.gemm_residuals.push_back(make_residual(shape[0], shape[1], shape[2], ratio));
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

std::string_view regime_name(AttentionRegime regime) noexcept {
  switch (regime) {
    case AttentionRegime::kLaunch:
      return "attention-launch";
    case AttentionRegime::kL2:
      return "attention-l2";
    case AttentionRegime::kHbm:
      break;
  }
  return "attention-hbm";
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

GemmResidual make_residual(std::int64_t m, std::int64_t n, std::int64_t k, double ratio) noexcept {
  return {m,
          n,
          k,
          ratio,
          std::log2(static_cast<double>(m)),
          std::log2(static_cast<double>(n)),
          std::log2(static_cast<double>(k))};
}

bool operator<(const GemmResidual& a, const GemmResidual& b) noexcept {
  return std::tie(a.m, a.n, a.k, a.ratio) < std::tie(b.m, b.n, b.k, b.ratio);
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
          {"gemm", gemm_json(record)},
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
  read_gemm(fields.object("gemm"), record);
  std::sort(record.gemm_residuals.begin(), record.gemm_residuals.end());
  const JsonFields end_to_end = fields.object("end_to_end");
  end_to_end.allow_only({"rows", "step_overhead_us"});
  record.end_to_end_rows = end_to_end.integer("rows", 0, kLargest);
  record.step_overhead_us = non_negative(end_to_end, "step_overhead_us");
  return record;
}

}  // namespace kvsieve::sim
