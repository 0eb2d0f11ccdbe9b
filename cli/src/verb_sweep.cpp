#include <fmt/format.h>

#include <algorithm>
#include <iostream>

#include "arguments.h"
#include "component.h"
#include "kvsieve/traces/error.h"
#include "kvsieve/traces/output_file.h"
#include "output_path.h"
#include "sweep_command.h"
#include "sweep_results.h"
#include "verb.h"

namespace po = boost::program_options;

namespace kvsieve::cli {
namespace {

int run_sweep_merge(const std::vector<std::string>& words) {
  std::string store_path;
  bool force = false;
  Arguments arguments("sweep merge PART... --store FILE [options]",
                      "Puts the rows of several stores of one sweep into one.",
                      {"kvsieve sweep merge part-0.db part-1.db --store whole.db"});
  arguments.options("Options")("store", po::value(&store_path)->required(), "where the rows go")(
      "force", po::bool_switch(&force), "merge stores of other inputs, versions or machines");
  arguments.positional("part", -1);
  if (!arguments.parse(words)) {
    return 0;
  }
  if (!arguments.has("part")) {
    throw Error(ErrorKind::kUsage, "no store given",
                "usage: kvsieve sweep merge PART... --store FILE");
  }
  const auto parts = arguments.get<std::vector<std::string>>("part");
  check_output(store_path, true, parts);
  const sim::SweepIdentity identity = sim::SweepStore(parts[0]).identity();
  sim::SweepStore store(store_path, sim::SweepStore::Mode::kResume, identity, force);
  const std::vector<std::filesystem::path> paths(parts.begin(), parts.end());
  store.merge(paths, force);
  std::cout << fmt::format("{} of {} points in {}\n", store.finished(), identity.points,
                           store_path);
  return 0;
}

int run_sweep_export(const std::vector<std::string>& words) {
  std::string format;
  std::string output;
  bool force = false;
  Arguments arguments("sweep export STORE [options]",
                      "Writes all rows of a store: the same rows give the same bytes.",
                      {"kvsieve sweep export sweep.db --format csv --output sweep.csv"});
  arguments.options("Options")("format", po::value(&format)->default_value("csv"), "csv or json")(
      "output,o", po::value(&output), "file instead of standard output")(
      "force", po::bool_switch(&force), "replace an existing file");
  arguments.positional("store", 1);
  if (!arguments.parse(words)) {
    return 0;
  }
  if (!arguments.has("store")) {
    throw Error(ErrorKind::kUsage, "no store given", "usage: kvsieve sweep export STORE");
  }
  if (format != "csv" && format != "json") {
    throw Error(ErrorKind::kUsage,
                fmt::format("--format '{}' is unknown, supported: csv, json", format));
  }
  const auto paths = arguments.get<std::vector<std::string>>("store");
  if (!output.empty()) {
    check_output(output, force, paths);
  }
  const sim::SweepStore store(paths[0]);
  const std::string text = format == "csv" ? sim::export_csv(store) : sim::export_json(store);
  if (output.empty()) {
    std::cout << text;
  } else {
    traces::write_file(output, text, force);
  }
  return 0;
}

int run_sweep_best(const std::vector<std::string>& words) {
  std::string by;
  bool all = false;
  Arguments arguments(
      "sweep best STORE --by METRIC [options]",
      "The best row by a metric among those that meet conditions, and the command that\n"
      "reproduces it.",
      {"kvsieve sweep best sweep.db --by tokens_per_second --where 'l1_loss_relative<0.1'",
       "kvsieve sweep best sweep.db --by l1_loss_relative:min --where 'fits=1 and tpot_ms<20'"});
  arguments.options("Options")("by", po::value(&by)->required(),
                               "METRIC[:max|:min]; known metrics need no direction")(
      "where", po::value<std::vector<std::string>>(), "condition over options and metrics; repeat")(
      "metrics", po::bool_switch(&all), "print all metrics of the row, too");
  arguments.positional("store", 1);
  if (!arguments.parse(words)) {
    return 0;
  }
  if (!arguments.has("store")) {
    throw Error(ErrorKind::kUsage, "no store given", "usage: kvsieve sweep best STORE --by METRIC");
  }
  const sim::SweepStore store(arguments.get<std::vector<std::string>>("store")[0]);
  const std::vector<SweepResult> results =
      best_of(read_results(store, arguments.list("where")), by, 1);
  if (results.empty()) {
    throw Error(ErrorKind::kCheckFailed, "no row meets the conditions and has the metric",
                "`kvsieve sweep export` shows all rows");
  }
  if (all) {
    std::cout << describe(results, {}, "table");
  }
  std::cout << command_of(results[0]) << "\n";
  return 0;
}

int run_sweep_report(const std::vector<std::string>& words) {
  std::string objectives;
  std::string title;
  std::string output;
  std::string format;
  bool force = false;
  Arguments arguments(
      "sweep report STORE --pareto METRIC,METRIC [options]",
      "The front between two metrics, drawn and as a table: one HTML file, or Markdown.",
      {"kvsieve sweep report sweep.db --pareto tokens_per_second,l1_loss_relative --output "
       "s.html"});
  arguments.options("Options")("pareto", po::value(&objectives)->required(),
                               "the two objectives, METRIC[:max|:min]")(
      "where", po::value<std::vector<std::string>>(), "condition over options and metrics; repeat")(
      "title", po::value(&title), "of the report")(
      "output,o", po::value(&output), "file instead of standard output; .md sets Markdown")(
      "format", po::value(&format)->default_value("html"), "html or md, on standard output")(
      "force", po::bool_switch(&force), "replace an existing file");
  arguments.positional("store", 1);
  if (!arguments.parse(words)) {
    return 0;
  }
  if (!arguments.has("store")) {
    throw Error(ErrorKind::kUsage, "no store given",
                "usage: kvsieve sweep report STORE --pareto METRIC,METRIC");
  }
  if (format != "html" && format != "md") {
    throw Error(ErrorKind::kUsage,
                fmt::format("--format '{}' is unknown, supported: html, md", format));
  }
  const auto paths = arguments.get<std::vector<std::string>>("store");
  if (!output.empty()) {
    check_output(output, force, paths);
  }
  const sim::SweepStore store(paths[0]);
  const sim::SweepReport report =
      front_report(read_results(store, arguments.list("where")), objectives,
                   title.empty() ? "Sweep " + paths[0] : title);
  const bool markdown = output.empty() ? format == "md" : output.ends_with(".md");
  const std::string text = markdown ? sim::markdown_report(report) : sim::html_report(report);
  if (output.empty()) {
    std::cout << text;
  } else {
    traces::write_file(output, text, force);
  }
  return 0;
}

}  // namespace

int run_sweep(const std::vector<std::string>& words) {
  if (!words.empty()) {
    const std::vector<std::string> rest(words.begin() + 1, words.end());
    if (words[0] == "merge") {
      return run_sweep_merge(rest);
    }
    if (words[0] == "export") {
      return run_sweep_export(rest);
    }
    if (words[0] == "best") {
      return run_sweep_best(rest);
    }
    if (words[0] == "report") {
      return run_sweep_report(rest);
    }
  }
  if (const auto mpi = std::find(words.begin(), words.end(), "--mpi"); mpi != words.end()) {
    std::vector<std::string> rest(words.begin(), mpi);
    rest.insert(rest.end(), mpi + 1, words.end());
    start_component("kvsieve-mpi", "mpi", rest);
    throw Error(ErrorKind::kMissingCapability, "kvsieve-mpi is not part of this build",
                "it needs OpenMPI and Boost.MPI: libopenmpi-dev, libboost-mpi-dev");
  }
  return run_sweep_points(words);
}

}  // namespace kvsieve::cli
