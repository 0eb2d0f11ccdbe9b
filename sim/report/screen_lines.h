#pragma once
// Lines of a terminal screen that know how many columns they take.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kvsieve/sim/report.h"

namespace kvsieve::sim {

/// A line with escape sequences, and the columns that it takes.
struct Line {
  std::string text;
  std::size_t width = 0;
};

using Block = std::vector<Line>;

/// Lines for a terminal of one kind.
class Screen {
 public:
  explicit Screen(const ScreenOptions& options);

  void add(std::string_view text);
  void add(const Block& block);
  [[nodiscard]] std::size_t columns() const { return m_columns; }
  [[nodiscard]] std::size_t rows_left() const;
  [[nodiscard]] std::string text() const;

  /// Text in the characters that the terminal can show.
  [[nodiscard]] std::string shown(std::string_view text) const;
  [[nodiscard]] std::string shortened(std::string_view text, std::size_t columns) const;
  /// Text with the codes of an ANSI style, where there are colours.
  [[nodiscard]] std::string styled(const std::string& text, const char* code) const;
  /// A cell of a heat map, `width` columns: blocks in colour, or a digit.
  [[nodiscard]] std::string cell(std::optional<double> share, std::size_t width) const;

 private:
  ScreenOptions m_options;
  std::size_t m_columns;
  std::vector<Line> m_lines;
};

[[nodiscard]] Line plain_line(std::string text);

/// Text filled up with spaces, on the left if it is to end at the right.
[[nodiscard]] std::string padded(const std::string& text, std::size_t width, bool right);

/// Blocks beside each other, each `width` columns.
[[nodiscard]] Block side_by_side(const std::vector<Block>& blocks, std::size_t width,
                                 std::size_t gap);

}  // namespace kvsieve::sim
