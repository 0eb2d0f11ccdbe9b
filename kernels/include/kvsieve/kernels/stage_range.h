#pragma once
// What a profiler's range around a stage of a decode step, or of what comes before the first one,
// is called, so that what was measured in it can be set beside what was modelled.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kvsieve::kernels {

// Stages besides those of decode_graph.h, all on the GPU.
inline constexpr std::string_view kKeyEncodingStage = "key-encoding";    ///< of the prompt
inline constexpr std::string_view kWindowScoresStage = "window-scores";  ///< of the prompt
inline constexpr std::string_view kAllocationStage = "allocation";       ///< of budgets to heads
inline constexpr std::string_view kSelectionStage = "selection";    ///< of the tokens that stay
inline constexpr std::string_view kCompactionStage = "compaction";  ///< into the ragged cache
inline constexpr std::string_view kAttentionStage =
    "attention";  ///< of a step, over all that stayed

/// A stage that runs.
struct StageRange {
  std::string stage;             ///< lower case with hyphens
  std::int32_t step = -1;        ///< from 0; -1 before the first step
  std::int32_t layer = 0;        ///< among the layers that the engine was given, from 0
  std::int32_t micro_batch = 0;  ///< from 0

  bool operator==(const StageRange&) const = default;
};

/// "rotate/step:3/layer:5/micro-batch:0"; without a step "selection/layer:5/micro-batch:0".
[[nodiscard]] std::string stage_range_text(const StageRange& range);
/// The inverse; nothing for any other text.
[[nodiscard]] std::optional<StageRange> parse_stage_range(std::string_view text);

}  // namespace kvsieve::kernels
