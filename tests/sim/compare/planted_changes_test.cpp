// The gate on changes that were planted into noise as it is measured: how often it raises a false
// alarm, and how often it finds what is there. docs/compare.md states these rates.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <tuple>

#include "kvsieve/sim/compare_results.h"
#include "kvsieve/sim/result_gate.h"
#include "timing_samples.h"

namespace kvsieve::sim {
namespace {

using kernels::CounterRandom;
using tests::drawn_from;
using tests::file_of;
using tests::heavy_tailed;
using tests::in_blocks;
using tests::measured_repetitions;
using tests::taking_turns;

constexpr std::size_t kRepetitions = 40;

using Side = std::map<std::string, std::vector<double>>;

enum class Order {
  kBootstrap,    ///< repetitions that do not depend on each other
  kTakingTurns,  ///< both programs by turns through the phases of a busy machine
  kApart,        ///< one program after the other: what disturbs one spares the other
};

/// Two sides of one program: the measured workloads and three kinds of synthetic noise.
std::pair<Side, Side> two_sides(Order order, CounterRandom& random) {
  Side before;
  Side after;
  for (const auto& [name, measured] : measured_repetitions()) {
    if (order == Order::kTakingTurns) {
      std::tie(before[name], after[name]) = taking_turns(measured, kRepetitions, random);
    } else {
      const auto draw = order == Order::kApart ? in_blocks : drawn_from;
      before[name] = draw(measured, kRepetitions, random);
      after[name] = draw(measured, kRepetitions, random);
    }
  }
  for (const double deviation : {0.005, 0.02, 0.04}) {
    const std::string name = fmt::format("synthetic/deviation:{}", deviation);
    before[name] = heavy_tailed(deviation, kRepetitions, random);
    after[name] = heavy_tailed(deviation, kRepetitions, random);
  }
  return {before, after};
}

void slow_down(std::vector<double>& values, double factor) {
  for (double& value : values) {
    value *= factor;
  }
}

/// The verdict on each case of comparisons in which one case in turn is slower by a factor.
std::map<std::string, std::map<ChangeVerdict, int>> verdicts_on_planted(double factor,
                                                                        double threshold) {
  constexpr int kTrials = 30;
  CompareOptions options;
  options.threshold = threshold;
  CounterRandom random(static_cast<std::uint64_t>(1000.0 * factor));
  std::map<std::string, std::map<ChangeVerdict, int>> verdicts;
  for (int trial = 0; trial < kTrials; ++trial) {
    for (const auto& [slowed, values] : two_sides(Order::kBootstrap, random).first) {
      auto [before, after] = two_sides(Order::kBootstrap, random);
      slow_down(after[slowed], factor);
      const ResultComparison comparison =
          compare_benchmarks(file_of(before), file_of(after), options);
      for (const ResultChange& change : comparison.changes) {
        if (change.case_name == slowed) {
          ++verdicts[slowed][change.verdict];
        }
      }
    }
  }
  return verdicts;
}

struct Shares {
  double quiet = 0.0;  ///< CPU time, and the synthetic noise
  double busy = 0.0;   ///< wall clock while others keep the processors busy
};

/// The shares of all trials with one of these verdicts; prints that of each case.
Shares shares_of(std::map<std::string, std::map<ChangeVerdict, int>> verdicts,
                 const std::function<bool(ChangeVerdict)>& counts, const std::string& what) {
  int hits[2] = {0, 0};
  int all[2] = {0, 0};
  for (auto& [name, by_verdict] : verdicts) {
    const int busy = name.ends_with("/real_time") ? 1 : 0;
    int case_hits = 0;
    int case_all = 0;
    for (const auto& [verdict, count] : by_verdict) {
      case_hits += counts(verdict) ? count : 0;
      case_all += count;
    }
    fmt::print("{}: {} {}/{}\n", what, name, case_hits, case_all);
    hits[busy] += case_hits;
    all[busy] += case_all;
  }
  const Shares shares{static_cast<double>(hits[0]) / all[0], static_cast<double>(hits[1]) / all[1]};
  fmt::print("{}: {:.1f} % quiet, {:.1f} % busy\n", what, 100.0 * shares.quiet,
             100.0 * shares.busy);
  return shares;
}

bool is_worse(ChangeVerdict verdict) {
  return verdict == ChangeVerdict::kWorse;
}

TEST(PlantedChanges, IdenticalProgramsRaiseOneAlarmInFiftyAtMost) {
  const GateRule rule = GateRule::parse({"regression"});
  for (const Order order : {Order::kBootstrap, Order::kTakingTurns, Order::kApart}) {
    for (const double threshold : {0.02, 0.05}) {
      CompareOptions options;
      options.threshold = threshold;
      CounterRandom random(42);
      int alarms = 0;
      for (int i = 0; i < 50; ++i) {
        const auto [before, after] = two_sides(order, random);
        const ResultComparison comparison =
            compare_benchmarks(file_of(before), file_of(after), options);
        alarms += gate_failure(comparison, rule).empty() ? 0 : 1;
      }
      fmt::print("identical at {}, order {}: {}/50\n", threshold, static_cast<int>(order), alarms);
      EXPECT_LE(alarms, 1) << "at " << threshold << ", order " << static_cast<int>(order);
    }
  }
}

TEST(PlantedChanges, FalseAlarmsStayBelowAlphaWithoutAnyThreshold) {
  // The statistics alone: no minimum effect helps them.
  CompareOptions options;
  options.threshold = 0.0;
  options.noise.kind = NoiseRule::Kind::kNone;
  options.alpha = 0.05;
  CounterRandom random(77);
  int alarms = 0;
  constexpr int kTrials = 400;
  for (int i = 0; i < kTrials; ++i) {
    std::map<std::string, std::vector<double>> before;
    std::map<std::string, std::vector<double>> after;
    for (int k = 0; k < 10; ++k) {
      before[fmt::format("case/n:{}", k)] = heavy_tailed(0.02, 15, random);
      after[fmt::format("case/n:{}", k)] = heavy_tailed(0.02, 15, random);
    }
    const ResultComparison comparison =
        compare_benchmarks(file_of(before), file_of(after), options);
    alarms +=
        comparison.count(ChangeVerdict::kWorse) + comparison.count(ChangeVerdict::kBetter) > 0;
  }
  // 5 % of 400 are 20, with a deviation of 4.4.
  EXPECT_LE(alarms, 33);
}

/// How many of some comparisons of one case call it worse, and how many better. The sides have
/// noise of these deviations, and the new one is slower by a factor.
std::pair<int, int> alarms_of(double before, double after, double factor, int comparisons) {
  CounterRandom random(static_cast<std::uint64_t>(1e4 * before + 1e6 * after));
  std::pair<int, int> alarms{0, 0};
  for (int i = 0; i < comparisons; ++i) {
    const std::vector<double> old_times = heavy_tailed(before, kRepetitions, random);
    std::vector<double> new_times = heavy_tailed(after, kRepetitions, random);
    slow_down(new_times, factor);
    const ResultComparison comparison =
        compare_benchmarks(file_of({{"a", old_times}}), file_of({{"a", new_times}}), {});
    alarms.first += comparison.count(ChangeVerdict::kWorse);
    alarms.second += comparison.count(ChangeVerdict::kBetter);
  }
  fmt::print("deviations {} and {}, {:+.0f} %: {} worse and {} better of {}\n", before, after,
             100.0 * (factor - 1.0), alarms.first, alarms.second, comparisons);
  return alarms;
}

TEST(PlantedChanges, OneSideThatScattersRaisesNoAlarm) {
  for (const auto& [before, after] :
       {std::pair{0.02, 0.06}, std::pair{0.06, 0.02}, std::pair{0.01, 0.1}, std::pair{0.1, 0.01}}) {
    const auto [worse, better] = alarms_of(before, after, 1.0, 100);
    EXPECT_LE(worse + better, 1) << before << ", " << after;
    EXPECT_LE(alarms_of(before, after, 1.03, 100).first, 5) << before << ", " << after;
    EXPECT_GE(alarms_of(before, after, 1.20, 100).first, 95) << before << ", " << after;
  }
}

TEST(PlantedChanges, AChangeAsLargeAsTheThresholdIsSeldomCalledWorse) {
  // One time in six an estimate is too large by more than its standard error: 33 of 200.
  EXPECT_LE(alarms_of(0.01, 0.1, 1.05, 200).first, 45);
}

/// Repetitions of a machine that drifts by a share from each to the next.
std::vector<double> drifting(double share, std::size_t count, CounterRandom& random) {
  std::vector<double> values;
  for (std::size_t i = 0; i < count; ++i) {
    values.push_back(std::exp(share * static_cast<double>(i)) * (1.0 + 0.002 * random.uniform()));
  }
  return values;
}

TEST(PlantedChanges, ADriftIsNoChangeAndHidesNone) {
  constexpr int kTrials = 30;
  CounterRandom random(9);
  const auto compare = [](const std::vector<double>& before, const std::vector<double>& after) {
    return compare_benchmarks(file_of({{"a", before}}), file_of({{"a", after}}), {});
  };
  // One program after the other, and a pause between them that is as long as several.
  for (const std::size_t pause : {0U, 3U, 10U}) {
    int alarms = 0;
    for (int i = 0; i < kTrials; ++i) {
      const double share = i % 2 == 0 ? 0.001 : -0.001;
      const std::vector<double> all = drifting(share, (2 + pause) * kRepetitions, random);
      const ResultComparison comparison =
          compare({all.begin(), all.begin() + kRepetitions}, {all.end() - kRepetitions, all.end()});
      alarms += comparison.count(ChangeVerdict::kWorse) + comparison.count(ChangeVerdict::kBetter);
    }
    EXPECT_EQ(alarms, 0) << pause;
  }
  int found = 0;
  for (int i = 0; i < kTrials; ++i) {
    auto [before, after] =
        taking_turns(drifting(0.001, 2 * kRepetitions, random), kRepetitions, random);
    slow_down(after, 5.7);
    found += compare(before, after).count(ChangeVerdict::kWorse);
  }
  EXPECT_EQ(found, kTrials);
}

TEST(PlantedChanges, FindsTwentyAndTenPercent) {
  const Shares twenty = shares_of(verdicts_on_planted(1.20, 0.05), is_worse, "+20 % at 5 %");
  EXPECT_GE(twenty.quiet, 0.95);
  EXPECT_GE(twenty.busy, 0.95);
  const Shares ten = shares_of(verdicts_on_planted(1.10, 0.05), is_worse, "+10 % at 5 %");
  EXPECT_GE(ten.quiet, 0.95);
  EXPECT_GE(ten.busy, 0.95);
}

TEST(PlantedChanges, FindsFivePercentAtAThresholdOfTwo) {
  const Shares shares = shares_of(verdicts_on_planted(1.05, 0.02), is_worse, "+5 % at 2 %");
  EXPECT_GE(shares.quiet, 0.80);
  EXPECT_GE(shares.busy, 0.80);
}

TEST(PlantedChanges, ReportsThreePercentWithoutFailing) {
  const auto verdicts = verdicts_on_planted(1.03, 0.05);
  const Shares worse = shares_of(verdicts, is_worse, "+3 % at 5 %, worse");
  EXPECT_LE(worse.quiet, 0.02);
  EXPECT_LE(worse.busy, 0.02);
  EXPECT_GE(shares_of(
                verdicts, [](ChangeVerdict verdict) { return verdict != ChangeVerdict::kSame; },
                "+3 % at 5 %, reported")
                .quiet,
            0.8);
}

}  // namespace
}  // namespace kvsieve::sim
