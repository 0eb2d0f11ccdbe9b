#include "kvsieve/sim/step_cost.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "cost/layer_tasks.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::sim {
namespace {

using kernels::Schedule;

CostPoint point(std::string_view method, std::int64_t context, std::int64_t batch) {
  CostPoint point;
  point.method = cost_method(method);
  point.context = context;
  point.batch = batch;
  return point;
}

std::vector<CostPoint> retrieval_points(std::int64_t context, std::int64_t batch) {
  std::vector<CostPoint> points;
  for (const Placement placement : kernels::kPlacements) {
    for (const Schedule schedule : {Schedule::kSerial, Schedule::kOverlapped}) {
      CostPoint& added = points.emplace_back(point("a2ats", context, batch));
      added.method.placement = placement;
      added.method.schedule = schedule;
      added.method.hot_buffer = 4096;
    }
  }
  return points;
}

std::string text(const CostPoint& point) {
  return point.method.name + " " + std::string(kernels::name_of(point.method.placement)) + " " +
         std::string(kernels::name_of(point.method.schedule)) + " context " +
         std::to_string(point.context) + " batch " + std::to_string(point.batch);
}

TEST(StepCost, StagesSumToTheSerialTime) {
  const StepModel model(load_hardware("a100-sxm-80"), load_model("llama-3.1-8b"));
  for (const CostMethod& method : cost_methods()) {
    const CostPoint at = point(method.name, 32'768, 4);
    const StepCost cost = model.step(at);
    double sum = 0.0;
    for (const StageCost& stage : cost.stages) {
      EXPECT_GE(stage.us, 0.0) << method.name;
      sum += stage.us;
    }
    EXPECT_NEAR(sum, cost.serial_us, 1e-9 * sum) << method.name;
    EXPECT_NEAR(cost.step_us, cost.serial_us, 1e-9 * sum) << method.name;
    EXPECT_NEAR(cost.tokens_per_second, 4e6 / cost.step_us, 1e-6) << method.name;
  }
}

TEST(StepCost, APointIsItsWholeTimeline) {
  for (const char* name : {"llama-3.1-8b", "gemma-2-9b", "gemma-3-1b"}) {
    const StepModel model(load_hardware("h100-sxm"), load_model(name));
    std::vector<CostPoint> points = retrieval_points(65'536, 6);
    points.push_back(point("full", 65'536, 6));
    points.push_back(point("ada-snapkv", 65'536, 6));
    for (const CostPoint& at : points) {
      const Timeline timeline = model.timeline(at, {}, 1);
      const TimelineResult result = simulate(timeline);
      const StepCost cost = model.step(at);
      // Overlapped points are simulated for a few layers only.
      const double tolerance = at.method.schedule == Schedule::kSerial ? 1e-9 : 0.01;
      EXPECT_NEAR(cost.step_us / result.total_us, 1.0, tolerance) << name << " " << text(at);
      const StepCost whole = model.totals(at, timeline, result);
      EXPECT_NEAR(whole.step_us, result.total_us, 1e-9 * result.total_us);
      EXPECT_NEAR(whole.serial_us / cost.serial_us, 1.0, 1e-9) << name << " " << text(at);
      EXPECT_NEAR(whole.to_gpu_bytes, cost.to_gpu_bytes, 1.0 + 1e-6 * cost.to_gpu_bytes);
      ASSERT_EQ(whole.stages.size(), cost.stages.size()) << text(at);
    }
  }
}

TEST(StepCost, OverlapNeverBeatsTheLongestLaneNorLosesToSerial) {
  for (const std::string& id : hardware_ids()) {
    const StepModel model(load_hardware(id), load_model("llama-3.1-8b"));
    for (const std::int64_t batch : {1, 2, 7, 32}) {
      for (const CostPoint& at : retrieval_points(32'768, batch)) {
        const StepCost cost = model.step(at);
        // Contention on the link or in memory may stretch tasks beyond their own time.
        std::map<Lane, double> lanes;
        for (const StageCost& stage : cost.stages) {
          lanes[lane_of(stage.stage)] += stage.us;
        }
        for (const auto& [lane, us] : lanes) {
          EXPECT_GE(cost.step_us, us * (1.0 - 1e-9)) << id << " " << text(at);
        }
        EXPECT_LE(cost.step_us, cost.serial_us * (1.0 + 1e-9)) << id << " " << text(at);
      }
    }
  }
}

TEST(StepCost, TimeNeverDecreasesWithContextOrBatch) {
  for (const char* id : {"a100-sxm-80", "h100-sxm", "gh200", "rtx-4090"}) {
    const StepModel model(load_hardware(id), load_model("llama-3.1-8b"));
    for (const CostMethod& method : cost_methods()) {
      for (const Placement placement : kernels::kPlacements) {
        if (method.family != CostFamily::kRetrieval && placement != Placement::kCpuAttention) {
          continue;
        }
        for (std::int64_t context = 1024; context <= 262'144; context *= 2) {
          for (std::int64_t batch = 1; batch <= 64; batch *= 2) {
            CostPoint at = point(method.name, context, batch);
            at.method.placement = placement;
            const double us = model.step(at).step_us;
            at.context *= 2;
            EXPECT_GE(model.step(at).step_us, us * (1.0 - 1e-12)) << id << " " << text(at);
            at.context = context;
            at.batch *= 2;
            EXPECT_GE(model.step(at).step_us, us * (1.0 - 1e-12)) << id << " " << text(at);
          }
        }
      }
    }
  }
}

TEST(StepCost, ThroughputFollowsHardwareAndMethod) {
  const ModelDimensions model = load_model("llama-3.1-8b");
  HardwareProfile profile = load_hardware("a100-sxm-80");
  CostPoint cpu = point("a2ats", 131'072, 8);
  CostPoint fetch = cpu;
  fetch.method.placement = Placement::kFetchKernel;
  const double cpu_before = StepModel(profile, model).step(cpu).tokens_per_second;
  const double fetch_before = StepModel(profile, model).step(fetch).tokens_per_second;
  profile.cpu.dram_gbps.value *= 2.0;
  EXPECT_GT(StepModel(profile, model).step(cpu).tokens_per_second, cpu_before);
  profile.link = load_link("pcie5-x16");
  EXPECT_GT(StepModel(profile, model).step(fetch).tokens_per_second, fetch_before);
  // More retrieved tokens are never faster, more hits never slower.
  CostPoint more = fetch;
  more.method.top = TopBudget::parse("6%");
  EXPECT_LT(StepModel(profile, model).step(more).tokens_per_second,
            StepModel(profile, model).step(fetch).tokens_per_second);
  CostPoint buffered = fetch;
  buffered.method.placement = Placement::kFetchHotBuffer;
  double before = 0.0;
  for (const double rate : {0.0, 0.3, 0.6, 0.9, 1.0}) {
    buffered.method.hit_rate = rate;
    const double now = StepModel(profile, model).step(buffered).tokens_per_second;
    EXPECT_GE(now, before) << rate;
    before = now;
  }
}

TEST(StepCost, WaysOverTheLinkDifferAsThePiecesDo) {
  const StepModel model(load_hardware("h100-sxm"), load_model("llama-3.1-8b"));
  const auto fetch_us = [&](FetchPath path, double run_tokens) {
    CostPoint at = point("a2ats", 131'072, 4);
    at.method.placement = Placement::kFetchDma;
    at.method.fetch_path = path;
    at.method.run_tokens = run_tokens;
    for (const StageCost& stage : model.step(at).stages) {
      if (stage.stage == CostStage::kFetch) {
        return stage.us;
      }
    }
    return 0.0;
  };
  // Rows of 512 B, one by one: a copy each is hopeless, gathering on the host and reads of a kernel
  // are not.
  EXPECT_GT(fetch_us(FetchPath::kDma, 1.0), 50.0 * fetch_us(FetchPath::kCpuGather, 1.0));
  EXPECT_GT(fetch_us(FetchPath::kDma, 1.0), 4.0 * fetch_us(FetchPath::kBatchedDma, 1.0));
  EXPECT_LT(fetch_us(FetchPath::kZeroCopy, 1.0), fetch_us(FetchPath::kKernel, 1.0));
  // In runs of 1 MiB copies win.
  EXPECT_LT(fetch_us(FetchPath::kDma, 2048.0), fetch_us(FetchPath::kCpuGather, 2048.0));
  EXPECT_LT(fetch_us(FetchPath::kDma, 2048.0), fetch_us(FetchPath::kZeroCopy, 2048.0));
  for (const char* name : {"dma", "batched-dma", "kernel", "zero-copy", "cpu-gather"}) {
    EXPECT_EQ(name_of(fetch_path_from_name(name)), name);
  }
  EXPECT_THROW(static_cast<void>(fetch_path_from_name("pcie")), Error);
}

// The timeline is the engine's own graph with the model's dense layers around it.
TEST(LayerTasks, AreThoseOfTheDecodeGraph) {
  constexpr std::int64_t kLayers = 3;
  for (const Placement placement : kernels::kPlacements) {
    for (const Schedule schedule : {Schedule::kSerial, Schedule::kOverlapped}) {
      CostMethod method = cost_method("a2ats");
      method.placement = placement;
      method.schedule = schedule;
      const kernels::DecodeGraphShape shape{kLayers, placement, schedule};
      const std::vector<kernels::StepTask> graph = kernels::decode_step_graph(shape);
      const std::vector<LayerTask> layer = layer_tasks(method, false, shape.micro_batches());
      std::size_t next = 0;
      std::vector<std::int32_t> graph_index;  // of each kept task, over all layers
      for (std::int64_t l = 0; l < kLayers; ++l) {
        std::vector<std::int32_t> of_layer;
        for (const LayerTask& task : layer) {
          const bool dense = task.stage == CostStage::kQkv || task.stage == CostStage::kOutput ||
                             task.stage == CostStage::kMlp;
          of_layer.push_back(dense ? -1 : static_cast<std::int32_t>(next));
          if (dense) {
            EXPECT_TRUE(task.after.empty());
            continue;
          }
          ASSERT_LT(next, graph.size());
          EXPECT_EQ(name_of(task.stage), kernels::name_of(graph[next].stage));
          EXPECT_EQ(task.micro_batch, graph[next].micro_batch);
          std::vector<std::int32_t> after;
          for (const std::int32_t before : task.after) {
            after.push_back(of_layer[static_cast<std::size_t>(before)]);
          }
          EXPECT_EQ(after, graph[next].after) << kernels::name_of(graph[next].stage);
          ++next;
        }
      }
      EXPECT_EQ(next, graph.size());
    }
  }
}

TEST(StepCost, SlidingLayersReadTheirWindow) {
  const StepModel sliding(load_hardware("h100-sxm"), load_model("gemma-2-9b"));
  ModelDimensions global = load_model("gemma-2-9b");
  global.sliding_layers.clear();
  global.sliding_window.reset();
  const StepModel whole(load_hardware("h100-sxm"), global);
  const CostPoint at = point("full", 131'072, 8);
  EXPECT_LT(sliding.step(at).step_us, 0.8 * whole.step(at).step_us);
  const CostPoint brief = point("full", 2048, 8);
  EXPECT_NEAR(sliding.step(brief).step_us, whole.step(brief).step_us, 1e-6);
}

TEST(StepCost, ExpertsThatNobodyChoosesAreNotRead) {
  const StepModel model(load_hardware("h200-sxm"), load_model("mixtral-8x7b"));
  const auto mlp = [&](std::int64_t batch) {
    for (const StageCost& stage : model.step(point("full", 4096, batch)).stages) {
      if (stage.stage == CostStage::kMlp) {
        return stage.us;
      }
    }
    return 0.0;
  };
  // One token reads two experts of eight, many tokens read all.
  EXPECT_NEAR(mlp(64) / mlp(1), 4.0, 1.2);
}

TEST(StepCost, CapturedLoadsDriveEveryStepAndLayer) {
  const StepModel model(load_hardware("a100-sxm-80"), load_model("llama-3.1-8b"));
  const CostPoint at = point("a2ats", 32'768, 2);
  StepLoads loads;
  loads.layers = 2;  // the model's first and second half
  const LayerLoad little{.union_share = 0.01};
  const LayerLoad much{.union_share = 0.10};
  loads.loads = {little, much, much, much};
  ASSERT_EQ(loads.steps(), 2);
  const Timeline timeline = model.timeline(at, loads, 2);
  std::map<std::pair<int, int>, double> cpu;
  for (const TimelineTask& task : timeline.tasks) {
    if (static_cast<CostStage>(task.name) == CostStage::kCpuAttention) {
      cpu[{task.step, task.layer}] = task.us;
    }
  }
  ASSERT_EQ(cpu.size(), 64U);
  EXPECT_DOUBLE_EQ((cpu[{0, 0}]), (cpu[{0, 15}]));
  EXPECT_GT((cpu[{0, 16}]), 2.0 * (cpu[{0, 15}]));
  EXPECT_NEAR((cpu[{1, 0}]), (cpu[{0, 16}]), 0.01 * (cpu[{1, 0}]));
  const std::vector<double> steps = step_times_us(timeline, simulate(timeline));
  ASSERT_EQ(steps.size(), 2U);
  EXPECT_GT(steps[1], steps[0]);
}

TEST(StepCost, CalibratedEnginesAddTheirOverhead) {
  HardwareProfile profile = load_hardware("a100-sxm-40");
  const CostPoint at = point("full", 4096, 8);
  const double without = StepModel(profile, load_model("llama-3.1-8b")).step(at).step_us;
  profile.calibration.emplace();
  profile.calibration->step_overhead_us = 1234.0;
  EXPECT_NEAR(StepModel(profile, load_model("llama-3.1-8b")).step(at).step_us, without + 1234.0,
              1e-6);
}

TEST(StepCost, PrefillGrowsFasterThanItsContext) {
  const StepModel model(load_hardware("h100-sxm"), load_model("llama-3.1-8b"));
  for (const char* method : {"full", "ada-snapkv", "a2ats"}) {
    const double brief = model.prefill_us(point(method, 8192, 1));
    const double twice = model.prefill_us(point(method, 16'384, 1));
    EXPECT_GT(twice, 1.9 * brief) << method;
    // 2 FLOP a parameter and token, at most at the peak.
    EXPECT_GT(brief, 2.0 * 8.0e9 * 8192 / 989e6) << method;
  }
}

TEST(StepCost, EveryStageIsExplained) {
  const StepModel model(load_hardware("a100-sxm-80"), load_model("gemma-2-9b"));
  for (const CostMethod& method : cost_methods()) {
    const CostPoint at = point(method.name, 16'384, 2);
    const CostTerms terms = model.explain(at);
    for (const StageCost& stage : model.step(at).stages) {
      const bool found = std::any_of(terms.begin(), terms.end(), [&](const CostTerm& term) {
        return term.name.find(" " + std::string(name_of(stage.stage)) + ":") != std::string::npos;
      });
      // Stages that an index on the host replaces take no time and need no term.
      EXPECT_TRUE(found || stage.us == 0.0) << method.name << " " << name_of(stage.stage);
    }
    EXPECT_EQ(terms.back().name, "step");
    EXPECT_NEAR(terms.back().value, model.step(at).step_us, 1e-6);
  }
}

TEST(StepCost, WorkIsWhatTheStagesTimesComeFrom) {
  const ModelDimensions dimensions = load_model("llama-3.1-8b");
  const StepModel model(load_hardware("a100-sxm-80"), dimensions);
  const CostPoint full = point("full", 32'768, 4);
  const std::vector<StageWork> work = model.work(full);
  const auto stage = [](const std::vector<StageWork>& all, CostStage wanted) {
    return *std::find_if(all.begin(), all.end(),
                         [&](const StageWork& one) { return one.stage == wanted; });
  };
  const StageWork attention = stage(work, CostStage::kAttention);
  EXPECT_DOUBLE_EQ(attention.memory_bytes, 4.0 * dimensions.kv_bytes(32'769, 2.0));
  EXPECT_DOUBLE_EQ(attention.flops, 32.0 * 4.0 * 4.0 * 32 * 128 * 32'769);
  const StageWork output = stage(work, CostStage::kOutput);
  EXPECT_DOUBLE_EQ(output.flops, 32.0 * 2.0 * 4.0 * 4096 * 4096);
  EXPECT_DOUBLE_EQ(output.memory_bytes, 32.0 * (2.0 * 4096 * 4096 + 2.0 * 4.0 * 8192));
  for (CostPoint& at : retrieval_points(32'768, 5)) {
    SCOPED_TRACE(text(at));
    const StepCost cost = model.step(at);
    const std::vector<StageWork> stages = model.work(at);
    for (const StageCost& timed : cost.stages) {
      const auto found = std::find_if(stages.begin(), stages.end(), [&](const StageWork& one) {
        return one.stage == timed.stage;
      });
      const bool transfer =
          lane_of(timed.stage) == Lane::kToGpu || lane_of(timed.stage) == Lane::kToHost;
      ASSERT_EQ(found == stages.end(), transfer || timed.us == 0.0) << name_of(timed.stage);
      if (found != stages.end()) {
        EXPECT_NEAR(found->us, timed.us, 1e-9 * timed.us) << name_of(timed.stage);
      }
    }
  }
}

TEST(StepCost, BadPointsAreRefused) {
  const StepModel model(load_hardware("a100-sxm-80"), load_model("llama-3.1-8b"));
  EXPECT_THROW(static_cast<void>(model.step(point("full", 0, 1))), Error);
  EXPECT_THROW(static_cast<void>(model.step(point("full", 1, 0))), Error);
  EXPECT_THROW(StepModel(load_hardware("a100-sxm-80"), load_model("deepseek-v2-lite")), Error);
  EXPECT_THROW(static_cast<void>(cost_method("a2at")), Error);
}

TEST(CostMethod, StatedLoads) {
  CostMethod method = cost_method("a2ats");
  method.top = TopBudget::parse("3%");
  const LayerLoad load = stated_load(method, 100'000, 4);
  EXPECT_DOUBLE_EQ(load.union_share, 0.06);  // sqrt(4) x 3 %
  method.union_factor = 9.0;                 // a group of 4 unites at most 4 sets
  EXPECT_DOUBLE_EQ(stated_load(method, 100'000, 4).union_share, 0.12);
  method.top = TopBudget::parse("100%");
  EXPECT_DOUBLE_EQ(stated_load(method, 1000, 4).union_share, 0.928);  // sinks and window apart
  EXPECT_DOUBLE_EQ(stated_load(method, 60, 4).union_share, 0.0);
  CostMethod kept = cost_method("ada-snapkv");
  kept.budget = Budget::parse("20%");
  EXPECT_DOUBLE_EQ(stated_load(kept, 1000, 4).kept_share, 0.2);
  kept.budget = Budget::parse("4096");
  EXPECT_DOUBLE_EQ(stated_load(kept, 1000, 4).kept_share, 1.0);
  EXPECT_DOUBLE_EQ(stated_load(kept, 1000, 4).longest_over_mean, 1.0);
}

}  // namespace
}  // namespace kvsieve::sim
