#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iostream>
#include <nlohmann/json.hpp>

#include "arguments.h"
#include "kvsieve/sim/validation_report.h"
#include "kvsieve/traces/error.h"
#include "kvsieve/traces/output_file.h"
#include "measured_options.h"
#include "output_path.h"
#include "terminal.h"
#include "verb.h"

namespace po = boost::program_options;

namespace kvsieve::cli {
namespace {

const std::vector<std::string> kRegimes{"attention-launch", "attention-l2", "attention-hbm",
                                        "gemm-memory",      "gemm-compute", "end-to-end"};
const std::vector<std::string> kFigures{"median", "mape", "p95", "bias"};

/// What --fail-above asks for.
struct Limit {
  std::string regime;
  std::string figure;
  double value = 0.0;
};

Limit parse_limit(const std::string& text) {
  const std::size_t first = text.find(':');
  const std::size_t second = text.find(':', first == std::string::npos ? first : first + 1);
  Limit limit;
  if (second != std::string::npos) {
    limit.regime = text.substr(0, first);
    limit.figure = text.substr(first + 1, second - first - 1);
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + second + 1, end, limit.value);
    const auto is_one_of = [](const std::vector<std::string>& names, const std::string& name) {
      return std::find(names.begin(), names.end(), name) != names.end();
    };
    if (error == std::errc() && stop == end && limit.value >= 0.0 &&
        is_one_of(kRegimes, limit.regime) && is_one_of(kFigures, limit.figure)) {
      return limit;
    }
  }
  throw Error(ErrorKind::kUsage,
              fmt::format("--fail-above '{}', expected REGIME:FIGURE:SHARE", text),
              "for example attention-hbm:median:0.2; regimes: attention-launch, attention-l2, "
              "attention-hbm, gemm-memory, gemm-compute, end-to-end; figures: median, mape, p95, "
              "bias");
}

double figure_of(const sim::ErrorFigures& figures, const std::string& name) {
  return name == "median" ? figures.median_error
         : name == "mape" ? figures.mape
         : name == "p95"  ? figures.p95
                          : std::abs(figures.bias);
}

/// Throws Error(kCheckFailed) for the first limit that the pooled errors do not keep.
void check_limits(const sim::ValidationReport& report, const std::vector<Limit>& limits) {
  for (const Limit& limit : limits) {
    const auto pooled = std::find_if(report.regimes.begin(), report.regimes.end(),
                                     [&](const sim::RegimeError& error) {
                                       return error.device == "all" && error.regime == limit.regime;
                                     });
    if (pooled == report.regimes.end()) {
      throw Error(ErrorKind::kCheckFailed,
                  fmt::format("no row of the regime {} to judge", limit.regime));
    }
    const double value = figure_of(pooled->figures, limit.figure);
    if (!(value <= limit.value)) {
      throw Error(ErrorKind::kCheckFailed,
                  fmt::format("{} of {} is {:.4g}, above {:g}", limit.figure, limit.regime, value,
                              limit.value));
    }
  }
}

std::string list_of(const std::vector<sim::UnknownName>& names) {
  std::string text;
  for (const sim::UnknownName& name : names) {
    text += fmt::format("{}'{}' ({})", text.empty() ? "" : ", ", name.name, name.rows);
  }
  return text;
}

void warn_of_left_out(const sim::ValidationReport& report, bool one_device) {
  if (!report.unknown_devices.empty() && !one_device) {
    warn("rows of unknown devices left out: " + list_of(report.unknown_devices));
  }
  if (!report.unknown_models.empty()) {
    warn("rows of unknown models left out: " + list_of(report.unknown_models));
  }
  for (const sim::UnknownName& reason : report.refused) {
    warn(fmt::format("{} rows not modelled: {}", reason.rows, reason.name));
  }
  if (report.impossible_rows > 0) {
    warn(fmt::format("{} rows are faster than the memory's data sheet allows, and in no figure",
                     report.impossible_rows));
  }
}

Table error_table(const sim::ValidationReport& report) {
  Table table({"regime", "device", "engine", "kv_dtype", "selection", "n", "median_error", "mape",
               "p95", "bias"});
  for (const std::vector<sim::RegimeError>* errors : {&report.regimes, &report.selections}) {
    for (const sim::RegimeError& error : *errors) {
      table.add({error.regime, error.device, error.engine, error.kv_dtype, error.selection,
                 std::to_string(error.figures.n), fmt::format("{:.4f}", error.figures.median_error),
                 fmt::format("{:.4f}", error.figures.mape),
                 fmt::format("{:.4f}", error.figures.p95),
                 fmt::format("{:.4f}", error.figures.bias)});
    }
  }
  return table;
}

}  // namespace

int run_validate(const std::vector<std::string>& words) {
  std::string hardware;
  std::string format = "table";
  std::string report_path;
  std::vector<std::string> limit_texts;
  sim::ValidationOptions options;
  bool force = false;
  Arguments arguments(
      "validate --measured FILE.csv... [options]",
      "Sets modelled times beside measured ones: error of modelled / measured - 1 by regime, "
      "device\n"
      "and engine, as median, mean (MAPE) and 95th percentile of its size, and bias. Regimes are\n"
      "fixed by input alone. Exit code 1 if a --fail-above limit is not kept.",
      {"kvsieve validate --measured attention.csv --report errors.html",
       "kvsieve validate --measured rows.csv --hardware tuned.json --rows odd --format json",
       "kvsieve validate --measured rows.csv --fail-above attention-hbm:median:0.2"});
  add_measured_options(arguments);
  arguments.options("Model")(
      "hardware", po::value(&hardware),
      "judge this profile, an id or a .json file, by its device's rows only")(
      "any-engine", po::bool_switch(&options.any_engine),
      "judge a calibrated profile by rows of other engines, too");
  arguments.options("Output")("format", po::value(&format)->default_value(format),
                              "table, json, csv or md")("report", po::value(&report_path),
                                                        "HTML file with tables and drawings")(
      "fail-above", po::value(&limit_texts)->composing(),
      "REGIME:FIGURE:SHARE of the pooled errors, e.g. attention-hbm:median:0.2; may repeat")(
      "force", po::bool_switch(&force), "replace an existing report");
  if (!arguments.parse(words)) {
    return 0;
  }
  std::vector<Limit> limits;
  for (const std::string& text : limit_texts) {
    limits.push_back(parse_limit(text));
  }
  if (format != "json") {
    static_cast<void>(Table({}).format(format));
  }
  options.filter = row_filter(arguments);
  if (!hardware.empty()) {
    options.profile = sim::load_hardware(hardware);
  }
  if (!report_path.empty() && arguments.has("measured")) {
    check_output(report_path, force, arguments.get<std::vector<std::string>>("measured"));
  }
  const std::vector<sim::MeasuredFile> files = measured_files(arguments);
  const sim::ValidationReport report = sim::validate(files, options);
  if (report.rows.empty()) {
    const std::string unknown = list_of(report.unknown_devices);
    throw Error(ErrorKind::kBadInput,
                "no row to judge" + (unknown.empty() ? "" : "; rows of other devices: " + unknown),
                "`kvsieve cost --list hardware` lists the devices");
  }
  warn_of_left_out(report, options.profile.has_value());
  if (!report_path.empty()) {
    traces::write_file(report_path, sim::html_report(report), force);
  }
  if (format == "json") {
    std::cout << to_json(report).dump(2, ' ', false,
                                      nlohmann::ordered_json::error_handler_t::replace)
              << "\n";
  } else {
    std::cout << error_table(report).format(format);
  }
  std::cout.flush();
  check_limits(report, limits);
  return 0;
}

}  // namespace kvsieve::cli
