#include "widgets/chart_drawing.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/qt_text.h"
#include "kvsieve/traces/error.h"
#include "widgets/custom_plot.h"
#include "widgets/theme.h"
#include "widgets/unit_ticker.h"

namespace kvsieve::gui {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

QString axis_name(const std::string& name, sim::Unit unit) {
  return unit == sim::Unit::kBytes ? qs(name) + QStringLiteral(" (IEC)") : qs(name);
}

void set_unit(QCPAxis& axis, sim::Unit unit, bool log) {
  if (log) {
    axis.setScaleType(QCPAxis::stLogarithmic);
    axis.setTicker(QSharedPointer<UnitLogTicker>::create(unit));
  } else {
    axis.setScaleType(QCPAxis::stLinear);
    axis.setTicker(QSharedPointer<UnitTicker>::create(unit));
  }
}

QCPScatterStyle::ScatterShape shape_of(std::size_t index) {
  constexpr QCPScatterStyle::ScatterShape kShapes[] = {
      QCPScatterStyle::ssDisc,      QCPScatterStyle::ssSquare,
      QCPScatterStyle::ssTriangle,  QCPScatterStyle::ssCross,
      QCPScatterStyle::ssDiamond,   QCPScatterStyle::ssTriangleInverted,
      QCPScatterStyle::ssCircle,    QCPScatterStyle::ssCrossSquare,
      QCPScatterStyle::ssPlusCircle};
  return kShapes[index % std::size(kShapes)];
}

Qt::PenStyle dash_of(std::size_t index) {
  constexpr Qt::PenStyle kStyles[] = {Qt::SolidLine, Qt::DashLine, Qt::DotLine, Qt::DashDotLine};
  return kStyles[index % std::size(kStyles)];
}

Qt::BrushStyle pattern_of(std::size_t index) {
  constexpr Qt::BrushStyle kPatterns[] = {Qt::SolidPattern, Qt::BDiagPattern, Qt::Dense4Pattern,
                                          Qt::CrossPattern, Qt::HorPattern};
  return kPatterns[index % std::size(kPatterns)];
}

QVector<double> dense(const sim::Values& values) {
  QVector<double> all;
  all.reserve(static_cast<qsizetype>(values.size()));
  for (const std::optional<double>& value : values) {
    all.push_back(value.value_or(kNaN));
  }
  return all;
}

QVector<double> counted_from_zero(std::size_t count) {
  QVector<double> numbers;
  for (std::size_t i = 0; i < count; ++i) {
    numbers.push_back(static_cast<double>(i));
  }
  return numbers;
}

void name_categories(QCustomPlot& plot, const std::string& name,
                     const std::vector<std::string>& categories) {
  auto ticker = QSharedPointer<QCPAxisTickerText>::create();
  constexpr std::size_t kLabels = 40;
  const std::size_t stride = (categories.size() + kLabels - 1) / kLabels;
  std::size_t longest = 0;
  for (std::size_t i = 0; i < categories.size(); i += std::max<std::size_t>(1, stride)) {
    ticker->addTick(static_cast<double>(i), qs(categories[i]));
    longest = std::max(longest, categories[i].size());
  }
  plot.xAxis->setScaleType(QCPAxis::stLinear);
  plot.xAxis->setTicker(ticker);
  plot.xAxis->setSubTicks(false);
  plot.xAxis->setLabel(qs(name));
  constexpr int kGap = 8;
  const int wanted = (QFontMetrics(plot.xAxis->tickLabelFont())
                          .horizontalAdvance(QString(static_cast<int>(longest), 'x')) +
                      kGap) *
                     static_cast<int>(std::min(categories.size(), kLabels));
  constexpr int kAxisWidth = 60;
  if (wanted > plot.width() - kAxisWidth) {
    plot.xAxis->setTickLabelRotation(-35.0);
  }
}

void colour_frame(QCustomPlot& plot, const ChartStyle& style) {
  const QColor text = style.palette.color(QPalette::Text);
  plot.setBackground(style.palette.color(QPalette::Base));
  for (QCPAxis* axis : {plot.xAxis, plot.yAxis}) {
    axis->setBasePen(QPen(faint_text(style.palette)));
    axis->setTickPen(QPen(faint_text(style.palette)));
    axis->setSubTickPen(QPen(faint_text(style.palette)));
    axis->setTickLabelColor(text);
    axis->setLabelColor(text);
    axis->setTickLabelFont(style.font);
    axis->setLabelFont(style.font);
    axis->grid()->setPen(QPen(grid_line(style.palette)));
    axis->grid()->setZeroLinePen(QPen(grid_line(style.palette)));
  }
  QColor ground = style.palette.color(QPalette::Base);
  ground.setAlpha(200);
  plot.legend->setBrush(ground);
  plot.legend->setBorderPen(Qt::NoPen);
  plot.legend->setTextColor(text);
  plot.legend->setFont(style.font);
}

void show_legend(QCustomPlot& plot) {
  plot.legend->setVisible(plot.legend->itemCount() > 0);
  arrange_legend(plot, plot.width());
}

void draw(QCustomPlot& plot, const sim::LineChart& chart, const ChartStyle& style) {
  set_unit(*plot.xAxis, sim::Unit::kTokens, style.log_x);
  set_unit(*plot.yAxis, chart.unit, style.log_y);
  plot.xAxis->setLabel(qs(chart.x_name));
  plot.yAxis->setLabel(chart.unit == sim::Unit::kBytes ? QStringLiteral("IEC") : QString());
  const QVector<double> x(chart.x.begin(), chart.x.end());
  for (const Band& band : style.bands) {
    if (band.series >= chart.series.size()) {
      continue;
    }
    QColor fill = ink(chart.series[band.series].ink, style.palette);
    fill.setAlpha(60);
    QCPGraph* low = plot.addGraph();
    QCPGraph* high = plot.addGraph();
    low->setData(x, QVector<double>(band.low.begin(), band.low.end()), true);
    high->setData(x, QVector<double>(band.high.begin(), band.high.end()), true);
    low->setPen(Qt::NoPen);
    high->setPen(Qt::NoPen);
    high->setBrush(fill);
    high->setChannelFillGraph(low);
    low->removeFromLegend();
    high->removeFromLegend();
  }
  for (std::size_t s = 0; s < chart.series.size(); ++s) {
    const sim::Series& series = chart.series[s];
    QCPGraph* graph = plot.addGraph();
    graph->setName(qs(series.name));
    graph->setPen(QPen(ink(series.ink, style.palette), 2.0, dash_of(s)));
    graph->setData(x, dense(series.values), true);
    if (chart.x.size() == 1) {
      graph->setScatterStyle({QCPScatterStyle::ssDisc, 7.0});
    }
  }
  plot.rescaleAxes();
  if (!style.log_y) {
    // A constant is widened on both sides, values above zero or not.
    const bool negative = std::any_of(
        chart.series.begin(), chart.series.end(),
        [](const sim::Series& series) { return sim::range_of(series.values).low < 0.0; });
    plot.yAxis->setRangeLower(negative ? plot.yAxis->range().lower : 0.0);
    const double top = plot.yAxis->range().upper;
    plot.yAxis->setRangeUpper(chart.top.value_or(top > 0.0 ? top * 1.05 : 1.0));
  }
  show_legend(plot);
}

void draw(QCustomPlot& plot, const sim::BarChart& chart, const ChartStyle& style) {
  set_unit(*plot.yAxis, chart.unit, style.log_y);
  plot.yAxis->setLabel(chart.unit == sim::Unit::kBytes ? QStringLiteral("IEC") : QString());
  name_categories(plot, chart.category_name, chart.categories);
  const QVector<double> x = counted_from_zero(chart.categories.size());
  const double width =
      0.8 / (chart.stacked ? 1.0 : std::max<double>(1.0, static_cast<double>(chart.series.size())));
  auto* group = chart.stacked ? nullptr : new QCPBarsGroup(&plot);
  if (group != nullptr) {
    group->setSpacing(0.0);
  }
  QCPBars* below = nullptr;
  for (std::size_t s = 0; s < chart.series.size(); ++s) {
    const sim::Series& series = chart.series[s];
    auto* bars = new QCPBars(plot.xAxis, plot.yAxis);
    bars->setName(qs(series.name));
    const QColor colour = ink(series.ink, style.palette);
    bars->setPen(QPen(colour, 1.0));
    bars->setBrush(QBrush(colour, pattern_of(s)));
    bars->setWidth(width);
    bars->setData(x, dense(series.values), true);
    if (chart.stacked) {
      if (below != nullptr) {
        bars->moveAbove(below);
      }
      below = bars;
    } else {
      bars->setBarsGroup(group);
    }
    for (const Band& band : style.bands) {
      if (band.series != s) {
        continue;
      }
      auto* errors = new QCPErrorBars(plot.xAxis, plot.yAxis);
      errors->removeFromLegend();
      errors->setSymbolGap(0.0);
      errors->setDataPlottable(bars);
      errors->setPen(QPen(style.palette.color(QPalette::Text), 1.5));
      QVector<double> minus;
      QVector<double> plus;
      for (std::size_t i = 0; i < series.values.size(); ++i) {
        const double value = series.values[i].value_or(kNaN);
        minus.push_back(i < band.low.size() ? value - band.low[i] : kNaN);
        plus.push_back(i < band.high.size() ? band.high[i] - value : kNaN);
      }
      errors->setData(minus, plus);
    }
  }
  if (chart.marks) {
    QCPGraph* marks = plot.addGraph();
    marks->setName(qs(chart.marks->name));
    marks->setLineStyle(QCPGraph::lsNone);
    const QPen pen(style.palette.color(QPalette::Text), 2.0);
    marks->setPen(pen);
    QPainterPath dash;
    dash.moveTo(-3.0, 0.0);
    dash.lineTo(3.0, 0.0);
    marks->setScatterStyle(QCPScatterStyle(dash, pen, Qt::NoBrush, 18.0));
    marks->setData(x, dense(chart.marks->values), true);
  }
  plot.rescaleAxes();
  plot.xAxis->setRange(-0.6, static_cast<double>(chart.categories.size()) - 0.4);
  if (!style.log_y) {
    const QCPRange y = plot.yAxis->range();
    plot.yAxis->setRange(std::min(0.0, y.lower * 1.05),
                         chart.top.value_or(y.upper > 0.0 ? y.upper * 1.05 : 1.0));
  } else {
    // Bars have no foot on a logarithmic axis: it begins at the power of ten below the shortest.
    double least = std::numeric_limits<double>::infinity();
    double most = 0.0;
    for (const sim::Series& series : chart.series) {
      for (const std::optional<double>& value : series.values) {
        if (value && *value > 0.0) {
          least = std::min(least, *value);
          most = std::max(most, *value);
        }
      }
    }
    if (most > 0.0) {
      plot.yAxis->setRange(std::pow(10.0, std::ceil(std::log10(least)) - 1.0), most * 1.5);
    }
  }
  show_legend(plot);
}

void draw(QCustomPlot& plot, const sim::RatioChart& chart, const ChartStyle& style) {
  set_unit(*plot.yAxis, sim::Unit::kRatio, true);
  plot.yAxis->setLabel(qs(chart.value_name));
  name_categories(plot, chart.category_name, chart.categories);
  const QVector<double> x = counted_from_zero(chart.categories.size());
  double reach = 1.05;
  for (const bool better : {true, false}) {
    QVector<double> values;
    for (const std::optional<double>& value : chart.values) {
      const bool mine = value && *value > 0.0 && (*value < 1.0) == better;
      values.push_back(mine ? *value - 1.0 : kNaN);  // a bar's height above its base
      if (mine) {
        reach = std::max({reach, *value, 1.0 / *value});
      }
    }
    auto* bars = new QCPBars(plot.xAxis, plot.yAxis);
    bars->setName(better ? QStringLiteral("better") : QStringLiteral("worse"));
    const QColor colour = to_qcolor(sim::diverging_colour(better ? -1.0 : 1.0));
    bars->setPen(QPen(colour, 1.0));
    bars->setBrush(QBrush(colour, better ? Qt::SolidPattern : Qt::BDiagPattern));
    bars->setBaseValue(1.0);
    bars->setWidth(0.7);
    bars->setData(x, values, true);
  }
  auto* one = new QCPItemStraightLine(&plot);
  one->setPen(QPen(style.palette.color(QPalette::Text), 1.0));
  one->point1->setCoords(0.0, 1.0);
  one->point2->setCoords(1.0, 1.0);
  plot.xAxis->setRange(-0.6, static_cast<double>(chart.categories.size()) - 0.4);
  plot.yAxis->setRange(1.0 / (reach * 1.05), reach * 1.05);
  show_legend(plot);
}

void draw(QCustomPlot& plot, const sim::ScatterChart& chart, const ChartStyle& style) {
  set_unit(*plot.xAxis, chart.x_unit, style.log_x);
  set_unit(*plot.yAxis, chart.y_unit, style.log_y);
  plot.xAxis->setLabel(axis_name(chart.x_name, chart.x_unit));
  plot.yAxis->setLabel(axis_name(chart.y_name, chart.y_unit));
  for (std::size_t kind = 0; kind < 5; ++kind) {
    QVector<double> x;
    QVector<double> y;
    for (const sim::ScatterChart::Point& point : chart.points) {
      if (static_cast<std::size_t>(point.ink) == kind) {
        x.push_back(point.x);
        y.push_back(point.y);
      }
    }
    if (x.isEmpty()) {
      continue;
    }
    QCPGraph* graph = plot.addGraph();
    graph->removeFromLegend();
    graph->setLineStyle(QCPGraph::lsNone);
    const QColor colour = ink(static_cast<sim::Ink>(kind), style.palette);
    graph->setPen(QPen(colour));
    graph->setScatterStyle(QCPScatterStyle(shape_of(kind), colour, colour, 8.0));
    graph->setData(x, y);
  }
  constexpr std::size_t kLabelled = 40;
  for (std::size_t i = 0; i < chart.points.size() && chart.points.size() <= kLabelled; ++i) {
    const sim::ScatterChart::Point& point = chart.points[i];
    auto* label = new QCPItemText(&plot);
    label->setText(qs(point.label));
    label->setColor(style.palette.color(QPalette::Text));
    label->setPositionAlignment(Qt::AlignLeft | Qt::AlignBottom);
    label->setPadding(QMargins(6, 0, 0, 4));
    label->position->setCoords(point.x, point.y);
  }
  plot.rescaleAxes();
  for (QCPAxis* axis : {plot.xAxis, plot.yAxis}) {
    if (axis->scaleType() == QCPAxis::stLinear) {
      axis->scaleRange(1.15);
    }
  }
}

void draw(QCustomPlot& plot, const sim::AgreementChart& chart, const ChartStyle& style) {
  set_unit(*plot.xAxis, sim::Unit::kNumber, true);
  set_unit(*plot.yAxis, sim::Unit::kNumber, true);
  plot.xAxis->setLabel(qs(chart.x_name) + " (" + qs(chart.unit) + ")");
  plot.yAxis->setLabel(qs(chart.y_name) + " (" + qs(chart.unit) + ")");
  for (std::size_t kind = 0; kind < chart.kinds.size(); ++kind) {
    QVector<double> x;
    QVector<double> y;
    for (const sim::AgreementChart::Point& point : chart.points) {
      if (point.kind == kind) {
        x.push_back(point.x);
        y.push_back(point.y);
      }
    }
    QCPGraph* graph = plot.addGraph();
    graph->setName(qs(chart.kinds[kind].name));
    graph->setLineStyle(QCPGraph::lsNone);
    const QColor colour = category_colour(kind, style.palette);
    graph->setPen(QPen(colour));
    graph->setScatterStyle(QCPScatterStyle(shape_of(kind), colour, colour, 7.0));
    graph->setData(x, y);
  }
  plot.rescaleAxes();
  const QCPRange x = plot.xAxis->range();
  const QCPRange y = plot.yAxis->range();
  const double low = std::min(x.lower, y.lower) / 1.2;
  const double high = std::max(x.upper, y.upper) * 1.2;
  for (const double factor : {1.0, 1.0 + chart.band, 1.0 / (1.0 + chart.band)}) {
    QCPGraph* line = plot.addGraph();
    line->removeFromLegend();
    line->setPen(QPen(style.palette.color(QPalette::Text), 1.0,
                      factor == 1.0 ? Qt::SolidLine : Qt::DotLine));
    line->setData({low, high}, {low * factor, high * factor}, true);
  }
  plot.xAxis->setRange(low, high);
  plot.yAxis->setRange(low, high);
  show_legend(plot);
}

template <class Chart>
void draw(QCustomPlot&, const Chart&, const ChartStyle&) {
  throw Error(ErrorKind::kInternal, "this chart has a widget of its own");
}

}  // namespace

void arrange_legend(QCustomPlot& plot, int width) {
  const QFontMetrics metrics(plot.legend->font());
  int widest = 1;
  for (int i = 0; i < plot.legend->itemCount(); ++i) {
    if (auto* item = qobject_cast<QCPPlottableLegendItem*>(plot.legend->item(i))) {
      widest = std::max(widest, metrics.horizontalAdvance(item->plottable()->name()));
    }
  }
  constexpr int kIconAndGaps = 64;
  plot.legend->setWrap(std::max(1, width / (widest + kIconAndGaps)));
  plot.legend->setFillOrder(QCPLegend::foColumnsFirst, true);
}

void clear_chart(QCustomPlot& plot, const ChartStyle& style) {
  plot.clearItems();
  plot.clearPlottables();
  plot.legend->setVisible(false);
  for (QCPAxis* axis : {plot.xAxis, plot.yAxis}) {
    axis->setTickLabelRotation(0.0);
    axis->setSubTicks(true);
    axis->setLabel({});
  }
  colour_frame(plot, style);
}

void draw_chart(QCustomPlot& plot, const sim::Chart& chart, const ChartStyle& style) {
  std::visit([&](const auto& one) { draw(plot, one, style); }, chart);
}

}  // namespace kvsieve::gui
