#include <fmt/format.h>
#include <tbb/global_control.h>

#include <algorithm>
#include <charconv>
#include <iostream>
#include <optional>

#include "arguments.h"
#include "kvsieve/sim/sweep_runner.h"
#include "kvsieve/traces/error.h"
#include "kvsieve/traces/output_file.h"
#include "output_path.h"
#include "sweep_definition.h"
#include "sweep_reader.h"
#include "sweep_results.h"
#include "terminal.h"
#include "verb.h"

namespace po = boost::program_options;

namespace kvsieve::cli {
namespace {

constexpr int kMostThreads = 1024;
constexpr std::int64_t kMostShards = 1'000'000;
constexpr std::size_t kShownPoints = 10;
constexpr int kInterruptedCode = 130;

struct Shard {
  std::int64_t number = 0;
  std::int64_t count = 1;
};

/// "i/n", i from 0.
Shard read_shard(const std::string& text) {
  Shard shard;
  const std::size_t slash = text.find('/');
  const auto whole = [&](std::string_view part, std::int64_t& value) {
    const auto [stop, error] = std::from_chars(part.data(), part.data() + part.size(), value);
    return error == std::errc() && stop == part.data() + part.size();
  };
  if (slash == std::string::npos || !whole(std::string_view(text).substr(0, slash), shard.number) ||
      !whole(std::string_view(text).substr(slash + 1), shard.count) || shard.count < 1 ||
      shard.count > kMostShards || shard.number < 0 || shard.number >= shard.count) {
    throw Error(ErrorKind::kUsage, fmt::format("--shard '{}' is not i/n with 0 <= i < n", text),
                "for example --shard 0/4 to --shard 3/4");
  }
  return shard;
}

std::string options_text(const sim::SweepPoint& point) {
  std::string text = fmt::format("#{}", point.number);
  for (const auto& [name, value] : point.options) {
    text += fmt::format(" {}={}", name, value);
  }
  return text;
}

/// How many points there are, and the first of them.
void print_points(const std::vector<sim::SweepPoint>& points, std::int64_t product) {
  std::cout << fmt::format("{} points of {}\n", points.size(), product);
  for (std::size_t p = 0; p < std::min(points.size(), kShownPoints); ++p) {
    std::cout << options_text(points[p]) << "\n";
  }
  if (points.size() > kShownPoints) {
    std::cout << fmt::format("... and {} more\n", points.size() - kShownPoints);
  }
}

/// The terms behind the modelled cost of one point.
int explain_point(const SweepRequest& request, std::int64_t number) {
  const auto found = std::find_if(request.points.begin(), request.points.end(),
                                  [&](const sim::SweepPoint& p) { return p.number == number; });
  if (found == request.points.end()) {
    throw Error(ErrorKind::kUsage, fmt::format("--explain {}: the sweep has no such point", number),
                "--dry-run lists them");
  }
  SweepTaskReader reader;
  const sim::SweepTask task = reader.read(*found);
  std::cout << options_text(*found) << "\n";
  if (!task.trace.empty()) {
    std::cout << "the replay's loads take the place of the stated ones below\n";
  }
  sim::CostRequest cost = task.cost;
  if (const auto* eviction = std::get_if<sim::SweepTask::Eviction>(&task.replay)) {
    sim::EvictionResult result;
    result.plan = eviction->plan;
    cost.point.method = sim::cost_method_of(result);
  } else if (const auto* retrieval = std::get_if<sim::RetrievalOptions>(&task.replay)) {
    sim::RetrievalResult result;
    result.options = *retrieval;
    cost.point.method = sim::cost_method_of(result);
  }
  const sim::CostReport report = sim::cost_report(cost);
  for (const sim::CostTerm& term :
       sim::StepModel(cost.hardware, cost.model).explain(report.request.point)) {
    std::cout << fmt::format("{} = {:.6g} {}\n  formula  {}\n  inputs   {}\n  source   {}\n",
                             term.name, term.value, term.unit, term.formula, term.inputs,
                             term.source);
  }
  return 0;
}

/// What a finished sweep prints: rows that the conditions choose.
void print_results(const sim::SweepStore& store, const std::vector<std::string>& conditions,
                   const Arguments& arguments, const std::string& format) {
  std::vector<SweepResult> results = read_results(store, conditions);
  if (arguments.has("pareto")) {
    results = on_front(std::move(results), arguments.get<std::string>("pareto"));
  }
  if (arguments.has("best")) {
    results = best_of(std::move(results), arguments.get<std::string>("best"),
                      static_cast<std::size_t>(arguments.at_least(1, "rows")));
  }
  std::vector<std::string> metrics;
  if (arguments.has("metrics")) {
    const auto text = arguments.get<std::string>("metrics");
    for (std::size_t begin = 0; begin <= text.size();) {
      const std::size_t comma = std::min(text.find(',', begin), text.size());
      metrics.push_back(text.substr(begin, comma - begin));
      begin = comma + 1;
    }
  }
  std::cout << describe(results, metrics, format);
}

void add_result_options(Arguments& arguments, std::string& format) {
  arguments.options("Results")(
      "pareto", po::value<std::string>(),
      "METRIC[:max|:min],...: only rows that no other one beats in all of them, e.g. "
      "tokens_per_second,l1_loss_relative")(
      "best", po::value<std::string>(), "METRIC[:max|:min]: rows by this metric, the best first")(
      "rows", po::value<std::int64_t>()->default_value(10), "of --best")(
      "metrics", po::value<std::string>(), "columns to show, e.g. tpot_ms,l1_loss_relative")(
      "format", po::value(&format)->default_value("table"), "table, csv or md");
}

int run_sweep_points(const std::vector<std::string>& words) {
  std::string store_path;
  std::string cache;
  std::string shard_text;
  std::string format;
  int threads = 0;
  bool resume = false;
  bool force = false;
  bool quiet = false;
  bool dry_run = false;
  Arguments arguments(
      "sweep [TRACE...] -a AXIS... --store FILE [options]",
      "Evaluates the product of axes over the options of `kvsieve run` (with traces) or `kvsieve\n"
      "cost` (without) into a store: an SQLite file, a row a point. A sweep that was interrupted\n"
      "goes on with --resume. `sweep merge`, `sweep export` and `sweep best` work on stores.",
      {"kvsieve sweep trace.kvtrace -a method=snapkv,ada-snapkv -a budget=5%,10%,20% --store s.db",
       "kvsieve sweep -a method=a2ats -a context[pow2]=[12:17] -a hardware=a100-sxm-80,h100-sxm "
       "-a batch=max --store cost.db",
       "kvsieve sweep t.kvtrace -a budget=[5%:50%:5%] --store s.db --resume --pareto "
       "tokens_per_second,l1_loss_relative --where 'tpot_ms<20'",
       "kvsieve sweep merge part-*.db --store whole.db",
       "kvsieve sweep export whole.db --format csv",
       "kvsieve sweep best whole.db --by tokens_per_second --where 'l1_loss_relative<0.1'"});
  add_definition_options(arguments);
  arguments.options("Run")("store", po::value(&store_path), "where the rows go")(
      "resume", po::bool_switch(&resume), "go on with a store, or begin it")(
      "shard", po::value(&shard_text)->default_value("0/1"),
      "i/n: every n-th point from the i-th, into a store of its own")(
      "cache", po::value(&cache), "folder that keeps replays between sweeps")(
      "dry-run", po::bool_switch(&dry_run), "count the points and show the first")(
      "explain", po::value<std::int64_t>(), "the terms of one point's cost, by its number")(
      "threads", po::value(&threads)->default_value(0), "CPU threads; 0 uses every core")(
      "force", po::bool_switch(&force),
      "resume a store of other inputs or another version, or replace one")(
      "quiet,q", po::bool_switch(&quiet), "no progress");
  add_result_options(arguments, format);
  arguments.positional("trace", -1);
  if (!arguments.parse(words)) {
    return 0;
  }
  static_cast<void>(Table({}).format(format));
  if (threads < 0 || threads > kMostThreads) {
    throw Error(ErrorKind::kUsage,
                fmt::format("--threads is {}, expected 0 to {}", threads, kMostThreads));
  }
  const Shard shard = read_shard(shard_text);
  const SweepRequest request = read_sweep(
      arguments, arguments.has("trace") ? arguments.get<std::vector<std::string>>("trace")
                                        : std::vector<std::string>{});
  if (dry_run) {
    print_points(sim::shard_of(request.points, shard.number, shard.count),
                 sim::product_size(request.definition));
    return 0;
  }
  if (arguments.has("explain")) {
    return explain_point(request, arguments.get<std::int64_t>("explain"));
  }
  if (store_path.empty()) {
    throw Error(ErrorKind::kUsage, "--store is missing",
                "--store FILE keeps the rows; --dry-run shows the points");
  }
  std::optional<tbb::global_control> limit;
  if (threads > 0) {
    limit.emplace(tbb::global_control::max_allowed_parallelism, threads);
  }
  sim::SweepStore store(store_path,
                        resume ? sim::SweepStore::Mode::kResume : sim::SweepStore::Mode::kCreate,
                        request.identity, force);
  SweepTaskReader reader;
  sim::SweepEvaluator evaluator([&](const sim::SweepPoint& point) { return reader.read(point); },
                                cache);
  ProgressLine progress("sweeping", quiet);
  const RateClock clock;
  const sim::SweepState state = sim::run_sweep(
      sim::shard_of(request.points, shard.number, shard.count), request.context, evaluator, store,
      [&](const sim::SweepState& now, double share) {
        progress.show(share,
                      fmt::format(", {} of {} points, {:.3g} points/s, {} failed", now.finished,
                                  now.total, clock.rate(now.finished - now.reused), now.failed));
      },
      [] { return interrupted(); });
  progress.finish();
  if (state.stopped) {
    std::cerr << fmt::format(
        "interrupted: {} of {} points are in {}; the same command with --resume goes on\n",
        state.finished, state.total, one_line(store_path));
    return kInterruptedCode;
  }
  if (state.failed > 0) {
    warn(fmt::format("{} of {} points failed; the column error of `kvsieve sweep export` says why",
                     state.failed, state.total));
  }
  if (arguments.has("pareto") || arguments.has("best") || arguments.has("metrics") ||
      !request.result_conditions.empty()) {
    print_results(store, request.result_conditions, arguments, format);
  } else {
    std::cout << fmt::format("{} of {} points in {}\n", state.finished, state.total, store_path);
  }
  return 0;
}

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
  const std::vector<SweepResult> results = best_of(
      read_results(store, arguments.has("where") ? arguments.get<std::vector<std::string>>("where")
                                                 : std::vector<std::string>{}),
      by, 1);
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
  }
  return run_sweep_points(words);
}

}  // namespace kvsieve::cli
