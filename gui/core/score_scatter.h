#pragma once
// A retrieval run's scores, computed again on its trace: exact against approximate ones of a head
// and step, and how often each codeword is used.

#include <memory>
#include <string>
#include <vector>

#include "core/jobs.h"
#include "core/point_chart.h"
#include "core/run.h"
#include "core/selection.h"
#include "kvsieve/sim/score_samples.h"
#include "kvsieve/traces/trace.h"

namespace kvsieve::gui {

/// What one query head's scores at one step show.
struct ScoreScatter {
  PointChart chart;
  std::int64_t eligible = 0;
  std::int64_t selected = 0;
  std::optional<double> mse;     ///< where scores estimate the exact ones
  std::optional<double> recall;  ///< where any token was selected
};

/// The scores of one KV head of a run. Never changed; safe to use from several threads.
class RunScores {
 public:
  /// Builds the head's index as the run did. For worker threads; `control` ends it.
  /// Throws as retrieval_options and sim::HeadScores do, and JobCancelled.
  RunScores(std::shared_ptr<const traces::Trace> trace, const Run& run, const HeadId& head,
            const JobControl& control);

  [[nodiscard]] const HeadId& head() const noexcept { return m_head; }
  /// @param q_head of the model, in this head's group
  [[nodiscard]] ScoreScatter at(std::int64_t q_head, std::int64_t step) const;
  /// Tokens of each codeword, the most used first; empty for methods without a codebook.
  [[nodiscard]] const std::vector<std::int64_t>& code_counts() const noexcept {
    return m_code_counts;
  }

 private:
  std::shared_ptr<const traces::Trace> m_trace;
  HeadId m_head;
  std::string m_method;
  sim::HeadScores m_scores;
  std::vector<std::int64_t> m_code_counts;
};

/// Throws Error(kBadInput) if `trace` is not the one that the run was made on. Reads the whole
/// file.
void require_trace_of(const traces::Trace& trace, const Run& run);

/// Tokens by rank of codeword, beside the mean; nothing without counts.
[[nodiscard]] sim::LineChart codeword_counts(const std::vector<std::int64_t>& counts);

}  // namespace kvsieve::gui
