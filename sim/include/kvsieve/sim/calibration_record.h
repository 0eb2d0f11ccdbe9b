#pragma once
// What `kvsieve calibrate` found: how one engine's kernels run on one device.

#include <array>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace kvsieve::sim {

/// Where decode attention's time goes, fixed by its input alone: KV bytes against the L2 cache.
enum class AttentionRegime {
  kLaunch,  ///< KV <= L2 / 4
  kL2,      ///< L2 / 4 < KV <= 2 L2
  kHbm,     ///< KV > 2 L2
};
inline constexpr std::size_t kAttentionRegimes = 3;
/// launch, l2, hbm.
[[nodiscard]] std::string_view name_of(AttentionRegime regime) noexcept;
/// attention-launch, attention-l2, attention-hbm: what results and validations call it.
[[nodiscard]] std::string_view regime_name(AttentionRegime regime) noexcept;
/// The regime of `kv_bytes` = 2 x batch x context x kv_heads x head_dim x element bytes.
[[nodiscard]] AttentionRegime attention_regime(double kv_bytes, double l2_bytes) noexcept;

/// Decode attention in one regime, fitted: us = floor + unit x waves + gigabyte x KV / 10^9 + share
/// x the preset's time, where waves = batch x kv_heads / SMs.
struct AttentionFit {
  double floor_us = 0.0;
  double unit_us = 0.0;
  double us_per_gigabyte = 0.0;
  double preset_share = 0.0;
  std::int64_t rows = 0;  ///< fitted to so many; 0 keeps the preset
  double mape = 0.0;      ///< of the fit with its corrections on these rows, left out one by one
  double median_error = 0.0;  ///< likewise
  bool operator==(const AttentionFit&) const = default;
};

/// What a fitted row left over: measured / fitted time of one shape. Shapes nearby are corrected by
/// their neighbours (calibration.h).
struct AttentionResidual {
  AttentionRegime regime = AttentionRegime::kHbm;
  std::int64_t q_heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t batch = 0;
  std::int64_t context = 0;
  double ratio = 1.0;
  // Where the shape lies among others, made from it by `make_residual`.
  double group = 0.0;       ///< q_heads / kv_heads
  double log2_units = 0.0;  ///< of batch x kv_heads
  double log2_context = 0.0;
  double log2_kv_heads = 0.0;
  bool operator==(const AttentionResidual&) const = default;
};
[[nodiscard]] AttentionResidual make_residual(AttentionRegime regime, std::int64_t q_heads,
                                              std::int64_t kv_heads, std::int64_t batch,
                                              std::int64_t context, double ratio) noexcept;
/// By regime, group and units, which `residual_correction` searches in; then by the rest.
[[nodiscard]] bool operator<(const AttentionResidual& a, const AttentionResidual& b) noexcept;

/// The like of a dense layer [m, k] x [k, n].
struct GemmResidual {
  std::int64_t m = 0;
  std::int64_t n = 0;
  std::int64_t k = 0;
  double ratio = 1.0;
  double log2_m = 0.0;
  double log2_n = 0.0;
  double log2_k = 0.0;
  bool operator==(const GemmResidual&) const = default;
};
[[nodiscard]] GemmResidual make_residual(std::int64_t m, std::int64_t n, std::int64_t k,
                                         double ratio) noexcept;
/// By m, then by the rest.
[[nodiscard]] bool operator<(const GemmResidual& a, const GemmResidual& b) noexcept;

/// Dense layers, fitted.
struct GemmFit {
  double floor_us = 0.0;
  double bandwidth = 0.0;  ///< share of memory_gbps
  double flops = 0.0;      ///< share of bf16_tflops
  std::int64_t rows = 0;   ///< fitted to so many; 0 keeps the preset
  double mape = 0.0;       ///< of the fit with its corrections on these rows, left out one by one
  double median_error = 0.0;  ///< likewise
  bool operator==(const GemmFit&) const = default;
};

/// The calibration of one profile.
struct CalibrationRecord {
  std::string engine;
  std::string engine_version;
  std::string kv_dtype;   ///< of the attention rows; empty without any
  std::string date;       ///< ISO 8601, when it was fitted
  std::string rows_file;  ///< names of the files, without their folders, joined by ", "
  std::string rows_hash;  ///< xxh128 of their bytes, likewise
  std::array<AttentionFit, kAttentionRegimes> attention;
  std::vector<AttentionResidual> residuals;  ///< ascending, outliers left out
  GemmFit gemm;
  std::vector<GemmResidual> gemm_residuals;  ///< likewise
  double step_overhead_us = 0.0;     ///< of the engine, a decode step, fitted to end-to-end rows
  std::int64_t end_to_end_rows = 0;  ///< behind it
  std::int64_t flagged_rows = 0;     ///< faster than the memory can be, left out
  std::int64_t outlier_rows = 0;     ///< far from all their neighbours; correct none
  bool operator==(const CalibrationRecord&) const = default;
};

[[nodiscard]] nlohmann::ordered_json to_json(const CalibrationRecord& record);
/// Throws Error(kBadInput) naming the field.
[[nodiscard]] CalibrationRecord calibration_from_json(const nlohmann::ordered_json& json);

}  // namespace kvsieve::sim
