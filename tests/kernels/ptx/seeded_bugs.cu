// Kernels with one bug each, and the same kernels without it. seeded_bugs.ptx is what nvcc made of
// them (make_ptx.py); seeded_bugs_test.cpp runs that and says what has to be found. The line where
// a bug has to be found ends with the kernel's name as a comment.

#include <cuda_pipeline_primitives.h>

constexpr unsigned kThreads = 64;
constexpr unsigned kFull = 0xffffffffU;

#define KERNELS(name)                                                \
  extern "C" __global__ void name(const int* in, int* out) {         \
    name##_body<true>(in, out);                                      \
  }                                                                  \
  extern "C" __global__ void name##_fixed(const int* in, int* out) { \
    name##_body<false>(in, out);                                     \
  }

// ---- Memory ----

template <bool kBug>
__device__ void global_overrun_body(const int* in, int* out) {
  out[threadIdx.x + (kBug ? 1U : 0U)] = in[threadIdx.x];  // global_overrun
}
KERNELS(global_overrun)

template <bool kBug>
__device__ void global_underrun_body(const int* in, int* out) {
  const int value = in[static_cast<int>(threadIdx.x) - (kBug ? 1 : 0)];  // global_underrun
  out[threadIdx.x] = value;
}
KERNELS(global_underrun)

template <bool kBug>
__device__ void shared_overrun_body(const int* in, int* out) {
  __shared__ int values[kThreads];
  __shared__ int others[kThreads];
  others[threadIdx.x] = in[threadIdx.x];
  values[threadIdx.x + (kBug ? 1U : 0U)] = in[threadIdx.x] + 1;  // shared_overrun
  __syncthreads();
  out[threadIdx.x] = values[kThreads - 1 - threadIdx.x] + others[kThreads - 1 - threadIdx.x];
}
KERNELS(shared_overrun)

template <bool kBug>
__device__ void dynamic_overrun_body(const int* in, int* out) {
  extern __shared__ int dynamic[];
  dynamic[threadIdx.x + (kBug ? 1U : 0U)] = in[threadIdx.x];  // dynamic_overrun
  __syncthreads();
  out[threadIdx.x] = dynamic[kThreads - 1 - threadIdx.x + (kBug ? 1U : 0U)];
}
KERNELS(dynamic_overrun)

template <bool kBug>
__device__ void misaligned_vector_body(const int* in, int* out) {
  const int* from = in + (kBug ? 1 : 0);
  const int4 value = *reinterpret_cast<const int4*>(from);  // misaligned_vector
  out[threadIdx.x] = value.x + value.y + value.z + value.w;
}
KERNELS(misaligned_vector)

template <bool kBug>
__device__ void misaligned_shared_body(const int* in, int* out) {
  extern __shared__ int dynamic[];
  dynamic[threadIdx.x] = in[threadIdx.x];
  __syncthreads();
  const unsigned at = threadIdx.x / 2 * 2 % 32 + (kBug ? 1U : 0U);
  const int2 value = *reinterpret_cast<const int2*>(dynamic + at);  // misaligned_shared
  out[threadIdx.x] = value.x + value.y;
}
KERNELS(misaligned_shared)

template <bool kBug>
__device__ void uninitialised_global_body(const int* in, int* out) {
  if (!kBug || threadIdx.x != 5) {
    out[threadIdx.x] = in[threadIdx.x];
  }
  __syncthreads();
  const int other = out[kThreads - 1 - threadIdx.x];  // uninitialised_global
  __syncthreads();
  out[threadIdx.x] = other;
}
KERNELS(uninitialised_global)

template <bool kBug>
__device__ void uninitialised_shared_body(const int* in, int* out) {
  __shared__ int values[kThreads];
  if (!kBug || threadIdx.x != 5) {
    values[threadIdx.x] = in[threadIdx.x];
  }
  __syncthreads();
  out[threadIdx.x] = values[kThreads - 1 - threadIdx.x];  // uninitialised_shared
}
KERNELS(uninitialised_shared)

template <bool kBug>
__device__ void uninitialised_local_body(const int* in, int* out) {
  int values[4];
  const auto first = static_cast<unsigned>(in[0]);
#pragma unroll 1
  for (unsigned i = 0; i < (kBug ? 3U : 4U); ++i) {
    values[(first + i) % 4] = in[threadIdx.x];
  }
  out[threadIdx.x] = values[static_cast<unsigned>(in[threadIdx.x]) % 4];  // uninitialised_local
}
KERNELS(uninitialised_local)

template <bool kBug>
__device__ void freed_body(const int* in, int* out) {
  out[threadIdx.x] = in[threadIdx.x];  // freed
}
KERNELS(freed)

// ---- Races ----

template <bool kBug>
__device__ void missing_syncthreads_body(const int* in, int* out) {
  __shared__ int values[kThreads];
  values[threadIdx.x] = 0;
  __syncthreads();
  values[threadIdx.x] = in[threadIdx.x];  // missing_syncthreads
  if (!kBug) {
    __syncthreads();
  }
  out[threadIdx.x] = values[kThreads - 1 - threadIdx.x];
}
KERNELS(missing_syncthreads)

template <bool kBug>
__device__ void missing_syncthreads_before_reuse_body(const int* in, int* out) {
  __shared__ int value;
  int sum = 0;
#pragma unroll 1
  for (unsigned turn = 0; turn < 4; ++turn) {
    if (threadIdx.x == turn * 20) {
      value = in[turn];  // missing_syncthreads_before_reuse
    }
    __syncthreads();
    sum += value;
    if (!kBug) {
      __syncthreads();
    }
  }
  out[threadIdx.x] = sum;
}
KERNELS(missing_syncthreads_before_reuse)

template <bool kBug>
__device__ void missing_syncwarp_body(const int* in, int* out) {
  __shared__ int values[kThreads];
  values[threadIdx.x] = in[threadIdx.x];
  if (!kBug) {
    __syncwarp();
  }
  out[threadIdx.x] = values[threadIdx.x ^ 31U];  // missing_syncwarp
}
KERNELS(missing_syncwarp)

template <bool kBug>
__device__ void shuffle_instead_of_syncwarp_body(const int* in, int* out) {
  __shared__ int values[kThreads];
  const int value = in[threadIdx.x];
  values[threadIdx.x] = value;
  const int other = __shfl_xor_sync(kFull, value, 1);
  if (!kBug) {
    __syncwarp();
  }
  out[threadIdx.x] = values[threadIdx.x ^ 31U] + other;  // shuffle_instead_of_syncwarp
}
KERNELS(shuffle_instead_of_syncwarp)

template <bool kBug>
__device__ void syncwarp_of_halves_body(const int* in, int* out) {
  __shared__ int values[kThreads];
  values[threadIdx.x] = in[threadIdx.x];
  const unsigned half = threadIdx.x % 32 < 16 ? 0xffffU : 0xffff0000U;
  __syncwarp(half);
  const unsigned other = threadIdx.x ^ (kBug ? 16U : 8U);
  out[threadIdx.x] = values[other];  // syncwarp_of_halves
}
KERNELS(syncwarp_of_halves)

template <bool kBug>
__device__ void same_word_in_lockstep_body(const int* in, int* out) {
  __shared__ int value;
  if (kBug || threadIdx.x == 0) {
    value = in[threadIdx.x];  // same_word_in_lockstep
  }
  __syncthreads();
  out[threadIdx.x] = value;
}
KERNELS(same_word_in_lockstep)

template <bool kBug>
__device__ void counter_without_atomic_body(const int* in, int* out) {
  __shared__ int count;
  if (threadIdx.x == 0) {
    count = 0;
  }
  __syncthreads();
  if (kBug) {
    count += in[threadIdx.x];  // counter_without_atomic
  } else {
    atomicAdd(&count, in[threadIdx.x]);
  }
  __syncthreads();
  out[threadIdx.x] = count;
}
KERNELS(counter_without_atomic)

template <bool kBug>
__device__ void plain_read_of_atomic_body(const int* in, int* out) {
  __shared__ int count;
  if (threadIdx.x == 0) {
    count = 0;
  }
  __syncthreads();
  atomicAdd(&count, in[threadIdx.x]);
  if (!kBug) {
    __syncthreads();
  }
  out[threadIdx.x] = count;  // plain_read_of_atomic
}
KERNELS(plain_read_of_atomic)

template <bool kBug>
__device__ void global_race_body(const int* in, int* out) {
  out[threadIdx.x] = in[threadIdx.x];
  if (!kBug) {
    __syncthreads();
  }
  const int other = out[threadIdx.x ^ 1U];  // global_race
  __syncthreads();
  out[threadIdx.x] = other;
}
KERNELS(global_race)

template <bool kBug>
__device__ void blocks_add_body(const int* in, int* out) {
  if (threadIdx.x == 3) {
    if (kBug) {
      out[0] += in[blockIdx.x];  // blocks_add
    } else {
      atomicAdd(out, in[blockIdx.x]);
    }
  }
}
KERNELS(blocks_add)

template <bool kBug>
__device__ void block_reads_what_another_wrote_body(const int* in, int* out) {
  out[blockIdx.x * kThreads + threadIdx.x] = in[threadIdx.x];
  if (kBug && blockIdx.x == 1) {
    __syncthreads();
    const int other = out[threadIdx.x];  // block_reads_what_another_wrote
    out[kThreads + threadIdx.x] = other;
  }
}
KERNELS(block_reads_what_another_wrote)

// ---- Barriers and warp operations ----

template <bool kBug>
__device__ void divergent_barrier_body(const int* in, int* out) {
  __shared__ int values[kThreads];
  values[threadIdx.x] = in[threadIdx.x];
  int other = 0;
  if (!kBug || in[threadIdx.x] % 2 == 0) {
    __syncthreads();
    other = values[threadIdx.x];
  } else {
    __syncthreads();  // divergent_barrier
    other = -values[threadIdx.x];
  }
  out[threadIdx.x] = other;
}
KERNELS(divergent_barrier)

template <bool kBug>
__device__ void barrier_after_return_body(const int* in, int* out) {
  __shared__ int values[kThreads];
  values[threadIdx.x] = in[threadIdx.x];
  if (kBug && in[threadIdx.x] > 40) {
    return;
  }
  __syncthreads();  // barrier_after_return
  out[threadIdx.x] = values[threadIdx.x / 2];
}
KERNELS(barrier_after_return)

template <bool kBug>
__device__ void warp_skips_barrier_body(const int* in, int* out) {
  __shared__ int values[kThreads];
  values[threadIdx.x] = in[threadIdx.x];
  if (!kBug || threadIdx.x < 32) {
    __syncthreads();  // warp_skips_barrier
  }
  out[threadIdx.x] = values[threadIdx.x];
}
KERNELS(warp_skips_barrier)

template <bool kBug>
__device__ void arrive_instead_of_sync_body(const int* in, int* out) {
  __shared__ int values[kThreads];
  values[threadIdx.x] = in[threadIdx.x];
  if (kBug && threadIdx.x >= 32) {
    asm volatile("bar.arrive 1, 64;" ::: "memory");
  } else {
    asm volatile("bar.sync 1, 64;" ::: "memory");
  }
  out[threadIdx.x] = values[kThreads - 1 - threadIdx.x];  // arrive_instead_of_sync
}
KERNELS(arrive_instead_of_sync)

template <bool kBug>
__device__ void lane_missing_body(const int* in, int* out) {
  int value = in[threadIdx.x];
  if (!kBug || value % 2 == 0) {
    value += __shfl_xor_sync(kFull, value, 1);  // lane_missing
  }
  out[threadIdx.x] = value;
}
KERNELS(lane_missing)

template <bool kBug>
__device__ void lane_not_in_its_mask_body(const int* in, int* out) {
  const int value = in[threadIdx.x];
  const unsigned mask = kBug ? 0xfffffffeU : kFull;
  out[threadIdx.x] = __any_sync(mask, value > 20);  // lane_not_in_its_mask
}
KERNELS(lane_not_in_its_mask)

template <bool kBug>
__device__ void shuffle_from_outside_body(const int* in, int* out) {
  int value = in[threadIdx.x];
  if (threadIdx.x % 32 < 16) {
    value = __shfl_sync(0xffffU, value, kBug ? 20 : 10);  // shuffle_from_outside
  }
  out[threadIdx.x] = value;
}
KERNELS(shuffle_from_outside)

// ---- cp.async ----

template <bool kBug>
__device__ void missing_async_wait_body(const int* in, int* out) {
  extern __shared__ int dynamic[];
  __pipeline_memcpy_async(dynamic + threadIdx.x, in + threadIdx.x, sizeof(int));
  __pipeline_commit();
  if (!kBug) {
    __pipeline_wait_prior(0);
  }
  __syncthreads();
  out[threadIdx.x] = dynamic[kThreads - 1 - threadIdx.x];  // missing_async_wait
}
KERNELS(missing_async_wait)

template <bool kBug>
__device__ void wait_for_too_few_body(const int* in, int* out) {
  __shared__ int staged[2][kThreads];
  for (unsigned stage = 0; stage < 2; ++stage) {
    __pipeline_memcpy_async(&staged[stage][threadIdx.x], in + threadIdx.x, sizeof(int));
    __pipeline_commit();
  }
  __pipeline_wait_prior(1);
  __syncthreads();
  out[threadIdx.x] = staged[kBug ? 1 : 0][threadIdx.x];  // wait_for_too_few
}
KERNELS(wait_for_too_few)

template <bool kBug>
__device__ void async_wait_without_barrier_body(const int* in, int* out) {
  extern __shared__ int dynamic[];
  dynamic[threadIdx.x] = 0;
  __syncthreads();
  __pipeline_memcpy_async(dynamic + threadIdx.x, in + threadIdx.x, sizeof(int));
  __pipeline_commit();
  __pipeline_wait_prior(0);
  if (!kBug) {
    __syncthreads();
  }
  out[threadIdx.x] = dynamic[threadIdx.x ^ 1U];  // async_wait_without_barrier
}
KERNELS(async_wait_without_barrier)
