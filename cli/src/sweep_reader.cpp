#include "sweep_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "arguments.h"
#include "cost_options.h"
#include "kvsieve/traces/error.h"
#include "run_options.h"

namespace kvsieve::cli {
namespace {

/// Options of `run` that say where or how a replay is computed, which no row depends on.
constexpr std::array<std::string_view, 3> kNotVaried{"backend", "latency", "no-cost"};

bool is_shape(std::string_view option) {
  return option == "context" || option == "batch";
}

/// The tables of a verb, parsed.
Arguments run_table() {
  Arguments arguments("run", "", {});
  add_method_options(arguments);
  add_run_cost_options(arguments);
  return arguments;
}

Arguments cost_table() {
  Arguments arguments("cost", "", {});
  add_cost_method_options(arguments);
  add_hardware_options(arguments, "");
  return arguments;
}

/// The point's options as words of a command line. Switches take true and false.
std::vector<std::string> words_of(const sim::SweepPoint& point, const Arguments& table) {
  std::vector<std::string> words;
  for (const auto& [name, value] : point.options) {
    if (name == "trace") {
      continue;
    }
    if (!table.is_switch(name)) {
      words.push_back(fmt::format("--{}={}", name, value));
    } else if (value == "true") {
      words.push_back("--" + name);
    } else if (value != "false") {
      throw Error(ErrorKind::kUsage,
                  fmt::format("--{} is '{}', expected true or false", name, value));
    }
  }
  return words;
}

}  // namespace

std::shared_ptr<const sim::SweepTask> SweepTaskReader::known(const sim::SweepPoint& point) {
  std::string key;
  sim::SweepPoint rest;
  for (const auto& [name, value] : point.options) {
    if (!is_shape(name)) {
      key += name + "=" + value + "\n";
      rest.options.emplace_back(name, value);
    }
  }
  const std::lock_guard lock(m_mutex);
  std::shared_ptr<const sim::SweepTask>& found = m_known[key];
  if (found) {
    return found;
  }
  auto known = std::make_shared<sim::SweepTask>();
  sim::SweepTask& task = *known;
  task.trace = point.find("trace").value_or("");
  if (task.trace.empty()) {
    Arguments table = cost_table();
    static_cast<void>(table.parse(words_of(rest, table)));
    const sim::ModelDimensions model = sim::load_model(table.get<std::string>("model-shape"));
    task.cost = hardware_request(table, model, kDefaultContext);
    task.cost.point.method = read_cost_method(table, model);
  } else {
    const traces::Trace trace = traces::Trace::open(task.trace);
    Arguments table = run_table();
    static_cast<void>(table.parse(words_of(rest, table)));
    RunPlan plan = make_plan(table, trace.header().model, kernels::Backend::kCpu);
    task.cost = run_cost_request(table, trace.header());
    if (auto* eviction = std::get_if<EvictionRun>(&plan)) {
      task.cost.point.method = sim::cost_method_of(eviction->plan);
      task.replay = sim::SweepTask::Eviction{eviction->plan, eviction->options};
    } else {
      const sim::RetrievalOptions& options = std::get<RetrievalRun>(plan).options;
      task.cost.point.method = sim::cost_method_of(options);
      task.replay = options;
      task.cost.point.method.schedule =
          kernels::schedule_from_name(table.get<std::string>("schedule"));
      task.cost.point.method.index.buckets = table.get<std::string>("selection") == "buckets";
    }
  }
  found = std::move(known);
  return found;
}

sim::SweepTask SweepTaskReader::read(const sim::SweepPoint& point) {
  sim::SweepTask task = *known(point);
  if (const auto context = point.find("context")) {
    task.cost.point.context = read_context(*context);
  }
  if (const auto batch = point.find("batch")) {
    read_batch(*batch, task.cost);
  }
  return task;
}

std::vector<std::string> SweepTaskReader::option_names() {
  std::vector<std::string> names{"trace"};
  for (const Arguments& table : {run_table(), cost_table()}) {
    for (const std::string& name : table.names()) {
      if (std::find(kNotVaried.begin(), kNotVaried.end(), name) == kNotVaried.end()) {
        names.push_back(name);
      }
    }
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

}  // namespace kvsieve::cli
