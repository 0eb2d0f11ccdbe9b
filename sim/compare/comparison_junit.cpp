#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "kvsieve/sim/comparison_report.h"
#include "report/clean_text.h"

namespace kvsieve::sim {
namespace {

std::string safe(std::string_view text) {
  return escape_xml(clean_text(text));
}

std::string describe(const ResultChange& change) {
  std::string text = fmt::format("{} {}", name_of(change.verdict), change.metric);
  if (change.case_name != change.group) {
    text += " of " + change.case_name;
  }
  text += fmt::format(" {}: {} to {}", change_text(change), value_text(change, change.before),
                      value_text(change, change.after));
  if (!change.reason.empty()) {
    text += " (" + change.reason + ")";
  }
  for (const LineChange& line : change.lines) {
    text += fmt::format("\n  {}:{}: {} to {}", line.file, line.line, line.before, line.after);
  }
  return text;
}

/// The text of several changes, each on lines of its own.
std::string describe_all(const std::vector<const ResultChange*>& changes) {
  std::string text;
  for (const ResultChange* change : changes) {
    const std::string one = describe(*change);
    for (std::size_t begin = 0; begin < one.size();) {
      const std::size_t end = std::min(one.find('\n', begin), one.size());
      text += safe(std::string_view(one).substr(begin, end - begin)) + "\n";
      begin = end + 1;
    }
  }
  return text;
}

class JunitWriter {
 public:
  explicit JunitWriter(std::string kind) : m_kind(std::move(kind)) {}

  /// @param result "failure", "skipped" or nothing
  void add(const std::string& name, const std::string& result, const std::string& message,
           const std::string& text) {
    ++m_tests;
    m_failures += result == "failure" ? 1 : 0;
    m_skipped += result == "skipped" ? 1 : 0;
    m_cases +=
        fmt::format("    <testcase classname=\"kvsieve.{}\" name=\"{}\"", m_kind, safe(name));
    if (!result.empty()) {
      m_cases += fmt::format(">\n      <{0} message=\"{1}\">{2}</{0}>\n    </testcase>\n", result,
                             safe(message), text);
    } else if (!text.empty()) {
      m_cases += fmt::format(">\n      <system-out>{}</system-out>\n    </testcase>\n", text);
    } else {
      m_cases += "/>\n";
    }
  }

  [[nodiscard]] std::string document() const {
    return fmt::format(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
        "<testsuites tests=\"{0}\" failures=\"{1}\" skipped=\"{2}\">\n"
        "  <testsuite name=\"kvsieve compare\" tests=\"{0}\" failures=\"{1}\" errors=\"0\" "
        "skipped=\"{2}\">\n{3}  </testsuite>\n</testsuites>\n",
        m_tests, m_failures, m_skipped, m_cases);
  }

 private:
  std::string m_kind;
  std::string m_cases;
  int m_tests = 0;
  int m_failures = 0;
  int m_skipped = 0;
};

}  // namespace

std::string comparison_junit(const ResultComparison& comparison, const GateRule& rule) {
  std::map<std::string, std::vector<const ResultChange*>> by_group;
  for (const ResultChange& change : comparison.changes) {
    if (change.verdict != ChangeVerdict::kSame) {
      by_group[change.group].push_back(&change);
    }
  }
  JunitWriter writer{std::string(name_of(comparison.kind))};
  bool any_failed = false;
  for (const std::string& name : comparison.matched) {
    const std::vector<const ResultChange*>& changes = by_group[name];
    std::string result;
    for (const ResultChange* change : changes) {
      if (fails(*change, rule)) {
        result = "failure";
      } else if (change->verdict == ChangeVerdict::kInconclusive && result.empty()) {
        result = "skipped";
      }
    }
    any_failed = any_failed || result == "failure";
    writer.add(name, result, changes.empty() ? "" : describe(*changes.front()),
               describe_all(changes));
  }
  const auto add_one_sided = [&](const std::string& name, bool failed, const std::string& how) {
    any_failed = any_failed || failed;
    writer.add(name, failed ? "failure" : "skipped", how, "");
  };
  for (const std::string& name : comparison.removed) {
    add_one_sided(name, rule.missing || rule.any, "removed");
  }
  for (const std::string& name : comparison.added) {
    add_one_sided(name, rule.added || rule.any, "added");
  }
  for (const RenamedCase& one : comparison.renamed) {
    if (rule.renamed || rule.any) {
      add_one_sided(one.before, true, "renamed to " + one.after);
    }
  }
  // Whoever reads this file alone must not take a comparison that judged nothing for a good one.
  if (const std::string failure = gate_failure(comparison, rule); !failure.empty() && !any_failed) {
    writer.add("the comparison", "failure", failure, "");
  }
  return writer.document();
}

}  // namespace kvsieve::sim
