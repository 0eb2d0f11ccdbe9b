// Kernels with one bug each, and the same kernels without it. seeded_bugs_test.py runs every case
// in builds with and without sanitizers and says what has to find the bug.
//
//   seeded_bugs CASE bug|fixed
//
// The status is 0 for a right result, 3 if the executor stopped the launch (its message is on
// stderr) and 4 for a wrong result under some order; sanitizers end the program on their own.

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <numeric>
#include <span>
#include <string_view>
#include <vector>

#include "exec/device/device.cuh"
#include "exec/device/host_memory.cuh"
#include "kvsieve/traces/error.h"

namespace kvsieve::kernels::simt_ {
namespace {

constexpr unsigned kThreads = 64;
constexpr unsigned kFull = 0xffffffffU;

std::vector<int> numbers(std::size_t count) {
  std::vector<int> result(count);
  std::iota(result.begin(), result.end(), 1);
  return result;
}

/// Runs a kernel (const int* in, int* out) over 1, 2, 3, ... and compares what it leaves in `out`.
template <auto Kernel>
bool gives(const LaunchConfig& config, std::size_t in_size, const std::vector<int>& expected) {
  Stream stream;
  const std::vector<int> input = numbers(in_size);
  const DeviceBuffer<int> in(std::span<const int>(input), stream);
  const DeviceBuffer<int> out(expected.size());
  fill_device(out.data(), 0, out.size_bytes(), stream);
  launch<Kernel>(config, stream, in.data(), out.data());
  return out.download(stream) == expected;
}

std::vector<int> reversed(std::size_t count) {
  std::vector<int> result = numbers(count);
  std::reverse(result.begin(), result.end());
  return result;
}

// ---- Missing synchronisation ----

template <bool kBug>
__global__ void missing_syncthreads(const int* in, int* out) {
  __shared__ int values[kThreads];
  values[threadIdx.x] = in[threadIdx.x];
  if (!kBug) {
    __syncthreads();
  }
  out[threadIdx.x] = values[kThreads - 1 - threadIdx.x];
}

template <bool kBug>
__global__ void missing_syncthreads_before_reuse(const int* in, int* out) {
  __shared__ int value;
  int sum = 0;
  for (unsigned turn = 0; turn < 4; ++turn) {
    if (threadIdx.x == turn) {
      value = in[turn];
    }
    __syncthreads();
    sum += value;
    if (!kBug) {
      __syncthreads();
    }
  }
  out[threadIdx.x] = sum;
}

template <bool kBug>
__global__ void missing_syncwarp(const int* in, int* out) {
  __shared__ int values[kThreads];
  values[threadIdx.x] = in[threadIdx.x];
  if (!kBug) {
    __syncwarp();
  }
  out[threadIdx.x] = values[threadIdx.x ^ 31U];
}

template <bool kBug>
__global__ void shared_counter_without_atomic(const int* in, int* out) {
  __shared__ int count;
  if (threadIdx.x == 0) {
    count = 0;
  }
  __syncthreads();
  if (in[threadIdx.x] % 2 == 0) {
    if (kBug) {
      ++count;
    } else {
      atomicAdd(&count, 1);
    }
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    out[0] = count;
  }
}

template <bool kBug>
__global__ void cross_block_race(const int* in, int* out) {
  if (threadIdx.x == 0) {
    if (kBug) {
      out[0] += in[blockIdx.x];
    } else {
      atomicAdd(out, in[blockIdx.x]);
    }
  }
}

/// The last block adds up what all blocks wrote.
template <bool kBug>
__global__ void missing_threadfence(const int* in, int* out) {
  int* const partial = out + 2;
  auto* const finished = reinterpret_cast<unsigned*>(out + 1);
  if (threadIdx.x == 0) {
    partial[blockIdx.x] = in[blockIdx.x];
    if (!kBug) {
      __threadfence();
    }
    if (atomicAdd(finished, 1U) == gridDim.x - 1) {
      if (!kBug) {
        __threadfence();
      }
      for (unsigned block = 0; block < gridDim.x; ++block) {
        out[0] += partial[block];
      }
    }
  }
}

template <bool kBug>
__global__ void missing_async_wait(const int* in, int* out) {
  int* const staged = dynamic_shared<int>();
  __pipeline_memcpy_async(staged + threadIdx.x, in + threadIdx.x, sizeof(int));
  __pipeline_commit();
  if (!kBug) {
    __pipeline_wait_prior(0);
  }
  __syncthreads();
  out[threadIdx.x] = staged[kThreads - 1 - threadIdx.x];
}

/// A wait covers the thread's own copies only.
template <bool kBug>
__global__ void async_wait_without_barrier(const int* in, int* out) {
  int* const staged = dynamic_shared<int>();
  __pipeline_memcpy_async(staged + threadIdx.x, in + threadIdx.x, sizeof(int));
  __pipeline_commit();
  __pipeline_wait_prior(0);
  if (!kBug) {
    __syncthreads();
  }
  out[threadIdx.x] = staged[kThreads - 1 - threadIdx.x];
}

/// Two stages in flight; the first one has to have landed.
template <bool kBug>
__global__ void async_wait_for_too_few(const int* in, int* out) {
  __shared__ int staged[2][kThreads];
  for (unsigned stage = 0; stage < 2; ++stage) {
    __pipeline_memcpy_async(&staged[stage][threadIdx.x], in + stage * kThreads + threadIdx.x,
                            sizeof(int));
    __pipeline_commit();
  }
  __pipeline_wait_prior(kBug ? 2 : 1);
  __syncthreads();
  out[threadIdx.x] = staged[0][kThreads - 1 - threadIdx.x];
}

// ---- Memory ----

template <bool kBug>
__global__ void shared_static_overrun(const int* in, int* out) {
  __shared__ int values[kThreads];
  values[threadIdx.x + (kBug ? 1U : 0U)] = in[threadIdx.x];
  __syncthreads();
  out[threadIdx.x] = values[kThreads - 1 - threadIdx.x];
}

template <bool kBug>
__global__ void shared_dynamic_overrun(const int* in, int* out) {
  int* const values = dynamic_shared<int>();
  values[threadIdx.x + (kBug ? 1U : 0U)] = in[threadIdx.x];
  __syncthreads();
  out[threadIdx.x] = values[kThreads - 1 - threadIdx.x];
}

template <bool kBug>
__global__ void global_overrun(const int* in, int* out) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  const unsigned n = 100;
  if (kBug || i < n) {
    out[i] = in[i];
  }
}

template <bool kBug>
__global__ void off_by_one_tail(const int* in, int* out) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  const unsigned n = 100;
  if (i < n || (kBug && i == n)) {
    out[i] = in[i];
  }
}

template <bool kBug>
__global__ void local_array_overrun(const int* in, int* out) {
  int history[4];
  for (int i = 0; i < 4; ++i) {
    history[i] = in[threadIdx.x] + i;
  }
  // Only a value of the input tells how far it reads, so that no compiler sees it.
  out[threadIdx.x] = history[(in[0] + 2) % 4] + history[kBug ? in[0] + 3 : 0];
}

/// The same beyond what a compiler knows the size of.
__device__ [[gnu::noinline]] int element(const int* values, int index) {
  return values[index];
}

template <bool kBug>
__global__ void static_overrun_by_pointer(const int* in, int* out) {
  __shared__ int values[kThreads];
  values[threadIdx.x] = in[threadIdx.x];
  __syncthreads();
  const int last = static_cast<int>(kThreads) - 1;
  out[threadIdx.x] = element(values, last - static_cast<int>(threadIdx.x) + (kBug ? 1 : 0));
}

template <bool kBug>
__global__ void local_overrun_by_pointer(const int* in, int* out) {
  int history[4];
  for (int i = 0; i < 4; ++i) {
    history[i] = in[threadIdx.x] + i;
  }
  out[threadIdx.x] = element(history, kBug ? 4 : 3) - 3;
}

template <bool kBug>
__global__ void misaligned_load(const int* in, int* out) {
  const int4 four = *reinterpret_cast<const int4*>(in + (kBug ? 1 : 4));
  out[0] = four.x;
}

template <bool kBug>
__global__ void misaligned_async_copy(const int* in, int* out) {
  int* const staged = dynamic_shared<int>();
  if (threadIdx.x < 4) {
    __pipeline_memcpy_async(staged + 4 * threadIdx.x, in + 4 * threadIdx.x + (kBug ? 1 : 0), 16);
  }
  __pipeline_commit();
  __pipeline_wait_prior(0);
  __syncthreads();
  if (threadIdx.x < 16) {
    out[threadIdx.x] = staged[threadIdx.x];
  }
}

template <bool kBug>
__global__ void uninitialised_static_shared(const int* in, int* out) {
  __shared__ int bins[kThreads];
  if (!kBug) {
    bins[threadIdx.x] = 0;
    __syncthreads();
  }
  atomicAdd(&bins[in[threadIdx.x] % 2], 1);
  __syncthreads();
  if (threadIdx.x < 2) {
    out[threadIdx.x] = bins[threadIdx.x];
  }
}

template <bool kBug>
__global__ void uninitialised_dynamic_shared(const int* in, int* out) {
  int* const bins = dynamic_shared<int>();
  if (!kBug) {
    bins[threadIdx.x] = 0;
    __syncthreads();
  }
  atomicAdd(&bins[in[threadIdx.x] % 2], 1);
  __syncthreads();
  if (threadIdx.x < 2) {
    out[threadIdx.x] = bins[threadIdx.x];
  }
}

template <bool kBug>
__global__ void signed_overflow(const int* in, int* out) {
  out[threadIdx.x] = in[threadIdx.x] * (kBug ? 0x40000000 : 1);
}

// ---- Divergence ----

template <bool kBug>
__global__ void divergent_barrier(const int* in, int* out) {
  if (kBug && threadIdx.x >= 40) {
    return;
  }
  __shared__ int values[kThreads];
  values[threadIdx.x] = in[threadIdx.x];
  __syncthreads();
  out[threadIdx.x] = values[threadIdx.x];
}

template <bool kBug>
__global__ void two_barriers(const int* in, int* out) {
  __shared__ int values[kThreads];
  values[threadIdx.x] = in[threadIdx.x];
  if (kBug && threadIdx.x < 32) {
    __syncthreads();
  } else {
    __syncthreads();
  }
  out[threadIdx.x] = values[kThreads - 1 - threadIdx.x];
}

template <bool kBug>
__global__ void deadlock(const int* in, int* out) {
  if (kBug && threadIdx.x % 32 >= 16) {
    __syncthreads();
  }
  const unsigned even = __ballot_sync(kFull, in[threadIdx.x] % 2 == 0);
  __syncthreads();
  out[threadIdx.x] = __popc(even);
}

template <bool kBug>
__global__ void mask_of_a_full_warp(const int* in, int* out) {
  // 40 threads: the second warp has 8.
  const unsigned mask = kBug || threadIdx.x < 32 ? kFull : 0xffU;
  out[threadIdx.x] = __popc(__ballot_sync(mask, in[threadIdx.x] > 0));
}

template <bool kBug>
__global__ void lane_outside_mask(const int* in, int* out) {
  const unsigned mask = kBug ? 0x0000ffffU : kFull;
  out[threadIdx.x] = __shfl_sync(mask, in[threadIdx.x], 0);
}

template <bool kBug>
__global__ void shuffle_from_outside_mask(const int* in, int* out) {
  out[threadIdx.x] = 0;
  if (threadIdx.x < 8) {
    out[threadIdx.x] = __shfl_sync(0xffU, in[threadIdx.x], kBug ? 8 : 7);
  }
}

template <bool kBug>
__global__ void shuffle_with_exited_lane(const int* in, int* out) {
  if (kBug && threadIdx.x == 5) {
    return;
  }
  out[threadIdx.x] = __shfl_xor_sync(kFull, in[threadIdx.x], 1);
}

template <bool kBug>
__global__ void different_operations(const int* in, int* out) {
  if (kBug && threadIdx.x % 32 < 16) {
    out[threadIdx.x] = static_cast<int>(__ballot_sync(kFull, in[threadIdx.x]));
  } else {
    out[threadIdx.x] = __any_sync(kFull, in[threadIdx.x]);
  }
}

template <bool kBug>
__global__ void different_masks(const int* in, int* out) {
  const unsigned mask = kBug && threadIdx.x % 32 < 16 ? 0xffffU : kFull;
  out[threadIdx.x] = __any_sync(mask, in[threadIdx.x]);
}

// ---- Cases that are more than a kernel ----

__global__ void double_all(const int* in, int* out) {
  out[threadIdx.x] = 2 * in[threadIdx.x];
}

bool missing_event(bool bug) {
  Stream upload;
  Stream compute;
  Event uploaded;
  const std::vector<int> input = numbers(kThreads);
  const DeviceBuffer<int> in(kThreads);
  const DeviceBuffer<int> out(kThreads);
  copy_to_device(in.data(), input.data(), in.size_bytes(), upload);
  if (!bug) {
    uploaded.record(upload);
    uploaded.block(compute);
  }
  launch<double_all>({{1}, {kThreads}}, compute, in.data(), out.data());
  const std::vector<int> result = out.download(compute);
  upload.synchronize();
  return result[0] == 2 && result[1] == 4;
}

bool use_after_free(bool bug) {
  Stream stream;
  const std::vector<int> input = numbers(kThreads);
  DeviceBuffer<int> in(std::span<const int>(input), stream);
  const int* const data = in.data();
  if (bug) {
    in = DeviceBuffer<int>();
  }
  const DeviceBuffer<int> out(kThreads);
  launch<double_all>({{1}, {kThreads}}, stream, data, out.data());
  return out.download(stream)[1] == 4;
}

bool uninitialised_global(bool bug) {
  Stream stream;
  const std::vector<int> input = numbers(kThreads);
  const DeviceBuffer<int> in(kThreads);
  const DeviceBuffer<int> out(kThreads);
  if (!bug) {
    copy_to_device(in.data(), input.data(), in.size_bytes(), stream);
  }
  launch<double_all>({{1}, {kThreads}}, stream, in.data(), out.data());
  return out.download(stream)[1] == 4;
}

__global__ void double_from_host(const int* in, int* out) {
  const auto four = read_host16(in + 4 * threadIdx.x);
  for (unsigned i = 0; i < 4; ++i) {
    out[4 * threadIdx.x + i] = 2 * four.values[i];
  }
}

bool gives_doubled(const int* in, std::size_t count) {
  Stream stream;
  const DeviceBuffer<int> out(count);
  launch<double_from_host>({{1}, {static_cast<unsigned>(count) / 4}}, stream, in, out.data());
  return out.download(stream).back() == 2 * in[count - 1];
}

bool host_read_of_pageable_memory(bool bug) {
  const std::vector<int> pageable = numbers(kThreads);
  const PinnedBuffer<int> pinned(kThreads);
  std::copy(pageable.begin(), pageable.end(), pinned.data());
  return gives_doubled(bug ? pageable.data() : pinned.data(), kThreads);
}

bool host_read_overrun(bool bug) {
  const PinnedBuffer<int> pinned(bug ? kThreads - 1 : kThreads);
  std::iota(pinned.data(), pinned.data() + pinned.size(), 1);
  return gives_doubled(pinned.data(), kThreads);
}

bool host_read_misaligned(bool bug) {
  const PinnedBuffer<int> pinned(kThreads + 4);
  std::iota(pinned.data(), pinned.data() + pinned.size(), 1);
  return gives_doubled(pinned.data() + (bug ? 2 : 4), kThreads);
}

__global__ void double_to_host(const int* in, int* out) {
  write_host(out + threadIdx.x, 2 * in[threadIdx.x]);
}

bool host_write_to_device_memory(bool bug) {
  Stream stream;
  const std::vector<int> input = numbers(kThreads);
  const DeviceBuffer<int> in(std::span<const int>(input), stream);
  const DeviceBuffer<int> out(kThreads);
  const PinnedBuffer<int> pinned(kThreads);
  launch<double_to_host>({{1}, {kThreads}}, stream, in.data(), bug ? out.data() : pinned.data());
  stream.synchronize();
  return pinned.data()[1] == 4;
}

bool too_much_shared_memory(bool bug) {
  constexpr std::size_t kLimit = 232448;
  return gives<double_all>({{1}, {kThreads}, bug ? kLimit + 1 : kLimit}, kThreads, [] {
    std::vector<int> doubled = numbers(kThreads);
    std::for_each(doubled.begin(), doubled.end(), [](int& x) { x *= 2; });
    return doubled;
  }());
}

bool too_many_threads(bool bug) {
  Stream stream;
  const std::vector<int> input = numbers(2048);
  const DeviceBuffer<int> in(std::span<const int>(input), stream);
  const DeviceBuffer<int> out(2048);
  launch<double_all>({{1}, {bug ? 1025U : 1024U}}, stream, in.data(), out.data());
  return out.download(stream)[1023] == 2048;
}

// ---- The table ----

struct Case {
  std::string_view name;
  bool (*run)(bool bug);
};

#define KERNEL_CASE(kernel, config, in_size, ...)                                \
  Case {                                                                         \
#kernel, [](bool bug) {                                                        \
      const LaunchConfig launch_config = LaunchConfig config;                      \
      const std::vector<int> expected = __VA_ARGS__;                               \
      return bug ? gives<kernel<true>>(launch_config, in_size, expected)           \
                 : gives<kernel<false>>(launch_config, in_size, expected);         \
    } \
  }
#define ONE_BLOCK ({{1}, {kThreads}, kThreads * sizeof(int)})

std::vector<int> numbers_by_pairs() {
  std::vector<int> result = numbers(kThreads);
  for (std::size_t i = 0; i < kThreads; i += 2) {
    std::swap(result[i], result[i + 1]);
  }
  return result;
}
std::vector<int> reversed_by_warp() {
  std::vector<int> result = numbers(kThreads);
  std::reverse(result.begin(), result.begin() + 32);
  std::reverse(result.begin() + 32, result.end());
  return result;
}
std::vector<int> with_zeros(std::vector<int> values, std::size_t count) {
  values.resize(count);
  return values;
}
std::vector<int> popcounts_of_40() {
  std::vector<int> result(40, 32);
  std::fill(result.begin() + 32, result.end(), 8);
  return result;
}
std::vector<int> local_sums() {
  std::vector<int> result = numbers(kThreads);
  std::for_each(result.begin(), result.end(), [](int& x) { x = x + 3 + x; });
  return result;
}
std::vector<int> firsts_of_warps() {
  std::vector<int> result(kThreads, 1);
  std::fill(result.begin() + 32, result.end(), 33);
  return result;
}

const Case kCases[] = {
    KERNEL_CASE(missing_syncthreads, ONE_BLOCK, kThreads, reversed(kThreads)),
    KERNEL_CASE(missing_syncthreads_before_reuse, ONE_BLOCK, kThreads,
                std::vector<int>(kThreads, 10)),
    KERNEL_CASE(missing_syncwarp, ONE_BLOCK, kThreads, reversed_by_warp()),
    KERNEL_CASE(shared_counter_without_atomic, ONE_BLOCK, kThreads, {32}),
    KERNEL_CASE(cross_block_race, ({{4}, {32}}), 4, {10}),
    KERNEL_CASE(missing_threadfence, ({{4}, {32}}), 4, {10, 4, 1, 2, 3, 4}),
    KERNEL_CASE(missing_async_wait, ONE_BLOCK, kThreads, reversed(kThreads)),
    KERNEL_CASE(async_wait_without_barrier, ONE_BLOCK, kThreads, reversed(kThreads)),
    KERNEL_CASE(async_wait_for_too_few, ONE_BLOCK, 2 * kThreads, reversed(kThreads)),
    KERNEL_CASE(shared_static_overrun, ONE_BLOCK, kThreads, reversed(kThreads)),
    KERNEL_CASE(shared_dynamic_overrun, ONE_BLOCK, kThreads, reversed(kThreads)),
    KERNEL_CASE(global_overrun, ({{2}, {kThreads}}), 100, numbers(100)),
    KERNEL_CASE(off_by_one_tail, ({{2}, {kThreads}}), 100, numbers(100)),
    KERNEL_CASE(local_array_overrun, ONE_BLOCK, kThreads, local_sums()),
    KERNEL_CASE(static_overrun_by_pointer, ONE_BLOCK, kThreads, reversed(kThreads)),
    KERNEL_CASE(local_overrun_by_pointer, ONE_BLOCK, kThreads, numbers(kThreads)),
    KERNEL_CASE(misaligned_load, ({{1}, {1}}), 8, {5}),
    KERNEL_CASE(misaligned_async_copy, ONE_BLOCK, kThreads, numbers(16)),
    KERNEL_CASE(uninitialised_static_shared, ONE_BLOCK, kThreads, {32, 32}),
    KERNEL_CASE(uninitialised_dynamic_shared, ONE_BLOCK, kThreads, {32, 32}),
    KERNEL_CASE(signed_overflow, ONE_BLOCK, kThreads, numbers(kThreads)),
    KERNEL_CASE(divergent_barrier, ONE_BLOCK, kThreads, numbers(kThreads)),
    KERNEL_CASE(two_barriers, ONE_BLOCK, kThreads, reversed(kThreads)),
    KERNEL_CASE(deadlock, ONE_BLOCK, kThreads, std::vector<int>(kThreads, 16)),
    KERNEL_CASE(mask_of_a_full_warp, ({{1}, {40}}), 40, popcounts_of_40()),
    KERNEL_CASE(lane_outside_mask, ONE_BLOCK, kThreads, firsts_of_warps()),
    KERNEL_CASE(shuffle_from_outside_mask, ({{1}, {32}}), 32,
                with_zeros(std::vector<int>(8, 8), 32)),
    KERNEL_CASE(shuffle_with_exited_lane, ONE_BLOCK, kThreads, numbers_by_pairs()),
    KERNEL_CASE(different_operations, ONE_BLOCK, kThreads, std::vector<int>(kThreads, 1)),
    KERNEL_CASE(different_masks, ONE_BLOCK, kThreads, std::vector<int>(kThreads, 1)),
    {"missing_event", &missing_event},
    {"use_after_free", &use_after_free},
    {"uninitialised_global", &uninitialised_global},
    {"host_read_of_pageable_memory", &host_read_of_pageable_memory},
    {"host_read_overrun", &host_read_overrun},
    {"host_read_misaligned", &host_read_misaligned},
    {"host_write_to_device_memory", &host_write_to_device_memory},
    {"too_much_shared_memory", &too_much_shared_memory},
    {"too_many_threads", &too_many_threads},
};

constexpr int kUsage = 2;
constexpr int kStopped = 3;
constexpr int kWrong = 4;

int run(const Case& tested, bool bug) {
  using Kind = simt::Order::Kind;
  for (const simt::Order order : {simt::Order{Kind::kForward, 0}, simt::Order{Kind::kReverse, 0},
                                  simt::Order{Kind::kRandom, 1}}) {
    simt::set_order(order);
    try {
      if (!tested.run(bug)) {
        std::fprintf(stderr, "wrong result, order %s\n", simt::to_text(order).c_str());
        return kWrong;
      }
    } catch (const Error& error) {
      std::fprintf(stderr, "stopped: %s\n", error.what());
      return kStopped;
    }
  }
  return 0;
}

}  // namespace
}  // namespace kvsieve::kernels::simt_

int main(int argc, char** argv) {
  using namespace kvsieve::kernels::simt_;
  if (argc == 2 && std::string_view(argv[1]) == "--list") {
    for (const Case& each : kCases) {
      std::puts(each.name.data());
    }
    return 0;
  }
  const std::string_view name = argc == 3 ? argv[1] : "";
  const auto* const found = std::find_if(std::begin(kCases), std::end(kCases),
                                         [&](const Case& c) { return c.name == name; });
  if (found == std::end(kCases)) {
    std::fprintf(stderr, "usage: seeded_bugs --list | CASE bug|fixed\n");
    return kUsage;
  }
  return run(*found, std::string_view(argv[2]) == "bug");
}
