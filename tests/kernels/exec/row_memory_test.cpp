#include "kvsieve/kernels/row_memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <utility>

namespace kvsieve::kernels {
namespace {

TEST(RowMemory, IsAlignedAndWritableToItsEnd) {
  for (const std::size_t size : {std::size_t{1}, std::size_t{63}, std::size_t{64},
                                 std::size_t{1000}, (std::size_t{2} << 20U) + 5}) {
    const RowMemory memory(size);
    EXPECT_EQ(memory.size(), size);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory.data()) % 64, 0U);
    std::fill_n(memory.data(), size, std::byte{7});
    EXPECT_EQ(memory.data()[size - 1], std::byte{7});
  }
}

TEST(RowMemory, MovesItsMemory) {
  RowMemory first(100);
  std::byte* data = first.data();
  RowMemory second(std::move(first));
  EXPECT_EQ(second.data(), data);
  RowMemory third;
  EXPECT_EQ(third.size(), 0U);
  third = std::move(second);
  EXPECT_EQ(third.data(), data);
  EXPECT_EQ(third.size(), 100U);
}

}  // namespace
}  // namespace kvsieve::kernels
