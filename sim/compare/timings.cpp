#include "timings.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <set>
#include <utility>

#include "kvsieve/sim/metric_info.h"
#include "kvsieve/sim/number_text.h"
#include "kvsieve/sim/rank_test.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::sim {
namespace {

// Pairs of repetitions that one case may have: memory and time grow with them.
constexpr double kMostPairs = 25e6;

// The shares of ranks that tell, a test each. What disturbs a machine makes repetitions worse and
// never better, so the better half of both sides' together says more than how bad the others are.
// But a change that makes some repetitions worse shows in all ranks alone.
constexpr std::array<double, 2> kTelling{1.0, 0.5};
// With fewer repetitions on a side, two tests would need more of them than one.
constexpr std::size_t kLeastOfTwoTests = 10;

// No drift of the machine explains sides that lie further apart than this many times what both move
// together: it would have to go on for twenty times as long as a side was measured.
constexpr double kFarApart = 10.0;

std::size_t tests_of(std::size_t before, std::size_t after, std::optional<ParetoDirection> best) {
  return best && std::min(before, after) >= kLeastOfTwoTests ? kTelling.size() : 1;
}

/// Changes the sign of all, so that the better ones come first.
void negate(std::vector<double>& logs) {
  std::transform(logs.begin(), logs.end(), logs.begin(), std::negate<>());
}

/// Why a verdict can't be better than inconclusive; empty otherwise.
std::string too_few(const TimingEvidence& timing, std::size_t family, double alpha,
                    std::optional<ParetoDirection> best) {
  const auto may_tell = [&](std::size_t before, std::size_t after) {
    const std::size_t tests = tests_of(before, after, best) * family;
    return least_p(before, after) * static_cast<double>(tests) < alpha;
  };
  if (may_tell(timing.old_count, timing.new_count)) {
    return {};
  }
  std::size_t enough = 1;
  while (!may_tell(enough, enough)) {
    ++enough;
  }
  return fmt::format("{} and {} repetitions, at least {} on each side needed", timing.old_count,
                     timing.new_count, enough);
}

void judge(ResultChange& change, std::size_t family, const CompareOptions& options) {
  TimingEvidence& timing = *change.timing;
  const std::optional<ParetoDirection> best = metric_info(change.metric).best;
  const auto set = [&](ChangeVerdict verdict, std::string reason = {}) {
    change.verdict = verdict;
    change.reason = std::move(reason);
  };
  // Beyond the threshold in both directions alike: 1.05 upwards is 1 / 1.05 downwards.
  const double least = 1.0 + options.threshold + timing.noise;
  const double clear = 1.0 + timing.lasting;
  const bool sure = timing.adjusted_p < options.alpha;
  const bool above = timing.ratio > least && timing.ratio_low > clear;
  const bool below = timing.ratio < 1.0 / least && timing.ratio_high < 1.0 / clear;
  if (sure && (above || below)) {
    // Of a side that scatters the better half is better, though its middle may be where it was.
    if (above ? timing.whole_ratio <= least : timing.whole_ratio >= 1.0 / least) {
      set(ChangeVerdict::kInconclusive,
          "too noisy: the better half's change; of all together it is " +
              relative_text(timing.whole_ratio - 1.0));
      return;
    }
    const bool better = best && (*best == ParetoDirection::kMax) == above;
    set(!best ? ChangeVerdict::kChanged : better ? ChangeVerdict::kBetter : ChangeVerdict::kWorse);
    return;
  }
  if (sure) {
    set(ChangeVerdict::kMinor);
    return;
  }
  if (std::string reason = too_few(timing, family, options.alpha, best); !reason.empty()) {
    set(ChangeVerdict::kInconclusive, std::move(reason));
    change.undecidable = true;
    return;
  }
  // Nothing is the same that may be worse by more than the threshold.
  const double most = clear + options.threshold;
  const bool rises_badly = !best || *best == ParetoDirection::kMin;
  if (rises_badly ? timing.ratio_high > most : timing.ratio_low < 1.0 / most) {
    const std::string interval = interval_text(change, " to ");
    set(ChangeVerdict::kInconclusive,
        !interval.empty()
            ? "too noisy: the change may be " + interval
            : std::string("too noisy: repetitions are like their neighbours, which leaves too "
                          "few that tell anything"));
    return;
  }
  set(ChangeVerdict::kSame);
}

/// Whether each value of one side is above all of the other by far more than either side moves.
bool are_far_apart(const std::vector<double>& before, const std::vector<double>& after) {
  const auto [old_least, old_most] = std::minmax_element(before.begin(), before.end());
  const auto [new_least, new_most] = std::minmax_element(after.begin(), after.end());
  const double gap = std::max(*new_least - *old_most, *old_least - *new_most);
  return gap > kFarApart * (*old_most - *old_least + *new_most - *new_least);
}

/// What a test of these ranks says, apart from the threshold. @param alpha of this test
TimingEvidence tested(const std::vector<double>& before, const std::vector<double>& after,
                      double telling, double alpha) {
  TimingEvidence timing;
  if (!are_far_apart(before, after)) {
    timing.inflation =
        std::max(variance_inflation(before, telling), variance_inflation(after, telling));
  }
  const Shift shift = shift_between(before, after, 1.0 - alpha, timing.inflation, telling);
  timing.ratio = shift.estimate;
  timing.ratio_low = shift.low;
  timing.ratio_high = shift.high;
  const RankTest test = rank_test(before, after, timing.inflation, telling);
  timing.p = test.p;
  timing.exact = test.exact;
  return timing;
}

/// The change of one metric of one pair.
ResultChange change_of(const BenchmarkCase& before, const BenchmarkCase& after,
                       const std::string& metric, const CompareOptions& options, double between) {
  ResultChange change{after.name, metric, after.name, ChangeVerdict::kInconclusive, {}, {},
                      {},         {},     {}};
  const auto values = [&](const BenchmarkCase& one) {
    const auto found = one.values.find(metric);
    return found == one.values.end() ? std::vector<double>{} : found->second;
  };
  const auto stated = [&](const BenchmarkCase& one) -> std::optional<double> {
    const auto found = one.stated_medians.find(metric);
    return found == one.stated_medians.end() ? std::nullopt : std::optional(found->second);
  };
  const std::vector<double> old_values = values(before);
  const std::vector<double> new_values = values(after);
  change.before = old_values.empty() ? stated(before) : std::optional(median_of(old_values));
  change.after = new_values.empty() ? stated(after) : std::optional(median_of(new_values));
  if (!change.before || !change.after) {
    if (change.before) {
      change.verdict = ChangeVerdict::kChanged;
      change.reason = "no longer measured";
    } else {
      change.reason = change.after ? "not measured before" : "not measured on either side";
      change.undecidable = true;
    }
    return change;
  }
  // What is left may be the better part.
  for (const auto& [side, when] : {std::pair{&before, "before"}, std::pair{&after, "now"}}) {
    if (const std::size_t lacking = side->lacking(metric); lacking > 0) {
      change.reason =
          fmt::format("{} of {} {} have no value", lacking,
                      counted(static_cast<std::int64_t>(side->repetitions), "repetition"), when);
      change.undecidable = true;
      return change;
    }
  }
  if (old_values.empty() || new_values.empty()) {
    change.reason =
        "no repetitions, only aggregates: measure without "
        "--benchmark_report_aggregates_only";
    change.undecidable = true;
    return change;
  }
  const auto is_positive = [](double value) { return value > 0.0; };
  if (!std::all_of(old_values.begin(), old_values.end(), is_positive)) {
    change.reason = "values that are not above 0";
    change.undecidable = true;
    return change;
  }
  if (!std::all_of(new_values.begin(), new_values.end(), is_positive)) {
    const bool is_time = metric == "real_time" || metric == "cpu_time";
    change.verdict = ChangeVerdict::kChanged;
    change.reason = is_time ? "is not a time" : "is not above 0";
    return change;
  }
  change.timing =
      timing_evidence(old_values, new_values, options, metric_info(metric).best, between);
  return change;
}

/// What a pair has to compare: of what nobody asked for, the time that the benchmark is timed by.
std::vector<std::string> metrics_of(const BenchmarkCase& before, const BenchmarkCase& after,
                                    const std::vector<std::string>& wanted) {
  if (wanted.empty()) {
    return {after.real_time ? "real_time" : "cpu_time"};
  }
  std::set<std::string> names;
  for (const BenchmarkCase* one : {&before, &after}) {
    for (const auto& [name, values] : one->values) {
      names.insert(name);
    }
    for (const auto& [name, value] : one->stated_medians) {
      names.insert(name);
    }
  }
  std::erase_if(names, [&](const std::string& name) { return !is_wanted(name, wanted); });
  return {names.begin(), names.end()};
}

}  // namespace

TimingEvidence timing_evidence(const std::vector<double>& before, const std::vector<double>& after,
                               const CompareOptions& options, std::optional<ParetoDirection> best,
                               double between) {
  if (static_cast<double>(before.size()) * static_cast<double>(after.size()) > kMostPairs) {
    throw Error(ErrorKind::kBadInput, fmt::format("{} and {} repetitions of a case are too many",
                                                  before.size(), after.size()));
  }
  std::vector<double> old_logs = logarithms(before);
  std::vector<double> new_logs = logarithms(after);
  const bool large_is_best = best == ParetoDirection::kMax;
  if (large_is_best) {
    negate(old_logs);
    negate(new_logs);
  }
  // Of several tests the one that is surest counts, as often as there are tests.
  const std::size_t tests = tests_of(before.size(), after.size(), best);
  const auto count = static_cast<double>(tests);
  TimingEvidence timing = tested(old_logs, new_logs, kTelling[0], options.alpha / count);
  const double whole_ratio = timing.ratio;
  for (std::size_t i = 1; i < tests; ++i) {
    const TimingEvidence other = tested(old_logs, new_logs, kTelling[i], options.alpha / count);
    timing = other.p < timing.p ? other : timing;
  }
  timing.whole_ratio = whole_ratio;
  if (large_is_best) {
    timing.ratio = -timing.ratio;
    timing.whole_ratio = -timing.whole_ratio;
    timing.ratio_low = -std::exchange(timing.ratio_high, -timing.ratio_low);
  }
  timing.ratio = std::min(std::exp(timing.ratio), std::numeric_limits<double>::max());
  timing.whole_ratio = std::exp(timing.whole_ratio);
  timing.ratio_low = std::exp(timing.ratio_low);
  timing.ratio_high = std::exp(timing.ratio_high);
  timing.p = std::min(1.0, count * timing.p);
  timing.adjusted_p = timing.p;
  timing.old_count = before.size();
  timing.new_count = after.size();
  switch (options.noise.kind) {
    case NoiseRule::Kind::kNone:
      break;
    case NoiseRule::Kind::kFixed:
      timing.lasting = options.noise.share;
      timing.noise = timing.lasting;
      break;
    case NoiseRule::Kind::kAuto:
      timing.lasting = normal_quantile(1.0 - options.alpha) * between;
      timing.noise = timing.lasting + shift_noise(old_logs, new_logs, timing.inflation);
      break;
  }
  return timing;
}

void judge_timings(std::vector<ResultChange>& changes, const CompareOptions& options) {
  std::vector<double> p;
  for (const ResultChange& change : changes) {
    if (change.timing) {
      p.push_back(change.timing->p);
    }
  }
  const std::vector<double> adjusted = holm_adjusted(p);
  auto next = adjusted.begin();
  for (ResultChange& change : changes) {
    if (change.timing) {
      change.timing->adjusted_p = *next++;
      judge(change, adjusted.size(), options);
    }
  }
}

void compare_timings(const CasePairs& pairs, const CompareOptions& options,
                     const SpreadBetweenRuns& between, ResultComparison& comparison) {
  for (const auto& [before, after] : pairs.pairs) {
    comparison.matched.push_back(after->name);
    if (!before->error.empty() || !after->error.empty()) {
      ResultChange change{after->name, "error", after->name, ChangeVerdict::kSame, {}, {},
                          {},          {},      {}};
      if (before->error.empty()) {
        change.verdict = ChangeVerdict::kWorse;
        change.reason = "fails now: " + after->error;
      } else if (after->error.empty()) {
        change.verdict = ChangeVerdict::kBetter;
        change.reason = "failed before: " + before->error;
      } else {
        change.verdict = ChangeVerdict::kInconclusive;
        change.reason = "fails on both sides: " + after->error;
        change.undecidable = true;
      }
      comparison.changes.push_back(std::move(change));
      continue;
    }
    for (const std::string& metric : metrics_of(*before, *after, options.metrics)) {
      const double spread = between ? between(after->name, metric) : 0.0;
      comparison.changes.push_back(change_of(*before, *after, metric, options, spread));
    }
  }
  judge_timings(comparison.changes, options);
}

}  // namespace kvsieve::sim
