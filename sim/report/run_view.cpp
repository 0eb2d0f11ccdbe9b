#include "kvsieve/sim/run_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "clean_text.h"
#include "kvsieve/traces/error.h"
#include "kvsieve/traces/json_fields.h"

namespace kvsieve::sim {
namespace {

using nlohmann::ordered_json;

constexpr std::int64_t kLargestInteger = 1'000'000'000'000'000;

/// A value as an error message shows it: ASCII, on one line, short.
std::string shown(const ordered_json& value) {
  constexpr std::size_t kLongest = 60;
  std::string text = value.dump(-1, ' ', true, ordered_json::error_handler_t::replace);
  if (text.size() > kLongest) {
    text.resize(kLongest);
    text += "...";
  }
  return text;
}

/// The last part of a path of either kind of system.
std::string file_name(const std::string& path) {
  const std::size_t slash = path.find_last_of("/\\");
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

std::string parameter_text(const ordered_json& value) {
  return value.is_string() ? clean_text(value.get_ref<const std::string&>()) : shown(value);
}

/// The first parameters that all runs of the same label have, with different values.
void set_remarks(std::vector<RunView>& runs) {
  constexpr std::size_t kMostParameters = 2;
  std::map<std::string, std::vector<RunView*>> groups;
  for (RunView& run : runs) {
    groups[run.label()].push_back(&run);
  }
  for (const auto& [label, group] : groups) {
    std::size_t found = 0;
    for (const auto& [key, value] : group[0]->method.json().items()) {
      std::vector<const ordered_json*> values;
      for (const RunView* run : group) {
        const auto at = run->method.json().find(key);
        if (at != run->method.json().end() && at->is_primitive()) {
          values.push_back(&*at);
        }
      }
      const bool differ = std::any_of(values.begin(), values.end(), [&](const ordered_json* other) {
        return *other != *values[0];
      });
      if (values.size() < group.size() || !differ || found == kMostParameters) {
        continue;
      }
      ++found;
      for (std::size_t i = 0; i < group.size(); ++i) {
        group[i]->remark += fmt::format("{}{} {}", group[i]->remark.empty() ? "" : ", ",
                                        clean_text(key), parameter_text(*values[i]));
      }
    }
  }
}

}  // namespace

Node::Node(const ordered_json& json, std::string path) : m_json(&json), m_path(std::move(path)) {
  if (!json.is_object()) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("{} is {}, expected an object", m_path, shown(json)));
  }
}

const ordered_json* Node::find(std::string_view key) const {
  const auto found = m_json->find(key);
  return found == m_json->end() || found->is_null() ? nullptr : &*found;
}

void Node::fail(std::string_view key, std::string_view expected) const {
  const ordered_json* value = find(key);
  throw Error(ErrorKind::kBadInput,
              fmt::format("{}: {} is {}, expected {}", m_path, traces::printable(key),
                          value == nullptr ? "missing" : shown(*value), expected));
}

std::optional<double> Node::number(std::string_view keys) const {
  const std::size_t slash = keys.find('/');
  if (slash != std::string_view::npos) {
    const std::optional<Node> inner = child(keys.substr(0, slash));
    return inner ? inner->number(keys.substr(slash + 1)) : std::nullopt;
  }
  const ordered_json* value = find(keys);
  if (value == nullptr) {
    return std::nullopt;
  }
  const double number = value->is_number() ? value->get<double>() : std::nan("");
  if (!std::isfinite(number)) {
    fail(keys, "a finite number");
  }
  return number;
}

std::optional<std::int64_t> Node::integer(std::string_view key) const {
  const ordered_json* value = find(key);
  if (value == nullptr) {
    return std::nullopt;
  }
  const bool fits = value->is_number_unsigned()
                        ? value->get<std::uint64_t>() <= std::uint64_t{kLargestInteger}
                        : value->is_number_integer() && value->get<std::int64_t>() >= 0;
  if (!fits) {
    fail(key, "an integer from 0 to 10^15");
  }
  return value->get<std::int64_t>();
}

std::int64_t Node::integer_or(std::string_view key, std::int64_t fallback) const {
  return integer(key).value_or(fallback);
}

std::string Node::text(std::string_view key, std::string_view fallback) const {
  const ordered_json* value = find(key);
  if (value == nullptr) {
    return std::string(fallback);
  }
  if (!value->is_string()) {
    fail(key, "a string");
  }
  return clean_text(value->get_ref<const std::string&>());
}

bool Node::flag(std::string_view key, bool fallback) const {
  const ordered_json* value = find(key);
  if (value != nullptr && !value->is_boolean()) {
    fail(key, "true or false");
  }
  return value == nullptr ? fallback : value->get<bool>();
}

std::optional<Node> Node::child(std::string_view key) const {
  const ordered_json* value = find(key);
  return value == nullptr ? std::nullopt
                          : std::optional<Node>(Node(*value, fmt::format("{}.{}", m_path, key)));
}

std::vector<Node> Node::children(std::string_view key) const {
  const ordered_json* value = find(key);
  if (value == nullptr) {
    return {};
  }
  if (!value->is_array()) {
    fail(key, "an array");
  }
  std::vector<Node> nodes;
  nodes.reserve(value->size());
  for (const ordered_json& entry : *value) {
    nodes.emplace_back(entry, fmt::format("{}.{}[{}]", m_path, key, nodes.size()));
  }
  return nodes;
}

RunView::RunView(const ordered_json& json, std::size_t position)
    : number(position), document(json, fmt::format("run {}", position)) {
  if (document.text("schema") != "kvsieve.run/1") {
    throw Error(ErrorKind::kBadInput, fmt::format("run {}: schema is '{}', expected kvsieve.run/1",
                                                  position, document.text("schema")));
  }
  const std::string name = document.text("family");
  if (name != "eviction" && name != "retrieval") {
    throw Error(ErrorKind::kBadInput,
                fmt::format("run {}: family is '{}', expected eviction or retrieval", position,
                            traces::printable(name)));
  }
  family = name == "eviction" ? Family::kEviction : Family::kRetrieval;
  const std::optional<Node> cost_node = document.child("cost");
  cost_origin = cost_node ? cost_node->text("origin", "modelled") : "modelled";
  read_trace();
  origin = trace.synthetic ? "synthetic" : document.text("origin", "captured");
  read_method();
  read_layers();
  steps = document.children("steps");
  if (const auto found = json.find("warnings"); found != json.end() && !found->is_null()) {
    if (!found->is_array()) {
      throw Error(ErrorKind::kBadInput,
                  fmt::format("run {}: warnings is no array of strings", position));
    }
    for (const ordered_json& warning : *found) {
      warnings.push_back(
          clean_text(warning.is_string() ? warning.get<std::string>() : shown(warning)));
    }
  }
}

void RunView::read_trace() {
  const std::optional<Node> node = document.child("trace");
  if (!node) {
    throw Error(ErrorKind::kBadInput, fmt::format("run {}: trace is missing", number));
  }
  trace.file = file_name(node->text("path"));
  trace.hash = node->text("hash");
  trace.model = node->text("model", "unnamed model");
  trace.dtype = node->text("dtype");
  trace.layers = node->integer_or("L", 0);
  trace.q_heads = node->integer_or("Hq", 0);
  trace.kv_heads = node->integer_or("Hkv", 0);
  trace.head_dim = node->integer_or("d", 0);
  trace.prompt_tokens = node->integer_or("prompt_tokens", 0);
  trace.prompt_queries = node->integer_or("prompt_queries", 0);
  trace.decode_steps = node->integer_or("decode_steps", 0);
  trace.synthetic = node->text("architecture") == "synthetic";
  if (const auto found = node->json().find("captured_layers");
      found != node->json().end() && found->is_array()) {
    trace.captured_layers = static_cast<std::int64_t>(found->size());
  }
  if (const std::optional<Node> needle = node->child("needle")) {
    trace.needle = NeedleView{{needle->integer_or("begin", 0), needle->integer_or("end", 0)},
                              needle->text("text")};
    if (trace.needle->tokens.begin >= trace.needle->tokens.end) {
      trace.needle.reset();
    }
  }
}

void RunView::read_method() {
  const std::optional<Node> node = document.child("method");
  if (!node) {
    throw Error(ErrorKind::kBadInput, fmt::format("run {}: method is missing", number));
  }
  method = *node;
  method_name = method.text("name", "unnamed method");
  adaptive = method.flag("adaptive", false);
  const bool query_heads = method.text("granularity", "kv") == "query";
  unit_name = query_heads ? "query head" : "KV head";
  budget = method.text(family == Family::kEviction ? "budget" : "top");
}

void RunView::read_layers() {
  for (const Node& node : document.children("layers")) {
    const std::int64_t layer = node.integer_or("layer", 0);
    if (!node.flag("touched", true)) {
      whole_layers.push_back(layer);
      continue;
    }
    layers.push_back({layer, node, node.children("heads")});
  }
}

std::optional<double> RunView::summary(std::string_view keys) const {
  const std::optional<Node> node = document.child("summary");
  return node ? node->number(keys) : std::nullopt;
}

std::optional<double> RunView::cost(std::string_view key) const {
  const std::optional<Node> node = document.child("cost");
  return node ? node->number(key) : std::nullopt;
}

std::string RunView::label() const {
  std::string label = method_name;
  if (!budget.empty()) {
    label += fmt::format(", {} {}", family == Family::kEviction ? "budget" : "top", budget);
  }
  return remark.empty() ? label : label + ", " + remark;
}

std::vector<TokenRun> kept_runs(const Node& head, std::int64_t prompt_tokens) {
  const auto found = head.json().find("kept_runs");
  if (found == head.json().end() || found->is_null()) {
    return {};
  }
  const auto fail = [&](const ordered_json& value) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("{}: kept_runs holds {}, expected ascending [begin, end) within {} "
                            "prompt tokens",
                            head.path(), shown(value), prompt_tokens));
  };
  if (!found->is_array()) {
    fail(*found);
  }
  std::vector<TokenRun> runs;
  runs.reserve(found->size());
  for (const ordered_json& entry : *found) {
    if (!entry.is_array() || entry.size() != 2 || !entry[0].is_number_integer() ||
        !entry[1].is_number_integer()) {
      fail(entry);
    }
    const TokenRun run{entry[0].get<std::int64_t>(), entry[1].get<std::int64_t>()};
    const std::int64_t after = runs.empty() ? 0 : runs.back().end;
    if (run.begin < after || run.end <= run.begin || run.end > prompt_tokens) {
      fail(entry);
    }
    runs.push_back(run);
  }
  return runs;
}

std::vector<RunView> view_runs(const ordered_json* begin, std::size_t count) {
  if (count == 0) {
    throw Error(ErrorKind::kUsage, "a report needs at least one run");
  }
  std::vector<RunView> views;
  views.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    views.emplace_back(begin[i], i + 1);
  }
  set_remarks(views);
  return views;
}

}  // namespace kvsieve::sim
