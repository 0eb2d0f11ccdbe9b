#pragma once
// What a head loses with the tokens that it drops.

#include <cstdint>
#include <span>
#include <vector>

#include "kvsieve/sim/run_view.h"

namespace kvsieve::gui {

/// Positions of the prompt that are in no run. @param kept ascending, disjoint
[[nodiscard]] std::vector<sim::TokenRun> dropped_runs(std::span<const sim::TokenRun> kept,
                                                      std::int64_t prompt_tokens);

/// Attention mass on the runs.
[[nodiscard]] double mass_of(std::span<const float> attention, std::span<const sim::TokenRun> runs);

struct DroppedToken {
  std::int64_t position = 0;
  float mass = 0.0F;
};
/// The `count` dropped tokens with the most attention, heaviest first; ties by position.
[[nodiscard]] std::vector<DroppedToken> heaviest_dropped(std::span<const float> attention,
                                                         std::span<const sim::TokenRun> dropped,
                                                         std::size_t count);

/// Attention mass of equally long stretches of the context.
struct MassBucket {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  double kept = 0.0;
  double dropped = 0.0;
};
/// @param attention [T] @param dropped of the prompt; everything else is kept
[[nodiscard]] std::vector<MassBucket> mass_buckets(std::span<const float> attention,
                                                   std::span<const sim::TokenRun> dropped,
                                                   std::int64_t buckets);

/// Place of each score from the largest down, from 1; ties by position.
[[nodiscard]] std::vector<std::int64_t> score_ranks(std::span<const float> scores);

}  // namespace kvsieve::gui
