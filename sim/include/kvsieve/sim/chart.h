#pragma once
// Charts as data: what is shown, not how. Each has a drawing (svg_chart.h) and a table
// (chart_table.h).

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "kvsieve/sim/number_text.h"
#include "kvsieve/sim/run_view.h"

namespace kvsieve::sim {

using Values = std::vector<std::optional<double>>;

/// The few inks of a report.
enum class Ink {
  kAccent,  ///< the method
  kGrey,    ///< what it is compared with
  kWarm,    ///< a loss, or a third series
  kPale,    ///< a light accent
  kSand,    ///< a light warm colour
};

struct Series {
  std::string name;
  Values values;
  Ink ink = Ink::kAccent;
};

/// One cell a head: values [rows, columns].
struct HeatMap {
  std::string row_name;     ///< "layer"
  std::string column_name;  ///< "KV head"
  std::string value_name;   ///< "tokens kept"
  std::vector<std::string> rows;
  std::vector<std::string> columns;
  Values values;
  Unit unit = Unit::kTokens;
  std::optional<double> low;   ///< of the colours; otherwise the smallest value
  std::optional<double> high;  ///< otherwise the largest
};

/// Bars by category, side by side or stacked.
struct BarChart {
  std::string category_name;
  std::vector<std::string> categories;
  std::vector<Series> series;
  Unit unit = Unit::kShare;
  bool stacked = false;
  std::optional<double> top;    ///< end of the axis; otherwise just above the largest value
  std::optional<Series> marks;  ///< a dash a category, across its bars
};

/// Factors around one on a logarithmic axis: below is better, above is worse.
struct RatioChart {
  std::string category_name;
  std::string value_name;
  std::vector<std::string> categories;
  Values values;
};

/// Budgets of the heads of each layer beside the equal share.
struct BudgetChart {
  struct Layer {
    std::string name;
    std::vector<double> budgets;  ///< in the order of heads
    double equal = 0.0;
  };
  std::string unit_name;  ///< "KV head"
  std::vector<Layer> layers;
};

/// Lines over decode steps.
struct LineChart {
  std::string x_name;
  std::vector<double> x;
  std::vector<Series> series;
  Unit unit = Unit::kShare;
  std::optional<double> top;
};

/// One numbered point a run.
struct ScatterChart {
  struct Point {
    std::string label;
    std::string name;
    double x = 0.0;
    double y = 0.0;
    Ink ink = Ink::kAccent;
  };
  std::string x_name;
  std::string y_name;
  Unit x_unit = Unit::kTokens;
  Unit y_unit = Unit::kShare;
  std::vector<Point> points;
};

/// Many points on two logarithmic axes of one range, beside the line on which both are equal.
struct AgreementChart {
  struct Point {
    std::string name;
    double x = 0.0;  ///< above 0
    double y = 0.0;  ///< above 0
    std::size_t kind = 0;
  };
  struct Kind {
    std::string name;
    Ink ink = Ink::kAccent;
  };
  std::string x_name;
  std::string y_name;
  std::string unit;   ///< "us"
  double band = 0.2;  ///< shaded around the line, as a share
  std::vector<Kind> kinds;
  std::vector<Point> points;
};

/// Which tokens of the prompt a few heads keep.
struct TokenStrip {
  struct Row {
    std::string name;
    std::int64_t kept = 0;
    std::vector<TokenRun> runs;
  };
  std::int64_t tokens = 0;
  std::int64_t sinks = 0;
  std::int64_t window = 0;
  std::optional<TokenRun> needle;
  std::vector<Row> rows;
};

using Chart = std::variant<HeatMap, BarChart, RatioChart, BudgetChart, LineChart, ScatterChart,
                           AgreementChart, TokenStrip>;

/// Smallest and largest of the values that are there; {0, 0} if none is.
struct Range {
  double low = 0.0;
  double high = 0.0;
};
[[nodiscard]] Range range_of(const Values& values);
[[nodiscard]] bool has_values(const Values& values);

}  // namespace kvsieve::sim
