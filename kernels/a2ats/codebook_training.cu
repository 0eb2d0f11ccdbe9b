#include "a2ats/codebook_training.cuh"

#include <utility>
#include <vector>

#include "exec/device/dtype.cuh"
#include "exec/device/operation_range.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {
namespace {

constexpr const char* kOperation = "whiten";

void check(const WhitenArgs& args) {
  dispatch_head_dim(kOperation, args.keys.head_dim, [&]<int kHeadDim> {});
  require_contract(args.keys.rows >= 0 && args.keys.stride >= args.keys.head_dim, kOperation,
                   "keys overlap");
  const auto size = static_cast<std::int64_t>(traces::size_of(args.keys.dtype));
  if (reinterpret_cast<std::uintptr_t>(args.keys.keys) % 16 != 0 ||
      args.keys.stride * size % 16 != 0) {
    throw Error(ErrorKind::kUsage,
                fmt::format("{}: keys and strides must be multiples of 16 bytes", kOperation));
  }
}

}  // namespace

LaunchConfig whiten_config(const WhitenArgs& args) {
  return {{blocks_for(args.keys.rows, kTileRows), blocks_for(args.keys.head_dim, kTileColumns)},
          {kTileThreads}};
}

void whiten(const WhitenArgs& args, Stream& stream) {
  const OperationRange range(kOperation);
  dispatch_dtype(kOperation, args.keys.dtype, [&]<class T> {
    check(args);
    const WhitenTask<T> task{static_cast<const T*>(args.keys.keys),
                             args.cholesky,
                             args.z,
                             args.keys.stride,
                             args.keys.rows,
                             static_cast<int>(args.keys.head_dim)};
    launch<whiten_kernel<T>>(whiten_config(args), stream, task);
  });
}

QueryMoment download_moment(const double* moment, std::int64_t head_dim, std::int64_t rows,
                            Stream& stream) {
  std::vector<double> sum(static_cast<std::size_t>(head_dim * head_dim));
  copy_to_host(sum.data(), moment, sum.size() * sizeof(double), stream);
  stream.synchronize();
  return {head_dim, rows, std::move(sum)};
}

TrainedCodebook train_codebook(const TrainingKeys& keys, const CholeskyFactor& factor,
                               const KMeansOptions& options, Stream& stream) {
  const std::int64_t d = keys.head_dim;
  TrainedCodebook codebook;
  codebook.cholesky.assign(factor.lower.begin(), factor.lower.end());
  const DeviceBuffer<float> cholesky(std::span<const float>(codebook.cholesky), stream);
  const DeviceBuffer<float> z(static_cast<std::size_t>(keys.rows * d));
  whiten({keys, cholesky.data(), z.data()}, stream);
  codebook.clustering = kmeans(DevicePoints{z.data(), keys.rows, d, d}, options, stream);
  codebook.codewords =
      unwhiten({codebook.clustering.means.data(), options.clusters, d}, factor.matrix());
  return codebook;
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
