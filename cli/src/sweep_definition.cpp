#include "sweep_definition.h"

#include <fmt/format.h>

#include <algorithm>

#include "kvsieve/kernels/instruction_set.h"
#include "kvsieve/sim/codebook.h"
#include "kvsieve/sim/hardware_profile.h"
#include "kvsieve/sim/model_dimensions.h"
#include "kvsieve/sim/version.h"
#include "kvsieve/traces/content_hash.h"
#include "kvsieve/traces/error.h"
#include "kvsieve/traces/trace.h"
#include "sweep_reader.h"

namespace po = boost::program_options;

namespace kvsieve::cli {
namespace {

using nlohmann::ordered_json;

void check_option(const std::string& name, const std::vector<std::string>& options) {
  if (!std::binary_search(options.begin(), options.end(), name)) {
    const std::string near = nearest(name, options);
    throw Error(ErrorKind::kUsage,
                fmt::format("'{}' is no option of run or cost that a sweep can vary", name),
                near.empty() ? "`kvsieve run --help` and `kvsieve cost --help` list them"
                             : fmt::format("did you mean {}?", near));
  }
}

/// Whether all names of a condition are options of the points.
bool is_about_points(const sim::Expression& condition, const std::vector<std::string>& names) {
  const std::vector<std::string> used = condition.names();
  return std::all_of(used.begin(), used.end(), [&](const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  });
}

/// Hashes of every file that a point may read: equal hashes, equal rows.
ordered_json input_hashes(const std::vector<sim::SweepAxis>& axes) {
  ordered_json inputs = ordered_json::object();
  for (const sim::SweepAxis& axis : axes) {
    for (const std::string& value : axis.values) {
      if (axis.name == "trace") {
        inputs["trace"][value] = traces::Trace::open(value).hash();
      } else if (axis.name == "codebook" || ((axis.name == "hardware" || axis.name == "link" ||
                                              axis.name == "cpu" || axis.name == "model-shape") &&
                                             value.ends_with(".json"))) {
        inputs[axis.name][value] = traces::file_hash(value);
      }
    }
  }
  return inputs;
}

ordered_json definition_json(const sim::SweepDefinition& definition) {
  ordered_json json = {{"axes", ordered_json::array()}};
  for (const sim::SweepAxis& axis : definition.axes) {
    json["axes"].push_back({{"name", axis.name}, {"values", axis.values}});
  }
  if (!definition.zipped.empty()) {
    json["zip"] = definition.zipped;
  }
  for (const auto& [name, expression] : definition.derived) {
    json["derive"].push_back({{"name", name}, {"expression", expression}});
  }
  if (!definition.where.empty()) {
    json["where"] = definition.where;
  }
  if (definition.sample) {
    json["sample"] = *definition.sample;
    json["seed"] = definition.seed;
  }
  return json;
}

}  // namespace

void add_definition_options(Arguments& arguments) {
  arguments.options("Points")(
      "axis,a", po::value<std::vector<std::string>>(),
      "NAME=5%,10%,20% or NAME=[start:stop:stride] or NAME[pow2]=[12:17]: an option of run or cost "
      "with its values; repeat for the product, the first varies slowest")(
      "zip", po::value<std::vector<std::string>>(), "NAME,NAME: axes that advance together")(
      "derive", po::value<std::vector<std::string>>(),
      "NAME=EXPRESSION over the point's options, e.g. window=budget/16")(
      "where", po::value<std::vector<std::string>>(),
      "condition over options (which points) or results (which rows to show), e.g. 'tpot_ms<20'")(
      "sample", po::value<std::int64_t>(), "so many of the points, drawn without repeats")(
      "seed", po::value<std::uint64_t>()->default_value(0), "of the sample");
}

SweepRequest read_sweep(const Arguments& arguments, const std::vector<std::string>& traces) {
  SweepRequest request;
  sim::SweepDefinition& definition = request.definition;
  if (!traces.empty()) {
    definition.axes.push_back({"trace", traces});
  }
  for (const std::string& text : arguments.list("axis")) {
    definition.axes.push_back(sim::parse_axis(text));
  }
  if (definition.axes.empty()) {
    throw Error(ErrorKind::kUsage, "a sweep needs at least one axis",
                "for example -a budget=5%,10%,20%");
  }
  const std::vector<std::string> options = SweepTaskReader::option_names();
  std::vector<std::string> names;
  for (const sim::SweepAxis& axis : definition.axes) {
    check_option(axis.name, options);
    names.push_back(axis.name);
  }
  for (const std::string& text : arguments.list("zip")) {
    definition.zipped.push_back(split_list(text));
  }
  for (const std::string& text : arguments.list("derive")) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
      throw Error(ErrorKind::kUsage, fmt::format("--derive '{}' is not NAME=EXPRESSION", text));
    }
    definition.derived.emplace_back(text.substr(0, equals), text.substr(equals + 1));
    check_option(definition.derived.back().first, options);
    names.push_back(definition.derived.back().first);
  }
  for (const std::string& text : arguments.list("where")) {
    if (is_about_points(sim::Expression(text), names)) {
      definition.where += definition.where.empty() ? "(" + text + ")" : " and (" + text + ")";
    } else {
      request.result_conditions.push_back(text);
    }
  }
  if (arguments.has("sample")) {
    definition.sample = arguments.at_least(1, "sample");
  }
  definition.seed = arguments.get<std::uint64_t>("seed");
  request.points = sim::sweep_points(definition);
  const ordered_json inputs = input_hashes(definition.axes);
  request.identity.tool_version = std::string(sim::version());
  request.identity.isa = kernels::instruction_set();
  request.identity.definition = definition_json(definition).dump();
  request.identity.inputs = inputs.dump();
  request.identity.points = static_cast<std::int64_t>(request.points.size());
  request.context = {{"tool_version", request.identity.tool_version},
                     {"isa", request.identity.isa},
                     {"inputs", inputs}};
  return request;
}

}  // namespace kvsieve::cli
