#include <fmt/format.h>

#include <iostream>
#include <nlohmann/json.hpp>

#include "arguments.h"
#include "date_option.h"
#include "kvsieve/sim/calibration.h"
#include "kvsieve/traces/error.h"
#include "kvsieve/traces/output_file.h"
#include "measured_options.h"
#include "output_path.h"
#include "terminal.h"
#include "verb.h"

namespace po = boost::program_options;

namespace kvsieve::cli {
namespace {

Table fit_table(const sim::CalibrationRecord& record) {
  Table table({"part", "rows", "floor_us", "unit_us", "us_per_gigabyte", "preset_share",
               "bandwidth_share", "flops_share", "step_overhead_us", "mape", "median_error"});
  const auto number = [](double value) { return fmt::format("{:.4g}", value); };
  for (std::size_t i = 0; i < sim::kAttentionRegimes; ++i) {
    const sim::AttentionFit& fit = record.attention[i];
    if (fit.rows > 0) {
      table.add({fmt::format("attention-{}", name_of(static_cast<sim::AttentionRegime>(i))),
                 std::to_string(fit.rows), number(fit.floor_us), number(fit.unit_us),
                 number(fit.us_per_gigabyte), number(fit.preset_share), "", "", "",
                 fmt::format("{:.4f}", fit.mape), fmt::format("{:.4f}", fit.median_error)});
    }
  }
  if (record.gemm.rows > 0) {
    table.add({"gemm", std::to_string(record.gemm.rows), number(record.gemm.floor_us), "", "", "",
               number(record.gemm.bandwidth), number(record.gemm.flops), "",
               fmt::format("{:.4f}", record.gemm.mape),
               fmt::format("{:.4f}", record.gemm.median_error)});
  }
  if (record.end_to_end_rows > 0) {
    table.add({"end-to-end", std::to_string(record.end_to_end_rows), "", "", "", "", "", "",
               number(record.step_overhead_us), "", ""});
  }
  return table;
}

}  // namespace

int run_calibrate(const std::vector<std::string>& words) {
  std::string hardware;
  std::string output;
  std::string date = today();
  std::string format = "table";
  bool force = false;
  Arguments arguments(
      "calibrate --measured FILE.csv... --hardware ID --output PROFILE.json [options]",
      "Fits a hardware profile to measured rows of one engine, version and cache type: decode\n"
      "attention a regime, dense layers, and the overhead of a decode step. The profile says what "
      "it\n"
      "was fitted to, and is refused for other engines.",
      {"kvsieve calibrate --measured rows.csv --hardware h100-sxm --engine vllm --output "
       "tuned.json",
       "kvsieve calibrate --measured rows.csv --hardware rtx-4090 --rows even --output mine.json"});
  add_measured_options(arguments);
  arguments.options("Profile")("hardware", po::value(&hardware)->required(),
                               "profile to start from, an id or a .json file")(
      "output,o", po::value(&output)->required(), "profile to write")(
      "date", po::value(&date), "stored as the day of the fit, ISO 8601; today's if not given")(
      "force", po::bool_switch(&force), "replace an existing profile")(
      "format", po::value(&format)->default_value(format), "table, json, csv or md");
  if (!arguments.parse(words)) {
    return 0;
  }
  check_date(date);
  if (format != "json") {
    static_cast<void>(Table({}).format(format));
  }
  sim::CalibrationOptions options;
  options.filter = row_filter(arguments);
  options.date = date;
  const sim::HardwareProfile profile = sim::load_hardware(hardware);
  std::vector<std::string> inputs;
  if (arguments.has("measured")) {
    inputs = arguments.get<std::vector<std::string>>("measured");
  }
  check_output(output, force, inputs);
  const sim::HardwareProfile fitted = sim::calibrate(profile, measured_files(arguments), options);
  traces::write_file(output, to_json(fitted).dump(2) + "\n", force);
  const sim::CalibrationRecord& record = *fitted.calibration;
  if (record.flagged_rows > 0) {
    warn(fmt::format("{} rows are faster than the memory's data sheet allows, and left out",
                     record.flagged_rows));
  }
  if (format == "json") {
    nlohmann::ordered_json json = to_json(record);
    json["profile"] = output;
    std::cout << json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << "\n";
  } else {
    std::cout << fit_table(record).format(format);
  }
  return 0;
}

}  // namespace kvsieve::cli
