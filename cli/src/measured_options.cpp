#include "measured_options.h"

#include <fmt/format.h>

#include "kvsieve/traces/error.h"

namespace po = boost::program_options;

namespace kvsieve::cli {

void add_measured_options(Arguments& arguments) {
  arguments.options("Measured rows")(
      "measured", po::value<std::vector<std::string>>()->multitoken()->composing(),
      "CSV files, in the forms of docs/measured-data.md")(
      "rows", po::value<std::string>()->default_value("all"),
      "all, even or odd: by their number in the file, from 0")(
      "engine", po::value<std::string>(), "rows of this engine only, with or without its version")(
      "engine-version", po::value<std::string>(), "rows of this version of it only")(
      "kv-dtype", po::value<std::string>(), "attention rows of this cache type only")(
      "as", po::value<std::string>(),
      "the device that measured the rows, whatever they say themselves");
}

std::vector<sim::MeasuredFile> measured_files(const Arguments& arguments) {
  if (!arguments.has("measured")) {
    throw Error(ErrorKind::kUsage, "no measured rows given", "--measured FILE.csv");
  }
  std::vector<sim::MeasuredFile> files;
  for (const std::string& path : arguments.get<std::vector<std::string>>("measured")) {
    files.push_back(sim::read_measured(path));
  }
  return files;
}

sim::RowFilter row_filter(const Arguments& arguments) {
  sim::RowFilter filter;
  filter.rows = sim::row_choice_from_name(arguments.get<std::string>("rows"));
  const auto text = [&](const char* name) {
    return arguments.has(name) ? arguments.get<std::string>(name) : std::string();
  };
  filter.engine = text("engine");
  filter.engine_version = text("engine-version");
  filter.kv_dtype = text("kv-dtype");
  if (!filter.kv_dtype.empty()) {
    try {
      static_cast<void>(sim::element_bytes_of(filter.kv_dtype));
    } catch (const Error& error) {
      throw Error(ErrorKind::kUsage, fmt::format("--kv-dtype: {}", error.what()));
    }
  }
  filter.as_device = text("as");
  return filter;
}

}  // namespace kvsieve::cli
