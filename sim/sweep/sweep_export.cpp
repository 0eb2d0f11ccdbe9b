#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <string_view>
#include <unordered_map>
#include <variant>

#include "kvsieve/sim/sweep_row_fields.h"
#include "kvsieve/sim/sweep_store.h"
#include "kvsieve/traces/json_fields.h"

namespace kvsieve::sim {
namespace {

/// Names in the order of their first appearance.
class Columns {
 public:
  /// A name's index, or how many there are. `guess` is tried first: most rows have the same names
  /// in the same order.
  std::size_t find(const std::string& name, std::size_t guess) const {
    if (guess < m_names.size() && m_names[guess] == name) {
      return guess;
    }
    const auto found = m_indices.find(name);
    return found == m_indices.end() ? m_names.size() : found->second;
  }

  void add(std::span<const SweepField> fields) {
    for (std::size_t i = 0; i < fields.size(); ++i) {
      if (find(fields[i].name, i) == m_names.size()) {
        m_indices.emplace(fields[i].name, m_names.size());
        m_names.push_back(fields[i].name);
      }
    }
  }

  const std::vector<std::string>& names() const { return m_names; }
  bool contains(const std::string& name) const { return m_indices.contains(name); }

 private:
  std::vector<std::string> m_names;
  std::unordered_map<std::string, std::size_t> m_indices;
};

struct TableColumns {
  void add(const SweepRowFields& row) {
    options.add(row.options());
    metrics.add(row.metrics());
  }

  Columns options;
  Columns metrics;
};

void append_cell(std::string& line, std::string_view cell) {
  if (cell.find_first_of(",\"\r\n") == std::string_view::npos) {
    line += cell;
    return;
  }
  line += '"';
  for (const char c : cell) {
    line.append(c == '"' ? 2 : 1, c);
  }
  line += '"';
}

/// A name that is an option's and a metric's, or one of the table's own, gets a prefix.
std::string header(const TableColumns& columns) {
  const auto is_own = [](const std::string& name) { return name == "number" || name == "error"; };
  std::string line = "number";
  for (const std::string& name : columns.options.names()) {
    line += ',';
    append_cell(line, is_own(name) ? "options." + name : name);
  }
  for (const std::string& name : columns.metrics.names()) {
    line += ',';
    append_cell(line, is_own(name) || columns.options.contains(name) ? "metrics." + name : name);
  }
  return line + ",error\r\n";
}

/// A cell for each of the columns; fields that have none are left out.
void append_cells(std::string& line, std::span<const SweepField> fields, const Columns& columns,
                  std::vector<const SweepField*>& by_column) {
  by_column.assign(columns.names().size(), nullptr);
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (const std::size_t index = columns.find(fields[i].name, i); index < by_column.size()) {
      by_column[index] = &fields[i];
    }
  }
  for (const SweepField* field : by_column) {
    line += ',';
    if (field != nullptr) {
      append_cell(line, field->text());
    }
  }
}

/// As JSON, with whatever is no UTF-8 replaced.
void append_quoted(std::string& text, const std::string& value) {
  const bool plain = std::all_of(value.begin(), value.end(), [](char c) {
    return c >= ' ' && c < '\x7f' && c != '"' && c != '\\';
  });
  if (plain) {
    text += '"';
    text += value;
    text += '"';
    return;
  }
  text += nlohmann::json(value).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

void append_object(std::string& text, std::span<const SweepField> fields) {
  text += '{';
  for (const SweepField& field : fields) {
    if (&field != fields.data()) {
      text += ',';
    }
    append_quoted(text, field.name);
    text += ':';
    if (const auto* held = std::get_if<std::string>(&field.value)) {
      append_quoted(text, *held);
    } else {
      const std::string plain = field.text();
      text += plain.empty() ? "null" : plain;
    }
  }
  text += '}';
}

}  // namespace

std::string export_csv(const SweepStore& store) {
  SweepRowFields fields;
  TableColumns columns;
  store.each([&](const SweepRow& row) {
    fields.read(row);
    columns.add(fields);
  });
  std::vector<const SweepField*> by_column;
  while (true) {
    std::string text = header(columns);
    TableColumns seen;
    store.each([&](const SweepRow& row) {
      fields.read(row);
      seen.add(fields);
      text += fmt::format("{}", row.number);
      append_cells(text, fields.options(), columns.options, by_column);
      append_cells(text, fields.metrics(), columns.metrics, by_column);
      text += ',';
      append_cell(text, row.error);
      text += "\r\n";
    });
    if (seen.options.names() == columns.options.names() &&
        seen.metrics.names() == columns.metrics.names()) {
      return text;
    }
    // A writer has added rows with other columns since they were collected.
    columns = std::move(seen);
  }
}

std::string export_json(const SweepStore& store) {
  using nlohmann::ordered_json;
  const SweepIdentity& identity = store.identity();
  ordered_json document{{"schema", "kvsieve.sweep/1"},
                        {"tool_version", identity.tool_version},
                        {"isa", identity.isa},
                        {"definition", traces::parse_json(identity.definition, "definition")},
                        {"inputs", traces::parse_json(identity.inputs, "inputs")},
                        {"points", identity.points}};
  if (store.mixed()) {
    document["mixed"] = true;
  }
  std::string text = document.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
  text.back() = ',';
  text += "\"rows\":[";
  SweepRowFields fields;
  const char* separator = "\n";
  store.each([&](const SweepRow& row) {
    fields.read(row);
    text += fmt::format("{}{{\"number\":{},\"options\":", separator, row.number);
    append_object(text, fields.options());
    if (row.error.empty()) {
      text += ",\"metrics\":";
      append_object(text, fields.metrics());
    } else {
      text += ",\"error\":";
      append_quoted(text, row.error);
    }
    text += '}';
    separator = ",\n";
  });
  return text + "\n]}\n";
}

}  // namespace kvsieve::sim
