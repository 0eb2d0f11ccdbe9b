#include "csv_table.h"

#include <fmt/format.h>

#include <algorithm>

#include "kvsieve/traces/error.h"
#include "kvsieve/traces/json_fields.h"

namespace kvsieve::sim {
namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

class CsvReader {
 public:
  CsvReader(std::string_view text, const std::string& path) : m_text(text), m_path(path) {
    if (m_text.starts_with(kByteOrderMark)) {
      m_text.remove_prefix(kByteOrderMark.size());
    }
  }

  /// The next record that is not empty; false at the end.
  bool next(CsvRecord& record) {
    while (take_line_end()) {
    }
    if (m_at >= m_text.size()) {
      return false;
    }
    record.line = m_line;
    record.cells.clear();
    record.cells.push_back(cell());
    while (m_at < m_text.size() && m_text[m_at] == ',') {
      ++m_at;
      record.cells.push_back(cell());
    }
    take_line_end();
    return true;
  }

  [[noreturn]] void fail(std::int64_t line, const std::string& what) const {
    throw Error(ErrorKind::kBadInput, fmt::format("{}:{}: {}", m_path, line, what));
  }

 private:
  bool take_line_end() {
    const std::string_view rest = m_text.substr(m_at);
    const std::size_t length = rest.starts_with("\r\n") ? 2 : rest.starts_with('\n') ? 1 : 0;
    m_at += length;
    m_line += length > 0 ? 1 : 0;
    return length > 0;
  }

  std::string cell() {
    return m_at < m_text.size() && m_text[m_at] == '"' ? quoted_cell() : plain_cell();
  }

  std::string plain_cell() {
    const std::size_t begin = m_at;
    while (m_at < m_text.size() && m_text[m_at] != ',' && m_text[m_at] != '\n' &&
           !m_text.substr(m_at).starts_with("\r\n")) {
      if (m_text[m_at] == '"') {
        fail(m_line, "a quote within a cell, expected the whole cell in quotes");
      }
      ++m_at;
    }
    return std::string(m_text.substr(begin, m_at - begin));
  }

  std::string quoted_cell() {
    const std::int64_t opened = m_line;
    std::string cell;
    for (++m_at; m_at < m_text.size(); ++m_at) {
      if (m_text[m_at] != '"') {
        m_line += m_text[m_at] == '\n' ? 1 : 0;
        cell += m_text[m_at];
        continue;
      }
      ++m_at;
      if (m_at < m_text.size() && m_text[m_at] == '"') {
        cell += '"';
        continue;
      }
      if (m_at < m_text.size() && m_text[m_at] != ',' && m_text[m_at] != '\n' &&
          !m_text.substr(m_at).starts_with("\r\n")) {
        fail(m_line, "text after a closing quote, expected a comma or the line's end");
      }
      return cell;
    }
    fail(opened, "a quote that is not closed");
  }

  std::string_view m_text;
  const std::string& m_path;
  std::size_t m_at = 0;
  std::int64_t m_line = 1;
};

std::string trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  return first == std::string_view::npos
             ? std::string()
             : std::string(text.substr(first, text.find_last_not_of(" \t") - first + 1));
}

}  // namespace

std::optional<std::size_t> CsvTable::column(std::string_view name) const {
  const auto found = std::find(header.begin(), header.end(), name);
  if (found == header.end()) {
    return std::nullopt;
  }
  return static_cast<std::size_t>(found - header.begin());
}

CsvTable parse_csv(std::string_view text, const std::string& path) {
  CsvReader reader(text, path);
  CsvTable table;
  CsvRecord record;
  if (!reader.next(record)) {
    reader.fail(1, "no header, expected a line of column names");
  }
  for (const std::string& name : record.cells) {
    table.header.push_back(trimmed(name));
    if (std::count(table.header.begin(), table.header.end(), table.header.back()) > 1) {
      reader.fail(record.line,
                  fmt::format("two columns '{}'", traces::printable(table.header.back())));
    }
  }
  while (reader.next(record)) {
    if (record.cells.size() != table.header.size()) {
      reader.fail(record.line, fmt::format("{} cells, expected {} as in the header",
                                           record.cells.size(), table.header.size()));
    }
    for (std::string& cell : record.cells) {
      cell = trimmed(cell);
    }
    table.records.push_back(std::move(record));
  }
  return table;
}

}  // namespace kvsieve::sim
