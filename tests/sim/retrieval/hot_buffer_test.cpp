#include "replay/hot_buffer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <tuple>

namespace kvsieve::sim {
namespace {

using Tokens = std::vector<std::int32_t>;

TEST(HotBuffer, KeepsTheMostRecentlyUsedTokens) {
  HotBuffer buffer(3, 10, HotPolicy::kLru);
  Tokens missing;
  EXPECT_EQ(buffer.serve(Tokens{1, 2, 3}, missing), 0);
  EXPECT_EQ(missing, (Tokens{1, 2, 3}));
  EXPECT_EQ(buffer.serve(Tokens{2}, missing), 1);
  EXPECT_TRUE(missing.empty());
  EXPECT_EQ(buffer.serve(Tokens{7}, missing), 0);  // 1 leaves: as old as 3, and lower
  EXPECT_EQ(buffer.serve(Tokens{1, 2, 3}, missing), 2);
  EXPECT_EQ(missing, (Tokens{1}));
}

TEST(HotBuffer, KeepsTheMostFrequentlyUsedTokens) {
  HotBuffer buffer(3, 10, HotPolicy::kLfu);
  Tokens missing;
  buffer.serve(Tokens{1, 2, 3}, missing);
  buffer.serve(Tokens{1, 2}, missing);
  buffer.serve(Tokens{3}, missing);                // two uses each, 3 the most recent
  buffer.serve(Tokens{1}, missing);                // three, two, two
  EXPECT_EQ(buffer.serve(Tokens{8}, missing), 0);  // 2 leaves: fewest uses, older than 3
  EXPECT_EQ(buffer.serve(Tokens{9}, missing), 0);  // 8 leaves: a single use
  EXPECT_EQ(buffer.serve(Tokens{1, 3, 9}, missing), 3);
  EXPECT_EQ(buffer.serve(Tokens{2, 8}, missing), 0);
}

TEST(HotBuffer, UsesCountAnewOnceATokenHasLeft) {
  HotBuffer buffer(2, 10, HotPolicy::kLfu);
  Tokens missing;
  for (int use = 0; use < 5; ++use) {
    buffer.serve(Tokens{1}, missing);
  }
  buffer.serve(Tokens{2, 3}, missing);  // 2 takes the free slot, 3 that of 1, which is not used now
  buffer.serve(Tokens{1}, missing);     // 2 leaves
  EXPECT_EQ(missing, (Tokens{1}));
  buffer.serve(Tokens{3}, missing);
  buffer.serve(Tokens{5}, missing);  // 1 leaves: its earlier uses are forgotten
  EXPECT_EQ(buffer.serve(Tokens{3}, missing), 1);
  EXPECT_EQ(buffer.serve(Tokens{1}, missing), 0);
}

TEST(HotBuffer, TokensOfTheStepAreNeverPushedOut) {
  for (const HotPolicy policy : {HotPolicy::kLru, HotPolicy::kLfu}) {
    HotBuffer buffer(2, 10, policy);
    Tokens missing;
    buffer.serve(Tokens{5, 6}, missing);
    // 5 is pinned, 1 takes the slot of 6, 2 finds no slot and is not kept.
    EXPECT_EQ(buffer.serve(Tokens{1, 2, 5}, missing), 1);
    EXPECT_EQ(missing, (Tokens{1, 2}));
    EXPECT_EQ(buffer.serve(Tokens{1, 5}, missing), 2);
    EXPECT_EQ(buffer.serve(Tokens{2}, missing), 0);
  }
}

TEST(HotBuffer, WithoutSlotsEverythingIsMissing) {
  HotBuffer buffer(0, 10, HotPolicy::kLru);
  Tokens missing{9};
  EXPECT_EQ(buffer.serve(Tokens{1, 2}, missing), 0);
  EXPECT_EQ(buffer.serve(Tokens{1, 2}, missing), 0);
  EXPECT_EQ(missing, (Tokens{1, 2}));
}

/// One missing token after the other, each looking for its slot.
class SimpleBuffer {
 public:
  SimpleBuffer(std::size_t slots, HotPolicy policy) : m_slots(slots), m_policy(policy) {}

  Tokens serve(const std::set<std::int32_t>& wanted, int step) {
    Tokens missing;
    for (const std::int32_t token : wanted) {
      const auto found = m_held.find(token);
      if (found == m_held.end()) {
        missing.push_back(token);
      } else {
        ++found->second.first;
        found->second.second = step;
      }
    }
    for (const std::int32_t token : missing) {
      if (m_held.size() == m_slots) {
        std::set<std::tuple<int, int, std::int32_t>> victims;
        for (const auto& [held, use] : m_held) {
          if (wanted.count(held) == 0) {
            victims.emplace(m_policy == HotPolicy::kLfu ? use.first : 0, use.second, held);
          }
        }
        if (victims.empty()) {
          continue;
        }
        m_held.erase(std::get<2>(*victims.begin()));
      }
      m_held[token] = {1, step};
    }
    return missing;
  }

 private:
  std::size_t m_slots;
  HotPolicy m_policy;
  std::map<std::int32_t, std::pair<int, int>> m_held;  // uses, last use
};

TEST(HotBuffer, AgreesWithASimpleOne) {
  std::mt19937 random(1);
  for (const HotPolicy policy : {HotPolicy::kLru, HotPolicy::kLfu}) {
    for (const std::size_t slots : {1U, 5U, 40U, 200U}) {
      HotBuffer buffer(static_cast<std::int64_t>(slots), 100, policy);
      SimpleBuffer simple(slots, policy);
      Tokens missing;
      for (int step = 1; step <= 200; ++step) {
        std::set<std::int32_t> wanted;
        const auto size = random() % 30;
        while (wanted.size() < size) {
          wanted.insert(static_cast<std::int32_t>(random() % 100));
        }
        const Tokens expected = simple.serve(wanted, step);
        const Tokens tokens(wanted.begin(), wanted.end());
        EXPECT_EQ(buffer.serve(tokens, missing),
                  static_cast<std::int64_t>(tokens.size() - expected.size()));
        EXPECT_EQ(missing, expected);
      }
    }
  }
}

}  // namespace
}  // namespace kvsieve::sim
