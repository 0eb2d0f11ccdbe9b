#include "replay/hot_buffer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <random>
#include <set>

namespace kvsieve::sim {
namespace {

using Tokens = std::vector<std::int32_t>;

TEST(HotBuffer, KeepsTheMostRecentlyUsedTokens) {
  HotBuffer buffer(3, 10);
  Tokens missing;
  EXPECT_EQ(buffer.serve(Tokens{1, 2, 3}, missing), 0);
  EXPECT_EQ(missing, (Tokens{1, 2, 3}));
  EXPECT_EQ(buffer.serve(Tokens{2}, missing), 1);  // 2 is the newest now: 1, 3, 2
  EXPECT_TRUE(missing.empty());
  EXPECT_EQ(buffer.serve(Tokens{7}, missing), 0);  // 1 leaves
  EXPECT_EQ(buffer.serve(Tokens{1, 2, 3}, missing), 2);
  EXPECT_EQ(missing, (Tokens{1}));
}

TEST(HotBuffer, CountsHitsBeforeTheStepPushesAnythingOut) {
  HotBuffer buffer(2, 10);
  Tokens missing;
  buffer.serve(Tokens{5, 6}, missing);
  // 1 and 2 push 5 out, but only after it was served.
  EXPECT_EQ(buffer.serve(Tokens{1, 2, 5}, missing), 1);
  EXPECT_EQ(missing, (Tokens{1, 2}));
}

TEST(HotBuffer, WithoutSlotsEverythingIsMissing) {
  HotBuffer buffer(0, 10);
  Tokens missing{9};
  EXPECT_EQ(buffer.serve(Tokens{1, 2}, missing), 0);
  EXPECT_EQ(buffer.serve(Tokens{1, 2}, missing), 0);
  EXPECT_EQ(missing, (Tokens{1, 2}));
}

TEST(HotBuffer, AgreesWithASimpleList) {
  std::mt19937 random(1);
  for (const std::int64_t slots : {1, 5, 40, 200}) {
    HotBuffer buffer(slots, 100);
    std::deque<std::int32_t> list;
    Tokens missing;
    for (int step = 0; step < 200; ++step) {
      std::set<std::int32_t> wanted;
      const auto size = random() % 30;
      while (wanted.size() < size) {
        wanted.insert(static_cast<std::int32_t>(random() % 100));
      }
      Tokens expected;
      for (const std::int32_t token : wanted) {
        const auto found = std::find(list.begin(), list.end(), token);
        if (found == list.end()) {
          expected.push_back(token);
        } else {
          list.erase(found);
          list.push_back(token);
        }
      }
      for (const std::int32_t token : expected) {
        if (static_cast<std::int64_t>(list.size()) == slots) {
          list.pop_front();
        }
        list.push_back(token);
      }
      const Tokens tokens(wanted.begin(), wanted.end());
      EXPECT_EQ(buffer.serve(tokens, missing),
                static_cast<std::int64_t>(tokens.size() - expected.size()));
      EXPECT_EQ(missing, expected);
    }
  }
}

}  // namespace
}  // namespace kvsieve::sim
