#include "sweep_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <sstream>

#include "arguments.h"
#include "cost_tables.h"
#include "kvsieve/traces/error.h"
#include "kvsieve/traces/input_file.h"
#include "sweep_reader.h"
#include "sweep_results.h"
#include "terminal.h"
#include "thread_limit.h"

namespace po = boost::program_options;

namespace kvsieve::cli {
namespace {

constexpr std::size_t kMostConfigBytes = std::size_t{1} << 24;
constexpr std::int64_t kMostShards = 1'000'000;
constexpr std::size_t kShownPoints = 10;

struct Shard {
  std::int64_t number = 0;
  std::int64_t count = 1;
};

/// "i/n", i from 0.
Shard read_shard(const std::string& text) {
  const std::size_t slash = text.find('/');
  const auto number = whole_number(std::string_view(text).substr(0, slash));
  const auto count = slash == std::string::npos
                         ? std::nullopt
                         : whole_number(std::string_view(text).substr(slash + 1));
  if (!number || !count || *count < 1 || *count > kMostShards || *number < 0 || *number >= *count) {
    throw Error(ErrorKind::kUsage, fmt::format("--shard '{}' is not i/n with 0 <= i < n", text),
                "for example --shard 0/4 to --shard 3/4");
  }
  return {*number, *count};
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
  const sim::CostReport report = sim::cost_report(task.cost);
  std::cout << describe(
      sim::StepModel(task.cost.hardware, task.cost.model).explain(report.request.point), "table");
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
    metrics = split_list(arguments.get<std::string>("metrics"));
  }
  std::cout << describe(results, metrics, format);
}

/// The words with those of --config before them. An option that both have is the command line's,
/// unless it may repeat.
std::vector<std::string> with_config(const std::vector<std::string>& words) {
  std::string path;
  for (std::size_t w = 0; w < words.size(); ++w) {
    if (words[w] == "--config" && w + 1 < words.size()) {
      path = words[w + 1];
    } else if (words[w].starts_with("--config=")) {
      path = words[w].substr(std::string_view("--config=").size());
    }
  }
  if (path.empty()) {
    return words;
  }
  std::string text;
  try {
    text = traces::read_file(path, kMostConfigBytes);
  } catch (const Error& error) {
    throw Error(error.kind(), fmt::format("{}: {}", path, error.what()));
  }
  std::vector<std::string> all;
  std::istringstream lines(text);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    const std::size_t begin = line.find_first_not_of(" \t\r");
    if (begin == std::string::npos || line[begin] == '#') {
      continue;
    }
    line = line.substr(begin, line.find_last_not_of(" \t\r") + 1 - begin);
    const std::size_t equals = line.find('=');
    if (equals == 0 || equals == std::string::npos) {
      throw Error(ErrorKind::kBadInput,
                  fmt::format("{}:{}: '{}' is not OPTION=VALUE", path, number, line));
    }
    const std::string option = "--" + line.substr(0, equals);
    const bool repeats =
        option == "--axis" || option == "--zip" || option == "--derive" || option == "--where";
    const bool given = std::any_of(words.begin(), words.end(), [&](const std::string& word) {
      return word == option || word.starts_with(option + "=");
    });
    if (repeats || !given) {
      all.push_back("--" + line);
    }
  }
  all.insert(all.end(), words.begin(), words.end());
  return all;
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

/// The options of `kvsieve sweep`, parsed.
struct SweepCommand {
  std::string store_path;
  std::string cache;
  std::string shard_text;
  std::string format;
  int threads = 0;
  bool resume = false;
  bool force = false;
  bool quiet = false;
  bool dry_run = false;
  Arguments arguments;
  std::optional<SweepRequest> request;  ///< absent if help was asked for

  explicit SweepCommand(const std::vector<std::string>& words);
};

SweepCommand::SweepCommand(const std::vector<std::string>& words)
    : arguments(
          "sweep [TRACE...] -a AXIS... --store FILE [options]",
          "Evaluates the product of axes over the options of `kvsieve run` (with traces) or\n"
          "`kvsieve cost` (without) into a store: an SQLite file, a row a point. A sweep that was\n"
          "interrupted goes on with --resume. `kvsieve sweep merge`, `export`, `best` and "
          "`report`,\n"
          "each with a --help, work on stores; docs/sweeps.md tells more.",
          {"kvsieve sweep a.kvtrace -a method=snapkv,ada-snapkv -a budget=5%,10%,20% --store s.db",
           "kvsieve sweep -a method=a2ats -a context[pow2]=[12:17] -a batch=max --store cost.db",
           "kvsieve sweep a.kvtrace -a budget=[5%:50%:5%] --store s.db --resume --where "
           "'tpot_ms<20'"}) {
  add_definition_options(arguments);
  arguments.options("Points")("config", po::value<std::string>(),
                              "file of lines OPTION=VALUE, below the command line's own");
  arguments.options("Run")("store", po::value(&store_path), "where the rows go")(
      "resume", po::bool_switch(&resume), "go on with a store, or begin it")(
      "shard", po::value(&shard_text)->default_value("0/1"),
      "i/n: every n-th point from the i-th, into a store of its own")(
      "cache", po::value(&cache), "folder that keeps replays between sweeps")(
      "dry-run", po::bool_switch(&dry_run), "count the points and show the first")(
      "explain", po::value<std::int64_t>(), "the terms of one point's cost, by its number")(
      "mpi", po::bool_switch(), "spread the points over the ranks of mpirun or srun")(
      "threads", po::value(&threads)->default_value(0), "CPU threads; 0 uses every core")(
      "force", po::bool_switch(&force), "go on with a store of other inputs or another version")(
      "quiet,q", po::bool_switch(&quiet), "no progress");
  add_result_options(arguments, format);
  arguments.positional("trace", -1);
  if (!arguments.parse(with_config(words))) {
    return;
  }
  static_cast<void>(Table({}).format(format));
  check_threads(threads);
  request = read_sweep(arguments, arguments.list("trace"));
}

}  // namespace

struct SweepWorker::State {
  explicit State(const std::vector<std::string>& words)
      : command(words),
        limit(thread_limit(command.threads)),
        evaluator([this](const sim::SweepPoint& point) { return reader.read(point); },
                  command.cache) {}

  SweepCommand command;
  std::optional<tbb::global_control> limit;
  SweepTaskReader reader;
  sim::SweepEvaluator evaluator;
};

SweepWorker::SweepWorker(const std::vector<std::string>& words)
    : m_state(std::make_unique<State>(words)) {}
SweepWorker::~SweepWorker() = default;

std::vector<sim::SweepRow> SweepWorker::evaluate(std::span<const std::int64_t> numbers,
                                                 std::span<const std::string> keys) {
  // Points are in ascending order of their numbers.
  const std::vector<sim::SweepPoint>& all = m_state->command.request->points;
  std::vector<sim::SweepPoint> points;
  for (const std::int64_t number : numbers) {
    points.push_back(*std::lower_bound(
        all.begin(), all.end(), number,
        [](const sim::SweepPoint& point, std::int64_t wanted) { return point.number < wanted; }));
  }
  return m_state->evaluator.evaluate(points, keys);
}

int run_sweep_points(const std::vector<std::string>& words, const SweepExecutor& execute) {
  SweepCommand command(words);
  if (!command.request) {
    return 0;
  }
  const Shard shard = read_shard(command.shard_text);
  const SweepRequest& request = *command.request;
  if (command.dry_run) {
    print_points(sim::shard_of(request.points, shard.number, shard.count),
                 sim::product_size(request.definition));
    return 0;
  }
  if (command.arguments.has("explain")) {
    return explain_point(request, command.arguments.get<std::int64_t>("explain"));
  }
  if (command.store_path.empty()) {
    throw Error(ErrorKind::kUsage, "--store is missing",
                "--store FILE keeps the rows; --dry-run shows the points");
  }
  const std::optional<tbb::global_control> limit = thread_limit(command.threads);
  sim::SweepStore store(
      command.store_path,
      command.resume ? sim::SweepStore::Mode::kResume : sim::SweepStore::Mode::kCreate,
      request.identity, command.force);
  SweepTaskReader reader;
  sim::SweepEvaluator evaluator([&](const sim::SweepPoint& point) { return reader.read(point); },
                                command.cache);
  ProgressLine progress("sweeping", command.quiet);
  const RateClock clock;
  const sim::SweepState state = execute(
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
        state.finished, state.total, one_line(command.store_path));
    return kInterruptedCode;
  }
  if (state.failed > 0) {
    warn(fmt::format("{} of {} points failed; the column error of `kvsieve sweep export` says why",
                     state.failed, state.total));
  }
  if (command.arguments.has("pareto") || command.arguments.has("best") ||
      command.arguments.has("metrics") || !request.result_conditions.empty()) {
    print_results(store, request.result_conditions, command.arguments, command.format);
  } else {
    std::cout << fmt::format("{} of {} points in {}\n", state.finished, state.total,
                             command.store_path);
  }
  return 0;
}

}  // namespace kvsieve::cli
