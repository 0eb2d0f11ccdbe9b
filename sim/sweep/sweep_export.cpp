#include <nlohmann/json.hpp>
#include <set>

#include "kvsieve/sim/sweep_store.h"
#include "kvsieve/sim/version.h"

namespace kvsieve::sim {
namespace {

using nlohmann::ordered_json;

/// Names in the order of their first appearance in rows.
class Columns {
 public:
  void add(const ordered_json& object) {
    for (const auto& [name, value] : object.items()) {
      if (m_seen.insert(name).second) {
        m_names.push_back(name);
      }
    }
  }
  [[nodiscard]] const std::vector<std::string>& names() const { return m_names; }

 private:
  std::vector<std::string> m_names;
  std::set<std::string> m_seen;
};

/// A cell by RFC 4180.
std::string cell(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) {
    return text;
  }
  std::string quoted = "\"";
  for (const char c : text) {
    quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  }
  return quoted + "\"";
}

ordered_json parsed(const std::string& text) {
  return text.empty() ? ordered_json::object() : ordered_json::parse(text);
}

void append(std::string& line, const ordered_json& object, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    line += ',';
    const auto found = object.find(name);
    if (found != object.end()) {
      line += cell(found->is_string() ? found->get<std::string>() : found->dump());
    }
  }
}

}  // namespace

std::string export_csv(const SweepStore& store) {
  Columns options;
  Columns metrics;
  store.each([&](const SweepRow& row) {
    options.add(parsed(row.options));
    metrics.add(parsed(row.metrics));
  });
  std::string text = "number";
  for (const Columns* columns : {&options, &metrics}) {
    for (const std::string& name : columns->names()) {
      text += "," + cell(name);
    }
  }
  text += ",error\r\n";
  store.each([&](const SweepRow& row) {
    text += std::to_string(row.number);
    append(text, parsed(row.options), options.names());
    append(text, parsed(row.metrics), metrics.names());
    text += "," + cell(row.error) + "\r\n";
  });
  return text;
}

std::string export_json(const SweepStore& store) {
  const SweepIdentity& identity = store.identity();
  ordered_json json = {{"schema", "kvsieve.sweep/1"},
                       {"tool_version", identity.tool_version},
                       {"isa", identity.isa},
                       {"definition", parsed(identity.definition)},
                       {"inputs", parsed(identity.inputs)},
                       {"points", identity.points}};
  std::string text = json.dump(1, ' ', false, ordered_json::error_handler_t::replace);
  text.resize(text.size() - 2);  // the closing brace and the line before it
  text += ",\n \"rows\": [";
  bool first = true;
  store.each([&](const SweepRow& row) {
    ordered_json entry = {{"number", row.number}, {"options", parsed(row.options)}};
    if (row.error.empty()) {
      entry["metrics"] = parsed(row.metrics);
    } else {
      entry["error"] = row.error;
    }
    text += first ? "\n  " : ",\n  ";
    text += entry.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
    first = false;
  });
  return text + "\n ]\n}\n";
}

}  // namespace kvsieve::sim
