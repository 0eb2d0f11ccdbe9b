#include "kvsieve/profile/operation_pairing.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "kvsieve/profile/attention_rows.h"
#include "kvsieve/profile/profile_report.h"
#include "kvsieve/sim/measured_rows.h"
#include "kvsieve/traces/output_file.h"
#include "traces/temporary_folder.h"

namespace kvsieve::profile::tests {
namespace {

MeasuredOperation measured(const std::string& name, std::int32_t step, std::int32_t layer,
                           double busy_us, double gap_us = 0.0) {
  MeasuredOperation operation;
  operation.name = name;
  operation.step = step;
  operation.layer = layer;
  operation.micro_batch = step >= 0 ? 0 : -1;
  operation.begin_us = 100.0;
  operation.end_us = 100.0 + busy_us + gap_us;
  operation.busy_us = busy_us;
  return operation;
}

/// The model: stages a (5 us), b (10 us) and qkv (1 us) of 2 steps and 2 layers.
sim::Timeline modelled() {
  sim::Timeline timeline;
  timeline.names = {"qkv", "b", "a"};
  for (std::int32_t step = 0; step < 2; ++step) {
    for (std::int32_t layer = 0; layer < 2; ++layer) {
      for (const auto& [name, us] : {std::pair{0, 1.0}, std::pair{2, 5.0}, std::pair{1, 10.0}}) {
        sim::TimelineTask task;
        task.name = name;
        task.us = us;
        task.step = step;
        task.layer = layer;
        task.bytes = name == 1 ? 1000 : 0;
        timeline.tasks.push_back(task);
      }
    }
  }
  return timeline;
}

TEST(OperationPairing, PairsByNameStepLayerAndMicroBatch) {
  std::vector<MeasuredOperation> operations{
      measured("a", 0, 0, 4.0, 1.0), measured("a", 0, 1, 10.0), measured("a", 1, 1, 5.0),
      measured("b", 1, 0, 8.0),      measured("b", 7, 0, 3.0),  measured("prefill", -1, -1, 50.0),
      measured("a", 1, 0, 0.0)};
  operations[3].bytes = 900;
  MeasuredOperation other_batch = measured("b", 0, 0, 2.0);
  other_batch.micro_batch = 1;
  operations.push_back(other_batch);
  const Pairing pairing = pair_operations(operations, {}, modelled());
  ASSERT_EQ(pairing.pairs.size(), 4U);
  EXPECT_EQ(pairing.pairs[0].stage, "a");
  EXPECT_EQ(pairing.pairs[0].layer, 0);
  EXPECT_DOUBLE_EQ(pairing.pairs[0].measured_us, 4.0);
  EXPECT_DOUBLE_EQ(pairing.pairs[0].gap_us, 1.0);
  EXPECT_DOUBLE_EQ(pairing.pairs[0].modelled_us, 5.0);
  EXPECT_DOUBLE_EQ(pairing.pairs[0].error(), 0.25);
  // In the order in which the model has them.
  ASSERT_EQ(pairing.stages.size(), 2U);
  EXPECT_EQ(pairing.stages[0].stage, "b");
  EXPECT_EQ(pairing.stages[0].figures.n, 1);
  EXPECT_DOUBLE_EQ(pairing.stages[0].figures.bias, 0.25);
  EXPECT_EQ(pairing.stages[0].measured_bytes, 900);
  EXPECT_EQ(pairing.stages[0].modelled_bytes, 1000);
  EXPECT_EQ(pairing.stages[1].stage, "a");
  EXPECT_EQ(pairing.stages[1].figures.n, 3);
  EXPECT_DOUBLE_EQ(pairing.stages[1].measured_median_us, 5.0);
  EXPECT_DOUBLE_EQ(pairing.stages[1].modelled_median_us, 5.0);
  // Errors 0.25, -0.5 and 0.
  EXPECT_DOUBLE_EQ(pairing.stages[1].figures.median_error, 0.25);
  EXPECT_NEAR(pairing.stages[1].figures.bias, -0.25 / 3.0, 1e-12);
}

TEST(OperationPairing, WhatComesBeforeTheFirstStepPairsByLayer) {
  sim::Timeline prompt;
  prompt.names = {"selection"};
  for (const std::int32_t layer : {0, 1}) {
    sim::TimelineTask task;
    task.us = 6.0;
    task.layer = layer;
    prompt.tasks.push_back(task);
  }
  const auto before = [](const std::string& name, std::int32_t layer, double busy_us) {
    MeasuredOperation operation = measured(name, -1, layer, busy_us);
    operation.micro_batch = 0;
    return operation;
  };
  // An adaptive method selects once more for its uniform twin.
  const std::vector<MeasuredOperation> operations{
      before("selection", 0, 4.0), before("selection", 0, 9.0), measured("b", 0, 0, 8.0),
      measured("selection", -1, -1, 1.0)};
  const Pairing pairing = pair_operations(operations, prompt, modelled());
  ASSERT_EQ(pairing.pairs.size(), 2U);
  EXPECT_EQ(pairing.pairs[0].stage, "selection");
  EXPECT_EQ(pairing.pairs[0].step, -1);
  EXPECT_DOUBLE_EQ(pairing.pairs[0].measured_us, 4.0);
  ASSERT_EQ(pairing.stages.size(), 2U);
  EXPECT_EQ(pairing.stages[0].stage, "selection");
  ASSERT_EQ(pairing.measured_only.size(), 1U);
  EXPECT_EQ(pairing.measured_only[0].operations, 2);
  EXPECT_DOUBLE_EQ(pairing.measured_only[0].us, 10.0);
  ASSERT_EQ(pairing.modelled_only.size(), 4U);
  EXPECT_EQ(pairing.modelled_only[2].name, "selection");
  EXPECT_DOUBLE_EQ(pairing.modelled_only[2].us, 6.0);
}

TEST(OperationPairing, NothingIsLost) {
  const std::vector<MeasuredOperation> operations{
      measured("a", 0, 0, 4.0), measured("b", 7, 0, 3.0), measured("prefill", -1, -1, 50.0),
      measured("a", 1, 0, 0.0), measured("a", 0, 0, 9.0)};
  const Pairing pairing = pair_operations(operations, {}, modelled());
  std::int64_t measured_sum = static_cast<std::int64_t>(pairing.pairs.size());
  for (const UnpairedOperations& unpaired : pairing.measured_only) {
    measured_sum += unpaired.operations;
  }
  EXPECT_EQ(measured_sum, 5);
  ASSERT_EQ(pairing.measured_only.size(), 3U);
  EXPECT_EQ(pairing.measured_only[0].name, "prefill");
  EXPECT_EQ(pairing.measured_only[1].name, "a");
  EXPECT_EQ(pairing.measured_only[1].operations, 2);
  EXPECT_DOUBLE_EQ(pairing.measured_only[1].us, 9.0);
  std::int64_t modelled_sum = static_cast<std::int64_t>(pairing.pairs.size());
  for (const UnpairedOperations& unpaired : pairing.modelled_only) {
    modelled_sum += unpaired.operations;
  }
  EXPECT_EQ(modelled_sum, 12);
  EXPECT_EQ(pairing.modelled_only[0].name, "b");
  EXPECT_EQ(pairing.modelled_only[0].operations, 4);
}

TEST(OperationPairing, NothingPairsWithNothing) {
  const Pairing none = pair_operations({}, {}, {});
  EXPECT_TRUE(none.pairs.empty());
  EXPECT_TRUE(none.stages.empty());
  EXPECT_EQ(pair_operations({}, {}, modelled()).modelled_only.size(), 3U);
}

TEST(ProfileReport, SumsOperationsAndHoldsThePairs) {
  MeasuredTimeline timeline;
  timeline.device = "H100";
  timeline.operations = {measured("a", 0, 0, 4.0), measured("a", 0, 1, 8.0),
                         measured("c", -1, -1, 1.0)};
  timeline.operations[2].lane = sim::Lane::kToGpu;
  timeline.operations[2].bytes = 64;
  const std::vector<OperationSummary> summaries = summarise(timeline);
  ASSERT_EQ(summaries.size(), 2U);
  EXPECT_EQ(summaries[0].name, "a");
  EXPECT_EQ(summaries[0].operations, 2);
  EXPECT_DOUBLE_EQ(summaries[0].us, 12.0);
  EXPECT_DOUBLE_EQ(summaries[0].median_us, 6.0);
  EXPECT_DOUBLE_EQ(summaries[0].longest_us, 8.0);
  EXPECT_EQ(summaries[1].bytes, 64);
  ActivityRecording recording;
  recording.cupti_version = 28;
  const nlohmann::ordered_json json = profile_document(
      recording, timeline, pair_operations(timeline.operations, {}, modelled()), "h100-sxm");
  EXPECT_EQ(json["schema"], "kvsieve.profile/1");
  EXPECT_EQ(json["origin"], "measured");
  EXPECT_EQ(json["pairing"]["hardware"], "h100-sxm");
  EXPECT_EQ(json["pairing"]["pairs"].size(), 2U);
  EXPECT_EQ(json["pairing"]["stages"][0]["n"], 2);
  EXPECT_FALSE(profile_document(recording, timeline, std::nullopt, "").contains("pairing"));
}

TEST(AttentionRows, CalibrateReadsThem) {
  MeasuredTimeline timeline;
  for (std::int32_t step = 0; step < 3; ++step) {
    timeline.operations.push_back(measured("resident-attention", step, 4, 3.0 + step));
    timeline.operations.push_back(measured("resident-attention", step, 9, 7.0));
    timeline.operations.push_back(measured("resident-attention", step, 11, 8.0));
    timeline.operations.push_back(measured("fetched-attention", step, 4, 11.0));
  }
  AttentionRowShape shape{"h100-sxm", "0.1.0", 32, 8, 128, "bfloat16", "resident-attention", {}};
  shape.tokens = [](std::int32_t /*step*/, std::int32_t layer) {
    return layer == 11 ? std::nullopt : std::optional<std::int64_t>(72);
  };
  const kvsieve::tests::TemporaryFolder folder;
  traces::write_file(folder / "rows.csv", attention_rows(timeline, shape), false);
  sim::MeasuredFile file = sim::read_measured(folder / "rows.csv");
  EXPECT_EQ(file.form, "kvsieve");
  ASSERT_EQ(file.rows.size(), 2U);
  EXPECT_EQ(file.rows[0].op, sim::MeasuredOp::kDecodeAttention);
  EXPECT_EQ(file.rows[0].gpu, "h100-sxm");
  EXPECT_EQ(file.rows[0].engine, "kvsieve");
  EXPECT_EQ(file.rows[0].batch, 1);
  EXPECT_EQ(file.rows[0].q_heads, 32);
  EXPECT_EQ(file.rows[0].kv_heads, 8);
  EXPECT_EQ(file.rows[0].context, 72);
  EXPECT_DOUBLE_EQ(file.rows[0].latency_us, 4.0);
  EXPECT_DOUBLE_EQ(file.rows[1].latency_us, 7.0);
  // A cache that grows: a row a step.
  shape.tokens = [](std::int32_t step, std::int32_t layer) {
    return layer == 11 ? std::nullopt : std::optional<std::int64_t>(31 + step);
  };
  traces::write_file(folder / "rows.csv", attention_rows(timeline, shape), true);
  file = sim::read_measured(folder / "rows.csv");
  ASSERT_EQ(file.rows.size(), 6U);
  EXPECT_EQ(file.rows[0].context, 31);
}

}  // namespace
}  // namespace kvsieve::profile::tests
