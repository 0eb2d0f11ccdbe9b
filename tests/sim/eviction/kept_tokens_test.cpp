// What a head keeps: protected tokens verbatim, exactly as many as its budget, in position order.

#include <gtest/gtest.h>

#include <algorithm>

#include "kvsieve/sim/eviction_replay.h"
#include "kvsieve/traces/synth.h"
#include "traces/temporary_folder.h"

namespace kvsieve::sim {
namespace {

constexpr std::int64_t kPromptTokens = 300;

TEST(KeptTokens, T28_WindowClosesEachSegmentAndSinksOpenIt) {
  const kvsieve::tests::TemporaryFolder folder;
  traces::synthesize(folder / "trace", {.layers = 2,
                                        .q_heads = 6,
                                        .kv_heads = 2,
                                        .head_dim = 16,
                                        .prompt_tokens = kPromptTokens,
                                        .decode_tokens = 2});
  const traces::Trace trace = traces::Trace::open(folder / "trace");
  for (const EvictionMethod& preset : eviction_presets()) {
    if (preset.scorer == Scorer::kNone) {
      continue;
    }
    SCOPED_TRACE(preset.name);
    EvictionPlan plan{preset, Budget::parse("90")};
    plan.method.sinks = 5;
    const std::vector<EvictionResult> results = replay_eviction(trace, {&plan, 1}, {});
    for (const LayerEviction& layer : results[0].layers) {
      std::int64_t total = 0;
      for (const HeadEviction& head : layer.heads) {
        const std::vector<std::int32_t>& kept = head.kept;
        ASSERT_EQ(static_cast<std::int64_t>(kept.size()), head.budget);
        ASSERT_GE(head.budget, plan.method.window + plan.method.sinks);
        EXPECT_TRUE(std::is_sorted(kept.begin(), kept.end()));
        EXPECT_EQ(std::adjacent_find(kept.begin(), kept.end()), kept.end());
        for (std::int64_t i = 0; i < plan.method.sinks; ++i) {
          EXPECT_EQ(kept[static_cast<std::size_t>(i)], i);
        }
        for (std::int64_t i = 1; i <= plan.method.window; ++i) {
          EXPECT_EQ(*(kept.end() - i), kPromptTokens - i);
        }
        total += head.budget;
      }
      EXPECT_EQ(total, layer.budget_total);
    }
  }
}

}  // namespace
}  // namespace kvsieve::sim
