#pragma once
// What a profiler's range around a stage of a decode step is called, so that what was measured in
// it can be set beside what was modelled.

#include <optional>
#include <string>
#include <string_view>

#include "kvsieve/kernels/decode_graph.h"

namespace kvsieve::kernels {

/// A stage of a running decode step.
struct StageRange {
  StepStage stage = StepStage::kRotate;
  std::int32_t step = 0;         ///< from 0
  std::int32_t layer = 0;        ///< among the layers that the engine was given, from 0
  std::int32_t micro_batch = 0;  ///< from 0

  bool operator==(const StageRange&) const = default;
};

/// "rotate/step:3/layer:5/micro-batch:0".
[[nodiscard]] std::string stage_range_text(const StageRange& range);
/// The inverse; nothing for any other text.
[[nodiscard]] std::optional<StageRange> parse_stage_range(std::string_view text);

}  // namespace kvsieve::kernels
