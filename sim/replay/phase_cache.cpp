#include "replay/phase_cache.h"

namespace kvsieve::sim {

void load_group_queries(const traces::TensorView& q, std::int64_t kv_head, std::int64_t group,
                        std::int64_t first, std::span<const std::int32_t> positions,
                        const kernels::RopePhases& phases, std::vector<float>& rows) {
  const auto count = static_cast<std::int64_t>(positions.size());
  const std::int64_t d = q.shape[2];
  rows.resize(static_cast<std::size_t>(group * count * d));
  for (std::int64_t member = 0; member < group; ++member) {
    const kernels::MatrixView<float> part(rows.data() + member * count * d, count, d);
    kernels::load_rows(kernels::HeadSlice(q, kv_head * group + member), first, part);
    for (std::int64_t r = 0; r < count; ++r) {
      phases.table().rotate(positions[static_cast<std::size_t>(r)], part.row(r));
    }
  }
}

}  // namespace kvsieve::sim
