#include "counters.h"

#include <set>

#include "exact_change.h"
#include "line_changes.h"

namespace kvsieve::sim {
namespace {

constexpr std::size_t kLinesShown = 5;

// What the format asks for and says nothing: nothing was timed.
bool is_timed(const std::string& metric) {
  return metric == "real_time" || metric == "cpu_time";
}

std::optional<double> count_of(const BenchmarkCase& one, const std::string& metric) {
  const auto found = one.values.find(metric);
  return found == one.values.end() || found->second.empty() ? std::nullopt
                                                            : std::optional(found->second.front());
}

}  // namespace

void compare_counters(const CasePairs& pairs, const CompareOptions& options,
                      ResultComparison& comparison) {
  for (const auto& [before, after] : pairs.pairs) {
    comparison.matched.push_back(after->name);
    ResultChange change{after->name, "error", after->name, ChangeVerdict::kSame, {}, {},
                        {},          {},      {}};
    if (!before->error.empty() || !after->error.empty()) {
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
      comparison.changes.push_back(change);
      continue;
    }
    std::set<std::string> metrics;
    for (const BenchmarkCase* one : {before, after}) {
      for (const auto& [metric, values] : one->values) {
        if (!is_timed(metric) && (options.metrics.empty() || is_wanted(metric, options.metrics))) {
          metrics.insert(metric);
        }
      }
    }
    std::optional<std::vector<LinePair>> lines;
    for (const std::string& metric : metrics) {
      change.metric = metric;
      change.before = count_of(*before, metric);
      change.after = count_of(*after, metric);
      change.undecidable = !change.before && !change.after;
      change.reason = change.undecidable ? "no number on either side" : "";
      change.verdict = change.undecidable ? ChangeVerdict::kInconclusive
                                          : exact_verdict(metric, change.before, change.after,
                                                          tolerance_of(metric, options));
      if (change.verdict == ChangeVerdict::kSame) {
        ++comparison.unchanged;
        continue;
      }
      if (!lines) {
        lines = pair_lines(before->lines, after->lines);
      }
      change.lines = line_changes(*lines, metric, kLinesShown);
      comparison.changes.push_back(change);
    }
  }
}

}  // namespace kvsieve::sim
