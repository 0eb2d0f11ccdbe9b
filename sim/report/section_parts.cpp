#include "section_parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "clean_text.h"

namespace kvsieve::sim {
namespace {

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
