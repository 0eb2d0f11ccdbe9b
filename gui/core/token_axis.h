#pragma once
// Positions of tokens along a drawing, and what is left of them when many share a pixel.

#include <cstdint>
#include <span>
#include <vector>

#include "kvsieve/sim/run_view.h"

namespace kvsieve::gui {

/// Maps positions to pixels: token t reaches from t to t + 1. All of it is plain numbers, so that
/// it needs no window.
struct TokenAxis {
  double left = 0.0;   ///< pixel of `low`
  double right = 1.0;  ///< pixel of `high`
  double low = 0.0;    ///< shown positions
  double high = 1.0;

  [[nodiscard]] double x(double position) const {
    return left + (position - low) / (high - low) * (right - left);
  }
  [[nodiscard]] double position(double x) const {
    return low + (x - left) / (right - left) * (high - low);
  }
  [[nodiscard]] double pixels_per_token() const { return (right - left) / (high - low); }
  /// The token under a pixel, within [0, tokens); -1 if there is none.
  [[nodiscard]] std::int64_t token_at(double x, std::int64_t tokens) const;
  /// Shows `factor` times as many positions around the one at `x`, which stays there; within
  /// [0, tokens] and no fewer than kFewestTokens.
  [[nodiscard]] TokenAxis zoomed(double factor, double x, std::int64_t tokens) const;
  /// Shifts the shown positions, within [0, tokens].
  [[nodiscard]] TokenAxis panned(double positions, std::int64_t tokens) const;
  /// Shows [from, to] as far as the rules of zoomed allow.
  [[nodiscard]] TokenAxis showing(double from, double to, std::int64_t tokens) const;

  static constexpr double kFewestTokens = 8.0;
};

/// The largest value in each of `columns` equally wide parts of the axis; negative where there is
/// no token. A token that reaches into a part counts there.
[[nodiscard]] std::vector<float> column_maxima(std::span<const float> values, const TokenAxis& axis,
                                               int columns);

/// The share of each of `columns` equally wide parts of the axis that the runs cover.
[[nodiscard]] std::vector<float> column_cover(std::span<const sim::TokenRun> runs,
                                              const TokenAxis& axis, int columns);

}  // namespace kvsieve::gui
