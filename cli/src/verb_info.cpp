#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "arguments.h"
#include "kvsieve/kernels/backend.h"
#include "kvsieve/kernels/device_support.h"
#include "kvsieve/kernels/instruction_set.h"
#include "kvsieve/sim/backends.h"
#include "kvsieve/sim/codebook.h"
#include "kvsieve/sim/run_document.h"
#include "kvsieve/traces/error.h"
#include "kvsieve/traces/trace.h"
#include "terminal.h"
#include "verb.h"

namespace po = boost::program_options;

namespace kvsieve::cli {
namespace {

using nlohmann::ordered_json;

/// Layers of each kind, so that a reader sees at once where eviction can act.
std::size_t sliding_layers(const traces::TraceHeader& header) {
  std::size_t count = 0;
  for (const std::int64_t layer : header.captured_layers) {
    count += header.model.layer(layer).attention.sliding_window ? 1 : 0;
  }
  return count;
}

ordered_json trace_info(const traces::Trace& trace) {
  const traces::TraceHeader& header = trace.header();
  ordered_json json = {{"kind", "trace"},
                       {"path", trace.path().string()},
                       {"file_bytes", trace.file_size()},
                       {"hash", trace.hash()},
                       {"dtype", traces::name_of(header.dtype)},
                       {"prompt_tokens", header.prompt_tokens},
                       {"decode_steps", header.decode_tokens},
                       {"prompt_queries", trace.prompt_queries()},
                       {"captured_layers", header.captured_layers},
                       {"sliding_window_layers", sliding_layers(header)},
                       {"has_output", trace.layer(0).out.has_value()},
                       {"has_tokens", !trace.tokens().empty()},
                       {"model", traces::to_json(header.model)},
                       {"source",
                        {{"tool", header.source.tool},
                         {"version", header.source.version},
                         {"prompt_sha256", header.source.prompt_sha256},
                         {"note", header.source.note}}}};
  if (header.needle) {
    json["needle"] = {{"begin", header.needle->begin},
                      {"end", header.needle->end},
                      {"text", header.needle->text}};
  }
  return json;
}

ordered_json codebook_info(const std::string& path, const sim::Codebook& codebook) {
  const sim::CodebookInfo& info = codebook.info();
  ordered_json traces = ordered_json::array();
  for (const sim::CalibrationTrace& trace : info.traces) {
    traces.push_back({{"name", trace.name},
                      {"hash", trace.hash},
                      {"prompt_tokens", trace.prompt_tokens},
                      {"prompt_queries", trace.prompt_queries}});
  }
  std::vector<std::int64_t> layers;
  for (const sim::CodebookLayer& layer : codebook.layers()) {
    layers.push_back(layer.layer);
  }
  return {{"kind", "codebook"},
          {"path", path},
          {"file_bytes", std::filesystem::file_size(path)},
          {"codebook_kind", sim::name_of(info.kind)},
          {"moment", sim::name_of(info.moment)},
          {"codewords", info.codewords},
          {"seeding", sim::name_of(info.seeding)},
          {"wrope_distance", info.distance},
          {"layers", layers},
          {"calibration_traces", traces},
          {"tool_version", info.tool_version},
          {"model", traces::to_json(info.model)}};
}

ordered_json run_info(const std::string& path, const ordered_json& run) {
  return {{"kind", "run"},
          {"path", path},
          {"file_bytes", std::filesystem::file_size(path)},
          {"tool_version", run.value("tool_version", "")},
          {"family", run.value("family", "")},
          {"method", run.value("method", ordered_json::object())},
          {"trace", run.value("trace", ordered_json::object())},
          {"summary", run.value("summary", ordered_json::object())}};
}

/// The file's own metadata says what it is; anything that is no safetensors file is tried as a run.
ordered_json inspect(const std::string& path) {
  std::string format;
  try {
    const traces::SafetensorsFile file = traces::SafetensorsFile::open(path);
    const auto found = file.header().metadata.find("format");
    format = found == file.header().metadata.end() ? "" : found->second;
  } catch (const Error& not_safetensors) {
    try {
      return run_info(path, sim::read_run(path));
    } catch (const Error& not_run) {
      const std::string extension = std::filesystem::path(path).extension().string();
      const bool run = extension == ".kvrun" || extension == ".json";
      throw run ? not_run : not_safetensors;
    }
  }
  if (format == "kvsieve.codebook") {
    return codebook_info(path, sim::Codebook::open(path));
  }
  return trace_info(traces::Trace::open(path));  // says what is wrong with any other format
}

/// One line a value, nested objects indented.
void print(const ordered_json& json, std::size_t indent) {
  for (const auto& [key, value] : json.items()) {
    std::cout << std::string(indent, ' ') << key << ":";
    if (value.is_object() && !value.empty()) {
      std::cout << "\n";
      print(value, indent + 2);
      continue;
    }
    std::cout << " ";
    if (value.is_string()) {
      std::cout << one_line(value.get<std::string>());
    } else {
      std::cout << value.dump();
    }
    if (key.ends_with("_bytes")) {
      std::cout << " (" << human_bytes(value.get<double>()) << ")";
    }
    std::cout << "\n";
  }
}

ordered_json backend_info(kernels::Backend backend) {
  ordered_json json = {{"name", kernels::name_of(backend)}};
  if (const auto reason = sim::why_unavailable(backend)) {
    json["unavailable"] = *reason;
  }
  return json;
}

/// What runs where, and the shapes that the device kernels are compiled for.
ordered_json kernel_info() {
  ordered_json backends = ordered_json::array();
  for (const kernels::Backend backend : kernels::kBackends) {
    backends.push_back(backend_info(backend));
  }
  ordered_json dtypes = ordered_json::array();
  for (const traces::DType dtype : kernels::kDeviceDTypes) {
    dtypes.push_back(traces::name_of(dtype));
  }
  ordered_json operations = ordered_json::array();
  for (const kernels::DeviceOperation& operation : kernels::kDeviceOperations) {
    ordered_json entry = {{"name", operation.name}};
    if (operation.reads_cache) {
      entry["dtypes"] = dtypes;
      entry["head_dims"] = kernels::kDeviceHeadDims;
      entry["groups"] = fmt::format("1-{}", kernels::kDeviceMaxGroup);
    } else {
      entry["dtypes"] = {"F32"};  // scores
    }
    operations.push_back(std::move(entry));
  }
  return {{"kind", "kernels"},
          {"isa", kernels::instruction_set()},
          {"backends", backends},
          {"operations", operations}};
}

void print_kernels(const ordered_json& json) {
  std::cout << "Backends\n";
  for (const ordered_json& backend : json["backends"]) {
    std::cout << fmt::format("  {:<6} {}\n", backend["name"].get<std::string>(),
                             backend.contains("unavailable")
                                 ? "unavailable: " + backend["unavailable"].get<std::string>()
                                 : "available");
  }
  std::cout << "\nOperations of simt and cuda (cpu takes every shape)\n";
  for (const ordered_json& operation : json["operations"]) {
    std::cout << fmt::format("  {:<18} {}", operation["name"].get<std::string>(),
                             fmt::join(operation["dtypes"].get<std::vector<std::string>>(), " "));
    if (operation.contains("head_dims")) {
      std::cout << fmt::format(
          "; head size {}; query heads a KV head {}",
          fmt::join(operation["head_dims"].get<std::vector<std::int64_t>>(), " "),
          operation["groups"].get<std::string>());
    }
    std::cout << "\n";
  }
}

}  // namespace

int run_info(const std::vector<std::string>& words) {
  std::string format = "table";
  bool kernels = false;
  Arguments arguments("info FILE... | --kernels [options]",
                      "Says what a trace, codebook or run holds, from its metadata, or what this\n"
                      "build's backends and kernels support.",
                      {"kvsieve info trace.kvtrace", "kvsieve info run.kvrun --format json",
                       "kvsieve info --kernels"});
  arguments.options("Options")("format", po::value(&format)->default_value(format),
                               "table or json")(
      "kernels", po::bool_switch(&kernels),
      "list backends, and the dtypes, head sizes and groups that have kernels");
  arguments.positional("file", -1);
  if (!arguments.parse(words)) {
    return 0;
  }
  if (arguments.has("file") == kernels) {
    throw Error(ErrorKind::kUsage,
                kernels ? "--kernels is about this build and takes no file" : "no file given",
                "usage: kvsieve info FILE... or kvsieve info --kernels");
  }
  if (format != "table" && format != "json") {
    throw Error(ErrorKind::kUsage, fmt::format("--format '{}' is unknown", format),
                "supported: table, json");
  }
  if (kernels) {
    const ordered_json json = kernel_info();
    if (format == "json") {
      std::cout << json.dump(2) << "\n";
    } else {
      print_kernels(json);
    }
    return 0;
  }
  ordered_json documents = ordered_json::array();
  for (const std::string& path : arguments.get<std::vector<std::string>>("file")) {
    documents.push_back(inspect(path));
  }
  if (format == "json") {
    std::cout << (documents.size() == 1 ? documents[0] : documents)
                     .dump(2, ' ', false, ordered_json::error_handler_t::replace)
              << "\n";
    return 0;
  }
  for (const ordered_json& document : documents) {
    print(document, 0);
    std::cout << (documents.size() > 1 ? "\n" : "");
  }
  return 0;
}

}  // namespace kvsieve::cli
