#include "core/dropped_mass.h"

#include <gtest/gtest.h>

namespace kvsieve::gui {
namespace {

const std::vector<sim::TokenRun> kKept{{0, 2}, {4, 5}, {8, 10}};
const std::vector<float> kAttention{0.1F, 0.1F, 0.05F, 0.2F, 0.1F, 0.05F,
                                    0.1F, 0.0F, 0.1F,  0.1F, 0.1F};  // one decoded token

TEST(DroppedMass, DroppedIsWhatIsNotKept) {
  const auto dropped = dropped_runs(kKept, 12);
  ASSERT_EQ(dropped.size(), 3U);
  EXPECT_EQ(dropped[0].begin, 2);
  EXPECT_EQ(dropped[0].end, 4);
  EXPECT_EQ(dropped[2].begin, 10);
  EXPECT_EQ(dropped[2].end, 12);
  EXPECT_TRUE(dropped_runs(std::vector<sim::TokenRun>{{0, 12}}, 12).empty());
  EXPECT_EQ(dropped_runs({}, 12).front().end, 12);
}

TEST(DroppedMass, SumsAndSortsWhatIsDropped) {
  const auto dropped = dropped_runs(kKept, 10);
  EXPECT_NEAR(mass_of(kAttention, dropped), 0.4, 1e-6);
  const auto heaviest = heaviest_dropped(kAttention, dropped, 4);
  ASSERT_EQ(heaviest.size(), 4U);
  EXPECT_EQ(heaviest[0].position, 3);
  EXPECT_EQ(heaviest[1].position, 6);
  EXPECT_EQ(heaviest[2].position, 2);  // ties by position
  EXPECT_EQ(heaviest[3].position, 5);
  EXPECT_EQ(heaviest_dropped(kAttention, dropped, 99).size(), 5U);
}

TEST(DroppedMass, BucketsSumToAllAttention) {
  const auto dropped = dropped_runs(kKept, 10);
  const auto buckets = mass_buckets(kAttention, dropped, 4);
  ASSERT_EQ(buckets.size(), 4U);
  EXPECT_EQ(buckets.front().begin, 0);
  EXPECT_EQ(buckets.back().end, 11);
  double kept = 0.0;
  double lost = 0.0;
  for (const MassBucket& bucket : buckets) {
    kept += bucket.kept;
    lost += bucket.dropped;
  }
  EXPECT_NEAR(lost, 0.4, 1e-6);
  EXPECT_NEAR(kept, 0.6, 1e-6);
  EXPECT_TRUE(mass_buckets({}, {}, 4).empty());
  EXPECT_EQ(mass_buckets(kAttention, dropped, 100).size(), kAttention.size());
}

TEST(DroppedMass, RanksOfScores) {
  EXPECT_EQ(score_ranks(std::vector<float>{0.5F, 2.0F, 0.5F, 1.0F}),
            (std::vector<std::int64_t>{3, 1, 4, 2}));
}

}  // namespace
}  // namespace kvsieve::gui
