#include "kvsieve/sim/operation_time.h"

#include <gtest/gtest.h>

#include <cmath>

namespace kvsieve::sim {
namespace {

DecodeAttentionShape llama(double batch, double context) {
  DecodeAttentionShape shape;
  shape.batch = batch;
  shape.q_heads = 32;
  shape.kv_heads = 8;
  shape.head_dim = 128;
  shape.context = context;
  return shape;
}

TEST(OperationTimes, AttentionNeverDecreasesWithBatchOrContext) {
  for (const std::string& id : hardware_ids()) {
    const OperationTimes times(load_hardware(id));
    for (const bool warm : {false, true}) {
      for (const std::int64_t element_bytes : {1, 2, 4}) {
        for (double batch = 1; batch <= 256; batch *= 2) {
          double before = 0.0;
          for (double context = 1; context <= 1 << 20; context *= 1.31) {
            DecodeAttentionShape shape = llama(batch, context);
            shape.warm = warm;
            shape.element_bytes = element_bytes;
            const double us = times.decode_attention_us(shape);
            EXPECT_GE(us, before) << id << " batch " << batch << " context " << context;
            before = us;
            shape.batch *= 2.0;
            EXPECT_GE(times.decode_attention_us(shape), us) << id << " " << batch << " " << context;
          }
        }
      }
    }
  }
}

TEST(OperationTimes, AWarmCacheIsNeverSlower) {
  for (const std::string& id : hardware_ids()) {
    const OperationTimes times(load_hardware(id));
    for (double context = 1; context <= 1 << 20; context *= 2.0) {
      DecodeAttentionShape shape = llama(1, context);
      const double cold = times.decode_attention_us(shape);
      shape.warm = true;
      EXPECT_LE(times.decode_attention_us(shape), cold) << id << " " << context;
    }
  }
}

TEST(OperationTimes, AttentionIsBelowTheMemorysBandwidth) {
  for (const std::string& id : hardware_ids()) {
    const HardwareProfile profile = load_hardware(id);
    const OperationTimes times(profile);
    const DecodeAttentionShape shape = llama(64, 32'768);
    EXPECT_GE(times.decode_attention_us(shape),
              shape.kv_bytes() / (profile.gpu.memory_gbps.value * 1e3))
        << id;
  }
}

TEST(OperationTimes, OneLongHeadCannotUseTheWholeGpu) {
  const OperationTimes times(load_hardware("h100-sxm"));
  DecodeAttentionShape shape = llama(1, 512);
  const double even = times.decode_attention_us(shape);
  shape.longest_over_mean = 8.0;
  EXPECT_GE(times.decode_attention_us(shape), even);
  // With many sequences there is work for all SMs whatever one head takes.
  DecodeAttentionShape many = llama(256, 4096);
  const double whole = times.decode_attention_us(many);
  many.longest_over_mean = 2.0;
  EXPECT_DOUBLE_EQ(times.decode_attention_us(many), whole);
}

TEST(OperationTimes, GemmsNeverDecreaseAndRespectBothRoofs) {
  for (const std::string& id : hardware_ids()) {
    const HardwareProfile profile = load_hardware(id);
    const OperationTimes times(profile);
    double before = 0.0;
    for (double m = 1; m <= 65'536; m *= 2.0) {
      const double us = times.gemm_us(m, 4096, 4096);
      EXPECT_GE(us, before) << id;
      EXPECT_GE(us, 4096.0 * 4096.0 * 2.0 / (profile.gpu.memory_gbps.value * 1e3)) << id;
      EXPECT_GE(us, 2.0 * m * 4096.0 * 4096.0 / (profile.gpu.bf16_tflops.value * 1e6)) << id;
      before = us;
    }
    EXPECT_LT(times.gemm_us(1, 4096, 4096, 1.0), times.gemm_us(1, 4096, 4096, 2.0)) << id;
  }
}

TEST(OperationTimes, KernelsAreWorkUnderARoof) {
  const HardwareProfile profile = load_hardware("a100-sxm-80");
  const OperationTimes times(profile);
  const double floor = profile.architecture.kernel_floor_us.value;
  EXPECT_DOUBLE_EQ(times.kernel_us(0.0, 0.0, 3.0), 3.0 * floor);
  const kernels::Work work{1'000'000'000, 500'000'000, 0};
  EXPECT_NEAR(
      times.kernel_us(work) - floor,
      1.5e9 / (profile.gpu.memory_gbps.value * 1e3 * profile.architecture.kernel_bandwidth.value),
      1e-6);
  EXPECT_LT(times.kernel_us(0.0, 1e12, 1.0, true), times.kernel_us(0.0, 1e12, 1.0, false));
}

TEST(OperationTimes, PrefillAttentionCountsCausalPairs) {
  const OperationTimes times(load_hardware("h100-sxm"));
  const double floor = times.prefill_attention_us(1, 32, 128, 0, 0);
  const double whole = times.prefill_attention_us(1, 32, 128, 8192, 8192) - floor;
  // Two chunks see as many pairs as one.
  const double chunks = times.prefill_attention_us(1, 32, 128, 4096, 4096) +
                        times.prefill_attention_us(1, 32, 128, 4096, 8192) - 2.0 * floor;
  EXPECT_NEAR(chunks / whole, 1.0, 1e-9);
}

TEST(OperationTimes, ACalibratedRegimeHasItsLine) {
  HardwareProfile profile = load_hardware("h100-sxm");
  profile.calibration.emplace();
  AttentionFit& fit =
      profile.calibration->attention[static_cast<std::size_t>(AttentionRegime::kHbm)];
  fit = {.floor_us = 20.0, .unit_us = 2.0, .us_per_gigabyte = 400.0, .rows = 10};
  const OperationTimes fitted(profile);
  const OperationTimes preset(load_hardware("h100-sxm"));
  DecodeAttentionShape shape = llama(32, 8192);
  shape.warm = true;
  EXPECT_NEAR(fitted.decode_attention_us(shape),
              20.0 + 2.0 * 32.0 * 8.0 / profile.gpu.sms.value + 400.0 * shape.kv_bytes() * 1e-9,
              1e-9);
  // Regimes without rows keep the preset.
  EXPECT_DOUBLE_EQ(fitted.decode_attention_us(llama(1, 128)),
                   preset.decode_attention_us(llama(1, 128)));
}

TEST(OperationTimes, EveryTermIsExplained) {
  const OperationTimes times(load_hardware("a100-sxm-80"));
  CostTerms terms;
  const double attention = times.decode_attention_us(llama(8, 4096), &terms);
  const double gemm = times.gemm_us(8, 4096, 4096, 2.0, &terms);
  ASSERT_EQ(terms.size(), 2U);
  EXPECT_DOUBLE_EQ(terms[0].value, attention);
  EXPECT_DOUBLE_EQ(terms[1].value, gemm);
  for (const CostTerm& term : terms) {
    EXPECT_FALSE(term.formula.empty());
    EXPECT_FALSE(term.inputs.empty());
    EXPECT_FALSE(term.source.empty());
    EXPECT_EQ(term.unit, "us");
  }
}

}  // namespace
}  // namespace kvsieve::sim
