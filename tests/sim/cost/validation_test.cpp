#include "kvsieve/sim/validation.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "kvsieve/sim/operation_time.h"
#include "measured_fixture.h"
#include "traces/fails_with.h"

namespace kvsieve::sim::tests {
namespace {

using kvsieve::tests::fails_with;

HardwareProfile with_l2(double bytes) {
  HardwareProfile profile = load_hardware("h100-sxm");
  profile.gpu.l2_bytes.value = bytes;
  return profile;
}

ValidationReport judge(std::vector<MeasuredRow> rows, const ValidationOptions& options = {}) {
  const std::vector<MeasuredFile> files{as_file(std::move(rows))};
  return validate(files, options);
}

TEST(Regimes, AttentionBordersBelongToTheRegimeBelow) {
  // 2 x 1 x 1,024 x 8 x 128 x 2 bytes = 2^22.
  const MeasuredRow row = attention_row(1, 32, 8, 1024, 10.0);
  ASSERT_EQ(kv_bytes(row), 4'194'304.0);
  const auto regime = [&](double l2) { return regime_of(with_l2(l2).gpu, row); };
  EXPECT_EQ(regime(4.0 * 4'194'304), "attention-launch");
  EXPECT_EQ(regime(4.0 * 4'194'304 - 1), "attention-l2");
  EXPECT_EQ(regime(0.5 * 4'194'304), "attention-l2");
  EXPECT_EQ(regime(0.5 * 4'194'304 - 1), "attention-hbm");
}

TEST(Regimes, CacheTypeAndHeadsCountThroughTheirBytes) {
  const GpuSpec gpu = with_l2(2'097'152.0).gpu;
  MeasuredRow row = attention_row(1, 32, 8, 1025, 10.0);
  EXPECT_EQ(regime_of(gpu, row), "attention-hbm");
  row.kv_dtype = "fp8";
  EXPECT_EQ(regime_of(gpu, row), "attention-l2");
  row.kv_heads = 16;
  EXPECT_EQ(regime_of(gpu, row), "attention-hbm");
}

TEST(Regimes, TheLatencyDoesNotMatter) {
  const GpuSpec gpu = load_hardware("h100-sxm").gpu;
  for (const double us : {1.0, 1e3, 1e6}) {
    EXPECT_EQ(regime_of(gpu, attention_row(1, 32, 8, 1024, us)), "attention-launch");
    EXPECT_EQ(regime_of(gpu, gemm_row(1, 4096, 4096, us)), "gemm-memory");
  }
}

TEST(Regimes, DenseLayersSplitAtTheRidge) {
  GpuSpec gpu = load_hardware("h100-sxm").gpu;
  // 2 m n k FLOP over 2 (n k + m n + m k) bytes: 4,096 / 3 a byte at m = n = k = 4,096.
  const MeasuredRow row = gemm_row(4096, 4096, 4096, 10.0);
  gpu.memory_gbps.value = 1000.0;
  gpu.bf16_tflops.value = 4096.0 / 3.0 + 0.01;
  EXPECT_EQ(regime_of(gpu, row), "gemm-memory");
  gpu.bf16_tflops.value = 4096.0 / 3.0 - 0.01;
  EXPECT_EQ(regime_of(gpu, row), "gemm-compute");
}

TEST(ErrorFigures, AreThoseOfATableByHand) {
  // |e|: 0.05 0.1 0.1 0.2 0.4; p95 at place 3.8 of them.
  const ErrorFigures figures = error_figures({0.1, -0.2, 0.4, -0.05, 0.1});
  EXPECT_EQ(figures.n, 5);
  EXPECT_NEAR(figures.median_error, 0.1, 1e-12);
  EXPECT_NEAR(figures.mape, 0.85 / 5.0, 1e-12);
  EXPECT_NEAR(figures.p95, 0.2 + 0.8 * 0.2, 1e-12);
  EXPECT_NEAR(figures.bias, 0.35 / 5.0, 1e-12);
  EXPECT_NEAR(error_figures({0.1, -0.3}).median_error, 0.2, 1e-12);
  EXPECT_EQ(error_figures({}).n, 0);
  EXPECT_EQ(error_figures({-0.25}).p95, 0.25);
}

TEST(Validation, PoolsOverDevicesAndEngines) {
  std::vector<MeasuredRow> rows;
  for (const char* gpu : {"h100-sxm", "a100_sxm"}) {
    for (const char* engine : {"vLLM", "VLLM", "SGLang"}) {
      MeasuredRow row = attention_row(64, 32, 8, 16384, 1.0);
      row.gpu = gpu;
      row.engine = engine;
      row.latency_us = modelled_us(load_hardware(gpu), row) * 1.25;
      rows.push_back(row);
    }
  }
  MeasuredRow wide = rows[0];
  wide.q_heads = 128;
  wide.latency_us = modelled_us(load_hardware("h100-sxm"), wide) * 2.0;
  rows.push_back(wide);
  const ValidationReport report = judge(rows);
  const ErrorFigures all = figures_of(report.regimes, "attention-hbm", "all", "all", "all");
  EXPECT_EQ(all.n, 7);
  EXPECT_NEAR(all.median_error, 0.2, 1e-9);
  EXPECT_NEAR(all.bias, -(6 * 0.2 + 0.5) / 7, 1e-9);
  EXPECT_EQ(report.regimes[0].device, "all");
  // Letter case does not make another engine.
  EXPECT_EQ(figures_of(report.regimes, "attention-hbm", "a100-sxm-80", "vLLM 1.0", "bfloat16").n,
            2);
  EXPECT_EQ(figures_of(report.regimes, "attention-hbm", "h100-sxm", "vLLM 1.0", "bfloat16").n, 3);
  EXPECT_EQ(report.regimes.size(), 5U);
  const ErrorFigures narrow =
      figures_of(report.selections, "attention-hbm", "all", "all", "all", "16-bit, group<=8");
  EXPECT_EQ(narrow.n, 6);
  EXPECT_NEAR(narrow.p95, 0.2, 1e-9);
  EXPECT_EQ(figures_of(report.architectures, "attention-hbm", "ampere", "all", "all").n, 3);
}

TEST(Validation, ImpossibleRowsAreFlaggedAndInNoFigure) {
  const GpuSpec gpu = load_hardware("h100-sxm").gpu;
  MeasuredRow fast = attention_row(64, 32, 8, 16384, 1.0);
  fast.latency_us = kv_bytes(fast) / (gpu.memory_gbps.value * 1e3);
  EXPECT_FALSE(is_impossible(gpu, fast));
  fast.latency_us *= 0.999;
  EXPECT_TRUE(is_impossible(gpu, fast));
  // A cache that fits L2 may be read faster.
  MeasuredRow small = attention_row(1, 32, 8, 16, 1.0);
  small.latency_us = 1e-3;
  EXPECT_FALSE(is_impossible(gpu, small));
  EXPECT_FALSE(is_impossible(gpu, gemm_row(1, 65536, 65536, 1e-3)));
  const ValidationReport report = judge({fast, attention_row(64, 32, 8, 16384, 1500.0)});
  EXPECT_EQ(report.impossible_rows, 1);
  EXPECT_EQ(figures_of(report.regimes, "attention-hbm", "all", "all", "all").n, 1);
  EXPECT_EQ(to_json(report)["impossible"].size(), 1U);
  EXPECT_EQ(to_json(report)["impossible"][0]["line"], 2);
}

TEST(Validation, UnknownDevicesAreCountedAndTheRestGoesOn) {
  MeasuredRow other = attention_row(1, 32, 8, 1024, 10.0);
  other.gpu = "abacus-9000";
  const ValidationReport report = judge({other, attention_row(1, 32, 8, 1024, 10.0), other});
  EXPECT_EQ(report.rows.size(), 1U);
  ASSERT_EQ(report.unknown_devices.size(), 1U);
  EXPECT_EQ(report.unknown_devices[0].name, "abacus-9000");
  EXPECT_EQ(report.unknown_devices[0].rows, 2);
}

TEST(Validation, SeparatorsInADevicesNameDoNotMatter) {
  MeasuredRow row = attention_row(1, 32, 8, 1024, 10.0);
  for (const char* gpu : {"RTX4090", "RTX 4090", "rtx_4090", "rtx-4090"}) {
    row.gpu = gpu;
    EXPECT_EQ(judge({row}).rows.at(0).device, "rtx-4090");
  }
}

TEST(Validation, AsDeviceSaysWhatTheFileDoesNot) {
  MeasuredRow other = attention_row(1, 32, 8, 1024, 10.0);
  other.gpu = "abacus-9000";
  ValidationOptions options;
  options.filter.as_device = "a100_sxm";
  EXPECT_EQ(judge({other}, options).rows[0].device, "a100-sxm-80");
  options.profile = load_hardware("h100-sxm");
  EXPECT_EQ(judge({other}, options).unknown_devices.size(), 1U);
  options.filter.as_device = "abacus-9001";
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "abacus-9001",
                         [&] { static_cast<void>(judge({other}, options)); }));
}

TEST(Validation, AProfileJudgesItsOwnDeviceOnly) {
  MeasuredRow a100 = attention_row(1, 32, 8, 1024, 10.0);
  a100.gpu = "NVIDIA A100-SXM4-80GB";
  ValidationOptions options;
  options.profile = load_hardware("a100-sxm-80");
  options.profile->architecture.attention_floor_us.value = 1000.0;
  const ValidationReport report = judge({a100, attention_row(1, 32, 8, 1024, 10.0)}, options);
  ASSERT_EQ(report.rows.size(), 1U);
  EXPECT_GT(report.rows[0].modelled_us, 1000.0);
}

TEST(Validation, ModelsAttentionWarm) {
  const HardwareProfile profile = load_hardware("h100-sxm");
  const MeasuredRow row = attention_row(8, 32, 8, 1024, 20.0);
  DecodeAttentionShape shape;
  shape.batch = 8;
  shape.q_heads = 32;
  shape.kv_heads = 8;
  shape.head_dim = 128;
  shape.context = 1024;
  shape.warm = true;
  EXPECT_EQ(modelled_us(profile, row), OperationTimes(profile).decode_attention_us(shape));
  shape.warm = false;
  EXPECT_LT(modelled_us(profile, row), OperationTimes(profile).decode_attention_us(shape));
}

TEST(Validation, FiltersChooseRows) {
  std::vector<MeasuredRow> rows;
  for (int i = 0; i < 7; ++i) {
    rows.push_back(attention_row(1, 32, 8, 1024 + i, 10.0));
    rows.back().engine = i < 4 ? "VLLM" : "SGLang";
    rows.back().kv_dtype = i == 0 ? "fp8" : "bfloat16";
  }
  const auto count = [&](RowFilter filter) {
    ValidationOptions options;
    options.filter = std::move(filter);
    return judge(rows, options).rows.size();
  };
  EXPECT_EQ(count({}), 7U);
  EXPECT_EQ(count({.rows = RowChoice::kEven}), 4U);
  EXPECT_EQ(count({.rows = RowChoice::kOdd}), 3U);
  EXPECT_EQ(count({.engine = "vllm"}), 4U);
  EXPECT_EQ(count({.engine = "vllm 1.0"}), 4U);
  EXPECT_EQ(count({.engine = "vllm", .kv_dtype = "bfloat16"}), 3U);
  EXPECT_EQ(count({.engine_version = "2.0"}), 0U);
  EXPECT_EQ(row_choice_from_name("odd"), RowChoice::kOdd);
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "'half'",
                         [] { static_cast<void>(row_choice_from_name("half")); }));
}

TEST(Validation, RowsThatDoNotFitAreSaidToBeRefused) {
  MeasuredRow row;
  row.gpu = "rtx-4090";
  row.engine = "VLLM";
  row.op = MeasuredOp::kEndToEnd;
  row.model = "llama-2-70b";
  row.batch = 1;
  row.context = 128;
  row.output_tokens = 128;
  row.latency_us = 1e6;
  const ValidationReport report = judge({row});
  EXPECT_TRUE(report.rows.empty());
  ASSERT_EQ(report.refused.size(), 1U);
  EXPECT_EQ(report.refused[0].rows, 1);
}

TEST(Validation, DocumentHasTheFieldsThatTheDocsPromise) {
  const nlohmann::ordered_json json = to_json(judge({attention_row(1, 32, 8, 1024, 10.0)}));
  EXPECT_EQ(json["schema"], "kvsieve.validation/1");
  for (const char* key : {"regime", "device", "engine", "op", "kv_dtype", "n", "median_error",
                          "mape", "p95", "bias"}) {
    EXPECT_TRUE(json["regimes"][0].contains(key)) << key;
  }
}

}  // namespace
}  // namespace kvsieve::sim::tests
