// A store between processes: killed writers, readers beside a writer, two writers, full disks,
// missing permission.

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "kvsieve/sim/sweep_store.h"
#include "store_fixture.h"
#include "traces/temporary_folder.h"

namespace kvsieve::tests {
namespace {

namespace fs = std::filesystem;
using sim::SweepRow;
using sim::SweepStore;
using Mode = SweepStore::Mode;

constexpr std::int64_t kBatch = 50;
constexpr int kSkipped = 77;

/// Numbers of rows that a process has committed, told through a pipe.
class Progress {
 public:
  Progress() { EXPECT_EQ(::pipe2(m_ends, O_CLOEXEC), 0); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress() {
    ::close(m_ends[0]);
    close_writing();
  }

  void tell(std::int64_t rows) const {
    if (::write(m_ends[1], &rows, sizeof rows) != sizeof rows) {
      ::_exit(97);
    }
  }

  /// The next number; -1 once all who could tell one are gone.
  std::int64_t hear() const {
    std::int64_t rows = -1;
    return ::read(m_ends[0], &rows, sizeof rows) == sizeof rows ? rows : -1;
  }

  void close_writing() {
    if (m_ends[1] >= 0) {
      ::close(std::exchange(m_ends[1], -1));
    }
  }

 private:
  int m_ends[2] = {-1, -1};
};

/// Goes on with a store batch by batch, up to `end` rows.
int write_batches(const fs::path& path, std::int64_t end, const Progress& progress) {
  SweepStore store(path, Mode::kResume, an_identity());
  for (std::int64_t number = store.finished(); number < end; number += kBatch) {
    store.add(finished_rows(number, number + kBatch));
    progress.tell(number + kBatch);
  }
  return 0;
}

void expect_whole(const SweepStore& store, std::int64_t rows) {
  EXPECT_EQ(store.finished(), rows);
  std::int64_t next = 0;
  store.each([&](const SweepRow& row) {
    EXPECT_EQ(row.number, next);
    EXPECT_EQ(row.metrics, finished_row(next).metrics);
    ++next;
  });
  EXPECT_EQ(next, rows);
}

TEST(SweepStoreProcesses, AKilledWriterLosesAtMostItsTransaction) {
  const TemporaryFolder folder;
  std::mt19937 random(3);
  int repaired = 0;
  std::int64_t committed = 0;
  for (int kill = 0; kill < 20; ++kill) {
    Progress progress;
    const pid_t child =
        start_child([&] { return write_batches(folder / "s", 1'000'000, progress); });
    progress.close_writing();
    std::int64_t told = 0;
    for (int batch = 0; batch < 3; ++batch) {
      told = progress.hear();
    }
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 10'000));
    ::kill(child, SIGKILL);
    EXPECT_EQ(wait_for(child), -SIGKILL);
    for (std::int64_t more = 0; (more = progress.hear()) >= 0;) {
      told = more;
    }
    repaired += fs::exists(folder / "s-journal") ? 1 : 0;
    const SweepStore store(folder / "s");
    const std::int64_t found = store.finished();
    EXPECT_EQ(found % kBatch, 0) << "a part of a transaction";
    EXPECT_GE(found, std::max(told, committed)) << "a committed transaction is gone";
    EXPECT_LE(found, std::max(told, committed) + kBatch);
    expect_whole(store, found);
    committed = found;
  }
  EXPECT_GE(committed, 20 * 3 * kBatch);
  RecordProperty("journals_found", repaired);
  Progress progress;
  EXPECT_EQ(write_batches(folder / "s", committed + 500, progress), 0);
  expect_whole(SweepStore(folder / "s"), committed + 500);
  EXPECT_EQ(folder.entries(), std::vector<std::string>{"s"});
}

TEST(SweepStoreProcesses, AWriterKilledWhileItCreatesTheStoreIsNoObstacle) {
  std::mt19937 random(5);
  for (int kill = 0; kill < 20; ++kill) {
    const TemporaryFolder folder;
    Progress progress;
    const pid_t child =
        start_child([&] { return write_batches(folder / "s", 1'000'000, progress); });
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 15'000));
    ::kill(child, SIGKILL);
    EXPECT_EQ(wait_for(child), -SIGKILL);
    SweepStore store(folder / "s", Mode::kResume, an_identity());
    const std::int64_t found = store.finished();
    EXPECT_EQ(found % kBatch, 0);
    store.add(finished_rows(found, found + 5));
    expect_whole(store, found + 5);
    EXPECT_EQ(folder.entries(), std::vector<std::string>{"s"});
  }
}

TEST(SweepStoreProcesses, ReadersSeeProgressWhileOneWrites) {
  const TemporaryFolder folder;
  make_store(folder / "s", {});
  constexpr std::int64_t kRows = 100 * kBatch;
  Progress progress;
  const pid_t writer = start_child([&] { return write_batches(folder / "s", kRows, progress); });
  progress.close_writing();
  const SweepStore reader(folder / "s");
  std::int64_t seen = 0;
  int steps = 0;
  while (seen < kRows) {
    const std::int64_t now = reader.finished();
    ASSERT_GE(now, seen);
    EXPECT_EQ(now % kBatch, 0);
    steps += now > seen ? 1 : 0;
    seen = now;
    std::int64_t visited = 0;
    reader.each([&](const SweepRow& row) { EXPECT_EQ(row.number, visited++); });
    ASSERT_GE(visited, seen);
  }
  EXPECT_EQ(wait_for(writer), 0);
  EXPECT_GT(steps, 20) << "the writer kept the reader out";
  expect_whole(reader, kRows);
}

// Columns are collected in one pass and rows written in a second one: what comes in between may
// bring columns.
TEST(SweepStoreProcesses, AnExportBesideAWriterIsComplete) {
  const TemporaryFolder folder;
  constexpr std::int64_t kRows = 60;
  make_store(folder / "s", {});
  const pid_t writer = start_child([&] {
    SweepStore store(folder / "s", Mode::kResume, an_identity());
    for (std::int64_t number = 0; number < kRows; ++number) {
      SweepRow row = finished_row(number);
      row.options = "{}";
      row.metrics = fmt::format(R"({{"m{}":"value"}})", number);
      store.add(std::vector{row});
    }
    return 0;
  });
  const SweepStore reader(folder / "s");
  std::size_t rows = 0;
  while (rows < kRows) {
    const std::string csv = export_csv(reader);
    std::istringstream lines(csv);
    std::string line;
    std::getline(lines, line);
    const auto columns = std::count(line.begin(), line.end(), ',');
    for (rows = 0; std::getline(lines, line); ++rows) {
      ASSERT_NE(line.find("value"), std::string::npos) << csv;
    }
    ASSERT_EQ(static_cast<std::size_t>(columns), rows + 1);
  }
  EXPECT_EQ(wait_for(writer), 0);
}

TEST(SweepStoreProcesses, ASecondWriterIsTurnedAway) {
  const TemporaryFolder folder;
  Progress ready;
  const pid_t first = start_child([&] {
    SweepStore store(folder / "s", Mode::kCreate, an_identity());
    store.add(finished_rows(0, 10));
    ready.tell(10);
    ::pause();
    return 1;
  });
  ASSERT_EQ(ready.hear(), 10);
  for (const Mode mode : {Mode::kResume, Mode::kCreate}) {
    const Error error = error_of([&] { SweepStore(folder / "s", mode, an_identity()); });
    EXPECT_EQ(error.kind(), ErrorKind::kBadInput);
    EXPECT_EQ(error.what(), (folder / "s").string() + ": is being written by another process");
  }
  EXPECT_EQ(SweepStore(folder / "s").finished(), 10);
  ::kill(first, SIGKILL);
  EXPECT_EQ(wait_for(first), -SIGKILL);
  SweepStore(folder / "s", Mode::kResume, an_identity()).add(finished_rows(5, 15));
  expect_whole(SweepStore(folder / "s"), 15);
}

// One creates, one finds the store there or being written: never both, nothing doubled.
TEST(SweepStoreProcesses, WritersThatStartTogether) {
  for (int round = 0; round < 10; ++round) {
    const TemporaryFolder folder;
    Progress progress;
    const auto race = [&] {
      try {
        return write_batches(folder / "s", 2 * kBatch, progress);
      } catch (const Error& error) {
        return static_cast<int>(error.kind());
      }
    };
    const pid_t first = start_child(race);
    const pid_t second = start_child(race);
    const int codes[] = {wait_for(first), wait_for(second)};
    EXPECT_TRUE(codes[0] == 0 || codes[1] == 0);
    for (const int code : codes) {
      EXPECT_TRUE(code == 0 || code == 3) << code;
    }
    expect_whole(SweepStore(folder / "s"), 2 * kBatch);
  }
}

/// Adds batches until an error, which must be one of a full disk. Returns how many rows were added.
std::int64_t fill(const fs::path& path, const std::string& reason) {
  std::int64_t added = 0;
  const Error error = error_of([&] {
    SweepStore store(path, Mode::kResume, an_identity());
    for (; added < 1'000'000; added += kBatch) {
      store.add(finished_rows(added, added + kBatch));
    }
  });
  EXPECT_EQ(error.kind(), ErrorKind::kBadInput);
  EXPECT_EQ(error.what(), path.string() + ": " + reason);
  EXPECT_NE(error.hint().find("--resume"), std::string::npos);
  return added;
}

TEST(SweepStoreProcesses, AFullDiskKeepsWhatWasStored) {
  const TemporaryFolder folder;
  const int code = in_child([&] {
    // A small disk that goes with this process's mount namespace.
    const int user = ::geteuid() == 0 ? 0 : CLONE_NEWUSER;
    const fs::path disk = folder / "disk";
    fs::create_directory(disk);
    const uid_t uid = ::geteuid();
    const gid_t gid = ::getegid();
    if (::unshare(CLONE_NEWNS | user) != 0) {
      return kSkipped;
    }
    if (user != 0) {
      write_bytes("/proc/self/setgroups", "deny");
      write_bytes("/proc/self/uid_map", fmt::format("0 {} 1", uid));
      write_bytes("/proc/self/gid_map", fmt::format("0 {} 1", gid));
    }
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=512k") != 0) {
      return kSkipped;
    }
    write_bytes(disk / "ballast", std::string(200'000, 'x'));
    const std::int64_t added = fill(disk / "s", "the disk is full, what was stored before is kept");
    EXPECT_GT(added, kBatch);
    expect_whole(SweepStore(disk / "s"), added);
    fs::remove(disk / "ballast");
    SweepStore(disk / "s", Mode::kResume, an_identity()).add(finished_rows(added, added + kBatch));
    expect_whole(SweepStore(disk / "s"), added + kBatch);
    // No room for even an empty store leaves nothing behind.
    write_bytes(disk / "ballast", std::string(600'000, 'x'));
    EXPECT_THROW(SweepStore(disk / "t", Mode::kCreate, an_identity()), Error);
    EXPECT_FALSE(fs::exists(disk / "t"));
    return ::testing::Test::HasFailure() ? 1 : 0;
  });
  if (code == kSkipped) {
    GTEST_SKIP() << "no permission to mount a small disk";
  }
  EXPECT_EQ(code, 0);
}

TEST(SweepStoreProcesses, AFileLimitKeepsWhatWasStored) {
  const TemporaryFolder folder;
  EXPECT_EQ(in_child([&] {
              ::signal(SIGXFSZ, SIG_IGN);
              const rlimit limit{300'000, RLIM_INFINITY};
              ::setrlimit(RLIMIT_FSIZE, &limit);
              const std::int64_t added = fill(
                  folder / "s", "writing failed (File too large), what was stored before is kept");
              EXPECT_GT(added, kBatch);
              expect_whole(SweepStore(folder / "s"), added);
              return ::testing::Test::HasFailure() ? 1 : 0;
            }),
            0);
  const std::int64_t found = SweepStore(folder / "s").finished();
  SweepStore(folder / "s", Mode::kResume, an_identity()).add(finished_rows(found, found + 5));
  expect_whole(SweepStore(folder / "s"), found + 5);
}

class SweepStorePermissions : public ::testing::Test {
 protected:
  void SetUp() override {
    make_store(m_folder / "s", finished_rows(0, 10));
    permit(m_folder.path(), 0755);
    permit(m_folder / "s", 0644);
  }
  void TearDown() override { permit(m_folder.path(), 0755); }

  static void permit(const fs::path& path, ::mode_t mode) {
    ASSERT_EQ(::chmod(path.c_str(), mode), 0);
  }

  /// What an action says to a user who may do only what the modes permit.
  void expect_error(const std::function<void()>& action, const std::string& reason) {
    EXPECT_EQ(in_child_as_nobody([&] {
                const Error error = error_of(action);
                EXPECT_EQ(error.kind(), ErrorKind::kBadInput);
                EXPECT_EQ(error.what(), (m_folder / "s").string() + ": " + reason);
                return ::testing::Test::HasFailure() ? 1 : 0;
              }),
              0);
  }
  void expect_resume_error(const std::string& reason) {
    expect_error([&] { SweepStore(m_folder / "s", Mode::kResume, an_identity()); }, reason);
  }
  void expect_readable() {
    EXPECT_EQ(in_child_as_nobody([&] {
                expect_whole(SweepStore(m_folder / "s"), 10);
                return ::testing::Test::HasFailure() ? 1 : 0;
              }),
              0);
  }

  const TemporaryFolder m_folder;
};

TEST_F(SweepStorePermissions, AReadOnlyFileCanBeRead) {
  permit(m_folder / "s", 0444);
  permit(m_folder.path(), 0777);
  expect_readable();
  expect_resume_error("cannot be opened for writing (Permission denied)");
}

TEST_F(SweepStorePermissions, AReadOnlyFolderCanBeRead) {
  permit(m_folder / "s", 0666);
  permit(m_folder.path(), 0555);
  expect_readable();
  expect_resume_error("its folder cannot be written (Permission denied)");
  permit(m_folder.path(), 0755);
  fs::remove(m_folder / "s");
  permit(m_folder.path(), 0555);
  expect_resume_error("cannot be opened for writing (Permission denied)");
}

TEST_F(SweepStorePermissions, AFileThatCannotBeReadSaysSo) {
  permit(m_folder / "s", 0);
  expect_error([&] { const SweepStore store(m_folder / "s"); },
               "cannot be opened (Permission denied)");
}

TEST_F(SweepStorePermissions, AStoreThatNeedsRepairSaysSo) {
  // A writer that dies with pages of its transaction already in the file.
  EXPECT_EQ(in_child([&] {
              sqlite3* handle = nullptr;
              sqlite3_open((m_folder / "s").c_str(), &handle);
              sqlite3_exec(handle,
                           "PRAGMA cache_size = 1; BEGIN; UPDATE rows SET metrics = "
                           "hex(randomblob(20000))",
                           nullptr, nullptr, nullptr);
              return 0;
            }),
            0);
  ASSERT_GT(fs::file_size(m_folder / "s-journal"), 0U);
  permit(m_folder / "s-journal", 0444);
  permit(m_folder / "s", 0444);
  permit(m_folder.path(), 0555);
  expect_error([&] { const SweepStore store(m_folder / "s"); },
               "its writer died within a transaction, and it cannot be repaired read-only");
  // Who may write repairs it by reading.
  permit(m_folder.path(), 0755);
  permit(m_folder / "s", 0644);
  permit(m_folder / "s-journal", 0644);
  expect_whole(SweepStore(m_folder / "s"), 10);
  EXPECT_EQ(m_folder.entries(), std::vector<std::string>{"s"});
  expect_readable();
}

}  // namespace
}  // namespace kvsieve::tests
