#pragma once
// One figure of two runs or sweeps, and what its difference means.

#include <QString>
#include <optional>

#include "core/metric_info.h"

namespace kvsieve::gui {

/// A value before (baseline) and after (shown).
struct DeltaValue {
  std::optional<double> baseline;
  std::optional<double> shown;

  /// shown - baseline; nothing if one is missing.
  [[nodiscard]] std::optional<double> difference() const;
  /// The difference as a share of the baseline's size; nothing if that is 0.
  [[nodiscard]] std::optional<double> relative() const;
};

enum class Verdict {
  kEqual,
  kBetter,
  kWorse,
  kOther,    ///< differs in a figure that is neither best large nor best small
  kMissing,  ///< on one side
};

[[nodiscard]] Verdict verdict_of(const DeltaValue& value, const MetricInfo& info);
/// "better", "worse", "equal", "differs", "missing".
[[nodiscard]] QString name_of(Verdict verdict);
/// "▲" where the value rose, "▼" where it fell, "=" where it is equal.
[[nodiscard]] QString sign_glyph(double difference);
/// "+1.20 ms", "-3.10%": the difference in the figure's unit, always with its sign.
[[nodiscard]] QString difference_text(double difference, const MetricInfo& info);
/// "+12.3%"; empty without a relative difference.
[[nodiscard]] QString relative_text(const DeltaValue& value);
/// Orders by how bad a change is: the largest relative worsening first, then other differences,
/// then improvements, the largest last, then equal ones.
[[nodiscard]] bool is_worse(const DeltaValue& a, const MetricInfo& a_info, const DeltaValue& b,
                            const MetricInfo& b_info);

}  // namespace kvsieve::gui
