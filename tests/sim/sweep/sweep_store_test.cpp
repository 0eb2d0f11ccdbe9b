#include "kvsieve/sim/sweep_store.h"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "store_fixture.h"
#include "traces/temporary_folder.h"

namespace kvsieve::sim {

static bool operator==(const SweepRow& a, const SweepRow& b) {
  return a.number == b.number && a.key == b.key && a.options == b.options &&
         a.metrics == b.metrics && a.error == b.error;
}

}  // namespace kvsieve::sim

namespace kvsieve::tests {
namespace {

using sim::SweepIdentity;
using sim::SweepRow;
using sim::SweepStore;
using Mode = SweepStore::Mode;
using Paths = std::vector<std::filesystem::path>;

TEST(SweepStore, HoldsWhatWasAdded) {
  const TemporaryFolder folder;
  {
    SweepStore store(folder / "s", Mode::kCreate, an_identity());
    EXPECT_EQ(store.finished(), 0);
    store.add(finished_rows(5, 8));
    store.add(std::vector{failed_row(2), finished_row(0)});
    store.add({});
  }
  const SweepStore store(folder / "s");
  EXPECT_EQ(all_rows(store), (std::vector{finished_row(0), failed_row(2), finished_row(5),
                                          finished_row(6), finished_row(7)}));
  EXPECT_EQ(store.finished(), 4);
  EXPECT_EQ(store.failed(), 1);
  std::vector<std::string> keys{key_of(0), key_of(5), key_of(6), key_of(7)};
  std::sort(keys.begin(), keys.end());
  EXPECT_EQ(store.finished_keys(), keys);
  EXPECT_EQ(store.identity().tool_version, "0.7.0");
  EXPECT_EQ(store.identity().isa, "avx2");
  EXPECT_EQ(store.identity().definition, an_identity().definition);
  EXPECT_EQ(store.identity().inputs, an_identity().inputs);
  EXPECT_EQ(store.identity().points, 1000);
  EXPECT_FALSE(store.mixed());
}

TEST(SweepStore, KeepsTextsAsTheyAre) {
  const TemporaryFolder folder;
  SweepRow odd = failed_row(1, "it's \"bad\",\n\tvery; DROP TABLE rows; \xc3\xa9");
  odd.key = "'; --";
  make_store(folder / "s", {odd});
  EXPECT_EQ(all_rows(SweepStore(folder / "s")), std::vector{odd});
}

TEST(SweepStore, VisitsManyPagesInOrder) {
  const TemporaryFolder folder;
  std::vector<SweepRow> rows = finished_rows(0, 4500);
  std::reverse(rows.begin(), rows.end());
  make_store(folder / "s", rows);
  std::reverse(rows.begin(), rows.end());
  EXPECT_EQ(all_rows(SweepStore(folder / "s")), rows);
}

TEST(SweepStore, ReadersFollowAWriterByThePlacesOfRows) {
  const TemporaryFolder folder;
  SweepStore writer(folder / "s", Mode::kCreate, an_identity());
  const SweepStore reader(folder / "s");
  std::vector<std::int64_t> places;
  std::vector<SweepRow> rows;
  const auto visit = [&](std::int64_t place, const SweepRow& row) {
    places.push_back(place);
    rows.push_back(row);
  };
  writer.add(std::vector{finished_row(7), failed_row(3)});
  writer.add(finished_rows(0, 3));
  reader.each_since(0, {}, visit);
  EXPECT_EQ(rows, (std::vector{finished_row(7), failed_row(3), finished_row(0), finished_row(1),
                               finished_row(2)}));
  const std::int64_t last = places.back();
  const std::int64_t failed = places[1];
  rows.clear();
  reader.each_since(last, {}, visit);
  EXPECT_TRUE(rows.empty());
  writer.add(std::vector{finished_row(3), finished_row(9)});
  reader.each_since(last, {&failed, 1}, visit);
  EXPECT_EQ(rows, (std::vector{finished_row(3), finished_row(9)}));
  const std::int64_t none = 1000;
  const Error error = error_of([&] { reader.each_since(last, {&none, 1}, visit); });
  EXPECT_EQ(error.what(), (folder / "s").string() + ": has lost rows that it had");
}

TEST(SweepStore, FollowsManyPages) {
  const TemporaryFolder folder;
  std::vector<SweepRow> rows = finished_rows(0, 4500);
  std::reverse(rows.begin(), rows.end());
  make_store(folder / "s", rows);
  std::vector<SweepRow> seen;
  SweepStore(folder / "s").each_since(0, {}, [&](std::int64_t, const SweepRow& row) {
    seen.push_back(row);
  });
  EXPECT_EQ(seen, rows);
}

TEST(SweepStore, IsOneFileBetweenTransactions) {
  const TemporaryFolder folder;
  SweepStore store(folder / "s", Mode::kCreate, an_identity());
  store.add(finished_rows(0, 100));
  EXPECT_EQ(folder.entries(), std::vector<std::string>{"s"});
  const SweepStore reader(folder / "s");
  EXPECT_EQ(reader.finished(), 100);
  EXPECT_EQ(folder.entries(), std::vector<std::string>{"s"});
}

TEST(SweepStore, ReadersSeeEachTransactionAndNeverBlockTheWriter) {
  const TemporaryFolder folder;
  SweepStore writer(folder / "s", Mode::kCreate, an_identity());
  const SweepStore reader(folder / "s");
  std::int64_t added = 0;
  for (; added < 4000; added += 1000) {
    writer.add(finished_rows(added, added + 1000));
    EXPECT_EQ(reader.finished(), added + 1000);
  }
  // A visitor of thousands of rows does not hold them while it looks at one.
  bool first = true;
  std::int64_t visited = 0;
  reader.each([&](const SweepRow&) {
    if (std::exchange(first, false)) {
      writer.add(finished_rows(added, added + 10));
    }
    ++visited;
  });
  EXPECT_EQ(visited, 4010);
}

TEST(SweepStore, AMovedStoreGoesOn) {
  const TemporaryFolder folder;
  SweepStore first(folder / "s", Mode::kCreate, an_identity());
  SweepStore second(std::move(first));
  second.add(finished_rows(0, 1));
  SweepStore other(folder / "t", Mode::kCreate, an_identity());
  other = std::move(second);
  other.add(finished_rows(1, 2));
  EXPECT_EQ(other.finished(), 2);
  // The store that was assigned to is closed.
  EXPECT_NO_THROW(SweepStore(folder / "t", Mode::kResume, an_identity()));
}

TEST(SweepStore, KeepsFinishedRowsAndReplacesFailedOnes) {
  const TemporaryFolder folder;
  SweepStore store(folder / "s", Mode::kCreate, an_identity());
  store.add(std::vector{finished_row(0), failed_row(1, "first"), failed_row(2, "first")});
  SweepRow other = finished_row(0);
  other.metrics = R"({"l1_loss":9})";
  store.add(std::vector{other, finished_row(1), failed_row(2, "second"), failed_row(0)});
  EXPECT_EQ(all_rows(store),
            (std::vector{finished_row(0), finished_row(1), failed_row(2, "second")}));
  // Within one batch too.
  store.add(std::vector{failed_row(3), finished_row(3), other, finished_row(3)});
  EXPECT_EQ(store.finished(), 3);
  EXPECT_EQ(store.failed(), 1);
}

TEST(SweepStore, IsNotCreatedOverAFile) {
  const TemporaryFolder folder;
  make_store(folder / "s", finished_rows(0, 3));
  write_bytes(folder / "text", "notes");
  for (const char* name : {"s", "text"}) {
    const std::string before = read_bytes(folder / name);
    const Error error =
        error_of([&] { SweepStore(folder / name, Mode::kCreate, an_identity(), true); });
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    EXPECT_EQ(error.what(), (folder / name).string() + ": the store exists already");
    EXPECT_NE(error.hint().find("--resume"), std::string::npos);
    EXPECT_EQ(read_bytes(folder / name), before);
  }
}

TEST(SweepStore, ResumesOrCreates) {
  const TemporaryFolder folder;
  SweepStore(folder / "s", Mode::kResume, an_identity()).add(finished_rows(0, 3));
  SweepStore(folder / "s", Mode::kResume, an_identity()).add(finished_rows(2, 5));
  EXPECT_EQ(SweepStore(folder / "s", Mode::kRead, an_identity()).finished(), 5);
  // What is left of a process that was killed before it had stored anything.
  write_bytes(folder / "empty", "");
  SweepStore(folder / "empty", Mode::kResume, an_identity()).add(finished_rows(0, 1));
  EXPECT_EQ(SweepStore(folder / "empty").finished(), 1);
}

TEST(SweepStore, SaysHowAnotherSweepDiffers) {
  const TemporaryFolder folder;
  make_store(folder / "s", finished_rows(0, 3));
  struct Case {
    void (*change)(SweepIdentity&);
    std::string difference;
  };
  const std::vector<Case> cases{
      {[](SweepIdentity& i) { i.tool_version = "0.8.0"; },
       "the tool's version is 0.7.0 there and 0.8.0 here"},
      {[](SweepIdentity& i) { i.isa = "avx512"; },
       "the instruction set is avx2 there and avx512 here"},
      {[](SweepIdentity& i) {
         i.inputs = R"({"traces":{"needle.kvtrace":"00fe"},"profiles":{"h100-sxm":"a1"}})";
       },
       R"(inputs.traces.needle.kvtrace is "00ff" there and "00fe" here)"},
      {[](SweepIdentity& i) {
         i.definition = R"({"axes":[{"name":"budget","values":["5%","20%"]}],"seed":1})";
       },
       R"(definition.axes[0].values[1] is "10%" there and "20%" here)"},
      {[](SweepIdentity& i) { i.points = 7; }, "the number of points is 1000 there and 7 here"},
      {[](SweepIdentity& i) {
         i.tool_version = "1";
         i.points = 7;
       },
       "the tool's version is 0.7.0 there and 1 here; the number of points is 1000 there and 7 "
       "here"},
  };
  for (const Case& c : cases) {
    SweepIdentity other = an_identity();
    c.change(other);
    for (const Mode mode : {Mode::kResume, Mode::kRead}) {
      const Error error = error_of([&] { SweepStore(folder / "s", mode, other); });
      EXPECT_EQ(error.kind(), ErrorKind::kUsage);
      EXPECT_EQ(error.what(), (folder / "s").string() + ": holds another sweep: " + c.difference);
      EXPECT_NE(error.hint().find("--force"), std::string::npos);
    }
    EXPECT_EQ(SweepStore(folder / "s", Mode::kRead, other, true).finished(), 3);
  }
  EXPECT_EQ(SweepStore(folder / "s").identity().tool_version, "0.7.0");
}

TEST(SweepStore, ForceMixesSweeps) {
  const TemporaryFolder folder;
  SweepIdentity other = an_identity();
  other.points = 2000;
  make_store(folder / "s", {finished_row(0), failed_row(1), finished_row(2)});
  {
    SweepStore store(folder / "s", Mode::kResume, other, true);
    EXPECT_TRUE(store.mixed());
    EXPECT_EQ(store.identity().points, 2000);
    // Points have other numbers in the other sweep; keys say which are the same.
    SweepRow again = finished_row(0);
    again.number = 10;
    SweepRow retried = finished_row(1);
    retried.number = 11;
    SweepRow same_number = finished_row(12);
    same_number.number = 2;
    store.add(std::vector{again, retried, same_number});
    EXPECT_EQ(store.finished(), 4);
    EXPECT_EQ(store.failed(), 0);
    EXPECT_EQ(all_numbers(store), (std::vector<std::int64_t>{0, 2, 2, 11}));
  }
  const SweepStore store(folder / "s", Mode::kResume, other);
  EXPECT_TRUE(store.mixed());
  EXPECT_THROW(SweepStore(folder / "s", Mode::kRead, an_identity()), Error);
}

TEST(SweepStore, ForceWithoutNeedMixesNothing) {
  const TemporaryFolder folder;
  make_store(folder / "s", finished_rows(0, 3));
  EXPECT_FALSE(SweepStore(folder / "s", Mode::kResume, an_identity(), true).mixed());
  // A store without rows has nothing to mix.
  make_store(folder / "t", {});
  SweepIdentity other = an_identity();
  other.isa = "avx512";
  EXPECT_FALSE(SweepStore(folder / "t", Mode::kResume, other, true).mixed());
  EXPECT_EQ(SweepStore(folder / "t").identity().isa, "avx512");
}

TEST(SweepStoreMerge, ExportsTheSameWhateverTheOrder) {
  const TemporaryFolder folder;
  Paths parts;
  for (std::int64_t shard = 0; shard < 3; ++shard) {
    std::vector<SweepRow> rows;
    for (std::int64_t number = shard; number < 5000; number += 3) {
      rows.push_back(number % 50 == 7 ? failed_row(number) : finished_row(number));
    }
    // Shards that overlap: finished points beat failed ones, and the same failure is one row.
    rows.push_back(finished_row(7));
    rows.push_back(failed_row(57, shard == 1 ? "another" : "some"));
    parts.push_back(folder / ("part" + std::to_string(shard)));
    make_store(parts.back(), rows);
  }
  std::vector<SweepRow> expected;
  for (std::int64_t number = 0; number < 5000; ++number) {
    expected.push_back(number == 57                      ? failed_row(57, "another")
                       : number != 7 && number % 50 == 7 ? failed_row(number)
                                                         : finished_row(number));
  }
  std::reverse(expected.begin(), expected.end());
  make_store(folder / "single", expected);
  const std::string csv = export_csv(SweepStore(folder / "single"));
  const std::string json = export_json(SweepStore(folder / "single"));
  std::sort(parts.begin(), parts.end());
  int order = 0;
  do {
    SweepStore merged(folder / ("merged" + std::to_string(order++)), Mode::kCreate, an_identity());
    merged.merge(parts);
    EXPECT_EQ(export_csv(merged), csv);
    EXPECT_EQ(export_json(merged), json);
    merged.merge(parts);
    EXPECT_EQ(export_csv(merged), csv) << "merged twice";
  } while (std::next_permutation(parts.begin(), parts.end()));
  EXPECT_EQ(order, 6);
}

TEST(SweepStoreMerge, RefusesOtherSweeps) {
  const TemporaryFolder folder;
  make_store(folder / "good", finished_rows(0, 2));
  SweepIdentity other = an_identity();
  other.isa = "avx512";
  make_store(folder / "other", finished_rows(2, 4), other);
  SweepStore merged(folder / "merged", Mode::kCreate, an_identity());
  const Error error = error_of([&] { merged.merge(Paths{folder / "good", folder / "other"}); });
  EXPECT_EQ(error.kind(), ErrorKind::kUsage);
  EXPECT_EQ(error.what(), (folder / "other").string() + ": does not belong into " +
                              (folder / "merged").string() +
                              ": the instruction set is avx512 there and avx2 here");
  EXPECT_NE(error.hint().find("--force"), std::string::npos);
  EXPECT_EQ(merged.finished(), 0);
  EXPECT_FALSE(merged.mixed());
  merged.merge(Paths{folder / "good", folder / "other"}, true);
  EXPECT_EQ(merged.finished(), 4);
  EXPECT_TRUE(merged.mixed());
  EXPECT_EQ(merged.identity().isa, "avx2");
  // What force has mixed does not get into another store unnoticed.
  SweepStore clean(folder / "clean", Mode::kCreate, an_identity());
  EXPECT_NE(std::string(error_of([&] { clean.merge(Paths{folder / "merged"}); }).what())
                .find("made with --force"),
            std::string::npos);
  clean.merge(Paths{folder / "merged"}, true);
  EXPECT_TRUE(clean.mixed());
}

TEST(SweepStoreMerge, RefusesContradictions) {
  const TemporaryFolder folder;
  SweepRow other = finished_row(1);
  other.metrics = R"({"l1_loss":0.5,"pieces":7})";
  make_store(folder / "a", finished_rows(0, 3));
  make_store(folder / "b", {other, finished_row(5)});
  SweepStore merged(folder / "merged", Mode::kCreate, an_identity());
  const Error error = error_of([&] { merged.merge(Paths{folder / "a", folder / "b"}, true); });
  EXPECT_EQ(error.kind(), ErrorKind::kUsage);
  EXPECT_EQ(error.what(), (folder / "b").string() + ": point 1 (key " + key_of(1) +
                              ") has other results than a row that is there already: "
                              "metrics.l1_loss is 0.5 there and 0.25 here");
  EXPECT_EQ(merged.finished(), 0) << "all or none";
  merged.merge(Paths{folder / "a"});
  EXPECT_EQ(merged.finished(), 3);
}

// The same points of two sweeps that number them in different ways.
TEST(SweepStoreMerge, ForcedKeepsOneRowAKey) {
  const TemporaryFolder folder;
  SweepIdentity other = an_identity();
  other.points = 5;
  std::vector<SweepRow> renumbered = finished_rows(0, 3);
  for (SweepRow& row : renumbered) {
    row.number += 100;
  }
  std::vector<SweepRow> rows = finished_rows(0, 4);
  rows[2] = failed_row(2);
  make_store(folder / "a", rows);
  make_store(folder / "b", renumbered, other);
  // The lowest number counts, but only among rows that are as good.
  const std::vector<SweepRow> expected{rows[0], rows[1], rows[3], renumbered[2]};
  const std::vector<Paths> orders{{folder / "a", folder / "b"}, {folder / "b", folder / "a"}};
  for (const Paths& order : orders) {
    const std::filesystem::path path = folder / ("into-" + order[0].filename().string());
    SweepStore merged(path, Mode::kCreate, an_identity());
    merged.merge(order, true);
    EXPECT_EQ(all_rows(merged), expected);
  }
}

TEST(SweepStoreMerge, NamesAPartThatCannotBeRead) {
  const TemporaryFolder folder;
  make_store(folder / "a", finished_rows(0, 3));
  SweepStore merged(folder / "merged", Mode::kCreate, an_identity());
  const Error error = error_of([&] { merged.merge(Paths{folder / "a", folder / "none"}); });
  EXPECT_EQ(error.kind(), ErrorKind::kBadInput);
  EXPECT_EQ(error.what(),
            (folder / "none").string() + ": cannot be opened (No such file or directory)");
  EXPECT_EQ(merged.finished(), 0);
}

// As sqlite3, pandas and others see it.
TEST(SweepStore, IsPlainSqlite) {
  const TemporaryFolder folder;
  make_store(folder / "s", {finished_row(3), failed_row(4)});
  sqlite3* handle = nullptr;
  ASSERT_EQ(sqlite3_open((folder / "s").c_str(), &handle), SQLITE_OK);
  const auto value = [&](const char* query) {
    sqlite3_stmt* statement = nullptr;
    EXPECT_EQ(sqlite3_prepare_v2(handle, query, -1, &statement, nullptr), SQLITE_OK) << query;
    EXPECT_EQ(sqlite3_step(statement), SQLITE_ROW) << query;
    const unsigned char* text = sqlite3_column_text(statement, 0);
    std::string copy = text == nullptr ? "NULL" : reinterpret_cast<const char*>(text);
    sqlite3_finalize(statement);
    return copy;
  };
  EXPECT_EQ(value("SELECT json_extract(options, '$.budget') FROM rows WHERE number = 3"), "3%");
  EXPECT_EQ(value("SELECT json_extract(metrics, '$.pieces') FROM rows WHERE number = 3"), "21");
  EXPECT_EQ(value("SELECT error FROM rows WHERE number = 3"), "NULL");
  EXPECT_EQ(value("SELECT metrics FROM rows WHERE number = 4"), "NULL");
  EXPECT_EQ(value("SELECT error FROM rows WHERE number = 4"), "out of memory");
  EXPECT_EQ(value("SELECT tool_version || isa || points || mixed FROM sweep"), "0.7.0avx210000");
  EXPECT_EQ(value("PRAGMA application_id"), std::to_string(0x4b565357));
  EXPECT_EQ(value("PRAGMA user_version"), "1");
  EXPECT_EQ(value("PRAGMA integrity_check"), "ok");
  // Another program may set a write-ahead log, which a file keeps; the next writer ends that.
  EXPECT_EQ(value("PRAGMA journal_mode = WAL"), "wal");
  sqlite3_close(handle);
  EXPECT_EQ(SweepStore(folder / "s").finished(), 1);
  SweepStore store(folder / "s", Mode::kResume, an_identity());
  store.add(finished_rows(5, 6));
  EXPECT_EQ(folder.entries(), std::vector<std::string>{"s"});
  EXPECT_EQ(store.finished(), 2);
}

}  // namespace
}  // namespace kvsieve::tests
