#include "core/pareto_points.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <tuple>
#include <utility>

#include "core/csv_text.h"
#include "core/metric_info.h"
#include "core/qt_text.h"

namespace kvsieve::gui {
namespace {

constexpr std::size_t kTableRows = 2000;
constexpr std::size_t kLegendEntries = 12;

/// An axis over [low, high] with a margin on both sides, so that no mark is cut; a single value
/// gets room around it.
AxisScale axis_over(double low, double high, bool log) {
  constexpr double kMargin = 0.04;
  AxisScale axis{.low = low, .high = high, .log = log};
  if (low > high) {
    return {.low = 1.0, .high = 10.0, .log = log};
  }
  if (log) {
    const double margin = low < high ? std::pow(high / low, kMargin) : 1.3;
    axis.low /= margin;
    axis.high *= margin;
  } else {
    const double margin =
        low < high ? kMargin * (high - low) : std::max(0.05 * std::abs(high), 1e-9);
    axis.low -= margin;
    axis.high += margin;
  }
  return axis;
}

double metric_value(const SweepColumn* column, std::uint32_t row) {
  return column == nullptr ? std::numeric_limits<double>::quiet_NaN() : column->number(row);
}

QString axis_title(const std::string& metric,
                   const std::optional<sim::ParetoObjective>& objective) {
  if (!objective) {
    return qs(metric);
  }
  return objective->direction == sim::ParetoDirection::kMax
             ? qs(metric) + QStringLiteral(" (more is better)")
             : qs(metric) + QStringLiteral(" (less is better)");
}

}  // namespace

bool ParetoLook::same_axes(const ParetoLook& other) const {
  return x == other.x && y == other.y && log_x == other.log_x && log_y == other.log_y;
}

ParetoPoints pareto_points(std::shared_ptr<const SweepArrangement> arrangement,
                           const ParetoLook& look) {
  ParetoPoints made;
  made.arrangement = std::move(arrangement);
  made.look = look;
  const SweepTable& table = *made.arrangement->table;
  const SweepColumn* x = table.metric(look.x);
  const SweepColumn* y = table.metric(look.y);
  const double x_scale = metric_info(look.x).scale;
  const double y_scale = metric_info(look.y).scale;
  made.colours = categories_of(table, look.colour);
  made.shapes = look.shape.empty() ? made.colours : categories_of(table, look.shape);
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  double low_x = kInfinity;
  double high_x = -kInfinity;
  double low_y = kInfinity;
  double high_y = -kInfinity;
  for (const std::uint32_t row : made.arrangement->shown) {
    const ParetoPoint point{row,
                            metric_value(x, row) * x_scale,
                            metric_value(y, row) * y_scale,
                            made.colours.of[row],
                            made.shapes.of[row],
                            made.arrangement->on_front[row] != 0,
                            false};
    const bool drawable = std::isfinite(point.x) && std::isfinite(point.y) &&
                          !(look.log_x && point.x <= 0.0) && !(look.log_y && point.y <= 0.0);
    if (!drawable) {
      continue;
    }
    low_x = std::min(low_x, point.x);
    high_x = std::max(high_x, point.x);
    low_y = std::min(low_y, point.y);
    high_y = std::max(high_y, point.y);
    if (point.on_front) {
      made.front.push_back(made.points.size());
    }
    made.points.push_back(point);
  }
  made.x = axis_over(low_x, high_x, look.log_x);
  made.y = axis_over(low_y, high_y, look.log_y);
  std::sort(made.front.begin(), made.front.end(), [&](std::size_t a, std::size_t b) {
    return std::pair(made.points[a].x, made.points[a].y) <
           std::pair(made.points[b].x, made.points[b].y);
  });
  return made;
}

void ParetoPoints::mark(const std::vector<std::int64_t>& numbers) {
  has_selection = false;
  for (ParetoPoint& point : points) {
    point.selected = std::binary_search(numbers.begin(), numbers.end(), number_of(point));
    has_selection = has_selection || point.selected;
  }
}

std::int64_t ParetoPoints::number_of(const ParetoPoint& point) const {
  return arrangement->table->number(point.row);
}

std::optional<std::size_t> ParetoPoints::nearest(const XyAxes& axes, const QPointF& place,
                                                 double reach) const {
  std::optional<std::size_t> best;
  double best_distance = reach * reach;
  for (std::size_t i = 0; i < points.size(); ++i) {
    const double dx = axes.x.pixel(points[i].x) - place.x();
    const double dy = axes.y.pixel(points[i].y) - place.y();
    const double distance = dx * dx + dy * dy;
    // The front is drawn above the others, and is what one aims at.
    const bool above = best && distance == best_distance && points[i].on_front;
    if (distance < best_distance || above) {
      best = i;
      best_distance = distance;
    }
  }
  return best;
}

std::vector<std::size_t> ParetoPoints::by_x() const {
  std::vector<std::size_t> order(points.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return std::tuple(points[a].x, points[a].y, a) < std::tuple(points[b].x, points[b].y, b);
  });
  return order;
}

ParetoLegend ParetoPoints::legend(const SweepCategories& categories,
                                  std::size_t ParetoPoint::*category) const {
  std::vector<bool> drawn(static_cast<std::size_t>(categories.names.size()), false);
  for (const ParetoPoint& point : points) {
    drawn[point.*category] = true;
  }
  ParetoLegend legend;
  for (std::size_t i = 0; i < drawn.size(); ++i) {
    if (drawn[i] && legend.entries.size() < kLegendEntries) {
      legend.entries.push_back(i);
    } else if (drawn[i]) {
      ++legend.more;
    }
  }
  return legend;
}

QString ParetoPoints::origin() const {
  const QString of_x = metric_info(look.x).origin;
  return of_x == metric_info(look.y).origin ? of_x : QStringLiteral("captured and modelled");
}

QString ParetoPoints::note() const {
  const bool has_front = arrangement->query.x && arrangement->query.y;
  QString note = has_front ? QStringLiteral(
                                 "A point a row; no shown point is better in both axes than one on "
                                 "the line.")
                           : QStringLiteral(
                                 "A point a row; choose for both axes what is better to see the "
                                 "front.");
  if (left_out() > 0) {
    note += QStringLiteral(" %1 of the shown rows lack a value%2.")
                .arg(sim::grouped(static_cast<std::int64_t>(left_out())).c_str(),
                     look.log_x || look.log_y ? " above 0" : "");
  }
  return note;
}

QString ParetoPoints::x_title() const {
  return axis_title(look.x, arrangement->query.x);
}

QString ParetoPoints::y_title() const {
  return axis_title(look.y, arrangement->query.y);
}

QString ParetoPoints::text_of(const ParetoPoint& point) const {
  const SweepTable& table = *arrangement->table;
  const auto metric = [&](const std::string& name) {
    const MetricInfo info = metric_info(name);
    const double value = metric_value(table.metric(name), point.row);
    const QString text =
        QStringLiteral("%1 %2 (%3)").arg(qs(name), info.text(value), info.exact(value));
    return info.origin.isEmpty() ? text : text + ", " + info.origin;
  };
  return QStringLiteral("%1: %2; %3%4")
      .arg(table.label(point.row), metric(look.x), metric(look.y),
           point.on_front ? QStringLiteral("; on the front") : QString());
}

sim::Table ParetoPoints::table() const {
  sim::Table table;
  table.columns = {{.title = "point", .numeric = false, .origin = {}},
                   {.title = look.x, .numeric = true, .origin = {}},
                   {.title = look.y, .numeric = true, .origin = {}},
                   {.title = "front", .numeric = false, .origin = {}}};
  const auto add = [&](const ParetoPoint& point) {
    const SweepTable& sweep = *arrangement->table;
    const auto value = [&](const std::string& name) {
      return metric_info(name).text(metric_value(sweep.metric(name), point.row)).toStdString();
    };
    table.rows.push_back({{.text = sweep.label(point.row).toStdString()},
                          {.text = value(look.x)},
                          {.text = value(look.y)},
                          {.text = point.on_front ? "front" : ""}});
  };
  for (const std::size_t index : front) {
    add(points[index]);
  }
  std::size_t others = 0;
  for (const ParetoPoint& point : points) {
    if (!point.on_front && others++ < kTableRows) {
      add(point);
    }
  }
  if (others > kTableRows) {
    table.rows.push_back({{.text = sim::grouped(static_cast<std::int64_t>(others - kTableRows)) +
                                   " more points: the data as CSV has all"}});
  }
  return table;
}

QString ParetoPoints::csv() const {
  if (!arrangement) {
    return {};
  }
  const SweepTable& sweep = *arrangement->table;
  QString csv = QStringLiteral("number");
  for (const SweepColumn& option : sweep.options()) {
    csv += ',' + csv_cell(qs(option.name));
  }
  csv += ',' + csv_cell(qs(look.x)) + ',' + csv_cell(qs(look.y)) + QStringLiteral(",on_front\r\n");
  for (const ParetoPoint& point : points) {
    csv += QString::number(number_of(point));
    for (const SweepColumn& option : sweep.options()) {
      const auto text = option.text(point.row);
      csv += ',' + (text ? csv_cell(qs(std::string(*text))) : QString());
    }
    csv += ',' + csv_number(metric_value(sweep.metric(look.x), point.row)) + ',' +
           csv_number(metric_value(sweep.metric(look.y), point.row)) +
           (point.on_front ? QStringLiteral(",1\r\n") : QStringLiteral(",0\r\n"));
  }
  return csv;
}

}  // namespace kvsieve::gui
