#include "kvsieve/sim/cost_report.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "kvsieve/sim/version.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::sim {
namespace {

using nlohmann::ordered_json;

StepBand band_of(const HardwareProfile& hardware, const StepCost& cost) {
  StepBand band;
  double covered = 0.0;
  double down = 0.0;
  double up = 0.0;
  for (const StageCost& stage : cost.stages) {
    if (stage.regime.empty()) {
      continue;
    }
    if (const auto error = error_band(hardware, stage.regime)) {
      covered += stage.us;
      // modelled = measured (1 + error): the measured time lies between these.
      down += stage.us * (1.0 - 1.0 / (1.0 + error->median_error));
      up += stage.us * (1.0 / (1.0 - std::min(error->median_error, 0.9)) - 1.0);
    }
  }
  const double serial = cost.serial_us;
  const double scale = serial > 0.0 ? cost.step_us / serial : 1.0;
  band.low_us = cost.step_us - down * scale;
  band.high_us = cost.step_us + up * scale;
  band.covered_share = serial > 0.0 ? covered / serial : 0.0;
  return band;
}

/// Of full attention at a point whose method is replaced.
FullAttention full_attention(const HardwareProfile& hardware, const StepModel& model,
                             CostPoint point) {
  FullAttention full;
  point.method = cost_method("full");
  full.largest_batch =
      largest_batch(memory_ledger(model.model(), point.method, point.context, point.capacity),
                    hardware, point.capacity);
  if (full.largest_batch < 1) {
    return full;
  }
  if (point.batch <= full.largest_batch) {
    full.step_us = model.step(point).step_us;
  }
  point.batch = full.largest_batch;
  full.best_tokens_per_second = model.step(point).tokens_per_second;
  return full;
}

ordered_json error_json(const ErrorBand& band) {
  ordered_json json = {{"median_error", band.median_error}};
  if (band.p95) {
    json["p95"] = *band.p95;
  }
  if (band.bias) {
    json["bias"] = *band.bias;
  }
  json["n"] = band.n;
  json["scope"] = band.scope;
  return json;
}

ordered_json hardware_json(const HardwareProfile& hardware) {
  ordered_json json = {{"id", hardware.id},
                       {"name", hardware.name},
                       {"architecture", hardware.architecture.id},
                       {"link", hardware.link.id},
                       {"cpu", hardware.cpu.id}};
  if (hardware.calibration) {
    const CalibrationRecord& record = *hardware.calibration;
    json["calibration"] = {{"engine", record.engine},
                           {"engine_version", record.engine_version},
                           {"kv_dtype", record.kv_dtype},
                           {"date", record.date},
                           {"rows_file", record.rows_file}};
  }
  // The id says everything of a built-in profile, nothing of a user's file or another link.
  if (find_hardware(hardware.id) != hardware) {
    json["profile"] = to_json(hardware);
  }
  return json;
}

ordered_json model_json(const ModelDimensions& model) {
  ordered_json json = {{"id", model.id},
                       {"L", model.layers},
                       {"Hq", model.q_heads},
                       {"Hkv", model.kv_heads},
                       {"d", model.head_dim},
                       {"D", model.width},
                       {"parameters", model.parameters()},
                       {"verified", model.verified}};
  const std::vector<std::string> ids = model_ids();
  if (std::find(ids.begin(), ids.end(), model.id) == ids.end() || load_model(model.id) != model) {
    json["dimensions"] = to_json(model);
  }
  return json;
}

ordered_json method_json(const CostMethod& method) {
  ordered_json json = {{"name", method.name}, {"family", name_of(method.family)}};
  if (method.family == CostFamily::kEviction) {
    json["budget"] = method.budget.text();
    json["longest_over_mean"] = method.longest_over_mean;
  }
  if (method.family == CostFamily::kRetrieval) {
    json["top"] = method.top.text();
    json["sinks"] = method.sinks;
    json["window"] = method.window;
    json["placement"] = kernels::name_of(method.placement);
    json["schedule"] = kernels::name_of(method.schedule);
    if (method.index.codes) {
      json["codewords"] = method.index.codewords;
      json["packed_codes"] = method.index.packed;
      json["buckets"] = method.index.buckets;
    } else if (method.index.bytes_per_token > 0.0) {
      json["index_bytes_per_token"] = method.index.bytes_per_token;
    }
    if (method.fetch_path) {
      json["fetch_path"] = name_of(*method.fetch_path);
    }
    if (method.placement == Placement::kFetchHotBuffer) {
      json["hot_buffer"] = method.hot_buffer;
      json["hit_rate"] = method.hit_rate;
    }
    if (method.union_factor) {
      json["union_factor"] = *method.union_factor;
    }
    json["run_tokens"] = method.run_tokens;
  }
  return json;
}

ordered_json memory_json(const std::vector<MemoryItem>& items, std::int64_t batch,
                         std::int64_t total, double capacity, double share) {
  ordered_json json = {{"total_bytes", total},
                       {"capacity_bytes", capacity},
                       {"usable_bytes", capacity * share},
                       {"items", ordered_json::array()}};
  for (const MemoryItem& item : items) {
    json["items"].push_back({{"name", item.name},
                             {"bytes", item.bytes(batch)},
                             {"fixed_bytes", item.fixed_bytes},
                             {"sequence_bytes", item.sequence_bytes}});
  }
  return json;
}

ordered_json stages_json(const CostReport& report) {
  ordered_json stages = ordered_json::array();
  for (const StageCost& stage : report.cost.stages) {
    ordered_json json = {
        {"stage", name_of(stage.stage)}, {"lane", name_of(lane_of(stage.stage))}, {"us", stage.us}};
    if (stage.bytes > 0.0) {
      json["bytes"] = stage.bytes;
      json["pieces"] = stage.pieces;
    }
    if (!stage.regime.empty()) {
      json["regime"] = stage.regime;
      if (const auto band = error_band(report.request.hardware, stage.regime)) {
        json["error"] = error_json(*band);
      }
    }
    stages.push_back(std::move(json));
  }
  return stages;
}

}  // namespace

Timeline cost_timeline(const CostRequest& request) {
  return StepModel(request.hardware, request.model)
      .timeline(request.point, request.loads, request.steps);
}

CostFigures cost_figures(const HardwareProfile& hardware, const StepModel& model,
                         const CostPoint& wanted, bool largest, const StepLoads& loads,
                         std::int64_t steps) {
  CostPoint point = wanted;
  CostFigures figures;
  figures.memory = memory_ledger(model.model(), point.method, point.context, point.capacity);
  figures.largest_batch = largest_batch(figures.memory, hardware, point.capacity);
  if (largest) {
    if (figures.largest_batch < 1) {
      throw Error(ErrorKind::kUsage,
                  model.model().id + " does not fit " + hardware.id + " at this context",
                  "--context, --model-shape or --hardware must change");
    }
    point.batch = figures.largest_batch;
  }
  figures.batch = point.batch;
  figures.fits = point.batch <= figures.largest_batch;
  figures.prefill_us = model.prefill_us(point);
  if (loads.layers > 0) {
    const Timeline timeline = model.timeline(point, loads, steps);
    const TimelineResult result = simulate(timeline);
    figures.cost = model.totals(point, timeline, result);
    figures.step_us = step_times_us(timeline, result);
    std::array<double, kCostStages> critical{};
    for (const std::int32_t task : result.critical_path) {
      const auto at = static_cast<std::size_t>(task);
      critical[static_cast<std::size_t>(timeline.tasks[at].name)] +=
          (result.spans[at].end_us - result.spans[at].begin_us) / static_cast<double>(steps);
    }
    for (std::size_t stage = 0; stage < kCostStages; ++stage) {
      if (critical[stage] > 0.0) {
        figures.critical_path.push_back({static_cast<CostStage>(stage), critical[stage]});
      }
    }
  } else {
    figures.cost = model.step(point);
  }
  figures.band = band_of(hardware, figures.cost);
  figures.full = full_attention(hardware, model, std::move(point));
  return figures;
}

CostReport cost_report(CostRequest request) {
  const StepModel model(request.hardware, request.model);
  CostReport report;
  static_cast<CostFigures&>(report) = cost_figures(
      request.hardware, model, request.point, request.largest_batch, request.loads, request.steps);
  request.point.batch = report.batch;
  report.request = std::move(request);
  return report;
}

ordered_json to_json(const CostReport& report) {
  const CostRequest& request = report.request;
  const CostPoint& point = request.point;
  const StepCost& cost = report.cost;
  ordered_json json = {
      {"schema", "kvsieve.cost/1"},
      {"tool_version", version()},
      {"origin", "modelled"},
      {"hardware", hardware_json(request.hardware)},
      {"model", model_json(request.model)},
      {"method", method_json(point.method)},
      {"load", request.loads.layers > 0 ? "captured" : "stated"},
      {"context", point.context},
      {"batch", point.batch},
      {"kv_element_bytes", point.capacity.element_bytes},
      {"step_us", cost.step_us},
      {"tokens_per_second", cost.tokens_per_second},
      {"prefill_us", report.prefill_us},
      {"serial_us", cost.serial_us},
      {"exposed_transfer_us", cost.exposed_transfer_us},
      {"error_band",
       {{"low_us", report.band.low_us},
        {"high_us", report.band.high_us},
        {"covered_share", report.band.covered_share},
        {"basis", "median error of each stage's regime"}}},
      {"stages", stages_json(report)},
      {"pcie_per_step",
       {{"to_gpu_bytes", cost.to_gpu_bytes}, {"to_host_bytes", cost.to_host_bytes}}},
      {"utilisation", ordered_json::object()},
      {"memory",
       {{"fits", report.fits},
        {"largest_batch", report.largest_batch},
        {"gpu", memory_json(report.memory.gpu, point.batch, report.memory.gpu_bytes(point.batch),
                            request.hardware.gpu.memory_bytes.value, point.capacity.gpu_share)},
        {"host", memory_json(report.memory.host, point.batch, report.memory.host_bytes(point.batch),
                             request.hardware.cpu.memory_bytes.value, point.capacity.host_share)}}},
  };
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    json["utilisation"][std::string(name_of(static_cast<Lane>(lane)))] = cost.utilisation[lane];
  }
  json["utilisation"]["host-memory"] = cost.host_memory_utilisation;
  if (!report.step_us.empty()) {
    json["steps_us"] = report.step_us;
    json["critical_path"] = ordered_json::array();
    for (const CriticalStage& stage : report.critical_path) {
      json["critical_path"].push_back({{"stage", name_of(stage.stage)}, {"us", stage.us}});
    }
  }
  ordered_json full = {{"largest_batch", report.full.largest_batch}};
  if (report.full.step_us) {
    full["step_us"] = *report.full.step_us;
    full["speedup"] = *report.full.step_us / cost.step_us;
  }
  if (report.full.best_tokens_per_second) {
    full["best_tokens_per_second"] = *report.full.best_tokens_per_second;
    full["throughput_ratio"] = cost.tokens_per_second / *report.full.best_tokens_per_second;
  }
  json["full_attention"] = std::move(full);
  return json;
}

ordered_json to_json(const CostTerms& terms) {
  ordered_json json = ordered_json::array();
  for (const CostTerm& term : terms) {
    json.push_back({{"name", term.name},
                    {"value", term.value},
                    {"unit", term.unit},
                    {"formula", term.formula},
                    {"inputs", term.inputs},
                    {"source", term.source}});
  }
  return json;
}

}  // namespace kvsieve::sim
