#include "a2ats/nearest_codeword.h"

#include <algorithm>
#include <limits>

#include "exec/cpu/simd.h"

namespace kvsieve::kernels {
namespace {

// Panels compared with a block of rows before the next ones: 512 codewords of d = 128 are 256 KiB,
// which stays in a core's second-level cache while all rows pass.
constexpr std::int64_t kPanelsPerTile = 32;

}  // namespace

HeadSlice as_head(MatrixView<const float> matrix) {
  return {traces::TensorView{reinterpret_cast<const std::byte*>(matrix.data),
                             traces::DType::kF32,
                             {1, matrix.rows, matrix.cols}},
          0};
}

void NearestCodeword::pack(MatrixView<const float> centroids) {
  const auto d = static_cast<std::size_t>(centroids.cols);
  std::vector<double> center(d, 0.0);
  for (std::int64_t m = 0; m < centroids.rows; ++m) {
    for (std::size_t t = 0; t < d; ++t) {
      center[t] += static_cast<double>(centroids.row(m)[t]) / static_cast<double>(centroids.rows);
    }
  }
  m_offsets.resize(static_cast<std::size_t>(centroids.rows) * d);
  m_biases.assign(static_cast<std::size_t>(panel_count(centroids.rows) * kPanelWidth),
                  std::numeric_limits<float>::infinity());
  for (std::int64_t m = 0; m < centroids.rows; ++m) {
    double bias = 0.0;
    for (std::size_t t = 0; t < d; ++t) {
      const double middle = static_cast<double>(static_cast<float>(center[t]));
      const auto offset = static_cast<float>(static_cast<double>(centroids.row(m)[t]) - middle);
      m_offsets[static_cast<std::size_t>(m) * d + t] = offset;
      bias += static_cast<double>(offset) * (static_cast<double>(offset) / 2.0 + middle);
    }
    m_biases[static_cast<std::size_t>(m)] = static_cast<float>(bias);
  }
  m_panels.load(as_head({m_offsets.data(), centroids.rows, centroids.cols}), nullptr);
}

void NearestCodeword::find(MatrixView<const float> x, std::span<std::int32_t> index,
                           std::span<float> scratch) const {
  const SimdOps& ops = simd();
  const std::int64_t d = head_dim();
  const std::int64_t stride = d * kPanelWidth;
  const std::int64_t panels = panel_count(count());
  std::fill(index.begin(), index.end(), 0);
  std::fill(scratch.begin(), scratch.end(), std::numeric_limits<float>::infinity());
  for (std::int64_t panel = 0; panel < panels; panel += kPanelsPerTile) {
    ops.multiply_argmin(x.data, x.stride, x.rows, m_panels.panels() + panel * stride, stride,
                        std::min(kPanelsPerTile, panels - panel), d,
                        m_biases.data() + panel * kPanelWidth, panel * kPanelWidth, scratch.data(),
                        index.data());
  }
}

}  // namespace kvsieve::kernels
