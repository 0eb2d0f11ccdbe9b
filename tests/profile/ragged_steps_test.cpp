// Decode steps over a ragged cache, on the host executor, against attention in double precision
// over the same tokens.

#include "device/ragged_steps.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kvsieve/traces/synth.h"
#include "traces/temporary_folder.h"

namespace kvsieve::profile::KVSIEVE_BACKEND_NS {
namespace {

using kvsieve::tests::TemporaryFolder;

constexpr std::int64_t kPrompt = 150;
constexpr std::int64_t kSteps = 3;
/// Rows are rounded to fp16 once they are rotated.
constexpr double kTolerance = 1e-2;

traces::Trace small_trace(const TemporaryFolder& folder) {
  traces::SynthOptions options;
  options.layers = 2;
  options.q_heads = 4;
  options.kv_heads = 2;
  options.head_dim = 64;
  options.prompt_tokens = kPrompt;
  options.decode_tokens = kSteps;
  options.prompt_queries = 32;
  traces::synthesize(folder / "t.kvtrace", options);
  return traces::Trace::open(folder / "t.kvtrace");
}

sim::EvictionResult evicted(const traces::Trace& trace, const char* method,
                            sim::Granularity granularity) {
  sim::EvictionPlan plan{*sim::find_eviction_preset(method), sim::Budget::parse("40%")};
  plan.method.granularity = granularity;
  return sim::replay_eviction(trace, {&plan, 1}, {}).front();
}

/// Attention of one query head's step over kept and decoded tokens.
std::vector<double> reference(const traces::Trace& trace, std::size_t index,
                              const std::vector<std::int32_t>& kept, std::int64_t head,
                              std::int64_t step) {
  const traces::TraceLayer layer = trace.layer(index);
  const traces::ModelShape& model = trace.header().model;
  const std::int64_t d = model.head_dim;
  const std::int64_t group = model.q_heads / model.kv_heads;
  const std::int64_t tokens = layer.k.shape[1];
  const kernels::RopePhases phases(traces::RopeTable(layer.spec.rope, d), tokens);
  std::vector<float> keys(static_cast<std::size_t>(tokens * d));
  std::vector<float> values(keys.size());
  kernels::load_rotated_rows(kernels::HeadSlice(layer.k, head / group), phases,
                             {keys.data(), tokens, d});
  kernels::load_rows(kernels::HeadSlice(layer.v, head / group), 0, {values.data(), tokens, d});
  std::vector<float> queries;
  const std::int64_t query = trace.prompt_queries() + step;
  kernels::load_group_queries(layer.q, head / group, group, query,
                              trace.query_positions().subspan(static_cast<std::size_t>(query), 1),
                              phases, queries);
  const float* q = queries.data() + head % group * d;
  std::vector<std::int32_t> seen = kept;
  for (std::int64_t decoded = 0; decoded <= step; ++decoded) {
    seen.push_back(static_cast<std::int32_t>(kPrompt + decoded));
  }
  std::vector<double> out(static_cast<std::size_t>(d), 0.0);
  double sum = 0.0;
  for (const std::int32_t j : seen) {
    double score = 0.0;
    for (std::int64_t t = 0; t < d; ++t) {
      score += static_cast<double>(q[t]) *
               static_cast<double>(keys[static_cast<std::size_t>(j * d + t)]);
    }
    const double weight = std::exp(score * layer.spec.attention.scale);
    sum += weight;
    for (std::int64_t t = 0; t < d; ++t) {
      out[static_cast<std::size_t>(t)] +=
          weight * static_cast<double>(values[static_cast<std::size_t>(j * d + t)]);
    }
  }
  for (double& value : out) {
    value /= sum;
  }
  return out;
}

void expect_attention(const char* method, sim::Granularity granularity) {
  const TemporaryFolder folder;
  const traces::Trace trace = small_trace(folder);
  const sim::EvictionResult result = evicted(trace, method, granularity);
  const traces::ModelShape& model = trace.header().model;
  RaggedSteps steps(trace, result);
  for (std::int64_t step = 0; step < kSteps; ++step) {
    steps.run(step);
    for (std::size_t layer = 0; layer < result.layers.size(); ++layer) {
      const std::vector<float> out = steps.outputs(layer);
      const auto& heads = result.layers[layer].heads;
      for (std::int64_t head = 0; head < model.q_heads; ++head) {
        const auto unit = static_cast<std::size_t>(head * static_cast<std::int64_t>(heads.size()) /
                                                   model.q_heads);
        const std::vector<double> expected = reference(trace, layer, heads[unit].kept, head, step);
        for (std::int64_t t = 0; t < model.head_dim; ++t) {
          ASSERT_NEAR(out[static_cast<std::size_t>(head * model.head_dim + t)],
                      expected[static_cast<std::size_t>(t)], kTolerance)
              << method << ", step " << step << ", layer " << layer << ", head " << head;
        }
      }
    }
  }
}

TEST(RaggedSteps, AttendToKeptAndDecodedTokensOfEveryHead) {
  expect_attention("ada-snapkv", sim::Granularity::kKvHead);
}

TEST(RaggedSteps, OfFullAttentionToAllTokens) {
  expect_attention("full", sim::Granularity::kKvHead);
}

TEST(RaggedSteps, QueryHeadsHaveCachesOfTheirOwn) {
  expect_attention("ada-snapkv", sim::Granularity::kQueryHead);
}

}  // namespace
}  // namespace kvsieve::profile::KVSIEVE_BACKEND_NS
