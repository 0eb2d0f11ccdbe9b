#include <fmt/format.h>

#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <regex>

#include "arguments.h"
#include "date_option.h"
#include "kvsieve/profile/activity_recorder.h"
#include "kvsieve/profile/gpu_cases.h"
#include "kvsieve/profile/profile_report.h"
#include "kvsieve/sim/backends.h"
#include "kvsieve/sim/version.h"
#include "kvsieve/traces/error.h"
#include "kvsieve/traces/output_file.h"
#include "output_path.h"
#include "profile_link.h"
#include "profile_tables.h"
#include "profiled_run.h"
#include "terminal.h"
#include "thread_limit.h"
#include "verb.h"

namespace po = boost::program_options;

namespace kvsieve::cli {
namespace {

struct ProfileOptions {
  std::string trace;
  std::string from;
  std::string cases;  ///< a regular expression
  std::string record;
  std::string output;
  std::string rows;
  std::string hardware;
  std::string cupti;
  std::string format;
  std::string date;
  std::int64_t repetitions = 20;
  bool pair = false;
  bool link = false;
  bool force = false;
  bool quiet = false;
};

/// What was recorded, and of a run what it kept or retrieved, for the model.
struct Profiled {
  profile::ActivityRecording recording;
  std::optional<ProfiledResult> result;
};

void check_paths(const ProfileOptions& options) {
  std::vector<std::string> inputs;
  for (const std::string& input : {options.trace, options.from}) {
    if (!input.empty()) {
      inputs.push_back(input);
    }
  }
  check_outputs({options.output, options.record, options.rows}, options.force, inputs);
}

/// Whether the run is set beside the model, or its attention becomes rows: both need the trace.
bool needs_result(const ProfileOptions& options) {
  return options.pair || !options.rows.empty();
}

void require_gpu() {
  if (const auto reason = sim::why_unavailable(kernels::Backend::kCuda)) {
    throw Error(ErrorKind::kMissingCapability, "nothing can be profiled: " + *reason,
                "--from FILE shows what was recorded elsewhere");
  }
}

/// What CUPTI sees of `work` on this machine's GPU.
profile::ActivityRecording record(const ProfileOptions& options,
                                  const std::function<void(const sim::Progress& progress)>& work) {
  std::optional<profile::ActivityRecorder> recorder;
  try {
    // Before the first question about GPUs, which initialises CUDA.
    recorder.emplace(profile::CuptiLibrary::open(options.cupti));
  } catch (const Error&) {
    require_gpu();  // where there is none, that says more
    throw;
  }
  require_gpu();
  ProgressLine progress("profiling", options.quiet);
  work([&](double share) { progress.update(share); });
  progress.finish();
  profile::ActivityRecording recording = recorder->finish();
  recording.run.tool_version = sim::version();
  return recording;
}

void require_same_trace(const profile::RecordedRun& run, const traces::Trace& trace,
                        const ProfileOptions& options) {
  if (run.trace_hash != trace.hash()) {
    throw Error(
        ErrorKind::kBadInput,
        fmt::format("{}: recorded with another trace than {}", options.from, trace.path().string()),
        fmt::format("it was {}", one_line(run.trace_name)));
  }
}

void deliver(const ProfileOptions& options, const Profiled& profiled, const Arguments* method,
             const std::optional<traces::Trace>& trace) {
  const profile::ActivityRecording& recording = profiled.recording;
  if (!options.record.empty()) {
    profile::write_recording(options.record, recording, options.force);
  }
  const profile::MeasuredTimeline timeline =
      profile::measured_timeline(profile::parse_activities(recording), recording.run.layers);
  for (const std::string& note : timeline.notes) {
    warn(note);
  }
  std::optional<profile::Pairing> pairing;
  std::string hardware;
  if (options.pair) {
    const sim::HardwareProfile on = sim::load_hardware(options.hardware);
    hardware = on.id;
    const ModelledRun modelled = modelled_run(*method, *trace, *profiled.result, on);
    pairing = profile::pair_operations(timeline.operations, modelled.prompt, modelled.steps);
  }
  if (!options.rows.empty()) {
    traces::write_file(
        options.rows,
        profile::attention_rows(
            timeline, row_shape(*trace, *profiled.result, sim::load_hardware(options.hardware).id,
                                recording.run.tool_version)),
        options.force);
  }
  constexpr auto kReplace = nlohmann::ordered_json::error_handler_t::replace;
  if (!options.output.empty()) {
    const std::string title = fmt::format(
        "{} on {}", recording.run.trace_name.empty() ? "cases" : one_line(recording.run.trace_name),
        timeline.device.empty() ? "a GPU" : one_line(timeline.device));
    traces::write_file(options.output,
                       profile::chrome_trace(timeline, title).dump(-1, ' ', false, kReplace),
                       options.force);
  }
  if (options.format == "json") {
    std::cout << profile::profile_document(recording, timeline, pairing, hardware)
                     .dump(2, ' ', false, kReplace)
              << "\n";
  } else {
    std::cout << describe(timeline, pairing, options.format);
  }
}

/// A recording of somewhere else.
int show_recording(const ProfileOptions& options) {
  Profiled profiled{profile::read_recording(options.from), std::nullopt};
  if (!needs_result(options)) {
    check_paths(options);
    deliver(options, profiled, nullptr, std::nullopt);
    return 0;
  }
  if (options.trace.empty()) {
    throw Error(
        ErrorKind::kUsage,
        fmt::format("--{} needs the trace that was profiled", options.pair ? "pair" : "rows"),
        "kvsieve profile TRACE --from FILE --pair");
  }
  const std::optional<traces::Trace> trace = traces::Trace::open(options.trace);
  require_same_trace(profiled.recording.run, *trace, options);
  const Arguments method = recorded_arguments(profiled.recording.run, options.from);
  const RunPlan plan = make_plan(method, trace->header().model, kernels::Backend::kCuda);
  static_cast<void>(sim::load_hardware(options.hardware));
  check_paths(options);
  ProgressLine progress("replaying", options.quiet);
  profiled.result = replay_on_cpu(*trace, plan, [&](double share) { progress.update(share); });
  progress.finish();
  deliver(options, profiled, &method, trace);
  return 0;
}

/// A run on this machine.
int profile_run(const ProfileOptions& options, const Arguments& arguments,
                const std::vector<std::string>& words) {
  if (options.trace.empty()) {
    throw Error(ErrorKind::kUsage, "no trace given",
                "usage: kvsieve profile TRACE --method NAME, or --case, --from or --link");
  }
  if (!arguments.has("method")) {
    throw Error(ErrorKind::kUsage, "no --method given", "for example --method a2ats");
  }
  const std::optional<traces::Trace> trace = traces::Trace::open(options.trace);
  const RunPlan plan = make_plan(arguments, trace->header().model, kernels::Backend::kCuda);
  static_cast<void>(sim::load_hardware(options.hardware));
  check_paths(options);
  Profiled profiled;
  profiled.recording = record(options, [&](const sim::Progress& progress) {
    profiled.result = run_on_gpu(*trace, plan, progress);
  });
  profile::RecordedRun& run = profiled.recording.run;
  run.words = method_words(words);
  run.trace_name = trace->path().filename().string();
  run.trace_hash = trace->hash();
  run.layers = profiled_layers(*profiled.result);
  deliver(options, profiled, &arguments, trace);
  return 0;
}

/// The kernels' cases on this machine.
int profile_cases(const ProfileOptions& options) {
  std::vector<std::string> names;
  try {
    const std::regex pattern(options.cases);
    for (const std::string& name : profile::gpu_case_names()) {
      if (std::regex_search(name, pattern)) {
        names.push_back(name);
      }
    }
  } catch (const std::regex_error&) {
    throw Error(ErrorKind::kUsage,
                fmt::format("--case '{}' is no regular expression", options.cases));
  }
  if (names.empty() && !profile::gpu_case_names().empty()) {
    throw Error(ErrorKind::kUsage, fmt::format("--case '{}' matches no case", options.cases),
                "for example --case ragged_decode");
  }
  check_paths(options);
  Profiled profiled;
  profiled.recording = record(options, [&](const sim::Progress& progress) {
    profile::run_gpu_cases(names, static_cast<int>(options.repetitions), progress);
  });
  deliver(options, profiled, nullptr, std::nullopt);
  return 0;
}

void check_combination(const ProfileOptions& options, const Arguments& arguments,
                       const std::vector<std::string>& words) {
  const auto refuse = [](bool given, const char* what, const char* with) {
    if (given) {
      throw Error(ErrorKind::kUsage, fmt::format("{} does not apply to {}", what, with));
    }
  };
  const bool method = !method_words(words).empty();
  if (options.link) {
    refuse(!options.trace.empty(), "a trace", "--link");
    refuse(method, "an option of a method", "--link");
    refuse(options.pair, "--pair", "--link");
    refuse(!options.record.empty(), "--record", "--link");
    if (options.output.empty()) {
      throw Error(ErrorKind::kUsage, "--link needs --output", "the hardware profile to write");
    }
  } else {
    refuse(arguments.given("date"), "--date", "anything but --link");
  }
  if (!options.cases.empty()) {
    refuse(!options.trace.empty(), "a trace", "--case");
    refuse(method, "an option of a method", "--case");
    refuse(!options.from.empty(), "--from", "--case");
    refuse(options.link, "--link", "--case");
    refuse(needs_result(options), "--pair or --rows", "--case");
  } else {
    refuse(arguments.given("repetitions"), "--repetitions", "anything but --case");
  }
  if (!options.from.empty()) {
    refuse(method, "an option of a method", "--from, whose recording says what ran");
    refuse(!options.record.empty(), "--record", "--from");
    refuse(arguments.given("cupti"), "--cupti", "--from");
  }
}

}  // namespace

int run_profile(const std::vector<std::string>& words) {
  ProfileOptions options{.date = today()};
  int threads = 0;
  Arguments arguments(
      "profile [TRACE] [--method NAME | --case REGEX | --from FILE | --link] [options]",
      "Measures what `run --backend cuda` does on a GPU: kernels, copies with their bytes and\n"
      "pieces, launches and ranges, as a timeline for the viewer and Perfetto, beside the "
      "modelled\n"
      "one if asked; or shows what was recorded elsewhere; or measures the host link. It needs\n"
      "NVIDIA's CUPTI and a GPU, but for --from.",
      {"kvsieve profile trace.kvtrace --method a2ats --pair --hardware h100-sxm -o step.json",
       "kvsieve profile trace.kvtrace --method a2ats --record run.kvactivity",
       "kvsieve profile --case 'sparse_decode|gather' --output kernels.json",
       "kvsieve profile --from run.kvactivity --output step.json",
       "kvsieve profile trace.kvtrace --from run.kvactivity --pair --rows rows.csv",
       "kvsieve profile --link --hardware h100-sxm --output mine.json"});
  add_method_options(arguments, false);
  arguments.options("Profile")(
      "case", po::value(&options.cases),
      "instead of a run, the cases of `bench --backend cuda` whose names match")(
      "repetitions", po::value(&options.repetitions)->default_value(20), "of each case")(
      "from", po::value(&options.from),
      "show a recording instead of making one; with --link, transfers from a .csv file")(
      "link", po::bool_switch(&options.link),
      "measure the host link by size, pieces and path, and write a profile with it")(
      "pair", po::bool_switch(&options.pair),
      "set each stage of each step and layer beside the modelled one")(
      "hardware", po::value(&options.hardware)->default_value("a100-sxm-80"),
      "GPU profile that is modelled, named in --rows, or whose link is replaced: an id, an alias "
      "or a .json file")(
      "cupti", po::value(&options.cupti),
      "the CUPTI library; otherwise KVSIEVE_CUPTI, the loader's path, or the toolkit's folders")(
      "date", po::value(&options.date),
      "stored as the day of the measurement of --link, ISO 8601; today's if not given");
  arguments.options("Output")(
      "output,o", po::value(&options.output),
      "timeline to write, a Chrome/Perfetto trace; with --link, the profile")(
      "record", po::value(&options.record), "also write what was recorded, for --from")(
      "rows", po::value(&options.rows),
      "also write measured rows (CSV): decode attention, for `kvsieve calibrate`; with --link, "
      "the transfers")("format", po::value(&options.format)->default_value("table"),
                       "table, json, csv or md, on standard output")(
      "force", po::bool_switch(&options.force), "replace existing output files")(
      "quiet,q", po::bool_switch(&options.quiet), "no progress");
  arguments.options("Execution")("threads", po::value(&threads)->default_value(0),
                                 "CPU threads; 0 uses every core");
  arguments.positional("trace", 1);
  if (!arguments.parse(words)) {
    return 0;
  }
  if (options.format != "json") {
    static_cast<void>(Table({}).format(options.format));
  }
  check_threads(threads);
  check_date(options.date);
  constexpr std::int64_t kMostRepetitions = 10'000;
  if (arguments.at_least(1, "repetitions") > kMostRepetitions) {
    throw Error(ErrorKind::kUsage, fmt::format("--repetitions is {}, expected 1 to {}",
                                               options.repetitions, kMostRepetitions));
  }
  if (arguments.has("trace")) {
    options.trace = arguments.list("trace").front();
  }
  check_combination(options, arguments, words);
  const std::optional<tbb::global_control> limit = thread_limit(threads);
  if (options.link) {
    return profile_link({options.hardware, options.from, options.rows, options.output, options.date,
                         options.format, options.force, options.quiet});
  }
  if (!options.cases.empty()) {
    return profile_cases(options);
  }
  return options.from.empty() ? profile_run(options, arguments, words) : show_recording(options);
}

}  // namespace kvsieve::cli
