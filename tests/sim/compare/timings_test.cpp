#include "compare/timings.h"

#include <gtest/gtest.h>

#include <cmath>

#include "../../traces/fails_with.h"
#include "timing_samples.h"

namespace kvsieve::sim {
namespace {

using tests::fails_with;
using tests::file_of;

/// Repetitions around a level, the same pattern each time.
std::vector<double> around(double level, std::size_t count, double width = 0.01) {
  std::vector<double> values;
  for (std::size_t i = 0; i < count; ++i) {
    const double place = static_cast<double>((i * 7) % count) / static_cast<double>(count) - 0.5;
    values.push_back(level * (1.0 + width * place));
  }
  return values;
}

ResultChange change_between(const std::vector<double>& before, const std::vector<double>& after,
                            const CompareOptions& options = {}) {
  const ResultComparison comparison =
      compare_benchmarks(file_of({{"a/n:1", before}}), file_of({{"a/n:1", after}}), options);
  return comparison.changes.at(0);
}

TEST(Timings, Verdicts) {
  const std::vector<double> before = around(100, 10);
  EXPECT_EQ(change_between(before, around(100, 10)).verdict, ChangeVerdict::kSame);
  EXPECT_EQ(change_between(before, around(103, 10)).verdict, ChangeVerdict::kMinor);
  EXPECT_EQ(change_between(before, around(97, 10)).verdict, ChangeVerdict::kMinor);
  const ResultChange slow = change_between(before, around(110, 10));
  EXPECT_EQ(slow.verdict, ChangeVerdict::kWorse);
  EXPECT_NEAR(*slow.relative(), 0.10, 0.002);
  EXPECT_LT(slow.timing->ratio_low, 1.10);
  EXPECT_GT(slow.timing->ratio_high, 1.10);
  EXPECT_EQ(change_between(before, around(90, 10)).verdict, ChangeVerdict::kBetter);
}

TEST(Timings, TooFewRepetitionsAreInconclusive) {
  const ResultChange change = change_between(around(100, 4), around(200, 4));
  EXPECT_EQ(change.verdict, ChangeVerdict::kInconclusive);
  EXPECT_NE(change.reason.find("at least 5 on each side"), std::string::npos) << change.reason;
  EXPECT_NEAR(*change.relative(), 1.0, 0.02);
  // With more cases to judge, more are needed.
  std::map<std::string, std::vector<double>> before;
  std::map<std::string, std::vector<double>> after;
  for (int i = 0; i < 20; ++i) {
    before["a/n:" + std::to_string(i)] = around(100, 5);
    after["a/n:" + std::to_string(i)] = around(100, 5);
  }
  const ResultComparison comparison = compare_benchmarks(file_of(before), file_of(after), {});
  EXPECT_EQ(comparison.count(ChangeVerdict::kInconclusive), 20);
  EXPECT_NE(comparison.changes[0].reason.find("at least 8"), std::string::npos);
}

TEST(Timings, NoiseThatCouldHideARegressionIsInconclusive) {
  const ResultChange change = change_between(around(100, 12, 0.6), around(104, 12, 0.6));
  EXPECT_EQ(change.verdict, ChangeVerdict::kInconclusive);
  EXPECT_NE(change.reason.find("too noisy"), std::string::npos) << change.reason;
}

TEST(Timings, AggregatesAloneAreInconclusive) {
  BenchmarkFile before = file_of({{"a/n:1", {}}});
  before.cases[0].values.clear();
  before.cases[0].stated_medians["real_time"] = 100;
  BenchmarkFile after = before;
  after.cases[0].stated_medians["real_time"] = 200;
  const ResultChange change = compare_benchmarks(before, after, {}).changes.at(0);
  EXPECT_EQ(change.verdict, ChangeVerdict::kInconclusive);
  EXPECT_EQ(change.before, 100);
  EXPECT_NE(change.reason.find("aggregates"), std::string::npos);
}

TEST(Timings, NoiseRules) {
  const std::vector<double> before = around(100, 12, 0.04);
  const std::vector<double> after = around(106, 12, 0.04);
  CompareOptions options;
  options.noise.kind = NoiseRule::Kind::kNone;
  EXPECT_EQ(change_between(before, after, options).verdict, ChangeVerdict::kWorse);
  EXPECT_EQ(change_between(before, after, options).timing->noise, 0.0);
  options.noise = {NoiseRule::Kind::kFixed, 0.02};
  EXPECT_EQ(change_between(before, after, options).verdict, ChangeVerdict::kMinor);
  options.noise = {};
  // 1.2533 * 1.4826 * MAD * sqrt(2 / 12); the distances from the middle are 0.333 % to 2 %.
  const double noise = change_between(before, after, options).timing->noise;
  EXPECT_NEAR(noise, 1.2533 * 1.4826 * 0.01 * std::sqrt(2.0 / 12.0), 0.0012);
}

TEST(Timings, NoiseOfOneSideRaisesTheThreshold) {
  // 20 repetitions within 2 % beside 20 within 0.1 %: 1.2533 * 1.4826 * 20 / 19.2 * 0.5 % /
  // sqrt(20).
  const std::vector<double> steady = around(100, 20, 0.001);
  const std::vector<double> wide = around(105.2, 20, 0.02);
  const ResultChange change = change_between(steady, wide);
  EXPECT_NEAR(change.timing->noise, 0.00217, 1e-4);
  EXPECT_EQ(change.verdict, ChangeVerdict::kMinor);
  EXPECT_EQ(change_between(steady, around(106, 20, 0.02)).verdict, ChangeVerdict::kWorse);
  EXPECT_EQ(change_between(wide, steady).verdict, ChangeVerdict::kMinor);
}

TEST(Timings, RepetitionsThatDependOnTheirNeighboursCountForLess) {
  // The later half of one side is slower: a phase of the machine as likely as a slower program.
  const std::vector<double> steady = around(100, 20);
  std::vector<double> drifting = around(100, 20);
  for (std::size_t i = 6; i < 20; ++i) {
    drifting[i] *= 1.16;
  }
  const ResultChange one = change_between(steady, drifting);
  EXPECT_GT(one.timing->inflation, 3.0);
  EXPECT_EQ(one.verdict, ChangeVerdict::kInconclusive);
  // The same values in another order.
  std::vector<double> mixed;
  for (std::size_t i = 0; i < 20; ++i) {
    mixed.push_back(drifting[(i * 7) % 20]);
  }
  EXPECT_EQ(change_between(steady, mixed).timing->inflation, 1.0);
  EXPECT_EQ(change_between(steady, mixed).verdict, ChangeVerdict::kWorse);
}

/// 16 repetitions that grow steadily, by 1 % in all.
std::vector<double> drifting_from(double level) {
  std::vector<double> values;
  for (std::size_t i = 0; i < 16; ++i) {
    values.push_back(level * (1.0 + 0.01 * static_cast<double>(i) / 15.0));
  }
  return values;
}

TEST(Timings, ADriftExplainsNoChangeFarLargerThanItself) {
  // Both move by 1 %, and the nearest ends are 470 % apart.
  const ResultChange slow = change_between(drifting_from(100), drifting_from(575));
  EXPECT_EQ(slow.verdict, ChangeVerdict::kWorse) << slow.reason;
  EXPECT_EQ(slow.timing->inflation, 1.0);
  EXPECT_EQ(change_between(drifting_from(575), drifting_from(100)).verdict, ChangeVerdict::kBetter);
  // A machine that went on drifting for long would explain 20 %: ten times 2 %, and 1 %.
  const ResultChange near = change_between(drifting_from(100), drifting_from(120));
  EXPECT_EQ(near.verdict, ChangeVerdict::kInconclusive);
  EXPECT_GT(near.timing->inflation, 3.0);
  EXPECT_EQ(change_between(drifting_from(100), drifting_from(126)).verdict, ChangeVerdict::kWorse);
  // One repetition far off is a move of the machine like any other.
  std::vector<double> once_slow = drifting_from(100);
  once_slow[12] *= 1.3;
  EXPECT_EQ(change_between(once_slow, drifting_from(575)).verdict, ChangeVerdict::kInconclusive);
}

TEST(Timings, BetterOnesAloneAreNoChange) {
  // Half of those within 20 % are better than all within 0.1 % around the same middle.
  const std::vector<double> wide = around(100, 40, 0.2);
  const std::vector<double> steady = around(100, 40, 0.001);
  CompareOptions options;
  options.threshold = 0.02;
  const ResultChange change = change_between(wide, steady, options);
  EXPECT_LT(change.timing->adjusted_p, options.alpha);
  EXPECT_GT(change.timing->ratio_low, 1.0);
  EXPECT_GT(change.timing->ratio, 1.0 + options.threshold + change.timing->noise);
  EXPECT_NEAR(change.timing->whole_ratio, 1.0, 0.005);
  EXPECT_EQ(change.verdict, ChangeVerdict::kInconclusive);
  EXPECT_NE(change.reason.find("of all together it is +0."), std::string::npos) << change.reason;
  EXPECT_EQ(change_between(steady, wide, options).verdict, ChangeVerdict::kInconclusive);
  EXPECT_EQ(change_between(wide, around(110, 40, 0.001), options).verdict, ChangeVerdict::kWorse);
  EXPECT_EQ(change_between(around(110, 40, 0.001), wide, options).verdict, ChangeVerdict::kBetter);
}

TEST(Timings, DisturbedRepetitionsDoNotHideAChange) {
  // Three of eight repetitions are disturbed, each by another amount.
  const auto disturbed = [](std::vector<double> values) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] *= i % 8 == 1 || i % 8 == 4 || i % 8 == 6
                       ? 1.3 + 0.05 * static_cast<double>((i * 5) % 17)
                       : 1.0;
    }
    return values;
  };
  const std::vector<double> before = disturbed(around(100, 24));
  const std::vector<double> after = disturbed(around(110, 24));
  const ResultChange change = change_between(before, after);
  EXPECT_EQ(change.verdict, ChangeVerdict::kWorse);
  EXPECT_NEAR(*change.relative(), 0.10, 0.01);
  EXPECT_EQ(change_between(after, before).verdict, ChangeVerdict::kBetter);
  // The same of a rate, which disturbances lower.
  BenchmarkFile rates = file_of({{"a/n:1", before}});
  BenchmarkFile slower = file_of({{"a/n:1", after}});
  for (const auto& [file, times] : {std::pair{&rates, &before}, std::pair{&slower, &after}}) {
    for (const double time : *times) {
      file->cases[0].values["bytes_per_second"].push_back(1e6 / time);
    }
  }
  CompareOptions options;
  options.metrics = {"bytes_per_second"};
  const ResultChange rate = compare_benchmarks(rates, slower, options).changes.at(0);
  EXPECT_EQ(rate.verdict, ChangeVerdict::kWorse);
  EXPECT_NEAR(rate.timing->p, change.timing->p, 1e-12);
  EXPECT_NEAR(rate.timing->ratio * change.timing->ratio, 1.0, 1e-12);
  EXPECT_NEAR(rate.timing->ratio_low * change.timing->ratio_high, 1.0, 1e-12);
}

TEST(Timings, AChangeOfMostRepetitionsIsFound) {
  std::vector<double> after = around(100, 24);
  for (std::size_t i = 0; i < after.size(); ++i) {
    after[(i * 5) % 24] *= i % 4 == 0 ? 1.0 : 1.5;
  }
  EXPECT_EQ(change_between(around(100, 24), after).verdict, ChangeVerdict::kWorse);
}

TEST(Timings, UserCountersHaveADirection) {
  BenchmarkFile before = file_of({{"a/n:1", around(100, 10)}});
  BenchmarkFile after = before;
  before.cases[0].values["bytes_per_second"] = around(1e9, 10);
  after.cases[0].values["bytes_per_second"] = around(0.8e9, 10);
  before.cases[0].values["rounds"] = around(10, 10);
  after.cases[0].values["rounds"] = around(20, 10);
  EXPECT_EQ(compare_benchmarks(before, after, {}).changes.size(), 1U);
  CompareOptions options;
  options.metrics = {"bytes_per_second", "rounds"};
  const ResultComparison comparison = compare_benchmarks(before, after, options);
  ASSERT_EQ(comparison.changes.size(), 2U);
  EXPECT_EQ(comparison.changes[0].verdict, ChangeVerdict::kWorse);
  EXPECT_EQ(comparison.changes[1].verdict, ChangeVerdict::kChanged);
  options.metrics = {"no_such"};
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "no_such",
                         [&] { static_cast<void>(compare_benchmarks(before, after, options)); }));
}

TEST(Timings, ErrorsOfACase) {
  BenchmarkFile before = file_of({{"a/n:1", around(100, 10)}, {"b", around(100, 10)}});
  BenchmarkFile after = before;
  after.cases[0].error = "no GPU";
  EXPECT_EQ(compare_benchmarks(before, after, {}).changes[0].verdict, ChangeVerdict::kWorse);
  before.cases[0].error = "no GPU";
  EXPECT_EQ(compare_benchmarks(before, after, {}).changes[0].verdict, ChangeVerdict::kInconclusive);
  after.cases[0].error = "";
  EXPECT_EQ(compare_benchmarks(before, after, {}).changes[0].verdict, ChangeVerdict::kBetter);
}

TEST(Timings, TimesOfZeroAreInconclusive) {
  EXPECT_EQ(change_between(std::vector<double>(10, 0.0), around(100, 10)).verdict,
            ChangeVerdict::kInconclusive);
}

TEST(Timings, WhatIsNoLongerMeasuredHasChanged) {
  const BenchmarkFile before = file_of({{"a/n:1", around(100, 10)}, {"b", around(100, 10)}});
  BenchmarkFile after = before;
  after.cases[0].values.erase("real_time");
  const ResultChange gone = compare_benchmarks(before, after, {}).changes.at(0);
  EXPECT_EQ(gone.verdict, ChangeVerdict::kChanged);
  EXPECT_EQ(gone.reason, "no longer measured");
  const ResultChange fresh = compare_benchmarks(after, before, {}).changes.at(0);
  EXPECT_EQ(fresh.verdict, ChangeVerdict::kInconclusive);
  EXPECT_EQ(fresh.reason, "not measured before");
  EXPECT_EQ(compare_benchmarks(after, after, {}).changes.at(0).reason,
            "not measured on either side");
  const ResultChange zero = change_between(around(100, 10), std::vector<double>(10, 0.0));
  EXPECT_EQ(zero.verdict, ChangeVerdict::kChanged);
  EXPECT_EQ(zero.reason, "is not a time");
}

TEST(Timings, ContextsThatDiffer) {
  BenchmarkFile before = file_of({{"a", around(100, 10)}});
  BenchmarkFile after = before;
  before.context = {{"date", "1"},           {"num_cpus", "2"},
                    {"mhz_per_cpu", "2100"}, {"host_name", "runner-1"},
                    {"kvsieve.isa", "avx2"}, {"load_avg", "[1]"}};
  after.context = {{"date", "2"},
                   {"num_cpus", "4"},
                   {"mhz_per_cpu", "2000"},
                   {"host_name", "runner-2"},
                   {"kvsieve.isa", "avx512"},
                   {"load_avg", "[2]"}};
  const auto differences = compare_benchmarks(before, after, {}).set_up;
  ASSERT_EQ(differences.size(), 3U);
  EXPECT_EQ(differences[0].what, "kvsieve.isa");
  EXPECT_TRUE(differences[0].machine);
  EXPECT_EQ(differences[1].what, "num_cpus");
  EXPECT_TRUE(differences[1].machine);
  EXPECT_EQ(differences[2].what, "host_name");
  EXPECT_FALSE(differences[2].machine);
}

TEST(Timings, WorstFirst) {
  const ResultComparison comparison = compare_benchmarks(
      file_of({{"a", around(100, 10)}, {"b", around(100, 10)}, {"c", around(100, 10)}}),
      file_of({{"a", around(110, 10)}, {"b", around(130, 10)}, {"c", around(50, 10)}}), {});
  EXPECT_EQ(comparison.changes[0].case_name, "b");
  EXPECT_EQ(comparison.changes[1].case_name, "a");
  EXPECT_EQ(comparison.changes[2].case_name, "c");
}

}  // namespace
}  // namespace kvsieve::sim
