#include "sample_runs.h"

#include <nlohmann/json.hpp>
#include <stdexcept>

#include "kvsieve/sim/cost_report.h"
#include "kvsieve/sim/run_document.h"

namespace kvsieve::gui::tests {
namespace {

using nlohmann::ordered_json;

template <class Result>
std::shared_ptr<const Run> run_of(const Result& result, bool with_cost, const QString& name) {
  const traces::Trace& trace = *sample_trace();
  ordered_json document = sim::run_document(trace, result);
  if (with_cost) {
    sim::CostRequest request;
    request.hardware = sim::load_hardware("a100-sxm-80");
    request.model = sim::dimensions_of(trace.header().model);
    request.point.context = trace.header().prompt_tokens;
    request.point.method = sim::cost_method_of(result);
    request.loads = sim::captured_loads(result, trace.header());
    request.steps = request.loads.steps();
    document["cost"].update(sim::to_json(sim::cost_report(std::move(request))));
  }
  // Through text, as a file.
  return std::make_shared<const Run>(ordered_json::parse(document.dump()), name);
}

}  // namespace

std::shared_ptr<const traces::Trace> sample_trace() {
  static const auto trace = std::make_shared<const traces::Trace>(
      traces::Trace::open(KVSIEVE_SOURCE "/traces/samples/smollm2-needle.kvtrace"));
  return trace;
}

std::shared_ptr<const Run> retrieval_run(
    const char* preset, const SampleRun& sample,
    const std::function<void(sim::RetrievalOptions&)>& change) {
  sim::RetrievalOptions options = sim::retrieval_preset(preset);
  options.layers = sample.layers;
  if (change) {
    change(options);
  }
  const traces::Trace& trace = *sample_trace();
  return run_of(sample.latency
                    ? sim::replay_decode(trace, options, {.backend = kernels::Backend::kCpu})
                    : sim::replay_retrieval(trace, options),
                sample.cost, preset);
}

std::shared_ptr<const Run> eviction_run() {
  const sim::EvictionPlan plan{*sim::find_eviction_preset("ada-snapkv"), sim::Budget::parse("20%")};
  const auto results = sim::replay_eviction(*sample_trace(), {&plan, 1},
                                            {.layers = {0, 4}, .losses = sim::Losses::kMass});
  return run_of(results.front(), true, "ada-snapkv");
}

std::shared_ptr<const Run> sample_run(const std::string& preset, const std::string& budget,
                                      sim::Granularity granularity, kernels::AlphaMode mode) {
  sim::EvictionPlan plan{*sim::find_eviction_preset(preset), sim::Budget::parse(budget)};
  plan.method.granularity = granularity;
  plan.method.alpha_mode = mode;
  const auto results = sim::replay_eviction(*sample_trace(), {&plan, 1}, {.layers = {0, 4, 8}});
  return run_of(results.front(), false, QString::fromStdString(preset));
}

const sim::Node& head_node(const Run& run, std::int64_t layer, std::int64_t head) {
  for (const sim::LayerView& view : run.view().layers) {
    if (view.layer != layer) {
      continue;
    }
    for (const sim::Node& node : view.heads) {
      if (node.integer("head") == head) {
        return node;
      }
    }
  }
  throw std::logic_error("the run has no such head");
}

}  // namespace kvsieve::gui::tests
