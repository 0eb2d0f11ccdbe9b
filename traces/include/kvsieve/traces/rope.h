#pragma once
// Rotary position embeddings with the model's own frequency table.

#include <cstdint>
#include <span>
#include <vector>

#include "kvsieve/traces/model_shape.h"

namespace kvsieve::traces {

/// Rotation frequencies per pair in radians a position, [dim/2], scaling applied.
/// Formulas: RoFormer (theta^(-2t/dim)), position interpolation (linear), Llama 3.1's
/// wavelength bands (llama3), YaRN's ramp between interpolation and extrapolation (yarn).
[[nodiscard]] std::vector<double> rope_frequencies(const RopeSpec& spec);

/// cos and sin of one position, each [dim/2], the attention factor multiplied in.
struct RopePhase {
  std::vector<float> cos;
  std::vector<float> sin;
};

/// Rotates head vectors by their position. Angles are computed in double precision.
class RopeTable {
 public:
  /// `head_dim` = d >= spec.dim; dimensions from spec.dim on pass through unrotated.
  /// Throws Error(kBadInput) if spec.dim is odd, not positive or beyond head_dim.
  RopeTable(const RopeSpec& spec, std::int64_t head_dim);

  [[nodiscard]] const RopeSpec& spec() const noexcept { return m_spec; }
  [[nodiscard]] const std::vector<double>& frequencies() const noexcept { return m_frequencies; }

  /// cos and sin at `position` (any integer; negative rotates back).
  [[nodiscard]] RopePhase phase(std::int64_t position) const;

  /// Fills cos and sin, each [dim/2], without allocating.
  void phase(std::int64_t position, std::span<float> cos, std::span<float> sin) const;

  /// Rotates x [d] in place by `position`.
  void rotate(std::int64_t position, std::span<float> x) const;

  /// Rotates x [d] in place by a phase computed before.
  void rotate(const RopePhase& phase, std::span<float> x) const;

 private:
  RopeSpec m_spec;
  std::vector<double> m_frequencies;
};

}  // namespace kvsieve::traces
