#include "kvsieve/sim/prompt_timeline.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

namespace kvsieve::sim {
namespace {

traces::TraceHeader header_of(std::int64_t prompt_tokens) {
  traces::TraceHeader header;
  header.model.layers = 4;
  header.model.q_heads = 32;
  header.model.kv_heads = 8;
  header.model.head_dim = 128;
  header.prompt_tokens = prompt_tokens;
  header.decode_tokens = 2;
  header.dtype = traces::DType::kBF16;
  return header;
}

/// Layers 0 and 2 were touched, 1 slides; every head keeps `budget` tokens.
EvictionResult result_of(const char* method, std::int64_t budget, std::int64_t units = 8) {
  EvictionResult result;
  result.plan.method = *find_eviction_preset(method);
  result.budget_tokens = budget;
  result.queries_used = result.plan.method.scorer == Scorer::kWindowAttention ? 32 : 0;
  for (const std::int64_t number : {0, 1, 2}) {
    LayerEviction& layer = result.layers.emplace_back();
    layer.layer = number;
    layer.touched = number != 1;
    if (layer.touched) {
      layer.heads.resize(static_cast<std::size_t>(units));
      layer.budget_total = units * budget;
    }
  }
  return result;
}

/// Sums by stage.
std::map<std::string, double> stages(const Timeline& timeline) {
  std::map<std::string, double> sums;
  for (const TimelineTask& task : timeline.tasks) {
    EXPECT_EQ(task.lane, Lane::kGpu);
    EXPECT_GT(task.us, 0.0);
    sums[timeline.names[static_cast<std::size_t>(task.name)]] += task.us;
  }
  return sums;
}

TEST(PromptTimeline, HasTheStagesThatTheMethodHas) {
  const HardwareProfile hardware = load_hardware("h100-sxm");
  const traces::TraceHeader header = header_of(4096);
  const auto names = [&](const char* method) {
    std::vector<std::string> found;
    for (const auto& [name, us] :
         stages(prompt_timeline(hardware, header, result_of(method, 512)))) {
      found.push_back(name);
    }
    return found;
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(names("ada-snapkv"), (Names{"allocation", "compaction", "selection", "window-scores"}));
  EXPECT_EQ(names("snapkv"), (Names{"compaction", "selection", "window-scores"}));
  EXPECT_EQ(names("streaming-llm"), (Names{"compaction", "selection"}));
  EXPECT_EQ(names("full"), (Names{"compaction", "selection"}));
}

TEST(PromptTimeline, IsOfTheLayersThatWereTouched) {
  const Timeline timeline =
      prompt_timeline(load_hardware("h100-sxm"), header_of(4096), result_of("snapkv", 512));
  ASSERT_EQ(timeline.tasks.size(), 6U);
  for (std::size_t task = 0; task < 6; ++task) {
    EXPECT_EQ(timeline.tasks[task].layer, task < 3 ? 0 : 2);
  }
  EXPECT_NO_THROW(static_cast<void>(simulate(timeline)));
}

TEST(PromptTimeline, GrowsWithWhatIsReadAndKept) {
  const HardwareProfile hardware = load_hardware("a100-sxm-80");
  const auto of = [&](const char* method, std::int64_t prompt, std::int64_t budget) {
    return stages(prompt_timeline(hardware, header_of(prompt), result_of(method, budget)));
  };
  const auto few = of("ada-snapkv", 65'536, 4096);
  const auto many = of("ada-snapkv", 65'536, 32'768);
  EXPECT_GT(many.at("compaction"), 2.0 * few.at("compaction"));
  EXPECT_DOUBLE_EQ(many.at("window-scores"), few.at("window-scores"));
  const auto longer = of("ada-snapkv", 262'144, 4096);
  EXPECT_GT(longer.at("window-scores"), 3.0 * few.at("window-scores"));
  EXPECT_GT(longer.at("allocation"), few.at("allocation"));
  // More than a chunk of scores takes more launches, two stages more still.
  EXPECT_GT(of("snapkv", 16'384, 512).at("selection"),
            2.0 * of("snapkv", 8192, 512).at("selection"));
  EXPECT_GT(of("criticalkv", 16'384, 512).at("selection"),
            of("snapkv", 16'384, 512).at("selection"));
}

TEST(PromptTimeline, CodesAreMadeOnceALayerAndMicroBatch) {
  RetrievalResult result;
  for (const std::int64_t number : {0, 1, 2}) {
    LayerRetrieval& layer = result.layers.emplace_back();
    layer.layer = number;
    layer.touched = number != 1;
  }
  const HardwareProfile hardware = load_hardware("h100-sxm");
  const Timeline timeline = prompt_timeline(hardware, header_of(4096), result, 4096, 2);
  ASSERT_EQ(timeline.tasks.size(), 4U);
  EXPECT_EQ(timeline.names, std::vector<std::string>{"key-encoding"});
  EXPECT_EQ(timeline.tasks[1].layer, 2);
  EXPECT_EQ(timeline.tasks[2].micro_batch, 1);
  EXPECT_GT(timeline.tasks[0].us,
            prompt_timeline(hardware, header_of(4096), result, 256, 1).tasks[0].us);
}

}  // namespace
}  // namespace kvsieve::sim
