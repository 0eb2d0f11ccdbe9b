#include <fmt/format.h>

#include <iostream>
#include <nlohmann/json.hpp>

#include "arguments.h"
#include "kvsieve/sim/codebook.h"
#include "kvsieve/traces/error.h"
#include "output_path.h"
#include "terminal.h"
#include "verb.h"

namespace po = boost::program_options;

namespace kvsieve::cli {

namespace {

nlohmann::ordered_json to_json(const std::string& path, const sim::Codebook& codebook) {
  nlohmann::ordered_json json = {
      {"schema", "kvsieve.training/1"},         {"codebook", path},
      {"codewords", codebook.info().codewords}, {"seeding", sim::name_of(codebook.info().seeding)},
      {"warnings", codebook.info().warnings},   {"heads", nlohmann::ordered_json::array()}};
  for (const sim::CodebookLayer& layer : codebook.layers()) {
    for (std::size_t head = 0; head < layer.heads.size(); ++head) {
      const sim::TrainingRecord& record = layer.heads[head];
      json["heads"].push_back({{"layer", layer.layer},
                               {"kv_head", head},
                               {"rows", record.rows},
                               {"query_rows", record.query_rows},
                               {"iterations", record.iterations},
                               {"converged", record.converged},
                               {"objective", record.objective},
                               {"dead_codes", record.dead_codes},
                               {"reseeded", record.reseeded},
                               {"condition_number", record.condition_number}});
    }
  }
  return json;
}

}  // namespace

int run_train(const std::vector<std::string>& words) {
  sim::CodebookOptions options;
  std::string output;
  std::string kind = "query-aware";
  std::string moment = "wrope";
  std::string seeding = "plus-plus";
  std::string layers = "all";
  std::string format = "table";
  bool force = false;
  Arguments arguments(
      "train TRACE... --output FILE [options]",
      "Calibrates an A2ATS codebook on the prompts of one or several traces of a model: one\n"
      "codebook a layer and KV head, query-aware unless --kind plain. Record the traces with\n"
      "--prompt-queries all: the query moment wants at least 16 d query rows a group.",
      {"kvsieve train a.kvtrace b.kvtrace --output model.kvcodebook",
       "kvsieve train a.kvtrace --output plain.kvcodebook --kind plain --codewords 1024"});
  arguments.options("Options")("output,o", po::value(&output)->required(), "codebook file")(
      "codewords", po::value(&options.codewords)->default_value(0),
      "C; 0 takes the largest power of two up to rows / 16, at most 4096")(
      "kind", po::value(&kind)->default_value(kind),
      "query-aware, plain, or post-rope: query-aware over keys rotated to their positions, for "
      "vq-post-rope")("moment", po::value(&moment)->default_value(moment),
                      "queries behind the moment H: wrope (rotated to b) or rope")(
      "center-keys", po::bool_switch(&options.center_keys), "code keys minus their mean")(
      "iterations", po::value(&options.max_iterations)->default_value(options.max_iterations),
      "most k-means iterations")(
      "tolerance",
      po::value(&options.tolerance)
          ->default_value(options.tolerance, fmt::format("{}", options.tolerance)),
      "on the norm of the codewords' move")(
      "wrope-distance", po::value(&options.distance)->default_value(options.distance), "b")(
      "layers", po::value(&layers)->default_value(layers), "model layers, e.g. 0,4,8-11, or all")(
      "seeding", po::value(&seeding)->default_value(seeding),
      "k-means++ among all keys (plus-plus) or among 4 a codeword (sampled)")(
      "seed", po::value(&options.seed)->default_value(0), "of the seeding")(
      "format", po::value(&format)->default_value(format), "table, json, csv or md")(
      "force", po::bool_switch(&force), "replace an existing file");
  arguments.positional("trace", -1);
  if (!arguments.parse(words)) {
    return 0;
  }
  if (!arguments.has("trace")) {
    throw Error(ErrorKind::kUsage, "no trace given", "usage: kvsieve train TRACE... --output FILE");
  }
  static_cast<void>(arguments.at_least(0, "codewords"));
  static_cast<void>(arguments.at_least(1, "iterations"));
  static_cast<void>(arguments.at_least(0, "wrope-distance"));
  if (!(options.tolerance >= 0.0)) {
    throw Error(ErrorKind::kUsage,
                fmt::format("--tolerance is {}, expected 0 or more", options.tolerance));
  }
  options.kind = sim::codebook_kind_from_name(kind);
  options.moment = sim::moment_queries_from_name(moment);
  options.seeding = sim::codebook_seeding_from_name(seeding);
  if (options.kind != sim::CodebookKind::kQueryAware && arguments.given("moment")) {
    throw Error(ErrorKind::kUsage,
                fmt::format("--moment does not apply to the kind {}", sim::name_of(options.kind)));
  }
  Table table({"layer", "kv_head", "rows", "query_rows", "iterations", "objective", "dead_codes",
               "reseeded", "condition_number"});
  if (format != "json") {
    static_cast<void>(table.format(format));
  }
  const auto inputs = arguments.get<std::vector<std::string>>("trace");
  check_output(output, force, inputs);
  std::vector<traces::Trace> traces;
  for (const std::string& path : inputs) {
    traces.push_back(traces::Trace::open(path));
  }
  options.layers = chosen_layers(layers, traces[0].header().model.layers);
  std::vector<const traces::Trace*> pointers;
  for (const traces::Trace& trace : traces) {
    pointers.push_back(&trace);
  }
  ProgressLine progress("training");
  const sim::Codebook codebook =
      sim::train_codebook(pointers, options, [&](double share) { progress.update(share); });
  progress.finish();
  codebook.save(output, force);
  for (const std::string& warning : codebook.info().warnings) {
    warn(warning);
  }
  if (format == "json") {
    std::cout << to_json(output, codebook)
                     .dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace)
              << "\n";
    return 0;
  }
  for (const sim::CodebookLayer& layer : codebook.layers()) {
    for (std::size_t head = 0; head < layer.heads.size(); ++head) {
      const sim::TrainingRecord& record = layer.heads[head];
      table.add({std::to_string(layer.layer), std::to_string(head), std::to_string(record.rows),
                 std::to_string(record.query_rows), std::to_string(record.iterations),
                 fmt::format("{:.4g}", record.objective.empty() ? 0.0 : record.objective.back()),
                 std::to_string(record.dead_codes), std::to_string(record.reseeded),
                 fmt::format("{:.3g}", record.condition_number)});
    }
  }
  std::cout << table.format(format);
  return 0;
}

}  // namespace kvsieve::cli
