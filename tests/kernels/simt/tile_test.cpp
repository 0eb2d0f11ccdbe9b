// Cooperative groups.

#include <cooperative_groups/reduce.h>
#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "exec/device/device.cuh"
#include "kernels/device/orders.h"
#include "kernels/simt/run_kernel.h"

namespace kvsieve::kernels::simt_ {
namespace {

namespace cg = cooperative_groups;

constexpr LaunchConfig kTwoWarps{{1}, {64}};

std::vector<int> numbers() {
  std::vector<int> result(64);
  std::iota(result.begin(), result.end(), 0);
  return result;
}

template <unsigned kSize>
__global__ void tile_members(const int* in, int* out) {
  const cg::thread_block block = cg::this_thread_block();
  const auto tile = cg::tiled_partition<kSize>(block);
  int* const mine = out + 10 * block.thread_rank();
  const int value = in[block.thread_rank()];
  mine[0] = static_cast<int>(tile.thread_rank());
  mine[1] = static_cast<int>(tile.meta_group_rank());
  mine[2] = static_cast<int>(tile.meta_group_size());
  mine[3] = tile.shfl(value, 0);
  mine[4] = tile.shfl_down(value, 1);
  mine[5] = tile.shfl_up(value, 1);
  mine[6] = tile.shfl_xor(value, static_cast<int>(kSize / 2));
  mine[7] = __popc(tile.ballot(value % 2));
  mine[8] = cg::reduce(tile, value, cg::plus<int>());
  tile.sync();
  int same = 0;
  const unsigned matched = tile.match_all(5, same);
  mine[9] = tile.any(value == 0) + 2 * tile.all(value < 64) + 4 * same +
            8 * static_cast<int>(tile.match_any(value / 2) != 0) +
            16 * static_cast<int>(matched == (kSize == 32 ? 0xffffffffU : (1U << kSize) - 1));
}

template <unsigned kSize>
void check_tile() {
  SCOPED_TRACE(kSize);
  constexpr int kTile = static_cast<int>(kSize);
  const auto out = run_kernel<tile_members<kSize>, int>(kTwoWarps, numbers(), 640);
  for (int thread = 0; thread < 64; ++thread) {
    SCOPED_TRACE(thread);
    const int* const found = &out[static_cast<std::size_t>(10 * thread)];
    const int rank = thread % kTile;
    const int first = thread - rank;
    EXPECT_EQ(found[0], rank);
    EXPECT_EQ(found[1], thread / kTile);
    EXPECT_EQ(found[2], 64 / kTile);
    EXPECT_EQ(found[3], first);
    EXPECT_EQ(found[4], rank + 1 < kTile ? thread + 1 : thread);
    EXPECT_EQ(found[5], rank > 0 ? thread - 1 : thread);
    EXPECT_EQ(found[6], thread ^ (kTile / 2));
    EXPECT_EQ(found[7], kTile / 2);
    EXPECT_EQ(found[8], kTile * first + kTile * (kTile - 1) / 2);
    EXPECT_EQ(found[9], (first == 0 ? 1 : 0) + 2 + 4 + 8 + 16);
  }
}

TEST(SimtTiles, EveryMember) {
  for_each_order([] {
    check_tile<4>();
    check_tile<16>();
    check_tile<32>();
  });
}

__global__ void tiles_apart(const int* in, int* out) {
  const auto tile = cg::tiled_partition<8>(cg::this_thread_block());
  int sum = 0;
  // Tiles of a warp take different numbers of turns.
  for (unsigned turn = 0; turn <= tile.meta_group_rank(); ++turn) {
    sum += cg::reduce(tile, in[threadIdx.x], cg::greater<int>());
  }
  out[threadIdx.x] = sum + cg::reduce(tile, in[threadIdx.x], cg::less<int>());
}

TEST(SimtTiles, DivergeFromEachOther) {
  for_each_order([] {
    const auto out = run_kernel<tiles_apart, int>(kTwoWarps, numbers(), 64);
    for (int thread = 0; thread < 64; ++thread) {
      const int tile = thread / 8;
      EXPECT_EQ(out[static_cast<std::size_t>(thread)], (tile + 1) * (8 * tile + 7) + 8 * tile);
    }
  });
}

__global__ void block_members(const int* in, int* out) {
  __shared__ int shared[64];
  const cg::thread_block block = cg::this_thread_block();
  shared[block.thread_rank()] = in[block.thread_rank()];
  block.sync();
  out[block.thread_rank()] = shared[block.size() - 1 - block.thread_rank()] +
                             100 * static_cast<int>(block.thread_index().y) +
                             1000 * static_cast<int>(block.group_index().x);
}

TEST(SimtTiles, TheBlockItself) {
  for_each_order([] {
    const auto out = run_kernel<block_members, int>({{1}, {16, 4}}, numbers(), 64);
    EXPECT_EQ(out[0], 63);
    EXPECT_EQ(out[63], 300);
    EXPECT_EQ(out[17], 46 + 100);
  });
}

}  // namespace
}  // namespace kvsieve::kernels::simt_
