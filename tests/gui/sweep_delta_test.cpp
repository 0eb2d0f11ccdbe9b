#include "core/sweep_delta.h"

#include <gtest/gtest.h>

#include <QElapsedTimer>
#include <QTemporaryDir>

#include "sweep_fixture.h"

namespace kvsieve::gui {
namespace {

std::shared_ptr<const SweepTable> table_of(const QString& path, std::int64_t begin,
                                           std::int64_t end, const std::string& version = "0.1.0") {
  tests::write_store(path, begin, end, 200, version);
  return SweepTable::load(path, JobControl::detached());
}

SweepDelta delta_of(const std::shared_ptr<const SweepTable>& baseline,
                    const std::shared_ptr<const SweepTable>& shown) {
  return {baseline, shown, JobControl::detached()};
}

TEST(SweepDelta, MatchesPointsByKeyOrByOptions) {
  const QTemporaryDir folder;
  const auto old = table_of(folder.filePath("old.db"), 0, 100);
  const auto same = table_of(folder.filePath("same.db"), 0, 100);
  // Another version's keys differ.
  const auto newer = table_of(folder.filePath("new.db"), 0, 100, "0.2.0");
  for (const auto& other : {same, newer}) {
    const SweepDelta delta = delta_of(old, other);
    ASSERT_EQ(delta.pairs().size(), 100U);
    for (const auto& [a, b] : delta.pairs()) {
      EXPECT_EQ(a, b);
    }
    EXPECT_TRUE(delta.missing().empty());
    for (const MetricChange& change : delta.metrics()) {
      EXPECT_EQ(change.better + change.worse + change.other, 0U);
      EXPECT_EQ(change.points, 98U);
    }
  }
  EXPECT_TRUE(delta_of(old, same).set_up().empty());
  ASSERT_EQ(delta_of(old, newer).set_up().size(), 1U);
  EXPECT_EQ(delta_of(old, newer).set_up()[0].name, "tool version");
}

TEST(SweepDelta, C28PointsOfOneSideAreListed) {
  const QTemporaryDir folder;
  const auto old = table_of(folder.filePath("old.db"), 0, 60);
  const auto now = table_of(folder.filePath("now.db"), 20, 90);
  const SweepDelta delta = delta_of(old, now);
  EXPECT_EQ(delta.pairs().size(), 40U);
  EXPECT_EQ(delta.only_baseline().size(), 20U);
  EXPECT_EQ(delta.only_shown().size(), 30U);
  const auto missing = delta.missing();
  ASSERT_EQ(missing.size(), 50U);
  EXPECT_EQ(missing.front().what, "point #0 snapkv, budget 5%, batch 1");
  EXPECT_TRUE(missing.front().in_baseline);
  EXPECT_FALSE(missing.back().in_baseline);
}

TEST(SweepDelta, ChangesAreCountedAndTheWorstPointsComeFirst) {
  const QTemporaryDir folder;
  const auto old = table_of(folder.filePath("old.db"), 0, 30);
  const QString path = folder.filePath("now.db");
  {
    sim::SweepStore store(path.toStdString(), sim::SweepStore::Mode::kCreate,
                          tests::sweep_identity(200));
    std::vector<sim::SweepRow> rows;
    for (std::int64_t number = 0; number < 30; ++number) {
      rows.push_back(tests::sweep_row(number));
    }
    rows[3].metrics = R"({"evicted_mass":0.9,"extra":1})";
    rows[4].metrics = R"({"evicted_mass":0.0001})";
    rows[5].metrics.clear();
    rows[5].error = "no luck";
    store.add(rows);
  }
  const SweepDelta delta = delta_of(old, SweepTable::load(path, JobControl::detached()));
  const auto change = std::find_if(delta.metrics().begin(), delta.metrics().end(),
                                   [](const MetricChange& c) { return c.name == "evicted_mass"; });
  ASSERT_NE(change, delta.metrics().end());
  EXPECT_EQ(change->worse, 1U);
  EXPECT_EQ(change->better, 1U);
  EXPECT_EQ(change->worst_row, 3U);
  EXPECT_GT(change->mean_relative, 0.0);
  EXPECT_EQ(delta.metrics().front().name, "evicted_mass");
  const auto worst = delta.worst_pairs("evicted_mass", 3);
  ASSERT_EQ(worst.size(), 3U);
  EXPECT_EQ(delta.pairs()[worst[0]].second, 3U);
  EXPECT_EQ(delta.pairs()[worst[1]].second, 4U);
  ASSERT_EQ(delta.failed_once().size(), 1U);
  bool failed = false;
  bool metric = false;
  for (const MissingItem& item : delta.missing()) {
    failed = failed ||
             (item.what.contains("#5 ") && item.what.endsWith(": no luck") && item.in_baseline);
    metric = metric || (item.what == "metric extra" && !item.in_baseline);
  }
  EXPECT_TRUE(failed);
  EXPECT_TRUE(metric);
}

TEST(SweepDelta, OfAHundredThousandPoints) {
  const QTemporaryDir folder;
  for (const char* version : {"0.1.0", "0.2.0"}) {
    tests::write_store(folder.filePath(version), 0, 100'000, 100'000, version);
  }
  const auto old = SweepTable::load(folder.filePath("0.1.0"), JobControl::detached());
  const auto now = SweepTable::load(folder.filePath("0.2.0"), JobControl::detached());
  QElapsedTimer time;
  time.start();
  const SweepDelta delta(old, now, JobControl::detached());
  std::printf("comparing 100,000 points by their options: %lld ms\n", time.elapsed());
  EXPECT_EQ(delta.pairs().size(), 100'000U);
}

}  // namespace
}  // namespace kvsieve::gui
