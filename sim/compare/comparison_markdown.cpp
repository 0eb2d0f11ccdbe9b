#include <fmt/format.h>

#include <algorithm>

#include "kvsieve/sim/comparison_report.h"
#include "kvsieve/sim/number_text.h"
#include "report/clean_text.h"

namespace kvsieve::sim {
namespace {

std::string safe(std::string_view text) {
  return escape_markdown(clean_text(text));
}

void add_names(const std::vector<std::string>& names, const char* how, std::size_t most,
               std::string& text) {
  if (names.empty()) {
    return;
  }
  text += fmt::format("\n**{}** ({}):", how, names.size());
  for (std::size_t i = 0; i < std::min(names.size(), most); ++i) {
    text += fmt::format("{} {}", i == 0 ? "" : ",", safe(names[i]));
  }
  text += names.size() > most ? fmt::format(", and {} more\n", names.size() - most) : "\n";
}

}  // namespace

std::string comparison_summary(const ResultComparison& comparison) {
  std::string text;
  const auto add = [&](const std::string& part) { text += (text.empty() ? "" : ", ") + part; };
  for (std::size_t i = 0; i < kChangeVerdicts; ++i) {
    if (comparison.counts[i] > 0) {
      add(fmt::format("{} {}", grouped(comparison.counts[i]),
                      name_of(static_cast<ChangeVerdict>(i))));
    }
  }
  if (text.empty()) {
    add("no difference");
  }
  for (const auto& [count, how] : {std::pair{comparison.added.size(), "added"},
                                   std::pair{comparison.removed.size(), "removed"},
                                   std::pair{comparison.renamed.size(), "renamed"}}) {
    if (count > 0) {
      add(fmt::format("{} {}", count, how));
    }
  }
  const std::string of = comparison.kind == ResultKind::kSweep
                             ? fmt::format("{} with {}", counted(comparison.points, "point"),
                                           counted(std::ssize(comparison.matched), "metric"))
                             : counted(std::ssize(comparison.matched),
                                       comparison.kind == ResultKind::kRun ? "part" : "case");
  return fmt::format("{}; {} in both", text, of);
}

std::string comparison_markdown(const ResultComparison& comparison, const GateRule& rule,
                                std::size_t most) {
  const std::string failure = gate_failure(comparison, rule);
  const bool regressed =
      comparison.count(ChangeVerdict::kWorse) + comparison.count(ChangeVerdict::kChanged) > 0;
  // What got worse does so, too, where the rule lets it pass.
  std::string text = fmt::format("### {} {}\n\n{}\n",
                                 !failure.empty() ? "❌"
                                 : regressed      ? "⚠️"
                                                  : "✅",
                                 regressed          ? "Regression"
                                 : !failure.empty() ? "Failed"
                                                    : "No regression",
                                 comparison_summary(comparison));
  if (!failure.empty()) {
    text += fmt::format("\n**{}**\n", safe(failure));
  }
  for (const std::string& warning : comparison.warnings) {
    text += fmt::format("\n⚠️ {}\n", safe(warning));
  }
  const bool timings = comparison.kind == ResultKind::kTimings;
  std::vector<const ResultChange*> shown;
  for (const ResultChange& change : comparison.changes) {
    if (change.verdict != ChangeVerdict::kSame) {
      shown.push_back(&change);
    }
  }
  if (!shown.empty()) {
    text += timings ? "\n| verdict | case | metric | old | new | change | interval | p | |\n"
                      "| --- | --- | --- | ---: | ---: | ---: | --- | ---: | --- |\n"
                    : "\n| verdict | case | metric | old | new | change | |\n"
                      "| --- | --- | --- | ---: | ---: | ---: | --- |\n";
  }
  for (std::size_t i = 0; i < std::min(shown.size(), most); ++i) {
    const ResultChange& change = *shown[i];
    text += fmt::format("| {}{} | {} | {} | {} | {} | {} |", fails(change, rule) ? "❌ " : "",
                        name_of(change.verdict), safe(change.case_name), safe(change.metric),
                        value_text(change, change.before), value_text(change, change.after),
                        safe(change_text(change)));
    if (timings) {
      text += fmt::format(" {} | {} |", safe(interval_text(change, " to ")),
                          change.timing ? significant(change.timing->adjusted_p, 2) : "");
    }
    text += fmt::format(" {} |\n", safe(remark_text(change)));
  }
  if (shown.size() > most) {
    text += fmt::format("\n{} more changes are not shown.\n", shown.size() - most);
  }
  add_names(comparison.added, "Added", most, text);
  add_names(comparison.removed, "Removed", most, text);
  std::vector<std::string> renamed;
  for (const RenamedCase& one : comparison.renamed) {
    renamed.push_back(one.before + " → " + one.after);
  }
  add_names(renamed, "Renamed", most, text);
  for (const HistoryStep& step : comparison.steps) {
    text += fmt::format("\n{}\n", safe(step_text(step)));
  }
  if (!comparison.set_up.empty()) {
    text +=
        "\n<details><summary>Set-up differs</summary>\n\n| | old | new |\n| --- | --- | --- |\n";
    for (const SetUpDifference& difference : comparison.set_up) {
      text +=
          fmt::format("| {} | {} | {} |\n", safe(difference.what),
                      safe(shorten(difference.before, 200)), safe(shorten(difference.after, 200)));
    }
    text += "\n</details>\n";
  }
  return text;
}

}  // namespace kvsieve::sim
