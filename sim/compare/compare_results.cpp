#include "kvsieve/sim/compare_results.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "case_pairs.h"
#include "counters.h"
#include "kvsieve/sim/run_document.h"
#include "kvsieve/sim/sweep_store.h"
#include "kvsieve/traces/error.h"
#include "run_results.h"
#include "sweep_results.h"
#include "timings.h"

namespace kvsieve::sim {
namespace {

constexpr std::string_view kSqliteMagic{"SQLite format 3\0", 16};
constexpr std::string_view kZstdMagic = "\x28\xb5\x2f\xfd";

// Of a context: what timings depend on, so that other values say that they do not compare.
constexpr std::array<std::string_view, 9> kMachine{
    "num_cpus",    "mhz_per_cpu",      "cpu_scaling_enabled", "caches",       "kvsieve.machine",
    "kvsieve.isa", "kvsieve.compiler", "kvsieve.build_type",  "kvsieve.flags"};
// Of a context: what differs from run to run by its nature.
constexpr std::array<std::string_view, 10> kVolatile{
    "date",  "executable",  "load_avg",  "load",   "clocks",
    "noise", "usable_cpus", "rooflines", "filter", "json_schema_version"};
// Amounts that vary a little on machines of one kind.
constexpr std::array<std::string_view, 2> kAbout{"mhz_per_cpu", "kvsieve.machine.memory_bytes"};
constexpr double kAboutTolerance = 0.1;

bool is_at_or_below(std::string_view path, std::string_view parent) {
  return path == parent || (path.starts_with(parent) && path[parent.size()] == '.');
}

bool is_volatile(std::string_view path) {
  // Any part of the path: "kvsieve.load.one_minute".
  while (true) {
    const std::size_t dot = std::min(path.find('.'), path.size());
    const std::string_view part = path.substr(0, dot);
    if (std::find(kVolatile.begin(), kVolatile.end(), part) != kVolatile.end()) {
      return true;
    }
    if (dot == path.size()) {
      return false;
    }
    path.remove_prefix(dot + 1);
  }
}

bool is_about(std::string_view path, const std::string& before, const std::string& after) {
  if (std::find(kAbout.begin(), kAbout.end(), path) == kAbout.end()) {
    return false;
  }
  double a = 0.0;
  double b = 0.0;
  const auto parse = [](const std::string& text, double& value) {
    return std::from_chars(text.data(), text.data() + text.size(), value).ec == std::errc();
  };
  return parse(before, a) && parse(after, b) && std::abs(b - a) <= kAboutTolerance * std::abs(a);
}

std::string in_words(ResultKind kind) {
  switch (kind) {
    case ResultKind::kTimings:
      return "timings of a benchmark";
    case ResultKind::kCounters:
      return "counters of kernels";
    case ResultKind::kRun:
      return "a run";
    case ResultKind::kSweep:
      break;
  }
  return "a sweep store";
}

/// A file's content, by its kind.
struct Loaded {
  ResultKind kind = ResultKind::kTimings;
  BenchmarkFile benchmarks;
  nlohmann::ordered_json run;
  std::optional<SweepStore> store;
};

/// The first bytes of a file; none if it cannot be read.
std::string head_of(const std::filesystem::path& path) {
  std::string head(kSqliteMagic.size(), '\0');
  std::ifstream file(path, std::ios::binary);
  file.read(head.data(), static_cast<std::streamsize>(head.size()));
  head.resize(static_cast<std::size_t>(file.gcount()));
  return head;
}

Loaded load(const std::filesystem::path& path) {
  Loaded loaded;
  const auto fail = [&](const std::string& what, const std::string& hint) {
    return Error(ErrorKind::kBadInput, fmt::format("{}: {}", path.string(), what), hint);
  };
  if (head_of(path) == kSqliteMagic) {
    loaded.kind = ResultKind::kSweep;
    loaded.store.emplace(path);
    return loaded;
  }
  const std::string bytes = read_benchmark_text(path);
  if (bytes.starts_with(kZstdMagic) || bytes.find("\"kvsieve.run/1\"") != std::string::npos) {
    loaded.kind = ResultKind::kRun;
    loaded.run = read_run(path);
    return loaded;
  }
  if (bytes.find("\"kvsieve.sweep/1\"") != std::string::npos) {
    throw fail("is an exported sweep", "compare the stores themselves");
  }
  try {
    loaded.benchmarks = parse_benchmarks(bytes);
  } catch (const Error& error) {
    throw fail(error.what(), error.hint());
  }
  loaded.kind = loaded.benchmarks.counters ? ResultKind::kCounters : ResultKind::kTimings;
  return loaded;
}

bool has_metric(const BenchmarkFile& file, const std::string& metric) {
  return std::any_of(file.cases.begin(), file.cases.end(), [&](const BenchmarkCase& one) {
    const auto is_it = [&](const auto& entry) { return is_wanted(entry.first, {metric}); };
    return std::any_of(one.values.begin(), one.values.end(), is_it) ||
           std::any_of(one.stated_medians.begin(), one.stated_medians.end(), is_it);
  });
}

}  // namespace

std::vector<SetUpDifference> context_differences(const BenchmarkFile& before,
                                                 const BenchmarkFile& after) {
  std::map<std::string, std::string> old_values(before.context.begin(), before.context.end());
  std::map<std::string, std::string> new_values(after.context.begin(), after.context.end());
  std::set<std::string> paths;
  for (const auto* values : {&old_values, &new_values}) {
    for (const auto& [path, text] : *values) {
      paths.insert(path);
    }
  }
  std::vector<SetUpDifference> differences;
  for (const std::string& path : paths) {
    const std::string& a = old_values[path];
    const std::string& b = new_values[path];
    if (a == b || is_volatile(path) || is_about(path, a, b)) {
      continue;
    }
    const bool machine =
        std::any_of(kMachine.begin(), kMachine.end(),
                    [&](std::string_view parent) { return is_at_or_below(path, parent); });
    differences.push_back({path, a, b, machine});
  }
  std::stable_sort(differences.begin(), differences.end(),
                   [](const auto& a, const auto& b) { return a.machine > b.machine; });
  return differences;
}

void require_metrics(const BenchmarkFile& before, const BenchmarkFile& after,
                     const CompareOptions& options) {
  for (const std::string& metric : options.metrics) {
    if (!has_metric(before, metric) && !has_metric(after, metric)) {
      throw Error(ErrorKind::kUsage, fmt::format("neither file has a metric '{}'", metric));
    }
  }
}

void require_something(const ResultComparison& comparison, const CompareOptions& options) {
  if (comparison.matched.empty() && comparison.added.empty() && comparison.removed.empty()) {
    throw Error(ErrorKind::kUsage,
                options.filter.empty()
                    ? "the two have nothing to compare"
                    : fmt::format("no case has a name with '{}' in it", options.filter));
  }
}

ResultComparison compare_benchmarks(const BenchmarkFile& before, const BenchmarkFile& after,
                                    const CompareOptions& options) {
  ResultComparison comparison;
  comparison.kind = after.counters ? ResultKind::kCounters : ResultKind::kTimings;
  if (before.counters != after.counters) {
    throw Error(ErrorKind::kUsage, "timings and counters of kernels do not compare");
  }
  require_metrics(before, after, options);
  comparison.set_up = context_differences(before, after);
  CasePairs pairs = pair_cases(before, after, options.filter);
  if (after.counters) {
    compare_counters(pairs, options, comparison);
  } else {
    comparison.threshold = options.threshold;
    comparison.alpha = options.alpha;
    compare_timings(pairs, options, {}, comparison);
  }
  comparison.added = std::move(pairs.added);
  comparison.removed = std::move(pairs.removed);
  comparison.renamed = std::move(pairs.renamed);
  finish_comparison(comparison);
  require_something(comparison, options);
  return comparison;
}

ResultComparison compare_results(const std::filesystem::path& old_file,
                                 const std::filesystem::path& new_file,
                                 const CompareOptions& options) {
  const Loaded before = load(old_file);
  const Loaded after = load(new_file);
  if (before.kind != after.kind) {
    throw Error(ErrorKind::kUsage,
                fmt::format("{} holds {}, {} holds {}", old_file.string(), in_words(before.kind),
                            new_file.string(), in_words(after.kind)),
                "only results of one kind compare");
  }
  ResultComparison comparison;
  switch (before.kind) {
    case ResultKind::kTimings:
    case ResultKind::kCounters:
      comparison = compare_benchmarks(before.benchmarks, after.benchmarks, options);
      break;
    case ResultKind::kRun:
      compare_runs(before.run, after.run, options, comparison);
      break;
    case ResultKind::kSweep:
      compare_sweeps(*before.store, *after.store, options, comparison);
      break;
  }
  if (before.kind == ResultKind::kRun || before.kind == ResultKind::kSweep) {
    comparison.kind = before.kind;
    finish_comparison(comparison);
  }
  comparison.old_file = old_file.string();
  comparison.new_file = new_file.string();
  require_something(comparison, options);
  return comparison;
}

}  // namespace kvsieve::sim
