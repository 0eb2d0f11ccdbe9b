#include "core/sweep_arrangement.h"

#include <QStringList>
#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <utility>

#include "kvsieve/sim/expression.h"
#include "kvsieve/sim/number_text.h"
#include "kvsieve/traces/error.h"
#include "kvsieve/traces/nearest.h"

namespace kvsieve::gui {
namespace {

constexpr std::uint32_t kRowsPerCheck = 8192;

QString text_of(std::string_view text) {
  return QString::fromUtf8(text.data(), static_cast<qsizetype>(text.size()));
}

/// What a name means in a condition, as `kvsieve sweep --where` has it: a metric's number before an
/// option's value.
struct NamedColumn {
  std::string name;
  const SweepColumn* metric = nullptr;
  const SweepColumn* option = nullptr;
  std::vector<sim::ExpressionValue> option_values;  ///< of the option's distinct texts

  [[nodiscard]] std::optional<sim::ExpressionValue> value(std::size_t row) const {
    if (metric != nullptr && !metric->numbers.empty()) {
      if (const double number = metric->numbers[row]; !std::isnan(number)) {
        return number;
      }
    }
    if (option != nullptr && option->texts[row] != 0) {
      return option_values[option->texts[row]];
    }
    return std::nullopt;
  }
};

std::vector<NamedColumn> columns_of(const sim::Expression& condition, const SweepTable& table) {
  std::vector<NamedColumn> columns;
  for (const std::string& name : condition.names()) {
    NamedColumn& column = columns.emplace_back();
    column.name = name;
    column.metric = table.metric(name == "throughput" ? "tokens_per_second" : name);
    column.option = table.option(name);
    if (column.option != nullptr) {
      for (const std::string& text : column.option->distinct) {
        column.option_values.push_back(sim::value_of(text));
      }
    }
  }
  return columns;
}

/// The name that a misspelt one may have meant; empty if none is near.
QString near_name(const std::string& name, const SweepTable& table) {
  std::vector<std::string> names;
  for (const auto* columns : {&table.metrics(), &table.options()}) {
    for (const SweepColumn& column : *columns) {
      if (column.name.find(name) != std::string::npos ||
          name.find(column.name) != std::string::npos) {
        return text_of(column.name);
      }
      names.push_back(column.name);
    }
  }
  return text_of(traces::nearest(name, names));
}

bool is_condition(const QString& filter) {
  return filter.contains('<') || filter.contains('>') || filter.contains('=');
}

class Filter {
 public:
  Filter(const SweepTable& table, SweepArrangement& arrangement)
      : m_table(table), m_arrangement(arrangement) {}

  void apply(const JobControl& control) {
    const QString filter = m_arrangement.query.filter.trimmed();
    if (filter.isEmpty()) {
      keep([](std::uint32_t) { return true; }, control);
    } else if (is_condition(filter)) {
      by_condition(filter, control);
    } else {
      by_words(filter, control);
    }
  }

 private:
  void keep(const std::function<bool(std::uint32_t)>& holds, const JobControl& control) {
    m_arrangement.shown.clear();
    for (std::uint32_t row = 0; row < m_table.rows(); ++row) {
      if (row % kRowsPerCheck == 0) {
        control.check();
      }
      if (holds(row)) {
        m_arrangement.shown.push_back(row);
      }
    }
  }

  void by_condition(const QString& filter, const JobControl& control) {
    try {
      const sim::Expression condition(filter.toStdString());
      const std::vector<NamedColumn> columns = columns_of(condition, m_table);
      std::uint32_t row = 0;
      const sim::ExpressionLookup lookup =
          [&](std::string_view name) -> std::optional<sim::ExpressionValue> {
        const auto column = std::find_if(columns.begin(), columns.end(),
                                         [&](const NamedColumn& c) { return c.name == name; });
        return column->value(row);
      };
      keep(
          [&](std::uint32_t at) {
            row = at;
            return condition.holds(lookup);
          },
          control);
      for (const NamedColumn& column : columns) {
        if (column.metric == nullptr && column.option == nullptr && m_table.rows() > 0) {
          const QString near = near_name(column.name, m_table);
          m_arrangement.filter_error =
              QStringLiteral("no option or metric is called %1").arg(text_of(column.name)) +
              (near.isEmpty() ? QStringLiteral("; a text stands in quotes: 'quest'")
                              : QStringLiteral("; did you mean %1?").arg(near));
        }
      }
    } catch (const Error& error) {
      m_arrangement.filter_error = QString::fromStdString(error.what());
      keep([](std::uint32_t) { return true; }, control);
    }
  }

  void by_words(const QString& filter, const JobControl& control) {
    const QStringList words = filter.toLower().split(' ', Qt::SkipEmptyParts);
    // Of each word, which of a column's texts have it.
    struct Having {
      const SweepColumn* column;
      std::vector<std::vector<bool>> by_word;
    };
    std::vector<Having> columns;
    const auto has = [](const std::string& text, const QString& word) {
      return text_of(text).contains(word, Qt::CaseInsensitive);
    };
    for (const auto* list : {&m_table.options(), &m_table.metrics()}) {
      for (const SweepColumn& column : *list) {
        if (!column.has_texts()) {
          continue;
        }
        Having& having = columns.emplace_back(Having{&column, {}});
        for (const QString& word : words) {
          std::vector<bool>& found = having.by_word.emplace_back();
          for (const std::string& text : column.distinct) {
            found.push_back(has(text, word));
          }
        }
      }
    }
    keep(
        [&](std::uint32_t row) {
          for (std::size_t w = 0; w < static_cast<std::size_t>(words.size()); ++w) {
            const QString& word = words[static_cast<qsizetype>(w)];
            const bool found =
                std::any_of(columns.begin(), columns.end(),
                            [&](const Having& c) { return c.by_word[w][c.column->texts[row]]; }) ||
                (word.startsWith('#') && word.mid(1) == QString::number(m_table.number(row))) ||
                (m_table.is_failed(row) && has(m_table.error(row), word));
            if (!found) {
              return false;
            }
          }
          return true;
        },
        control);
  }

  const SweepTable& m_table;
  SweepArrangement& m_arrangement;
};

/// Each distinct text's place in the order: numbers by value before texts by their bytes.
std::vector<double> ranks_of(const SweepColumn& column) {
  std::vector<std::size_t> order(column.distinct.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    const double x = column.distinct_value[a];
    const double y = column.distinct_value[b];
    if (std::isnan(x) != std::isnan(y)) {
      return std::isnan(y);
    }
    return x < y || (!(y < x) && column.distinct[a] < column.distinct[b]);
  });
  std::vector<double> ranks(order.size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    ranks[order[i]] = static_cast<double>(i);
  }
  ranks[0] = std::numeric_limits<double>::quiet_NaN();
  return ranks;
}

/// What rows are sorted by, NaN for those that stand last.
std::vector<double> sort_keys(const SweepTable& table, const SweepArrangement& arrangement) {
  constexpr double kLast = std::numeric_limits<double>::quiet_NaN();
  std::vector<double> keys(table.rows(), kLast);
  const SweepColumnId& field = arrangement.query.sort;
  const auto fill = [&](const auto& key) {
    for (std::size_t row = 0; row < keys.size(); ++row) {
      keys[row] = key(row);
    }
  };
  switch (field.kind) {
    case SweepColumnId::Kind::kState:
      fill([&](std::size_t row) {
        return arrangement.on_front[row] != 0 ? 0.0 : table.is_failed(row) ? 2.0 : 1.0;
      });
      break;
    case SweepColumnId::Kind::kNumber:
      fill([&](std::size_t row) { return static_cast<double>(table.number(row)); });
      break;
    case SweepColumnId::Kind::kOption:
    case SweepColumnId::Kind::kMetric: {
      const bool option = field.kind == SweepColumnId::Kind::kOption;
      const SweepColumn* column = option ? table.option(field.name) : table.metric(field.name);
      if (column == nullptr) {
        break;
      }
      if (column->numbers.empty()) {
        const std::vector<double> ranks = ranks_of(*column);
        fill([&](std::size_t row) { return ranks[column->texts[row]]; });
      } else {
        fill([&](std::size_t row) { return column->numbers[row]; });
      }
      break;
    }
    case SweepColumnId::Kind::kError:
      fill([&](std::size_t row) { return table.is_failed(row) ? 0.0 : kLast; });
      break;
    case SweepColumnId::Kind::kKey:
      break;
  }
  return keys;
}

void sort(SweepArrangement& arrangement) {
  const SweepTable& table = *arrangement.table;
  const std::vector<double> keys = sort_keys(table, arrangement);
  const SweepColumnId::Kind kind = arrangement.query.sort.kind;
  const bool descending = arrangement.query.descending;
  const auto text_order = [&](std::uint32_t a, std::uint32_t b) {
    return kind == SweepColumnId::Kind::kKey     ? table.key(a).compare(table.key(b))
           : kind == SweepColumnId::Kind::kError ? table.error(a).compare(table.error(b))
                                                 : 0;
  };
  std::sort(arrangement.shown.begin(), arrangement.shown.end(),
            [&](std::uint32_t a, std::uint32_t b) {
              const bool a_last = std::isnan(keys[a]);
              const bool b_last = std::isnan(keys[b]);
              if (a_last != b_last) {
                return b_last;
              }
              if (!a_last && keys[a] != keys[b]) {
                return descending ? keys[a] > keys[b] : keys[a] < keys[b];
              }
              if (const int order = text_order(a, b); order != 0) {
                return descending ? order > 0 : order < 0;
              }
              return table.number(a) != table.number(b) ? table.number(a) < table.number(b) : a < b;
            });
}

void find_front(SweepArrangement& arrangement) {
  const SweepTable& table = *arrangement.table;
  arrangement.on_front.assign(table.rows(), 0);
  const SweepQuery& query = arrangement.query;
  if (!query.x || !query.y) {
    return;
  }
  const SweepColumn* x = table.metric(query.x->metric);
  const SweepColumn* y = table.metric(query.y->metric);
  if (x == nullptr || y == nullptr) {
    return;
  }
  std::vector<double> values;
  values.reserve(2 * arrangement.shown.size());
  for (const std::uint32_t row : arrangement.shown) {
    values.push_back(x->number(row));
    values.push_back(y->number(row));
  }
  const std::array directions{query.x->direction, query.y->direction};
  for (const std::int64_t index : sim::pareto_front(values, directions)) {
    const std::uint32_t row = arrangement.shown[static_cast<std::size_t>(index)];
    arrangement.front.push_back(row);
    arrangement.on_front[row] = 1;
  }
}

}  // namespace

std::shared_ptr<const SweepArrangement> arrange(const std::shared_ptr<const SweepTable>& table,
                                                const SweepQuery& query,
                                                const JobControl& control) {
  auto arrangement = std::make_shared<SweepArrangement>();
  arrangement->table = table;
  arrangement->query = query;
  Filter(*table, *arrangement).apply(control);
  control.check();
  find_front(*arrangement);
  control.check();
  sort(*arrangement);
  arrangement->failed = static_cast<std::size_t>(
      std::count_if(arrangement->shown.begin(), arrangement->shown.end(),
                    [&](std::uint32_t row) { return table->is_failed(row); }));
  return arrangement;
}

QString counts_text(const SweepArrangement& arrangement) {
  const auto number = [](std::size_t count) {
    return QString::fromStdString(sim::grouped(static_cast<std::int64_t>(count)));
  };
  QString text = QStringLiteral("%1 of %2 points shown")
                     .arg(number(arrangement.shown.size()), number(arrangement.table->rows()));
  if (arrangement.failed > 0) {
    text += QStringLiteral(", %1 failed").arg(number(arrangement.failed));
  }
  if (arrangement.query.x && arrangement.query.y) {
    text += QStringLiteral(", %1 on the front").arg(number(arrangement.front.size()));
  }
  return text;
}

}  // namespace kvsieve::gui
