#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <tuple>

#include "kvsieve/kernels/kv_gather.h"

namespace kvsieve::kernels::tests {
namespace {

using Tokens = std::vector<std::int32_t>;

bool operator==(const HotStep& a, const HotStep& b) {
  return a.slots == b.slots && a.missing == b.missing && a.targets == b.targets &&
         a.hits == b.hits && a.bypassed == b.bypassed;
}

/// The policy's words taken literally: for each miss, all cached tokens are ranked anew.
class NaiveBuffer {
 public:
  NaiveBuffer(std::int64_t slots, HotPolicy policy) : m_slots(slots), m_policy(policy) {}

  HotStep serve(const Tokens& wanted) {
    ++m_step;
    HotStep step;
    std::map<std::int32_t, std::int32_t> place;
    for (const std::int32_t token : wanted) {
      if (m_cached.count(token) != 0) {
        m_cached[token].last_use = m_step;
        ++m_cached[token].uses;
        place[token] = m_cached[token].slot;
        ++step.hits;
      }
    }
    for (const std::int32_t token : wanted) {
      if (place.count(token) != 0) {
        continue;
      }
      const std::int32_t slot = slot_for_a_miss();
      place[token] = slot >= 0 ? slot : static_cast<std::int32_t>(-1 - step.bypassed++);
      if (slot >= 0) {
        m_cached[token] = {slot, m_step, 1};
      }
      step.missing.push_back(token);
      step.targets.push_back(place[token]);
    }
    for (const std::int32_t token : wanted) {
      step.slots.push_back(place[token]);
    }
    return step;
  }

 private:
  struct Entry {
    std::int32_t slot;
    int last_use;
    int uses;
  };

  std::int32_t slot_for_a_miss() {
    std::set<std::int32_t> taken;
    for (const auto& [token, entry] : m_cached) {
      taken.insert(entry.slot);
    }
    for (std::int32_t slot = 0; slot < m_slots; ++slot) {
      if (taken.count(slot) == 0) {
        return slot;
      }
    }
    std::vector<std::tuple<int, int, std::int32_t>> unpinned;
    for (const auto& [token, entry] : m_cached) {
      if (entry.last_use != m_step) {
        unpinned.emplace_back(m_policy == HotPolicy::kLfu ? entry.uses : 0, entry.last_use, token);
      }
    }
    if (unpinned.empty()) {
      return -1;
    }
    const std::int32_t victim = std::get<2>(*std::min_element(unpinned.begin(), unpinned.end()));
    const std::int32_t slot = m_cached[victim].slot;
    m_cached.erase(victim);
    return slot;
  }

  std::int64_t m_slots;
  HotPolicy m_policy;
  int m_step = 0;
  std::map<std::int32_t, Entry> m_cached;
};

/// Ascending tokens, those at the front more often than others.
Tokens skewed(std::mt19937& random, std::int32_t tokens, std::size_t count) {
  std::set<std::int32_t> chosen;
  while (chosen.size() < count) {
    const auto range = static_cast<std::uint32_t>(tokens) >> random() % 4;
    chosen.insert(static_cast<std::int32_t>(random() % std::max(range, 1U)));
  }
  return {chosen.begin(), chosen.end()};
}

TEST(HotBuffer, EqualsTheNaiveBuffer) {
  for (const HotPolicy policy : {HotPolicy::kLru, HotPolicy::kLfu}) {
    for (const std::int64_t slots : {0, 1, 2, 7, 30, 64, 200}) {
      for (const std::size_t most : {std::size_t{1}, std::size_t{12}, std::size_t{50}}) {
        std::mt19937 random(static_cast<std::uint32_t>(slots) + 1000U);
        HotBuffer buffer(slots, 120, policy);
        NaiveBuffer naive(slots, policy);
        HotStep step;
        for (int i = 0; i < 60; ++i) {
          const Tokens wanted = skewed(random, 120, random() % (most + 1));
          buffer.serve(wanted, step);
          ASSERT_TRUE(step == naive.serve(wanted)) << slots << " slots, step " << i;
        }
      }
    }
  }
}

TEST(HotBuffer, IsThisForAnExample) {
  HotBuffer lru(3, 10, HotPolicy::kLru);
  HotBuffer lfu(3, 10, HotPolicy::kLfu);
  HotStep step;
  for (HotBuffer* buffer : {&lru, &lfu}) {
    buffer->serve(Tokens{2, 5}, step);
    EXPECT_EQ(step.slots, (Tokens{0, 1}));
    EXPECT_EQ(step.missing, (Tokens{2, 5}));
    buffer->serve(Tokens{2, 7}, step);
    EXPECT_EQ(step.slots, (Tokens{0, 2}));
    EXPECT_EQ(step.hits, 1);
    buffer->serve(Tokens{5, 7}, step);
    EXPECT_EQ(step.hits, 2);
    EXPECT_TRUE(step.missing.empty());
  }
  // 2 was used longest ago; 2, 5 and 7 were used twice each.
  lru.serve(Tokens{1, 5}, step);
  EXPECT_EQ(step.slots, (Tokens{0, 1}));
  lfu.serve(Tokens{1, 5}, step);
  EXPECT_EQ(step.slots, (Tokens{0, 1}));
  // 1 was used later than 7, but less often.
  lru.serve(Tokens{3}, step);
  EXPECT_EQ(step.slots, (Tokens{2}));
  lfu.serve(Tokens{3}, step);
  EXPECT_EQ(step.slots, (Tokens{0}));
}

TEST(HotBuffer, PinsAStepsTokensAndLetsTheRestPass) {
  HotBuffer buffer(2, 10, HotPolicy::kLru);
  HotStep step;
  buffer.serve(Tokens{4, 6}, step);
  buffer.serve(Tokens{1, 2, 6, 9}, step);
  EXPECT_EQ(step.hits, 1);
  EXPECT_EQ(step.missing, (Tokens{1, 2, 9}));
  EXPECT_EQ(step.targets, (Tokens{0, -1, -2}));
  EXPECT_EQ(step.slots, (Tokens{0, -1, 1, -2}));
  EXPECT_EQ(step.bypassed, 2);
  buffer.serve(Tokens{1, 6}, step);
  EXPECT_EQ(step.hits, 2);
}

TEST(HotBuffer, WithoutSlotsEverythingPasses) {
  HotBuffer buffer(0, 10, HotPolicy::kLfu);
  HotStep step;
  for (int i = 0; i < 2; ++i) {
    buffer.serve(Tokens{0, 9}, step);
    EXPECT_EQ(step.slots, (Tokens{-1, -2}));
    EXPECT_EQ(step.bypassed, 2);
  }
  buffer.serve({}, step);
  EXPECT_TRUE(step.slots.empty());
  EXPECT_EQ(step.bypassed, 0);
}

TEST(HotBuffer, WorkMovesTheMissingRowsAlone) {
  // Rows of 128 numbers of 2 bytes, K and V; the list of 10 tokens and where each is.
  static_assert(hot_buffer_work(10, 3, 128, 2).bytes_read == 3 * 512 + 10 * 4);
  static_assert(hot_buffer_work(10, 3, 128, 2).bytes_written == 3 * 512 + 10 * 4);
}

}  // namespace
}  // namespace kvsieve::kernels::tests
