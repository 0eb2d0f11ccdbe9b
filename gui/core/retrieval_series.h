#pragma once
// The charts of a retrieval run: what it finds over the decode steps, where its error comes from,
// how codewords are used, and how long its stages take. What a run lacks is absent, never zero.

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/head_groups.h"
#include "core/run.h"
#include "kvsieve/sim/chart.h"
#include "kvsieve/sim/chart_table.h"

namespace kvsieve::gui {

/// What a decode step has a value of.
enum class StepQuantity {
  kRecall,         ///< share of the exact top K that was retrieved
  kRecallVsWrope,  ///< the same against the top K of exact windowed-RoPE scores
  kCapturedMass,
  kRetrievedMass,
  kOutputError,  ///< of heads' outputs before the projection, relative
  kOverlap,      ///< share of the retrieved tokens that the step before retrieved too
  kUnionTokens,  ///< a KV head
  kHotHitRate,
};

/// A value a decode step: the run's own means over all layers and heads if `heads` is empty, means
/// over those heads that have it otherwise. Runs record recalls, captured mass, overlap, tokens and
/// hits of single heads, no other quantity.
[[nodiscard]] sim::Values step_values_of(const sim::RunView& run, StepQuantity quantity,
                                         std::span<const HeadId> heads);

/// Each chart has the series that have values; none means that there is nothing to show.
[[nodiscard]] sim::LineChart found_by_step(const sim::RunView& run, std::span<const HeadId> heads);
[[nodiscard]] sim::LineChart reuse_by_step(const sim::RunView& run, std::span<const HeadId> heads);
[[nodiscard]] sim::LineChart error_by_step(const sim::RunView& run, std::span<const HeadId> heads);
[[nodiscard]] sim::LineChart tokens_by_step(const sim::RunView& run, std::span<const HeadId> heads);

/// Squared error of the scores over their variance: of windowed RoPE, of the codes, and of both.
[[nodiscard]] sim::BarChart score_errors(const sim::RunView& run, std::span<const HeadId> selected);
/// Shares of dead codewords and of the entropy that even use would have.
[[nodiscard]] sim::BarChart codeword_use(const sim::RunView& run, std::span<const HeadId> selected);

/// Times of retrieval's stages: a layer and decode step, so that replayed and modelled layers
/// compare.
struct StageTimes {
  sim::BarChart chart;  ///< measured, modelled, or both, in us
  /// Of the modelled series, where the stage's regime has measured rows; NaN elsewhere.
  std::vector<double> low;
  std::vector<double> high;
  std::optional<std::size_t> modelled;  ///< series of the chart
  std::string measured_on;              ///< backend; empty without measured stages
  std::string modelled_on;              ///< hardware; empty without a cost
};
[[nodiscard]] StageTimes stage_times(const Run& run);

/// Heads with what each finds, the highest recall first; heads without one come last.
struct HeadRanking {
  sim::Table table;
  std::vector<HeadId> heads;  ///< of the rows
};
[[nodiscard]] HeadRanking heads_by_recall(const sim::RunView& run);

}  // namespace kvsieve::gui
