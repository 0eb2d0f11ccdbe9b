#include "sim/eviction/replay_expectations.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace kvsieve::sim::tests {
namespace {

// fp32 sums of some hundred terms, and the cancellation in o - o^.
constexpr double kRelative = 2e-5;
constexpr double kMass = 4e-6;
// Scores closer than this may swap places in fp32.
constexpr double kSmallestMargin = 2e-5;

void expect_near_query(const QueryLoss& actual, const QueryLoss& expected) {
  EXPECT_EQ(actual.position, expected.position);
  EXPECT_NEAR(actual.evicted_mass, expected.evicted_mass, kMass);
  EXPECT_NEAR(actual.output_l1, expected.output_l1, kRelative * expected.output_l1);
  EXPECT_NEAR(actual.l1_loss, expected.l1_loss,
              kRelative * (expected.output_l1 + expected.l1_loss));
}

/// `constant` is 2 C Hq: what eps would be if everything were evicted.
void expect_near_bounds(const LossBounds& actual, const LossBounds& expected, double constant) {
  const double tolerance = kMass * constant;
  EXPECT_NEAR(actual.eps, expected.eps, tolerance);
  EXPECT_NEAR(actual.head, expected.head, tolerance);
  EXPECT_NEAR(actual.theta, expected.theta, tolerance + kRelative * expected.theta);
}

void expect_near_figures(const std::optional<LossFigures>& actual,
                         std::span<const QueryLoss> queries) {
  ASSERT_EQ(actual.has_value(), !queries.empty());
  if (!actual) {
    return;
  }
  const LossFigures expected = reference_figures(queries);
  double output = 0.0;
  for (const QueryLoss& query : queries) {
    output += query.output_l1 / static_cast<double>(queries.size());
  }
  EXPECT_NEAR(actual->evicted_mass, expected.evicted_mass, kMass);
  EXPECT_NEAR(actual->l1_loss, expected.l1_loss, kRelative * (output + expected.l1_loss));
  EXPECT_NEAR(actual->l1_loss_relative, expected.l1_loss_relative,
              kRelative * (1.0 + expected.l1_loss_relative));
}

void expect_equal(const LossFigures& a, const LossFigures& b) {
  EXPECT_EQ(a.evicted_mass, b.evicted_mass);
  EXPECT_EQ(a.l1_loss, b.l1_loss);
  EXPECT_EQ(a.l1_loss_relative, b.l1_loss_relative);
  EXPECT_EQ(a.bounds.eps, b.bounds.eps);
  EXPECT_EQ(a.bounds.head, b.bounds.head);
  EXPECT_EQ(a.bounds.theta, b.bounds.theta);
}

void expect_equal(const std::optional<LossFigures>& a, const std::optional<LossFigures>& b) {
  ASSERT_EQ(a.has_value(), b.has_value());
  if (a) {
    expect_equal(*a, *b);
  }
}

/// Means over touched layers of a figure that every layer has or none has.
template <class Part>
void expect_layer_mean(const std::optional<LossFigures>& summary,
                       const std::vector<LayerEviction>& layers, Part part) {
  LossFigures sum;
  int count = 0;
  for (const LayerEviction& layer : layers) {
    if (const std::optional<LossFigures>& figures = part(layer)) {
      sum.evicted_mass += figures->evicted_mass;
      sum.l1_loss += figures->l1_loss;
      sum.l1_loss_relative += figures->l1_loss_relative;
      sum.bounds.eps += figures->bounds.eps;
      sum.bounds.head += figures->bounds.head;
      sum.bounds.theta += figures->bounds.theta;
      ++count;
    }
  }
  ASSERT_EQ(summary.has_value(), count > 0);
  if (count > 0) {
    EXPECT_DOUBLE_EQ(summary->evicted_mass, sum.evicted_mass / count);
    EXPECT_DOUBLE_EQ(summary->l1_loss, sum.l1_loss / count);
    EXPECT_DOUBLE_EQ(summary->l1_loss_relative, sum.l1_loss_relative / count);
    EXPECT_DOUBLE_EQ(summary->bounds.eps, sum.bounds.eps / count);
    EXPECT_DOUBLE_EQ(summary->bounds.head, sum.bounds.head / count);
    EXPECT_DOUBLE_EQ(summary->bounds.theta, sum.bounds.theta / count);
  }
}

void expect_summary(const EvictionResult& result) {
  const EvictionSummary& summary = result.summary;
  expect_layer_mean(
      summary.decode, result.layers,
      [](const LayerEviction& layer) -> const auto& { return layer.decode; });
  expect_layer_mean(
      summary.uniform, result.layers,
      [](const LayerEviction& layer) -> const auto& { return layer.uniform; });
  expect_layer_mean(
      summary.observation, result.layers,
      [](const LayerEviction& layer) -> const auto& { return layer.observation; });
  RatioToUniform expected;
  double kept = 0.0;
  double units = 0.0;
  double mass = 0.0;
  double uniform_mass = 0.0;
  double loss = 0.0;
  double uniform_loss = 0.0;
  for (const LayerEviction& layer : result.layers) {
    expected.layers += layer.touched ? 1 : 0;
    kept += static_cast<double>(layer.budget_total);
    units += static_cast<double>(layer.heads.size());
    if (layer.decode) {
      mass += layer.decode->evicted_mass;
      uniform_mass += layer.uniform->evicted_mass;
      loss += layer.decode->l1_loss;
      uniform_loss += layer.uniform->l1_loss;
      expected.layers_improved_mass +=
          layer.decode->evicted_mass < layer.uniform->evicted_mass ? 1 : 0;
      expected.layers_improved_l1 += layer.decode->l1_loss < layer.uniform->l1_loss ? 1 : 0;
    }
  }
  EXPECT_DOUBLE_EQ(summary.kept_tokens_per_head_mean, units > 0.0 ? kept / units : 0.0);
  EXPECT_EQ(summary.ratio.layers, expected.layers);
  EXPECT_EQ(summary.ratio.layers_improved_mass, expected.layers_improved_mass);
  EXPECT_EQ(summary.ratio.layers_improved_l1, expected.layers_improved_l1);
  ASSERT_EQ(summary.ratio.evicted_mass.has_value(), uniform_mass > 0.0);
  ASSERT_EQ(summary.ratio.l1_loss.has_value(), uniform_loss > 0.0);
  if (summary.ratio.evicted_mass) {
    EXPECT_DOUBLE_EQ(*summary.ratio.evicted_mass, mass / uniform_mass);
  }
  if (summary.ratio.l1_loss) {
    EXPECT_DOUBLE_EQ(*summary.ratio.l1_loss, loss / uniform_loss);
  }
}

}  // namespace

EvictionPlan plan_of(std::string_view name, std::string_view budget) {
  const EvictionMethod* preset = find_eviction_preset(name);
  if (preset == nullptr) {
    throw std::invalid_argument("no preset " + std::string(name));
  }
  return {*preset, Budget::parse(budget)};
}

EvictionResult replay_one(const traces::Trace& trace, const EvictionPlan& plan,
                          const EvictionOptions& options) {
  return replay_eviction(trace, {&plan, 1}, options).at(0);
}

KeptLists kept_lists(const LayerEviction& layer) {
  KeptLists kept;
  for (const HeadEviction& head : layer.heads) {
    kept.push_back(head.kept);
  }
  return kept;
}

std::vector<std::int64_t> budgets_of(const LayerEviction& layer) {
  std::vector<std::int64_t> budgets;
  for (const HeadEviction& head : layer.heads) {
    budgets.push_back(head.budget);
  }
  return budgets;
}

void expect_matches_reference(const traces::Trace& trace, const EvictionResult& result,
                              Tally& tally) {
  const EvictionMethod& method = result.plan.method;
  const traces::TraceHeader& header = trace.header();
  const std::int64_t observed = std::min(method.window, trace.prompt_queries());
  for (const LayerEviction& layer : result.layers) {
    SCOPED_TRACE(testing::Message() << result.method_name << ", layer " << layer.layer);
    ASSERT_EQ(layer.touched, !header.model.layer(layer.layer).attention.sliding_window.has_value());
    if (!layer.touched) {
      EXPECT_TRUE(layer.heads.empty());
      EXPECT_TRUE(layer.queries.empty());
      EXPECT_FALSE(layer.decode || layer.uniform || layer.observation || layer.observation_uniform);
      EXPECT_EQ(layer.budget_total, 0);
      continue;
    }
    const ReferenceLayer reference(trace, trace.find_layer(layer.layer).value());
    const KeptLists kept = kept_lists(layer);
    ReferenceSelection twin;
    bool twin_known = false;
    if (method.scorer != Scorer::kRandom) {
      const ReferenceSelection own = reference.select(method, result.budget_tokens, false);
      if (own.margin > kSmallestMargin) {
        EXPECT_EQ(kept, own.kept);
        ++tally.compared;
      } else {
        ++tally.ambiguous;
      }
      twin = reference.select(method, result.budget_tokens, true);
      twin_known = twin.margin > kSmallestMargin;
    }

    const ReferenceLoss decode =
        reference.loss(method.granularity, kept, trace.prompt_queries(), header.decode_tokens);
    const ReferenceLoss observation =
        reference.loss(method.granularity, kept, trace.prompt_queries() - observed, observed);
    ASSERT_EQ(layer.queries.size(), decode.queries.size());
    for (std::size_t i = 0; i < layer.queries.size(); ++i) {
      expect_near_query(layer.queries[i], decode.queries[i]);
      if (result.bound) {
        const double constant = decode.queries[i].evicted_mass > 0.0
                                    ? decode.queries[i].bounds.eps / decode.queries[i].evicted_mass
                                    : 0.0;
        expect_near_bounds(layer.queries[i].bounds, decode.queries[i].bounds,
                           constant + decode.queries[i].output_l1);
      } else {
        EXPECT_EQ(layer.queries[i].bounds.eps, 0.0);
        EXPECT_EQ(layer.queries[i].bounds.head, 0.0);
        EXPECT_EQ(layer.queries[i].bounds.theta, 0.0);
      }
    }
    expect_near_figures(layer.decode, decode.queries);
    expect_near_figures(layer.observation, observation.queries);
    if (layer.decode) {
      const LossFigures own = reference_figures(layer.queries);
      EXPECT_DOUBLE_EQ(layer.decode->bounds.eps, own.bounds.eps);
      EXPECT_DOUBLE_EQ(layer.decode->bounds.head, own.bounds.head);
      EXPECT_DOUBLE_EQ(layer.decode->bounds.theta, own.bounds.theta);
    }
    if (twin_known) {
      expect_near_figures(layer.uniform, reference
                                             .loss(method.granularity, twin.kept,
                                                   trace.prompt_queries(), header.decode_tokens)
                                             .queries);
      expect_near_figures(
          layer.observation_uniform,
          reference.loss(method.granularity, twin.kept, trace.prompt_queries() - observed, observed)
              .queries);
    }
    double output = 0.0;
    for (const QueryLoss& query : decode.queries) {
      output = std::max(output, query.output_l1);
    }
    for (std::size_t unit = 0; unit < layer.heads.size(); ++unit) {
      EXPECT_EQ(layer.heads[unit].head, static_cast<std::int64_t>(unit));
      EXPECT_NEAR(layer.heads[unit].evicted_mass, decode.unit_mass[unit], kMass);
      EXPECT_NEAR(layer.heads[unit].l1_loss, decode.unit_loss[unit],
                  kRelative * (output + decode.unit_loss[unit]));
    }
  }
  expect_summary(result);
}

void expect_sound(const traces::Trace& trace, const EvictionResult& result) {
  const EvictionMethod& method = result.plan.method;
  const traces::ModelShape& model = trace.header().model;
  const std::int64_t n = trace.header().prompt_tokens;
  const auto units = static_cast<std::size_t>(
      method.granularity == Granularity::kKvHead ? model.kv_heads : model.q_heads);
  for (const LayerEviction& layer : result.layers) {
    if (!layer.touched) {
      continue;
    }
    SCOPED_TRACE(testing::Message() << result.method_name << ", layer " << layer.layer);
    EXPECT_EQ(layer.heads.size(), units);
    std::int64_t total = 0;
    for (const HeadEviction& head : layer.heads) {
      EXPECT_EQ(head.budget, static_cast<std::int64_t>(head.kept.size()));
      EXPECT_TRUE(std::adjacent_find(head.kept.begin(), head.kept.end(), std::greater_equal<>()) ==
                  head.kept.end());
      ASSERT_FALSE(head.kept.empty());
      EXPECT_GE(head.kept.front(), 0);
      EXPECT_LT(head.kept.back(), n);
      for (std::int64_t j = std::max<std::int64_t>(0, n - method.window); j < n; ++j) {
        EXPECT_TRUE(std::binary_search(head.kept.begin(), head.kept.end(), j)) << j;
      }
      total += head.budget;
    }
    EXPECT_EQ(layer.budget_total, total);
    EXPECT_EQ(static_cast<std::int64_t>(layer.queries.size()), trace.header().decode_tokens);
    for (const QueryLoss& query : layer.queries) {
      const double rounding = 1e-5 * query.output_l1 + 1e-6 * query.bounds.eps;
      EXPECT_GE(query.evicted_mass, 0.0);
      EXPECT_LE(query.evicted_mass, 1.0);
      EXPECT_TRUE(std::isfinite(query.l1_loss));
      if (result.bound) {
        EXPECT_LE(query.l1_loss, query.bounds.theta + rounding);
        EXPECT_LE(query.bounds.theta, query.bounds.head + rounding);
        EXPECT_LE(query.bounds.head, query.bounds.eps * (1.0 + 1e-12));
      }
    }
  }
}

void expect_identical(const EvictionResult& a, const EvictionResult& b) {
  EXPECT_EQ(a.method_name, b.method_name);
  EXPECT_EQ(a.budget_tokens, b.budget_tokens);
  EXPECT_EQ(a.queries_used, b.queries_used);
  EXPECT_EQ(a.bound, b.bound);
  EXPECT_EQ(a.warnings, b.warnings);
  ASSERT_EQ(a.layers.size(), b.layers.size());
  for (std::size_t i = 0; i < a.layers.size(); ++i) {
    const LayerEviction& x = a.layers[i];
    const LayerEviction& y = b.layers[i];
    SCOPED_TRACE(testing::Message() << a.method_name << ", layer " << x.layer);
    EXPECT_EQ(x.layer, y.layer);
    EXPECT_EQ(x.touched, y.touched);
    EXPECT_EQ(kept_lists(x), kept_lists(y));
    EXPECT_EQ(budgets_of(x), budgets_of(y));
    ASSERT_EQ(x.heads.size(), y.heads.size());
    for (std::size_t head = 0; head < x.heads.size(); ++head) {
      EXPECT_EQ(x.heads[head].evicted_mass, y.heads[head].evicted_mass);
      EXPECT_EQ(x.heads[head].l1_loss, y.heads[head].l1_loss);
      EXPECT_EQ(x.heads[head].needle_kept, y.heads[head].needle_kept);
    }
    ASSERT_EQ(x.queries.size(), y.queries.size());
    for (std::size_t query = 0; query < x.queries.size(); ++query) {
      EXPECT_EQ(x.queries[query].position, y.queries[query].position);
      EXPECT_EQ(x.queries[query].evicted_mass, y.queries[query].evicted_mass);
      EXPECT_EQ(x.queries[query].l1_loss, y.queries[query].l1_loss);
      EXPECT_EQ(x.queries[query].output_l1, y.queries[query].output_l1);
      EXPECT_EQ(x.queries[query].bounds.theta, y.queries[query].bounds.theta);
    }
    expect_equal(x.decode, y.decode);
    expect_equal(x.uniform, y.uniform);
    expect_equal(x.observation, y.observation);
    expect_equal(x.observation_uniform, y.observation_uniform);
  }
  EXPECT_EQ(a.summary.kept_tokens_per_head_mean, b.summary.kept_tokens_per_head_mean);
  EXPECT_EQ(a.summary.ratio.evicted_mass, b.summary.ratio.evicted_mass);
  EXPECT_EQ(a.summary.ratio.l1_loss, b.summary.ratio.l1_loss);
  expect_equal(a.summary.decode, b.summary.decode);
  expect_equal(a.summary.uniform, b.summary.uniform);
  expect_equal(a.summary.observation, b.summary.observation);
}

}  // namespace kvsieve::sim::tests
