#include "kvsieve/sim/result_history.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <ctime>
#include <map>
#include <optional>
#include <string_view>

#include "case_name.h"
#include "case_pairs.h"
#include "kvsieve/sim/metric_info.h"
#include "kvsieve/sim/rank_test.h"
#include "kvsieve/traces/content_hash.h"
#include "kvsieve/traces/error.h"
#include "kvsieve/traces/json_fields.h"
#include "kvsieve/traces/output_file.h"
#include "step_detection.h"
#include "timings.h"

namespace kvsieve::sim {
namespace {

// Runs that a level needs before it becomes the baseline: one bad night is not accepted by itself.
constexpr std::size_t kShortestLevel = 3;
// Fewer do not say by how much runs differ.
constexpr std::size_t kLeastSpreadRuns = 3;
constexpr std::uint64_t kSeed = 20'261'126;

/// A case's medians of one metric, run by run.
struct Series {
  std::vector<std::size_t> runs;  ///< indices of the runs that have it
  std::vector<double> medians;
  std::vector<const std::vector<double>*> repetitions;
};

using CaseMetric = std::pair<std::string, std::string>;  // key and metric

bool is_step(const SeriesStep& step, double threshold) {
  const double ratio = step.after / step.before;
  return ratio > 1.0 + threshold || ratio < 1.0 / (1.0 + threshold);
}

std::vector<SeriesStep> steps_of(const std::vector<double>& medians,
                                 const CompareOptions& options) {
  std::vector<SeriesStep> steps = find_steps(medians, options.alpha, kShortestLevel, kSeed);
  std::erase_if(steps, [&](const SeriesStep& step) { return !is_step(step, options.threshold); });
  return steps;
}

double spread_of(const std::vector<double>& medians) {
  if (medians.size() < kLeastSpreadRuns) {
    return 0.0;
  }
  std::vector<double> logs;
  for (const double median : medians) {
    logs.push_back(std::log(median));
  }
  return robust_deviation(logs);
}

}  // namespace

std::int64_t seconds_of_date(const std::string& date) {
  const auto fail = [&] {
    return Error(ErrorKind::kBadInput,
                 fmt::format("context.date is '{}', expected as 2026-11-26T15:00:00+00:00",
                             traces::printable(date)));
  };
  const auto number = [&](std::size_t begin, std::size_t digits) {
    int value = 0;
    const char* from = date.data() + begin;
    if (begin + digits > date.size() ||
        std::from_chars(from, from + digits, value).ptr != from + digits) {
      throw fail();
    }
    return value;
  };
  constexpr std::size_t kDateAndTime = 19;
  const bool is_form = date.size() >= kDateAndTime && date[4] == '-' && date[7] == '-' &&
                       (date[10] == 'T' || date[10] == ' ') && date[13] == ':' && date[16] == ':';
  if (!is_form) {
    throw fail();
  }
  const std::chrono::year_month_day day{std::chrono::year(number(0, 4)),
                                        std::chrono::month(static_cast<unsigned>(number(5, 2))),
                                        std::chrono::day(static_cast<unsigned>(number(8, 2)))};
  if (!day.ok()) {
    throw fail();
  }
  std::int64_t seconds = std::chrono::sys_days(day).time_since_epoch().count() * 86'400LL +
                         number(11, 2) * 3600LL + number(14, 2) * 60LL + number(17, 2);
  const std::string_view zone = std::string_view(date).substr(kDateAndTime);
  if (zone.empty() || zone == "Z") {
    return seconds;
  }
  // "+01:00" or "+0100".
  const bool colon = zone.size() == 6 && zone[3] == ':';
  if ((zone.size() != 5 && !colon) || (zone[0] != '+' && zone[0] != '-')) {
    throw fail();
  }
  const std::int64_t offset =
      number(kDateAndTime + 1, 2) * 3600LL + number(kDateAndTime + (colon ? 4 : 3), 2) * 60LL;
  return seconds - (zone[0] == '+' ? offset : -offset);
}

ResultHistory::ResultHistory(std::filesystem::path folder) : m_folder(std::move(folder)) {
  std::error_code error;
  if (!std::filesystem::exists(m_folder, error)) {
    return;
  }
  if (!std::filesystem::is_directory(m_folder, error)) {
    throw Error(ErrorKind::kBadInput, fmt::format("{}: is no folder", m_folder.string()));
  }
  for (const auto& entry : std::filesystem::directory_iterator(m_folder)) {
    if (entry.path().extension() != ".json") {
      continue;
    }
    Run run{entry.path(), 0, read_benchmarks(entry.path())};
    try {
      run.seconds = seconds_of_date(run.benchmarks.date);
    } catch (const Error& bad) {
      throw Error(bad.kind(), fmt::format("{}: {}", entry.path().string(), bad.what()));
    }
    m_runs.push_back(std::move(run));
  }
  std::sort(m_runs.begin(), m_runs.end(), [](const Run& a, const Run& b) {
    return std::tie(a.seconds, a.file) < std::tie(b.seconds, b.file);
  });
}

std::vector<const ResultHistory::Run*> ResultHistory::comparable(const BenchmarkFile& now) const {
  std::vector<const Run*> runs;
  for (const Run& run : m_runs) {
    if (run.benchmarks.counters != now.counters) {
      continue;
    }
    const std::vector<SetUpDifference> differences = context_differences(run.benchmarks, now);
    const bool other_machine =
        std::any_of(differences.begin(), differences.end(),
                    [](const SetUpDifference& difference) { return difference.machine; });
    if (now.counters || !other_machine) {
      runs.push_back(&run);
    }
  }
  return runs;
}

bool ResultHistory::has_comparable(const BenchmarkFile& now) const {
  return !comparable(now).empty();
}

ResultComparison ResultHistory::compare(const BenchmarkFile& now, const CompareOptions& options,
                                        std::size_t runs) const {
  const std::vector<const Run*> usable = comparable(now);
  if (usable.empty()) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("{}: none of {} results is of this machine and kind", m_folder.string(),
                            m_runs.size()),
                "--update adds this one");
  }
  if (now.counters) {
    ResultComparison comparison = compare_benchmarks(usable.back()->benchmarks, now, options);
    comparison.old_file = usable.back()->file.string();
    return comparison;
  }
  // The series of every case, which the baseline and the steps come from.
  std::map<CaseMetric, Series> all;
  for (std::size_t i = 0; i < usable.size(); ++i) {
    for (const BenchmarkCase& one : usable[i]->benchmarks.cases) {
      for (const auto& [metric, values] : one.values) {
        const double median = median_of(values);
        if (median > 0.0 && one.lacking(metric) == 0) {
          Series& series = all[{parse_case_name(one.name).key(), metric}];
          series.runs.push_back(i);
          series.medians.push_back(median);
          series.repetitions.push_back(&values);
        }
      }
    }
  }
  // A case that the last runs no longer had is not missing now.
  const std::size_t oldest = usable.size() - std::min(usable.size(), runs);
  BenchmarkFile pooled;
  pooled.context = usable.back()->benchmarks.context;
  std::map<std::string, std::size_t> places;
  for (const BenchmarkCase& one : usable.back()->benchmarks.cases) {
    places.emplace(parse_case_name(one.name).key(), pooled.cases.size());
    pooled.cases.push_back({one.name, {}, one.stated_medians, {}, one.real_time, one.error});
  }
  std::map<CaseMetric, double> spreads;
  for (const auto& [name, series] : all) {
    const std::vector<SeriesStep> steps = steps_of(series.medians, options);
    const std::size_t level = steps.empty() ? 0 : steps.back().first;
    const auto place = places.find(name.first);
    if (place == places.end()) {
      continue;
    }
    std::vector<double> medians;
    for (std::size_t i = level; i < series.runs.size(); ++i) {
      if (series.runs[i] < oldest) {
        continue;
      }
      medians.push_back(series.medians[i]);
      std::vector<double>& pool = pooled.cases[place->second].values[name.second];
      pool.insert(pool.end(), series.repetitions[i]->begin(), series.repetitions[i]->end());
    }
    spreads[name] = spread_of(medians);
  }
  require_metrics(pooled, now, options);
  ResultComparison comparison;
  comparison.kind = ResultKind::kTimings;
  comparison.threshold = options.threshold;
  comparison.alpha = options.alpha;
  comparison.old_file = m_folder.string();
  comparison.set_up = context_differences(pooled, now);
  CasePairs pairs = pair_cases(pooled, now, options.filter);
  compare_timings(
      pairs, options,
      [&](std::string_view case_name, std::string_view metric) {
        const auto found = spreads.find({parse_case_name(case_name).key(), std::string(metric)});
        return found == spreads.end() ? 0.0 : found->second;
      },
      comparison);
  comparison.added = std::move(pairs.added);
  comparison.removed = std::move(pairs.removed);
  comparison.renamed = std::move(pairs.renamed);
  for (const ResultChange& change : comparison.changes) {
    const auto found = all.find({parse_case_name(change.case_name).key(), change.metric});
    if (found == all.end() || !change.after) {
      continue;
    }
    std::vector<double> medians = found->second.medians;
    medians.push_back(*change.after);
    for (const SeriesStep& step : steps_of(medians, options)) {
      // A level has several values, so this one alone is none.
      const Run& at = *usable[found->second.runs[step.first]];
      const bool rises_well =
          metric_info(change.metric).best == std::optional(ParetoDirection::kMax);
      comparison.steps.push_back({change.case_name, change.metric, at.benchmarks.date,
                                  at.file.filename().string(), step.before, step.after, step.p,
                                  (step.after > step.before) != rises_well});
    }
  }
  std::stable_sort(comparison.steps.begin(), comparison.steps.end(),
                   [](const HistoryStep& a, const HistoryStep& b) {
                     return seconds_of_date(a.date) > seconds_of_date(b.date);
                   });
  finish_comparison(comparison);
  require_something(comparison, options);
  return comparison;
}

void ResultHistory::add(const std::filesystem::path& file, const BenchmarkFile& now,
                        std::size_t keep) const {
  std::string bytes = read_benchmark_text(file);
  std::string date = now.date;
  if (date.empty()) {
    // Behind what is there, also if that came within the same second.
    const std::int64_t last = m_runs.empty() ? 0 : m_runs.back().seconds;
    date = fmt::format("{:%Y-%m-%dT%H:%M:%S+00:00}",
                       fmt::gmtime(std::max<std::time_t>(std::time(nullptr), last + 1)));
    bytes = with_date(bytes, date);
  }
  try {
    static_cast<void>(seconds_of_date(date));
  } catch (const Error& bad) {
    throw Error(bad.kind(), fmt::format("{}: {}", file.string(), bad.what()));
  }
  std::error_code error;
  std::filesystem::create_directories(m_folder, error);
  std::string stem = date;
  std::replace_if(
      stem.begin(), stem.end(), [](char c) { return c == ':' || c == ' ' || c == '+'; }, '-');
  const std::filesystem::path target =
      m_folder / fmt::format("{}-{}.json", stem, traces::content_hash(bytes).substr(0, 8));
  traces::write_file(target, bytes, true);
  std::vector<std::filesystem::path> others;
  for (const Run& run : m_runs) {
    if (run.benchmarks.counters == now.counters && run.file != target) {
      others.push_back(run.file);
    }
  }
  for (std::size_t i = 0; i + keep < others.size() + 1; ++i) {
    std::filesystem::remove(others[i], error);
  }
}

}  // namespace kvsieve::sim
