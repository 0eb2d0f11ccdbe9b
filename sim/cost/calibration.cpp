#include "kvsieve/sim/calibration.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "kvsieve/sim/end_to_end.h"
#include "kvsieve/sim/model_dimensions.h"
#include "kvsieve/sim/operation_time.h"
#include "kvsieve/traces/error.h"
#include "least_relative_error.h"
#include "measured_device.h"

namespace kvsieve::sim {
namespace {

constexpr std::size_t kFewestRows = 4;
/// Neighbours lie nearer than this in doublings of the shape.
constexpr double kReach = 2.0;
/// Nearer than about this a neighbour counts in full.
constexpr double kNear = 0.5;
/// Weight of a ratio of 1 among the neighbours.
constexpr double kPrior = 0.02;
/// A row that is this many times off the median of its nearest neighbours is an outlier: public
/// tables hold single ones of 5-10x.
constexpr double kOutlier = 3.0;
constexpr std::size_t kOutlierNeighbours = 6;
constexpr std::size_t kFewestNeighbours = 3;
constexpr double kSurroundingsWeight = 0.02;

double squared(double x) {
  return x * x;
}

double squared_distance(const AttentionResidual& a, const AttentionResidual& b) {
  return squared(a.log2_units - b.log2_units) + squared(a.log2_context - b.log2_context) +
         squared(a.log2_kv_heads - b.log2_kv_heads);
}

double squared_distance(const GemmResidual& a, const GemmResidual& b) {
  return squared(a.log2_m - b.log2_m) + squared(a.log2_n - b.log2_n) + squared(a.log2_k - b.log2_k);
}

bool can_be_neighbours(const AttentionResidual& a, const AttentionResidual& b) {
  return a.regime == b.regime && a.group == b.group;
}

bool can_be_neighbours(const GemmResidual&, const GemmResidual&) {
  return true;
}

/// The coordinate by which those that can be neighbours are ordered.
double& place(AttentionResidual& residual) {
  return residual.log2_units;
}
double& place(GemmResidual& residual) {
  return residual.log2_m;
}

bool comes_before(const AttentionResidual& a, const AttentionResidual& b) {
  return a.regime != b.regime ? a.regime < b.regime
         : a.group != b.group ? a.group < b.group
                              : a.log2_units < b.log2_units;
}

bool comes_before(const GemmResidual& a, const GemmResidual& b) {
  return a.log2_m < b.log2_m;
}

/// The mean ratio of the neighbours of `at`, with the residual at `left_out` taken for absent.
template <class Residual>
double correction(const std::vector<Residual>& residuals, const Residual& at,
                  const Residual* left_out) noexcept {
  Residual first = at;
  place(first) -= kReach;
  Residual last = at;
  place(last) += kReach;
  double weights = kPrior;
  double sum = kPrior;
  for (auto it =
           std::lower_bound(residuals.begin(), residuals.end(), first,
                            [](const Residual&a, const Residual&b) { return comes_before(a, b); });
       it != residuals.end() && comes_before(*it, last); ++it) {
    const double distance = squared_distance(*it, at);
    const double inside = 1.0 - distance / (kReach * kReach);
    if (inside > 0.0 && &*it != left_out) {
      const double weight = inside * inside / (1.0 + distance / (kNear * kNear));
      weights += weight;
      sum += weight * it->ratio;
    }
  }
  return sum / weights;
}

/// Whether the residual at `index` is far from what its nearest neighbours agree on.
template <class Residual>
bool is_outlier(const std::vector<Residual>& residuals, std::size_t index) {
  const Residual& one = residuals[index];
  std::vector<std::pair<double, double>> near;  // squared distance, ratio
  for (std::size_t i = 0; i < residuals.size(); ++i) {
    if (i != index && can_be_neighbours(residuals[i], one)) {
      near.emplace_back(squared_distance(one, residuals[i]), residuals[i].ratio);
    }
  }
  if (near.size() < kFewestNeighbours) {
    return false;
  }
  const std::size_t count = std::min(near.size(), kOutlierNeighbours);
  std::partial_sort(near.begin(), near.begin() + static_cast<std::ptrdiff_t>(count), near.end());
  std::vector<double> ratios;
  for (std::size_t i = 0; i < count; ++i) {
    ratios.push_back(near[i].second);
  }
  std::sort(ratios.begin(), ratios.end());
  const double median = 0.5 * (ratios[(count - 1) / 2] + ratios[count / 2]);
  return one.ratio > kOutlier * median || one.ratio * kOutlier < median;
}

/// Sorted, without outliers; adds how many those were.
template <class Residual>
std::vector<Residual> without_outliers(std::vector<Residual> all, std::int64_t& outliers) {
  std::sort(all.begin(), all.end());
  std::vector<Residual> kept;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (is_outlier(all, i)) {
      ++outliers;
    } else {
      kept.push_back(all[i]);
    }
  }
  return kept;
}

/// Errors of a fit on the rows behind `residuals`, each corrected by the others.
template <class Fit, class Residual>
void judge_fit(Fit& fit, const std::vector<Residual>& residuals) {
  std::vector<double> errors;
  for (const Residual& residual : residuals) {
    errors.push_back(correction(residuals, residual, &residual) / residual.ratio - 1.0);
  }
  const ErrorFigures figures = error_figures(std::move(errors));
  fit.mape = figures.mape;
  fit.median_error = figures.median_error;
}

/// What one unit of each coefficient adds to a row's time. In the hbm regime the preset is a line
/// in the other terms.
LinearTerms fit_terms(const HardwareProfile& preset, const MeasuredRow& row) {
  const double kv = kv_bytes(row);
  const bool hbm = attention_regime(kv, preset.gpu.l2_bytes.value) == AttentionRegime::kHbm;
  return {1.0, static_cast<double>(row.batch * row.kv_heads) / preset.gpu.sms.value, kv * 1e-9,
          hbm ? 0.0 : modelled_us(preset, row)};
}

/// The shapes half and twice a row's batch and context that are of its regime, with the time that
/// the preset gives them relative to it. Where rows do not tell terms apart, because all read as
/// many bytes, say, these do; they weigh too little to count where rows do.
void add_surroundings(const HardwareProfile& preset, const MeasuredRow& row,
                      std::vector<LinearRow>& rows) {
  const std::string regime = regime_of(preset.gpu, row);
  const double ratio = row.latency_us / modelled_us(preset, row);
  const auto add = [&](std::int64_t batch, std::int64_t context) {
    MeasuredRow near = row;
    near.batch = batch;
    near.context = context;
    if (batch > 0 && context > 0 && regime_of(preset.gpu, near) == regime) {
      rows.push_back(
          {fit_terms(preset, near), ratio * modelled_us(preset, near), kSurroundingsWeight});
    }
  };
  add(row.batch * 2, row.context);
  add(row.batch / 2, row.context);
  add(row.batch, row.context * 2);
  add(row.batch, row.context / 2);
}

AttentionFit fit_attention(const HardwareProfile& preset, const std::vector<MeasuredRow>& rows) {
  std::vector<LinearRow> linear;
  for (const MeasuredRow& row : rows) {
    linear.push_back({fit_terms(preset, row), row.latency_us});
    add_surroundings(preset, row, linear);
  }
  const LinearTerms x = fit_least_relative_error(linear);
  return {.floor_us = x[0],
          .unit_us = x[1],
          .us_per_gigabyte = x[2],
          .preset_share = x[3],
          .rows = static_cast<std::int64_t>(rows.size())};
}

double fitted_us(const HardwareProfile& preset, const AttentionFit& fit, const MeasuredRow& row) {
  const LinearTerms terms = fit_terms(preset, row);
  return fit.floor_us * terms[0] + fit.unit_us * terms[1] + fit.us_per_gigabyte * terms[2] +
         fit.preset_share * terms[3];
}

void calibrate_regime(const HardwareProfile& profile, AttentionRegime regime,
                      const std::vector<MeasuredRow>& rows, CalibrationRecord& record) {
  AttentionFit& fit = record.attention[static_cast<std::size_t>(regime)];
  fit = fit_attention(profile, rows);
  std::vector<AttentionResidual> all;
  for (const MeasuredRow& row : rows) {
    all.push_back(make_residual(regime, row.q_heads, row.kv_heads, row.batch, row.context,
                                row.latency_us / fitted_us(profile, fit, row)));
  }
  const std::vector<AttentionResidual> kept = without_outliers(std::move(all), record.outlier_rows);
  judge_fit(fit, kept);
  record.residuals.insert(record.residuals.end(), kept.begin(), kept.end());
}

double gemm_us(const OperationTimes& times, const MeasuredRow& row) {
  return times.gemm_us(static_cast<double>(row.m), static_cast<double>(row.n),
                       static_cast<double>(row.k));
}

void calibrate_gemm(HardwareProfile profile, const std::vector<MeasuredRow>& rows,
                    CalibrationRecord& record) {
  profile.calibration.emplace();
  GemmFit& fit = profile.calibration->gemm;
  const auto mean_error = [&](const std::array<double, 3>& x) {
    if (x[0] < 0.0) {
      return std::numeric_limits<double>::max();
    }
    fit = {.floor_us = x[0],
           .bandwidth = std::exp(x[1]),
           .flops = std::exp(x[2]),
           .rows = static_cast<std::int64_t>(rows.size())};
    const OperationTimes times(profile);
    double sum = 0.0;
    for (const MeasuredRow& row : rows) {
      sum += std::abs(gemm_us(times, row) / row.latency_us - 1.0);
    }
    return sum / static_cast<double>(rows.size());
  };
  const Architecture& arch = profile.architecture;
  const std::array<double, 3> best =
      simplex_minimum(mean_error,
                      {arch.gemm_floor_us.value, std::log(arch.gemm_bandwidth.value),
                       std::log(arch.gemm_flops.value)},
                      {2.0, 0.2, 0.2});
  static_cast<void>(mean_error(best));
  const OperationTimes times(profile);
  std::vector<GemmResidual> all;
  for (const MeasuredRow& row : rows) {
    all.push_back(make_residual(row.m, row.n, row.k, row.latency_us / gemm_us(times, row)));
  }
  record.gemm_residuals = without_outliers(std::move(all), record.outlier_rows);
  judge_fit(fit, record.gemm_residuals);
  record.gemm = fit;
}

double fit_step_overhead(const HardwareProfile& profile, const std::vector<MeasuredRow>& rows) {
  std::vector<ShiftRow> shifts;
  for (const MeasuredRow& row : rows) {
    const EndToEndTime time =
        end_to_end(profile, load_model(row.model), row.batch, row.context, row.output_tokens);
    shifts.push_back({time.us, time.steps, row.latency_us});
  }
  return fit_least_relative_error(shifts);
}

/// Throws unless the rows have one engine, version and cache type.
void check_unique(const std::vector<MeasuredRow>& rows) {
  std::set<std::string> engines;
  std::set<std::string> dtypes;
  bool same_engine = true;
  for (const MeasuredRow& row : rows) {
    same_engine = same_engine && same_name(row.engine, rows[0].engine) &&
                  same_name(row.engine_version, rows[0].engine_version);
    engines.insert(engine_of(row));
    if (row.op == MeasuredOp::kDecodeAttention) {
      dtypes.insert(row.kv_dtype);
    }
  }
  if (!same_engine) {
    throw Error(ErrorKind::kUsage,
                fmt::format("the rows have several engines: {}", fmt::join(engines, ", ")),
                "choose one with --engine and --engine-version");
  }
  if (dtypes.size() > 1) {
    throw Error(ErrorKind::kUsage,
                fmt::format("the rows have several cache types: {}", fmt::join(dtypes, ", ")),
                "choose one with --kv-dtype");
  }
}

}  // namespace

HardwareProfile calibrate(HardwareProfile profile, std::span<const MeasuredFile> files,
                          const CalibrationOptions& options) {
  profile.calibration.reset();
  CalibrationRecord record;
  std::vector<MeasuredRow> rows;
  std::map<std::string, bool> of_device;  // by the GPU that rows name
  for (const MeasuredFile& file : files) {
    for (const MeasuredRow& row : file.rows) {
      const auto [named, added] = of_device.try_emplace(row.gpu, false);
      if (added) {
        named->second = measured_device(row.gpu, options.filter.as_device, profile).has_value();
      }
      if (named->second && options.filter.takes(row)) {
        rows.push_back(row);
      }
    }
    record.rows_file += (record.rows_file.empty() ? "" : ", ") + file.name;
    record.rows_hash += (record.rows_hash.empty() ? "" : ", ") + file.hash;
  }
  if (rows.empty()) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("{}: no such rows of {}", record.rows_file, profile.id),
                "`kvsieve validate` lists devices and engines of a file");
  }
  check_unique(rows);
  record.engine = rows[0].engine;
  record.engine_version = rows[0].engine_version;
  record.date = options.date;
  std::array<std::vector<MeasuredRow>, kAttentionRegimes> attention;
  std::vector<MeasuredRow> gemm;
  std::vector<MeasuredRow> end_to_end_rows;
  for (MeasuredRow& row : rows) {
    if (is_impossible(profile.gpu, row)) {
      ++record.flagged_rows;
    } else if (row.op == MeasuredOp::kDecodeAttention) {
      record.kv_dtype = row.kv_dtype;
      attention[static_cast<std::size_t>(
                    attention_regime(kv_bytes(row), profile.gpu.l2_bytes.value))]
          .push_back(std::move(row));
    } else {
      (row.op == MeasuredOp::kGemm ? gemm : end_to_end_rows).push_back(std::move(row));
    }
  }
  bool fitted = false;
  for (const AttentionRegime regime :
       {AttentionRegime::kLaunch, AttentionRegime::kL2, AttentionRegime::kHbm}) {
    const std::vector<MeasuredRow>& of_regime = attention[static_cast<std::size_t>(regime)];
    if (of_regime.size() >= kFewestRows) {
      calibrate_regime(profile, regime, of_regime, record);
      fitted = true;
    }
  }
  if (gemm.size() >= kFewestRows) {
    calibrate_gemm(profile, gemm, record);
    fitted = true;
  }
  profile.calibration = std::move(record);
  if (end_to_end_rows.size() >= kFewestRows) {
    profile.calibration->step_overhead_us = fit_step_overhead(profile, end_to_end_rows);
    profile.calibration->end_to_end_rows = static_cast<std::int64_t>(end_to_end_rows.size());
    fitted = true;
  }
  if (!fitted) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("{}: {} rows of {}, too few to fit anything",
                            profile.calibration->rows_file, rows.size(), profile.id),
                "a regime, the dense layers and the step overhead want 4 rows each");
  }
  return profile;
}

double residual_correction(const CalibrationRecord& record, AttentionRegime regime,
                           std::int64_t q_heads, std::int64_t kv_heads, double batch,
                           double context) noexcept {
  if (record.residuals.empty()) {
    return 1.0;
  }
  AttentionResidual at{regime, q_heads, kv_heads};
  at.group = static_cast<double>(q_heads) / static_cast<double>(kv_heads);
  at.log2_kv_heads = std::log2(static_cast<double>(kv_heads));
  at.log2_units = std::log2(batch) + at.log2_kv_heads;
  at.log2_context = std::log2(context);
  return correction<AttentionResidual>(record.residuals, at, nullptr);
}

double residual_correction(const CalibrationRecord& record, double m, double n, double k) noexcept {
  if (record.gemm_residuals.empty()) {
    return 1.0;
  }
  GemmResidual at;
  at.log2_m = std::log2(m);
  at.log2_n = std::log2(n);
  at.log2_k = std::log2(k);
  return correction<GemmResidual>(record.gemm_residuals, at, nullptr);
}

}  // namespace kvsieve::sim
