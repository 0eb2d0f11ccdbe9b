#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "arguments.h"
#include "kvsieve/sim/compare_results.h"
#include "kvsieve/sim/comparison_report.h"
#include "kvsieve/sim/number_text.h"
#include "kvsieve/sim/result_gate.h"
#include "kvsieve/sim/result_history.h"
#include "kvsieve/traces/error.h"
#include "kvsieve/traces/output_file.h"
#include "output_path.h"
#include "terminal.h"
#include "verb.h"

namespace po = boost::program_options;

namespace kvsieve::cli {
namespace {

constexpr std::size_t kNamesShown = 10;

/// "5%" or "0.05", from 0 to below `most`; from 1 on it has to say so in per cent, as "5" means 5%.
double parse_share(const std::string& option, const std::string& text, double most) {
  const bool percent = text.ends_with('%');
  const char* end = text.data() + text.size() - (percent ? 1 : 0);
  double value = 0.0;
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  value /= percent ? 100.0 : 1.0;
  if (error != std::errc() || stop != end || !(value >= 0.0 && value < most)) {
    throw Error(ErrorKind::kUsage,
                fmt::format("{} '{}', expected a share such as 5% or 0.05", option, text));
  }
  if (!percent && value >= 1.0) {
    throw Error(ErrorKind::kUsage,
                fmt::format("{} '{}' is {:g}%, expected below 1 or with a percent sign", option,
                            text, 100.0 * value),
                fmt::format("did you mean {}%?", text));
  }
  return value;
}

sim::NoiseRule parse_noise(const std::string& text) {
  if (text == "auto") {
    return {sim::NoiseRule::Kind::kAuto, 0.0};
  }
  if (text == "none") {
    return {sim::NoiseRule::Kind::kNone, 0.0};
  }
  return {sim::NoiseRule::Kind::kFixed,
          parse_share("--noise is auto, none or a share, not", text, 10.0)};
}

/// "l1_loss=0.1%", or "1e-9" for all metrics.
sim::Tolerance parse_tolerance(const std::string& text) {
  const std::size_t equals = text.rfind('=');
  const std::string metric = equals == std::string::npos ? "" : text.substr(0, equals);
  const std::string share = equals == std::string::npos ? text : text.substr(equals + 1);
  return {metric, parse_share("--tolerance", share, 10.0)};
}

/// The file that every output goes to, by the option that asks for it.
struct Outputs {
  std::string json;
  std::string markdown;
  std::string junit;
  std::string github;
  bool force = false;
};

void print_names(const std::vector<std::string>& names, const char* how) {
  for (std::size_t i = 0; i < std::min(names.size(), kNamesShown); ++i) {
    std::cout << fmt::format("{}: {}\n", how, one_line(names[i]));
  }
  if (names.size() > kNamesShown) {
    std::cout << fmt::format("{}: {} more\n", how, names.size() - kNamesShown);
  }
}

void print_table(const sim::ResultComparison& comparison, bool all) {
  const bool timings = comparison.kind == sim::ResultKind::kTimings;
  std::vector<std::string> header{"verdict", "case", "metric", "old", "new", "change"};
  if (timings) {
    header.insert(header.end(), {"interval", "p"});
  }
  header.emplace_back("remark");
  Table table(header);
  bool empty = true;
  for (const sim::ResultChange& change : comparison.changes) {
    if (change.verdict == sim::ChangeVerdict::kSame && !all) {
      continue;
    }
    empty = false;
    std::vector<std::string> row{std::string(name_of(change.verdict)),
                                 one_line(change.case_name),
                                 one_line(change.metric),
                                 value_text(change, change.before),
                                 value_text(change, change.after),
                                 change_text(change)};
    if (timings) {
      row.push_back(interval_text(change, ".."));
      row.push_back(change.timing ? sim::significant(change.timing->adjusted_p, 2) : "");
    }
    row.push_back(one_line(remark_text(change)));
    table.add(row);
  }
  if (!empty) {
    std::cout << table.text() << "\n";
  }
  print_names(comparison.added, "added");
  print_names(comparison.removed, "removed");
  for (const sim::RenamedCase& one : comparison.renamed) {
    std::cout << fmt::format("renamed: {} to {}\n", one_line(one.before), one_line(one.after));
  }
  for (const sim::HistoryStep& step : comparison.steps) {
    std::cout << fmt::format("step: {} (p {})\n", one_line(step_text(step)),
                             sim::significant(step.p, 2));
  }
  std::cout << sim::comparison_summary(comparison) << "\n";
}

void warn_of_set_up(sim::ResultComparison& comparison) {
  const bool timings = comparison.kind == sim::ResultKind::kTimings;
  for (const sim::SetUpDifference& difference : comparison.set_up) {
    const auto shown = [](const std::string& text) {
      return text.empty() ? std::string("not stated") : one_line(text).substr(0, 120);
    };
    const std::string text = fmt::format("{} differs: {} before, {} now", one_line(difference.what),
                                         shown(difference.before), shown(difference.after));
    if (difference.machine && timings) {
      comparison.warnings.push_back("OTHER MACHINE OR BUILD, timings do not compare: " + text);
    } else {
      warn(text);  // reports list it anyway
    }
  }
  for (const std::string& warning : comparison.warnings) {
    warn(warning);
  }
}

/// A comparison that passes must not hide that it could not tell.
void warn_of_inconclusive(const sim::ResultComparison& comparison) {
  const std::int64_t count = comparison.count(sim::ChangeVerdict::kInconclusive);
  const auto first = std::find_if(comparison.changes.begin(), comparison.changes.end(),
                                  [](const sim::ResultChange& change) {
                                    return change.verdict == sim::ChangeVerdict::kInconclusive;
                                  });
  if (first != comparison.changes.end()) {
    // Of a sweep only what failed on both sides is inconclusive, which its points leave out.
    const bool sweep = comparison.kind == sim::ResultKind::kSweep;
    warn(one_line(fmt::format("{} of {} inconclusive, {} first: {}", count,
                              sweep ? sim::counted(comparison.points + count, "point")
                                    : sim::counted(std::ssize(comparison.matched), "case"),
                              first->case_name, first->reason)));
  }
}

void write_outputs(const sim::ResultComparison& comparison, const sim::GateRule& rule,
                   const Outputs& outputs) {
  const auto write = [&](const std::string& path, const auto& text) {
    if (!path.empty()) {
      traces::write_file(path, text(), outputs.force);
    }
  };
  write(outputs.json, [&] {
    return to_json(comparison, rule)
               .dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) +
           "\n";
  });
  write(outputs.markdown, [&] { return sim::comparison_markdown(comparison, rule); });
  write(outputs.junit, [&] { return sim::comparison_junit(comparison, rule); });
  write(outputs.github, [&] {
    return sim::comparison_annotations(comparison, rule, std::filesystem::current_path());
  });
}

void print(const sim::ResultComparison& comparison, const sim::GateRule& rule,
           const std::string& format, bool all) {
  if (format == "json") {
    std::cout << to_json(comparison, rule)
                     .dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace)
              << "\n";
  } else if (format == "md") {
    std::cout << sim::comparison_markdown(comparison, rule);
  } else if (format == "junit") {
    std::cout << sim::comparison_junit(comparison, rule);
  } else if (format == "github") {
    std::cout << sim::comparison_annotations(comparison, rule, std::filesystem::current_path());
  } else {
    print_table(comparison, all);
  }
}

/// Why later results could not be compared with this case; empty if they could.
std::string unusable(const sim::BenchmarkCase& one, bool counters) {
  if (!one.error.empty()) {
    return "failed: " + one.error;
  }
  if (one.repetitions == 0) {
    return "has no repetitions";
  }
  const std::string_view time = one.real_time ? "real_time" : "cpu_time";
  for (const auto& [metric, values] : one.values) {
    if (!counters && metric != time) {
      continue;
    }
    if (const std::size_t lacking = one.lacking(metric); lacking > 0) {
      return fmt::format("has no {} in {} of {}", metric, lacking,
                         sim::counted(static_cast<std::int64_t>(one.repetitions), "repetition"));
    }
    if (!counters && *std::min_element(values.begin(), values.end()) <= 0.0) {
      return fmt::format("has a {} that is not above 0", metric);
    }
  }
  return counters || one.values.find(time) != one.values.end() ? std::string()
                                                               : fmt::format("has no {}", time);
}

/// Throws if later results could not be compared with this one.
void require_usable(const sim::BenchmarkFile& now, const std::string& file) {
  for (const sim::BenchmarkCase& one : now.cases) {
    if (const std::string why = unusable(one, now.counters); !why.empty()) {
      throw Error(ErrorKind::kCheckFailed, one_line(fmt::format("{}: no history begins with it: "
                                                                "{} {}",
                                                                file, one.name, why)));
    }
  }
}

/// Throws for an output that would be read as a result of a folder.
void check_apart(const Outputs& outputs, const std::vector<std::string>& inputs) {
  for (const std::string& path : {outputs.json, outputs.markdown, outputs.junit, outputs.github}) {
    if (std::filesystem::path(path).extension() != ".json") {
      continue;
    }
    const std::filesystem::path folder = std::filesystem::absolute(path).parent_path();
    for (const std::string& input : inputs) {
      std::error_code missing;
      if (std::filesystem::equivalent(folder, input, missing)) {
        throw Error(ErrorKind::kUsage,
                    fmt::format("{}: all .json files in {} are read as results", path, input),
                    "write reports elsewhere");
      }
    }
  }
}

/// Compares with a folder of earlier results. @param update whether the result joins them
sim::ResultComparison compare_with_history(const sim::ResultHistory& history,
                                           const std::string& folder, const std::string& file,
                                           const sim::BenchmarkFile& now,
                                           const sim::CompareOptions& options, std::size_t runs,
                                           bool update) {
  sim::ResultComparison comparison;
  if (update && !history.has_comparable(now)) {
    require_usable(now, file);
    comparison.kind = now.counters ? sim::ResultKind::kCounters : sim::ResultKind::kTimings;
    comparison.old_file = folder;
    comparison.threshold = options.threshold;
    comparison.alpha = options.alpha;
    for (const sim::BenchmarkCase& one : now.cases) {
      comparison.added.push_back(one.name);
    }
    comparison.warnings.push_back(
        fmt::format("{} has no result of this machine and kind yet: nothing is compared", folder));
  } else {
    comparison = history.compare(now, options, runs);
  }
  comparison.new_file = file;
  return comparison;
}

}  // namespace

int run_compare(const std::vector<std::string>& words) {
  std::string threshold = "5%";
  std::string alpha = "0.01";
  std::string noise = "auto";
  std::string format = "table";
  std::string history_folder;
  std::vector<std::string> fail_on;
  std::vector<std::string> tolerances;
  std::vector<std::string> metrics;
  sim::CompareOptions options;
  Outputs outputs;
  bool all = false;
  bool same_machine = false;
  bool update = false;
  Arguments arguments(
      "compare OLD NEW [options]",
      "Compares two results of one kind, worst change first: benchmarks' timings (Google "
      "Benchmark's\n"
      "JSON, any program's) by rank tests on their repetitions, kernels' counters, runs and "
      "sweep\n"
      "stores exactly or within a tolerance. A folder counts as one file of all the JSON in it.\n"
      "Exit code 1 if something fails (docs/compare.md).",
      {"kvsieve compare old.json new.json --threshold 5%",
       "kvsieve compare old.json new.json --fail-on regression --fail-on missing --junit gate.xml",
       "kvsieve compare old.db new.db --tolerance 1e-9 --tolerance l1_loss=0.1%",
       "kvsieve compare new.json --against-history results --update"});
  arguments.options("Timings")("threshold", po::value(&threshold)->default_value(threshold),
                               "smallest change that counts, a share or percentage")(
      "alpha", po::value(&alpha)->default_value(alpha),
      "chance that a file in which nothing changed raises an alarm")(
      "noise", po::value(&noise)->default_value(noise),
      "auto: raise the threshold by what the repetitions scatter; none; or a share")(
      "require-same-machine", po::bool_switch(&same_machine),
      "fail if machine, instruction set, compiler or flags differ");
  arguments.options("What to compare")("tolerance", po::value(&tolerances)->composing(),
                                       "METRIC=SHARE, or SHARE for all: differences up to it do "
                                       "not count; not for timings; may repeat")(
      "metric", po::value(&metrics)->composing(),
      "compare this metric only; may repeat. Without it all, but of timings the time that Google "
      "Benchmark goes by: real_time where the name says so or kvsieve measured, else cpu_time")(
      "filter", po::value(&options.filter), "compare cases whose name this expression is found in");
  arguments.options("Verdict")(
      "fail-on", po::value(&fail_on)->composing(),
      "regression (the default; name it beside others), missing, added, renamed, inconclusive, any "
      "or none; may repeat");
  arguments.options("History")("against-history", po::value(&history_folder),
                               "compare with the earlier results in this folder, one JSON file "
                               "each, instead of OLD")(
      "history-runs", po::value<std::int64_t>()->default_value(10),
      "earlier results that timings are compared with together")(
      "update", po::bool_switch(&update), "add NEW to the folder if it passes")(
      "history-keep", po::value<std::int64_t>()->default_value(50),
      "results that --update leaves in the folder");
  arguments.options("Output")("format", po::value(&format)->default_value(format),
                              "table, json, md, junit or github (annotations)")(
      "all", po::bool_switch(&all), "show cases that did not change, too")(
      "json", po::value(&outputs.json), "also write JSON to this file")(
      "markdown", po::value(&outputs.markdown), "also write Markdown to this file")(
      "junit", po::value(&outputs.junit), "also write JUnit XML to this file")(
      "github", po::value(&outputs.github), "also write GitHub's annotations to this file")(
      "force", po::bool_switch(&outputs.force), "replace existing output files");
  arguments.positional("result", 2);
  if (!arguments.parse(words)) {
    return 0;
  }
  const std::vector<std::string> results = arguments.list("result");
  const std::string usage = "usage: kvsieve compare OLD NEW, or NEW --against-history DIR";
  if (results.size() != (history_folder.empty() ? 2 : 1)) {
    throw Error(
        ErrorKind::kUsage,
        history_folder.empty() ? "two results are needed" : "--against-history takes one result",
        usage);
  }
  for (const char* option : {"update", "history-runs", "history-keep"}) {
    if (history_folder.empty() && arguments.given(option)) {
      throw Error(ErrorKind::kUsage, fmt::format("--{} goes with --against-history", option),
                  usage);
    }
  }
  for (const char* option : {"filter", "metric"}) {
    if (update && arguments.given(option)) {
      throw Error(ErrorKind::kUsage, fmt::format("--update does not go with --{}", option),
                  "the whole result joins the history, so all of it is judged");
    }
  }
  if (format != "table" && format != "json" && format != "md" && format != "junit" &&
      format != "github") {
    throw Error(ErrorKind::kUsage, fmt::format("--format '{}' is unknown", format),
                "supported: table, json, md, junit, github");
  }
  options.threshold = parse_share("--threshold", threshold, 10.0);
  options.alpha = parse_share("--alpha", alpha, 1.0);
  if (options.alpha <= 0.0) {
    throw Error(ErrorKind::kUsage, "--alpha is 0, expected more: nothing would ever count");
  }
  options.noise = parse_noise(noise);
  options.metrics = metrics;
  std::transform(tolerances.begin(), tolerances.end(), std::back_inserter(options.tolerances),
                 parse_tolerance);
  const auto runs = static_cast<std::size_t>(arguments.at_least(1, "history-runs"));
  const auto keep = static_cast<std::size_t>(arguments.at_least(1, "history-keep"));
  sim::GateRule rule =
      sim::GateRule::parse(fail_on.empty() ? std::vector<std::string>{"regression"} : fail_on);
  rule.same_machine = same_machine;
  std::vector<std::string> folders = results;
  folders.push_back(history_folder);
  check_apart(outputs, folders);
  check_outputs({outputs.json, outputs.markdown, outputs.junit, outputs.github}, outputs.force,
                results);

  std::optional<sim::ResultHistory> history;
  sim::BenchmarkFile now;
  sim::ResultComparison comparison;
  bool first = false;
  if (history_folder.empty()) {
    comparison = sim::compare_results(results[0], results[1], options);
  } else {
    now = sim::read_benchmarks(results[0]);
    history.emplace(history_folder);
    first = update && !history->has_comparable(now);
    comparison =
        compare_with_history(*history, history_folder, results[0], now, options, runs, update);
  }
  warn_of_set_up(comparison);
  if (comparison.kind == sim::ResultKind::kTimings && !tolerances.empty()) {
    warn("--tolerance does not count for timings, --threshold does");
  }
  // The first result of a history has nothing to fail against.
  const sim::GateRule applied = first ? sim::GateRule::parse({"none"}) : rule;
  const std::string failure = sim::gate_failure(comparison, applied);
  write_outputs(comparison, applied, outputs);
  print(comparison, applied, format, all);
  std::cout.flush();
  if (!failure.empty()) {
    throw Error(ErrorKind::kCheckFailed, one_line(failure));
  }
  warn_of_inconclusive(comparison);
  if (update) {
    history->add(results[0], now, keep);
  }
  return 0;
}

}  // namespace kvsieve::cli
