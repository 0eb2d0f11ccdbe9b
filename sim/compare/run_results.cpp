#include "run_results.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>

#include "case_filter.h"
#include "case_pairs.h"
#include "exact_change.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::sim {
namespace {

using Json = nlohmann::ordered_json;

// What says which item it is, and measures nothing.
constexpr std::array<std::string_view, 4> kNaming{"layer", "head", "step", "position"};

/// The figures of one part of a run by their paths.
using Figures = std::map<std::string, double>;

/// Parts in the document's order.
struct Parts {
  std::vector<std::string> names;
  std::map<std::string, Figures, std::less<>> figures;

  Figures& add(const std::string& name) {
    if (figures.contains(name)) {
      throw Error(ErrorKind::kBadInput, fmt::format("has {} twice", name));
    }
    names.push_back(name);
    return figures[name];
  }
};

/// Numbers and switches of an object by their paths; arrays are parts of their own.
void flatten(const Json& object, const std::string& prefix, Figures& figures) {
  for (const auto& [name, value] : object.items()) {
    if (value.is_object()) {
      flatten(value, prefix + name + "/", figures);
    } else if ((value.is_number() || value.is_boolean()) &&
               std::find(kNaming.begin(), kNaming.end(), name) == kNaming.end()) {
      figures[prefix + name] = value.is_boolean() ? value.get<bool>() : value.get<double>();
    }
  }
}

/// "layer 4": an item by its number, or by its place where it has none.
std::string item_name(const char* kind, const Json& item, std::size_t place) {
  const auto found = item.find(kind);
  const bool numbered = found != item.end() && found->is_number_integer();
  return fmt::format("{} {}", kind,
                     numbered ? found->get<std::int64_t>() : static_cast<std::int64_t>(place));
}

/// Adds the items of an array, and those inside them.
void add_items(const Json& parent, const char* array, const char* kind, const std::string& prefix,
               Parts& parts) {
  const auto found = parent.find(array);
  if (found == parent.end() || found->is_null()) {
    return;
  }
  if (!found->is_array()) {
    throw Error(ErrorKind::kBadInput, fmt::format("{} is no array", array));
  }
  for (std::size_t i = 0; i < found->size(); ++i) {
    const Json& item = (*found)[i];
    if (!item.is_object()) {
      throw Error(ErrorKind::kBadInput, fmt::format("{}[{}] is no object", array, i));
    }
    const std::string name = prefix + item_name(kind, item, i);
    flatten(item, "", parts.add(name));
    add_items(item, "heads", "head", name + ", ", parts);
    const std::string query_heads = name + ", query ";
    add_items(item, "query_heads", "head", query_heads, parts);
  }
}

Parts parts_of(const Json& run) {
  Parts parts;
  for (const char* section : {"summary", "cost"}) {
    if (const auto found = run.find(section); found != run.end() && found->is_object()) {
      flatten(*found, "", parts.add(section));
    }
  }
  add_items(run, "layers", "layer", "", parts);
  add_items(run, "steps", "step", "", parts);
  return parts;
}

void flatten_texts(const Json& value, const std::string& path,
                   std::map<std::string, std::string>& texts) {
  if (value.is_object()) {
    for (const auto& [name, member] : value.items()) {
      flatten_texts(member, path + "." + name, texts);
    }
  } else if (!value.is_null()) {
    texts[path] = value.is_string() ? value.get<std::string>()
                                    : value.dump(-1, ' ', false, Json::error_handler_t::replace);
  }
}

bool has_metric(const Parts& parts, const std::string& metric) {
  return std::any_of(parts.figures.begin(), parts.figures.end(), [&](const auto& part) {
    return std::any_of(part.second.begin(), part.second.end(),
                       [&](const auto& figure) { return is_wanted(figure.first, {metric}); });
  });
}

/// What a run is of. Where the trace lay says nothing, what it holds does.
std::map<std::string, std::string> set_up_of(const Json& run) {
  std::map<std::string, std::string> texts;
  for (const char* part : {"tool_version", "family", "backend", "isa", "trace", "method"}) {
    if (const auto found = run.find(part); found != run.end()) {
      flatten_texts(*found, part, texts);
    }
  }
  texts.erase("trace.path");
  return texts;
}

void add_set_up(const Json& before, const Json& after, ResultComparison& comparison) {
  const std::map<std::string, std::string> old_texts = set_up_of(before);
  std::map<std::string, std::string> new_texts = set_up_of(after);
  for (const auto& [name, text] : old_texts) {
    if (const std::string other = new_texts[name]; other != text) {
      comparison.set_up.push_back({name, text, other, false});
    }
    new_texts.erase(name);
  }
  for (const auto& [name, text] : new_texts) {
    comparison.set_up.push_back({name, "", text, false});
  }
}

}  // namespace

void compare_runs(const Json& before, const Json& after, const CompareOptions& options,
                  ResultComparison& comparison) {
  add_set_up(before, after, comparison);
  const CaseFilter keep(options.filter);
  const Parts old_parts = parts_of(before);
  const Parts new_parts = parts_of(after);
  for (const std::string& metric : options.metrics) {
    if (!has_metric(old_parts, metric) && !has_metric(new_parts, metric)) {
      throw Error(ErrorKind::kUsage, fmt::format("neither run has a metric '{}'", metric));
    }
  }
  for (const std::string& name : old_parts.names) {
    if (!new_parts.figures.contains(name) && keep.keeps(name)) {
      comparison.removed.push_back(name);
    }
  }
  for (const std::string& name : new_parts.names) {
    if (!keep.keeps(name)) {
      continue;
    }
    const auto old_part = old_parts.figures.find(name);
    if (old_part == old_parts.figures.end()) {
      comparison.added.push_back(name);
      continue;
    }
    const Figures& old_figures = old_part->second;
    const Figures& new_figures = new_parts.figures.find(name)->second;
    comparison.matched.push_back(name);
    std::map<std::string, std::pair<std::optional<double>, std::optional<double>>> values;
    for (const auto& [metric, value] : old_figures) {
      values[metric].first = value;
    }
    for (const auto& [metric, value] : new_figures) {
      values[metric].second = value;
    }
    for (const auto& [metric, pair] : values) {
      if (!options.metrics.empty() && !is_wanted(metric, options.metrics)) {
        continue;
      }
      const ChangeVerdict verdict =
          exact_verdict(metric, pair.first, pair.second, tolerance_of(metric, options));
      if (verdict == ChangeVerdict::kSame) {
        ++comparison.unchanged;
      } else {
        comparison.changes.push_back(
            {name, metric, name, verdict, pair.first, pair.second, {}, {}, {}});
      }
    }
  }
}

}  // namespace kvsieve::sim
