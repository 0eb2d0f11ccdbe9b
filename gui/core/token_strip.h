#pragma once
// The tokens along a context: which of them some heads keep, and curves over them.

#include <QString>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "kvsieve/sim/chart.h"
#include "kvsieve/sim/chart_table.h"
#include "kvsieve/sim/run_view.h"

namespace kvsieve::gui {

/// What becomes of a token; kUnknown where a step retrieves what scores high.
enum class TokenFate { kSink, kWindow, kDecoded, kKept, kDropped, kUnknown };
/// "sink, always kept".
[[nodiscard]] QString name_of(TokenFate fate);

/// Positions are tokens of prompt and decode steps.
struct TokenStrip {
  struct Track {
    QString name;  ///< "layer 4, KV head 1"
    std::vector<sim::TokenRun> kept;
    bool lists_kept = true;  ///< false: only sinks and window are known, as in retrieval

    /// How many tokens it lists as kept.
    [[nodiscard]] std::int64_t kept_tokens() const;
  };
  struct Curve {
    QString name;
    QString formula;
    sim::Ink ink = sim::Ink::kAccent;
    std::shared_ptr<const std::vector<float>> values;  ///< from position 0 on
    bool is_mass = true;                               ///< a share of attention; else a score

    /// Nothing where it has no value.
    [[nodiscard]] std::optional<float> value_at(std::int64_t position) const;
    [[nodiscard]] sim::Unit unit() const;
    /// From its least to its largest value.
    [[nodiscard]] sim::Range range() const;
  };
  std::int64_t tokens = 0;         ///< T
  std::int64_t prompt_tokens = 0;  ///< n; later tokens are decoded and always kept
  std::int64_t sinks = 0;
  std::int64_t window_end = 0;  ///< the window is [window_end - window, window_end)
  std::int64_t window = 0;
  std::optional<sim::TokenRun> needle;
  std::optional<std::int64_t> step_position;
  std::vector<Track> tracks;
  std::vector<Curve> curves;
  std::shared_ptr<const std::vector<std::int64_t>> score_ranks;  ///< by position, may be null
  std::vector<std::int32_t> token_ids;                           ///< empty if the trace has none

  [[nodiscard]] TokenFate fate(const Track& track, std::int64_t position) const;
  /// The tokens of a fate, ascending; of kDropped and kUnknown none: they are what is left.
  [[nodiscard]] std::vector<sim::TokenRun> runs(const Track& track, TokenFate fate) const;
  /// What is known of a position, a line each.
  [[nodiscard]] QString text_at(std::int64_t position) const;
  /// The positions [begin, end), a row each.
  [[nodiscard]] sim::Table table(std::int64_t begin, std::int64_t end) const;
  /// All positions, plain numbers.
  [[nodiscard]] QString csv() const;
};

}  // namespace kvsieve::gui
