#include "kvsieve/bench/bench_document.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace kvsieve::bench {
namespace {

using nlohmann::ordered_json;

BenchEntry repetition(std::int64_t number) {
  BenchEntry entry;
  entry.case_name = "decode/dtype:bf16/n:1024";
  entry.family = 3;
  entry.repetitions = 2;
  entry.repetition = number;
  entry.threads = 2;
  entry.iterations = 77;
  entry.real_time_us = 1.5;
  entry.cpu_time_us = 2.5;
  entry.counters = {{"bytes", 64.0}, {"modelled_us", 1.25}};
  return entry;
}

BenchEntry variation() {
  BenchEntry entry = repetition(0);
  entry.aggregate = "cv";
  entry.is_share = true;
  entry.iterations = 2;
  entry.real_time_us = 0.01;
  return entry;
}

BenchContext context() {
  BenchContext result;
  result.program = "kvsieve bench";
  result.machine.cpu = "Some CPU";
  result.machine.governor = "powersave";
  result.machine.caches = {{1, "Data", 32768, 1}};
  result.load_before = {0.5, 0.25, 0.125};
  result.filter = "decode";
  result.rooflines[2] = {1e10, 2e11};
  result.noise = {"noisy"};
  return result;
}

TEST(BenchDocument, EntriesAreGoogleBenchmarks) {
  const ordered_json document = bench_document(context(), {repetition(1), variation()});
  EXPECT_EQ(document.at("benchmarks").at(0), ordered_json::parse(R"({
              "name": "decode/dtype:bf16/n:1024", "family_index": 3,
              "per_family_instance_index": 0, "run_name": "decode/dtype:bf16/n:1024",
              "run_type": "iteration", "repetitions": 2, "repetition_index": 1, "threads": 2,
              "iterations": 77, "real_time": 1.5, "cpu_time": 2.5, "time_unit": "us",
              "bytes": 64.0, "modelled_us": 1.25})"));
  const ordered_json& aggregate = document.at("benchmarks").at(1);
  EXPECT_EQ(aggregate.at("name"), "decode/dtype:bf16/n:1024_cv");
  EXPECT_EQ(aggregate.at("run_name"), "decode/dtype:bf16/n:1024");
  EXPECT_EQ(aggregate.at("run_type"), "aggregate");
  EXPECT_EQ(aggregate.at("aggregate_name"), "cv");
  EXPECT_EQ(aggregate.at("aggregate_unit"), "percentage");
  EXPECT_FALSE(aggregate.contains("repetition_index"));
}

TEST(BenchDocument, TheContextSaysWhatStoodAroundTheRun) {
  const ordered_json document = bench_document(context(), {repetition(0)});
  const ordered_json& outer = document.at("context");
  for (const char* key : {"date", "host_name", "executable", "num_cpus", "mhz_per_cpu", "caches",
                          "load_avg", "library_build_type"}) {
    EXPECT_TRUE(outer.contains(key)) << key;
  }
  const ordered_json& own = outer.at("kvsieve");
  EXPECT_EQ(own.at("schema"), "kvsieve.bench/1");
  EXPECT_EQ(own.at("kind"), "timings");
  EXPECT_EQ(own.at("machine").at("cpu"), "Some CPU");
  EXPECT_EQ(own.at("machine").at("governor"), "powersave");
  EXPECT_FALSE(own.at("machine").contains("turbo"));
  EXPECT_EQ(own.at("load").at("before"), ordered_json({0.5, 0.25, 0.125}));
  EXPECT_EQ(own.at("options").at("filter"), "decode");
  EXPECT_EQ(own.at("rooflines").at(0).at("threads"), 2);
  EXPECT_EQ(own.at("noise"), ordered_json({"noisy"}));
  for (const char* key : {"tool_version", "isa", "compiler", "build_type", "flags"}) {
    EXPECT_TRUE(own.at(key).is_string()) << key;
  }
}

}  // namespace
}  // namespace kvsieve::bench
