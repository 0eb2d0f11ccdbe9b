#pragma once
// Measured decode attention as rows that `kvsieve calibrate` and `validate` read.

#include <cstdint>
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
  std::string kv_dtype;            ///< bfloat16, float16 or float32
  std::int64_t prompt_tokens = 0;  ///< of the trace
  std::int64_t sinks = 0;
  std::int64_t window = 0;
};

/// Rows in the schema of docs/measured-data.md with their header: attention over sinks and window,
/// which all heads have as many of, a layer and number of tokens a row, with the median over the
/// steps. Attention over fetched tokens is left out, as heads fetch different numbers of them.
[[nodiscard]] std::string attention_rows(const MeasuredTimeline& timeline,
                                         const AttentionRowShape& shape);

}  // namespace kvsieve::profile
