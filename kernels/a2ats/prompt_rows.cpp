#include "a2ats/prompt_rows.h"

#include <vector>

#include "kvsieve/traces/dtype.h"

namespace kvsieve::kernels {

void write_prompt_rows(const RetrievalLayer& layer, std::byte* rows) {
  const std::int64_t d = layer.head_dim();
  const std::int64_t tokens = layer.tokens();
  const std::size_t half = static_cast<std::size_t>(d) * traces::size_of(layer.k.dtype);
  std::vector<float> keys(static_cast<std::size_t>(tokens * d));
  std::vector<float> values(keys.size());
  const MatrixView<float> key_rows(keys.data(), tokens, d);
  const MatrixView<float> value_rows(values.data(), tokens, d);
  for (std::int64_t h = 0; h < layer.kv_heads(); ++h) {
    load_rotated_rows(HeadSlice(layer.k, h), *layer.phases, key_rows);
    load_rows(HeadSlice(layer.v, h), 0, value_rows);
    for (std::int64_t j = 0; j < layer.prompt_tokens; ++j) {
      std::byte* row = rows + static_cast<std::size_t>(h * tokens + j) * 2 * half;
      traces::from_float(layer.k.dtype, key_rows.row(j), row);
      traces::from_float(layer.k.dtype, value_rows.row(j), row + half);
    }
  }
}

}  // namespace kvsieve::kernels
