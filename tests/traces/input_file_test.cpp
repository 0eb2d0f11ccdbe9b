#include "kvsieve/traces/input_file.h"

#include <gtest/gtest.h>

#include <string>

#include "fails_with.h"
#include "temporary_folder.h"

namespace kvsieve::traces {
namespace {

using tests::fails_with;
using tests::TemporaryFolder;

TEST(input_file, is_read_whole) {
  const TemporaryFolder folder;
  const std::string bytes("a\0b\r\n\xff", 6);
  tests::write_bytes(folder / "x", bytes);
  EXPECT_EQ(read_file(folder / "x", 6), bytes);
  tests::write_bytes(folder / "empty", "");
  EXPECT_EQ(read_file(folder / "empty", 0), "");
}

TEST(input_file, what_is_no_small_file_is_refused) {
  const TemporaryFolder folder;
  tests::write_bytes(folder / "x", "123456");
  const auto fails = [](const std::filesystem::path& path, std::string_view part) {
    return fails_with(ErrorKind::kBadInput, part, [&] { static_cast<void>(read_file(path, 5)); });
  };
  EXPECT_TRUE(fails(folder / "x", "is larger than 5 bytes"));
  EXPECT_TRUE(fails(folder / "y", "no such file"));
  EXPECT_TRUE(fails(folder.path(), "is not a regular file"));
}

}  // namespace
}  // namespace kvsieve::traces
