#include "kvsieve/sim/link_measurements.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <fstream>
#include <sstream>

#include "cost/csv_table.h"
#include "kvsieve/traces/error.h"
#include "kvsieve/traces/json_fields.h"

namespace kvsieve::sim {
namespace {

constexpr std::string_view kTransfer = "transfer";
constexpr std::string_view kLatency = "latency";
constexpr std::string_view kBoth = "both-directions";
constexpr double kLargest = 1099511627776.0;  // 2^40

/// A record's cells by column.
class Cells {
 public:
  Cells(const CsvTable& table, const CsvRecord& record, const std::string& path)
      : m_table(table), m_record(record), m_path(path) {}

  [[nodiscard]] const std::string& text(std::string_view column) const {
    const auto index = m_table.column(column);
    if (!index) {
      throw Error(ErrorKind::kBadInput, fmt::format("{}:1: there is no column {}", m_path, column),
                  "expected measure, path, direction, piece_bytes, pieces, us, gbps");
    }
    return m_record.cells[*index];
  }

  [[nodiscard]] double positive(std::string_view column) const {
    const std::string& cell = text(column);
    double value = 0.0;
    const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
    if (error != std::errc() || end != cell.data() + cell.size() || !std::isfinite(value) ||
        value <= 0.0) {
      fail(column, "a number above 0");
    }
    return value;
  }

  [[nodiscard]] std::int64_t whole(std::string_view column) const {
    const double value = positive(column);
    if (value != std::floor(value) || value > kLargest) {
      fail(column, "a whole number from 1 to 2^40");
    }
    return static_cast<std::int64_t>(value);
  }

  [[nodiscard]] TransferPath path() const {
    try {
      return transfer_path_from_name(text("path"));
    } catch (const Error& error) {
      throw Error(ErrorKind::kBadInput,
                  fmt::format("{}:{}: {}", m_path, m_record.line, error.what()), error.hint());
    }
  }

  [[nodiscard]] Direction direction() const {
    for (const Direction direction : {Direction::kToGpu, Direction::kToHost}) {
      if (text("direction") == name_of(direction)) {
        return direction;
      }
    }
    fail("direction", "to-gpu or to-host");
  }

  [[noreturn]] void fail(std::string_view column, std::string_view expected) const {
    throw Error(ErrorKind::kBadInput,
                fmt::format("{}:{}: {} is '{}', expected {}", m_path, m_record.line, column,
                            traces::printable(text(column)), expected));
  }

 private:
  const CsvTable& m_table;
  const CsvRecord& m_record;
  const std::string& m_path;
};

}  // namespace

std::string link_measurements_csv(const LinkMeasurements& measurements) {
  std::string csv = "measure,path,direction,piece_bytes,pieces,us,gbps\n";
  for (const MeasuredTransfer& transfer : measurements.transfers) {
    csv += fmt::format("{},{},{},{},{},{},\n", kTransfer, name_of(transfer.path),
                       name_of(transfer.direction), transfer.piece_bytes, transfer.pieces,
                       transfer.us);
  }
  if (measurements.latency_us > 0.0) {
    csv += fmt::format("{},,,,,{},\n", kLatency, measurements.latency_us);
  }
  if (measurements.both_gbps > 0.0) {
    csv += fmt::format("{},,,,,,{}\n", kBoth, measurements.both_gbps);
  }
  return csv;
}

LinkMeasurements read_link_measurements(const std::filesystem::path& path) {
  const std::string shown = path.string();
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!file || std::filesystem::is_directory(path) || !(text << file.rdbuf())) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("{}: cannot be read, expected a CSV file", shown));
  }
  const CsvTable table = parse_csv(text.str(), shown);
  LinkMeasurements measurements;
  for (const CsvRecord& record : table.records) {
    const Cells cells(table, record, shown);
    const std::string& measure = cells.text("measure");
    if (measure == kTransfer) {
      measurements.transfers.push_back({cells.path(), cells.direction(), cells.whole("piece_bytes"),
                                        cells.whole("pieces"), cells.positive("us")});
    } else if (measure == kLatency) {
      measurements.latency_us = cells.positive("us");
    } else if (measure == kBoth) {
      measurements.both_gbps = cells.positive("gbps");
    } else {
      cells.fail("measure", "transfer, latency or both-directions");
    }
  }
  if (measurements.transfers.empty()) {
    throw Error(ErrorKind::kBadInput, fmt::format("{}: has no transfers", shown));
  }
  return measurements;
}

}  // namespace kvsieve::sim
