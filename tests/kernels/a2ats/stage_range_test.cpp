#include "kvsieve/kernels/stage_range.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "kvsieve/kernels/decode_graph.h"

namespace kvsieve::kernels::tests {
namespace {

TEST(StageRange, TextReadsBack) {
  EXPECT_EQ(stage_range_text({"cpu-attention", 3, 5, 1}),
            "cpu-attention/step:3/layer:5/micro-batch:1");
  EXPECT_EQ(stage_range_text({"selection", -1, 5, 0}), "selection/layer:5/micro-batch:0");
  EXPECT_EQ(parse_stage_range("selection/layer:5/micro-batch:0"),
            (StageRange{std::string(kSelectionStage), -1, 5, 0}));
  for (std::size_t stage = 0; stage < kStepStages; ++stage) {
    const StageRange range{std::string(name_of(static_cast<StepStage>(stage))), 12, 0,
                           std::numeric_limits<std::int32_t>::max()};
    EXPECT_EQ(parse_stage_range(stage_range_text(range)), range);
  }
}

TEST(StageRange, OtherTextsAreNone) {
  for (const char* text :
       {"", "rotate", "rotate_rows", "rotate/step:1/layer:2", "rotate/step:1/layer:2/micro-batch:",
        "rotate/step:1/layer:2/micro-batch:0/x", "rotate/step:-1/layer:2/micro-batch:0",
        "rotate/layer:2/step:1/micro-batch:0", "rotate_rows/step:1/layer:2/micro-batch:0",
        "/step:1/layer:2/micro-batch:0", "rotate/step:1/micro-batch:0",
        "rotate/step:1/layer:99999999999/micro-batch:0", "rotate/step1/layer:2/micro-batch:0"}) {
    EXPECT_EQ(parse_stage_range(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace kvsieve::kernels::tests
