#include "kvsieve/sim/chart_table.h"

#include <fmt/format.h>

#include <algorithm>

namespace kvsieve::sim {
namespace {

constexpr std::size_t kRunsShown = 12;

Cell cell(const std::optional<double>& value, Unit unit) {
  return {value ? number_text(*value, unit) : ""};
}

Cell cell(std::int64_t value) {
  return {grouped(value)};
}

Column name_column(const std::string& name) {
  return {.title = name, .numeric = false};
}

std::optional<double> at(const Values& values, std::size_t index) {
  return index < values.size() ? values[index] : std::nullopt;
}

/// Series side by side, `names` in the first column.
Table series_table(const std::string& first, const std::vector<std::string>& names,
                   const std::vector<const Series*>& series, Unit unit) {
  Table table{{name_column(first)}, {}};
  for (const Series* one : series) {
    table.columns.push_back({.title = one->name});
  }
  for (std::size_t i = 0; i < names.size(); ++i) {
    std::vector<Cell> row{{names[i]}};
    for (const Series* one : series) {
      row.push_back(cell(at(one->values, i), unit));
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

std::vector<const Series*> pointers(const std::vector<Series>& series) {
  std::vector<const Series*> all;
  for (const Series& one : series) {
    all.push_back(&one);
  }
  return all;
}

Table to_table(const HeatMap& map) {
  Table table{{name_column(fmt::format("{} / {}", map.row_name, map.column_name))}, {}};
  for (const std::string& column : map.columns) {
    table.columns.push_back({.title = column});
  }
  for (std::size_t row = 0; row < map.rows.size(); ++row) {
    std::vector<Cell> cells{{map.rows[row]}};
    for (std::size_t column = 0; column < map.columns.size(); ++column) {
      cells.push_back(cell(at(map.values, row * map.columns.size() + column), map.unit));
    }
    table.rows.push_back(std::move(cells));
  }
  return table;
}

Table to_table(const BarChart& chart) {
  std::vector<const Series*> series = pointers(chart.series);
  if (chart.marks) {
    series.push_back(&*chart.marks);
  }
  return series_table(chart.category_name, chart.categories, series, chart.unit);
}

Table to_table(const RatioChart& chart) {
  const Series series{chart.value_name, chart.values};
  return series_table(chart.category_name, chart.categories, {&series}, Unit::kRatio);
}

Table to_table(const BudgetChart& chart) {
  Table table{{name_column("layer"), {"smallest"}, {"median"}, {"largest"}, {"equal share"}}, {}};
  for (const BudgetChart::Layer& layer : chart.layers) {
    std::vector<double> sorted = layer.budgets;
    std::sort(sorted.begin(), sorted.end());
    const std::size_t heads = sorted.size();
    const auto tokens = [](double value) { return cell(value, Unit::kTokens); };
    if (heads == 0) {
      continue;
    }
    const double median = 0.5 * (sorted[(heads - 1) / 2] + sorted[heads / 2]);
    table.rows.push_back({{layer.name},
                          tokens(sorted.front()),
                          tokens(median),
                          tokens(sorted.back()),
                          tokens(layer.equal)});
  }
  return table;
}

Table to_table(const LineChart& chart) {
  std::vector<std::string> names;
  for (const double x : chart.x) {
    names.push_back(number_text(x, Unit::kTokens));
  }
  return series_table(chart.x_name, names, pointers(chart.series), chart.unit);
}

Table to_table(const ScatterChart& chart) {
  Table table{{name_column("run"), {chart.x_name}, {chart.y_name}}, {}};
  for (const ScatterChart::Point& point : chart.points) {
    table.rows.push_back({{fmt::format("{} {}", point.label, point.name)},
                          cell(point.x, chart.x_unit),
                          cell(point.y, chart.y_unit)});
  }
  return table;
}

Table to_table(const AgreementChart& chart) {
  Table table{{name_column("row"),
               name_column("kind"),
               {fmt::format("{} / {}", chart.x_name, chart.unit)},
               {fmt::format("{} / {}", chart.y_name, chart.unit)},
               {"error"}},
              {}};
  for (const AgreementChart::Point& point : chart.points) {
    table.rows.push_back({{point.name},
                          {chart.kinds[point.kind].name},
                          cell(point.x, Unit::kNumber),
                          cell(point.y, Unit::kNumber),
                          cell(point.y / point.x - 1.0, Unit::kShare)});
  }
  return table;
}

std::string list_of(const std::vector<TokenRun>& runs) {
  std::string list;
  for (std::size_t i = 0; i < runs.size() && i < kRunsShown; ++i) {
    const TokenRun& run = runs[i];
    list += list.empty() ? "" : ", ";
    list += run.end - run.begin == 1 ? fmt::format("{}", run.begin)
                                     : fmt::format("{}\u2013{}", run.begin, run.end - 1);
  }
  if (runs.size() > kRunsShown) {
    list +=
        fmt::format(" and {} more", grouped(static_cast<std::int64_t>(runs.size() - kRunsShown)));
  }
  return list;
}

Table to_table(const TokenStrip& strip) {
  Table table{{name_column("head"), {"tokens kept"}, {"runs"}}, {}};
  if (strip.needle) {
    table.columns.push_back({"of the needle"});
  }
  table.columns.push_back(name_column("positions"));
  for (const TokenStrip::Row& row : strip.rows) {
    std::vector<Cell> cells{
        {row.name}, cell(row.kept), cell(static_cast<std::int64_t>(row.runs.size()))};
    if (strip.needle) {
      std::int64_t kept = 0;
      for (const TokenRun& run : row.runs) {
        kept += std::max<std::int64_t>(
            0, std::min(run.end, strip.needle->end) - std::max(run.begin, strip.needle->begin));
      }
      cells.push_back(cell(kept));
    }
    cells.push_back({list_of(row.runs)});
    table.rows.push_back(std::move(cells));
  }
  return table;
}

}  // namespace

Range range_of(const Values& values) {
  Range range;
  bool first = true;
  for (const std::optional<double>& value : values) {
    if (value) {
      range.low = first ? *value : std::min(range.low, *value);
      range.high = first ? *value : std::max(range.high, *value);
      first = false;
    }
  }
  return range;
}

bool has_values(const Values& values) {
  return std::any_of(values.begin(), values.end(), [](const auto& value) { return value; });
}

Table table_of(const Chart& chart) {
  return std::visit([](const auto& one) { return to_table(one); }, chart);
}

}  // namespace kvsieve::sim
