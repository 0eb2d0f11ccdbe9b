#include "kvsieve/sim/decode_replay.h"

#include <gtest/gtest.h>

#include "sim/retrieval/retrieval_expectations.h"
#include "traces/fails_with.h"

namespace kvsieve::sim::tests {
namespace {

using kernels::Backend;
using kernels::Schedule;
using kvsieve::tests::fails_with;

/// What has device kernels: d 64, few tokens and steps.
TraceShape decode_shape() {
  TraceShape shape = small_shape();
  shape.head_dim = 64;
  shape.prompt_tokens = 90;
  shape.decode_tokens = 3;
  return shape;
}

/// Expects the selections and what follows from them to be those of the replay on the CPU.
void expect_same_selections(const RetrievalResult& decoded, const RetrievalResult& replayed) {
  ASSERT_EQ(decoded.layers.size(), replayed.layers.size());
  for (std::size_t l = 0; l < decoded.layers.size(); ++l) {
    ASSERT_EQ(decoded.layers[l].heads.size(), replayed.layers[l].heads.size());
    for (std::size_t h = 0; h < decoded.layers[l].heads.size(); ++h) {
      const HeadRetrieval& mine = decoded.layers[l].heads[h];
      const HeadRetrieval& other = replayed.layers[l].heads[h];
      ASSERT_EQ(mine.steps.size(), other.steps.size());
      for (std::size_t s = 0; s < mine.steps.size(); ++s) {
        EXPECT_EQ(mine.steps[s].union_tokens, other.steps[s].union_tokens);
        EXPECT_EQ(mine.steps[s].recall, other.steps[s].recall);
        EXPECT_EQ(mine.steps[s].captured_mass, other.steps[s].captured_mass);
        EXPECT_EQ(mine.steps[s].hot_hits, other.steps[s].hot_hits);
      }
    }
  }
}

TEST(DecodeReplay, BackendsRetrieveWhatTheReplayRetrieves) {
  const TraceFixture fixture(decode_shape());
  for (const char* method : {"a2ats", "vq-plain"}) {
    for (const Placement placement : kernels::kPlacements) {
      RetrievalOptions options = small_options(method, "10%");
      options.codewords = 16;
      options.placement = placement;
      options.hot_buffer = placement == Placement::kFetchHotBuffer ? 12 : 0;
      const RetrievalResult replayed = replay_retrieval(fixture.trace(), options);
      EXPECT_FALSE(replayed.decode);
      for (const Backend backend : {Backend::kCpu, Backend::kSimt}) {
        SCOPED_TRACE(std::string(method) + " " + std::string(name_of(placement)) + " " +
                     std::string(name_of(backend)));
        const RetrievalResult decoded = replay_decode(fixture.trace(), options, {backend});
        expect_same_selections(decoded, replayed);
        ASSERT_TRUE(decoded.decode);
        EXPECT_LT(decoded.decode->output_deviation, 1e-5);
        EXPECT_FALSE(decoded.codebook->given);
        EXPECT_TRUE(decoded.codebook->in_sample);
        EXPECT_EQ(decoded.pcie.bytes(), replayed.pcie.bytes());
      }
    }
  }
}

TEST(DecodeReplay, CountedTrafficIsTheLedgersAndTheReplays) {
  const TraceFixture fixture(decode_shape());
  for (const Placement placement : kernels::kPlacements) {
    for (const Schedule schedule : {Schedule::kSerial, Schedule::kOverlapped}) {
      SCOPED_TRACE(std::string(name_of(placement)) + " " + std::string(name_of(schedule)));
      RetrievalOptions options = small_options("a2ats", "10%");
      options.codewords = 16;
      options.placement = placement;
      options.hot_buffer = 12;
      const RetrievalResult result =
          replay_decode(fixture.trace(), options, {Backend::kSimt, schedule});
      const DecodeReport& decode = *result.decode;
      ASSERT_TRUE(decode.counted);
      EXPECT_EQ(*decode.counted, decode.ledger);
      const auto steps = static_cast<double>(result.steps.size());
      EXPECT_NEAR(static_cast<double>(decode.ledger.to_gpu_bytes), result.pcie.to_gpu_bytes * steps,
                  1e-6);
      EXPECT_NEAR(static_cast<double>(decode.ledger.to_host_bytes),
                  result.pcie.to_host_bytes * steps, 1e-6);
      EXPECT_NEAR(static_cast<double>(decode.ledger.copies), result.pcie.pieces * steps, 1e-6);
      EXPECT_EQ(decode.sequences, schedule == Schedule::kOverlapped ? 2 : 1);
      EXPECT_TRUE(decode.stages.empty());
      EXPECT_FALSE(decode.step_us);
    }
  }
}

TEST(DecodeReplay, TheCpuMeasuresItsStages) {
  const TraceFixture fixture(decode_shape());
  RetrievalOptions options = small_options("a2ats", "10%");
  options.codewords = 16;
  options.placement = Placement::kCpuAttention;
  const RetrievalResult result = replay_decode(fixture.trace(), options, {Backend::kCpu});
  const DecodeReport& decode = *result.decode;
  EXPECT_FALSE(decode.counted);
  EXPECT_GT(decode.step_us.value_or(0.0), 0.0);
  std::vector<std::string> stages;
  for (const StageLatency& stage : decode.stages) {
    stages.emplace_back(name_of(stage.stage));
    EXPECT_GT(stage.mean_us, 0.0) << stages.back();
    EXPECT_GE(stage.max_us, stage.mean_us);
  }
  EXPECT_EQ(stages, (std::vector<std::string>{"rotate", "encode", "topk", "append", "cpu-attention",
                                              "resident-attention", "merge"}));
}

TEST(DecodeReplay, AGivenCodebookIsUsed) {
  const TraceFixture fixture(decode_shape());
  RetrievalOptions options = small_options("a2ats", "10%");
  options.codebook = codebook_for(fixture.trace(), options.scorer, 16);
  const RetrievalResult replayed = replay_retrieval(fixture.trace(), options);
  const RetrievalResult decoded = replay_decode(fixture.trace(), options, {Backend::kSimt});
  expect_same_selections(decoded, replayed);
  EXPECT_TRUE(decoded.codebook->given);
}

TEST(DecodeReplay, NamesWhatHasNoDecodeStep) {
  const TraceFixture fixture(decode_shape());
  const auto refused = [&](std::string_view part, auto change) {
    RetrievalOptions options = small_options("a2ats", "10%");
    change(options);
    return fails_with(ErrorKind::kMissingCapability, part, [&] {
      static_cast<void>(replay_decode(fixture.trace(), options, {Backend::kSimt}));
    });
  };
  EXPECT_TRUE(refused("the method quest has no decode step on a backend",
                      [](RetrievalOptions& options) { options = small_options("quest", "10%"); }));
  EXPECT_TRUE(refused("--final-attention wrope has no decode step", [](RetrievalOptions& options) {
    options.final_attention = FinalAttention::kWrope;
  }));
  EXPECT_TRUE(refused("--retrieval-budget adaptive", [](RetrievalOptions& options) {
    options.budget = RetrievalBudget::kAdaptive;
  }));
  EXPECT_TRUE(refused("--codebook-dtype other than fp32", [](RetrievalOptions& options) {
    options.codebook_dtype = traces::DType::kF16;
  }));
  EXPECT_TRUE(refused("a codebook of centred keys",
                      [](RetrievalOptions& options) { options.center_keys = true; }));
}

TEST(DecodeReplay, SlidingLayersAreLeftWholeAndTracesWithoutStepsRefused) {
  TraceShape shape = decode_shape();
  shape.layers = 2;
  shape.sliding_windows[0] = 32;
  const TraceFixture fixture(shape);
  RetrievalOptions options = small_options("a2ats", "10%");
  options.codewords = 16;
  const RetrievalResult result = replay_decode(fixture.trace(), options, {Backend::kSimt});
  EXPECT_FALSE(result.layers[0].touched);
  EXPECT_TRUE(result.layers[1].touched);
  shape.decode_tokens = 0;
  const TraceFixture without(shape);
  EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "no decode steps", [&] {
    static_cast<void>(replay_decode(without.trace(), options, {Backend::kSimt}));
  }));
}

}  // namespace
}  // namespace kvsieve::sim::tests
