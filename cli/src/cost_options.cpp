#include "cost_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>

#include "kvsieve/sim/measured_rows.h"
#include "kvsieve/traces/error.h"

namespace po = boost::program_options;

namespace kvsieve::cli {
namespace {

bool same_text(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](unsigned char x, unsigned char y) {
    return std::tolower(x) == std::tolower(y);
  });
}

/// A calibration holds for the engine that it was fitted to.
void check_engine(const Arguments& arguments, const sim::HardwareProfile& profile) {
  const bool given = arguments.given("engine");
  const std::string engine = given ? arguments.get<std::string>("engine") : "";
  if (!profile.calibration) {
    if (given) {
      throw Error(
          ErrorKind::kUsage,
          fmt::format("--engine {}: {} is not calibrated for any engine", engine, profile.id),
          "`kvsieve calibrate` fits a profile to measured rows of an engine");
    }
    return;
  }
  const sim::CalibrationRecord& record = *profile.calibration;
  const std::string whole = record.engine + " " + record.engine_version;
  if (!given) {
    throw Error(
        ErrorKind::kUsage,
        fmt::format("{} was calibrated for {}, which its times hold for alone", profile.id, whole),
        fmt::format("say --engine '{}' to use it", record.engine));
  }
  if (!same_text(engine, record.engine) && !same_text(engine, whole)) {
    throw Error(ErrorKind::kUsage,
                fmt::format("--engine {}: {} was calibrated for {}", engine, profile.id, whole));
  }
}

double share(const Arguments& arguments, const std::string& name) {
  const auto value = arguments.get<double>(name);
  if (!(value > 0.0 && value <= 1.0)) {
    throw Error(ErrorKind::kUsage,
                fmt::format("--{} is {}, expected above 0 and up to 1", name, value));
  }
  return value;
}

}  // namespace

void add_hardware_options(Arguments& arguments, const std::string& context_default) {
  arguments.options("Where it runs (modelled)")(
      "hardware", po::value<std::string>()->default_value("a100-sxm-80"),
      "GPU profile: an id or alias, or a .json file")(
      "link", po::value<std::string>(),
      "host link instead of the profile's: an id or a .json file")(
      "cpu", po::value<std::string>(), "host CPU instead of the profile's: an id or a .json file")(
      "engine", po::value<std::string>(),
      "serving engine of a calibrated profile; must be the one that it was calibrated for")(
      "context", po::value<std::int64_t>(),
      fmt::format("tokens in the cache; {}", context_default).c_str())(
      "batch", po::value<std::string>()->default_value("1"),
      "sequences that decode side by side, or max: the most that fit")(
      "kv-dtype", po::value<std::string>()->default_value("bfloat16"),
      "of the cache: bfloat16, float16, fp8, float32")(
      "gpu-share", po::value<double>()->default_value(0.9, "0.9"), "of GPU memory that is used")(
      "host-share", po::value<double>()->default_value(0.9, "0.9"), "of host memory that is used");
}

sim::CostRequest hardware_request(const Arguments& arguments, sim::ModelDimensions model,
                                  std::int64_t context) {
  sim::CostRequest request;
  request.hardware = sim::load_hardware(arguments.get<std::string>("hardware"));
  check_engine(arguments, request.hardware);
  if (arguments.given("link")) {
    request.hardware.link = sim::load_link(arguments.get<std::string>("link"));
  }
  if (arguments.given("cpu")) {
    request.hardware.cpu = sim::load_cpu(arguments.get<std::string>("cpu"));
  }
  request.model = std::move(model);
  request.point.context = arguments.given("context") ? arguments.at_least(1, "context") : context;
  const auto batch = arguments.get<std::string>("batch");
  if (batch == "max") {
    request.largest_batch = true;
  } else {
    const char* end = batch.data() + batch.size();
    const auto [stop, error] = std::from_chars(batch.data(), end, request.point.batch);
    if (batch.empty() || error != std::errc() || stop != end || request.point.batch < 1 ||
        request.point.batch > sim::kMostSequences) {
      throw Error(ErrorKind::kUsage, fmt::format("--batch is '{}', expected 1 to {}, or max", batch,
                                                 sim::kMostSequences));
    }
  }
  request.point.capacity.element_bytes =
      sim::element_bytes_of(arguments.get<std::string>("kv-dtype"));
  request.point.capacity.gpu_share = share(arguments, "gpu-share");
  request.point.capacity.host_share = share(arguments, "host-share");
  return request;
}

}  // namespace kvsieve::cli
