#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>

#include "exec/cpu/parallel.h"
#include "kvsieve/kernels/codebook_training.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::kernels {
namespace {

constexpr std::int64_t kRowsPerBlock = 512;
constexpr std::int64_t kBlocksPerRound = 32;  // bounds the partial sums that wait to be combined
constexpr double kRegularisation = 1e-6;

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using RowMajorFloat = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

}  // namespace

QueryMoment::QueryMoment(std::int64_t head_dim)
    : m_head_dim(head_dim), m_sum(static_cast<std::size_t>(head_dim * head_dim), 0.0) {}

QueryMoment::QueryMoment(std::int64_t head_dim, std::int64_t rows, std::vector<double> sum)
    : m_head_dim(head_dim), m_rows(rows), m_sum(std::move(sum)) {
  if (static_cast<std::int64_t>(m_sum.size()) != head_dim * head_dim) {
    throw Error(ErrorKind::kInternal, "a second moment has head_dim x head_dim numbers");
  }
}

void QueryMoment::add(MatrixView<const float> queries) {
  const std::int64_t d = m_head_dim;
  Eigen::Map<RowMajor> sum(m_sum.data(), d, d);
  std::vector<RowMajor> partial(
      static_cast<std::size_t>(std::min(kBlocksPerRound, queries.rows / kRowsPerBlock + 1)));
  for (std::int64_t round = 0; round < queries.rows; round += kBlocksPerRound * kRowsPerBlock) {
    const std::int64_t rows = std::min(kBlocksPerRound * kRowsPerBlock, queries.rows - round);
    parallel_blocks(rows, kRowsPerBlock, [&](std::int64_t first, std::int64_t last) {
      const Eigen::Map<const RowMajorFloat, 0, Eigen::OuterStride<>> block(
          queries.data + (round + first) * queries.stride, last - first, d,
          Eigen::OuterStride<>(queries.stride));
      const RowMajor values = block.cast<double>();
      RowMajor& product = partial[static_cast<std::size_t>(first / kRowsPerBlock)];
      product = RowMajor::Zero(d, d);
      product.selfadjointView<Eigen::Lower>().rankUpdate(values.transpose());
    });
    for (std::int64_t block = 0; block * kRowsPerBlock < rows; ++block) {
      sum.triangularView<Eigen::Lower>() += partial[static_cast<std::size_t>(block)];
    }
  }
  sum.triangularView<Eigen::StrictlyUpper>() = sum.transpose();
  m_rows += queries.rows;
}

void QueryMoment::add(const QueryMoment& other) {
  if (other.m_head_dim != m_head_dim) {
    throw Error(ErrorKind::kInternal, "second moments of different head dimensions do not add");
  }
  std::transform(m_sum.begin(), m_sum.end(), other.m_sum.begin(), m_sum.begin(), std::plus<>());
  m_rows += other.m_rows;
}

CholeskyFactor factorise(const QueryMoment& moment) {
  const std::int64_t d = moment.head_dim();
  RowMajor h = Eigen::Map<const RowMajor>(moment.matrix().data, d, d);
  const double rms = h.norm() / static_cast<double>(d);
  if (!std::isfinite(rms)) {
    throw Error(ErrorKind::kBadInput, "calibration queries hold values that are not finite");
  }
  if (rms == 0.0) {
    throw Error(ErrorKind::kBadInput, "there are no calibration queries, or all of them are zero");
  }
  h /= rms;
  h.diagonal().array() += kRegularisation;
  CholeskyFactor factor;
  factor.head_dim = d;
  factor.lower.resize(static_cast<std::size_t>(d * d));
  const Eigen::LLT<RowMajor> cholesky(h);
  if (cholesky.info() != Eigen::Success) {
    throw Error(ErrorKind::kInternal, "a regularised second moment is not positive definite");
  }
  Eigen::Map<RowMajor>(factor.lower.data(), d, d) = cholesky.matrixL();
  const Eigen::SelfAdjointEigenSolver<RowMajor> spectrum(h, Eigen::EigenvaluesOnly);
  factor.condition_number = spectrum.eigenvalues()(d - 1) / spectrum.eigenvalues()(0);
  return factor;
}

CholeskyFactor identity_factor(std::int64_t head_dim) {
  CholeskyFactor factor;
  factor.head_dim = head_dim;
  factor.lower.assign(static_cast<std::size_t>(head_dim * head_dim), 0.0);
  for (std::int64_t t = 0; t < head_dim; ++t) {
    factor.lower[static_cast<std::size_t>(t * head_dim + t)] = 1.0;
  }
  return factor;
}

}  // namespace kvsieve::kernels
