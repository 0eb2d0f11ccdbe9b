#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "exec/device/device.cuh"
#include "exec/device/numeric.cuh"
#include "exec/device/warp.cuh"
#include "kvsieve/traces/error.h"
#include "kernels/device/orders.h"

namespace kvsieve::kernels::simt_ {
namespace {

__global__ void block_sums(const int* in, int* out, int n) {
  __shared__ int partial[8];
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  int total = 0;
  block_exclusive_sum<256>(i < n ? in[i] : 0, partial, total);
  if (threadIdx.x == 0) {
    out[blockIdx.x] = total;
  }
}

TEST(Executor, SumsABlock) {
  for_each_order([] {
    Stream stream;
    std::vector<int> in(1000);
    std::iota(in.begin(), in.end(), 0);
    DeviceBuffer<int> source(std::span<const int>(in), stream);
    DeviceBuffer<int> target(4);
    launch<block_sums>({{4}, {256}}, stream, source.data(), target.data(), 1000);
    const std::vector<int> out = target.download(stream);
    EXPECT_EQ(std::accumulate(out.begin(), out.end(), 0), 499500);
  });
}

}  // namespace
}  // namespace kvsieve::kernels::simt_
