#include "run_series.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "clean_text.h"

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

std::string plain(const nlohmann::ordered_json& value) {
  if (value.is_string()) {
    return clean_text(value.get_ref<const std::string&>());
  }
  if (value.is_boolean()) {
    return value.get<bool>() ? "yes" : "no";
  }
  return clean_text(value.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

/// Nested objects become dotted names; calibration traces show their names.
void add_facts(std::vector<Fact>& facts, const nlohmann::ordered_json& object,
               const std::string& prefix) {
  for (const auto& [key, value] : object.items()) {
    const std::string name = prefix + clean_text(key);
    if (value.is_object()) {
      add_facts(facts, value, name + ".");
    } else if (value.is_array()) {
      std::string list;
      for (const auto& entry : value) {
        const bool named = entry.is_object() && entry.contains("name");
        list += (list.empty() ? "" : ", ") + plain(named ? entry["name"] : entry);
      }
      facts.push_back({name, list});
    } else if (!value.is_null()) {
      facts.push_back({name, plain(value)});
    }
  }
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

bool needs_width(const HeatMap& map) {
  constexpr std::size_t kColumns = 32;
  return map.columns.size() > kColumns;
}

bool needs_width(const RunView& run) {
  constexpr std::size_t kLayers = 40;
  return run.layers.size() > kLayers;
}

std::string replayed_on(const RunView& run) {
  return counted(run.trace.decode_steps, "decode step");
}

std::string list_layers(const std::vector<std::int64_t>& layers) {
  constexpr std::size_t kShown = 24;
  std::string list = layers.size() == 1 ? "layer " : "layers ";
  for (std::size_t i = 0; i < layers.size() && i < kShown; ++i) {
    const bool last = i + 1 == layers.size();
    list += fmt::format("{}{}", i == 0 ? "" : last ? " and " : ", ", layers[i]);
  }
  if (layers.size() > kShown) {
    list += fmt::format(" and {} more", layers.size() - kShown);
  }
  return list;
}

std::vector<Fact> set_up(const RunView& run) {
  std::vector<Fact> facts;
  add_facts(facts, run.method.json(), "");
  const TraceView& trace = run.trace;
  facts.push_back({"model", trace.model});
  facts.push_back({"trace", trace.file});
  if (!trace.hash.empty()) {
    facts.push_back({"trace hash", trace.hash});
  }
  facts.push_back({"prompt tokens", grouped(trace.prompt_tokens)});
  facts.push_back({"captured prompt queries", grouped(trace.prompt_queries)});
  facts.push_back({"decode steps", grouped(trace.decode_steps)});
  facts.push_back(
      {"layers captured", fmt::format("{} of {}", trace.captured_layers, trace.layers)});
  facts.push_back(
      {"Hq, Hkv, d", fmt::format("{}, {}, {}", trace.q_heads, trace.kv_heads, trace.head_dim)});
  facts.push_back({"dtype", trace.dtype});
  facts.push_back({"backend", run.document.text("backend")});
  facts.push_back({"instruction set", run.document.text("isa")});
  facts.push_back({"tool version", run.document.text("tool_version")});
  std::erase_if(facts, [](const Fact& fact) { return fact.value.empty(); });
  return facts;
}

Part make_part(std::string title, const std::string& origin) {
  Part part;
  part.title = std::move(title);
  part.origin = origin;
  return part;
}

std::optional<double> lost_mass(const RunView& run) {
  if (run.family == Family::kEviction) {
    return run.summary("evicted_mass");
  }
  const std::optional<double> captured = run.summary("captured_mass");
  return captured ? std::optional(std::max(0.0, 1.0 - *captured)) : std::nullopt;
}

std::optional<double> tokens_a_head(const RunView& run) {
  return run.summary(run.family == Family::kEviction ? "kept_tokens_per_head_mean"
                                                     : "attended_tokens");
}

std::optional<double> needle_share(const RunView& run) {
  return run.summary(run.family == Family::kEviction ? "needle/kept_share" : "needle_recall");
}

std::optional<double> share_of(std::optional<double> part, std::optional<double> whole) {
  if (!part || !whole || *whole <= 0.0) {
    return std::nullopt;
  }
  return *part / *whole;
}

}  // namespace kvsieve::sim
