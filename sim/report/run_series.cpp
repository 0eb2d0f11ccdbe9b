#include "kvsieve/sim/run_series.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace kvsieve::sim {
namespace {

struct HeadValue {
  std::int64_t head = 0;
  std::optional<double> value;
};

HeatMap map_of(const RunView& run, const std::vector<std::vector<HeadValue>>& layers) {
  std::map<std::int64_t, std::size_t> columns;
  for (const auto& layer : layers) {
    for (const HeadValue& entry : layer) {
      columns.emplace(entry.head, 0);
    }
  }
  HeatMap map;
  map.row_name = "layer";
  map.rows = layer_names(run);
  for (auto& [head, column] : columns) {
    column = map.columns.size();
    map.columns.push_back(fmt::format("{}", head));
  }
  map.values.resize(map.rows.size() * map.columns.size());
  for (std::size_t row = 0; row < layers.size(); ++row) {
    for (const HeadValue& entry : layers[row]) {
      map.values[row * map.columns.size() + columns[entry.head]] = entry.value;
    }
  }
  return map;
}

}  // namespace

std::vector<std::string> layer_names(const RunView& run) {
  std::vector<std::string> names;
  for (const LayerView& layer : run.layers) {
    names.push_back(fmt::format("{}", layer.layer));
  }
  return names;
}

Values layer_values(const RunView& run, std::string_view keys) {
  Values values;
  for (const LayerView& layer : run.layers) {
    values.push_back(layer.node.number(keys));
  }
  return values;
}

Values layer_means(const RunView& run,
                   const std::function<std::optional<double>(const Node& head)>& value) {
  Values means;
  for (const LayerView& layer : run.layers) {
    double sum = 0.0;
    double count = 0.0;
    for (const Node& head : layer.heads) {
      if (const std::optional<double> one = value(head)) {
        sum += *one;
        count += 1.0;
      }
    }
    means.push_back(count > 0.0 ? std::optional(sum / count) : std::nullopt);
  }
  return means;
}

std::vector<double> step_numbers(const RunView& run) {
  std::vector<double> numbers;
  for (const Node& step : run.steps) {
    const auto counted_here = static_cast<std::int64_t>(numbers.size());
    numbers.push_back(static_cast<double>(step.integer_or("step", counted_here)));
  }
  return numbers;
}

Values step_values(const RunView& run, std::string_view keys) {
  Values values;
  for (const Node& step : run.steps) {
    values.push_back(step.number(keys));
  }
  return values;
}

HeatMap head_map(const RunView& run, std::string_view value_name, Unit unit,
                 const std::function<std::optional<double>(const Node& head)>& value) {
  std::vector<std::vector<HeadValue>> layers;
  for (const LayerView& layer : run.layers) {
    std::vector<HeadValue>& heads = layers.emplace_back();
    for (const Node& head : layer.heads) {
      const auto position = static_cast<std::int64_t>(heads.size());
      heads.push_back({head.integer_or("head", position), value(head)});
    }
  }
  HeatMap map = map_of(run, layers);
  map.column_name = run.unit_name;
  map.value_name = value_name;
  map.unit = unit;
  return map;
}

HeatMap query_head_map(const RunView& run, std::string_view value_name, Unit unit,
                       std::string_view key) {
  std::vector<std::vector<HeadValue>> layers;
  for (const LayerView& layer : run.layers) {
    std::vector<HeadValue>& heads = layers.emplace_back();
    for (const Node& group : layer.heads) {
      for (const Node& head : group.children("query_heads")) {
        const auto position = static_cast<std::int64_t>(heads.size());
        heads.push_back({head.integer_or("head", position), head.number(key)});
      }
    }
  }
  HeatMap map = map_of(run, layers);
  map.column_name = "query head";
  map.value_name = value_name;
  map.unit = unit;
  return map;
}

bool varies(const HeatMap& map) {
  const Range range = range_of(map.values);
  return range.low < range.high;
}

}  // namespace kvsieve::sim
