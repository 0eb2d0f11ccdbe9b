#include "compare/counters.h"

#include <gtest/gtest.h>

#include "kvsieve/sim/compare_results.h"
#include "kvsieve/sim/result_gate.h"

namespace kvsieve::sim {
namespace {

BenchmarkCase counted(const std::string& name, double sectors, double barriers = 4) {
  return {name,
          {{"global_load_sectors", {sectors}}, {"barriers", {barriers}}, {"real_time", {0}}},
          {},
          {{"gather.cuh", 41, {{"global_load_sectors", sectors}}},
           {"gather.cuh", 50, {{"barriers", barriers}}}},
          true,
          {}};
}

BenchmarkFile file_of(std::vector<BenchmarkCase> cases) {
  BenchmarkFile file;
  file.counters = true;
  file.cases = std::move(cases);
  return file;
}

const std::string kGather = "gather/n:64/kernel:gather/sm:80";

TEST(Counters, EqualFilesHaveNoDifference) {
  const BenchmarkFile file = file_of({counted(kGather, 128)});
  const ResultComparison comparison = compare_benchmarks(file, file, {});
  EXPECT_TRUE(comparison.changes.empty());
  EXPECT_EQ(gate_failure(comparison, GateRule::parse({"any"})), "");
}

TEST(Counters, AStridedAccessFailsWithKernelAndLine) {
  const ResultComparison comparison =
      compare_benchmarks(file_of({counted(kGather, 128)}), file_of({counted(kGather, 1024)}), {});
  ASSERT_EQ(comparison.changes.size(), 1U);
  EXPECT_EQ(comparison.changes[0].verdict, ChangeVerdict::kWorse);
  ASSERT_EQ(comparison.changes[0].lines.size(), 1U);
  const std::string failure = gate_failure(comparison, GateRule::parse({"regression"}));
  EXPECT_NE(failure.find("kernel:gather"), std::string::npos) << failure;
  EXPECT_NE(failure.find("gather.cuh:41"), std::string::npos) << failure;
  EXPECT_NE(failure.find("+700.0%"), std::string::npos) << failure;
}

TEST(Counters, ARemovedBarrierFailsThoughThereIsLess) {
  const ResultComparison comparison = compare_benchmarks(file_of({counted(kGather, 128, 4)}),
                                                         file_of({counted(kGather, 128, 3)}), {});
  ASSERT_EQ(comparison.changes.size(), 1U);
  EXPECT_EQ(comparison.changes[0].verdict, ChangeVerdict::kChanged);
  EXPECT_NE(gate_failure(comparison, GateRule::parse({"regression"})).find("gather.cuh:50"),
            std::string::npos);
}

TEST(Counters, LessIsReportedAndPasses) {
  const ResultComparison comparison =
      compare_benchmarks(file_of({counted(kGather, 128)}), file_of({counted(kGather, 64)}), {});
  EXPECT_EQ(comparison.count(ChangeVerdict::kBetter), 1);
  EXPECT_EQ(gate_failure(comparison, GateRule::parse({"regression"})), "");
  EXPECT_NE(gate_failure(comparison, GateRule::parse({"any"})), "");
}

TEST(Counters, TolerancesAndMetrics) {
  const BenchmarkFile before = file_of({counted(kGather, 1000)});
  const BenchmarkFile after = file_of({counted(kGather, 1001, 3)});
  CompareOptions options;
  options.tolerances = {{"global_load_sectors", 0.01}};
  EXPECT_EQ(compare_benchmarks(before, after, options).count(ChangeVerdict::kMinor), 1);
  options = {};
  options.metrics = {"global_load_sectors"};
  EXPECT_EQ(compare_benchmarks(before, after, options).changes.size(), 1U);
}

TEST(Counters, ACaseThatFailsNowIsARegression) {
  BenchmarkCase broken = counted(kGather, 128);
  broken.error = "race at gather.cuh:50";
  const ResultComparison comparison =
      compare_benchmarks(file_of({counted(kGather, 128)}), file_of({broken}), {});
  ASSERT_EQ(comparison.changes.size(), 1U);
  EXPECT_EQ(comparison.changes[0].verdict, ChangeVerdict::kWorse);
  EXPECT_NE(gate_failure(comparison, GateRule::parse({"regression"})).find("race"),
            std::string::npos);
}

TEST(Counters, ACaseThatFailsOnBothSidesIsInconclusive) {
  BenchmarkCase broken = counted("b", 128);
  broken.error = "no PTX";
  const BenchmarkFile file = file_of({counted(kGather, 128), broken});
  const ResultComparison comparison = compare_benchmarks(file, file, {});
  EXPECT_EQ(comparison.count(ChangeVerdict::kInconclusive), 1);
  EXPECT_NE(gate_failure(comparison, GateRule::parse({"any"})), "");
  EXPECT_EQ(gate_failure(comparison, GateRule::parse({"regression"})), "");
  // With nothing else there is no comparison.
  const BenchmarkFile all = file_of({broken});
  EXPECT_NE(gate_failure(compare_benchmarks(all, all, {}), GateRule::parse({"regression"}))
                .find("fails on both sides: no PTX"),
            std::string::npos);
}

TEST(Counters, FilesWithoutValuesFail) {
  BenchmarkCase empty = counted(kGather, 128);
  empty.values = {{"real_time", {0}}};
  const BenchmarkFile file = file_of({empty});
  EXPECT_EQ(gate_failure(compare_benchmarks(file, file, {}), GateRule::parse({"regression"})),
            "nothing could be judged: no value is in both");
}

}  // namespace
}  // namespace kvsieve::sim
