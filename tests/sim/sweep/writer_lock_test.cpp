#include "sweep/writer_lock.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "store_fixture.h"
#include "traces/temporary_folder.h"

namespace kvsieve::tests {
namespace {

using sim::WriterLock;

TEST(WriterLock, CreatesTheFileOrFindsIt) {
  const TemporaryFolder folder;
  EXPECT_TRUE(WriterLock(folder / "file").created());
  EXPECT_EQ(std::filesystem::file_size(folder / "file"), 0U);
  write_bytes(folder / "file", "text");
  EXPECT_FALSE(WriterLock(folder / "file").created());
  EXPECT_EQ(read_bytes(folder / "file"), "text");
  EXPECT_EQ(folder.entries(), std::vector<std::string>{"file"});
}

TEST(WriterLock, IsOnesAlone) {
  const TemporaryFolder folder;
  {
    const WriterLock held(folder / "file");
    const Error error = error_of([&] { const WriterLock second(folder / "file"); });
    EXPECT_EQ(error.kind(), ErrorKind::kBadInput);
    EXPECT_EQ(error.what(), (folder / "file").string() + ": is being written by another process");
    // The attempt has not taken the first one's lock with it.
    EXPECT_THROW(WriterLock(folder / "file"), Error);
    EXPECT_EQ(in_child([&] {
                try {
                  const WriterLock third(folder / "file");
                } catch (const Error&) {
                  return 3;
                }
                return 0;
              }),
              3);
  }
  EXPECT_NO_THROW(WriterLock(folder / "file"));
}

TEST(WriterLock, HoldsForEveryNameOfTheFile) {
  const TemporaryFolder folder;
  const WriterLock held(folder / "file");
  std::filesystem::create_symlink("file", folder / "symbolic");
  std::filesystem::create_hard_link(folder / "file", folder / "hard");
  EXPECT_THROW(WriterLock(folder / "symbolic"), Error);
  EXPECT_THROW(WriterLock(folder / "hard"), Error);
}

TEST(WriterLock, EndsWithItsProcess) {
  const TemporaryFolder folder;
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = start_child([&] {
    const WriterLock held(folder / "file");
    if (::write(ready[1], "x", 1) == 1) {
      ::pause();
    }
    return 1;
  });
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_THROW(WriterLock(folder / "file"), Error);
  ::kill(child, SIGKILL);
  EXPECT_EQ(wait_for(child), -SIGKILL);
  EXPECT_NO_THROW(WriterLock(folder / "file"));
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST(WriterLock, SaysWhyAFileCannotBeOpened) {
  const TemporaryFolder folder;
  const auto text = [&](const std::filesystem::path& path) {
    return std::string(error_of([&] { const WriterLock lock(path); }).what());
  };
  EXPECT_EQ(text(folder / "none/file"), (folder / "none/file").string() +
                                            ": cannot be opened for writing (No such file or "
                                            "directory)");
  EXPECT_NE(text(folder.path()).find("(Is a directory)"), std::string::npos);
}

}  // namespace
}  // namespace kvsieve::tests
