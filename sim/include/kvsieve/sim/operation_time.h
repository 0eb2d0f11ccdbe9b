#pragma once
// How long operations take on a GPU: a roofline with the floors, ramps and efficiencies of its
// architecture, or with what `calibrate` fitted. All times are modelled, in us.

#include <cstdint>

#include "kvsieve/kernels/work.h"
#include "kvsieve/sim/cost_terms.h"
#include "kvsieve/sim/hardware_profile.h"

namespace kvsieve::sim {

/// Decode attention of one layer: one new token a sequence.
struct DecodeAttentionShape {
  double batch = 1.0;
  std::int64_t q_heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  double context = 0.0;            ///< cached tokens that a KV head of a sequence reads, mean
  std::int64_t element_bytes = 2;  ///< of the cache
  /// Nothing but this cache passes through L2 between two calls, as in a micro-benchmark. In a
  /// decode step the weights flush it.
  bool warm = false;
  /// Tokens of the longest KV head of a sequence / the mean: 1 for equal lengths.
  double longest_over_mean = 1.0;

  /// KV bytes = 2 x batch x context x kv_heads x head_dim x element bytes.
  [[nodiscard]] double kv_bytes() const noexcept {
    return 2.0 * batch * context * static_cast<double>(kv_heads * head_dim * element_bytes);
  }
};

/// The times of one profile's operations. Holds no reference to the profile.
class OperationTimes {
 public:
  explicit OperationTimes(const HardwareProfile& profile);

  /// Decode attention over a paged or ragged cache, split over the context and merged:
  ///   floor + split log2(context / 128), within [0, 3] splits, + unit x waves
  ///   + max(KV / (efficiency x bandwidth) + cold x min(1, KV / L2), compute, longest head)
  /// with waves = batch x kv_heads / SMs; a warm cache of at most knee x L2 is read at the L2's
  /// bandwidth and without the ramp. A calibrated profile has the regime's fit instead (times what
  /// its neighbours among the fitted rows left over), plus what the preset adds for a cold cache
  /// and for uneven lengths.
  [[nodiscard]] double decode_attention_us(const DecodeAttentionShape& shape,
                                           CostTerms* terms = nullptr) const;

  /// Causal attention of `queries` new tokens a sequence that see `context` tokens at the end.
  [[nodiscard]] double prefill_attention_us(double batch, std::int64_t q_heads,
                                            std::int64_t head_dim, double queries, double context,
                                            CostTerms* terms = nullptr) const;

  /// [m, k] x [k, n] with weights of `weight_bytes` an element:
  ///   floor + (t_read^4 + t_compute^4)^(1/4)
  /// and in a calibrated profile times what the neighbours among the fitted rows left over.
  [[nodiscard]] double gemm_us(double m, double n, double k, double weight_bytes = 2.0,
                               CostTerms* terms = nullptr) const;

  /// Kernels that stream `work` in `launches` launches: floor x launches + the longer of reading
  /// and writing its bytes and computing in fp32 (tensor cores where `tensor`).
  [[nodiscard]] double kernel_us(double bytes, double flops, double launches = 1.0,
                                 bool tensor = false, CostTerms* terms = nullptr) const;
  [[nodiscard]] double kernel_us(const kernels::Work& work, double launches = 1.0,
                                 bool tensor = false, CostTerms* terms = nullptr) const;

  [[nodiscard]] AttentionRegime regime(const DecodeAttentionShape& shape) const noexcept {
    return attention_regime(shape.kv_bytes(), m_l2_bytes);
  }
  [[nodiscard]] double memory_gbps() const noexcept { return m_memory_gbps; }

 private:
  [[nodiscard]] double preset_attention_us(const DecodeAttentionShape& shape) const noexcept;
  [[nodiscard]] double fitted_attention_us(const DecodeAttentionShape& shape) const;

  double m_sms;
  double m_memory_gbps;
  double m_l2_bytes;
  double m_tensor_flops;  ///< FLOP an us
  double m_fp32_flops;    ///< FLOP an us, of the CUDA cores
  Architecture m_architecture;
  std::optional<CalibrationRecord> m_calibration;
};

}  // namespace kvsieve::sim
