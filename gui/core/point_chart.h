#pragma once
// Points by the thousand, lines and marked points on two axes of any unit.

#include <QString>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/axis_scale.h"
#include "kvsieve/sim/chart.h"
#include "kvsieve/sim/chart_table.h"

namespace kvsieve::gui {

struct PointChart {
  struct Axis {
    std::string name;
    sim::Unit unit = sim::Unit::kNumber;
    bool log = false;
  };
  /// Points that are shown as a density where they are many.
  struct Cloud {
    std::string name;
    std::vector<std::int64_t> ids;  ///< of the points, ascending
    std::vector<float> x;
    std::vector<float> y;
    sim::Ink ink = sim::Ink::kGrey;
    bool keeps_all = false;  ///< each point is drawn, over the other clouds
  };
  struct Line {
    std::string name;
    std::vector<double> x;  ///< ascending
    std::vector<double> y;
    sim::Ink ink = sim::Ink::kAccent;
  };
  struct Mark {
    std::string name;
    std::string label;  ///< beside it
    double x = 0.0;
    double y = 0.0;
    sim::Ink ink = sim::Ink::kAccent;
    bool strong = false;  ///< larger than the others
  };

  Axis x;
  Axis y;
  std::string id_name;    ///< what an id is: "token"
  bool diagonal = false;  ///< both axes have one range and the line on which x is y
  std::vector<Cloud> clouds;
  std::vector<Line> lines;
  std::vector<Mark> marks;
};

/// Ranges that show everything, with a margin; {0, 1} of an empty chart.
struct PointRanges {
  sim::Range x;
  sim::Range y;
};
[[nodiscard]] PointRanges ranges_of(const PointChart& chart);

/// A square of `cell` pixels in which `points` of a cloud lie.
struct DensityCell {
  std::int32_t column = 0;  ///< of squares from x.from on
  std::int32_t row = 0;     ///< of squares from y.to on
  std::int32_t points = 0;
};
/// The squares that hold points of the shown ranges, row by row.
[[nodiscard]] std::vector<DensityCell> density_of(const PointChart::Cloud& cloud,
                                                  const AxisScale& x, const AxisScale& y,
                                                  double cell);

/// A point of a chart.
struct PointRef {
  enum class Kind { kCloud, kLine, kMark };
  Kind kind = Kind::kCloud;
  std::size_t series = 0;
  std::size_t index = 0;  ///< within a cloud or line

  bool operator==(const PointRef&) const = default;
};
/// The point nearest to a pixel, within `reach` pixels of it; of several as near, a mark before a
/// point that is kept before others before a line.
[[nodiscard]] std::optional<PointRef> nearest_point(const PointChart& chart, const AxisScale& x,
                                                    const AxisScale& y, double px, double py,
                                                    double reach);

/// Its values with units and exact numbers, one a line.
[[nodiscard]] QString text_of(const PointChart& chart, const PointRef& point);
/// The id of a cloud's point.
[[nodiscard]] std::optional<std::int64_t> id_of(const PointChart& chart, const PointRef& point);

/// All marks, lines and kept points; of other clouds the points with the highest y, at most 1,000.
[[nodiscard]] sim::Table table_of(const PointChart& chart);
/// Everything, one line a point.
[[nodiscard]] QString csv_of(const PointChart& chart);

}  // namespace kvsieve::gui
