#include "core/roofline.h"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>

namespace kvsieve::gui {
namespace {

/// What a step reads on average, over steps and layers.
std::optional<sim::LayerLoad> mean_load(const sim::StepLoads& loads) {
  if (loads.loads.empty()) {
    return std::nullopt;
  }
  sim::LayerLoad sum{0.0, 0.0, 0.0, 0.0, 0.0};
  for (const sim::LayerLoad& load : loads.loads) {
    sum.kept_share += load.kept_share;
    sum.longest_over_mean += load.longest_over_mean;
    sum.union_share += load.union_share;
    sum.miss_share += load.miss_share;
    sum.run_share += load.run_share;
  }
  const auto count = static_cast<double>(loads.loads.size());
  return sim::LayerLoad{sum.kept_share / count, sum.longest_over_mean / count,
                        sum.union_share / count, sum.miss_share / count, sum.run_share / count};
}

void add_measured(const Run& run, const sim::CostRequest& request, Roofline& roofline) {
  const auto decode = run.view().document.child("decode");
  const auto latency = decode ? decode->child("latency") : std::nullopt;
  if (!latency) {
    return;
  }
  const sim::StepModel model(request.hardware, request.model);
  sim::CostPoint point = request.point;
  point.batch = 1;
  point.method.schedule = kernels::Schedule::kSerial;
  const std::vector<sim::StageWork> work = model.work(point, mean_load(request.loads));
  const double layers = static_cast<double>(run.view().layers.size()) /
                        static_cast<double>(request.model.global_layers());
  const std::string origin = "measured on " + run.view().document.text("backend");
  for (const sim::Node& stage : latency->children("stages")) {
    const std::string name = stage.text("stage");
    const double us = stage.number("mean_us").value_or(0.0);
    for (const sim::StageWork& one : work) {
      if (sim::name_of(one.stage) == name && us > 0.0 && one.flops > 0.0) {
        // The CPU backend runs the GPU's stages on the host, too.
        roofline.points.push_back({name, origin, run.view().document.text("backend") == "cpu", us,
                                   layers * one.memory_bytes, layers * one.flops});
      }
    }
  }
}

}  // namespace

double Roof::at(double flops_per_byte) const noexcept {
  return std::min(flops_per_byte * gbps, gflops);
}

Roofline roofline_of(const Run& run, const sim::CostRequest& request) {
  constexpr double kTera = 1e3;
  const sim::HardwareProfile& hardware = request.hardware;
  Roofline roofline;
  roofline.roofs = {
      {"tensor cores", hardware.gpu.memory_gbps.value, hardware.gpu.bf16_tflops.value * kTera},
      {"CUDA cores", hardware.gpu.memory_gbps.value, hardware.gpu.fp32_tflops.value * kTera},
      {"host", hardware.cpu.dram_gbps.value, hardware.cpu.fp32_gflops.value}};
  const sim::StepModel model(hardware, request.model);
  for (const sim::StageWork& work : model.work(request.point, mean_load(request.loads))) {
    const std::string name(sim::name_of(work.stage));
    if (work.flops > 0.0) {
      roofline.points.push_back({name, "modelled", sim::lane_of(work.stage) == sim::Lane::kCpu,
                                 work.us, work.memory_bytes, work.flops});
    } else if (work.memory_bytes > 0.0) {
      roofline.left_out.push_back(name);
    }
  }
  add_measured(run, request, roofline);
  return roofline;
}

PointChart roofline_chart(const Roofline& roofline) {
  PointChart chart;
  chart.x = {"FLOP a byte of memory", sim::Unit::kNumber, true};
  chart.y = {"GFLOP/s", sim::Unit::kNumber, true};
  double low = std::numeric_limits<double>::infinity();
  double high = 0.0;
  for (const RooflinePoint& point : roofline.points) {
    const bool modelled = point.origin == "modelled";
    const sim::Ink ink = !modelled       ? sim::Ink::kWarm
                         : point.on_host ? sim::Ink::kSand
                                         : sim::Ink::kAccent;
    chart.marks.push_back(
        {point.stage + (point.on_host ? " on the host (" : " on the GPU (") + point.origin + ")",
         point.stage, point.intensity(), point.gflops(), ink, !modelled});
    low = std::min(low, point.intensity());
    high = std::max(high, point.intensity());
  }
  for (const Roof& roof : roofline.roofs) {
    high = std::max(high, roof.gflops / roof.gbps);
  }
  constexpr double kMargin = 3.0;
  constexpr std::array<sim::Ink, 3> kInks{sim::Ink::kAccent, sim::Ink::kPale, sim::Ink::kSand};
  for (std::size_t i = 0; i < roofline.roofs.size() && !roofline.points.empty(); ++i) {
    const Roof& roof = roofline.roofs[i];
    PointChart::Line& line = chart.lines.emplace_back();
    line.name = roof.name;
    line.ink = kInks[i % kInks.size()];
    for (const double x : {low / kMargin, roof.gflops / roof.gbps, high * kMargin}) {
      line.x.push_back(x);
      line.y.push_back(roof.at(x));
    }
  }
  return chart;
}

}  // namespace kvsieve::gui
