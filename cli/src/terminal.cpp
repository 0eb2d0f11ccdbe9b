#include "terminal.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <iostream>

#include "kvsieve/traces/error.h"

namespace kvsieve::cli {
namespace {

std::atomic<bool> g_interrupted{false};

void on_interrupt(int) {
  if (g_interrupted.exchange(true)) {
    std::signal(SIGINT, SIG_DFL);
    std::raise(SIGINT);
  }
}

/// A cell as people see it.
std::string shown(const std::string& cell) {
  return cell.empty() ? "-" : one_line(cell);
}

/// Characters of a UTF-8 string, which is what a terminal's columns count (roughly).
std::size_t display_width(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

}  // namespace

ProgressLine::ProgressLine(std::string what, bool quiet)
    : m_what(std::move(what)),
      m_quiet(quiet),
      m_terminal(::isatty(STDERR_FILENO) == 1),
      m_start(Clock::now()),
      m_last(m_start) {}

ProgressLine::~ProgressLine() {
  finish();
}

void ProgressLine::finish() {
  if (m_shown && m_terminal) {
    std::cerr << "\r\x1b[K" << std::flush;
  }
  m_shown = false;
}

void ProgressLine::update(double share) {
  if (interrupted()) {
    throw Interrupted{};
  }
  show(share);
}

void ProgressLine::show(double share, std::string_view note) {
  const auto now = Clock::now();
  const auto interval =
      m_terminal ? std::chrono::milliseconds(100) : std::chrono::milliseconds(10'000);
  if (m_quiet || now - m_last < interval) {
    return;
  }
  m_last = now;
  m_shown = true;
  const double elapsed = std::chrono::duration<double>(now - m_start).count();
  const double left = share > 0.0 ? elapsed * (1.0 - share) / share : 0.0;
  std::cerr << fmt::format("{}{}: {:.0f} %, {:.0f} s left{}{}", m_terminal ? "\r" : "", m_what,
                           100.0 * share, left, note, m_terminal ? "\x1b[K" : "\n")
            << std::flush;
}

bool interrupted() {
  return g_interrupted;
}

void catch_interrupts() {
  std::signal(SIGINT, on_interrupt);
}

bool colours() {
  const char* no_color = std::getenv("NO_COLOR");
  return ::isatty(STDOUT_FILENO) == 1 && (no_color == nullptr || *no_color == '\0');
}

std::string one_line(std::string_view text) {
  std::string line;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f) {
      line += c;
    } else if (c == '\n') {
      line += "\\n";
    } else if (c == '\t') {
      line += "\\t";
    } else {
      line += fmt::format("\\x{:02x}", byte);
    }
  }
  return line;
}

int report_error(const std::string& what, const std::string& hint, ErrorKind kind) {
  std::cerr << "error: " << one_line(what + (hint.empty() ? "" : "; " + hint)) << "\n";
  return static_cast<int>(kind);
}

void warn(std::string_view text) {
  std::cerr << "warning: " << one_line(text) << "\n";
}

std::string human_bytes(double bytes) {
  constexpr std::array<const char*, 5> kUnits{"B", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  while (bytes >= 1024.0 && unit + 1 < kUnits.size()) {
    bytes /= 1024.0;
    ++unit;
  }
  const int decimals = unit == 0 || bytes >= 100.0 ? 0 : (bytes >= 10.0 ? 1 : 2);
  return fmt::format("{:.{}f} {}", bytes, decimals, kUnits[unit]);
}

std::string Table::text() const {
  std::vector<std::size_t> widths(m_header.size());
  const auto widen = [&](const std::vector<std::string>& row) {
    for (std::size_t i = 0; i < widths.size(); ++i) {
      widths[i] = std::max(widths[i], display_width(shown(row[i])));
    }
  };
  widen(m_header);
  std::for_each(m_rows.begin(), m_rows.end(), widen);
  std::string text;
  const auto line = [&](const std::vector<std::string>& row) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string cell = shown(row[i]);
      const std::string padding(widths[i] - display_width(cell), ' ');
      text += i == 0 ? cell + padding : "  " + padding + cell;
    }
    while (text.ends_with(' ')) {
      text.pop_back();
    }
    text += '\n';
  };
  line(m_header);
  std::for_each(m_rows.begin(), m_rows.end(), line);
  return text;
}

std::string Table::csv() const {
  std::string text;
  const auto line = [&](const std::vector<std::string>& row) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      text += i == 0 ? "" : ",";
      if (row[i].find_first_of(",\"\r\n") == std::string::npos) {
        text += row[i];
        continue;
      }
      text += '"';
      for (const char c : row[i]) {
        text += c == '"' ? "\"\"" : std::string(1, c);
      }
      text += '"';
    }
    text += "\r\n";
  };
  line(m_header);
  std::for_each(m_rows.begin(), m_rows.end(), line);
  return text;
}

std::string Table::markdown() const {
  std::string text = fmt::format("| {} |\n|", fmt::join(m_header, " | "));
  for (std::size_t i = 0; i < m_header.size(); ++i) {
    text += i == 0 ? " --- |" : " ---: |";
  }
  text += '\n';
  for (const auto& row : m_rows) {
    text += '|';
    for (const std::string& cell : row) {
      text += ' ';
      for (const char c : shown(cell)) {
        text += c == '|' ? "\\|" : std::string(1, c);
      }
      text += " |";
    }
    text += '\n';
  }
  return text;
}

std::string Table::format(std::string_view name) const {
  if (name == "table") {
    return text();
  }
  if (name == "csv") {
    return csv();
  }
  if (name == "md") {
    return markdown();
  }
  throw Error(ErrorKind::kUsage, fmt::format("--format '{}' is unknown", name),
              "supported: table, json, csv, md");
}

}  // namespace kvsieve::cli
