#pragma once
// Points of a sweep on two metrics, with the front that no other point beats.

#include <QString>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/axis_scale.h"
#include "core/sweep_arrangement.h"
#include "core/sweep_categories.h"
#include "kvsieve/sim/chart_table.h"

namespace kvsieve::gui {

/// What a chart shows of a sweep.
struct ParetoLook {
  std::string x;  ///< metrics
  std::string y;
  bool log_x = false;
  bool log_y = false;
  std::string colour;  ///< an option, or empty for one colour
  std::string shape;   ///< an option, or empty for the one of the colour

  [[nodiscard]] bool same_axes(const ParetoLook& other) const;
};

struct ParetoPoint {
  std::uint32_t row = 0;  ///< of the sweep
  double x = 0.0;         ///< in the unit of the axis
  double y = 0.0;
  std::size_t colour = 0;  ///< categories
  std::size_t shape = 0;
  bool on_front = false;
  bool selected = false;
};

/// Categories of points that are there, at most as many as a legend lists.
struct ParetoLegend {
  std::vector<std::size_t> entries;
  int more = 0;  ///< than these
};

/// The shown rows of a sweep that have a value on both axes.
struct ParetoPoints {
  std::shared_ptr<const SweepArrangement> arrangement;  ///< null: there is no sweep
  ParetoLook look;
  SweepCategories colours;
  SweepCategories shapes;
  std::vector<ParetoPoint> points;
  std::vector<std::size_t> front;  ///< indices of points, by x
  bool has_selection = false;      ///< a point is selected
  AxisScale x;                     ///< the range that shows all points
  AxisScale y;

  /// How many of the shown rows lack a value, or one above 0 on a logarithmic axis.
  [[nodiscard]] std::size_t left_out() const { return arrangement->shown.size() - points.size(); }
  /// Marks the points of these numbers (ascending) as selected.
  void mark(const std::vector<std::int64_t>& numbers);
  /// The point's number in its sweep.
  [[nodiscard]] std::int64_t number_of(const ParetoPoint& point) const;
  /// The point nearest to a pixel within `reach` pixels of it; of several as near, the front's.
  [[nodiscard]] std::optional<std::size_t> nearest(const XyAxes& axes, const QPointF& place,
                                                   double reach) const;
  /// All points from left to right.
  [[nodiscard]] std::vector<std::size_t> by_x() const;
  /// @param category which of a point's categories `categories` are
  [[nodiscard]] ParetoLegend legend(const SweepCategories& categories,
                                    std::size_t ParetoPoint::*category) const;

  /// "captured", "modelled", or both.
  [[nodiscard]] QString origin() const;
  /// How to read the chart, and how many rows are left out of it.
  [[nodiscard]] QString note() const;
  /// "tokens_per_second (more is better)", as the front's objectives have it.
  [[nodiscard]] QString x_title() const;
  [[nodiscard]] QString y_title() const;
  /// Its label, both values with exact ones, and whether it is on the front.
  [[nodiscard]] QString text_of(const ParetoPoint& point) const;
  /// The front, and the first 2,000 others.
  [[nodiscard]] sim::Table table() const;
  /// All points with their options (RFC 4180); empty without a sweep.
  [[nodiscard]] QString csv() const;
};

[[nodiscard]] ParetoPoints pareto_points(std::shared_ptr<const SweepArrangement> arrangement,
                                         const ParetoLook& look);

}  // namespace kvsieve::gui
