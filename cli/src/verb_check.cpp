#include <fmt/format.h>
#include <fmt/ranges.h>

#include <iostream>
#include <nlohmann/json.hpp>

#include "arguments.h"
#include "kvsieve/sim/trace_check.h"
#include "kvsieve/traces/error.h"
#include "terminal.h"
#include "verb.h"

namespace po = boost::program_options;

namespace kvsieve::cli {
namespace {

nlohmann::ordered_json to_json(const std::string& path, const sim::TraceCheck& check) {
  nlohmann::ordered_json json = {{"schema", "kvsieve.check/1"},
                                 {"trace", path},
                                 {"tolerance", check.tolerance},
                                 {"passed", check.passed},
                                 {"layers", nlohmann::ordered_json::array()}};
  for (const sim::LayerCheck& layer : check.layers) {
    nlohmann::ordered_json entry = {{"layer", layer.layer}, {"passed", layer.passed}};
    if (layer.output_error) {
      entry["output_error"] = *layer.output_error;
    }
    if (!layer.nonfinite.empty()) {
      entry["nonfinite"] = layer.nonfinite;
    }
    json["layers"].push_back(std::move(entry));
  }
  return json;
}

std::string verdict(const sim::LayerCheck& layer) {
  if (!layer.nonfinite.empty()) {
    return fmt::format("FAILED: not finite: {}", fmt::join(layer.nonfinite, ", "));
  }
  if (!layer.output_error) {
    return "ok (no captured output to compare with)";
  }
  return layer.passed ? "ok" : "FAILED";
}

}  // namespace

int run_check(const std::vector<std::string>& words) {
  double tolerance = sim::kCheckTolerance;
  std::string format = "table";
  Arguments arguments(
      "check TRACE... [options]",
      "Checks shapes, that all values are finite, and that dense attention over the trace\n"
      "reproduces the captured output: per layer the relative Frobenius error over all captured\n"
      "queries. Exit code 1 if a trace fails, 3 if it cannot be read.",
      {"kvsieve check trace.kvtrace", "kvsieve check *.kvtrace --tolerance 1e-3 --format json"});
  arguments.options("Options")(
      "tolerance",
      po::value(&tolerance)->default_value(tolerance, fmt::format("{}", sim::kCheckTolerance)),
      "largest relative error that passes")("format", po::value(&format)->default_value(format),
                                            "table, json, csv or md");
  arguments.positional("trace", -1);
  if (!arguments.parse(words)) {
    return 0;
  }
  if (!arguments.has("trace")) {
    throw Error(ErrorKind::kUsage, "no trace given", "usage: kvsieve check TRACE...");
  }
  if (!(tolerance >= 0.0)) {
    throw Error(ErrorKind::kUsage, fmt::format("--tolerance is {}, expected 0 or more", tolerance));
  }
  if (format != "json") {
    static_cast<void>(Table({}).format(format));
  }
  bool passed = true;
  nlohmann::ordered_json documents = nlohmann::ordered_json::array();
  Table table({"trace", "layer", "output_error", "verdict"});
  for (const std::string& path : arguments.get<std::vector<std::string>>("trace")) {
    ProgressLine progress("checking " + path);
    const sim::TraceCheck check = sim::check_trace(traces::Trace::open(path), tolerance,
                                                   [&](double share) { progress.update(share); });
    passed = passed && check.passed;
    documents.push_back(to_json(path, check));
    for (const sim::LayerCheck& layer : check.layers) {
      table.add({path, std::to_string(layer.layer),
                 layer.output_error ? fmt::format("{:.2e}", *layer.output_error) : "",
                 verdict(layer)});
    }
  }
  if (format == "json") {
    std::cout << (documents.size() == 1 ? documents[0] : documents)
                     .dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace)
              << "\n";
  } else {
    std::cout << table.format(format);
  }
  return passed ? 0 : static_cast<int>(ErrorKind::kCheckFailed);
}

}  // namespace kvsieve::cli
