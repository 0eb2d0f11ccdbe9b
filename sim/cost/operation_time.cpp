#include "kvsieve/sim/operation_time.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "kvsieve/sim/calibration.h"

namespace kvsieve::sim {
namespace {

constexpr double kBytesPerUsOfGbps = 1e3;
/// A context is split over more thread blocks as it grows from here, three doublings at most.
constexpr double kSplitFrom = 128.0;
constexpr double kMostDoublings = 3.0;
/// How much faster than its share of the memory one SM can read while others idle, and the tokens
/// that one block of a split reads at least.
constexpr double kSmHeadroom = 2.0;
constexpr double kSplitTokens = 256.0;

double seconds_free_us(double bytes, double gbps) {
  return bytes / (gbps * kBytesPerUsOfGbps);
}

std::string origin(const Sourced& number) {
  return number.source + (number.verified ? "" : " (not verified)");
}

}  // namespace

OperationTimes::OperationTimes(const HardwareProfile& profile)
    : m_sms(profile.gpu.sms.value),
      m_memory_gbps(profile.gpu.memory_gbps.value),
      m_l2_bytes(profile.gpu.l2_bytes.value),
      m_tensor_flops(profile.gpu.bf16_tflops.value * 1e6),
      m_fp32_flops(profile.gpu.fp32_tflops.value * 1e6),
      m_architecture(profile.architecture),
      m_calibration(profile.calibration) {}

double OperationTimes::preset_attention_us(const DecodeAttentionShape& shape) const noexcept {
  const Architecture& arch = m_architecture;
  const bool narrow = shape.element_bytes == 1;
  const double kv = shape.kv_bytes();
  const double waves = shape.batch * static_cast<double>(shape.kv_heads) / m_sms;
  const double doublings =
      std::clamp(std::log2(std::max(shape.context, 1.0) / kSplitFrom), 0.0, kMostDoublings);
  const double floor =
      arch.attention_floor_us.value + arch.attention_split_us.value * doublings +
      arch.attention_unit_us.value * (narrow ? arch.attention_8bit_unit.value : 1.0) * waves;
  const double slowdown = narrow ? arch.attention_8bit_slowdown.value : 1.0;
  const double stream =
      seconds_free_us(kv, m_memory_gbps * arch.attention_efficiency.value) * slowdown;
  const double cold = stream + arch.attention_cold_us.value * std::min(1.0, kv / m_l2_bytes);
  const double read = shape.warm && kv <= arch.attention_l2_knee.value * m_l2_bytes
                          ? std::min(cold, stream / arch.attention_l2_factor.value)
                          : cold;
  const double compute = 4.0 * shape.batch * static_cast<double>(shape.q_heads * shape.head_dim) *
                         shape.context / (m_tensor_flops * arch.attention_flops.value);
  // The longest head is read by the blocks that its own tokens are split into, not by all SMs.
  const double longest = shape.context * shape.longest_over_mean;
  const double blocks = std::clamp(longest / kSplitTokens, 1.0, m_sms);
  const double alone = seconds_free_us(
      2.0 * longest * static_cast<double>(shape.head_dim * shape.element_bytes),
      m_memory_gbps * arch.attention_efficiency.value * kSmHeadroom * blocks / m_sms);
  return floor + std::max({read, compute, shape.longest_over_mean > 1.0 ? alone : 0.0});
}

double OperationTimes::fitted_attention_us(const DecodeAttentionShape& shape) const {
  const CalibrationRecord& record = *m_calibration;
  const AttentionRegime at = regime(shape);
  const AttentionFit& fit = record.attention[static_cast<std::size_t>(at)];
  const double waves = shape.batch * static_cast<double>(shape.kv_heads) / m_sms;
  // Rows were measured with a warm cache of equal lengths; what else costs, the preset knows.
  DecodeAttentionShape measured = shape;
  measured.warm = true;
  measured.longest_over_mean = 1.0;
  const double preset = preset_attention_us(measured);
  const double fitted = fit.floor_us + fit.unit_us * waves +
                        fit.us_per_gigabyte * shape.kv_bytes() * 1e-9 + fit.preset_share * preset;
  return fitted * residual_correction(record, at, shape.q_heads, shape.kv_heads, shape.batch,
                                      shape.context) +
         (preset_attention_us(shape) - preset);
}

double OperationTimes::decode_attention_us(const DecodeAttentionShape& shape,
                                           CostTerms* terms) const {
  const bool fitted =
      m_calibration && m_calibration->attention[static_cast<std::size_t>(regime(shape))].rows > 0;
  const double us = fitted ? fitted_attention_us(shape) : preset_attention_us(shape);
  if (terms != nullptr) {
    const Architecture& arch = m_architecture;
    terms->push_back(
        {"decode attention",
         fitted ? "(floor + unit x waves + us/GB x KV + share x preset) x neighbours' residual + "
                  "preset's surcharge of a cold cache and uneven lengths"
                : "floor + split x doublings + unit x waves + max(KV / (efficiency x bandwidth) + "
                  "cold x min(1, KV / L2), compute, longest head)",
         fmt::format("batch {:g}, {} query heads, {} KV heads, d {}, context {:.0f}, {} bytes an "
                     "element, KV {:.4g} MB, L2 {:.0f} MB, regime {}, {} SMs, {:g} GB/s",
                     shape.batch, shape.q_heads, shape.kv_heads, shape.head_dim, shape.context,
                     shape.element_bytes, shape.kv_bytes() * 1e-6, m_l2_bytes * 1e-6,
                     name_of(regime(shape)), m_sms, m_memory_gbps),
         us, "us",
         fitted ? fmt::format("calibrated on {} {} ({})", m_calibration->engine,
                              m_calibration->engine_version, m_calibration->rows_file)
                : origin(arch.attention_efficiency),
         shape.kv_bytes(),
         4.0 * shape.batch * static_cast<double>(shape.q_heads * shape.head_dim) * shape.context});
  }
  return us;
}

double OperationTimes::prefill_attention_us(double batch, std::int64_t q_heads,
                                            std::int64_t head_dim, double queries, double context,
                                            CostTerms* terms) const {
  // Query i of the new ones sees context - queries + i + 1 tokens.
  const double pairs = queries * (context - (queries - 1.0) / 2.0);
  const double us = m_architecture.attention_floor_us.value +
                    4.0 * batch * static_cast<double>(q_heads * head_dim) * pairs /
                        (m_tensor_flops * m_architecture.attention_flops.value);
  if (terms != nullptr) {
    terms->push_back(
        {"prefill attention", "floor + 4 B Hq d pairs / (share x tensor FLOP/s)",
         fmt::format("batch {:g}, {} query heads, d {}, {:.0f} queries, context {:.0f}", batch,
                     q_heads, head_dim, queries, context),
         us, "us", origin(m_architecture.attention_flops)});
  }
  return us;
}

double OperationTimes::gemm_us(double m, double n, double k, double weight_bytes,
                               CostTerms* terms) const {
  const bool fitted = m_calibration && m_calibration->gemm.rows > 0;
  const double floor = fitted ? m_calibration->gemm.floor_us : m_architecture.gemm_floor_us.value;
  const double bandwidth =
      fitted ? m_calibration->gemm.bandwidth : m_architecture.gemm_bandwidth.value;
  const double share = fitted ? m_calibration->gemm.flops : m_architecture.gemm_flops.value;
  const double bytes = n * k * weight_bytes + 2.0 * m * (n + k);
  const double read = seconds_free_us(bytes, m_memory_gbps * bandwidth);
  const double compute = 2.0 * m * n * k / (m_tensor_flops * share);
  const double read2 = read * read;
  const double compute2 = compute * compute;
  const double corrected = fitted ? residual_correction(*m_calibration, m, n, k) : 1.0;
  const double us = corrected * (floor + std::sqrt(std::sqrt(read2 * read2 + compute2 * compute2)));
  if (terms != nullptr) {
    terms->push_back({"dense layer",
                      fitted ? "(floor + (t_read^4 + t_compute^4)^(1/4)) x neighbours' residual"
                             : "floor + (t_read^4 + t_compute^4)^(1/4)",
                      fmt::format("m {:g}, n {:g}, k {:g}, t_read {:.4g} us, t_compute {:.4g} us",
                                  m, n, k, read, compute),
                      us, "us",
                      fitted ? fmt::format("calibrated on {}", m_calibration->rows_file)
                             : origin(m_architecture.gemm_bandwidth),
                      bytes, 2.0 * m * n * k});
  }
  return us;
}

double OperationTimes::kernel_us(double bytes, double flops, double launches, bool tensor,
                                 CostTerms* terms) const {
  const double read = seconds_free_us(bytes, m_memory_gbps * m_architecture.kernel_bandwidth.value);
  const double compute =
      flops / (tensor ? m_tensor_flops * m_architecture.attention_flops.value : m_fp32_flops);
  const double us = launches * m_architecture.kernel_floor_us.value + std::max(read, compute);
  if (terms != nullptr) {
    terms->push_back(
        {"kernel", "launches x floor + max(bytes / (share x bandwidth), FLOP / peak)",
         fmt::format("{:g} launches, {:.4g} MB, {:.4g} MFLOP on {}", launches, bytes * 1e-6,
                     flops * 1e-6, tensor ? "tensor cores" : "CUDA cores"),
         us, "us", origin(m_architecture.kernel_bandwidth), bytes, flops});
  }
  return us;
}

double OperationTimes::kernel_us(const kernels::Work& work, double launches, bool tensor,
                                 CostTerms* terms) const {
  return kernel_us(static_cast<double>(work.bytes_read + work.bytes_written),
                   static_cast<double>(work.flops), launches, tensor, terms);
}

}  // namespace kvsieve::sim
