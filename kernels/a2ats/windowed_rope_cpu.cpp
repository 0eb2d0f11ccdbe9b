#include <algorithm>

#include "kvsieve/kernels/windowed_rope.h"

namespace kvsieve::kernels {

void rotate_to_distance(const traces::RopeTable& rope, std::int64_t distance,
                        MatrixView<float> queries) {
  const traces::RopePhase phase = rope.phase(distance);
  for (std::int64_t r = 0; r < queries.rows; ++r) {
    rope.rotate(phase, queries.row(r));
  }
}

void windowed_scores(MatrixView<const float> near, MatrixView<const float> far,
                     std::span<const std::int32_t> positions, std::int64_t window,
                     MatrixView<float> out) {
  for (std::int64_t r = 0; r < out.rows; ++r) {
    const std::int64_t seen = positions[static_cast<std::size_t>(r)] + std::int64_t{1};
    const std::int64_t first_near = std::clamp<std::int64_t>(seen - window, 0, seen);
    const auto copy = [&](MatrixView<const float> from, std::int64_t begin, std::int64_t end) {
      if (from.data != out.data) {
        std::copy(from.row(r).begin() + begin, from.row(r).begin() + end,
                  out.row(r).begin() + begin);
      }
    };
    copy(far, 0, first_near);
    copy(near, first_near, seen);
  }
}

}  // namespace kvsieve::kernels
