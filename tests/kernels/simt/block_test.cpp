// Indices, barriers, shared memory, atomics and cp.async.

#include <gtest/gtest.h>

#include <cstdint>
#include <numeric>
#include <vector>

#include "exec/device/device.cuh"
#include "exec/device/warp.cuh"
#include "kernels/device/orders.h"
#include "kernels/simt/run_kernel.h"

namespace kvsieve::kernels::simt_ {
namespace {

std::vector<int> numbers(int count) {
  std::vector<int> result(static_cast<std::size_t>(count));
  std::iota(result.begin(), result.end(), 0);
  return result;
}

__global__ void indices(const int*, int* out) {
  const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  const unsigned threads = blockDim.x * blockDim.y * blockDim.z;
  out[block * threads + thread] += static_cast<int>(block * threads + thread) + warpSize;
}

TEST(SimtBlock, EveryThreadOfEveryBlockRunsOnce) {
  for_each_order([] {
    const auto out = run_kernel<indices, int>({{3, 2, 2}, {5, 3, 2}}, numbers(1), 360);
    for (int i = 0; i < 360; ++i) {
      EXPECT_EQ(out[static_cast<std::size_t>(i)], i + 32);
    }
  });
}

template <int kThreads>
__global__ void sums(const int* in, int* out) {
  __shared__ int shared[kThreads / 32];
  int total = 0;
  out[threadIdx.x] = block_exclusive_sum<kThreads>(in[threadIdx.x], shared, total);
  out[kThreads + threadIdx.x] = total;
}

TEST(SimtBlock, ScansABlock) {
  for_each_order([] {
    const auto out = run_kernel<sums<1024>, int>({{1}, {1024}}, numbers(1024), 2048);
    for (int i = 0; i < 1024; ++i) {
      EXPECT_EQ(out[static_cast<std::size_t>(i)], i * (i - 1) / 2);
      EXPECT_EQ(out[static_cast<std::size_t>(1024 + i)], 1023 * 512);
    }
  });
}

__global__ void counting_barriers(const int* in, int* out) {
  const int value = in[threadIdx.x];
  out[threadIdx.x] = __syncthreads_count(value % 3 == 0);
  out[100 + threadIdx.x] = __syncthreads_and(value < 100);
  out[200 + threadIdx.x] = __syncthreads_and(value < 99);
  out[300 + threadIdx.x] = __syncthreads_or(value == 42);
  out[400 + threadIdx.x] = __syncthreads_or(value == 100);
}

TEST(SimtBlock, BarriersThatCount) {
  for_each_order([] {
    const auto out = run_kernel<counting_barriers, int>({{1}, {100}}, numbers(100), 500);
    for (std::size_t i = 0; i < 100; ++i) {
      EXPECT_EQ(out[i], 34);
      EXPECT_EQ(out[100 + i], 1);
      EXPECT_EQ(out[200 + i], 0);
      EXPECT_EQ(out[300 + i], 1);
      EXPECT_EQ(out[400 + i], 0);
    }
  });
}

__global__ void unset_memory(const int*, unsigned* out) {
  __shared__ unsigned fixed[4];
  const unsigned* const dynamic = dynamic_shared<unsigned>();
  out[2 * blockIdx.x] = fixed[blockIdx.x % 4];
  out[2 * blockIdx.x + 1] = dynamic[3];
  fixed[blockIdx.x % 4] = 7;
  dynamic_shared<unsigned>()[3] = 7;
}

#ifndef KVSIEVE_SIMT_ASAN
TEST(SimtBlock, SharedMemoryStartsAsOnesInEveryBlock) {
  const auto out = run_kernel<unset_memory, unsigned>({{50}, {1}, 16}, numbers(1), 100);
  EXPECT_EQ(out, std::vector<unsigned>(100, 0xffffffffU));
}
#endif

__global__ void global_start(const int*, int* out) {
  out[0] = 1;
}

TEST(SimtBlock, GlobalMemoryStartsAsOnes) {
  Stream stream;
  const DeviceBuffer<int> buffer(3);
  launch<global_start>({{1}, {1}}, stream, static_cast<const int*>(nullptr), buffer.data());
  EXPECT_EQ(buffer.download(stream), (std::vector<int>{1, -1, -1}));
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.data()) % 256, 0U);
}

__global__ void atomics(const int* in, int* out) {
  const int value = in[threadIdx.x];
  auto* const words = reinterpret_cast<unsigned*>(out);
  atomicAdd(&out[0], value);
  atomicMax(&out[1], value);
  atomicMin(&out[2], -value);
  atomicOr(&words[3], 1U << (threadIdx.x % 32));
  atomicXor(&words[4], 1U << (threadIdx.x % 32));
  atomicSub(&out[5], 1);
  atomicInc(&words[6], 9);
  int seen = out[7];
  for (int old = atomicCAS(&out[7], seen, seen + 2); old != seen;
       old = atomicCAS(&out[7], seen, seen + 2)) {
    seen = old;
  }
  auto* const wide = reinterpret_cast<unsigned long long*>(out + 8);
  atomicAdd(wide, 1ULL << 33U);
  atomicAdd(reinterpret_cast<float*>(out + 10), 0.5F);
  if (atomicExch(&out[11], 1) == 0) {
    atomicAdd(&out[12], 1);
  }
  atomicAnd(&words[13], ~(1U << (threadIdx.x % 32)));
  atomicDec(&words[14], 20);
}

TEST(SimtBlock, AtomicsOfManyBlocks) {
  for_each_order([] {
    const auto out = run_kernel<atomics, int>({{20}, {64}}, numbers(64), 15);
    EXPECT_EQ(out[0], 20 * 63 * 32);
    EXPECT_EQ(out[1], 63);
    EXPECT_EQ(out[2], -63);
    EXPECT_EQ(out[3], -1);
    EXPECT_EQ(out[4], 0);
    EXPECT_EQ(out[5], -1280);
    EXPECT_EQ(out[6], 0);
    EXPECT_EQ(out[7], 2560);
    EXPECT_EQ(out[8], 0);
    EXPECT_EQ(out[9], 2560);
    EXPECT_EQ(std::bit_cast<float>(out[10]), 640.0F);
    EXPECT_EQ(out[11], 1);
    EXPECT_EQ(out[12], 1);
    EXPECT_EQ(out[13], 0);
    // 1280 steps down in a circle of 21, from 0.
    EXPECT_EQ(out[14], 1);
  });
}

/// Three stages of copies of 16, 8 and 4 bytes, used as soon as each has landed.
__global__ void staged_copies(const int* in, int* out) {
  int* const staged = dynamic_shared<int>();
  const unsigned t = threadIdx.x;
  __pipeline_memcpy_async(staged + 4 * t, in + 4 * t, 16);
  __pipeline_commit();
  __pipeline_memcpy_async(staged + 64 + 2 * t, in + 64 + 2 * t, 8);
  __pipeline_commit();
  __pipeline_memcpy_async(staged + 96 + t, in + 96 + t, 4);
  out[64] = staged[4 * t];
  __pipeline_commit();
  __pipeline_wait_prior(2);
  out[4 * t] = staged[4 * t];
  out[4 * t + 1] = staged[64 + 2 * t];
  __pipeline_wait_prior(1);
  out[4 * t + 2] = staged[64 + 2 * t];
  __pipeline_wait_prior(0);
  out[4 * t + 3] = staged[96 + t];
}

TEST(SimtBlock, AsynchronousCopiesLandAtTheirWait) {
  std::vector<int> expected;
  for (int t = 0; t < 16; ++t) {
    expected.insert(expected.end(), {4 * t, -1, 64 + 2 * t, 96 + t});
  }
  expected.push_back(-1);
  EXPECT_EQ((run_kernel<staged_copies, int>({{1}, {16}, 512}, numbers(128), 65)), expected);
}

__global__ void padded_copy(const int* in, int* out) {
  auto* const staged = dynamic_shared<int>();
  __pipeline_memcpy_async(staged, in, 16, 8);
  __pipeline_commit();
  __pipeline_wait_prior(0);
  for (int i = 0; i < 4; ++i) {
    out[i] = staged[i];
  }
}

TEST(SimtBlock, AsynchronousCopiesFillUpWithZeros) {
  EXPECT_EQ((run_kernel<padded_copy, int>({{1}, {1}, 16}, std::vector<int>(4, 5), 4)),
            (std::vector<int>{5, 5, 0, 0}));
}

__global__ void deep_stack(const int* in, int* out) {
  volatile int frame[4096];
  for (int i = 0; i < 4096; ++i) {
    frame[i] = in[0] + i;
  }
  __syncthreads();
  int sum = 0;
  for (int i = 0; i < 4096; ++i) {
    sum += frame[i];
  }
  out[threadIdx.x] = sum;
}

TEST(SimtBlock, ThreadsMayKeepSixteenKibibytesEach) {
  EXPECT_EQ((run_kernel<deep_stack, int>({{1}, {32}}, std::vector<int>(1, 1), 32)),
            std::vector<int>(32, 4096 * 4097 / 2));
}

}  // namespace
}  // namespace kvsieve::kernels::simt_
