// Shuffles, votes, matches and reductions against what the CUDA programming guide says of them.

#include <gtest/gtest.h>

#include <bit>
#include <numeric>
#include <vector>

#include "exec/device/device.cuh"
#include "exec/device/warp.cuh"
#include "kernels/device/orders.h"
#include "kernels/simt/run_kernel.h"

namespace kvsieve::kernels::simt_ {
namespace {

constexpr LaunchConfig kOneWarp{{1}, {32}};

std::vector<int> lanes(int first = 0) {
  std::vector<int> result(32);
  std::iota(result.begin(), result.end(), first);
  return result;
}

/// Calls expected(lane) for every lane and compares.
template <class T, class Expected>
void expect_lanes(const std::vector<T>& found, const Expected& expected) {
  for (int lane = 0; lane < static_cast<int>(found.size()); ++lane) {
    EXPECT_EQ(found[static_cast<std::size_t>(lane)], static_cast<T>(expected(lane)))
        << "lane " << lane;
  }
}

template <int kSource, int kWidth>
__global__ void shuffle(const int* in, int* out) {
  out[threadIdx.x] = __shfl_sync(kFullMask, in[threadIdx.x], kSource, kWidth);
}
template <int kDelta, int kWidth>
__global__ void shuffle_up(const int* in, int* out) {
  out[threadIdx.x] = __shfl_up_sync(kFullMask, in[threadIdx.x], kDelta, kWidth);
}
template <int kDelta, int kWidth>
__global__ void shuffle_down(const int* in, int* out) {
  out[threadIdx.x] = __shfl_down_sync(kFullMask, in[threadIdx.x], kDelta, kWidth);
}
template <int kLaneMask, int kWidth>
__global__ void shuffle_xor(const int* in, int* out) {
  out[threadIdx.x] = __shfl_xor_sync(kFullMask, in[threadIdx.x], kLaneMask, kWidth);
}

template <int kWidth>
void check_shuffles() {
  SCOPED_TRACE(kWidth);
  const std::vector<int> in = lanes(100);
  expect_lanes(run_kernel<shuffle<1, kWidth>, int>(kOneWarp, in, 32),
               [](int lane) { return 100 + lane / kWidth * kWidth + 1 % kWidth; });
  // The source counts modulo the width.
  expect_lanes(run_kernel<shuffle<kWidth + 1, kWidth>, int>(kOneWarp, in, 32),
               [](int lane) { return 100 + lane / kWidth * kWidth + 1 % kWidth; });
  expect_lanes(run_kernel<shuffle_up<3, kWidth>, int>(kOneWarp, in, 32),
               [](int lane) { return 100 + (lane % kWidth >= 3 ? lane - 3 : lane); });
  expect_lanes(run_kernel<shuffle_down<3, kWidth>, int>(kOneWarp, in, 32),
               [](int lane) { return 100 + (lane % kWidth + 3 < kWidth ? lane + 3 : lane); });
  // Lower groups may be read, higher ones give the lane's own value.
  expect_lanes(run_kernel<shuffle_xor<5, kWidth>, int>(kOneWarp, in, 32), [](int lane) {
    return 100 + ((lane ^ 5) / kWidth <= lane / kWidth ? lane ^ 5 : lane);
  });
}

TEST(SimtWarp, ShufflesOfEveryWidth) {
  for_each_order([] {
    check_shuffles<1>();
    check_shuffles<2>();
    check_shuffles<8>();
    check_shuffles<32>();
  });
}

struct Pair {
  double first;
  int second;
};

__global__ void shuffle_struct(const double* in, double* out) {
  const Pair pair{in[threadIdx.x], static_cast<int>(threadIdx.x)};
  const Pair other = __shfl_xor_sync(kFullMask, pair, 31);
  out[threadIdx.x] = other.first + other.second;
}

TEST(SimtWarp, ShufflesCarryAnyType) {
  expect_lanes(run_kernel<shuffle_struct, double>(kOneWarp, std::vector<double>(32, 0.5), 32),
               [](int lane) { return 0.5 + (31 - lane); });
}

__global__ void votes(const int* in, unsigned* out) {
  const int predicate = in[threadIdx.x];
  const unsigned ballot = __ballot_sync(kFullMask, predicate);
  const int any = __any_sync(kFullMask, predicate);
  const int all = __all_sync(kFullMask, predicate);
  if (threadIdx.x == 17) {
    out[0] = ballot;
    out[1] = static_cast<unsigned>(any);
    out[2] = static_cast<unsigned>(all);
  }
}

TEST(SimtWarp, Votes) {
  std::vector<int> predicates(32, 0);
  const auto voted = [&] { return run_kernel<votes, unsigned>(kOneWarp, predicates, 3); };
  for_each_order([&] {
    predicates.assign(32, 0);
    EXPECT_EQ(voted(), (std::vector<unsigned>{0, 0, 0}));
    predicates[31] = -5;
    predicates[0] = 2;
    EXPECT_EQ(voted(), (std::vector<unsigned>{0x80000001U, 1, 0}));
    predicates.assign(32, 7);
    EXPECT_EQ(voted(), (std::vector<unsigned>{0xffffffffU, 1, 1}));
  });
}

__global__ void matches(const int* in, unsigned* out) {
  int same = -1;
  out[threadIdx.x] = __match_any_sync(kFullMask, in[threadIdx.x]);
  out[32 + threadIdx.x] = __match_all_sync(kFullMask, in[threadIdx.x], &same);
  out[64 + threadIdx.x] = static_cast<unsigned>(same);
}

TEST(SimtWarp, Matches) {
  for_each_order([] {
    std::vector<int> in = lanes();
    for (int& value : in) {
      value %= 3;
    }
    const auto differing = run_kernel<matches, unsigned>(kOneWarp, in, 96);
    for (unsigned lane = 0; lane < 32; ++lane) {
      unsigned expected = 0;
      for (unsigned other = lane % 3; other < 32; other += 3) {
        expected |= 1U << other;
      }
      EXPECT_EQ(differing[lane], expected);
      EXPECT_EQ(differing[32 + lane], 0U);
      EXPECT_EQ(differing[64 + lane], 0U);
    }
    const auto equal = run_kernel<matches, unsigned>(kOneWarp, std::vector<int>(32, 9), 96);
    EXPECT_EQ(equal[5], kFullMask);
    EXPECT_EQ(equal[32 + 5], kFullMask);
    EXPECT_EQ(equal[64 + 5], 1U);
  });
}

__global__ void reductions(const int* in, int* out) {
  const int value = in[threadIdx.x];
  const auto bits = static_cast<unsigned>(value);
  const int results[] = {__reduce_add_sync(kFullMask, value),
                         __reduce_min_sync(kFullMask, value),
                         __reduce_max_sync(kFullMask, value),
                         static_cast<int>(__reduce_min_sync(kFullMask, bits)),
                         static_cast<int>(__reduce_max_sync(kFullMask, bits)),
                         static_cast<int>(__reduce_and_sync(kFullMask, bits)),
                         static_cast<int>(__reduce_or_sync(kFullMask, bits)),
                         static_cast<int>(__reduce_xor_sync(kFullMask, bits)),
                         static_cast<int>(__reduce_add_sync(kFullMask, bits))};
  if (threadIdx.x == 3) {
    for (unsigned i = 0; i < 9; ++i) {
      out[i] = results[i];
    }
  }
}

TEST(SimtWarp, Reductions) {
  for_each_order([] {
    // -15 to 16: as unsigned, 0 is the least and -1 the greatest.
    EXPECT_EQ((run_kernel<reductions, int>(kOneWarp, lanes(-15), 9)),
              (std::vector<int>{16, -15, 16, 0, -1, 0, -1, -32, 16}));
  });
}

/// The upper and the lower half of the warp go different ways at the same time.
__global__ void halves(const int* in, int* out) {
  const int value = in[threadIdx.x];
  if (threadIdx.x < 16) {
    int sum = __reduce_add_sync(0x0000ffffU, value);
    __syncwarp(0x0000ffffU);
    sum += __shfl_sync(0x0000ffffU, value, 15);
    out[threadIdx.x] = sum;
  } else {
    out[threadIdx.x] = __popc(__ballot_sync(0xffff0000U, value > 20));
  }
  __syncwarp();
  out[threadIdx.x] += __shfl_xor_sync(kFullMask, value, 16);
}

TEST(SimtWarp, PartsOfAWarpWorkApart) {
  for_each_order([] {
    expect_lanes(run_kernel<halves, int>(kOneWarp, lanes(), 32),
                 [](int lane) { return (lane < 16 ? 120 + 15 : 11) + (lane ^ 16); });
  });
}

/// A lane that waits for few may be waited for by many.
__global__ void nested_masks(const int* in, int* out) {
  int value = in[threadIdx.x];
  if (threadIdx.x < 2) {
    value += __shfl_xor_sync(0x3U, value, 1);
  }
  out[threadIdx.x] = __reduce_max_sync(kFullMask, value);
}

TEST(SimtWarp, MasksMayOverlapInTurn) {
  for_each_order([] {
    expect_lanes(run_kernel<nested_masks, int>(kOneWarp, lanes(), 32), [](int) { return 31; });
    expect_lanes(run_kernel<nested_masks, int>(kOneWarp, lanes(-31), 32), [](int) { return 0; });
  });
}

/// 40 threads: the second warp has 8 lanes, and one of them leaves early.
__global__ void partial_warp(const int* in, int* out) {
  const unsigned lane = threadIdx.x % 32;
  if (threadIdx.x >= 32 && lane == 0) {
    return;
  }
  const unsigned mask = threadIdx.x < 32 ? kFullMask : 0xfeU;
  out[threadIdx.x] = __reduce_add_sync(mask, in[threadIdx.x]);
}

TEST(SimtWarp, PartialWarps) {
  for_each_order([] {
    const auto sums = run_kernel<partial_warp, int>({{1}, {40}}, std::vector<int>(40, 1), 40);
    EXPECT_EQ(sums[31], 32);
    EXPECT_EQ(sums[32], 0);
    EXPECT_EQ(sums[33], 7);
    EXPECT_EQ(sums[39], 7);
  });
}

__global__ void own_exchange(const int* in, int* out) {
  struct Payload {
    int value;
    int turn;
  };
  Payload mine{in[threadIdx.x], 0};
  simt::warp_exchange(
      "own_exchange", kFullMask, &mine,
      [](const auto& payloads, unsigned mask) {
        int turn = 0;
        for (Payload* payload : payloads) {
          payload->turn = turn++ + static_cast<int>(mask == kFullMask);
        }
      },
      std::source_location::current());
  out[threadIdx.x] = mine.turn;
}

TEST(SimtWarp, ExchangeCombinesOnceForAllLanes) {
  for_each_order([] {
    expect_lanes(run_kernel<own_exchange, int>(kOneWarp, lanes(), 32),
                 [](int lane) { return lane + 1; });
  });
}

}  // namespace
}  // namespace kvsieve::kernels::simt_
