#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "arguments.h"
#include "component.h"
#include "kvsieve/sim/report.h"
#include "kvsieve/sim/run_document.h"
#include "kvsieve/traces/error.h"
#include "kvsieve/traces/output_file.h"
#include "terminal.h"
#include "verb.h"

namespace po = boost::program_options;

namespace kvsieve::cli {
namespace {

std::string format_for(const std::string& path) {
  const std::string extension = std::filesystem::path(path).extension().string();
  return extension == ".html" || extension == ".htm" ? "html" : "md";
}

/// True if the locale that the environment names shows UTF-8.
bool shows_unicode() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* value = std::getenv(name);
    if (value != nullptr && *value != '\0') {
      const std::string_view locale(value);
      return locale.find("UTF-8") != std::string_view::npos ||
             locale.find("utf8") != std::string_view::npos;
    }
  }
  return false;
}

sim::ScreenOptions screen_options(bool to_file) {
  sim::ScreenOptions options;
  options.colours = !to_file && colours();
  options.unicode = to_file || shows_unicode();
  winsize size{};
  if (!to_file && ::isatty(STDOUT_FILENO) == 1 && ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 &&
      size.ws_col > 0) {
    options.columns = size.ws_col;
    options.rows = size.ws_row > 1 ? size.ws_row - 1 : options.rows;
  }
  return options;
}

/// The report in one of the formats; errors name the file instead of the run's number.
std::string compose(const std::vector<std::string>& paths, const std::string& format,
                    const std::string& title, const sim::ScreenOptions& screen) {
  std::vector<nlohmann::ordered_json> runs;
  for (const std::string& path : paths) {
    runs.push_back(sim::read_run(path));
  }
  try {
    return format == "html" ? sim::html_report(runs, {title})
           : format == "md" ? sim::markdown_report(runs, {title})
                            : sim::screen_report(runs, screen);
  } catch (const Error& error) {
    const std::string what = error.what();
    for (std::size_t i = 0; i < paths.size(); ++i) {
      const std::string number = fmt::format("run {}", i + 1);
      if (what.starts_with(number + ":") || what.starts_with(number + ".") ||
          what.starts_with(number + " ")) {
        throw Error(error.kind(), paths[i] + ": run" + what.substr(number.size()), error.hint());
      }
    }
    throw;
  }
}

/// Has the viewer draw; this process becomes it.
[[noreturn]] void draw_plots(const std::vector<std::string>& runs, const std::string& folder,
                             const Arguments& arguments) {
  for (const char* option : {"format", "output", "title"}) {
    if (arguments.given(option)) {
      throw Error(ErrorKind::kUsage, fmt::format("--{} does not go with --png", option),
                  "without --png a report is written");
    }
  }
  std::vector<std::string> words{"--export", folder, "--format", "png", "--"};
  words.insert(words.end(), runs.begin(), runs.end());
  start_component("kvsieve-gui", "gui", words);
  throw Error(ErrorKind::kMissingCapability,
              "the viewer, which draws the plots, is not part of this build",
              "install qt6-base-dev, qt6-svg-dev and libqcustomplot-dev, and build again");
}

}  // namespace

int run_report(const std::vector<std::string>& words) {
  std::string format;
  std::string output;
  std::string title;
  std::string png;
  bool force = false;
  Arguments arguments(
      "report RUN... [options]",
      "Sets one or several runs, written by `kvsieve run --output`, as a report: the runs beside\n"
      "each other, then each on its own. The HTML is one file that needs nothing else.",
      {"kvsieve report ada.kvrun snapkv.kvrun --output report.html",
       "kvsieve report a2ats.kvrun --format screen", "kvsieve report a2ats.kvrun --png plots"});
  arguments.options("Options")(
      "format", po::value(&format),
      "md, html or screen; by default what the output's name ends in, and md otherwise")(
      "output,o", po::value(&output), "file to write; standard output without it")(
      "force", po::bool_switch(&force), "replace an existing output file")(
      "title", po::value(&title), "title of the report")(
      "png", po::value(&png), "instead of a report, write every plot into this folder as PNG");
  arguments.positional("run", -1);
  if (!arguments.parse(words)) {
    return 0;
  }
  if (!arguments.has("run")) {
    throw Error(ErrorKind::kUsage, "no run given", "usage: kvsieve report RUN...");
  }
  const auto runs = arguments.get<std::vector<std::string>>("run");
  if (!png.empty()) {
    draw_plots(runs, png, arguments);
  }
  if (format.empty()) {
    format = format_for(output);
  }
  if (format != "md" && format != "html" && format != "screen") {
    throw Error(ErrorKind::kUsage, fmt::format("--format '{}' is unknown", format),
                "supported: md, html, screen");
  }
  const std::string text = compose(runs, format, title, screen_options(!output.empty()));
  if (output.empty()) {
    std::cout << text;
  } else {
    traces::write_file(output, text, force);
  }
  return 0;
}

}  // namespace kvsieve::cli
