#include "kvsieve/sim/retrieval_replay.h"

#include <gtest/gtest.h>
#include <tbb/global_control.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "kvsieve/traces/error.h"
#include "sim/retrieval/retrieval_expectations.h"
#include "sim/retrieval/retrieval_reference.h"
#include "traces/fails_with.h"

namespace kvsieve::sim::tests {
namespace {

using kvsieve::tests::fails_with;

TEST(RetrievalReplay, EveryScorerMatchesTheReference) {
  TraceShape shape = small_shape();
  shape.needle = traces::Needle{60, 68, "needle"};
  const TraceFixture fixture(shape);
  for (const RetrievalOptions& preset : retrieval_presets()) {
    if (preset.scorer == RetrievalScorer::kRandom) {
      continue;
    }
    SCOPED_TRACE(preset.name);
    RetrievalOptions options = small_options(preset.name, "10%");
    options.hot_buffer = 30;
    options.channels = 5;
    const RetrievalResult result = replay(fixture.trace(), options);
    expect_matches_reference(fixture.trace(), result);
    expect_sound(fixture.trace(), result);
  }
}

TEST(RetrievalReplay, EveryModelShapeMatchesTheReference) {
  std::vector<std::pair<const char*, TraceShape>> shapes;
  const auto add = [&](const char* name, auto change) {
    shapes.emplace_back(name, small_shape());
    change(shapes.back().second);
  };
  add("one query head a KV head", [](TraceShape& shape) { shape.q_heads = 2; });
  add("groups of eight", [](TraceShape& shape) { shape.q_heads = 16; });
  add("interleaved pairs",
      [](TraceShape& shape) { shape.rope.pairing = traces::RopePairing::kInterleaved; });
  add("partial rotation", [](TraceShape& shape) { shape.rope.dim = 8; });
  add("softcap", [](TraceShape& shape) { shape.softcap = 5.0; });
  add("odd head dimension", [](TraceShape& shape) { shape.head_dim = 34; });
  add("scaled frequencies", [](TraceShape& shape) {
    shape.rope.scaling.type = traces::RopeScalingType::kLinear;
    shape.rope.scaling.factor = 4.0;
  });
  add("half precision", [](TraceShape& shape) { shape.dtype = traces::DType::kF16; });
  add("brain floats", [](TraceShape& shape) { shape.dtype = traces::DType::kBF16; });
  add("sliding window", [](TraceShape& shape) {
    shape.layers = 3;
    shape.sliding_windows[1] = 32;
  });
  for (const auto& [name, shape] : shapes) {
    SCOPED_TRACE(name);
    const TraceFixture fixture(shape);
    for (const FinalAttention attention : {FinalAttention::kExact, FinalAttention::kWrope}) {
      RetrievalOptions options = small_options("a2ats", "7%");
      options.final_attention = attention;
      const RetrievalResult result = replay(fixture.trace(), options);
      expect_matches_reference(fixture.trace(), result);
      expect_sound(fixture.trace(), result);
    }
  }
}

TEST(RetrievalReplay, EveryBaselineMatchesTheReferenceAtItsParameters) {
  TraceShape shape = small_shape();
  shape.layers = 1;
  shape.softcap = 5.0;
  shape.prompt_tokens = 181;  // no whole page, chunk or step
  const TraceFixture fixture(shape);
  const auto matches = [&](const char* name, auto change) {
    RetrievalOptions options = small_options(name, "7%");
    change(options);
    const RetrievalResult result = replay(fixture.trace(), options);
    expect_matches_reference(fixture.trace(), result);
    expect_sound(fixture.trace(), result);
    return *result.index;
  };
  for (const std::int64_t parts : {1, 4, 16}) {
    for (const std::int64_t bits : {1, 4, 8}) {  // 8: more centroids than keys
      SCOPED_TRACE(std::to_string(parts) + " x " + std::to_string(bits));
      const IndexBytes index = matches("pq", [&](RetrievalOptions& o) {
        o.pq_subvectors = parts;
        o.pq_bits = bits;
        o.seed = 3;
      });
      EXPECT_EQ(index.per_token, static_cast<double>(parts * bits) / 8.0);
      EXPECT_EQ(index.fixed, (1 << bits) * 16 * 4);
    }
  }
  for (const std::int64_t clusters : {1, 7, 60}) {
    SCOPED_TRACE(clusters);
    const IndexBytes index =
        matches("cluster-centroid", [&](RetrievalOptions& o) { o.codewords = clusters; });
    EXPECT_EQ(index.per_token, 2.0);
    EXPECT_EQ(index.fixed, clusters * 16 * 4);
  }
  for (const std::int64_t channels : {1, 3, 16}) {
    SCOPED_TRACE(channels);
    const IndexBytes index =
        matches("channel-subset", [&](RetrievalOptions& o) { o.channels = channels; });
    EXPECT_EQ(index.per_token, static_cast<double>(channels) * 4.0);
    EXPECT_EQ(index.fixed, 0);
  }
  EXPECT_EQ(matches("chunk-mean", [](RetrievalOptions&) {}).per_token, 16 * 4 / 8.0);
  EXPECT_EQ(matches("quest", [](RetrievalOptions&) {}).per_token, 2 * 16 * 4 / 16.0);
  EXPECT_EQ(matches("exact-topk", [](RetrievalOptions&) {}).per_token, 16 * 4.0);
  const IndexBytes codes =
      matches("a2ats", [](RetrievalOptions& o) { o.codebook_dtype = traces::DType::kF32; });
  EXPECT_EQ(codes.per_token, 2.0);
  EXPECT_EQ(codes.fixed, 16 * 16 * 4);
}

TEST(RetrievalReplay, AdaptiveBudgetsMatchTheReference) {
  TraceShape shape = small_shape();
  shape.decode_tokens = 5;
  const TraceFixture fixture(shape);
  for (const char* name : {"exact-topk", "a2ats", "quest"}) {
    for (const std::int64_t tenths : {0, 2, 10}) {
      for (const char* top : {"5%", "0", "160", "100%"}) {
        SCOPED_TRACE(std::string(name) + " alpha 0." + std::to_string(tenths) + " top " + top);
        RetrievalOptions options = small_options(name, top);
        options.budget = RetrievalBudget::kAdaptive;
        options.alpha = {tenths, 10};
        const RetrievalResult result = replay(fixture.trace(), options);
        expect_matches_reference(fixture.trace(), result);
        expect_sound(fixture.trace(), result);
      }
    }
  }
}

TEST(RetrievalReplay, AdaptiveBudgetsShareOutTheSameTotal) {
  const TraceFixture fixture(small_shape());
  RetrievalOptions options = small_options("exact-topk", "10%");
  const RetrievalResult uniform = replay(fixture.trace(), options);
  EXPECT_FALSE(uniform.selected);
  options.budget = RetrievalBudget::kAdaptive;
  const RetrievalResult adaptive = replay(fixture.trace(), options);
  for (std::size_t l = 0; l < 2; ++l) {
    for (std::size_t s = 0; s < 11; ++s) {
      double total = 0.0;
      for (const HeadRetrieval& head : adaptive.layers[l].heads) {
        total += 3.0 * head.steps[s].selected;
      }
      EXPECT_NEAR(total, 6.0 * static_cast<double>(uniform.layers[l].heads[0].steps[s].top), 1e-9);
    }
  }
  ASSERT_TRUE(adaptive.selected);
  EXPECT_LT(adaptive.selected->p10, 18);
  EXPECT_GT(adaptive.selected->largest, 18);
  EXPECT_NEAR(*adaptive.summary.selected_tokens, *uniform.summary.selected_tokens, 1e-9);
  // alpha 1 is uniform.
  options.alpha = {1, 1};
  expect_identical(uniform, replay(fixture.trace(), options));
  // A query head is its own group here, so that sharing out by the true attention can only gain.
  TraceShape shape = small_shape();
  shape.q_heads = 2;
  const TraceFixture single(shape);
  options.alpha = {0, 1};
  const RetrievalResult shared = replay(single.trace(), options);
  options.budget = RetrievalBudget::kUniform;
  const RetrievalResult equal = replay(single.trace(), options);
  for (std::size_t l = 0; l < 2; ++l) {
    EXPECT_GE(shared.layers[l].figures.captured_mass, equal.layers[l].figures.captured_mass - 1e-6);
  }
}

TEST(RetrievalReplay, ThresholdsByMassMatchTheReference) {
  const TraceFixture fixture(small_shape());
  for (const char* name : {"exact-topk", "a2ats", "chunk-mean"}) {
    for (const char* mass : {"1%", "60%", "95%", "100%"}) {
      SCOPED_TRACE(std::string(name) + " " + mass);
      RetrievalOptions options = small_options(name, "30%");
      options.mass = kernels::Decimal::parse(mass);
      const RetrievalResult result = replay(fixture.trace(), options);
      expect_matches_reference(fixture.trace(), result);
      expect_sound(fixture.trace(), result);
    }
  }
}

TEST(RetrievalReplay, ThresholdsByMassOfTheTrueScoresHoldTheirShare) {
  TraceShape shape = small_shape();
  shape.q_heads = 2;
  const TraceFixture fixture(shape);
  RetrievalOptions options = small_options("exact-topk", "100%");
  options.mass = kernels::Decimal::parse("80%");
  const RetrievalResult result = replay(fixture.trace(), options);
  for (const HeadStep& step : result.layers[0].heads[0].steps) {
    EXPECT_GE(step.captured_mass, 0.8 - 1e-5);
  }
  EXPECT_LT(result.selected->at_top, 0.5);
  EXPECT_LE(result.selected->p10, result.selected->median);
  EXPECT_LE(result.selected->p90, result.selected->largest);
  // Capped by K, the share is missed; all take K then.
  options.top = TopBudget::parse("1");
  options.mass = kernels::Decimal::parse("100%");
  const RetrievalResult capped = replay(fixture.trace(), options);
  EXPECT_EQ(capped.selected->largest, 1);
  EXPECT_EQ(capped.selected->at_top, 1.0);
}

TEST(RetrievalReplay, LfuBuffersMatchTheReference) {
  TraceShape shape = small_shape();
  shape.decode_tokens = 40;
  shape.layers = 1;
  const TraceFixture fixture(shape);
  for (const std::int64_t slots : {1, 20, 45}) {
    RetrievalOptions options = small_options("exact-topk", "10%");
    options.hot_buffer = slots;
    options.hot_policy = HotPolicy::kLfu;
    expect_matches_reference(fixture.trace(), replay(fixture.trace(), options));
  }
}

TEST(RetrievalReplay, BoundaryBudgetsAndWindowsMatchTheReference) {
  TraceShape shape = small_shape();
  shape.layers = 1;
  shape.prompt_tokens = 40;
  shape.decode_tokens = 20;
  const TraceFixture fixture(shape);
  for (const std::int64_t sinks : {0, 1, 8, 100}) {
    for (const std::int64_t window : {1, 31, 40, 41, 52, 60, 500}) {
      for (const char* top : {"0%", "2%", "1", "30%", "100%", "1000"}) {
        SCOPED_TRACE(std::to_string(sinks) + " " + std::to_string(window) + " " + top);
        RetrievalOptions options = small_options("exact-topk", top);
        options.sinks = sinks;
        options.window = window;
        const RetrievalResult result = replay(fixture.trace(), options);
        expect_matches_reference(fixture.trace(), result);
        expect_sound(fixture.trace(), result);
      }
    }
  }
}

TEST(RetrievalReplay, RandomDrawsAreSeededAndIndependentOfTheData) {
  const TraceFixture fixture(small_shape());
  RetrievalOptions options = small_options("random-topk", "30%");
  const RetrievalResult first = replay(fixture.trace(), options);
  expect_identical(first, replay(fixture.trace(), options));
  expect_sound(fixture.trace(), first);
  options.seed = 1;
  EXPECT_NE(replay(fixture.trace(), options).summary.captured_mass, first.summary.captured_mass);
  // 30 % of all tokens among those eligible, 55 of about 165.
  EXPECT_NEAR(*first.summary.recall, 0.33, 0.05);
  // Heads and steps draw for themselves.
  EXPECT_NEAR(*first.summary.overlap, *first.summary.union_factor * 0.33, 0.1);
}

TEST(RetrievalReplay, ResultsDoNotDependOnTheNumberOfThreads) {
  TraceShape shape = small_shape();
  shape.decode_tokens = 40;
  const TraceFixture fixture(shape);
  std::vector<RetrievalResult> first;
  for (const int threads : {1, 2, 5}) {
    const tbb::global_control limit(tbb::global_control::max_allowed_parallelism,
                                    static_cast<std::size_t>(threads));
    tbb::task_arena arena(threads);
    arena.execute([&] {
      std::vector<RetrievalResult> results;
      for (const char* name :
           {"a2ats", "vq-post-rope", "pq", "chunk-mean", "cluster-centroid", "channel-subset"}) {
        RetrievalOptions options = small_options(name, "10%");
        options.hot_buffer = 20;
        options.channels = 4;
        options.budget = RetrievalBudget::kAdaptive;
        results.push_back(replay_retrieval(fixture.trace(), options));
      }
      for (std::size_t n = 0; n < first.size(); ++n) {
        expect_identical(first[n], results[n]);
      }
      first = std::move(results);
    });
  }
}

TEST(RetrievalReplay, ManyStepsAreReplayedInChunks) {
  TraceShape shape = small_shape();
  shape.layers = 1;
  shape.q_heads = 2;
  shape.prompt_tokens = 30;
  shape.decode_tokens = 530;  // more than two chunks
  const TraceFixture fixture(shape);
  RetrievalOptions options = small_options("exact-topk", "10%");
  options.hot_buffer = 25;
  const RetrievalResult result = replay(fixture.trace(), options);
  expect_matches_reference(fixture.trace(), result);
}

TEST(RetrievalReplay, PlacementChoosesTheHeadlineTraffic) {
  const TraceFixture fixture(small_shape());
  RetrievalOptions options = small_options("exact-topk", "10%");
  const RetrievalResult fetch = replay(fixture.trace(), options);
  EXPECT_EQ(fetch.pcie.bytes(), fetch.summary.pcie_of(Placement::kFetchDma).bytes());
  options.placement = Placement::kCpuAttention;
  const RetrievalResult host = replay(fixture.trace(), options);
  EXPECT_EQ(host.pcie.bytes(), host.summary.pcie_of(Placement::kCpuAttention).bytes());
  EXPECT_EQ(host.summary.pcie_of(Placement::kFetchDma).bytes(),
            fetch.summary.pcie_of(Placement::kFetchDma).bytes());
  // Two layers of two KV heads; groups of 3, d 16, F32: the query, new K and V; output, sums.
  // Four heads' lists of tokens, and their lengths.
  const double lists = 4.0 * (fetch.summary.union_tokens + 1.0) * 4.0;
  EXPECT_NEAR(host.pcie.to_host_bytes, 4.0 * (3 * 64 + 2 * 64) + lists, 1e-9);
  EXPECT_NEAR(host.pcie.to_gpu_bytes, 4.0 * (3 * 64 + 3 * 4), 1e-9);
  EXPECT_EQ(host.pcie.pieces, 4.0);  // two layers, one message each way
  EXPECT_NEAR(fetch.pcie.to_host_bytes, 4.0 * 2 * 64 + lists, 1e-9);
  EXPECT_EQ(fetch.summary.pcie_of(Placement::kFetchKernel).to_host_bytes, 4.0 * 2 * 64);
  const RetrievalResult none = replay(fixture.trace(), small_options("streaming-llm", "10%"));
  EXPECT_EQ(none.summary.pcie_of(Placement::kFetchDma).bytes() +
                none.summary.pcie_of(Placement::kCpuAttention).bytes(),
            0.0);
  EXPECT_EQ(none.summary.pcie_of(Placement::kCpuAttention).pieces, 0.0);
}

TEST(RetrievalReplay, StepsAndSummaryAreMeansOfTheLayers) {
  const TraceFixture fixture(small_shape());
  const RetrievalResult result = replay(fixture.trace(), small_options("a2ats", "10%"));
  ASSERT_EQ(result.steps.size(), 11U);
  double mass = 0.0;
  double recall = 0.0;
  double bytes = 0.0;
  double loss = 0.0;
  for (std::size_t s = 0; s < result.steps.size(); ++s) {
    EXPECT_EQ(result.steps[s].step, static_cast<std::int64_t>(s));
    EXPECT_EQ(result.steps[s].position, 180 + static_cast<std::int64_t>(s));
    EXPECT_EQ(result.steps[s].top, 18 + static_cast<std::int64_t>(s >= 9));
    mass += result.steps[s].figures.captured_mass / 11.0;
    recall += *result.steps[s].figures.recall / 11.0;
    bytes += result.steps[s].figures.pcie_of(Placement::kFetchDma).bytes() / 11.0;
    loss += result.steps[s].loss.l1_loss / 11.0;
    EXPECT_EQ(result.steps[s].figures.overlap.has_value(), s > 0);
  }
  EXPECT_NEAR(result.summary.captured_mass, mass, 1e-12);
  EXPECT_NEAR(*result.summary.recall, recall, 1e-12);
  EXPECT_NEAR(result.summary.pcie_of(Placement::kFetchDma).bytes(), bytes, 1e-6);
  EXPECT_NEAR(result.loss.l1_loss, loss, 1e-9 * loss);
}

TEST(RetrievalReplay, SlidingLayersAreListedAndLeftWhole) {
  TraceShape shape = small_shape();
  shape.layers = 3;
  shape.sliding_windows = {{0, 24}, {2, 24}};
  const TraceFixture fixture(shape);
  const RetrievalResult result = replay(fixture.trace(), small_options("a2ats", "10%"));
  ASSERT_EQ(result.layers.size(), 3U);
  EXPECT_FALSE(result.layers[0].touched);
  EXPECT_TRUE(result.layers[1].touched);
  EXPECT_FALSE(result.layers[2].touched);
  EXPECT_EQ(result.summary.captured_mass, result.layers[1].figures.captured_mass);
  shape.sliding_windows[1] = 24;
  const TraceFixture all_local(shape);
  const RetrievalResult nothing =
      replay_retrieval(all_local.trace(), small_options("exact-topk", "10%"));
  EXPECT_TRUE(nothing.steps.empty());
  ASSERT_EQ(nothing.warnings.size(), 1U);
  EXPECT_NE(nothing.warnings[0].find("left whole"), std::string::npos);
}

TEST(RetrievalReplay, LayersCanBeChosen) {
  TraceShape shape = small_shape();
  shape.layers = 4;
  shape.captured = {1, 3};
  const TraceFixture fixture(shape);
  RetrievalOptions options = small_options("a2ats", "10%");
  options.layers = {3};
  const RetrievalResult result = replay_retrieval(fixture.trace(), options);
  ASSERT_EQ(result.layers.size(), 1U);
  EXPECT_EQ(result.layers[0].layer, 3);
  options.layers = {2};
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "layer 2 was not captured",
                         [&] { (void)replay_retrieval(fixture.trace(), options); }));
}

TEST(RetrievalReplay, NeedlesCountOnlyWhereTheyCanBeRetrieved) {
  TraceShape shape = small_shape();
  shape.needle = traces::Needle{2, 10, ""};  // two tokens are sinks
  const TraceFixture fixture(shape);
  const RetrievalResult result = replay(fixture.trace(), small_options("exact-topk", "100%"));
  for (const HeadStep& step : result.layers[0].heads[0].steps) {
    EXPECT_EQ(step.needle_eligible, 6);
    EXPECT_EQ(step.needle_retrieved, 6);
  }
  EXPECT_EQ(result.summary.needle_recall, 1.0);
  shape.needle.reset();
  const TraceFixture without(shape);
  EXPECT_FALSE(replay(without.trace(), small_options("exact-topk", "5%")).summary.needle_recall);
}

TEST(RetrievalReplay, ProgressRisesToOneAndMayStopTheReplay) {
  const TraceFixture fixture(small_shape());
  std::vector<double> shares;
  (void)replay_retrieval(fixture.trace(), small_options("a2ats", "10%"),
                         [&](double share) { shares.push_back(share); });
  EXPECT_EQ(shares, (std::vector<double>{0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0}));
  EXPECT_THROW((void)replay_retrieval(fixture.trace(), small_options("exact-topk", "10%"),
                                      [](double) { throw std::runtime_error("stop"); }),
               std::runtime_error);
}

TEST(RetrievalReplay, RefusesOptionsOutOfRange) {
  const TraceFixture fixture(small_shape());
  const auto refuses = [&](const char* part, auto change) {
    RetrievalOptions options = small_options("quest", "10%");
    change(options);
    return fails_with(ErrorKind::kUsage, part,
                      [&] { (void)replay_retrieval(fixture.trace(), options); });
  };
  EXPECT_TRUE(refuses("--sinks is -1", [](RetrievalOptions& o) { o.sinks = -1; }));
  EXPECT_TRUE(refuses("--window is 0", [](RetrievalOptions& o) { o.window = 0; }));
  EXPECT_TRUE(refuses("--window is 14", [](RetrievalOptions& o) { o.window = 14; }));
  EXPECT_TRUE(refuses("--distance is -1", [](RetrievalOptions& o) { o.distance = -1; }));
  EXPECT_TRUE(refuses("--hot-buffer is -5", [](RetrievalOptions& o) { o.hot_buffer = -5; }));
  EXPECT_TRUE(refuses("--pq-subvectors is 3, expected a divisor", [](RetrievalOptions& o) {
    o.scorer = RetrievalScorer::kPq;
    o.pq_subvectors = 3;
  }));
  EXPECT_TRUE(refuses("--pq-bits is 13", [](RetrievalOptions& o) { o.pq_bits = 13; }));
  EXPECT_TRUE(
      refuses("--channels is 17, expected 1 to the head dimension 16", [](RetrievalOptions& o) {
        o.scorer = RetrievalScorer::kChannelSubset;
        o.channels = 17;
      }));
  EXPECT_TRUE(refuses("--window is 6", [](RetrievalOptions& o) {
    o.scorer = RetrievalScorer::kChunkMean;
    o.window = 6;
  }));
  EXPECT_TRUE(refuses("--mass is 0", [](RetrievalOptions& o) { o.mass = kernels::Decimal{0, 1}; }));
  EXPECT_TRUE(refuses("--mass does not apply to random-topk", [](RetrievalOptions& o) {
    o = small_options("random-topk", "10%");
    o.mass = kernels::Decimal{9, 10};
  }));
  EXPECT_TRUE(refuses("--retrieval-budget adaptive does not apply to streaming-llm",
                      [](RetrievalOptions& o) {
                        o = small_options("streaming-llm", "10%");
                        o.budget = RetrievalBudget::kAdaptive;
                      }));
  EXPECT_TRUE(refuses("--top is -1", [](RetrievalOptions& o) {
    o.top.is_share = false;
    o.top.count = -1;
  }));
  EXPECT_TRUE(refuses("--codewords is 70000", [](RetrievalOptions& o) {
    o.scorer = RetrievalScorer::kVqPlain;
    o.codewords = 70000;
  }));
  TraceShape shape = small_shape();
  shape.decode_tokens = 0;
  const TraceFixture prompt_only(shape);
  EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "no decode steps", [&] {
    (void)replay_retrieval(prompt_only.trace(), small_options("exact-topk", "10%"));
  }));
}

}  // namespace
}  // namespace kvsieve::sim::tests
