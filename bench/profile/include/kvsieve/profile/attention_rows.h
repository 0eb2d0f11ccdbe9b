#pragma once
// Measured decode attention as rows that `kvsieve calibrate` and `validate` read.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "kvsieve/profile/measured_timeline.h"

namespace kvsieve::profile {

/// What the rows of a profiled run have in common.
struct AttentionRowShape {
  std::string gpu;  ///< id of a hardware profile
  std::string engine_version;
  std::int64_t q_heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  std::string kv_dtype;  ///< bfloat16, float16 or float32
  std::string stage;     ///< whose operations are the rows
  /// Tokens that every head attends to in this stage of a step, from 0, and a layer of the model;
  /// nothing where heads differ.
  std::function<std::optional<std::int64_t>(std::int32_t step, std::int32_t layer)> tokens;
};

/// Rows in the schema of docs/measured-data.md with their header: a layer and number of tokens a
/// row, with the median over the steps that have as many. What has no one number of tokens is left
/// out.
[[nodiscard]] std::string attention_rows(const MeasuredTimeline& timeline,
                                         const AttentionRowShape& shape);

}  // namespace kvsieve::profile
