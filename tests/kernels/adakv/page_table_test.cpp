#include "kvsieve/kernels/page_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <set>
#include <vector>

#include "traces/fails_with.h"

namespace kvsieve::kernels::tests {
namespace {

using kvsieve::tests::fails_with;

std::vector<std::int32_t> pages_of(const PageTable& table) {
  return {table.pages().begin(), table.pages().end()};
}

TEST(PageTable, GivesEachSegmentThePagesItLacks) {
  PageTable table(3, 3, 16, 7);
  table.reserve(std::vector<std::int32_t>{17, 0, 16});
  EXPECT_EQ(pages_of(table), (std::vector<std::int32_t>{0, 1, -1, -1, -1, -1, 2, -1, -1}));
  EXPECT_EQ(table.free_pages(), 4);
  table.reserve(std::vector<std::int32_t>{32, 1, 17});
  EXPECT_EQ(pages_of(table), (std::vector<std::int32_t>{0, 1, -1, 3, -1, -1, 2, 4, -1}));
  EXPECT_EQ(table.free_pages(), 2);
}

TEST(PageTable, KeepsPagesThatShorterLengthsDoNotNeedUntilTold) {
  PageTable table(2, 2, 4, 4);
  table.reserve(std::vector<std::int32_t>{8, 4});
  table.reserve(std::vector<std::int32_t>{1, 4});
  EXPECT_EQ(pages_of(table), (std::vector<std::int32_t>{0, 1, 2, -1}));
  table.release_unused(std::vector<std::int32_t>{4, 0});
  EXPECT_EQ(pages_of(table), (std::vector<std::int32_t>{0, -1, -1, -1}));
  EXPECT_EQ(table.free_pages(), 3);
}

TEST(PageTable, GivesOutAReleasedPageAgainAndNoPageTwice) {
  PageTable table(4, 5, 2, 20);
  std::uint32_t state = 1;
  for (int round = 0; round < 200; ++round) {
    std::vector<std::int32_t> lengths;
    for (int s = 0; s < 4; ++s) {
      state = state * 1664525U + 1013904223U;
      lengths.push_back(static_cast<std::int32_t>((state >> 16U) % 11U));
    }
    table.release_unused(lengths);
    table.reserve(lengths);
    std::multiset<std::int32_t> held;
    std::int64_t expected = 0;
    for (std::size_t s = 0; s < 4; ++s) {
      const std::int64_t needed = (lengths[s] + 1) / 2;
      expected += needed;
      for (std::int64_t i = 0; i < 5; ++i) {
        const std::int32_t page = table.pages()[s * 5 + static_cast<std::size_t>(i)];
        EXPECT_EQ(page >= 0, i < needed);
        if (page >= 0) {
          EXPECT_LT(page, 20);
          held.insert(page);
        }
      }
    }
    EXPECT_EQ(static_cast<std::int64_t>(std::set(held.begin(), held.end()).size()), expected);
    EXPECT_EQ(table.free_pages(), 20 - expected);
  }
}

TEST(PageTable, RefusesMoreThanThereIsAndChangesNothing) {
  PageTable table(2, 3, 8, 4);
  table.reserve(std::vector<std::int32_t>{8, 8});
  const std::vector<std::int32_t> before = pages_of(table);
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "segment 1 needs 4 pages for 25 rows", [&] {
    table.reserve(std::vector<std::int32_t>{16, 25});
  }));
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "3 more pages are needed, 2 are free", [&] {
    table.reserve(std::vector<std::int32_t>{24, 16});
  }));
  EXPECT_EQ(pages_of(table), before);
  EXPECT_EQ(table.free_pages(), 2);
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "power of two", [] { PageTable wrong(1, 1, 12, 1); }));
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "power of two", [] { PageTable wrong(1, 1, 0, 1); }));
  EXPECT_TRUE(
      fails_with(ErrorKind::kUsage, "cannot be negative", [] { PageTable wrong(-1, 1, 1, 1); }));
}

}  // namespace
}  // namespace kvsieve::kernels::tests
