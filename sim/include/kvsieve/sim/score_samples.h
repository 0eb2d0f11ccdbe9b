#pragma once
// The scores behind a retrieval run, token by token: exact ones beside those that the method ranks
// by. They are the replay's own, for one KV head at a time.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "kvsieve/sim/retrieval_replay.h"
#include "kvsieve/traces/trace.h"

namespace kvsieve::sim {

/// One query head at one decode step.
struct ScoreSamples {
  std::int64_t first_token = 0;        ///< of the eligible tokens, which are consecutive
  std::vector<float> exact;            ///< [n] u, the true scores, scaled and capped
  std::vector<float> approximate;      ///< [n] u^, what the method ranks by
  std::int64_t top = 0;                ///< K, at most n
  std::vector<std::int32_t> selected;  ///< ascending tokens that the query head retrieves
};

/// Share of the selected tokens that the exact scores would select; nothing if none is selected.
[[nodiscard]] std::optional<double> recall_of(const ScoreSamples& samples);

/// Ranks the tokens of one KV head as replay_retrieval does. Keeps its keys and its index; with
/// adaptive budgets, those of all KV heads of its layer. Safe to use from several threads.
class HeadScores {
 public:
  /// Builds the index; a codebook that is not given is trained on the trace's prompt. `progress` is
  /// called on this thread; what it throws passes through. `trace` must outlive it.
  /// @param layer index in the model @param kv_head of [0, Hkv)
  /// Throws as replay_retrieval does, and Error(kUsage) for a layer that has a sliding window, a
  /// head out of range, or a method that ranks nothing.
  HeadScores(const traces::Trace& trace, const RetrievalOptions& options, std::int64_t layer,
             std::int64_t kv_head, const Progress& progress = {});
  ~HeadScores();
  HeadScores(HeadScores&&) noexcept;
  HeadScores& operator=(HeadScores&&) noexcept;

  /// @param q_head of the model, in the group of the KV head @param step of [0, decode steps)
  /// Throws Error(kUsage) for either out of range.
  [[nodiscard]] ScoreSamples at(std::int64_t q_head, std::int64_t step) const;

  /// Whether approximate scores estimate the exact ones, so that their error means something.
  [[nodiscard]] bool estimates() const;
  /// [C] tokens of the trace that have each codeword; empty for methods without a codebook.
  [[nodiscard]] std::span<const std::int64_t> code_counts() const;

 private:
  struct Layer;
  std::unique_ptr<Layer> m_layer;
};

}  // namespace kvsieve::sim
