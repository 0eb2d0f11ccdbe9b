#include "core/run_delta.h"

#include <algorithm>
#include <iterator>
#include <set>

namespace kvsieve::gui {
namespace {

using Json = nlohmann::ordered_json;

const char* const kQueryHeads = "query_heads/";

/// Numbers of an object by their paths; arrays are items of their own.
void flatten(const Json& object, const std::string& prefix,
             const std::set<std::string_view>& not_figures,
             std::map<std::string, double>& figures) {
  for (const auto& [name, value] : object.items()) {
    if (value.is_number() && !not_figures.contains(name)) {
      figures[prefix + name] = value.get<double>();
    } else if (value.is_object()) {
      flatten(value, prefix + name + "/", not_figures, figures);
    }
  }
}

/// Plain values of an object by their paths, as text.
void flatten_texts(const Json& object, const std::string& prefix,
                   std::vector<std::pair<std::string, QString>>& texts) {
  for (const auto& [name, value] : object.items()) {
    if (value.is_object()) {
      flatten_texts(value, prefix + name + " ", texts);
    } else if (!value.is_null()) {
      texts.emplace_back(
          prefix + name,
          QString::fromStdString(value.is_string() ? value.get<std::string>() : value.dump()));
    }
  }
}

std::vector<std::pair<std::string, QString>> set_up_of(const Run& run) {
  const Json& document = run.document();
  std::vector<std::pair<std::string, QString>> texts;
  for (const char* name : {"tool_version", "family", "backend", "isa"}) {
    if (const auto found = document.find(name); found != document.end()) {
      flatten_texts(Json{{name, *found}}, "", texts);
    }
  }
  flatten_texts(document["trace"], "trace ", texts);
  flatten_texts(document["method"], "", texts);
  // Where the file lay says nothing, what it holds does.
  std::erase_if(texts, [](const auto& text) { return text.first == "trace path"; });
  return texts;
}

template <class T>
const T* find(const std::vector<std::pair<std::string, T>>& list, const std::string& name) {
  const auto found = std::find_if(list.begin(), list.end(),
                                  [&](const auto& entry) { return entry.first == name; });
  return found == list.end() ? nullptr : &found->second;
}

template <class Key>
std::set<Key> keys_of(const auto& map) {
  std::set<Key> keys;
  for (const auto& [key, value] : map) {
    keys.insert(key);
  }
  return keys;
}

template <class Key>
std::vector<Key> only_in(const std::set<Key>& all, const std::set<Key>& others) {
  std::vector<Key> left;
  std::set_difference(all.begin(), all.end(), others.begin(), others.end(),
                      std::back_inserter(left));
  return left;
}

}  // namespace

QString number_list(const std::vector<std::int64_t>& ascending) {
  QStringList parts;
  for (std::size_t i = 0; i < ascending.size();) {
    std::size_t end = i + 1;
    while (end < ascending.size() && ascending[end] == ascending[end - 1] + 1) {
      ++end;
    }
    const QString first = QString::number(ascending[i]);
    const QString last = QString::number(ascending[end - 1]);
    parts << (end - i == 1   ? first
              : end - i == 2 ? first + ", " + last
                             : first + QStringLiteral("–") + last);
    i = end;
  }
  return parts.join(QStringLiteral(", "));
}

RunDelta::RunDelta(const Run& baseline, const Run& shown) {
  compare_set_up(baseline, shown);
  compare_figures(baseline, shown);
  read_items(baseline, &Items::baseline);
  read_items(shown, &Items::shown);
  const QString base_name = QString::fromStdString(baseline.view().unit_name);
  m_head_name = QString::fromStdString(shown.view().unit_name);
  if (base_name != m_head_name) {
    // Heads of different kinds are no counterparts.
    m_missing.push_back({QStringLiteral("budgets by %1: all heads").arg(base_name), true});
    m_missing.push_back({QStringLiteral("budgets by %1: all heads").arg(m_head_name), false});
    m_heads = {};
  }
  list_missing();
  m_layer_figures = common_figures(m_layers);
  m_step_figures = common_figures(m_steps);
  m_head_figures = common_figures(m_heads);
  for (const QString& figure : common_figures(m_query_heads)) {
    m_head_figures << kQueryHeads + figure;
  }
}

void RunDelta::compare_set_up(const Run& baseline, const Run& shown) {
  const auto before = set_up_of(baseline);
  const auto after = set_up_of(shown);
  const auto add = [&](const std::string& name) {
    const QString* a = find(before, name);
    const QString* b = find(after, name);
    if (a == nullptr || b == nullptr || *a != *b) {
      m_set_up.push_back({QString::fromStdString(name), a == nullptr ? QString() : *a,
                          b == nullptr ? QString() : *b});
    }
  };
  for (const auto& [name, text] : before) {
    add(name);
  }
  for (const auto& [name, text] : after) {
    if (find(before, name) == nullptr) {
      add(name);
    }
  }
}

void RunDelta::compare_figures(const Run& baseline, const Run& shown) {
  const QString shown_origin = QString::fromStdString(shown.view().origin);
  for (const char* section : {"summary", "cost"}) {
    const bool is_cost = section == std::string_view("cost");
    const auto read = [&](const Run& run) {
      Figures figures;
      if (const auto found = run.document().find(section);
          found != run.document().end() && found->is_object()) {
        flatten(*found, "", {"layers"}, figures);
      }
      return figures;
    };
    const Figures before = read(baseline);
    const Figures after = read(shown);
    std::set<std::string> names = keys_of<std::string>(before);
    names.merge(keys_of<std::string>(after));
    for (const std::string& name : names) {
      const auto a = before.find(name);
      const auto b = after.find(name);
      const QString text = QString::fromStdString((is_cost ? "cost/" : "") + name);
      if (a == before.end() || b == after.end()) {
        m_missing.push_back({text + " of the whole", b == after.end()});
        continue;
      }
      FigureDelta delta{text, metric_info(name), {a->second, b->second}};
      delta.info.origin = is_cost ? QStringLiteral("modelled") : shown_origin;
      m_figures.push_back(std::move(delta));
    }
  }
  std::stable_sort(m_figures.begin(), m_figures.end(),
                   [](const FigureDelta& a, const FigureDelta& b) {
                     return is_worse(a.value, a.info, b.value, b.info);
                   });
}

void RunDelta::read_items(const Run& run, std::map<Place, Figures> Items::*side) {
  const std::set<std::string_view> names{"layer", "head", "step", "position"};
  for (const sim::LayerView& layer : run.view().layers) {
    flatten(layer.node.json(), "", names, (m_layers.*side)[{layer.layer, 0}]);
    std::int64_t position = 0;
    for (const sim::Node& head : layer.heads) {
      const std::int64_t number = head.integer_or("head", position++);
      flatten(head.json(), "", names, (m_heads.*side)[{layer.layer, number}]);
      for (const sim::Node& query_head : head.children("query_heads")) {
        const std::int64_t query_number = query_head.integer_or("head", 0);
        flatten(query_head.json(), "", names, (m_query_heads.*side)[{layer.layer, query_number}]);
      }
    }
  }
  std::int64_t position = 0;
  for (const sim::Node& step : run.view().steps) {
    flatten(step.json(), "", names, (m_steps.*side)[{step.integer_or("step", position++), 0}]);
  }
}

void RunDelta::list_missing() {
  const auto list = [&](const QString& singular, const QString& plural, const Items& items) {
    for (const bool in_baseline : {true, false}) {
      const auto& here = in_baseline ? items.baseline : items.shown;
      const auto& there = in_baseline ? items.shown : items.baseline;
      std::vector<std::int64_t> numbers;
      for (const auto& [first, second] : only_in(keys_of<Place>(here), keys_of<Place>(there))) {
        numbers.push_back(first);
      }
      if (!numbers.empty()) {
        m_missing.push_back(
            {(numbers.size() == 1 ? singular : plural) + " " + number_list(numbers), in_baseline});
      }
    }
  };
  list(QStringLiteral("layer"), QStringLiteral("layers"), m_layers);
  list(QStringLiteral("step"), QStringLiteral("steps"), m_steps);
  const auto list_heads = [&](const QString& name, const Items& items) {
    for (const bool in_baseline : {true, false}) {
      const auto& here = in_baseline ? items.baseline : items.shown;
      const auto& there = in_baseline ? items.shown : items.baseline;
      const auto& other_layers = in_baseline ? m_layers.shown : m_layers.baseline;
      std::map<std::int64_t, std::vector<std::int64_t>> by_layer;
      for (const auto& [layer, head] : only_in(keys_of<Place>(here), keys_of<Place>(there))) {
        if (other_layers.contains({layer, 0})) {  // a layer that is missing is listed itself
          by_layer[layer].push_back(head);
        }
      }
      for (const auto& [layer, heads] : by_layer) {
        m_missing.push_back({QStringLiteral("%1%2 %3 of layer %4")
                                 .arg(name, heads.size() == 1 ? "" : "s", number_list(heads))
                                 .arg(layer),
                             in_baseline});
      }
    }
  };
  list_heads(m_head_name, m_heads);
  list_heads(QStringLiteral("query head"), m_query_heads);
  // Figures that items of both runs have on one side alone.
  const auto list_figures = [&](const QString& name, const Items& items) {
    for (const bool in_baseline : {true, false}) {
      const auto& here = in_baseline ? items.baseline : items.shown;
      const auto& there = in_baseline ? items.shown : items.baseline;
      std::map<std::string, int> counts;
      for (const auto& [place, figures] : here) {
        if (const auto other = there.find(place); other != there.end()) {
          for (const std::string& figure :
               only_in(keys_of<std::string>(figures), keys_of<std::string>(other->second))) {
            ++counts[figure];
          }
        }
      }
      for (const auto& [figure, count] : counts) {
        m_missing.push_back({QStringLiteral("%1 of %2 %3%4")
                                 .arg(QString::fromStdString(figure))
                                 .arg(count)
                                 .arg(name, count == 1 ? "" : "s"),
                             in_baseline});
      }
    }
  };
  list_figures(QStringLiteral("layer"), m_layers);
  list_figures(m_head_name, m_heads);
  list_figures(QStringLiteral("query head"), m_query_heads);
  list_figures(QStringLiteral("step"), m_steps);
}

QStringList RunDelta::common_figures(const Items& items) {
  const auto names = [](const std::map<Place, Figures>& side) {
    std::set<std::string> all;
    for (const auto& [place, figures] : side) {
      all.merge(keys_of<std::string>(figures));
    }
    return all;
  };
  const std::set<std::string> before = names(items.baseline);
  QStringList common;
  for (const std::string& name : names(items.shown)) {
    if (before.contains(name)) {
      common << QString::fromStdString(name);
    }
  }
  return common;
}

DeltaValue RunDelta::value_at(const Items& items, const Place& place, const std::string& figure) {
  const auto read = [&](const std::map<Place, Figures>& side) -> std::optional<double> {
    const auto item = side.find(place);
    if (item == side.end()) {
      return std::nullopt;
    }
    const auto found = item->second.find(figure);
    return found == item->second.end() ? std::nullopt : std::optional(found->second);
  };
  return {read(items.baseline), read(items.shown)};
}

DeltaMap RunDelta::head_map(const QString& figure) const {
  const bool query = figure.startsWith(kQueryHeads);
  const Items& items = query ? m_query_heads : m_heads;
  const std::string name = (query ? figure.mid(qstrlen(kQueryHeads)) : figure).toStdString();
  std::set<Place> places = keys_of<Place>(items.baseline);
  places.merge(keys_of<Place>(items.shown));
  std::set<std::int64_t> layers;
  std::set<std::int64_t> heads;
  for (const auto& [layer, head] : places) {
    layers.insert(layer);
    heads.insert(head);
  }
  DeltaMap map;
  map.head_name = query ? QStringLiteral("query head") : m_head_name;
  map.layers.assign(layers.begin(), layers.end());
  map.heads.assign(heads.begin(), heads.end());
  for (const std::int64_t layer : map.layers) {
    for (const std::int64_t head : map.heads) {
      map.values.push_back(value_at(items, {layer, head}, name));
    }
  }
  return map;
}

std::vector<std::pair<std::int64_t, DeltaValue>> RunDelta::values_of(const Items& items,
                                                                     const QString& figure) {
  std::set<Place> places = keys_of<Place>(items.baseline);
  places.merge(keys_of<Place>(items.shown));
  std::vector<std::pair<std::int64_t, DeltaValue>> values;
  for (const Place& place : places) {
    values.emplace_back(place.first, value_at(items, place, figure.toStdString()));
  }
  return values;
}

std::vector<std::pair<std::int64_t, DeltaValue>> RunDelta::by_layer(const QString& figure) const {
  return values_of(m_layers, figure);
}

std::vector<std::pair<std::int64_t, DeltaValue>> RunDelta::by_step(const QString& figure) const {
  return values_of(m_steps, figure);
}

}  // namespace kvsieve::gui
