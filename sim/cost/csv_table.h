#pragma once
// CSV as RFC 4180 has it.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kvsieve::sim {

/// One record below the header.
struct CsvRecord {
  std::int64_t line = 0;  ///< in the file, from 1, of its first cell
  std::vector<std::string> cells;
};

struct CsvTable {
  std::vector<std::string> header;
  std::vector<CsvRecord> records;  ///< each with as many cells as the header

  [[nodiscard]] std::optional<std::size_t> column(std::string_view name) const;
};

/// Parses text with a header. Lines end in LF or CRLF; a UTF-8 byte-order mark before the header
/// and empty lines are skipped. Throws Error(kBadInput), one line "path:line: ...", without a
/// header, for a name that it holds twice, a record with another number of cells, a quote within a
/// cell that does not begin with one, or one that is not closed.
[[nodiscard]] CsvTable parse_csv(std::string_view text, const std::string& path);

}  // namespace kvsieve::sim
