#include "kvsieve/bench/bench_run.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>

#include "kvsieve/traces/error.h"
#include "traces/fails_with.h"

namespace kvsieve::bench {
namespace {

using kvsieve::tests::fails_with;

/// A case that counts what is done with it.
struct Counted {
  int prepared = 0;
  int iterated = 0;

  BenchCase item(const std::string& name) {
    return {name,
            1,
            [this] {
              ++prepared;
              PreparedCase result;
              result.iterate = [this] { ++iterated; };
              result.work = [] { return kernels::Work{100, 28, 64}; };
              return result;
            },
            {}};
  }
};

BenchRunOptions quick(int repetitions) {
  BenchRunOptions options;
  options.repetitions = repetitions;
  options.min_time_s = 0.001;
  options.roofline = false;
  return options;
}

std::map<std::string, double> counters_of(const BenchEntry& entry) {
  return {entry.counters.begin(), entry.counters.end()};
}

TEST(BenchRun, EachRepetitionIsAnEntryAndStatisticsFollow) {
  Counted a;
  Counted b;
  const std::vector<BenchEntry> entries = run_cases({a.item("a/n:1"), b.item("b/n:1")}, quick(3));
  std::vector<std::string> names;
  for (const BenchEntry& entry : entries) {
    names.push_back(entry.case_name + " " +
                    (entry.aggregate.empty() ? std::to_string(entry.repetition) : entry.aggregate));
  }
  EXPECT_EQ(names,
            (std::vector<std::string>{"a/n:1 0", "a/n:1 1", "a/n:1 2", "a/n:1 mean", "a/n:1 median",
                                      "a/n:1 stddev", "a/n:1 cv", "b/n:1 0", "b/n:1 1", "b/n:1 2",
                                      "b/n:1 mean", "b/n:1 median", "b/n:1 stddev", "b/n:1 cv"}));
  EXPECT_EQ(a.prepared, 1);
  EXPECT_EQ(b.prepared, 1);
  EXPECT_GT(a.iterated, 3);
}

TEST(BenchRun, WorkBecomesRates) {
  Counted a;
  const std::vector<BenchEntry> entries = run_cases({a.item("a")}, quick(1));
  ASSERT_EQ(entries.size(), 1U);
  const std::map<std::string, double> counters = counters_of(entries[0]);
  EXPECT_EQ(counters.at("bytes"), 128.0);
  EXPECT_EQ(counters.at("flops"), 64.0);
  const double seconds = entries[0].real_time_us * 1e-6;
  EXPECT_NEAR(counters.at("bytes_per_second") * seconds, 128.0, 1e-6);
  EXPECT_NEAR(counters.at("flops_per_second") * seconds, 64.0, 1e-6);
  EXPECT_EQ(counters.count("share_of_bandwidth"), 0U);
}

TEST(BenchRun, ACaseOnADeviceHasItsClock) {
  const BenchCase item{"device", 1,
                       [] {
                         PreparedCase prepared;
                         prepared.timed_iterate = [] { return 0.002; };
                         prepared.work = [] { return kernels::Work{1000, 1000, 0}; };
                         return prepared;
                       },
                       [] { return 4e6; }};
  BenchRunOptions options = quick(1);
  options.roofline = true;
  const std::vector<BenchEntry> entries = run_cases({item}, options);
  ASSERT_EQ(entries.size(), 1U);
  EXPECT_NEAR(entries[0].real_time_us, 2000.0, 1e-6);
  const std::map<std::string, double> counters = counters_of(entries[0]);
  EXPECT_NEAR(counters.at("share_of_bandwidth"), 0.25, 1e-9);
  EXPECT_EQ(counters.count("flops"), 0U);
}

TEST(BenchRun, InterleavingKeepsEveryRepetition) {
  Counted a;
  Counted b;
  BenchRunOptions options = quick(4);
  options.interleave = true;
  const std::vector<BenchEntry> entries = run_cases({a.item("a"), b.item("b")}, options);
  for (const char* name : {"a", "b"}) {
    EXPECT_EQ(std::count_if(entries.begin(), entries.end(),
                            [&](const BenchEntry& entry) {
                              return entry.case_name == name && entry.aggregate.empty();
                            }),
              4);
  }
}

TEST(BenchRun, WhatACaseThrowsEndsTheRun) {
  Counted later;
  const BenchCase broken{
      "a", 1, []() -> PreparedCase { throw Error(ErrorKind::kBadInput, "no such trace"); }, {}};
  EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "no such trace", [&] {
    static_cast<void>(run_cases({broken, later.item("b")}, quick(2)));
  }));
  EXPECT_EQ(later.prepared, 0);
}

TEST(BenchRun, StopEndsItEarly) {
  Counted a;
  Counted b;
  BenchRunOptions options = quick(1);
  options.stop = [&] { return a.iterated > 0; };
  const std::vector<BenchEntry> entries = run_cases({a.item("a"), b.item("b")}, options);
  EXPECT_EQ(b.prepared, 0);
  EXPECT_LE(entries.size(), 1U);
}

TEST(MatchingCases, AreFoundByRegularExpression) {
  Counted one;
  const std::vector<BenchCase> all{one.item("adakv/n:1024"), one.item("decode/n:1024"),
                                   one.item("decode/n:32768")};
  EXPECT_EQ(matching_cases(all, "").size(), 3U);
  EXPECT_EQ(matching_cases(all, "^decode/.*n:1024$").size(), 1U);
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "matches no case",
                         [&] { static_cast<void>(matching_cases(all, "nothing")); }));
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "no regular expression",
                         [&] { static_cast<void>(matching_cases(all, "(")); }));
}

TEST(CpuCases, AreSortedWithNamesOfTheirOwn) {
  const std::vector<BenchCase> cases = cpu_cases({.threads = 2, .trace = "t"});
  for (std::size_t i = 1; i < cases.size(); ++i) {
    EXPECT_LT(cases[i - 1].name, cases[i].name);
  }
  EXPECT_GT(cases.size(), 50U);
}

}  // namespace
}  // namespace kvsieve::bench
