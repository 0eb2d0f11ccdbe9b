#include "compare/sweep_results.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "../../traces/fails_with.h"
#include "../sweep/store_fixture.h"
#include "kvsieve/sim/compare_results.h"
#include "kvsieve/sim/result_gate.h"
#include "traces/temporary_folder.h"

namespace kvsieve::sim {
namespace {

using tests::an_identity;
using tests::fails_with;
using tests::make_store;

/// A point whose options are its number.
SweepRow row(std::int64_t number, double loss, const std::string& key = "k") {
  return {number, key + tests::key_of(number),
          fmt::format(R"({{"method":"adakv","budget":"{}"}})", number),
          fmt::format(R"({{"l1_loss":{},"pieces":7}})", loss), ""};
}

std::vector<SweepRow> rows(std::int64_t count, const std::string& key = "k") {
  std::vector<SweepRow> all;
  for (std::int64_t i = 0; i < count; ++i) {
    all.push_back(row(i, 1.0 + static_cast<double>(i), key));
  }
  return all;
}

class SweepResults : public testing::Test {
 protected:
  ResultComparison compare(std::vector<SweepRow> before, std::vector<SweepRow> after,
                           const CompareOptions& options = {},
                           const SweepIdentity& later = an_identity()) {
    const std::string number = std::to_string(m_count++);
    make_store(m_folder / ("old" + number), std::move(before));
    make_store(m_folder / ("new" + number), std::move(after), later);
    return compare_results(m_folder / ("old" + number), m_folder / ("new" + number), options);
  }

  tests::TemporaryFolder m_folder;
  int m_count = 0;
};

TEST_F(SweepResults, EqualStores) {
  const ResultComparison comparison = compare(rows(5000), rows(5000));
  EXPECT_EQ(comparison.points, 5000);
  EXPECT_TRUE(comparison.changes.empty());
  EXPECT_EQ(comparison.matched, (std::vector<std::string>{"l1_loss", "pieces"}));
}

TEST_F(SweepResults, KeysOfAnotherVersionMatchByOptions) {
  SweepIdentity later = an_identity();
  later.tool_version = "0.8.0";
  std::vector<SweepRow> after = rows(3000, "other");
  after[17] = row(17, 36.0, "other");
  const ResultComparison comparison = compare(rows(3000), after, {}, later);
  EXPECT_EQ(comparison.points, 3000);
  ASSERT_EQ(comparison.changes.size(), 1U);
  EXPECT_EQ(comparison.changes[0].case_name, "budget=17");
  EXPECT_EQ(comparison.changes[0].verdict, ChangeVerdict::kWorse);
  EXPECT_EQ(comparison.changes[0].relative(), 1.0);
  ASSERT_EQ(comparison.set_up.size(), 1U);
  EXPECT_EQ(comparison.set_up[0].what, "tool_version");
}

TEST_F(SweepResults, PointsMatchWhateverTheirNumberAndTheOrderOfTheirOptions) {
  std::vector<SweepRow> after;
  for (std::int64_t i = 0; i < 3000; ++i) {
    SweepRow one = row(i, 1.0 + static_cast<double>(i));
    one.number = 2999 - i;
    one.options = fmt::format(R"({{"budget":"{}","method":"adakv"}})", i);
    after.push_back(one);
  }
  const ResultComparison comparison = compare(rows(3000), after);
  EXPECT_EQ(comparison.points, 3000);
  EXPECT_TRUE(comparison.changes.empty());
  EXPECT_TRUE(comparison.added.empty());
}

TEST_F(SweepResults, PointsOfOneSide) {
  std::vector<SweepRow> before = rows(10);
  std::vector<SweepRow> after = rows(10);
  before.erase(before.begin() + 3);
  after.erase(after.begin() + 7);
  const ResultComparison comparison = compare(before, after);
  EXPECT_EQ(comparison.points, 8);
  EXPECT_EQ(comparison.added, std::vector<std::string>{"budget=3"});
  EXPECT_EQ(comparison.removed, std::vector<std::string>{"budget=7"});
}

TEST_F(SweepResults, FailuresAndMissingMetrics) {
  std::vector<SweepRow> before = rows(4);
  std::vector<SweepRow> after = rows(4);
  after[1].metrics.clear();
  after[1].error = "out of memory";
  before[2].metrics.clear();
  before[2].error = "out of memory";
  after[3].metrics = R"({"pieces":7})";
  const ResultComparison comparison = compare(before, after);
  ASSERT_EQ(comparison.changes.size(), 3U);
  EXPECT_EQ(comparison.changes[0].verdict, ChangeVerdict::kWorse);
  EXPECT_NE(comparison.changes[0].reason.find("out of memory"), std::string::npos);
  EXPECT_EQ(comparison.changes[1].verdict, ChangeVerdict::kChanged);
  EXPECT_EQ(comparison.changes[1].metric, "l1_loss");
  EXPECT_EQ(comparison.changes[2].verdict, ChangeVerdict::kBetter);
}

TEST_F(SweepResults, PointsThatFailOnBothSidesAreInconclusive) {
  std::vector<SweepRow> failed = rows(4);
  failed[1].metrics.clear();
  failed[1].error = "out of memory";
  const ResultComparison comparison = compare(failed, failed);
  EXPECT_EQ(comparison.points, 3);
  ASSERT_EQ(comparison.changes.size(), 1U);
  EXPECT_EQ(comparison.changes[0].verdict, ChangeVerdict::kInconclusive);
  EXPECT_TRUE(comparison.changes[0].undecidable);
  EXPECT_EQ(comparison.changes[0].reason, "fails on both sides: out of memory");
  EXPECT_EQ(gate_failure(comparison, GateRule::parse({"regression"})), "");
  const ResultComparison none = compare({failed[1]}, {failed[1]});
  EXPECT_NE(gate_failure(none, GateRule::parse({"regression"})), "");
}

TEST_F(SweepResults, NamesAllPointsOfOneSide) {
  const ResultComparison comparison = compare(rows(300), rows(10));
  ASSERT_EQ(comparison.removed.size(), 290U);
  EXPECT_EQ(comparison.removed.back(), "budget=299");
}

TEST_F(SweepResults, ListsTheWorstAndCountsAll) {
  std::vector<SweepRow> after = rows(1000);
  for (std::int64_t i = 0; i < 1000; ++i) {
    after[static_cast<std::size_t>(i)] =
        row(i, (1.0 + static_cast<double>(i)) * (1.0 + 1e-3 * static_cast<double>(i + 1)));
  }
  const ResultComparison comparison = compare(rows(1000), after);
  EXPECT_EQ(comparison.count(ChangeVerdict::kWorse), 1000);
  EXPECT_EQ(comparison.changes.size(), 100U);
  EXPECT_EQ(comparison.changes[0].case_name, "budget=999");
  EXPECT_EQ(comparison.changes[99].case_name, "budget=900");
}

TEST_F(SweepResults, TolerancesFilterAndMetrics) {
  std::vector<SweepRow> after = rows(10);
  after[5] = row(5, 6.0 + 1e-9);
  CompareOptions options;
  options.tolerances = {{"", 1e-6}};
  EXPECT_EQ(compare(rows(10), after, options).count(ChangeVerdict::kMinor), 1);
  options = {};
  options.filter = "budget=[0-4]$";
  const ResultComparison filtered = compare(rows(10), after, options);
  EXPECT_EQ(filtered.points, 5);
  EXPECT_TRUE(filtered.changes.empty());
  options = {};
  options.metrics = {"pieces"};
  EXPECT_TRUE(compare(rows(10), after, options).changes.empty());
}

TEST_F(SweepResults, MetricsThatOnlyLaterPointsHave) {
  std::vector<SweepRow> before = rows(4);
  before[2].metrics = R"({"recall":0.5,"pieces":7})";
  std::vector<SweepRow> after = before;
  CompareOptions options;
  options.metrics = {"recall"};
  EXPECT_EQ(compare(before, after, options).matched, std::vector<std::string>{"recall"});
  EXPECT_EQ(compare(before, after).matched,
            (std::vector<std::string>{"l1_loss", "pieces", "recall"}));
  options.metrics = {"recall", "recal"};
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "no point has a metric 'recal'",
                         [&] { static_cast<void>(compare(before, after, options)); }));
  // Of a point that fails now, what it had before.
  after[2].metrics.clear();
  after[2].error = "out of memory";
  options.metrics = {"recall"};
  EXPECT_EQ(compare(before, after, options).count(ChangeVerdict::kWorse), 1);
}

TEST_F(SweepResults, OtherKindsDoNotCompare) {
  make_store(m_folder / "s.db", rows(1));
  std::ofstream(m_folder / "b.json") << R"({"benchmarks": [{"name": "a", "real_time": 1}]})";
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "holds a sweep store", [&] {
    static_cast<void>(compare_results(m_folder / "s.db", m_folder / "b.json", {}));
  }));
}

}  // namespace
}  // namespace kvsieve::sim
