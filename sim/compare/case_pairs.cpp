#include "case_pairs.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>
#include <unordered_map>

#include "case_filter.h"
#include "case_name.h"
#include "kvsieve/sim/rank_test.h"
#include "kvsieve/traces/nearest.h"

namespace kvsieve::sim {
namespace {

/// Names are similar below this share of changed characters.
constexpr double kSimilar = 0.4;
// Beyond, pairing the leftovers would take long, and nobody renamed so many by hand.
constexpr std::size_t kMostLeftovers = 4000;

struct Leftover {
  const BenchmarkCase* one;
  CaseName name;
};

/// Edit distance over the longer length.
double name_distance(std::string_view a, std::string_view b) {
  const std::size_t longer = std::max(a.size(), b.size());
  return longer == 0
             ? 0.0
             : static_cast<double>(traces::edit_distance(a, b)) / static_cast<double>(longer);
}

std::vector<std::string> parameter_values(const CaseName& name) {
  std::vector<std::string> values = name.positional;
  for (const auto& [key, value] : name.parameters) {
    values.push_back(value);
  }
  std::sort(values.begin(), values.end());
  return values;
}

/// How unlike two names are; infinite where they cannot be one case.
double unlikeness(const CaseName& a, const CaseName& b) {
  const bool same_parameters = a.parameter_key() == b.parameter_key();
  const bool same_values = a.operation == b.operation && parameter_values(a) == parameter_values(b);
  const double distance =
      same_parameters ? name_distance(a.operation, b.operation) : name_distance(a.key(), b.key());
  return (same_parameters || same_values) && distance < kSimilar
             ? distance
             : std::numeric_limits<double>::infinity();
}

/// How far apart what was measured lies: the mean size of the logarithm of ratios.
double value_distance(const BenchmarkCase& a, const BenchmarkCase& b) {
  double sum = 0.0;
  double count = 0.0;
  for (const auto& [metric, values] : a.values) {
    const auto found = b.values.find(metric);
    if (found == b.values.end()) {
      continue;
    }
    const double before = median_of(values);
    const double after = median_of(found->second);
    count += 1.0;
    sum += before == after               ? 0.0
           : before > 0.0 && after > 0.0 ? std::abs(std::log(after / before))
                                         : 1.0;
  }
  return count > 0.0 ? sum / count : std::numeric_limits<double>::infinity();
}

/// Pairs what is alike, the most similar first, and takes it out of both lists.
std::vector<std::pair<const BenchmarkCase*, const BenchmarkCase*>> pair_renamed(
    std::vector<Leftover>& removed, std::vector<Leftover>& added) {
  struct Candidate {
    double unlike;
    double distance;
    std::size_t before;
    std::size_t after;
  };
  std::vector<Candidate> candidates;
  if (removed.size() > kMostLeftovers || added.size() > kMostLeftovers) {
    return {};
  }
  for (std::size_t i = 0; i < removed.size(); ++i) {
    for (std::size_t j = 0; j < added.size(); ++j) {
      const double unlike = unlikeness(removed[i].name, added[j].name);
      if (std::isfinite(unlike)) {
        candidates.push_back({unlike, value_distance(*removed[i].one, *added[j].one), i, j});
      }
    }
  }
  std::stable_sort(candidates.begin(), candidates.end(), [](const auto& a, const auto& b) {
    return std::tie(a.unlike, a.distance) < std::tie(b.unlike, b.distance);
  });
  std::vector<bool> before_used(removed.size(), false);
  std::vector<bool> after_used(added.size(), false);
  std::vector<std::pair<const BenchmarkCase*, const BenchmarkCase*>> pairs;
  for (const Candidate& candidate : candidates) {
    if (!before_used[candidate.before] && !after_used[candidate.after]) {
      before_used[candidate.before] = true;
      after_used[candidate.after] = true;
      pairs.emplace_back(removed[candidate.before].one, added[candidate.after].one);
    }
  }
  const auto keep_unused = [](std::vector<Leftover>& list, const std::vector<bool>& used) {
    std::size_t place = 0;
    std::erase_if(list, [&](const Leftover&) { return used[place++]; });
  };
  keep_unused(removed, before_used);
  keep_unused(added, after_used);
  return pairs;
}

}  // namespace

CasePairs pair_cases(const BenchmarkFile& before, const BenchmarkFile& after,
                     const std::string& filter) {
  std::unordered_multimap<std::string, std::size_t> by_key;
  // Backwards, so that of equal keys the first case is found first.
  for (std::size_t i = before.cases.size(); i-- > 0;) {
    by_key.emplace(parse_case_name(before.cases[i].name).key(), i);
  }
  std::vector<bool> used(before.cases.size(), false);
  CasePairs result;
  std::vector<Leftover> added;
  for (const BenchmarkCase& one : after.cases) {
    CaseName name = parse_case_name(one.name);
    if (const auto found = by_key.find(name.key()); found != by_key.end()) {
      used[found->second] = true;
      result.pairs.emplace_back(&before.cases[found->second], &one);
      by_key.erase(found);
    } else {
      added.push_back({&one, std::move(name)});
    }
  }
  std::vector<Leftover> removed;
  for (std::size_t i = 0; i < before.cases.size(); ++i) {
    if (!used[i]) {
      removed.push_back({&before.cases[i], parse_case_name(before.cases[i].name)});
    }
  }
  // Before filtering: a name that moved out of the filter's reach was renamed, not removed.
  for (const auto& pair : pair_renamed(removed, added)) {
    result.renamed.push_back({pair.first->name, pair.second->name});
    result.pairs.push_back(pair);
  }
  const CaseFilter keep(filter);
  std::erase_if(result.pairs, [&](const auto& pair) {
    return !keep.keeps(pair.first->name) && !keep.keeps(pair.second->name);
  });
  std::erase_if(result.renamed, [&](const RenamedCase& one) {
    return !keep.keeps(one.before) && !keep.keeps(one.after);
  });
  for (const auto& [list, names] :
       {std::pair{&added, &result.added}, std::pair{&removed, &result.removed}}) {
    for (const Leftover& leftover : *list) {
      if (keep.keeps(leftover.one->name)) {
        names->push_back(leftover.one->name);
      }
    }
  }
  return result;
}

bool is_wanted(std::string_view metric, const std::vector<std::string>& wanted) {
  const std::string_view last = metric.substr(metric.rfind('/') + 1);
  return std::any_of(wanted.begin(), wanted.end(),
                     [&](const std::string& one) { return one == metric || one == last; });
}

}  // namespace kvsieve::sim
