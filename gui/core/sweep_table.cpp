#include "core/sweep_table.h"

#include <QFileInfo>
#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <unordered_map>
#include <utility>

#include "kvsieve/sim/expression.h"
#include "kvsieve/sim/sweep_row_fields.h"
#include "kvsieve/traces/error.h"
#include "point_command.h"

namespace kvsieve::gui {
namespace {

constexpr double kAbsent = std::numeric_limits<double>::quiet_NaN();
constexpr std::size_t kRowsPerReport = 1024;

const SweepColumn* find(const std::vector<SweepColumn>& columns, std::string_view name) {
  const auto found = std::find_if(columns.begin(), columns.end(),
                                  [&](const SweepColumn& column) { return column.name == name; });
  return found == columns.end() ? nullptr : &*found;
}

bool same(const sim::SweepIdentity& a, const sim::SweepIdentity& b) {
  return a.tool_version == b.tool_version && a.isa == b.isa && a.definition == b.definition &&
         a.inputs == b.inputs && a.points == b.points;
}

/// Finds texts that are kept once each, the empty one first.
class TextIndex {
 public:
  explicit TextIndex(std::vector<std::string>& texts) {
    if (texts.empty()) {
      texts.emplace_back();
    }
    for (std::size_t i = 1; i < texts.size(); ++i) {
      m_indices.emplace(texts[i], static_cast<std::uint32_t>(i));
    }
  }

  /// @param texts those of the constructor, wherever they are now
  std::uint32_t add(const std::string& text, std::vector<std::string>& texts) {
    const auto [at, is_new] = m_indices.try_emplace(text, static_cast<std::uint32_t>(texts.size()));
    if (is_new) {
      texts.push_back(text);
    }
    return at->second;
  }

 private:
  std::unordered_map<std::string, std::uint32_t> m_indices;
};

/// Columns that grow by the fields of one row after the other.
class ColumnWriter {
 public:
  ColumnWriter(std::vector<SweepColumn>& columns, bool options)
      : m_columns(columns), m_options(options) {
    for (std::size_t i = 0; i < columns.size(); ++i) {
      m_indices.emplace(columns[i].name, i);
    }
  }

  void set(std::size_t row, std::span<const sim::SweepField> fields) {
    for (std::size_t i = 0; i < fields.size(); ++i) {
      const std::size_t column = index_of(fields[i].name, i);
      const std::optional<double> number = fields[i].number();
      if (number && !m_options) {
        set_number(m_columns[column], row, *number);
      } else if (const std::string text = fields[i].text(); !text.empty() || m_options) {
        set_text(column, row, text);
      }
    }
  }

  /// Takes away what a row had.
  void clear(std::size_t row) {
    for (SweepColumn& column : m_columns) {
      if (row < column.numbers.size()) {
        column.numbers[row] = kAbsent;
      }
      if (row < column.texts.size()) {
        column.texts[row] = 0;
      }
    }
  }

  /// Makes all columns as long as the table, and finds those that vary.
  void finish(std::size_t rows, const std::vector<std::uint32_t>& error_of) {
    for (SweepColumn& column : m_columns) {
      if (!column.numbers.empty() || (column.texts.empty() && !m_options)) {
        column.numbers.resize(rows, kAbsent);
      }
      if (!column.texts.empty() || m_options) {
        column.texts.resize(rows, 0);
      }
      for (std::size_t i = column.distinct_value.size(); i < column.distinct.size(); ++i) {
        const sim::ExpressionValue value = sim::value_of(column.distinct[i]);
        const double* number = std::get_if<double>(&value);
        column.distinct_value.push_back(number != nullptr && i > 0 ? *number : kAbsent);
      }
      column.varies = varies(column, rows, error_of);
    }
  }

 private:
  /// `guess` is tried first: most rows have the same names in the same order.
  std::size_t index_of(const std::string& name, std::size_t guess) {
    if (guess < m_columns.size() && m_columns[guess].name == name) {
      return guess;
    }
    const auto [at, is_new] = m_indices.try_emplace(name, m_columns.size());
    if (is_new) {
      m_columns.emplace_back().name = name;
    }
    return at->second;
  }

  static void set_number(SweepColumn& column, std::size_t row, double number) {
    if (column.numbers.size() <= row) {
      column.numbers.resize(row + 1, kAbsent);
    }
    column.numbers[row] = number;
  }

  void set_text(std::size_t index, std::size_t row, const std::string& text) {
    SweepColumn& column = m_columns[index];
    auto found = m_texts.find(index);
    if (found == m_texts.end()) {
      found = m_texts.emplace(index, TextIndex(column.distinct)).first;
    }
    if (column.texts.size() <= row) {
      column.texts.resize(row + 1, 0);
    }
    column.texts[row] = found->second.add(text, column.distinct);
  }

  [[nodiscard]] bool varies(const SweepColumn& column, std::size_t rows,
                            const std::vector<std::uint32_t>& error_of) const {
    std::optional<std::size_t> first;
    for (std::size_t row = 0; row < rows; ++row) {
      if (!m_options && error_of[row] != 0) {
        continue;
      }
      if (!first) {
        first = row;
      }
      const bool equal_text = column.texts.empty() || column.texts[row] == column.texts[*first];
      const auto equal_number = [&] {
        const double a = column.numbers[row];
        const double b = column.numbers[*first];
        return a == b || (std::isnan(a) && std::isnan(b));
      };
      if (!equal_text || !(column.numbers.empty() || equal_number())) {
        return true;
      }
    }
    return false;
  }

  std::vector<SweepColumn>& m_columns;
  bool m_options;
  std::unordered_map<std::string, std::size_t> m_indices;
  std::unordered_map<std::size_t, TextIndex> m_texts;  ///< by column
};

}  // namespace

/// Adds rows to a table that nobody else sees yet.
class SweepTable::Builder {
 public:
  explicit Builder(SweepTable& table)
      : m_table(table),
        m_options(table.m_options, true),
        m_metrics(table.m_metrics, false),
        m_errors(table.m_errors) {}

  void add(std::int64_t place, const sim::SweepRow& row) {
    const std::size_t at = m_table.rows();
    m_table.m_numbers.push_back(row.number);
    m_table.m_places.push_back(place);
    m_table.m_keys += row.key;
    m_table.m_key_ends.push_back(m_table.m_keys.size());
    m_table.m_error_of.push_back(0);
    set(at, row);
  }

  /// A row that had failed was tried again.
  void replace(std::size_t at, const sim::SweepRow& row) {
    m_options.clear(at);
    m_metrics.clear(at);
    set(at, row);
  }

  void finish() {
    m_options.finish(m_table.rows(), m_table.m_error_of);
    m_metrics.finish(m_table.rows(), m_table.m_error_of);
    m_table.m_failed = m_table.rows() -
                       static_cast<std::size_t>(std::count(
                           m_table.m_error_of.begin(), m_table.m_error_of.end(), std::uint32_t{0}));
  }

 private:
  void set(std::size_t at, const sim::SweepRow& row) {
    m_fields.read(row);
    m_options.set(at, m_fields.options());
    m_metrics.set(at, m_fields.metrics());
    m_table.m_error_of[at] = row.error.empty() ? 0 : m_errors.add(row.error, m_table.m_errors);
  }

  SweepTable& m_table;
  ColumnWriter m_options;
  ColumnWriter m_metrics;
  TextIndex m_errors;
  sim::SweepRowFields m_fields;
};

std::shared_ptr<const SweepTable> SweepTable::load(const QString& path, const JobControl& control) {
  const sim::SweepStore store(path.toStdString());
  auto table = std::make_shared<SweepTable>();
  table->m_path = path;
  table->m_name = QFileInfo(path).fileName();
  table->m_identity = store.identity();
  table->m_mixed = store.mixed();
  const double rows = static_cast<double>(store.finished() + store.failed());
  control.check();
  Builder builder(*table);
  try {
    store.each_since(0, {}, [&](std::int64_t place, const sim::SweepRow& row) {
      builder.add(place, row);
      if (table->rows() % kRowsPerReport == 0) {
        control.progress(std::min(1.0, static_cast<double>(table->rows()) / rows));
      }
    });
  } catch (const Error& error) {
    const std::string what = error.what();
    const std::string file = path.toStdString();
    throw Error(error.kind(), what.starts_with(file) ? what : file + ": " + what, error.hint());
  }
  builder.finish();
  return table;
}

std::shared_ptr<const SweepTable> SweepTable::refreshed(
    const std::shared_ptr<const SweepTable>& table, const JobControl& control) {
  /// Another store stands where the table's was.
  struct Replaced {};
  const sim::SweepStore store(table->path().toStdString());
  if (store.mixed() || !same(store.identity(), table->identity())) {
    return load(table->path(), control);
  }
  const std::int64_t last = table->rows() == 0 ? 0 : table->m_places.back();
  // The last row shows whether this is the same store; failed ones may have been tried again.
  std::vector<std::int64_t> places;
  for (std::size_t row = 0; row < table->rows(); ++row) {
    if (table->is_failed(row) || row + 1 == table->rows()) {
      places.push_back(table->m_places[row]);
    }
  }
  std::shared_ptr<SweepTable> grown;
  std::optional<Builder> builder;
  const auto begin = [&]() -> Builder& {
    if (!builder) {
      grown = std::make_shared<SweepTable>(*table);
      builder.emplace(*grown);
    }
    return *builder;
  };
  std::size_t seen = 0;
  try {
    store.each_since(last, places, [&](std::int64_t place, const sim::SweepRow& row) {
      if (++seen % kRowsPerReport == 0) {
        control.check();
      }
      if (place > last) {
        begin().add(place, row);
        return;
      }
      const auto at = static_cast<std::size_t>(
          std::lower_bound(table->m_places.begin(), table->m_places.end(), place) -
          table->m_places.begin());
      if (row.key != table->key(at)) {
        throw Replaced();
      }
      if (row.error != table->error(at)) {
        begin().replace(at, row);
      }
    });
  } catch (const Replaced&) {
    return load(table->path(), control);
  } catch (const Error&) {
    return load(table->path(), control);  // another store, or it says what is wrong
  }
  if (!builder) {
    return table;
  }
  builder->finish();
  return grown;
}

const SweepColumn* SweepTable::option(std::string_view name) const {
  return find(m_options, name);
}

const SweepColumn* SweepTable::metric(std::string_view name) const {
  return find(m_metrics, name);
}

std::string_view SweepTable::key(std::size_t row) const {
  const std::size_t begin = row == 0 ? 0 : m_key_ends[row - 1];
  return std::string_view(m_keys).substr(begin, m_key_ends[row] - begin);
}

std::vector<std::pair<std::string, std::string>> SweepTable::point(std::size_t row) const {
  std::vector<std::pair<std::string, std::string>> options;
  for (const SweepColumn& column : m_options) {
    if (const auto text = column.text(row)) {
      options.emplace_back(column.name, *text);
    }
  }
  return options;
}

QString SweepTable::label(std::size_t row) const {
  QString label = QStringLiteral("#%1").arg(m_numbers[row]);
  const char* separator = " ";
  for (const SweepColumn& column : m_options) {
    const auto text = column.text(row);
    if (!text || !column.varies) {
      continue;
    }
    const QString value = QString::fromUtf8(text->data(), static_cast<qsizetype>(text->size()));
    label +=
        separator + (column.name == "method"
                         ? value
                         : QStringLiteral("%1 %2").arg(QString::fromStdString(column.name), value));
    separator = ", ";
  }
  return label;
}

QStringList SweepTable::command_words(std::size_t row) const {
  QStringList words;
  for (const std::string& word : cli::point_command(point(row))) {
    words << QString::fromStdString(word);
  }
  return words;
}

QString SweepTable::command(std::size_t row) const {
  return QString::fromStdString(cli::command_line(cli::point_command(point(row))));
}

}  // namespace kvsieve::gui
