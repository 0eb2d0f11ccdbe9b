#pragma once
// In place of the toolkit's header of this name.

#include <cooperative_groups.h>

namespace cooperative_groups {

template <class T>
struct plus {
  T operator()(T a, T b) const { return a + b; }
};
template <class T>
struct less {
  T operator()(T a, T b) const { return b < a ? b : a; }
};
template <class T>
struct greater {
  T operator()(T a, T b) const { return a < b ? b : a; }
};

/// Every lane of the tile gets the combination of all lanes' values.
template <unsigned Size, class T, class Combine>
T reduce(const thread_block_tile<Size>& tile, T value, Combine combine,
         SourceLocation where = SourceLocation::current()) {
  for (unsigned offset = Size / 2; offset > 0; offset /= 2) {
    value = combine(value, tile.shfl_xor(value, static_cast<int>(offset), where));
  }
  return value;
}

}  // namespace cooperative_groups
