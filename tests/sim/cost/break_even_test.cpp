#include "kvsieve/sim/break_even.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace kvsieve::sim {
namespace {

CostRequest request_of(const char* method) {
  CostRequest request;
  request.hardware = load_hardware("a100-sxm-80");
  request.model = load_model("llama-3.1-8b");
  request.point.method = cost_method(method);
  return request;
}

TEST(BreakEven, IsTheRatioOfTwoSteps) {
  CostRequest request = request_of("ada-snapkv");
  const std::int64_t contexts[] = {8192, 65'536};
  const std::int64_t batches[] = {1, 4, 2048};
  const BreakEvenMap map = break_even(request, contexts, batches);
  ASSERT_EQ(map.points.size(), 6U);
  ASSERT_EQ(map.contexts.size(), 2U);
  ASSERT_EQ(map.batches.size(), 3U);
  const StepModel model(request.hardware, request.model);
  CostPoint point = request.point;
  point.context = 65'536;
  point.batch = 4;
  const double method = model.step(point).tokens_per_second;
  point.method = cost_method("full");
  const double full = model.step(point).tokens_per_second;
  const BreakEvenPoint& cell = map.points[4];
  EXPECT_EQ(cell.context, 65'536);
  EXPECT_EQ(cell.batch, 4);
  EXPECT_DOUBLE_EQ(*cell.method_tokens_per_second, method);
  EXPECT_DOUBLE_EQ(*cell.full_tokens_per_second, full);
  EXPECT_DOUBLE_EQ(*cell.same_batch, method / full);
  // What does not fit has no figure.
  EXPECT_FALSE(map.points[5].full_tokens_per_second);
  EXPECT_FALSE(map.points[5].same_batch);
}

TEST(BreakEven, PaysFromTheContextAfterWhichItAlwaysWins) {
  std::vector<std::int64_t> contexts;
  for (std::int64_t context = 512; context <= 262'144; context *= 2) {
    contexts.push_back(context);
  }
  const std::int64_t batches[] = {1, 4};
  const BreakEvenMap map = break_even(request_of("a2ats"), contexts, batches);
  for (std::size_t b = 0; b < 2; ++b) {
    const auto from = map.batches[b].pays_from_context;
    for (std::size_t c = 0; c < contexts.size(); ++c) {
      const auto ratio = map.points[c * 2 + b].same_batch;
      if (from && contexts[c] >= *from && ratio) {
        EXPECT_GT(*ratio, 1.0) << contexts[c];
      }
      if (from && contexts[c] * 2 == *from) {
        ASSERT_TRUE(ratio);
        EXPECT_LE(*ratio, 1.0);
      }
    }
  }
  // Evicting four fifths pays early and keeps paying.
  const BreakEvenMap kept = break_even(request_of("snapkv"), contexts, batches);
  ASSERT_TRUE(kept.pays_from_context);
  EXPECT_LE(*kept.pays_from_context, 4096);
}

TEST(BreakEven, DocumentLeavesOutWhatIsNotThere) {
  const std::int64_t contexts[] = {131'072};
  const std::int64_t batches[] = {1, 2048};
  const nlohmann::ordered_json json = to_json(break_even(request_of("a2ats"), contexts, batches));
  EXPECT_EQ(json["origin"], "modelled");
  EXPECT_TRUE(json["points"][0].contains("full_tokens_per_second"));
  EXPECT_FALSE(json["points"][1].contains("full_tokens_per_second"));
}

}  // namespace
}  // namespace kvsieve::sim
