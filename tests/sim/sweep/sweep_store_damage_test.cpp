// Files that are no sweep stores, or no longer.

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "kvsieve/sim/sweep_store.h"
#include "store_fixture.h"
#include "traces/temporary_folder.h"

namespace kvsieve::tests {
namespace {

using sim::SweepRow;
using sim::SweepStore;
using Mode = SweepStore::Mode;

void run_sql(const std::filesystem::path& path, const std::string& statements) {
  sqlite3* handle = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &handle), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(handle, statements.c_str(), nullptr, nullptr, nullptr), SQLITE_OK)
      << sqlite3_errmsg(handle);
  sqlite3_close(handle);
}

/// What reading and what resuming a file says, without the path.
void expect_refused(const std::filesystem::path& path, const std::string& reason) {
  const auto expect = [&](const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadInput);
    EXPECT_EQ(error.what(), path.string() + ": " + reason);
  };
  const bool regular = std::filesystem::is_regular_file(path);
  const std::string before = regular ? read_bytes(path) : "";
  expect(error_of([&] { const SweepStore store(path); }));
  expect(error_of([&] { SweepStore(path, Mode::kResume, an_identity(), true); }));
  EXPECT_EQ(regular ? read_bytes(path) : "", before) << "the file was changed";
}

TEST(SweepStoreDamage, RefusesWhatIsNoStore) {
  const TemporaryFolder folder;
  write_bytes(folder / "text", "number,budget\n1,5%\n");
  expect_refused(folder / "text", "is not a sweep store, it is no SQLite file");
  write_bytes(folder / "long", std::string(100'000, 'x'));
  expect_refused(folder / "long", "is not a sweep store, it is no SQLite file");
  expect_refused(folder.path(), "is not a sweep store, it is no regular file");
  ASSERT_EQ(::mkfifo((folder / "fifo").c_str(), 0600), 0);
  expect_refused(folder / "fifo", "is not a sweep store, it is no regular file");
  run_sql(folder / "other", "CREATE TABLE rows(number, key)");
  expect_refused(folder / "other",
                 "is not a sweep store, it is an SQLite file of another application");
  run_sql(folder / "wal", "PRAGMA journal_mode = WAL; CREATE TABLE t(x); PRAGMA user_version = 1");
  expect_refused(folder / "wal",
                 "is not a sweep store, it is an SQLite file of another application");
}

TEST(SweepStoreDamage, RefusesAnEmptyFileOnlyToReaders) {
  const TemporaryFolder folder;
  write_bytes(folder / "empty", "");
  const Error error = error_of([&] { const SweepStore store(folder / "empty"); });
  EXPECT_EQ(error.what(),
            (folder / "empty").string() + ": is empty, no sweep has stored anything yet");
}

TEST(SweepStoreDamage, RefusesOtherFormatVersions) {
  const TemporaryFolder folder;
  make_store(folder / "s", finished_rows(0, 3));
  run_sql(folder / "s", "PRAGMA user_version = 2");
  expect_refused(folder / "s", "has format version 2, expected 1: a newer kvsieve wrote it");
  run_sql(folder / "s", "PRAGMA user_version = 0");
  expect_refused(folder / "s", "is damaged (format version 0)");
}

TEST(SweepStoreDamage, RefusesAStoreWithoutItsTables) {
  const TemporaryFolder folder;
  make_store(folder / "s", finished_rows(0, 3));
  run_sql(folder / "s", "DELETE FROM sweep");
  expect_refused(folder / "s", "is damaged (it does not say what it is of)");
  run_sql(folder / "s", "DROP TABLE sweep");
  expect_refused(folder / "s", "is damaged (no such table: sweep)");
  make_store(folder / "t", finished_rows(0, 3));
  run_sql(folder / "t", "DROP TABLE rows");
  EXPECT_EQ(error_of([&] { (void)SweepStore(folder / "t").finished(); }).what(),
            (folder / "t").string() + ": is damaged (no such table: rows)");
}

/// Everything that reads a store, then a writer. Errors are fine, anything else is not.
void use(const std::filesystem::path& path) {
  try {
    const SweepStore store(path);
    (void)store.finished();
    (void)store.failed();
    (void)store.finished_keys();
    (void)export_csv(store);
    (void)export_json(store);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadInput) << error.what();
  }
  try {
    SweepStore(path, Mode::kResume, an_identity(), true).add(finished_rows(190, 260));
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadInput) << error.what();
  }
}

TEST(SweepStoreDamage, SurvivesTruncation) {
  const TemporaryFolder folder;
  make_store(folder / "whole", finished_rows(0, 200));
  const std::string whole = read_bytes(folder / "whole");
  for (std::size_t size = 1; size < whole.size(); size += size < 600 ? 97 : 1500) {
    write_bytes(folder / "s", whole.substr(0, size));
    const Error error = error_of([&] { (void)export_csv(SweepStore(folder / "s")); });
    EXPECT_EQ(error.kind(), ErrorKind::kBadInput);
    use(folder / "s");
  }
}

// An index out of order could lead a reader that takes it in parts around in a circle.
TEST(SweepStoreDamage, SeesRowsOutOfOrder) {
  const TemporaryFolder folder;
  make_store(folder / "s", finished_rows(0, 3000));
  std::string bytes = read_bytes(folder / "s");
  constexpr std::size_t kPageBytes = 4096;
  constexpr char kIndexLeaf = 0x0a;
  std::vector<std::size_t> leaves;
  for (std::size_t page = kPageBytes; page < bytes.size(); page += kPageBytes) {
    if (bytes[page] == kIndexLeaf) {
      leaves.push_back(page);
    }
  }
  ASSERT_GT(leaves.size(), 10U);
  std::swap_ranges(&bytes[leaves[4]], &bytes[leaves[4]] + kPageBytes, &bytes[leaves[7]]);
  write_bytes(folder / "s", bytes);
  const Error error = error_of([&] { (void)export_csv(SweepStore(folder / "s")); });
  EXPECT_EQ(error.what(), (folder / "s").string() + ": is damaged (rows out of order)");
}

TEST(SweepStoreDamage, SurvivesBytesThatChanged) {
  const TemporaryFolder folder;
  std::vector<SweepRow> rows = finished_rows(0, 200);
  rows[3] = failed_row(3);
  make_store(folder / "whole", rows);
  const std::string whole = read_bytes(folder / "whole");
  std::mt19937 random(7);
  const auto below = [&](std::size_t end) { return random() % end; };
  for (int trial = 0; trial < 250; ++trial) {
    std::string bytes = whole;
    const std::size_t changes = std::size_t{1} << below(7);
    // Half of the trials hit the headers of pages, where the structure is.
    for (std::size_t i = 0; i < changes; ++i) {
      const std::size_t at =
          trial % 2 == 0 ? below(bytes.size())
                         : below(bytes.size() / 4096) * 4096 + below(trial % 4 == 1 ? 12 : 200);
      bytes[at] = static_cast<char>(below(256));
    }
    SCOPED_TRACE(fmt::format("trial {}", trial));
    write_bytes(folder / "s", bytes);
    use(folder / "s");
    std::filesystem::remove(folder / "s-journal");
  }
}

}  // namespace
}  // namespace kvsieve::tests
