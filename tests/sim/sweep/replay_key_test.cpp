// Every parameter that changes a replay changes its key.

#include "sweep/replay_key.h"

#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "sim/eviction/trace_fixture.h"

namespace kvsieve::sim::tests {
namespace {

// Structured bindings name every field: a new one does not compile until it is thought of here.
[[maybe_unused]] void name_all_fields() {
  [[maybe_unused]] const auto& [name, scorer, pool, group_reduce, granularity, layer_rule, adaptive,
                                alpha, alpha_mode, two_stage, window, sinks, seed] =
      EvictionMethod{};
  [[maybe_unused]] const auto& [kind, kernel] = kernels::Pooling{};
  [[maybe_unused]] const auto& [budget_kind, amount, share] = Budget{};
  [[maybe_unused]] const auto& [layers, losses, bound, detail, backend, partial] =
      EvictionOptions{};
  [[maybe_unused]] const auto& [is_share, top_share, count] = TopBudget{};
  [[maybe_unused]] const auto& [r_name, r_scorer, top, budget, r_alpha, mass, r_sinks, r_window,
                                distance, final_attention, placement, codebook, codewords,
                                max_iterations, moment, center_keys, codebook_dtype, pq_subvectors,
                                pq_bits, channels, hot_buffer, hot_policy, r_layers, r_seed] =
      RetrievalOptions{};
}

TEST(ReplayKey, EveryParameterOfAnEvictionChangesIt) {
  struct Asked {
    std::string trace = "trace";
    EvictionPlan plan;
    EvictionOptions options;
  };
  const std::vector<std::function<void(Asked&)>> changes{
      [](Asked&) {},
      [](Asked& a) { a.trace = "other"; },
      [](Asked& a) { a.plan.method.name = "other"; },
      [](Asked& a) { a.plan.method.scorer = Scorer::kKeyNorm; },
      [](Asked& a) { a.plan.method.pool.kind = kernels::Pooling::Kind::kAverage; },
      [](Asked& a) { a.plan.method.pool.kind = kernels::Pooling::Kind::kNone; },
      [](Asked& a) { a.plan.method.pool.kernel = 9; },
      [](Asked& a) { a.plan.method.group_reduce = kernels::GroupReduce::kMax; },
      [](Asked& a) { a.plan.method.granularity = Granularity::kQueryHead; },
      [](Asked& a) { a.plan.method.layer_rule = LayerRule::kPyramid; },
      [](Asked& a) { a.plan.method.layer_rule = LayerRule::kPyramidOfficial; },
      [](Asked& a) { a.plan.method.adaptive = true; },
      [](Asked& a) {
        a.plan.method.alpha = {201, 1000};
      },
      [](Asked& a) { a.plan.method.alpha_mode = kernels::AlphaMode::kFloor; },
      [](Asked& a) { a.plan.method.two_stage = true; },
      [](Asked& a) { a.plan.method.window = 33; },
      [](Asked& a) { a.plan.method.sinks = 1; },
      [](Asked& a) { a.plan.method.seed = 1; },
      [](Asked& a) {
        a.plan.budget.share = {201, 1000};
      },
      [](Asked& a) {
        a.plan.budget = {Budget::Kind::kTokens, 20, {}};
      },
      [](Asked& a) {
        a.plan.budget = {Budget::Kind::kBytes, 20, {}};
      },
      [](Asked& a) { a.options.layers = {0}; },
      [](Asked& a) {
        a.options.layers = {1, 0};
      },
      [](Asked& a) { a.options.losses = Losses::kMass; },
      [](Asked& a) { a.options.bound = false; },
      [](Asked& a) { a.options.backend = kernels::Backend::kSimt; }};
  std::set<std::string> hashes;
  for (std::size_t i = 0; i < changes.size(); ++i) {
    Asked asked;
    changes[i](asked);
    const auto key = replay_key(asked.trace, asked.plan, asked.options);
    EXPECT_TRUE(hashes.insert(text_hash(key.dump())).second) << "change " << i;
    EXPECT_TRUE(key.contains("tool_version"));
    EXPECT_TRUE(key.contains("isa"));
  }
  // How much of the result is kept is not part of it.
  const EvictionPlan plan;
  EXPECT_EQ(replay_key("t", plan, {.detail = EvictionDetail::kSummary}), replay_key("t", plan, {}));
}

TEST(ReplayKey, EveryParameterOfARetrievalButItsPlacementChangesIt) {
  struct Asked {
    std::string trace = "trace";
    RetrievalOptions options;
    std::string codebook = "codebook";
  };
  const std::vector<std::function<void(Asked&)>> changes{
      [](Asked&) {},
      [](Asked& a) { a.trace = "other"; },
      [](Asked& a) { a.codebook = "other"; },
      [](Asked& a) { a.codebook = ""; },
      [](Asked& a) { a.options.name = "other"; },
      [](Asked& a) { a.options.scorer = RetrievalScorer::kExact; },
      [](Asked& a) {
        a.options.top.share = {301, 10000};
      },
      [](Asked& a) {
        a.options.top = {false, {}, 3};
      },
      [](Asked& a) { a.options.budget = RetrievalBudget::kAdaptive; },
      [](Asked& a) {
        a.options.alpha = {3, 10};
      },
      [](Asked& a) {
        a.options.mass = kernels::Decimal{9, 10};
      },
      [](Asked& a) { a.options.sinks = 9; },
      [](Asked& a) { a.options.window = 65; },
      [](Asked& a) { a.options.distance = 2049; },
      [](Asked& a) { a.options.final_attention = FinalAttention::kWrope; },
      [](Asked& a) { a.options.codewords = 16; },
      [](Asked& a) { a.options.max_iterations = 301; },
      [](Asked& a) { a.options.moment = MomentQueries::kRope; },
      [](Asked& a) { a.options.center_keys = true; },
      [](Asked& a) { a.options.codebook_dtype = traces::DType::kF16; },
      [](Asked& a) { a.options.pq_subvectors = 4; },
      [](Asked& a) { a.options.pq_bits = 7; },
      [](Asked& a) { a.options.channels = 17; },
      [](Asked& a) { a.options.hot_buffer = 1; },
      [](Asked& a) { a.options.hot_policy = HotPolicy::kLfu; },
      [](Asked& a) { a.options.layers = {0}; },
      [](Asked& a) { a.options.seed = 1; }};
  std::set<std::string> hashes;
  for (std::size_t i = 0; i < changes.size(); ++i) {
    Asked asked;
    changes[i](asked);
    const auto key = replay_key(asked.trace, asked.options, asked.codebook);
    EXPECT_TRUE(hashes.insert(text_hash(key.dump())).second) << "change " << i;
  }
  const RetrievalOptions usual;
  RetrievalOptions placed;
  placed.placement = Placement::kCpuAttention;
  EXPECT_EQ(replay_key("t", placed, ""), replay_key("t", usual, ""));
}

TEST(ReplayKey, ACodebookIsKnownByItsContent) {
  const TraceFixture fixture(TraceShape{});
  const traces::Trace* trace = &fixture.trace();
  const auto train = [&](std::int64_t codewords, CodebookKind kind) {
    CodebookOptions options;
    options.codewords = codewords;
    options.kind = kind;
    return train_codebook({&trace, 1}, options);
  };
  const Codebook codebook = train(8, CodebookKind::kQueryAware);
  const std::string hash = content_hash(codebook);
  EXPECT_EQ(hash.size(), 32U);
  EXPECT_EQ(content_hash(train(8, CodebookKind::kQueryAware)), hash);
  EXPECT_NE(content_hash(train(9, CodebookKind::kQueryAware)), hash);
  EXPECT_NE(content_hash(train(8, CodebookKind::kPlain)), hash);
  codebook.save(fixture.folder() / "c.kvcodebook", false);
  EXPECT_EQ(content_hash(Codebook::open(fixture.folder() / "c.kvcodebook")), hash);
}

}  // namespace
}  // namespace kvsieve::sim::tests
