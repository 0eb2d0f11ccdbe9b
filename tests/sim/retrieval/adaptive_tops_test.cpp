#include "replay/adaptive_tops.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

namespace kvsieve::sim {
namespace {

TEST(AdaptiveTops, ShareOutByExpectedAttentionStepByStep) {
  // Head 0 is sure of one token, head 1 spreads over all of them, head 2 looks at its sink.
  AdaptiveTops tops(std::vector<kernels::TokenRange>{{1, 9}, {1, 10}}, 3);
  for (std::int64_t step = 0; step < 2; ++step) {
    const auto tokens = static_cast<std::size_t>(10 + step);
    const std::vector<float> flat(tokens, 0.0F);
    std::vector<float> sure(tokens, 0.0F);
    sure[4] = 20.0F;
    std::vector<float> sink(tokens, 0.0F);
    sink[0] = 20.0F;
    tops.set(step, 0, sure, flat);
    tops.set(step, 1, flat, flat);
    tops.set(step, 2, flat, sink);
  }
  // 6 tokens: one for head 0, then head 1's, which are worth more than the others' crumbs.
  EXPECT_EQ(tops.tops(std::vector<std::int64_t>{2, 3}, {0, 1}),
            (std::vector<std::int64_t>{1, 5, 0, 1, 8, 0}));
  EXPECT_EQ(tops.tops(std::vector<std::int64_t>{2, 3}, {1, 1}),
            (std::vector<std::int64_t>{2, 2, 2, 3, 3, 3}));
  // Half of each: 1.5, 3.5, 1 and 2, 5.5, 1.5; the lower head first in a tie.
  EXPECT_EQ(tops.tops(std::vector<std::int64_t>{2, 3}, {5, 10}),
            (std::vector<std::int64_t>{2, 3, 1, 2, 6, 1}));
  // No head gets more than it may retrieve.
  EXPECT_EQ(tops.tops(std::vector<std::int64_t>{8, 20}, {2, 10}),
            (std::vector<std::int64_t>{8, 8, 8, 9, 9, 9}));
  EXPECT_EQ(tops.tops(std::vector<std::int64_t>{0, 0}, {2, 10}), (std::vector<std::int64_t>(6, 0)));
}

}  // namespace
}  // namespace kvsieve::sim
