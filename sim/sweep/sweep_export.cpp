#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <string_view>
#include <unordered_map>

#include "kvsieve/sim/sweep_store.h"
#include "kvsieve/traces/error.h"
#include "kvsieve/traces/json_fields.h"

namespace kvsieve::sim {
namespace {

struct Field {
  std::string name;
  std::string text;  ///< a text's characters, anything else as JSON has it
  bool quoted = false;
};

/// Reads an object of numbers and texts without building a tree of it.
class FlatObject : public nlohmann::json_sax<nlohmann::json> {
 public:
  /// False if `json` is anything else. Empty text is an object without fields.
  bool read(std::string_view json) {
    m_size = 0;
    m_depth = 0;
    return json.empty() || nlohmann::json::sax_parse(json, this);
  }

  std::span<const Field> fields() const { return {m_fields.data(), m_size}; }

  bool null() override { return set("", false); }
  bool boolean(bool value) override { return set(value ? "true" : "false", false); }
  bool number_integer(std::int64_t value) override { return set(fmt::format("{}", value), false); }
  bool number_unsigned(std::uint64_t value) override {
    return set(fmt::format("{}", value), false);
  }
  bool number_float(double value, const std::string&) override {
    return set(fmt::format("{}", value), false);
  }
  bool string(std::string& value) override { return set(value, true); }
  bool binary(nlohmann::json::binary_t&) override { return false; }
  bool start_object(std::size_t) override { return ++m_depth == 1; }
  bool key(std::string& name) override {
    if (m_size == m_fields.size()) {
      m_fields.emplace_back();
    }
    m_fields[m_size++].name = name;
    return true;
  }
  bool end_object() override { return true; }
  bool start_array(std::size_t) override { return false; }
  bool end_array() override { return false; }
  bool parse_error(std::size_t, const std::string&, const nlohmann::json::exception&) override {
    return false;
  }

 private:
  bool set(std::string_view text, bool quoted) {
    if (m_depth != 1) {
      return false;
    }
    m_fields[m_size - 1].text = text;
    m_fields[m_size - 1].quoted = quoted;
    return true;
  }

  std::vector<Field> m_fields;  // those behind m_size keep their memory for the next object
  std::size_t m_size = 0;
  int m_depth = 0;
};

/// A row's options and metrics.
struct RowFields {
  void read(const SweepRow& row) {
    const auto read_one = [&](FlatObject& object, const std::string& json, const char* name) {
      if (!object.read(json)) {
        throw Error(ErrorKind::kBadInput,
                    fmt::format("the store is damaged: {} of point {} are {}, expected an object "
                                "of numbers and texts",
                                name, row.number, traces::printable(json)));
      }
    };
    read_one(options, row.options, "the options");
    read_one(metrics, row.metrics, "the metrics");
  }

  FlatObject options;
  FlatObject metrics;
};

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

  void add(std::span<const Field> fields) {
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
  void add(const RowFields& row) {
    options.add(row.options.fields());
    metrics.add(row.metrics.fields());
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
void append_cells(std::string& line, std::span<const Field> fields, const Columns& columns,
                  std::vector<const Field*>& by_column) {
  by_column.assign(columns.names().size(), nullptr);
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (const std::size_t index = columns.find(fields[i].name, i); index < by_column.size()) {
      by_column[index] = &fields[i];
    }
  }
  for (const Field* field : by_column) {
    line += ',';
    if (field != nullptr) {
      append_cell(line, field->text);
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

void append_object(std::string& text, std::span<const Field> fields) {
  text += '{';
  for (const Field& field : fields) {
    if (&field != fields.data()) {
      text += ',';
    }
    append_quoted(text, field.name);
    text += ':';
    if (field.quoted) {
      append_quoted(text, field.text);
    } else {
      text += field.text.empty() ? "null" : field.text;
    }
  }
  text += '}';
}

}  // namespace

std::string export_csv(const SweepStore& store) {
  RowFields fields;
  TableColumns columns;
  store.each([&](const SweepRow& row) {
    fields.read(row);
    columns.add(fields);
  });
  std::vector<const Field*> by_column;
  while (true) {
    std::string text = header(columns);
    TableColumns seen;
    store.each([&](const SweepRow& row) {
      fields.read(row);
      seen.add(fields);
      text += fmt::format("{}", row.number);
      append_cells(text, fields.options.fields(), columns.options, by_column);
      append_cells(text, fields.metrics.fields(), columns.metrics, by_column);
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
  RowFields fields;
  const char* separator = "\n";
  store.each([&](const SweepRow& row) {
    fields.read(row);
    text += fmt::format("{}{{\"number\":{},\"options\":", separator, row.number);
    append_object(text, fields.options.fields());
    if (row.error.empty()) {
      text += ",\"metrics\":";
      append_object(text, fields.metrics.fields());
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
