#include <Eigen/Core>

#include "a2ats/nearest_codeword.h"
#include "exec/cpu/parallel.h"
#include "exec/cpu/simd.h"
#include "kvsieve/kernels/codebook_training.h"

namespace kvsieve::kernels {
namespace {

constexpr std::int64_t kRowsPerBlock = 128;

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

std::vector<float> rounded(MatrixView<const double> matrix) {
  return {matrix.data, matrix.data + matrix.rows * matrix.cols};
}

}  // namespace

void whiten(MatrixView<const float> keys, MatrixView<const double> lower, MatrixView<float> z) {
  const std::vector<float> factor = rounded(lower);
  PackedMatrix packed;
  packed.pack(MatrixView<const float>(factor.data(), lower.rows, lower.cols));
  parallel_blocks(keys.rows, kRowsPerBlock, [&](std::int64_t first, std::int64_t last) {
    simd().multiply(keys.data + first * keys.stride, keys.stride, last - first, packed.panels(),
                    packed.panel_stride(), panel_count(packed.columns()), packed.depth(),
                    z.data + first * z.stride, z.stride, /*accumulate=*/false);
  });
}

std::vector<float> unwhiten(MatrixView<const double> whitened, MatrixView<const double> lower) {
  RowMajor c = Eigen::Map<const RowMajor>(whitened.data, whitened.rows, whitened.cols);
  Eigen::Map<const RowMajor>(lower.data, lower.rows, lower.cols)
      .triangularView<Eigen::Lower>()
      .solveInPlace<Eigen::OnTheRight>(c);
  return {c.data(), c.data() + c.size()};
}

TrainedCodebook train_codebook(MatrixView<const float> keys, const CholeskyFactor& factor,
                               const KMeansOptions& options) {
  const std::int64_t stride = panel_count(keys.cols) * kPanelWidth;
  std::vector<float> rows(static_cast<std::size_t>(keys.rows * stride));
  const MatrixView<float> z(rows.data(), keys.rows, keys.cols, stride);
  whiten(keys, factor.matrix(), z);
  TrainedCodebook codebook;
  codebook.clustering = kmeans(z, options);
  codebook.codewords =
      unwhiten({codebook.clustering.means.data(), options.clusters, keys.cols}, factor.matrix());
  codebook.cholesky = rounded(factor.matrix());
  return codebook;
}

}  // namespace kvsieve::kernels
