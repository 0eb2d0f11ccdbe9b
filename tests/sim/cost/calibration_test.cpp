#include "kvsieve/sim/calibration.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>

#include "measured_fixture.h"
#include "traces/fails_with.h"

namespace kvsieve::sim::tests {
namespace {

using kvsieve::tests::fails_with;

constexpr double kFloor = 11.0;
constexpr double kUnit = 1.5;
constexpr double kPerGigabyte = 350.0;

/// Time of a row as the fitted formula has it.
double planted_us(const MeasuredRow& row) {
  const double waves = static_cast<double>(row.batch * row.kv_heads) / 132.0;
  return kFloor + kUnit * waves + kPerGigabyte * kv_bytes(row) * 1e-9;
}

std::vector<MeasuredRow> planted_rows() {
  std::vector<MeasuredRow> rows;
  for (std::int64_t batch = 1; batch <= 256; batch *= 2) {
    for (const auto& [q_heads, kv_heads] : {std::pair{32, 8}, {32, 32}, {64, 8}}) {
      for (std::int64_t context = 128; context <= 65536; context *= 2) {
        rows.push_back(attention_row(batch, q_heads, kv_heads, context, 1.0));
        rows.back().latency_us = planted_us(rows.back());
      }
    }
  }
  return rows;
}

HardwareProfile fit(std::vector<MeasuredRow> rows, const CalibrationOptions& options = {}) {
  const std::vector<MeasuredFile> files{as_file(std::move(rows))};
  return calibrate(load_hardware("h100-sxm"), files, options);
}

TEST(Calibration, RecoversPlantedCoefficients) {
  CalibrationOptions options;
  options.date = "2026-11-26";
  const HardwareProfile profile = fit(planted_rows(), options);
  ASSERT_TRUE(profile.calibration);
  const CalibrationRecord& record = *profile.calibration;
  std::int64_t rows = 0;
  for (const AttentionFit& regime : record.attention) {
    EXPECT_LT(regime.mape, 1e-5);
    rows += regime.rows;
  }
  const AttentionFit& hbm = record.attention[2];
  EXPECT_NEAR(hbm.floor_us, kFloor, 1e-3);
  EXPECT_NEAR(hbm.unit_us, kUnit, 1e-3);
  EXPECT_NEAR(hbm.us_per_gigabyte, kPerGigabyte, 1e-2);
  EXPECT_EQ(hbm.preset_share, 0.0);
  EXPECT_EQ(rows, static_cast<std::int64_t>(planted_rows().size()));
  EXPECT_EQ(record.engine, "VLLM");
  EXPECT_EQ(record.engine_version, "1.0");
  EXPECT_EQ(record.kv_dtype, "bfloat16");
  EXPECT_EQ(record.date, "2026-11-26");
  EXPECT_EQ(record.rows_file, "planted.csv");
  EXPECT_EQ(record.rows_hash, "00112233445566778899aabbccddeeff");
  EXPECT_EQ(record.flagged_rows, 0);
  EXPECT_EQ(record.outlier_rows, 0);
  EXPECT_EQ(record.residuals.size(), planted_rows().size());
  for (const MeasuredRow& row : planted_rows()) {
    EXPECT_NEAR(modelled_us(profile, row) / planted_us(row), 1.0, 1e-5);
  }
}

TEST(Calibration, WhatRowsLeaveOpenThePresetDecides) {
  // All of these read 67 MB, so that they say nothing of a time a byte.
  const HardwareProfile preset = load_hardware("h100-sxm");
  std::vector<MeasuredRow> rows;
  for (std::int64_t batch = 1; batch <= 64; batch *= 2) {
    rows.push_back(attention_row(batch, 32, 8, 16384 / batch, 1.0));
    rows.back().latency_us = 1.2 * modelled_us(preset, rows.back());
  }
  ASSERT_EQ(regime_of(preset.gpu, rows[0]), "attention-l2");
  const HardwareProfile profile = fit(rows);
  for (std::int64_t batch = 1; batch <= 64; batch *= 2) {
    const MeasuredRow row = attention_row(batch, 32, 8, 8192 / batch, 1.0);
    ASSERT_EQ(regime_of(preset.gpu, row), "attention-l2");
    EXPECT_NEAR(modelled_us(profile, row) / (1.2 * modelled_us(preset, row)), 1.0, 0.1) << batch;
  }
}

TEST(Calibration, IgnoresOutliers) {
  std::vector<MeasuredRow> rows = planted_rows();
  std::int64_t outliers = 0;
  for (std::size_t i = 5; i < rows.size(); i += 23) {
    rows[i].latency_us *= 7.0;
    ++outliers;
  }
  const HardwareProfile profile = fit(rows);
  EXPECT_EQ(profile.calibration->outlier_rows, outliers);
  for (const MeasuredRow& row : planted_rows()) {
    EXPECT_NEAR(modelled_us(profile, row) / planted_us(row), 1.0, 1e-3)
        << row.batch << " " << row.kv_heads << " " << row.context;
  }
}

TEST(Calibration, ImpossibleRowsAreFlaggedAndNotFitted) {
  std::vector<MeasuredRow> rows = planted_rows();
  std::int64_t flagged = 0;
  for (MeasuredRow& row : rows) {
    if (row.batch == 64 && row.context >= 16384) {
      row.latency_us = kv_bytes(row) / 4e6;
      ++flagged;
    }
  }
  ASSERT_GT(flagged, 5);
  const CalibrationRecord record = *fit(rows).calibration;
  EXPECT_EQ(record.flagged_rows, flagged);
  EXPECT_NEAR(record.attention[2].us_per_gigabyte, kPerGigabyte, 1e-2);
  EXPECT_EQ(record.residuals.size(), rows.size() - static_cast<std::size_t>(flagged));
}

TEST(Calibration, LearnsWhatAGroupCosts) {
  // An engine that takes four times as long with 16 query heads a KV head, on every other row.
  std::vector<MeasuredRow> rows;
  for (std::int64_t batch = 1; batch <= 256; batch *= 2) {
    for (const auto& [q_heads, kv_heads] : {std::pair{32, 8}, {32, 32}, {128, 8}}) {
      for (std::int64_t context = 1024; context <= 131072; context *= 2) {
        rows.push_back(attention_row(batch, q_heads, kv_heads, context, 1.0));
        rows.back().latency_us = planted_us(rows.back()) * (q_heads == 128 ? 4.0 : 1.0);
      }
    }
  }
  CalibrationOptions options;
  options.filter.rows = RowChoice::kEven;
  ValidationOptions judged;
  judged.profile = fit(rows, options);
  judged.filter.rows = RowChoice::kOdd;
  const std::vector<MeasuredFile> files{as_file(rows)};
  const ValidationReport report = validate(files, judged);
  EXPECT_LT(figures_of(report.regimes, "attention-hbm", "all", "all", "all").mape, 0.03);
}

TEST(Calibration, FewRowsKeepThePreset) {
  std::vector<MeasuredRow> rows;
  for (std::int64_t context = 128; context <= 512; context *= 2) {
    rows.push_back(attention_row(1, 32, 8, context, 50.0));
  }
  EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "too few to fit anything",
                         [&] { static_cast<void>(fit(rows)); }));
  rows.push_back(attention_row(1, 32, 8, 1024, 50.0));
  rows.push_back(attention_row(64, 32, 8, 65536, 6000.0));
  const HardwareProfile profile = fit(rows);
  EXPECT_EQ(profile.calibration->attention[0].rows, 4);
  EXPECT_EQ(profile.calibration->attention[2].rows, 0);
  EXPECT_EQ(modelled_us(profile, rows.back()), modelled_us(load_hardware("h100-sxm"), rows.back()));
  EXPECT_NEAR(modelled_us(profile, rows[0]), 50.0, 0.01);
}

TEST(Calibration, RecoversPlantedDenseLayers) {
  const HardwareProfile preset = load_hardware("h100-sxm");
  std::vector<MeasuredRow> rows;
  for (const std::int64_t n : {4096, 6144, 28672}) {
    for (std::int64_t m = 1; m <= 16384; m *= 2) {
      MeasuredRow row = gemm_row(m, n, 4096, 1.0);
      const auto x = static_cast<double>(m);
      const auto y = static_cast<double>(n);
      const double read =
          (2.0 * y * 4096 + 2.0 * x * (y + 4096)) / (preset.gpu.memory_gbps.value * 1e3 * 0.7);
      const double compute = 2.0 * x * y * 4096 / (preset.gpu.bf16_tflops.value * 1e6 * 0.6);
      row.latency_us = 5.0 + std::pow(std::pow(read, 4) + std::pow(compute, 4), 0.25);
      rows.push_back(row);
    }
  }
  const GemmFit gemm = fit(rows).calibration->gemm;
  EXPECT_NEAR(gemm.floor_us, 5.0, 0.1);
  EXPECT_NEAR(gemm.bandwidth, 0.7, 0.01);
  EXPECT_NEAR(gemm.flops, 0.6, 0.01);
  EXPECT_LT(gemm.mape, 0.01);
}

TEST(Calibration, FitsOneOverheadAStep) {
  HardwareProfile profile = load_hardware("a100-sxm-40");
  std::vector<MeasuredRow> rows;
  for (const std::int64_t batch : {1, 4, 16}) {
    for (const std::int64_t tokens : {128, 512}) {
      MeasuredRow row;
      row.gpu = profile.id;
      row.engine = "mine";
      row.op = MeasuredOp::kEndToEnd;
      row.model = "llama-3-8b";
      row.batch = batch;
      row.context = tokens;
      row.output_tokens = tokens;
      row.latency_us = modelled_us(profile, row) + 700.0 * static_cast<double>(tokens - 1);
      rows.push_back(row);
    }
  }
  const std::vector<MeasuredFile> files{as_file(rows)};
  const HardwareProfile fitted = calibrate(profile, files, {});
  EXPECT_EQ(fitted.calibration->end_to_end_rows, 6);
  EXPECT_NEAR(fitted.calibration->step_overhead_us, 700.0, 8.0);
  EXPECT_EQ(fitted.calibration->kv_dtype, "");
}

TEST(Calibration, TheChoiceOfEngineAndTypeMustBeUnique) {
  std::vector<MeasuredRow> rows = planted_rows();
  for (std::size_t i = 0; i < rows.size(); i += 2) {
    rows[i].engine_version = "2.0";
  }
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "several engines: VLLM 1.0, VLLM 2.0",
                         [&] { static_cast<void>(fit(rows)); }));
  CalibrationOptions options;
  options.filter.engine_version = "2.0";
  EXPECT_EQ(fit(rows, options).calibration->engine_version, "2.0");
  rows = planted_rows();
  rows[3].kv_dtype = "fp8";
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "several cache types: bfloat16, fp8",
                         [&] { static_cast<void>(fit(rows)); }));
  options.filter = {.engine = "TRTLLM"};
  EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "no such rows of h100-sxm",
                         [&] { static_cast<void>(fit(planted_rows(), options)); }));
}

TEST(Calibration, IsNotReusedForAnotherEngine) {
  ValidationOptions options;
  options.profile = fit(planted_rows());
  std::vector<MeasuredRow> rows = planted_rows();
  const auto judge = [&] {
    const std::vector<MeasuredFile> files{as_file(rows)};
    return validate(files, options).rows.size();
  };
  EXPECT_EQ(judge(), rows.size());
  for (const auto& change : std::vector<std::function<void(MeasuredRow&)>>{
           [](MeasuredRow& row) { row.engine = "SGLang"; },
           [](MeasuredRow& row) { row.engine_version = "1.1"; },
           [](MeasuredRow& row) { row.kv_dtype = "fp8"; }}) {
    rows = planted_rows();
    change(rows[7]);
    EXPECT_TRUE(fails_with(ErrorKind::kUsage, "h100-sxm is calibrated for VLLM 1.0 bfloat16",
                           [&] { static_cast<void>(judge()); }));
  }
  options.any_engine = true;
  EXPECT_EQ(judge(), rows.size());
}

TEST(Calibration, SurvivesItsFile) {
  const HardwareProfile profile = fit(planted_rows());
  const HardwareProfile back = hardware_from_json(to_json(profile));
  ASSERT_TRUE(back.calibration);
  EXPECT_EQ(to_json(*back.calibration).dump(), to_json(*profile.calibration).dump());
  for (const MeasuredRow& row : planted_rows()) {
    EXPECT_EQ(modelled_us(back, row), modelled_us(profile, row));
  }
}

TEST(Calibration, SameRowsGiveTheSameBitsInAnyOrder) {
  std::vector<MeasuredRow> rows = planted_rows();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    rows[i].latency_us *= 1.0 + 0.05 * std::sin(static_cast<double>(i));
  }
  const std::string first = to_json(*fit(rows).calibration).dump();
  EXPECT_EQ(to_json(*fit(rows).calibration).dump(), first);
}

CalibrationRecord with_residuals(std::vector<AttentionResidual> residuals) {
  CalibrationRecord record;
  std::sort(residuals.begin(), residuals.end());
  record.residuals = std::move(residuals);
  return record;
}

double correction(const CalibrationRecord& record, double batch, double context,
                  std::int64_t q_heads = 32, std::int64_t kv_heads = 8,
                  AttentionRegime regime = AttentionRegime::kHbm) {
  return residual_correction(record, regime, q_heads, kv_heads, batch, context);
}

TEST(ResidualCorrection, IsOneWithoutNeighbours) {
  EXPECT_EQ(correction({}, 8, 4096), 1.0);
  const CalibrationRecord record =
      with_residuals({make_residual(AttentionRegime::kHbm, 32, 8, 8, 4096, 1.5)});
  EXPECT_EQ(correction(record, 32, 4096), 1.0);
  EXPECT_EQ(correction(record, 8, 16384), 1.0);
  EXPECT_EQ(correction(record, 8, 4096, 64, 8), 1.0);
  EXPECT_EQ(correction(record, 8, 4096, 32, 8, AttentionRegime::kL2), 1.0);
  EXPECT_EQ(correction(record, 1e9, 1e12), 1.0);
}

TEST(ResidualCorrection, RepeatsAFittedShapeAndFallsToOneWithDistance) {
  const CalibrationRecord record =
      with_residuals({make_residual(AttentionRegime::kHbm, 32, 8, 8, 4096, 1.5)});
  EXPECT_NEAR(correction(record, 8, 4096), 1.5, 0.02);
  double before = 1.5;
  for (double context = 4096; context <= 20000; context *= 1.1) {
    const double now = correction(record, 8, context);
    EXPECT_LE(now, before);
    EXPECT_GE(now, 1.0);
    before = now;
  }
}

TEST(ResidualCorrection, LiesWithinItsNeighbours) {
  std::vector<AttentionResidual> residuals;
  for (std::int64_t batch = 1; batch <= 64; batch *= 2) {
    for (std::int64_t context = 1024; context <= 65536; context *= 4) {
      residuals.push_back(make_residual(AttentionRegime::kHbm, 32, 8, batch, context,
                                        1.2 + 0.01 * static_cast<double>(batch % 7)));
    }
  }
  const CalibrationRecord record = with_residuals(residuals);
  for (double batch = 1; batch <= 64; batch *= 1.3) {
    for (double context = 1024; context <= 65536; context *= 1.3) {
      const double now = correction(record, batch, context);
      EXPECT_GT(now, 1.17);
      EXPECT_LT(now, 1.27);
    }
  }
}

TEST(ResidualCorrection, SameUnitsOfOtherHeadsCountLess) {
  // As many units on half as many KV heads of the same group are a neighbour, but not the same.
  const CalibrationRecord record =
      with_residuals({make_residual(AttentionRegime::kHbm, 32, 8, 8, 4096, 1.5),
                      make_residual(AttentionRegime::kHbm, 16, 4, 16, 4096, 0.9)});
  EXPECT_GT(correction(record, 8, 4096, 32, 8), 1.35);
  EXPECT_LT(correction(record, 16, 4096, 16, 4), 1.05);
}

TEST(ResidualCorrection, OfDenseLayers) {
  CalibrationRecord record;
  EXPECT_EQ(residual_correction(record, 16.0, 4096.0, 4096.0), 1.0);
  record.gemm_residuals = {make_residual(16, 4096, 4096, 0.8)};
  EXPECT_NEAR(residual_correction(record, 16.0, 4096.0, 4096.0), 0.8, 0.01);
  EXPECT_EQ(residual_correction(record, 16.0, 4096.0, 16384.0), 1.0);
  EXPECT_EQ(residual_correction(record, 64.0, 4096.0, 4096.0), 1.0);
}

}  // namespace
}  // namespace kvsieve::sim::tests
