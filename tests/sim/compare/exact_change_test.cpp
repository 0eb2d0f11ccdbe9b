#include "compare/exact_change.h"

#include <gtest/gtest.h>

namespace kvsieve::sim {
namespace {

TEST(ExactChange, KnowsTheDirection) {
  EXPECT_EQ(exact_verdict("global_load_sectors", 10, 11, 0), ChangeVerdict::kWorse);
  EXPECT_EQ(exact_verdict("global_load_sectors", 10, 9, 0), ChangeVerdict::kBetter);
  EXPECT_EQ(exact_verdict("recall", 0.5, 0.4, 0), ChangeVerdict::kWorse);
  EXPECT_EQ(exact_verdict("theoretical_occupancy", 0.5, 0.75, 0), ChangeVerdict::kBetter);
  EXPECT_EQ(exact_verdict("barriers", 8, 7, 0), ChangeVerdict::kChanged);
  EXPECT_EQ(exact_verdict("recall", 0.5, 0.5, 0), ChangeVerdict::kSame);
}

TEST(ExactChange, ToleratesUpToTheShare) {
  EXPECT_EQ(exact_verdict("l1_loss", 100.0, 100.1, 0.001), ChangeVerdict::kMinor);
  EXPECT_EQ(exact_verdict("l1_loss", 100.0, 100.2, 0.001), ChangeVerdict::kWorse);
  EXPECT_EQ(exact_verdict("l1_loss", 0.0, 1e-12, 0.001), ChangeVerdict::kWorse);
}

TEST(ExactChange, MissingValues) {
  EXPECT_EQ(exact_verdict("recall", 0.5, std::nullopt, 0), ChangeVerdict::kChanged);
  EXPECT_EQ(exact_verdict("recall", std::nullopt, 0.5, 0), ChangeVerdict::kMinor);
  EXPECT_EQ(exact_verdict("recall", std::nullopt, std::nullopt, 0), ChangeVerdict::kSame);
}

TEST(ExactChange, TheClosestToleranceCounts) {
  CompareOptions options;
  options.tolerances = {{"", 0.1}, {"l1_loss", 0.2}, {"uniform/l1_loss", 0.3}, {"l1_loss", 0.25}};
  EXPECT_EQ(tolerance_of("recall", options), 0.1);
  EXPECT_EQ(tolerance_of("summary/l1_loss", options), 0.25);
  EXPECT_EQ(tolerance_of("uniform/l1_loss", options), 0.3);
  EXPECT_EQ(tolerance_of("recall", {}), 0.0);
}

}  // namespace
}  // namespace kvsieve::sim
