#include "kvsieve/sim/result_history.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>

#include "../../traces/fails_with.h"
#include "kvsieve/kernels/counter_random.h"
#include "kvsieve/sim/result_gate.h"
#include "traces/temporary_folder.h"

namespace kvsieve::sim {
namespace {

using tests::fails_with;

class History : public testing::Test {
 protected:
  /// A result of one case around a level, measured on a day of November.
  std::filesystem::path measure(int day, double level, const std::string& machine = "m1") {
    std::string entries;
    for (int i = 0; i < 12; ++i) {
      entries += fmt::format(
          R"({}{{"name": "copy/n:64", "real_time": {}, "cpu_time": 1, "time_unit": "us"}})",
          i == 0 ? "" : ",", level * (0.99 + 0.02 * m_random.uniform()));
    }
    const std::filesystem::path path = m_folder / fmt::format("run{}.json", m_files++);
    std::ofstream(path) << fmt::format(
        R"({{"context": {{"date": "2026-11-{:02d}T12:00:00+00:00", "kvsieve": {{"kind": "timings",
        "machine": "{}"}}}}, "benchmarks": [{}]}})",
        day, machine, entries);
    return path;
  }

  void add(const std::filesystem::path& file, std::size_t keep = 50) {
    ResultHistory(m_folder / "history").add(file, read_benchmarks(file), keep);
  }

  ResultComparison compare(const std::filesystem::path& file, std::size_t runs = 10) {
    return ResultHistory(m_folder / "history").compare(read_benchmarks(file), {}, runs);
  }

  tests::TemporaryFolder m_folder;
  kernels::CounterRandom m_random{1};
  int m_files = 0;
};

TEST_F(History, PoolsTheLatestRuns) {
  for (int day = 1; day <= 8; ++day) {
    add(measure(day, 100));
  }
  const ResultComparison same = compare(measure(9, 100), 5);
  EXPECT_EQ(same.changes.at(0).verdict, ChangeVerdict::kSame);
  EXPECT_EQ(same.changes.at(0).timing->old_count, 60U);
  const ResultComparison slow = compare(measure(9, 112), 5);
  EXPECT_EQ(slow.changes.at(0).verdict, ChangeVerdict::kWorse);
  EXPECT_TRUE(slow.steps.empty());
}

TEST_F(History, RunsThatDifferFromEachOtherRaiseTheThreshold) {
  for (const auto& [day, level] :
       {std::pair{1, 100}, {2, 108}, {3, 96}, {4, 105}, {5, 93}, {6, 110}}) {
    add(measure(day, level));
  }
  const ResultComparison comparison = compare(measure(9, 110));
  EXPECT_NE(comparison.changes.at(0).verdict, ChangeVerdict::kWorse);
  EXPECT_GT(comparison.changes.at(0).timing->lasting, 0.05);
}

TEST_F(History, SaysWhereTheLevelMovedAndComparesWithTheNewOne) {
  for (int day = 1; day <= 10; ++day) {
    add(measure(day, 100));
  }
  for (int day = 11; day <= 18; ++day) {
    add(measure(day, 120));
  }
  const ResultComparison comparison = compare(measure(19, 120), 20);
  ASSERT_EQ(comparison.steps.size(), 1U);
  EXPECT_EQ(comparison.steps[0].date, "2026-11-11T12:00:00+00:00");
  EXPECT_TRUE(comparison.steps[0].worse);
  EXPECT_NEAR(comparison.steps[0].after / comparison.steps[0].before, 1.2, 0.02);
  EXPECT_EQ(comparison.changes.at(0).verdict, ChangeVerdict::kSame);
  EXPECT_EQ(comparison.changes.at(0).timing->old_count, 96U);
}

TEST_F(History, OtherMachinesAreLeftOut) {
  add(measure(1, 100, "m1"));
  add(measure(2, 500, "m2"));
  EXPECT_EQ(compare(measure(3, 100, "m1")).changes.at(0).timing->old_count, 12U);
  EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "none of 2 results",
                         [&] { compare(measure(3, 100, "m3")); }));
}

TEST_F(History, UnknownMetricsAndFiltersAreRefused) {
  add(measure(1, 100));
  const std::filesystem::path now = measure(2, 100);
  CompareOptions options;
  options.metrics = {"real_tim"};
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "real_tim", [&] {
    static_cast<void>(
        ResultHistory(m_folder / "history").compare(read_benchmarks(now), options, 10));
  }));
  options = {};
  options.filter = "nowhere";
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "nowhere", [&] {
    static_cast<void>(
        ResultHistory(m_folder / "history").compare(read_benchmarks(now), options, 10));
  }));
}

TEST_F(History, KeepsTheLatest) {
  for (int day = 1; day <= 6; ++day) {
    add(measure(day, 100), 3);
  }
  const ResultHistory history(m_folder / "history");
  EXPECT_EQ(history.size(), 3U);
  EXPECT_EQ(compare(measure(7, 100)).changes.at(0).timing->old_count, 36U);
  std::filesystem::path oldest;
  for (const auto& entry : std::filesystem::directory_iterator(m_folder / "history")) {
    EXPECT_GE(entry.path().filename().string(), "2026-11-04");
  }
}

TEST_F(History, CountersCompareWithTheLatest) {
  const auto count = [&](int day, int sectors) {
    const std::filesystem::path path = m_folder / fmt::format("counters{}-{}.json", day, sectors);
    std::ofstream(path) << fmt::format(
        R"({{"context": {{"date": "2026-11-{:02d}T12:00:00Z", "kvsieve": {{"kind": "counters"}}}},
        "benchmarks": [{{"name": "copy", "global_load_sectors": {}}}]}})",
        day, sectors);
    return path;
  };
  add(count(2, 64));
  add(count(1, 32));
  EXPECT_TRUE(compare(count(3, 64)).changes.empty());
  EXPECT_EQ(compare(count(3, 65)).count(ChangeVerdict::kWorse), 1);
}

TEST_F(History, MalformedFolders) {
  EXPECT_EQ(ResultHistory(m_folder / "none").size(), 0U);
  std::ofstream(m_folder / "file") << "x";
  EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "is no folder",
                         [&] { ResultHistory history(m_folder / "file"); }));
  std::filesystem::create_directory(m_folder / "bad");
  std::ofstream(m_folder / "bad/a.json") << R"({"benchmarks": [{"name": "a"}]})";
  EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "a.json: context.date",
                         [&] { ResultHistory history(m_folder / "bad"); }));
}

TEST(DatesOfResults, AreReadWithTheirZone) {
  EXPECT_EQ(seconds_of_date("1970-01-02T00:00:00+00:00"), 86'400);
  EXPECT_EQ(seconds_of_date("1970-01-02T01:30:00+01:30"), 86'400);
  EXPECT_EQ(seconds_of_date("1970-01-01T23:00:00-01:00"), 86'400);
  EXPECT_EQ(seconds_of_date("1970-01-02T01:30:00+0130"), 86'400);
  EXPECT_EQ(seconds_of_date("2026-11-26 15:00:00"), 1'795'705'200);
  for (const char* date :
       {"", "today", "2026-13-01T00:00:00Z", "2026-11-26T15:00:00+1", "2026-11-26T15:0x:00Z"}) {
    EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "context.date", [&] {
      static_cast<void>(seconds_of_date(date));
    })) << date;
  }
}

}  // namespace
}  // namespace kvsieve::sim
