#include "kernels/device/warp_mma_probe.h"

#include "exec/device/warp_mma.cuh"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {
namespace {

/// Two neighbouring elements of `matrix` [rows, 16] as one register.
template <class T>
__device__ unsigned pair_at(const T* matrix, int row, int column) {
  return *reinterpret_cast<const unsigned*>(matrix + row * kMmaK + column);
}

template <class T>
__global__ void warp_mma_probe_kernel(const T* a, const T* b, float* sums) {
  a += blockIdx.x * kMmaM * kMmaK;
  b += blockIdx.x * kMmaN * kMmaK;
  sums += blockIdx.x * kMmaM * kMmaN;
  const int lane = static_cast<int>(threadIdx.x);
  const int r = lane / 4;
  const int c = lane % 4 * 2;
  const unsigned rows[4] = {pair_at(a, r, c), pair_at(a, r + 8, c), pair_at(a, r, c + 8),
                            pair_at(a, r + 8, c + 8)};
  const unsigned columns[2] = {pair_at(b, r, c), pair_at(b, r, c + 8)};
  float* upper = sums + r * kMmaN + c;
  float* lower = upper + 8 * kMmaN;
  float result[4] = {upper[0], upper[1], lower[0], lower[1]};
  warp_mma<T>(result, rows, columns);
  upper[0] = result[0];
  upper[1] = result[1];
  lower[0] = result[2];
  lower[1] = result[3];
}

template <class T>
void probe(std::int64_t problems, const void* a, const void* b, float* sums, Stream& stream) {
  const LaunchConfig config{{static_cast<unsigned>(problems)}, {kWarpSize}};
  launch<warp_mma_probe_kernel<T>>(config, stream, static_cast<const T*>(a),
                                   static_cast<const T*>(b), sums);
}

}  // namespace

void probe_warp_mma(traces::DType dtype, std::int64_t problems, const void* a, const void* b,
                    float* sums, Stream& stream) {
  if (dtype == traces::DType::kF16) {
    probe<__half>(problems, a, b, sums, stream);
  } else {
    probe<__nv_bfloat16>(problems, a, b, sums, stream);
  }
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
