#include "profile_link.h"

#include <fmt/format.h>

#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <vector>

#include "kvsieve/profile/gpu_link.h"
#include "kvsieve/sim/link_fit.h"
#include "kvsieve/traces/error.h"
#include "kvsieve/traces/output_file.h"
#include "output_path.h"
#include "profile_tables.h"
#include "terminal.h"

namespace kvsieve::cli {
namespace {

sim::LinkMeasurements measure(const LinkOptions& options) {
  ProgressLine progress("measuring the link", options.quiet);
  sim::LinkMeasurements measurements =
      profile::measure_gpu_link([&](double share) { progress.update(share); });
  progress.finish();
  return measurements;
}

nlohmann::ordered_json to_json(const sim::LinkFit& fit, const LinkOptions& options) {
  nlohmann::ordered_json paths = nlohmann::ordered_json::array();
  for (const sim::LinkPathFit& path : fit.paths) {
    nlohmann::ordered_json segments = nlohmann::ordered_json::array();
    for (const sim::TransferSegment& segment : path.segments) {
      segments.push_back({{"from_bytes", segment.from_bytes},
                          {"piece_us", segment.piece_us.value},
                          {"gbps", segment.gbps.value}});
    }
    paths.push_back({{"path", sim::name_of(path.path)},
                     {"direction", sim::name_of(path.direction)},
                     {"segments", std::move(segments)},
                     {"n", path.figures.n},
                     {"median_error", path.figures.median_error},
                     {"mape", path.figures.mape},
                     {"p95", path.figures.p95},
                     {"bias", path.figures.bias}});
  }
  return {{"schema", "kvsieve.link/1"},
          {"origin", "measured"},
          {"link", fit.link.id},
          {"latency_us", fit.link.latency_us.value},
          {"both_gbps", fit.link.both_gbps.value},
          {"paths", std::move(paths)},
          {"notes", fit.notes},
          {"profile", options.output}};
}

}  // namespace

int profile_link(const LinkOptions& options) {
  sim::HardwareProfile hardware = sim::load_hardware(options.hardware);
  std::vector<std::string> inputs{options.hardware};
  if (!options.from.empty()) {
    inputs.push_back(options.from);
  }
  check_outputs({options.output, options.rows}, options.force, inputs);
  const sim::LinkMeasurements measurements =
      options.from.empty() ? measure(options) : sim::read_link_measurements(options.from);
  if (!options.rows.empty()) {
    traces::write_file(options.rows, sim::link_measurements_csv(measurements), options.force);
  }
  const std::string source =
      options.from.empty()
          ? fmt::format("kvsieve profile --link, {}", options.date)
          : fmt::format("kvsieve profile --link from {}, {}",
                        std::filesystem::path(options.from).filename().string(), options.date);
  const std::string base = hardware.link.id;
  const sim::LinkFit fit = sim::fit_link(hardware.link, measurements, source);
  for (const std::string& note : fit.notes) {
    warn(note);
  }
  hardware.link = fit.link;
  // Once more measured, it stays the measured one.
  const std::string mark = "-measured";
  if (!base.ends_with(mark)) {
    hardware.link.id = base + mark;
  }
  traces::write_file(options.output, to_json(hardware).dump(2) + "\n", options.force);
  if (options.format == "json") {
    std::cout << to_json(fit, options)
                     .dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace)
              << "\n";
  } else {
    std::cout << describe(fit, options.format);
  }
  return 0;
}

}  // namespace kvsieve::cli
