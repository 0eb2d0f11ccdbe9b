#include "exec/ptx/memory.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <string>

#include "kvsieve/traces/error.h"

namespace kvsieve::ptx {
namespace {

template <class Action>
std::string message_of(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInternal);
    return error.what();
  }
  return "";
}

TEST(PtxMemoryTest, IsAlignedAndUnwritten) {
  Memory memory;
  for (const std::size_t bytes : {1U, 63U, 64U, 65U, 4096U}) {
    auto* const data = static_cast<std::byte*>(memory.allocate(bytes, MemoryKind::kDevice));
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(data) % 256, 0U);
    EXPECT_NE(
        message_of([&] { (void)memory.check_read(data, bytes); }).find("that nobody wrote: 0"),
        std::string::npos);
    // All but the last byte.
    EXPECT_TRUE(memory.mark_written(data, bytes - 1));
    EXPECT_TRUE(memory.check_read(data, bytes - 1));
    EXPECT_NE(message_of([&] {
                (void)memory.check_read(data, bytes);
              }).find("that nobody wrote: " + std::to_string(bytes - 1) + " bytes into"),
              std::string::npos);
    memory.mark_written(data + bytes - 1, 1);
    EXPECT_TRUE(memory.check_read(data, bytes));
    memory.free(data);
  }
}

TEST(PtxMemoryTest, PinnedMemoryCountsAsWritten) {
  Memory memory;
  void* const data = memory.allocate(100, MemoryKind::kPinned);
  EXPECT_TRUE(memory.check_read(data, 100));
  memory.free(data);
}

TEST(PtxMemoryTest, MemoryOfTheHostIsNotItsOwn) {
  Memory memory;
  int host = 0;
  EXPECT_FALSE(memory.check_read(&host, sizeof(host)));
  EXPECT_FALSE(memory.mark_written(&host, sizeof(host)));
}

TEST(PtxMemoryTest, CopiesEndInsideAnAllocation) {
  Memory memory;
  auto* const data = static_cast<std::byte*>(memory.allocate(100, MemoryKind::kDevice));
  EXPECT_NE(message_of([&] {
              memory.mark_written(data + 90, 20);
            }).find("ends 10 bytes after the end of an allocation of 100 bytes"),
            std::string::npos);
  memory.free(data);
}

TEST(PtxMemoryTest, FreeingWhatIsNoAllocation) {
  Memory memory;
  auto* const data = static_cast<std::byte*>(memory.allocate(100, MemoryKind::kDevice));
  EXPECT_NE(message_of([&] { memory.free(data + 8); }).find("8 bytes into an allocation"),
            std::string::npos);
  memory.free(data);
  EXPECT_NE(message_of([&] { memory.free(data); }).find("0 bytes into 100 bytes that were freed"),
            std::string::npos);
}

}  // namespace
}  // namespace kvsieve::ptx
