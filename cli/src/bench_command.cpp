#include "bench_command.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <nlohmann/json.hpp>
#include <random>

#include "arguments.h"
#include "bench_tables.h"
#include "component.h"
#include "kvsieve/bench/against.h"
#include "kvsieve/bench/bench_document.h"
#include "kvsieve/bench/noise.h"
#include "kvsieve/traces/error.h"
#include "kvsieve/traces/output_file.h"
#include "output_path.h"
#include "terminal.h"
#include "thread_limit.h"

namespace po = boost::program_options;

namespace kvsieve::cli {
namespace {

constexpr double kMinTimeSeconds = 0.5;
constexpr double kAgainstMinTimeSeconds = 0.002;
constexpr int kAgainstRepetitions = 20;
constexpr double kMostSeconds = 3600.0;

Arguments make_arguments() {
  Arguments arguments(
      "bench [options]",
      "Times the kernels, the replay of a trace and the cost model on this machine, beside the\n"
      "bandwidth and the peak that are measured in the same process.",
      {"kvsieve bench --filter '^ragged_decode/.*n:32768'",
       "kvsieve bench --filter '^adakv/' --repetitions 10 --pin 1 --output adakv.json",
       "kvsieve bench --against ../old/kvsieve --filter '^sparse' --output-old a.json "
       "--output-new b.json",
       "kvsieve bench --counters --output counters.json"});
  arguments.options("Cases")("backend", po::value<std::string>()->default_value("cpu"),
                             "cpu, or cuda for a GPU")(
      "filter", po::value<std::string>()->default_value("", "all cases"),
      "cases in whose name this regular expression is found")("list", po::bool_switch(),
                                                              "name the cases and end")(
      "threads", po::value<std::int64_t>()->default_value(1), "that a case may use")(
      "trace", po::value<std::string>(), "that the replay's cases replay; default: the sample");
  arguments.options("Measuring")(
      "repetitions", po::value<std::int64_t>(),
      "of each case; default: 1, and with --against 20 a side, up to 40 where they scatter")(
      "min-time", po::value<double>(),
      "seconds of a repetition; default: 0.5, and 0.002 with --against")(
      "pin", po::value<std::string>()->default_value("none"),
      "processors to keep to, such as 1 or 0-3; none lets the system choose")(
      "interleave", po::bool_switch(), "repetitions of all cases in random order")(
      "roofline", po::value<std::string>()->default_value("yes"),
      "yes or no: measure bandwidth and peak, report shares of them")(
      "counters", po::bool_switch(),
      "count what the compiled kernels do instead, which needs no GPU")(
      "arch", po::value<std::string>()->default_value("80"),
      "of --counters: architectures to count for, such as 80,90,100")(
      "against", po::value<std::string>(), "another kvsieve to measure this one beside, in turns")(
      "output-old", po::value<std::string>(), "file for the other one's results")(
      "output-new", po::value<std::string>(), "file for this one's results");
  arguments.options("Output")("format", po::value<std::string>()->default_value("table"),
                              "table, json or csv; json is Google Benchmark's")(
      "output,o", po::value<std::string>(), "file instead of standard output; json unless .csv")(
      "force", po::bool_switch(), "replace an existing file");
  return arguments;
}

double seconds_of(const Arguments& arguments, double otherwise) {
  if (!arguments.given("min-time")) {
    return otherwise;
  }
  const double seconds = arguments.get<double>("min-time");
  if (!(seconds > 0.0) || seconds > kMostSeconds) {
    throw Error(ErrorKind::kUsage, fmt::format("--min-time is {:g}, expected above 0, at most {:g}",
                                               seconds, kMostSeconds));
  }
  return seconds;
}

int repetitions_of(const Arguments& arguments, int otherwise) {
  constexpr std::int64_t kMost = 100'000;
  if (!arguments.given("repetitions")) {
    return otherwise;
  }
  const std::int64_t repetitions = arguments.at_least(1, "repetitions");
  if (repetitions > kMost) {
    throw Error(ErrorKind::kUsage,
                fmt::format("--repetitions is {}, expected 1 to {}", repetitions, kMost));
  }
  return static_cast<int>(repetitions);
}

/// The value of an option that is one of two words: whether it is the first.
bool is_first_of(const Arguments& arguments, const std::string& name, const std::string& first,
                 const std::string& second) {
  const auto value = arguments.get<std::string>(name);
  if (value != first && value != second) {
    throw Error(ErrorKind::kUsage,
                fmt::format("--{} '{}' is unknown, supported: {}, {}", name, value, first, second));
  }
  return value == first;
}

int threads_of(const Arguments& arguments) {
  const auto threads = static_cast<int>(
      std::min<std::int64_t>(arguments.at_least(1, "threads"), std::int64_t{1} << 20));
  check_threads(threads);
  return threads;
}

std::string trace_of(const Arguments& arguments) {
  return arguments.has("trace") ? arguments.get<std::string>("trace") : bench::sample_trace();
}

void refuse(const Arguments& arguments, const std::vector<std::string>& names,
            std::string_view beside) {
  for (const std::string& name : names) {
    if (arguments.given(name) && !(arguments.is_switch(name) && !arguments.get<bool>(name))) {
      throw Error(ErrorKind::kUsage, fmt::format("--{} has no meaning {}", name, beside));
    }
  }
}

/// The format of standard output, or of the file of --output.
std::string format_of(const Arguments& arguments) {
  auto format = arguments.get<std::string>("format");
  if (format != "table" && format != "json" && format != "csv") {
    throw Error(ErrorKind::kUsage,
                fmt::format("--format '{}' is unknown, supported: table, json, csv", format));
  }
  if (arguments.has("output") && !arguments.given("format")) {
    format = arguments.get<std::string>("output").ends_with(".csv") ? "csv" : "json";
  }
  return format;
}

/// Hands over to the program that has the PTX executor.
[[noreturn]] void start_counters(const Arguments& arguments) {
  refuse(arguments,
         {"backend", "threads", "trace", "repetitions", "min-time", "pin", "interleave", "roofline",
          "against", "output-old", "output-new"},
         "with --counters");
  std::vector<std::string> words{"--format", format_of(arguments)};
  for (const char* name : {"filter", "arch", "output"}) {
    if (arguments.given(name)) {
      words.insert(words.end(), {std::string("--") + name, arguments.get<std::string>(name)});
    }
  }
  for (const char* name : {"list", "force"}) {
    if (arguments.get<bool>(name)) {
      words.push_back(std::string("--") + name);
    }
  }
  start_component("kvsieve-counters", "bench/counters", words);
  throw Error(ErrorKind::kMissingCapability, "kvsieve-counters is not part of this build",
              "it runs what nvcc compiles: install the CUDA toolkit and build again");
}

std::string text_of(const nlohmann::ordered_json& document) {
  return document.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

std::string formatted(const std::string& format, const bench::BenchContext& context,
                      const std::vector<bench::BenchEntry>& entries) {
  if (format == "json") {
    return text_of(bench::bench_document(context, entries));
  }
  return format == "csv" ? bench_rows(entries).csv() : bench_table(entries).text();
}

int run_cases(const Arguments& arguments, std::vector<bench::BenchCase> cases) {
  const std::string format = format_of(arguments);
  const bool is_cuda = arguments.get<std::string>("backend") == "cuda";
  const int threads = threads_of(arguments);
  bench::BenchContext context;
  context.program = "kvsieve bench";
  context.backend = arguments.get<std::string>("backend");
  context.filter = arguments.get<std::string>("filter");
  context.pin = arguments.get<std::string>("pin");
  context.options.repetitions = repetitions_of(arguments, 1);
  context.options.min_time_s = seconds_of(arguments, kMinTimeSeconds);
  context.options.interleave = arguments.get<bool>("interleave");
  context.options.roofline = is_first_of(arguments, "roofline", "yes", "no");
  if (arguments.has("output")) {
    check_output(arguments.get<std::string>("output"), arguments.get<bool>("force"), {});
  }
  if (context.pin != "none") {
    bench::pin_to_cpus(bench::parse_cpus(context.pin));
  }
  context.cpus = bench::usable_cpus();
  context.machine = bench::read_machine();
  context.load_before = bench::read_load();
  context.noise =
      bench::noise_before({context.machine, context.load_before[0], threads,
                           static_cast<int>(context.cpus.size()), bench::is_debug_build()});
  ProgressLine line("bench");
  context.options.stop = interrupted;
  context.options.progress = [&line](double share) { line.show(share); };
  const std::vector<bench::BenchEntry> entries = bench::run_cases(cases, context.options);
  line.finish();
  if (interrupted()) {
    throw Interrupted{};
  }
  context.load_after = bench::read_load();
  if (context.options.roofline && !is_cuda) {
    for (const bench::BenchCase& item : cases) {
      context.rooflines[item.threads] = bench::roofline(item.threads);
    }
  }
  const std::vector<std::string> unsteady = bench::noise_within(entries);
  context.noise.insert(context.noise.end(), unsteady.begin(), unsteady.end());
  std::for_each(context.noise.begin(), context.noise.end(), warn);
  const std::string text = formatted(format, context, entries);
  if (!arguments.has("output")) {
    std::cout << text;
    return 0;
  }
  traces::write_file(arguments.get<std::string>("output"), text, arguments.get<bool>("force"));
  if (!arguments.given("format")) {
    std::cout << bench_table(entries).text();
  }
  return 0;
}

/// As many processors as a case has threads, the last ones: the first takes most interrupts.
std::vector<int> processors_for(const Arguments& arguments, int threads) {
  const auto pin = arguments.get<std::string>("pin");
  if (pin != "none") {
    return bench::parse_cpus(pin);
  }
  std::vector<int> cpus = bench::usable_cpus();
  const auto surplus = static_cast<std::ptrdiff_t>(cpus.size()) - threads;
  cpus.erase(cpus.begin(), cpus.begin() + std::max<std::ptrdiff_t>(0, surplus));
  return cpus;
}

std::string list_of(const std::vector<std::string>& names) {
  return fmt::format("{}", fmt::join(names, ", "));
}

int run_against(const Arguments& arguments, const BenchProgram& program) {
  refuse(arguments, {"interleave", "roofline", "format", "output", "list", "arch"},
         "with --against");
  for (const char* name : {"output-old", "output-new"}) {
    if (!arguments.has(name)) {
      throw Error(ErrorKind::kUsage, fmt::format("--against needs --{} FILE", name),
                  "`kvsieve compare` takes the two files");
    }
  }
  const auto old_path = arguments.get<std::string>("output-old");
  const auto new_path = arguments.get<std::string>("output-new");
  const bool force = arguments.get<bool>("force");
  check_outputs({old_path, new_path}, force, {});
  bench::AgainstOptions options;
  options.old_program = {arguments.get<std::string>("against")};
  options.new_program = program.words;
  options.filter = arguments.get<std::string>("filter");
  options.repetitions = repetitions_of(arguments, kAgainstRepetitions);
  options.more_where_noisy = !arguments.given("repetitions");
  if (options.repetitions % 2 != 0) {
    throw Error(ErrorKind::kUsage,
                fmt::format("--repetitions is {}, expected an even number with --against",
                            options.repetitions),
                "each block of measurements has two of either side");
  }
  options.min_time_s = seconds_of(arguments, kAgainstMinTimeSeconds);
  const int threads = threads_of(arguments);
  options.case_options = {"--backend", arguments.get<std::string>("backend"), "--threads",
                          std::to_string(threads)};
  if (arguments.has("trace")) {
    options.case_options.insert(options.case_options.end(),
                                {"--trace", arguments.get<std::string>("trace")});
  }
  options.seed = std::random_device()();
  options.cpus = processors_for(arguments, threads);
  bench::pin_to_cpus(options.cpus);
  const std::vector<std::string> noise =
      bench::noise_before({bench::read_machine(), bench::read_load()[0], threads,
                           static_cast<int>(options.cpus.size()), bench::is_debug_build()});
  ProgressLine line("bench --against");
  options.stop = interrupted;
  options.progress = [&line](double share) { line.show(share); };
  const bench::AgainstResult result = bench::run_against(options);
  line.finish();
  if (interrupted()) {
    throw Interrupted{};
  }
  std::for_each(noise.begin(), noise.end(), warn);
  if (!result.only_old.empty()) {
    warn("only the other program has: " + list_of(result.only_old));
  }
  if (!result.only_new.empty()) {
    warn("only this program has: " + list_of(result.only_new));
  }
  if (result.disturbed_blocks > 0) {
    warn(fmt::format("{} blocks of measurements were disturbed by others and do not count",
                     result.disturbed_blocks));
  }
  traces::write_file(old_path, text_of(result.old_document), force);
  traces::write_file(new_path, text_of(result.new_document), force);
  std::cout << "kvsieve compare " << old_path << " " << new_path << "\n";
  return 0;
}

}  // namespace

int run_bench_command(const BenchProgram& program, const std::vector<std::string>& words) {
  Arguments arguments = make_arguments();
  if (!arguments.parse(words)) {
    return 0;
  }
  if (arguments.get<bool>("counters")) {
    start_counters(arguments);
  }
  static_cast<void>(is_first_of(arguments, "backend", "cpu", "cuda"));
  if (arguments.has("against")) {
    return run_against(arguments, program);
  }
  refuse(arguments, {"output-old", "output-new"}, "without --against");
  refuse(arguments, {"arch"}, "without --counters");
  std::vector<bench::BenchCase> cases = bench::matching_cases(
      program.cases(arguments.get<std::string>("backend"),
                    {.threads = threads_of(arguments), .trace = trace_of(arguments)}),
      arguments.get<std::string>("filter"));
  if (arguments.get<bool>("list")) {
    for (const bench::BenchCase& item : cases) {
      std::cout << item.name << "\n";
    }
    return 0;
  }
  return run_cases(arguments, std::move(cases));
}

}  // namespace kvsieve::cli
