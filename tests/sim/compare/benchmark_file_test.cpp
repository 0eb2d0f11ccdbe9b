#include "kvsieve/sim/benchmark_file.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "../../traces/fails_with.h"
#include "traces/temporary_folder.h"

namespace kvsieve::sim {
namespace {

using tests::fails_with;

TEST(BenchmarkFile, ReadsRepetitionsUnitsAndUserCounters) {
  const BenchmarkFile file = parse_benchmarks(R"({
    "context": {"date": "2026-11-26T15:00:00+00:00", "num_cpus": 2, "caches": [{"type": "Data"}],
                "load_avg": [0.1, 0.2], "library_build_type": "release"},
    "benchmarks": [
      {"name": "copy/n:64", "run_name": "copy/n:64", "run_type": "iteration", "repetitions": 2,
       "repetition_index": 0, "threads": 1, "iterations": 10, "real_time": 1.5, "cpu_time": 1.25,
       "time_unit": "ms", "bytes_per_second": 2e9},
      {"name": "other", "run_name": "other", "run_type": "iteration", "iterations": 1,
       "real_time": 3, "cpu_time": 2, "time_unit": "s"},
      {"name": "copy/n:64", "run_name": "copy/n:64", "run_type": "iteration", "repetitions": 2,
       "repetition_index": 1, "threads": 1, "iterations": 12, "real_time": 1.75, "cpu_time": 1.5,
       "time_unit": "ms", "bytes_per_second": 1.5e9},
      {"name": "copy/n:64_median", "run_name": "copy/n:64", "run_type": "aggregate",
       "aggregate_name": "median", "iterations": 2, "real_time": 1.625, "cpu_time": 1.375,
       "time_unit": "ms"},
      {"name": "copy/n:64_cv", "run_name": "copy/n:64", "run_type": "aggregate",
       "aggregate_name": "cv", "aggregate_unit": "percentage", "iterations": 2, "real_time": NaN,
       "cpu_time": -Infinity, "time_unit": "ms"}]})");
  EXPECT_FALSE(file.counters);
  EXPECT_EQ(file.date, "2026-11-26T15:00:00+00:00");
  ASSERT_EQ(file.cases.size(), 2U);
  const BenchmarkCase& copy = file.cases[0];
  EXPECT_EQ(copy.name, "copy/n:64");
  EXPECT_EQ(copy.values.at("real_time"), (std::vector<double>{1500.0, 1750.0}));
  EXPECT_EQ(copy.values.at("cpu_time"), (std::vector<double>{1250.0, 1500.0}));
  EXPECT_EQ(copy.values.at("bytes_per_second"), (std::vector<double>{2e9, 1.5e9}));
  EXPECT_EQ(copy.stated_medians.at("real_time"), 1625.0);
  EXPECT_EQ(copy.values.size(), 3U);
  EXPECT_FALSE(copy.real_time);
  EXPECT_EQ(file.cases[1].values.at("real_time"), (std::vector<double>{3e6}));
}

TEST(BenchmarkFile, KnowsWhatATimeIsOf) {
  const auto real_time = [](const std::string& context, const std::string& name) {
    return parse_benchmarks("{\"context\": {" + context + "}, \"benchmarks\": [{\"name\": \"" +
                            name + "\", \"real_time\": 1, \"cpu_time\": 1}]}")
        .cases[0]
        .real_time;
  };
  EXPECT_TRUE(real_time("", "a/n:1/real_time"));
  EXPECT_TRUE(real_time("", "a/manual_time"));
  EXPECT_FALSE(real_time("", "a/n:1"));
  EXPECT_TRUE(real_time(R"("kvsieve": {"kind": "timings"})", "a/n:1"));
}

TEST(BenchmarkFile, ReadsCountersAndTheirLines) {
  const BenchmarkFile file = parse_benchmarks(R"({
    "context": {"kvsieve": {"kind": "counters", "compiler": "nvcc 13.0"}},
    "benchmarks": [{"name": "gather/n:64/kernel:gather/sm:80", "run_type": "iteration",
      "iterations": 1, "real_time": 0, "cpu_time": 0, "time_unit": "ns", "global_load_sectors": 128,
      "lines": [{"file": "gather.cuh", "line": 41, "global_load_sectors": 128}]}]})");
  EXPECT_TRUE(file.counters);
  EXPECT_EQ(file.context.back().first, "kvsieve.compiler");
  const BenchmarkCase& one = file.cases.at(0);
  EXPECT_EQ(one.values.at("global_load_sectors"), std::vector<double>{128.0});
  ASSERT_EQ(one.lines.size(), 1U);
  EXPECT_EQ(one.lines[0].file, "gather.cuh");
  EXPECT_EQ(one.lines[0].line, 41);
  EXPECT_EQ(one.lines[0].counts.size(), 1U);
}

TEST(BenchmarkFile, KeepsErrors) {
  const BenchmarkFile file = parse_benchmarks(R"({"benchmarks": [
    {"name": "a", "run_type": "iteration", "error_occurred": true, "error_message": "no GPU"},
    {"name": "b", "run_type": "iteration", "skipped": true, "skip_message": "too small"},
    {"name": "c", "run_type": "iteration", "real_time": 1, "cpu_time": 1, "time_unit": "ns"}]})");
  EXPECT_EQ(file.cases[0].error, "no GPU");
  EXPECT_EQ(file.cases[1].error, "too small");
  EXPECT_EQ(file.cases[2].error, "");
}

TEST(BenchmarkFile, AggregatesOfAFamilyAreNoCases) {
  const BenchmarkFile file = parse_benchmarks(R"({"benchmarks": [
    {"name": "a/8", "run_name": "a/8", "run_type": "iteration", "real_time": 1, "cpu_time": 1},
    {"name": "a_BigO", "run_name": "a", "run_type": "aggregate", "aggregate_name": "BigO",
     "cpu_coefficient": 1, "real_coefficient": 1, "big_o": "N", "time_unit": "ns"},
    {"name": "a_RMS", "run_name": "a", "run_type": "aggregate", "aggregate_name": "RMS",
     "rms": 0.1},
    {"name": "b_mean", "run_name": "b", "run_type": "aggregate", "aggregate_name": "mean",
     "error_occurred": true, "error_message": "no GPU"}]})");
  ASSERT_EQ(file.cases.size(), 2U);
  EXPECT_EQ(file.cases[0].name, "a/8");
  EXPECT_EQ(file.cases[1].error, "no GPU");
}

TEST(BenchmarkFile, FilesOfAFolderAreOfOneKindAndMachine) {
  tests::TemporaryFolder folder;
  const auto write = [&](const char* name, const std::string& context) {
    std::ofstream(folder / name) << "{\"context\": {" << context
                                 << "}, \"benchmarks\": [{\"name\": \"a\", \"x\": 1}]}";
  };
  const auto read = [&] { static_cast<void>(read_benchmarks(folder.path())); };
  write("0.json", R"("date": "1", "num_cpus": 2)");
  write("1.json", R"("date": "2", "num_cpus": 2)");
  EXPECT_EQ(read_benchmarks(folder.path()).cases.at(0).values.at("x").size(), 2U);
  write("1.json", R"("num_cpus": 64)");
  EXPECT_TRUE(fails_with(ErrorKind::kBadInput,
                         "0.json and 1.json are not of one machine or build: num_cpus is 2 and 64",
                         read));
  write("1.json", R"("num_cpus": 2, "kvsieve": {"kind": "counters"})");
  EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "0.json holds timings and 1.json counters", read));
}

TEST(BenchmarkFile, KnowsWhatRepetitionsLack) {
  const BenchmarkFile file = parse_benchmarks(R"({"benchmarks": [
    {"name": "a", "real_time": 1, "cpu_time": NaN, "x": null, "y": 1},
    {"name": "a", "real_time": 2, "cpu_time": 1, "x": null},
    {"name": "a", "error_occurred": true}]})");
  const BenchmarkCase& one = file.cases.at(0);
  EXPECT_EQ(one.repetitions, 2U);
  EXPECT_EQ(one.lacking("real_time"), 0U);
  EXPECT_EQ(one.lacking("cpu_time"), 1U);
  EXPECT_EQ(one.lacking("x"), 2U);
  EXPECT_TRUE(one.values.contains("x"));
  EXPECT_EQ(one.lacking("y"), 1U);
}

TEST(BenchmarkFile, ADateJoinsTheContext) {
  for (const char* text : {R"({"benchmarks": [{"name": "a", "real_time": NaN}]})",
                           R"({"context": {"date": ""}, "benchmarks": [{"name": "a"}]})"}) {
    const BenchmarkFile file = parse_benchmarks(with_date(text, "2026-11-26T15:00:00Z"));
    EXPECT_EQ(file.date, "2026-11-26T15:00:00Z");
    EXPECT_EQ(file.cases.at(0).name, "a");
  }
}

TEST(BenchmarkFile, TextsMaySayNaN) {
  EXPECT_EQ(parse_benchmarks(R"({"benchmarks": [{"name": "NaN \" Infinity", "real_time": NaN}]})")
                .cases[0]
                .name,
            "NaN \" Infinity");
}

TEST(BenchmarkFile, MalformedDocuments) {
  const auto fails = [](const std::string& text, std::string_view part) {
    return fails_with(ErrorKind::kBadInput, part,
                      [&] { static_cast<void>(parse_benchmarks(text)); });
  };
  EXPECT_TRUE(fails("", "the file"));
  EXPECT_TRUE(fails("[]", "the file"));
  EXPECT_TRUE(fails("{}", "has no benchmarks"));
  EXPECT_TRUE(fails(R"({"schema": "kvsieve.comparison/1"})", "is a report"));
  EXPECT_TRUE(fails(R"({"benchmarks": []})", "holds no benchmark"));
  EXPECT_TRUE(fails(R"({"benchmarks": {}})", "benchmarks"));
  EXPECT_TRUE(fails(R"({"benchmarks": [7]})", "benchmarks[0]"));
  EXPECT_TRUE(fails(R"({"benchmarks": [{"real_time": 1}]})", "name"));
  EXPECT_TRUE(fails(R"({"benchmarks": [{"name": "a", "time_unit": "weeks"}]})", "time_unit"));
  EXPECT_TRUE(fails(R"({"benchmarks": [{"name": "a", "run_type": "nap"}]})", "run_type"));
  EXPECT_TRUE(fails(R"({"benchmarks": [{"name": "a", "real_time": 1})", "byte"));
  EXPECT_TRUE(fails(R"({"context": {"kvsieve": {"kind": "poems"}}, "benchmarks": []})", "kind"));
  EXPECT_TRUE(fails(R"({"context": {"kvsieve": {"kind": "counters"}}, "benchmarks": [
                        {"name": "a", "x": 1}, {"name": "a", "x": 1}]})",
                    "once"));
  EXPECT_TRUE(fails(R"({"context": {"kvsieve": {"kind": "counters"}}, "benchmarks": [
                        {"name": "a", "x": 1, "lines": [{"file": "f", "line": -1}]}]})",
                    "line"));
}

TEST(BenchmarkFile, ErrorsBeginWithThePath) {
  tests::TemporaryFolder folder;
  EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "none.json: no such file",
                         [&] { static_cast<void>(read_benchmarks(folder / "none.json")); }));
}

}  // namespace
}  // namespace kvsieve::sim
