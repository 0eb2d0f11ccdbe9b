#include "kvsieve/traces/output_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "fails_with.h"
#include "temporary_folder.h"

namespace kvsieve::traces {
namespace {

using tests::fails_with;
using tests::read_bytes;
using tests::TemporaryFolder;
using tests::write_bytes;

constexpr int kSkipped = 77;

/// Exit status of `action`, run in a process of its own so that it may change limits and rights.
template <class Action>
int in_child(Action&& action) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::_exit(action());
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/// 0 if `assertion` holds; otherwise says why not, for use inside in_child.
int verdict(const testing::AssertionResult& assertion) {
  if (!assertion) {
    ::dprintf(STDERR_FILENO, "%s\n", assertion.message());
  }
  return assertion ? 0 : 1;
}

mode_t mode_of(const std::filesystem::path& path) {
  struct stat status {};
  EXPECT_EQ(0, ::stat(path.c_str(), &status)) << path;
  return status.st_mode & 07777;
}

TEST(output_file, appears_whole_at_commit) {
  const TemporaryFolder folder;
  {
    OutputFile file(folder / "a", false);
    file.append("hello ");
    file.append(std::string_view("world"));
    EXPECT_FALSE(std::filesystem::exists(folder / "a"));
    file.commit();
  }
  EXPECT_EQ("hello world", read_bytes(folder / "a"));
  EXPECT_EQ((std::vector<std::string>{"a"}), folder.entries());
}

TEST(output_file, appears_whole_without_being_synced) {
  const TemporaryFolder folder;
  write_file(folder / "file", "one", false, Durability::kRenamed);
  EXPECT_EQ(read_bytes(folder / "file"), "one");
  write_file(folder / "file", "two", true, Durability::kRenamed);
  EXPECT_EQ(read_bytes(folder / "file"), "two");
  EXPECT_EQ(folder.entries().size(), 1U);
}

TEST(output_file, holes_are_filled_in_any_order) {
  const TemporaryFolder folder;
  const std::string_view text = "abc";
  OutputFile file(folder / "a", false);
  file.append("12");
  file.write_at(5, std::as_bytes(std::span(text)));
  file.append("34");
  file.write_at(4, std::as_bytes(std::span(text.substr(0, 1))));
  file.commit();
  EXPECT_EQ("1234aabc", read_bytes(folder / "a"));
}

TEST(output_file, nothing_is_left_without_commit) {
  const TemporaryFolder folder;
  {
    OutputFile file(folder / "a", false);
    file.append("text");
    EXPECT_EQ(1U, folder.entries().size()) << "the temporary file must be beside its target";
  }
  EXPECT_TRUE(folder.entries().empty());
}

TEST(output_file, the_old_file_stays_until_commit) {
  const TemporaryFolder folder;
  write_bytes(folder / "a", "old");
  {
    OutputFile file(folder / "a", true);
    file.append("new");
    EXPECT_EQ("old", read_bytes(folder / "a"));
  }
  EXPECT_EQ("old", read_bytes(folder / "a"));
  write_file(folder / "a", "new", true);
  EXPECT_EQ("new", read_bytes(folder / "a"));
}

TEST(output_file, existing_files_need_force) {
  const TemporaryFolder folder;
  write_bytes(folder / "a", "old");
  try {
    write_file(folder / "a", "new", false);
    FAIL() << "the file was replaced";
  } catch (const Error& error) {
    EXPECT_EQ(ErrorKind::kUsage, error.kind());
    EXPECT_NE(std::string::npos, std::string(error.what()).find((folder / "a").string()));
    EXPECT_NE(std::string::npos, error.hint().find("--force"));
  }
  EXPECT_EQ("old", read_bytes(folder / "a"));
  EXPECT_EQ(1U, folder.entries().size());
}

TEST(output_file, only_regular_files_are_replaced) {
  // Renaming over a device node would destroy it for everyone.
  const TemporaryFolder folder;
  ASSERT_EQ(0, ::mkfifo((folder / "pipe").c_str(), 0600));
  std::filesystem::create_directory(folder / "inner");
  for (const char* name : {"pipe", "inner"}) {
    for (const bool overwrite : {false, true}) {
      EXPECT_TRUE(
          fails_with(ErrorKind::kUsage, name, [&] { write_file(folder / name, "x", overwrite); }));
    }
  }
  EXPECT_TRUE(std::filesystem::is_fifo(folder / "pipe"));
  EXPECT_EQ(2U, folder.entries().size());
}

TEST(output_file, impossible_paths_are_errors) {
  const TemporaryFolder folder;
  write_bytes(folder / "file", "x");
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "empty", [] { OutputFile("", false); }));
  for (const std::filesystem::path& path :
       {folder / "absent" / "a", folder / "file" / "a", folder / std::string(300, 'n')}) {
    for (const bool overwrite : {false, true}) {
      EXPECT_TRUE(fails_with(ErrorKind::kBadInput, path.string() + ": cannot create it",
                             [&] { OutputFile(path, overwrite); }));
    }
  }
  EXPECT_EQ((std::vector<std::string>{"file"}), folder.entries());
}

TEST(output_file, unwritable_folders_are_errors) {
  const TemporaryFolder folder;
  std::filesystem::permissions(folder.path(), std::filesystem::perms(0555));
  EXPECT_EQ(
      0, in_child([&] {
        // The superuser may write anywhere.
        if (::geteuid() == 0 && ::seteuid(65534) != 0) {
          return 2;
        }
        return verdict(fails_with(ErrorKind::kBadInput, "cannot create it (Permission denied)",
                                  [&] { OutputFile(folder / "a", false); }));
      }));
  std::filesystem::permissions(folder.path(), std::filesystem::perms(0755));
  EXPECT_TRUE(folder.entries().empty());
}

TEST(output_file, permissions_follow_the_umask) {
  const TemporaryFolder folder;
  for (const auto& [mask, expected] :
       {std::pair<mode_t, mode_t>{022, 0644}, {077, 0600}, {002, 0664}, {0, 0666}}) {
    const mode_t before = ::umask(mask);
    write_file(folder / "a", "x", true);
    EXPECT_EQ(mask, ::umask(before)) << "the umask was changed";
    EXPECT_EQ(expected, mode_of(folder / "a"));
  }
}

TEST(output_file, other_threads_keep_their_umask) {
  const TemporaryFolder folder;
  const mode_t before = ::umask(027);
  std::atomic<bool> done = false;
  std::thread other([&] {
    while (!done) {
      OutputFile(folder / "a", true);
    }
  });
  int wrong = 0;
  for (int i = 0; i < 3000; ++i) {
    const std::filesystem::path path = folder / "b";
    ::close(::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0666));
    wrong += mode_of(path) == 0640 ? 0 : 1;
    ::unlink(path.c_str());
  }
  done = true;
  other.join();
  ::umask(before);
  EXPECT_EQ(0, wrong);
}

TEST(output_file, programs_that_are_started_inherit_no_descriptor) {
  const TemporaryFolder folder;
  const OutputFile file(folder / "a", false);
  int open_descriptors = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    const std::filesystem::path target = std::filesystem::read_symlink(entry.path(), gone);
    if (!gone && target.parent_path() == folder.path()) {
      ++open_descriptors;
      EXPECT_NE(0, ::fcntl(std::stoi(entry.path().filename()), F_GETFD) & FD_CLOEXEC);
    }
  }
  EXPECT_EQ(1, open_descriptors);
}

TEST(output_file, relative_paths_work) {
  const TemporaryFolder folder;
  EXPECT_EQ(0, in_child([&] {
              std::filesystem::current_path(folder.path());
              write_file("plain", "x", false);
              return 0;
            }));
  EXPECT_EQ("x", read_bytes(folder / "plain"));
}

TEST(output_file, a_file_size_limit_is_an_error) {
  const TemporaryFolder folder;
  EXPECT_EQ(0, in_child([&] {
              ::signal(SIGXFSZ, SIG_IGN);
              const rlimit limit{4096, 4096};
              ::setrlimit(RLIMIT_FSIZE, &limit);
              return verdict(
                  fails_with(ErrorKind::kBadInput, "a: write failed (File too large)",
                             [&] { write_file(folder / "a", std::string(9000, 'x'), false); }));
            }));
  EXPECT_TRUE(folder.entries().empty());
}

TEST(output_file, a_full_disk_is_an_error) {
  const TemporaryFolder folder;
  const int status = in_child([&] {
    // A mount namespace of its own makes the small disk vanish with the process.
    if (::unshare(CLONE_NEWNS) != 0 ||
        ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("none", folder.path().c_str(), "tmpfs", 0, "size=65536") != 0) {
      return kSkipped;
    }
    const int result =
        verdict(fails_with(ErrorKind::kBadInput, "a: write failed (No space left on device)",
                           [&] { write_file(folder / "a", std::string(1 << 20, 'x'), false); }));
    return result != 0 ? result : folder.entries().empty() ? 0 : 2;
  });
  if (status == kSkipped) {
    GTEST_SKIP() << "mounting a small file system is not permitted here";
  }
  EXPECT_EQ(0, status);
}

}  // namespace
}  // namespace kvsieve::traces
