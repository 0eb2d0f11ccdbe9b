#include "sweep_results.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>
#include <unordered_map>

#include "case_filter.h"
#include "case_pairs.h"
#include "exact_change.h"
#include "flat_members.h"
#include "kvsieve/sim/metric_info.h"
#include "kvsieve/sim/sweep_row_fields.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::sim {
namespace {

constexpr std::size_t kMostListed = 100;  // changes of a metric
constexpr std::size_t kPageRows = 2000;

/// A store's rows one after the other.
class Rows {
 public:
  explicit Rows(const SweepStore& store) : m_store(store) { read(); }

  [[nodiscard]] bool at_end() const { return m_next == m_page.size(); }
  [[nodiscard]] const SweepRow& current() const { return m_page[m_next]; }
  void advance() {
    m_last = {m_page[m_next].number, m_page[m_next].key};
    if (++m_next == m_page.size()) {
      read();
    }
  }

 private:
  void read() {
    m_page = m_store.page_after(m_last, kPageRows);
    m_next = 0;
  }

  const SweepStore& m_store;
  std::optional<std::pair<std::int64_t, std::string>> m_last;
  std::vector<SweepRow> m_page;
  std::size_t m_next = 0;
};

/// Options in the order of their names: equal for equal points of sweeps defined otherwise.
std::string sorted_options(const SweepRow& row) {
  SweepRowFields fields;
  fields.read({row.number, {}, row.options, {}, {}});
  std::vector<SweepField> options(fields.options().begin(), fields.options().end());
  std::sort(options.begin(), options.end(),
            [](const SweepField& a, const SweepField& b) { return a.name < b.name; });
  std::string text;
  for (const SweepField& option : options) {
    text += fmt::format("{}={}\n", option.name, option.text());
  }
  return text;
}

/// The values of an axis, or an input's hash, by name.
std::map<std::string, std::string> parts_of(const SweepIdentity& identity) {
  std::map<std::string, std::string> parts{{"tool_version", identity.tool_version},
                                           {"isa", identity.isa}};
  for (const auto& [name, text] :
       {std::pair{"inputs", &identity.inputs}, std::pair{"definition", &identity.definition}}) {
    const nlohmann::json document = nlohmann::json::parse(*text, nullptr, false);
    if (document.is_object()) {
      for (const auto& [key, value] : document.items()) {
        parts[fmt::format("{}.{}", name, key)] =
            value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
      }
    }
  }
  return parts;
}

std::set<std::string> axes_of(const SweepIdentity& identity) {
  std::set<std::string> names;
  const nlohmann::json document = nlohmann::json::parse(identity.definition, nullptr, false);
  if (document.is_object() && document.contains("axes") && document["axes"].is_array()) {
    for (const nlohmann::json& axis : document["axes"]) {
      if (axis.is_object() && axis.contains("name") && axis["name"].is_string()) {
        names.insert(axis["name"].get<std::string>());
      }
    }
  }
  return names;
}

class SweepComparer {
 public:
  SweepComparer(const SweepStore& before, const SweepStore& after, const CompareOptions& options,
                ResultComparison& comparison)
      : m_before(before),
        m_after(after),
        m_options(options),
        m_keep(options.filter),
        m_axes(axes_of(after.identity())),
        m_comparison(comparison) {
    m_axes.merge(axes_of(before.identity()));
  }

  void compare() {
    add_set_up();
    pair_side_by_side();
    pair_by_sorted_options();
    list_leftovers();
    require_wanted();
    for (auto& [name, metric] : m_metrics) {
      if (metric.compared) {
        m_comparison.matched.push_back(name);
      }
      std::move(metric.worst.begin(), metric.worst.end(), std::back_inserter(m_comparison.changes));
    }
  }

 private:
  using Leftovers = std::unordered_multimap<std::string, SweepRow>;  // by their options
  /// What is known of a metric without looking it up again, and its worst changes.
  struct Metric {
    std::string name;
    bool compared = true;
    double tolerance = 0.0;
    std::optional<ParetoDirection> best;
    std::vector<ResultChange> worst;  // a heap with the least of them in front
  };

  void add_set_up() {
    const std::map<std::string, std::string> before = parts_of(m_before.identity());
    std::map<std::string, std::string> after = parts_of(m_after.identity());
    for (const auto& [name, text] : before) {
      if (const std::string other = after[name]; other != text) {
        m_comparison.set_up.push_back({name, text, other, false});
      }
      after.erase(name);
    }
    for (const auto& [name, text] : after) {
      m_comparison.set_up.push_back({name, "", text, false});
    }
  }

  /// Goes through both stores in the order of their numbers. Of equal sweeps each row meets its
  /// counterpart at once; others wait for it.
  void pair_side_by_side() {
    Rows before(m_before);
    Rows after(m_after);
    while (!before.at_end() || !after.at_end()) {
      if (!before.at_end() && !after.at_end() &&
          before.current().options == after.current().options) {
        compare_rows(before.current(), after.current());
        before.advance();
        after.advance();
      } else if (after.at_end() ||
                 (!before.at_end() && before.current().number <= after.current().number)) {
        meet(before.current(), m_only_after, m_only_before, true);
        before.advance();
      } else {
        meet(after.current(), m_only_before, m_only_after, false);
        after.advance();
      }
    }
  }

  /// Compares a row with its counterpart if that waits among `others`; else it waits, too.
  void meet(const SweepRow& row, Leftovers& others, Leftovers& own, bool is_before) {
    if (const auto found = others.find(row.options); found != others.end()) {
      is_before ? compare_rows(row, found->second) : compare_rows(found->second, row);
      others.erase(found);
    } else {
      own.emplace(row.options, row);
    }
  }

  /// What is left over may differ in the order of its options alone.
  void pair_by_sorted_options() {
    if (m_only_before.empty() || m_only_after.empty()) {
      return;
    }
    std::unordered_multimap<std::string, Leftovers::iterator> sorted;
    for (auto row = m_only_before.begin(); row != m_only_before.end(); ++row) {
      sorted.emplace(sorted_options(row->second), row);
    }
    for (auto row = m_only_after.begin(); row != m_only_after.end();) {
      const auto found = sorted.find(sorted_options(row->second));
      if (found == sorted.end()) {
        ++row;
        continue;
      }
      compare_rows(found->second->second, row->second);
      m_only_before.erase(found->second);
      sorted.erase(found);
      row = m_only_after.erase(row);
    }
  }

  /// Throws if a metric that is asked for is in no point.
  void require_wanted() const {
    if (m_comparison.points == 0) {
      return;
    }
    for (const std::string& wanted : m_options.metrics) {
      if (std::none_of(m_metrics.begin(), m_metrics.end(),
                       [&](const auto& metric) { return is_wanted(metric.first, {wanted}); })) {
        throw Error(ErrorKind::kUsage, fmt::format("no point has a metric '{}'", wanted));
      }
    }
  }

  void list_leftovers() {
    const auto list = [&](const Leftovers& rows, std::vector<std::string>& names) {
      std::map<std::int64_t, std::string> labels;
      for (const auto& [options, row] : rows) {
        if (m_options.filter.empty() || m_keep.keeps(label_of(row))) {
          labels.emplace(row.number, label_of(row));
        }
      }
      for (auto& [number, label] : labels) {
        names.push_back(std::move(label));
      }
    };
    list(m_only_before, m_comparison.removed);
    list(m_only_after, m_comparison.added);
  }

  void compare_rows(const SweepRow& before, const SweepRow& after) {
    if (!m_options.filter.empty() && !m_keep.keeps(label_of(after))) {
      return;
    }
    if (!before.error.empty() && !after.error.empty()) {
      ResultChange change = change_of(after, "error");
      change.verdict = ChangeVerdict::kInconclusive;
      change.reason = "fails on both sides: " + after.error;
      change.undecidable = true;
      add(std::move(change));
      return;
    }
    ++m_comparison.points;
    if (before.metrics == after.metrics && before.error == after.error) {
      note_metrics(after);
      ++m_comparison.unchanged;
      return;
    }
    if (before.error.empty() != after.error.empty()) {
      ResultChange change = change_of(after, "error");
      change.verdict = after.error.empty() ? ChangeVerdict::kBetter : ChangeVerdict::kWorse;
      change.reason =
          after.error.empty() ? "failed before: " + before.error : "fails now: " + after.error;
      add(std::move(change));
      note_metrics(after.error.empty() ? after : before);
      return;
    }
    compare_members(after, m_old_members.read(before), m_new_members.read(after));
  }

  /// Metrics of rows that are equal are matched, too. Which ones a row has depends on its method.
  void note_metrics(const SweepRow& row) {
    const std::vector<FlatMember>& members = m_new_members.read(row);
    for (std::size_t i = 0; i < members.size(); ++i) {
      metric_at(i, members[i].name);
    }
  }

  Metric& metric_of(std::string_view name) {
    if (const auto found = m_metrics.find(name); found != m_metrics.end()) {
      return found->second;
    }
    Metric& metric = m_metrics[std::string(name)];
    metric.name = name;
    metric.compared = m_options.metrics.empty() || is_wanted(name, m_options.metrics);
    metric.tolerance = tolerance_of(name, m_options);
    metric.best = metric_info(name).best;
    return metric;
  }

  /// The same of a member's place, at which most rows have the same metric.
  Metric& metric_at(std::size_t place, std::string_view name) {
    m_by_place.resize(std::max(m_by_place.size(), place + 1), nullptr);
    Metric*& metric = m_by_place[place];
    if (metric == nullptr || metric->name != name) {
      metric = &metric_of(name);
    }
    return *metric;
  }

  void compare_members(const SweepRow& row, const std::vector<FlatMember>& before,
                       const std::vector<FlatMember>& after) {
    for (std::size_t i = 0; i < after.size(); ++i) {
      compare_member(row, metric_at(i, after[i].name), counterpart(before, after[i].name, i),
                     &after[i]);
    }
    for (std::size_t i = 0; i < before.size(); ++i) {
      if (counterpart(after, before[i].name, i) == nullptr) {
        compare_member(row, metric_of(before[i].name), &before[i], nullptr);
      }
    }
  }

  /// The member of a name, most likely at the same place.
  static const FlatMember* counterpart(const std::vector<FlatMember>& members,
                                       std::string_view name, std::size_t place) {
    if (place < members.size() && members[place].name == name) {
      return &members[place];
    }
    const auto found = std::find_if(members.begin(), members.end(),
                                    [&](const FlatMember& member) { return member.name == name; });
    return found == members.end() ? nullptr : &*found;
  }

  void compare_member(const SweepRow& row, Metric& metric, const FlatMember* before,
                      const FlatMember* after) {
    if (!metric.compared) {
      return;
    }
    if (before != nullptr && after != nullptr && before->value == after->value) {
      ++m_comparison.unchanged;
      return;
    }
    const auto number = [](const FlatMember* member) {
      return member == nullptr ? std::nullopt : member->number();
    };
    const std::optional<double> old_value = number(before);
    const std::optional<double> new_value = number(after);
    const bool is_text = (before != nullptr && !old_value) || (after != nullptr && !new_value);
    const ChangeVerdict verdict =
        is_text ? ChangeVerdict::kChanged
                : exact_verdict(metric.best, old_value, new_value, metric.tolerance);
    if (verdict == ChangeVerdict::kSame) {
      ++m_comparison.unchanged;
      return;
    }
    ResultChange change;
    change.verdict = verdict;
    change.before = old_value;
    change.after = new_value;
    // Most changes of a large sweep are not among the worst: no need to name their points.
    if (metric.worst.size() == kMostListed && !is_worse(change, metric.worst.front())) {
      ++m_comparison.counts[static_cast<std::size_t>(verdict)];
      return;
    }
    change.metric = metric.name;
    change.group = metric.name;
    change.case_name = label_of(row);
    if (is_text) {
      change.reason = fmt::format("{} before, {} now", before == nullptr ? "-" : before->value,
                                  after == nullptr ? "-" : after->value);
    }
    add(std::move(change));
  }

  static bool is_worse(const ResultChange& a, const ResultChange& b) {
    const auto size = [](const ResultChange& change) {
      const std::optional<double> relative = change.relative();
      return relative ? std::abs(*relative) : std::numeric_limits<double>::infinity();
    };
    return std::tuple(a.verdict, -size(a)) < std::tuple(b.verdict, -size(b));
  }

  [[nodiscard]] ResultChange change_of(const SweepRow& row, const std::string& metric) {
    return {label_of(row), metric, metric, ChangeVerdict::kSame, {}, {}, {}, {}, {}};
  }

  /// Keeps the worst changes of a metric; counts each.
  void add(ResultChange change) {
    ++m_comparison.counts[static_cast<std::size_t>(change.verdict)];
    std::vector<ResultChange>& worst = metric_of(change.group).worst;
    worst.push_back(std::move(change));
    std::push_heap(worst.begin(), worst.end(), is_worse);
    if (worst.size() > kMostListed) {
      std::pop_heap(worst.begin(), worst.end(), is_worse);
      worst.pop_back();
    }
  }

  /// "budget=20% method=snapkv": the axes' values, or all options of a store without axes.
  const std::string& label_of(const SweepRow& row) {
    if (row.key == m_labelled && !m_label.empty()) {
      return m_label;
    }
    m_label_fields.read({row.number, {}, row.options, {}, {}});
    std::string axes;
    std::string all;
    for (const SweepField& option : m_label_fields.options()) {
      const std::string text = fmt::format("{}={}", option.name, option.text());
      all += (all.empty() ? "" : " ") + text;
      if (m_axes.contains(option.name)) {
        axes += (axes.empty() ? "" : " ") + text;
      }
    }
    m_labelled = row.key;
    m_label = axes.empty() ? all : axes;
    return m_label;
  }

  const SweepStore& m_before;
  const SweepStore& m_after;
  const CompareOptions& m_options;
  CaseFilter m_keep;
  std::set<std::string> m_axes;
  ResultComparison& m_comparison;
  Leftovers m_only_before;
  Leftovers m_only_after;
  std::map<std::string, Metric, std::less<>> m_metrics;
  std::vector<Metric*> m_by_place;
  FlatMembers m_old_members;
  FlatMembers m_new_members;
  SweepRowFields m_label_fields;
  std::string m_labelled;  // the key of the row that m_label is of
  std::string m_label;
};

}  // namespace

void compare_sweeps(const SweepStore& before, const SweepStore& after,
                    const CompareOptions& options, ResultComparison& comparison) {
  SweepComparer(before, after, options, comparison).compare();
}

}  // namespace kvsieve::sim
