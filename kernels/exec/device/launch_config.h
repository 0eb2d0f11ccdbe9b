#pragma once
// How many threads a kernel runs with, as plain numbers that tests and the cost model can read.

#include <cstddef>

namespace kvsieve::kernels {

/// Extents of a grid (in blocks) or of a block (in threads).
struct Dim3 {
  unsigned x = 1;
  unsigned y = 1;
  unsigned z = 1;

  bool operator==(const Dim3&) const = default;
};

/// A launch: blocks, threads a block, and bytes of dynamic shared memory a block.
struct LaunchConfig {
  Dim3 grid;
  Dim3 block;
  std::size_t shared_bytes = 0;

  bool operator==(const LaunchConfig&) const = default;
};

/// Blocks needed for `count` items of which a block handles `per_block`.
[[nodiscard]] constexpr unsigned blocks_for(long long count, long long per_block) {
  return static_cast<unsigned>((count + per_block - 1) / per_block);
}

}  // namespace kvsieve::kernels
