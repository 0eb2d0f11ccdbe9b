#include "screen_lines.h"

#include <fmt/format.h>

#include <algorithm>

#include "clean_text.h"
#include "kvsieve/sim/colour_scale.h"

namespace kvsieve::sim {

Screen::Screen(const ScreenOptions& options)
    : m_options(options), m_columns(static_cast<std::size_t>(std::max(options.columns, 20))) {}

void Screen::add(std::string_view text) {
  m_lines.push_back(plain_line(shortened(shown(text), m_columns)));
}

void Screen::add(const Block& block) {
  m_lines.insert(m_lines.end(), block.begin(), block.end());
}

std::size_t Screen::rows_left() const {
  const auto rows = static_cast<std::size_t>(std::max(m_options.rows, 0));
  return rows > m_lines.size() ? rows - m_lines.size() : 0;
}

std::string Screen::text() const {
  std::string text;
  for (const Line& line : m_lines) {
    const std::size_t end = line.text.find_last_not_of(' ');
    text += line.text.substr(0, end == std::string::npos ? 0 : end + 1) + "\n";
  }
  return text;
}

std::string Screen::shown(std::string_view text) const {
  if (m_options.unicode) {
    return std::string(text);
  }
  std::string ascii;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < 0x80U) {
      ascii += text[i];
    } else if ((byte & 0xC0U) != 0x80U) {
      const std::string_view rest = text.substr(i);
      ascii += rest.starts_with("\u00d7") ? 'x' : rest.starts_with("\u2013") ? '-' : '?';
    }
  }
  return ascii;
}

std::string Screen::shortened(std::string_view text, std::size_t columns) const {
  return shorten(text, columns, m_options.unicode);
}

std::string Screen::styled(const std::string& text, const char* code) const {
  return m_options.colours ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : text;
}

std::string Screen::cell(std::optional<double> share, std::size_t width) const {
  const std::size_t body = width > 1 ? width - 1 : 1;
  const std::string gap(width - body, ' ');
  if (!share) {
    return std::string(body, ' ') + gap;
  }
  if (!m_options.colours) {
    const int digit = std::clamp(static_cast<int>(10.0 * *share), 0, 9);
    return std::string(body, static_cast<char>('0' + digit)) + gap;
  }
  const int colour = terminal_colour(*share);
  std::string blocks;
  for (std::size_t i = 0; i < body; ++i) {
    blocks += m_options.unicode ? "\u2588" : " ";
  }
  const int plane = m_options.unicode ? 38 : 48;
  return fmt::format("\x1b[{};5;{}m{}\x1b[0m{}", plane, colour, blocks, gap);
}

Line plain_line(std::string text) {
  const std::size_t width = text_columns(text);
  return {std::move(text), width};
}

std::string padded(const std::string& text, std::size_t width, bool right) {
  const std::size_t used = text_columns(text);
  const std::string space(width > used ? width - used : 0, ' ');
  return right ? space + text : text + space;
}

Block side_by_side(const std::vector<Block>& blocks, std::size_t width, std::size_t gap) {
  std::size_t height = 0;
  for (const Block& block : blocks) {
    height = std::max(height, block.size());
  }
  Block joined(height);
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const std::size_t start = i * (width + gap);
    for (std::size_t row = 0; row < blocks[i].size(); ++row) {
      Line& line = joined[row];
      const Line& piece = blocks[i][row];
      line.text += std::string(start > line.width ? start - line.width : 0, ' ') + piece.text;
      line.width = std::max(start, line.width) + piece.width;
    }
  }
  return joined;
}

}  // namespace kvsieve::sim
