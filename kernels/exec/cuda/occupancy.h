#pragma once
// How many blocks of a kernel a multiprocessor holds, by the toolkit's own calculator: no GPU and
// no runtime is needed.

#include <cstddef>

namespace kvsieve::kernels {

/// What a block takes of a multiprocessor.
struct BlockResources {
  int registers = 0;  ///< of a thread
  int threads = 0;
  std::size_t shared_bytes = 0;  ///< static and dynamic
};

struct Occupancy {
  int blocks = 0;      ///< that a multiprocessor holds at once
  double share = 0.0;  ///< of a multiprocessor's threads that they are
};

/// @param architecture 80 for sm_80
/// Throws Error(kUsage) for an architecture without known limits and for a block that does not fit.
[[nodiscard]] Occupancy occupancy_of(int architecture, const BlockResources& block);

}  // namespace kvsieve::kernels
