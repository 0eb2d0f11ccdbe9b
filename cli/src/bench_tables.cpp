#include "bench_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

namespace kvsieve::cli {
namespace {

using bench::BenchEntry;

/// A counter's column.
struct Column {
  std::string_view counter;
  const char* title;
  double unit;  ///< the counter's value of 1 in the column
  const char* format;
};

constexpr std::array<Column, 5> kColumns{{{"bytes_per_second", "GB/s", 1e9, "{:.2f}"},
                                          {"share_of_bandwidth", "of_bandwidth", 0.01, "{:.0f} %"},
                                          {"flops_per_second", "GFLOP/s", 1e9, "{:.2f}"},
                                          {"share_of_peak", "of_peak", 0.01, "{:.0f} %"},
                                          {"modelled_us", "modelled_us", 1.0, "{:.4g}"}}};

std::optional<double> counter_of(const BenchEntry& entry, std::string_view name) {
  const auto found = std::find_if(entry.counters.begin(), entry.counters.end(),
                                  [&](const auto& counter) { return counter.first == name; });
  return found == entry.counters.end() ? std::nullopt : std::optional(found->second);
}

/// What there is a second besides bytes and operations, e.g. "1.6e+06 points/s".
std::string items_of(const BenchEntry& entry) {
  constexpr std::string_view kEnd = "_per_second";
  for (const auto& [name, value] : entry.counters) {
    if (name.ends_with(kEnd) && name != "bytes_per_second" && name != "flops_per_second") {
      return fmt::format("{:.4g} {}/s", value, name.substr(0, name.size() - kEnd.size()));
    }
  }
  return {};
}

}  // namespace

Table bench_table(const std::vector<BenchEntry>& entries) {
  // A case with one repetition has no statistics.
  std::vector<const BenchEntry*> rows;
  for (const BenchEntry& entry : entries) {
    if (entry.repetitions == 1 ? entry.aggregate.empty() : entry.aggregate == "median") {
      rows.push_back(&entry);
    }
  }
  const auto any = [&](const auto& has) { return std::any_of(rows.begin(), rows.end(), has); };
  const bool repeated = any([](const BenchEntry* row) { return row->repetitions > 1; });
  const bool items = any([](const BenchEntry* row) { return !items_of(*row).empty(); });
  std::vector<Column> columns;
  for (const Column& column : kColumns) {
    if (any([&](const BenchEntry* row) { return counter_of(*row, column.counter).has_value(); })) {
      columns.push_back(column);
    }
  }
  std::vector<std::string> header{"case", "time_us"};
  if (repeated) {
    header.emplace_back("cv");
  }
  for (const Column& column : columns) {
    header.emplace_back(column.title);
  }
  if (items) {
    header.emplace_back("items");
  }
  Table table(header);
  for (const BenchEntry* row : rows) {
    std::vector<std::string> cells{row->case_name, fmt::format("{:.4g}", row->real_time_us)};
    if (repeated) {
      const auto cv = std::find_if(entries.begin(), entries.end(), [&](const BenchEntry& entry) {
        return entry.aggregate == "cv" && entry.family == row->family;
      });
      cells.push_back(cv == entries.end() ? "" : fmt::format("{:.1f} %", 100.0 * cv->real_time_us));
    }
    for (const Column& column : columns) {
      const std::optional<double> value = counter_of(*row, column.counter);
      cells.push_back(value ? fmt::format(fmt::runtime(column.format), *value / column.unit) : "");
    }
    if (items) {
      cells.push_back(items_of(*row));
    }
    table.add(std::move(cells));
  }
  return table;
}

Table bench_rows(const std::vector<BenchEntry>& entries) {
  std::vector<std::string> header{"name",       "repetition",   "aggregate",  "threads",
                                  "iterations", "real_time_us", "cpu_time_us"};
  const std::size_t first_counter = header.size();
  for (const BenchEntry& entry : entries) {
    for (const auto& [name, value] : entry.counters) {
      if (std::find(header.begin(), header.end(), name) == header.end()) {
        header.push_back(name);
      }
    }
  }
  Table table(header);
  for (const BenchEntry& entry : entries) {
    std::vector<std::string> cells{entry.case_name,
                                   entry.aggregate.empty() ? std::to_string(entry.repetition) : "",
                                   entry.aggregate,
                                   std::to_string(entry.threads),
                                   std::to_string(entry.iterations),
                                   fmt::format("{}", entry.real_time_us),
                                   fmt::format("{}", entry.cpu_time_us)};
    for (std::size_t column = first_counter; column < header.size(); ++column) {
      const std::optional<double> value = counter_of(entry, header[column]);
      cells.push_back(value ? fmt::format("{}", *value) : "");
    }
    table.add(std::move(cells));
  }
  return table;
}

}  // namespace kvsieve::cli
