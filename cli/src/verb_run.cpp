#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>

#include "arguments.h"
#include "cost_options.h"
#include "cost_tables.h"
#include "kvsieve/sim/run_document.h"
#include "kvsieve/traces/error.h"
#include "output_path.h"
#include "run_options.h"
#include "run_tables.h"
#include "terminal.h"
#include "thread_limit.h"
#include "verb.h"

namespace po = boost::program_options;

namespace kvsieve::cli {
namespace {

struct Output {
  std::string format;
  std::string path;
  bool force = false;
};

bool finite(const sim::LossFigures& figures) {
  return std::isfinite(figures.evicted_mass) && std::isfinite(figures.l1_loss) &&
         std::isfinite(figures.l1_loss_relative) && std::isfinite(figures.bounds.eps);
}

bool finite(const sim::LayerEviction& layer) {
  return (!layer.decode || finite(*layer.decode)) && (!layer.uniform || finite(*layer.uniform)) &&
         (!layer.observation || finite(*layer.observation));
}

bool finite(const sim::LayerRetrieval& layer) {
  return std::isfinite(layer.figures.captured_mass) && std::isfinite(layer.loss.output_error) &&
         std::isfinite(layer.loss.l1_loss) && std::isfinite(layer.loss.l1_loss_relative);
}

/// Throws Error(kBadInput) if the trace's values gave losses that are no numbers.
template <class Result>
void require_finite(const traces::Trace& trace, const Result& result) {
  for (const auto& layer : result.layers) {
    if (!finite(layer)) {
      throw Error(ErrorKind::kBadInput,
                  fmt::format("{}: the losses of layer {} are not finite", trace.path().string(),
                              layer.layer),
                  "`kvsieve check` names the tensors with NaN or infinite values");
    }
  }
}

/// What the replayed method would cost at the wanted place, with the loads that the trace showed.
template <class Result>
sim::CostReport cost_of(const Arguments& arguments, const traces::Trace& trace,
                        const Result& result) {
  sim::CostRequest request = run_cost_request(arguments, trace.header());
  request.point.method = run_cost_method(arguments, result);
  request.loads = sim::captured_loads(result, trace.header());
  request.steps = std::max<std::int64_t>(request.loads.steps(), 1);
  return sim::cost_report(std::move(request));
}

template <class Result>
void deliver(const Arguments& arguments, const traces::Trace& trace, const Result& result,
             const Output& output) {
  require_finite(trace, result);
  std::optional<sim::CostReport> cost;
  if (!arguments.get<bool>("no-cost")) {
    cost = cost_of(arguments, trace, result);
  }
  for (const std::string& warning : result.warnings) {
    warn(warning);
  }
  if (!output.path.empty() || output.format == "json") {
    nlohmann::ordered_json document = sim::run_document(trace, result);
    if (cost) {
      document["cost"].update(sim::to_json(*cost));
    }
    if (!output.path.empty()) {
      sim::write_run(output.path, document, output.force);
    }
    if (output.format == "json") {
      std::cout << document.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace)
                << "\n";
      return;
    }
  }
  std::cout << describe(trace, result, output.format);
  if (cost && output.format == "table") {
    std::cout << "\nCost: " << cost_lines(*cost);
  }
}

}  // namespace

int run_replay(const std::vector<std::string>& words) {
  Output output{.format = "table"};
  std::string backend = "cpu";
  int threads = 0;
  bool quiet = false;
  Arguments arguments(
      "run TRACE --method NAME [options]",
      "Replays one method on a captured trace: who keeps what, what it loses on the decode steps\n"
      "that the method has not seen, and what crosses PCIe. Adaptive methods are always shown\n"
      "beside equal budgets at the same total.",
      {"kvsieve run trace.kvtrace --method ada-snapkv --budget 20%",
       "kvsieve run trace.kvtrace --method ada-snapkv --budget 512 --granularity query --alpha 0",
       "kvsieve run trace.kvtrace --method a2ats --top 3% --codebook model.kvcodebook",
       "kvsieve run trace.kvtrace --method a2ats --placement cpu-attention --latency",
       "kvsieve run trace.kvtrace --method snapkv --format json --output snapkv.kvrun"});
  add_method_options(arguments);
  add_hardware_options(arguments, "the prompt's if not given, the trace's shares applied to it");
  arguments.options("Where it runs (modelled)")(
      "model-shape", po::value<std::string>(),
      "cost this model instead of the trace's: an id or a .json file")("no-cost", po::bool_switch(),
                                                                       "leave the cost out");
  arguments.options("Output")("format", po::value(&output.format)->default_value("table"),
                              "table, json, csv or md, on standard output")(
      "output,o", po::value(&output.path),
      "also write the run as JSON; compressed if the name ends in .kvrun")(
      "force", po::bool_switch(&output.force), "replace an existing output file")(
      "quiet,q", po::bool_switch(&quiet), "no progress");
  arguments.options("Execution")("backend", po::value(&backend)->default_value(backend),
                                 "cpu, simt or cuda")(
      "threads", po::value(&threads)->default_value(0), "CPU threads; 0 uses every core");
  arguments.positional("trace", 1);
  if (!arguments.parse(words)) {
    return 0;
  }
  if (!arguments.has("trace")) {
    throw Error(ErrorKind::kUsage, "no trace given", "usage: kvsieve run TRACE --method NAME");
  }
  const kernels::Backend where = kernels::backend_from_name(backend);
  if (output.format != "json") {
    static_cast<void>(Table({}).format(output.format));
  }
  check_threads(threads);
  const std::optional<tbb::global_control> limit = thread_limit(threads);
  const auto inputs = arguments.get<std::vector<std::string>>("trace");
  const traces::Trace trace = traces::Trace::open(inputs[0]);
  const RunPlan plan = make_plan(arguments, trace.header().model, where);
  if (arguments.given("output")) {
    check_output(output.path, output.force, inputs);
  }
  ProgressLine progress("replaying", quiet);
  const auto update = [&](double share) { progress.update(share); };
  if (const auto* eviction = std::get_if<EvictionRun>(&plan)) {
    const std::vector<sim::EvictionResult> results =
        sim::replay_eviction(trace, {&eviction->plan, 1}, eviction->options, update);
    progress.finish();
    deliver(arguments, trace, results[0], output);
  } else {
    const auto& retrieval = std::get<RetrievalRun>(plan);
    const sim::RetrievalResult result =
        retrieval.decode ? sim::replay_decode(trace, retrieval.options, *retrieval.decode, update)
                         : sim::replay_retrieval(trace, retrieval.options, update);
    progress.finish();
    deliver(arguments, trace, result, output);
  }
  return 0;
}

}  // namespace kvsieve::cli
