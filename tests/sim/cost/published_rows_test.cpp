// How far the model is off rows that others published (tests/golden/validation, a thinned set;
// NOTICE has the sources). docs/accuracy.md has the figures of the whole sets.

#include <gtest/gtest.h>

#include "kvsieve/sim/calibration.h"
#include "measured_fixture.h"

namespace kvsieve::sim::tests {
namespace {

constexpr const char* kAiconfigurator = "decode_attention_aiconfigurator.csv";
constexpr const char* kFrontier = "decode_attention_frontier_a800.csv";
constexpr const char* kServingSim = "decode_attention_llmservingsim.csv";
constexpr const char* kGemm = "gemm_llama31_8b_shapes_aiconfigurator.csv";
constexpr const char* kDense = "dense_layers_llmservingsim.csv";
constexpr const char* kEndToEnd = "e2e_llm_inference_bench.csv";

ValidationReport judge(const std::vector<std::string>& names,
                       const ValidationOptions& options = {}) {
  std::vector<MeasuredFile> files;
  for (const std::string& name : names) {
    files.push_back(published(name));
  }
  return validate(files, options);
}

/// Calibrates on even rows and judges on `judged` ones.
ValidationReport calibrated(const std::string& name, const std::string& hardware, RowFilter filter,
                            RowChoice judged = RowChoice::kOdd) {
  const std::vector<MeasuredFile> files{published(name)};
  CalibrationOptions fitting;
  fitting.filter = filter;
  fitting.filter.rows = RowChoice::kEven;
  ValidationOptions options;
  options.profile = calibrate(load_hardware(hardware), files, fitting);
  options.filter = filter;
  options.filter.rows = judged;
  return validate(files, options);
}

/// Over all rows, whatever their regime.
double mean_error(const ValidationReport& report) {
  std::vector<double> errors;
  for (const RowError& row : report.rows) {
    errors.push_back(row.modelled_us / row.row.latency_us - 1.0);
  }
  return error_figures(errors).mape;
}

TEST(PublishedRows, UnfittedAttentionInSixteenBitsOfSmallGroups) {
  const ValidationReport report = judge({kAiconfigurator, kFrontier, kServingSim});
  const std::string selection = "16-bit, group<=8";
  const ErrorFigures pooled =
      figures_of(report.selections, "attention-hbm", "all", "all", "all", selection);
  EXPECT_GT(pooled.n, 250);
  EXPECT_LE(pooled.median_error, 0.15);
  int engines = 0;
  for (const RegimeError& error : report.selections) {
    // FlashAttention 2 under SGLang reaches half of the A100's bandwidth.
    const bool excepted = error.device == "a100-sxm-80" && error.engine == "SGLang 0.5.10";
    if (error.regime == "attention-hbm" && error.device != "all" && !excepted) {
      EXPECT_LE(error.figures.median_error, 0.30) << error.device << " " << error.engine;
      ++engines;
    }
  }
  EXPECT_EQ(engines, 6);
}

TEST(PublishedRows, UnfittedAttentionOfAllTypes) {
  const ValidationReport report = judge({kAiconfigurator, kFrontier, kServingSim});
  EXPECT_LE(figures_of(report.regimes, "attention-hbm", "all", "all", "all").median_error, 0.20);
  EXPECT_EQ(report.impossible_rows, 0);
  EXPECT_TRUE(report.unknown_devices.empty());
}

TEST(PublishedRows, UnfittedDenseLayers) {
  const ValidationReport report = judge({kGemm, kDense});
  for (const RegimeError& error : report.regimes) {
    EXPECT_LE(error.figures.median_error, 0.25)
        << error.regime << " " << error.device << " " << error.engine;
  }
}

TEST(PublishedRows, CalibratedAttentionInHbm) {
  struct Set {
    const char* file;
    const char* hardware;
    const char* engine;
    const char* version;
    const char* kv_dtype;
  };
  for (const Set& set : {Set{kAiconfigurator, "a100-sxm-80", "VLLM", "0.14.0", "bfloat16"},
                         {kAiconfigurator, "a100-sxm-80", "SGLang", "0.5.10", "bfloat16"},
                         {kAiconfigurator, "h100-sxm", "VLLM", "0.14.0", "bfloat16"},
                         {kAiconfigurator, "h100-sxm", "VLLM", "0.24.0", "bfloat16"},
                         {kAiconfigurator, "h100-sxm", "VLLM", "0.24.0", "fp8"},
                         {kAiconfigurator, "h100-sxm", "SGLang", "0.5.10", "bfloat16"},
                         {kAiconfigurator, "h100-sxm", "SGLang", "0.5.10", "fp8"},
                         {kServingSim, "rtx-4090", "VLLM", "0.19", "bfloat16"}}) {
    RowFilter filter;
    filter.engine = set.engine;
    filter.engine_version = set.version;
    filter.kv_dtype = set.kv_dtype;
    const ValidationReport report = calibrated(set.file, set.hardware, filter);
    EXPECT_LE(figures_of(report.regimes, "attention-hbm", "all", "all", "all").mape, 0.12)
        << set.hardware << " " << set.engine << " " << set.version << " " << set.kv_dtype;
  }
}

TEST(PublishedRows, CalibratedAttentionOnA800OverAllRegimes) {
  EXPECT_LE(mean_error(calibrated(kFrontier, "a800-sxm-80", {})), 0.08);
  EXPECT_LE(mean_error(calibrated(kFrontier, "a800-sxm-80", {}, RowChoice::kAll)), 0.08);
}

TEST(PublishedRows, CalibratedDenseLayers) {
  const ValidationReport report = calibrated(kDense, "rtx-4090", {});
  for (const RegimeError& error : report.regimes) {
    EXPECT_LE(error.figures.median_error, 0.12) << error.regime;
  }
  RowFilter filter;
  filter.engine = "VLLM";
  filter.engine_version = "0.24.0";
  for (const RegimeError& error : calibrated(kGemm, "h100-sxm", filter).regimes) {
    EXPECT_LE(error.figures.median_error, 0.12) << error.regime;
  }
}

TEST(PublishedRows, EndToEndOnA100WithOneOverheadAnEngine) {
  for (const char* engine : {"vLLM", "TensorRT-LLM"}) {
    RowFilter filter;
    filter.engine = engine;
    const ValidationReport report = calibrated(kEndToEnd, "a100-sxm-40", filter);
    const ErrorFigures figures = figures_of(report.regimes, "end-to-end", "all", "all", "");
    EXPECT_EQ(figures.n, 30);
    EXPECT_LE(figures.mape, 0.15) << engine;
    filter.as_device = "a100-sxm-80";
    RecordProperty(std::string("mape_as_a100_sxm_80_") + engine,
                   std::to_string(mean_error(calibrated(kEndToEnd, "a100-sxm-80", filter))));
  }
}

}  // namespace
}  // namespace kvsieve::sim::tests
