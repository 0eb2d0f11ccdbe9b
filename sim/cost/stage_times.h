#pragma once
// How long each stage of a decode step takes for one layer and one micro-batch.

#include <array>

#include "kvsieve/sim/step_cost.h"

namespace kvsieve::sim {

/// A stage of one layer and micro-batch, as it would run alone.
struct StageTime {
  double us = 0.0;
  double bytes = 0.0;   ///< over the link
  double pieces = 0.0;  ///< of that transfer
  std::array<double, kSharedResources> uses{};
  std::string_view regime;
};

/// Computes the stages of one point. Refers to everything that it is given.
class StageTimes {
 public:
  /// @param batch sequences of the micro-batch @param context tokens in the cache
  StageTimes(const StepModel& model, const CostMethod& method, double batch, double context,
             std::int64_t element_bytes, const LayerLoad& load)
      : m_step(model),
        m_model(model.m_model),
        m_method(method),
        m_batch(batch),
        m_context(context),
        m_element_bytes(element_bytes),
        m_load(load) {}

  /// @param sliding of a layer that sees a window only
  [[nodiscard]] StageTime stage(CostStage stage, bool sliding = false,
                                CostTerms* terms = nullptr) const;

 private:
  [[nodiscard]] StageTime gpu(double us, std::string_view regime = {}) const;
  [[nodiscard]] StageTime message(Direction direction, double bytes, CostTerms* terms) const;
  [[nodiscard]] StageTime host(double us, double bytes) const;
  [[nodiscard]] StageTime attention(double context, double longest, CostTerms* terms) const;

  [[nodiscard]] StageTime qkv(CostTerms* terms) const;
  [[nodiscard]] StageTime encode(CostTerms* terms) const;
  [[nodiscard]] StageTime score(CostTerms* terms) const;
  [[nodiscard]] StageTime top_k(CostTerms* terms) const;
  [[nodiscard]] FetchPath fetch_path() const;
  [[nodiscard]] StageTime fetch(CostTerms* terms) const;
  [[nodiscard]] StageTime fetched_attention(CostTerms* terms) const;
  [[nodiscard]] StageTime mlp(CostTerms* terms) const;

  [[nodiscard]] double union_tokens() const { return m_load.union_share * m_context; }
  [[nodiscard]] double top() const;
  /// Bytes of a scanned index, of a token and KV head.
  [[nodiscard]] double index_bytes() const;
  /// Bytes that move for a retrieved token and KV head.
  [[nodiscard]] double moved_row_bytes() const;
  [[nodiscard]] kernels::LedgerShape layer_shape() const;
  [[nodiscard]] double kv_heads() const { return static_cast<double>(m_model.kv_heads); }
  [[nodiscard]] double head_dim() const { return static_cast<double>(m_model.head_dim); }

  const StepModel& m_step;
  const ModelDimensions& m_model;
  const CostMethod& m_method;
  double m_batch;
  double m_context;
  std::int64_t m_element_bytes;
  const LayerLoad& m_load;
};

}  // namespace kvsieve::sim
