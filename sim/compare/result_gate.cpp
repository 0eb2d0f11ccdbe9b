#include "kvsieve/sim/result_gate.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "kvsieve/sim/number_text.h"
#include "kvsieve/traces/error.h"
#include "kvsieve/traces/json_fields.h"
#include "kvsieve/traces/nearest.h"

namespace kvsieve::sim {
namespace {

/// "global_load_sectors of gather/n:64 +100% (1,024 to 2,048) at gather.cuh:41".
std::string describe(const ResultChange& change) {
  std::string text = fmt::format("{} of {}", change.metric, change.case_name);
  if (change.before && change.after) {
    text += fmt::format(" {} ({} to {})", change_text(change), value_text(change, change.before),
                        value_text(change, change.after));
  }
  if (!change.reason.empty()) {
    text += ": " + change.reason;
  }
  if (!change.lines.empty()) {
    text += fmt::format(" at {}:{}", change.lines.front().file, change.lines.front().line);
  }
  return text;
}

/// Why no verdict stands on anything; empty if one does.
std::string nothing_judged(const ResultComparison& comparison) {
  if (comparison.matched.empty()) {
    return "nothing could be judged: no case is in both";
  }
  if (comparison.unchanged > 0 ||
      !std::all_of(comparison.changes.begin(), comparison.changes.end(),
                   [](const ResultChange& change) { return change.undecidable; })) {
    return {};
  }
  return "nothing could be judged: " + (comparison.changes.empty()
                                            ? "no value is in both"
                                            : describe(comparison.changes.front()));
}

/// "not the same machine or build: num_cpus is 2 before and 4 now"; empty if it is.
std::string other_machine(const ResultComparison& comparison) {
  const auto found = std::find_if(comparison.set_up.begin(), comparison.set_up.end(),
                                  [](const SetUpDifference& one) { return one.machine; });
  if (found == comparison.set_up.end()) {
    return {};
  }
  const auto shown = [](const std::string& text) { return text.empty() ? "not stated" : text; };
  return fmt::format("not the same machine or build: {} is {} before and {} now", found->what,
                     shown(found->before), shown(found->after));
}

}  // namespace

GateRule GateRule::parse(const std::vector<std::string>& words) {
  GateRule rule;
  const std::vector<std::pair<std::string, bool*>> known{
      {"regression", &rule.regression},    {"missing", &rule.missing}, {"added", &rule.added},
      {"renamed", &rule.renamed},          {"any", &rule.any},         {"none", &rule.none},
      {"inconclusive", &rule.inconclusive}};
  for (const std::string& word : words) {
    const auto found = std::find_if(known.begin(), known.end(),
                                    [&](const auto& entry) { return entry.first == word; });
    if (found == known.end()) {
      std::vector<std::string> names;
      for (const auto& [name, value] : known) {
        names.push_back(name);
      }
      const std::string near = traces::nearest(word, names);
      throw Error(ErrorKind::kUsage,
                  fmt::format("--fail-on '{}' is unknown", traces::printable(word)),
                  near.empty() ? fmt::format("supported: {}", fmt::join(names, ", "))
                               : fmt::format("did you mean {}?", near));
    }
    *found->second = true;
  }
  if (rule.none && words.size() > 1) {
    throw Error(ErrorKind::kUsage, "--fail-on none does not go with others");
  }
  return rule;
}

bool fails(const ResultChange& change, const GateRule& rule) {
  switch (change.verdict) {
    case ChangeVerdict::kWorse:
    case ChangeVerdict::kChanged:
      return rule.regression || rule.any;
    case ChangeVerdict::kInconclusive:
      return rule.inconclusive || rule.any;
    case ChangeVerdict::kMinor:
    case ChangeVerdict::kBetter:
      return rule.any;
    case ChangeVerdict::kSame:
      break;
  }
  return false;
}

std::string gate_failure(const ResultComparison& comparison, const GateRule& rule) {
  std::vector<std::string> parts;
  if (rule.same_machine) {
    if (std::string other = other_machine(comparison); !other.empty()) {
      parts.push_back(std::move(other));
    }
  }
  if (rule.none) {
    return parts.empty() ? std::string() : parts.front();
  }
  const auto add = [&](std::int64_t count, const std::string& noun) {
    if (count > 0) {
      parts.push_back(counted(count, noun));
    }
  };
  std::int64_t regressions = 0;
  std::int64_t others = 0;
  std::int64_t unclear = 0;
  for (std::size_t i = 0; i < kChangeVerdicts; ++i) {
    ResultChange one;
    one.verdict = static_cast<ChangeVerdict>(i);
    if (fails(one, rule)) {
      const bool is_regression =
          one.verdict == ChangeVerdict::kWorse || one.verdict == ChangeVerdict::kChanged;
      (is_regression                                 ? regressions
       : one.verdict == ChangeVerdict::kInconclusive ? unclear
                                                     : others) += comparison.counts[i];
    }
  }
  add(regressions, "regression");
  add(others, "other change");
  add(unclear, "inconclusive case");
  const auto add_names = [&](bool wanted, const std::vector<std::string>& names,
                             const std::string& how) {
    if ((wanted || rule.any) && !names.empty()) {
      parts.push_back(fmt::format("{} {}, {} first", names.size(), how, names.front()));
    }
  };
  add_names(rule.missing, comparison.removed, "removed");
  add_names(rule.added, comparison.added, "added");
  if ((rule.renamed || rule.any) && !comparison.renamed.empty()) {
    const RenamedCase& first = comparison.renamed.front();
    parts.push_back(fmt::format("{} renamed, {} to {} first", comparison.renamed.size(),
                                first.before, first.after));
  }
  if (parts.empty()) {
    return nothing_judged(comparison);
  }
  std::string text = fmt::format("{}", fmt::join(parts, "; "));
  const auto worst = std::find_if(comparison.changes.begin(), comparison.changes.end(),
                                  [&](const ResultChange& change) { return fails(change, rule); });
  if (worst != comparison.changes.end()) {
    text += "; worst: " + describe(*worst);
  }
  return text;
}

}  // namespace kvsieve::sim
