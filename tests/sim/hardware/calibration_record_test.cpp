// Regimes and calibrations as JSON.

#include "kvsieve/sim/calibration_record.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "kvsieve/traces/error.h"
#include "traces/fails_with.h"

namespace kvsieve::sim::tests {
namespace {

using kvsieve::tests::fails_with;
using nlohmann::ordered_json;

CalibrationRecord sample() {
  CalibrationRecord record;
  record.engine = "vLLM";
  record.engine_version = "0.14.0";
  record.kv_dtype = "bfloat16";
  record.date = "2026-11-26T08:00:00Z";
  record.rows_file = "rows.csv";
  record.rows_hash = "00112233445566778899aabbccddeeff";
  record.attention = {AttentionFit{11.5, 0.75, 0.0, 0.25, 20, 0.08, 0.05}, AttentionFit{},
                      AttentionFit{3.0, 0.1, 402.5, 0.0, 300, 0.11, 0.07}};
  record.residuals = {make_residual(AttentionRegime::kLaunch, 32, 8, 1, 1024, 1.125),
                      make_residual(AttentionRegime::kHbm, 64, 8, 12, 32768, 0.875)};
  record.gemm = {4.5, 0.9, 0.75, 44, 0.09, 0.06};
  record.gemm_residuals = {make_residual(16, 4096, 11008, 1.0625)};
  record.step_overhead_us = 1250.0;
  record.end_to_end_rows = 30;
  record.flagged_rows = 2;
  record.outlier_rows = 1;
  return record;
}

TEST(AttentionRegime, BoundariesBelongToTheRegimeBelow) {
  const double l2 = 40.0 * 1024 * 1024;
  EXPECT_EQ(attention_regime(0.0, l2), AttentionRegime::kLaunch);
  EXPECT_EQ(attention_regime(l2 / 4, l2), AttentionRegime::kLaunch);
  EXPECT_EQ(attention_regime(l2 / 4 + 1, l2), AttentionRegime::kL2);
  EXPECT_EQ(attention_regime(2 * l2, l2), AttentionRegime::kL2);
  EXPECT_EQ(attention_regime(2 * l2 + 1, l2), AttentionRegime::kHbm);
}

TEST(AttentionRegime, Names) {
  EXPECT_EQ(name_of(AttentionRegime::kLaunch), "launch");
  EXPECT_EQ(name_of(AttentionRegime::kL2), "l2");
  EXPECT_EQ(name_of(AttentionRegime::kHbm), "hbm");
}

TEST(CalibrationRecord, ComesBackAsItWas) {
  const ordered_json json = to_json(sample());
  const CalibrationRecord back = calibration_from_json(json);
  EXPECT_EQ(to_json(back).dump(), json.dump());
  EXPECT_EQ(back.engine_version, "0.14.0");
  EXPECT_EQ(back.attention[2].us_per_gigabyte, 402.5);
  ASSERT_EQ(back.residuals.size(), 2U);
  EXPECT_EQ(back.residuals[1].regime, AttentionRegime::kHbm);
  EXPECT_EQ(back.residuals[1].batch, 12);
  EXPECT_EQ(back.residuals[1].group, 8.0);
  EXPECT_EQ(back.residuals[1].log2_units, std::log2(96.0));
  EXPECT_EQ(back.residuals[1].log2_context, 15.0);
  EXPECT_EQ(back.attention[0].preset_share, 0.25);
  EXPECT_EQ(back.gemm.rows, 44);
  ASSERT_EQ(back.gemm_residuals.size(), 1U);
  EXPECT_EQ(back.gemm_residuals[0].log2_m, 4.0);
  EXPECT_EQ(back.gemm_residuals[0].ratio, 1.0625);
  EXPECT_EQ(back.flagged_rows, 2);
  EXPECT_EQ(back.outlier_rows, 1);
}

TEST(CalibrationRecord, ResidualsComeBackInTheOrderOfTheirLookUp) {
  CalibrationRecord record = sample();
  std::swap(record.residuals[0], record.residuals[1]);
  record.residuals.push_back(make_residual(AttentionRegime::kHbm, 32, 8, 1, 32768, 1.0));
  const CalibrationRecord back = calibration_from_json(to_json(record));
  ASSERT_EQ(back.residuals.size(), 3U);
  EXPECT_TRUE(std::is_sorted(back.residuals.begin(), back.residuals.end()));
  EXPECT_EQ(back.residuals[0].regime, AttentionRegime::kLaunch);
  EXPECT_EQ(back.residuals[1].group, 4.0);
}

TEST(CalibrationRecord, BadDocumentsNameTheField) {
  const auto fails = [](const char* pointer, const ordered_json& value, const char* part) {
    ordered_json json = to_json(sample());
    json[ordered_json::json_pointer(pointer)] = value;
    return fails_with(ErrorKind::kBadInput, part,
                      [&] { static_cast<void>(calibration_from_json(json)); });
  };
  EXPECT_TRUE(fails("/engine", 3, "calibration.engine is 3, expected a string"));
  EXPECT_TRUE(fails("/attention/hbm/mape", -0.1, "calibration.attention.hbm.mape"));
  EXPECT_TRUE(fails("/attention/l3", ordered_json::object(), "calibration.attention.l3"));
  for (const char* place : {"/attention/hbm/residuals/0/4", "/attention/hbm/residuals/0/0",
                            "/attention/hbm/residuals/0", "/attention/hbm/residuals"}) {
    EXPECT_TRUE(fails(place, 0, "calibration.attention.hbm.residuals")) << place;
  }
  EXPECT_TRUE(fails("/attention/hbm/residuals/0/3", 1.5, "calibration.attention.hbm.residuals"));
  EXPECT_TRUE(fails("/attention/launch/floor_us", -1, "calibration.attention.launch.floor_us"));
  EXPECT_TRUE(fails("/end_to_end/steps", 1, "calibration.end_to_end.steps"));
  EXPECT_TRUE(fails("/gemm/rows", 0.5, "calibration.gemm.rows"));
  EXPECT_TRUE(fails("/rows", 1, "calibration.rows is unknown"));
}

}  // namespace
}  // namespace kvsieve::sim::tests
