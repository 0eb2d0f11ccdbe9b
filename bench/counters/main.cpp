// kvsieve-counters: the command line.

#include <fmt/format.h>

#include <boost/program_options.hpp>
#include <charconv>
#include <cstdio>
#include <exception>
#include <iostream>
#include <regex>
#include <string>
#include <string_view>
#include <vector>

#include "case_counters.h"
#include "counters_document.h"
#include "kvsieve/traces/error.h"
#include "kvsieve/traces/output_file.h"

namespace {

namespace po = boost::program_options;
using kvsieve::Error;
using kvsieve::ErrorKind;
using kvsieve::bench::CaseCounters;
using kvsieve::bench::cuda_::CaseSize;
using kvsieve::bench::cuda_::DeviceCase;

constexpr const char* kHelpHead =
    R"(Usage: kvsieve-counters [options]

Runs the kernels as nvcc compiled them, on the host and without a GPU, and counts what they do:
instructions by class, sectors of global memory, bank conflicts, divergent branches, barriers, and
beside them registers, stack, shared memory and occupancy. The counts are the same on every machine
and in every run. What a kernel may not do (out of bounds, races, reads of memory that nobody wrote,
missing waits) stops the program.

Examples:
  kvsieve-counters --filter ragged_decode --format table
  kvsieve-counters --arch 80,90,100 --output counters.json

)";

constexpr const char* kHelpTail =
    R"(
Exit codes: 0 ok, 2 usage, 3 bad input file, 4 not supported, 5 internal, also for a kernel that
does what it may not.
)";

struct Options {
  std::regex filter;
  std::vector<int> architectures;
  std::string output;
  std::string format;
  bool force = false;
  bool list = false;
  bool help = false;
  bool version = false;
};

po::options_description describe_options() {
  po::options_description description("Options", 100);
  description.add_options()                                                           //
      ("filter", po::value<std::string>()->value_name("REGEX")->default_value(".*"),  //
       "cases in whose name it is found")                                             //
      ("arch", po::value<std::string>()->value_name("LIST")->default_value("80"),     //
       "architectures whose PTX runs, of 80, 90 and 100")                             //
      ("output", po::value<std::string>()->value_name("FILE"),                        //
       "write there instead of to stdout")                                            //
      ("format", po::value<std::string>()->value_name("json|table")->default_value("json"),
       "Google Benchmark's JSON with everything, or a table of the most telling counters")  //
      ("list", "print the names of the cases and count nothing")                            //
      ("force", "replace an existing file")                                                 //
      ("help,h", "print this help")                                                         //
      ("version", "print the version");
  return description;
}

std::vector<int> parse_architectures(std::string_view text) {
  std::vector<int> architectures;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    int architecture = 0;
    const auto [stop, error] =
        std::from_chars(text.data() + begin, text.data() + end, architecture);
    if (error != std::errc{} || stop != text.data() + end ||
        (architecture != 80 && architecture != 90 && architecture != 100)) {
      throw Error(ErrorKind::kUsage,
                  fmt::format("--arch: '{}' is not supported; supported: 80, 90, 100",
                              text.substr(begin, end - begin)));
    }
    architectures.push_back(architecture);
    begin = end + 1;
  }
  return architectures;
}

std::regex parse_filter(const std::string& text) {
  try {
    return std::regex(text);
  } catch (const std::regex_error& error) {
    throw Error(ErrorKind::kUsage, fmt::format("--filter: '{}' is no regular expression", text));
  }
}

Options to_options(const po::variables_map& values) {
  const auto text = [&](const char* name) {
    return values.count(name) != 0 ? values[name].as<std::string>() : std::string();
  };
  Options options;
  options.filter = parse_filter(text("filter"));
  options.architectures = parse_architectures(text("arch"));
  options.output = text("output");
  options.format = text("format");
  if (options.format != "json" && options.format != "table") {
    throw Error(
        ErrorKind::kUsage,
        fmt::format("--format: '{}' is not supported; supported: json, table", options.format));
  }
  options.force = values.count("force") != 0;
  options.list = values.count("list") != 0;
  options.help = values.count("help") != 0;
  options.version = values.count("version") != 0;
  return options;
}

Options parse_command_line(int argc, char** argv) {
  po::variables_map values;
  try {
    // Abbreviated options would change their meaning when one is added.
    const int style =
        po::command_line_style::default_style & ~po::command_line_style::allow_guessing;
    po::store(po::command_line_parser(argc, argv)
                  .options(describe_options())
                  .positional({})
                  .style(style)
                  .run(),
              values);
    po::notify(values);
  } catch (const po::error& error) {
    throw Error(ErrorKind::kUsage, error.what(), "kvsieve-counters --help lists the options");
  }
  return to_options(values);
}

std::vector<DeviceCase> chosen_cases(const std::regex& filter) {
  std::vector<DeviceCase> cases = kvsieve::bench::cuda_::device_cases();
  std::erase_if(cases, [&](const DeviceCase& item) {
    return item.size != CaseSize::kCounted || !std::regex_search(item.name, filter);
  });
  if (cases.empty()) {
    throw Error(ErrorKind::kUsage, "--filter: no case has such a name",
                "kvsieve-counters --list prints the names");
  }
  return cases;
}

std::string count(const Options& options, const std::vector<DeviceCase>& cases) {
  std::vector<CaseCounters> counters;
  for (const DeviceCase& item : cases) {
    for (const int architecture : options.architectures) {
      for (CaseCounters& kernel : kvsieve::bench::count_case(item, architecture)) {
        counters.push_back(std::move(kernel));
      }
    }
  }
  return options.format == "json" ? kvsieve::bench::counters_document(counters).dump(1) + "\n"
                                  : kvsieve::bench::counters_table(counters);
}

int run(int argc, char** argv) {
  const Options options = parse_command_line(argc, argv);
  if (options.help) {
    std::cout << kHelpHead << describe_options() << kHelpTail;
    return 0;
  }
  if (options.version) {
    fmt::print("kvsieve-counters {} (nvcc {})\n", KVSIEVE_VERSION, KVSIEVE_NVCC_VERSION);
    return 0;
  }
  const std::vector<DeviceCase> cases = chosen_cases(options.filter);
  std::string text;
  if (options.list) {
    for (const DeviceCase& item : cases) {
      text += item.name + '\n';
    }
  } else {
    text = count(options, cases);
  }
  if (options.output.empty()) {
    std::cout << text;
  } else {
    kvsieve::traces::write_file(options.output, text, options.force);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const Error& error) {
    fmt::print(stderr, "kvsieve-counters: {}\n", error.what());
    if (!error.hint().empty()) {
      fmt::print(stderr, "hint: {}\n", error.hint());
    }
    return static_cast<int>(error.kind());
  } catch (const std::exception& error) {
    fmt::print(stderr, "kvsieve-counters: {}\n", error.what());
    return static_cast<int>(ErrorKind::kInternal);
  }
}
