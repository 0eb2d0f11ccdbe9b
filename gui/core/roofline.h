#pragma once
// Where the stages of a run's decode step stand under the roofs of its hardware.

#include <string>
#include <vector>

#include "core/point_chart.h"
#include "core/run.h"
#include "kvsieve/sim/cost_report.h"

namespace kvsieve::gui {

/// What memory and arithmetic allow: at x FLOP a byte, min(x gbps, gflops).
struct Roof {
  std::string name;
  double gbps = 0.0;    ///< 10^9 bytes a second
  double gflops = 0.0;  ///< 10^9 FLOP a second

  [[nodiscard]] double at(double flops_per_byte) const noexcept;
};

/// A stage of a step, all layers and sequences.
struct RooflinePoint {
  std::string stage;
  std::string origin;  ///< "modelled", or "measured on cpu"
  bool on_host = false;
  double us = 0.0;
  double memory_bytes = 0.0;
  double flops = 0.0;

  [[nodiscard]] double intensity() const noexcept { return flops / memory_bytes; }
  [[nodiscard]] double gflops() const noexcept { return flops / us * 1e-3; }
};

struct Roofline {
  std::vector<Roof> roofs;  ///< of the data sheets: tensor cores, CUDA cores, the host
  std::vector<RooflinePoint> points;
  std::vector<std::string> left_out;  ///< stages that move bytes and compute nothing
};

/// Modelled points: StepModel::work() of the request at the mean of its loads. Measured ones: times
/// of the run's decode report, of one sequence and the replayed layers, with the work that the
/// model counts for these.
[[nodiscard]] Roofline roofline_of(const Run& run, const sim::CostRequest& request);

/// Roofs as lines and stages as marks, on logarithmic axes.
[[nodiscard]] PointChart roofline_chart(const Roofline& roofline);

}  // namespace kvsieve::gui
