#pragma once
// What the terminal sees: progress on stderr, tables on stdout, colours where they are wanted.

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kvsieve/traces/error.h"

namespace kvsieve::cli {

/// Progress with rate and ETA on stderr: a moving line on a terminal, a line each ten seconds
/// elsewhere. Copies may not outlive the object.
class ProgressLine {
 public:
  explicit ProgressLine(std::string what, bool quiet = false);
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  ~ProgressLine();

  /// @param share of the work that is finished, in [0, 1]
  /// Throws Interrupted after Ctrl-C.
  void update(double share);

  /// The same without looking for Ctrl-C. @param note behind the share, e.g. rates
  void show(double share, std::string_view note = {});

  /// Clears the line, so that what comes next on the terminal starts at its first column.
  void finish();

 private:
  using Clock = std::chrono::steady_clock;
  std::string m_what;
  bool m_quiet;
  bool m_terminal;
  bool m_shown = false;
  Clock::time_point m_start;
  Clock::time_point m_last;
};

/// Items a second since it was made.
class RateClock {
 public:
  [[nodiscard]] double rate(std::int64_t items) const {
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - m_start;
    return passed.count() > 0.0 ? static_cast<double>(items) / passed.count() : 0.0;
  }

 private:
  std::chrono::steady_clock::time_point m_start = std::chrono::steady_clock::now();
};

/// Thrown from progress updates once the user pressed Ctrl-C; main exits with 130.
struct Interrupted {};

/// Makes Ctrl-C raise Interrupted at the next progress update instead of killing the process; a
/// second one kills it.
void catch_interrupts();

/// Whether Ctrl-C was pressed.
[[nodiscard]] bool interrupted();

/// True if stdout shows ANSI colours: a terminal, and NO_COLOR unset.
[[nodiscard]] bool colours();

/// `text` on one line that cannot steer a terminal: control characters become \n, \t or \xNN.
[[nodiscard]] std::string one_line(std::string_view text);

/// Exit code after Ctrl-C.
inline constexpr int kInterruptedCode = 130;

/// An error on stderr, one line. Returns its exit code.
int report_error(const std::string& what, const std::string& hint, ErrorKind kind);

/// A warning on stderr, one line.
void warn(std::string_view text);

/// "12.3 MiB": three significant digits in binary units.
[[nodiscard]] std::string human_bytes(double bytes);

/// Rows of cells in one of the formats table, csv and md. Cells hold plain numbers with '.'; an
/// empty cell is a value that does not exist, which people see as "-".
class Table {
 public:
  explicit Table(std::vector<std::string> header) : m_header(std::move(header)) {}
  void add(std::vector<std::string> row) { m_rows.push_back(std::move(row)); }

  [[nodiscard]] std::string text() const;      ///< columns aligned with spaces
  [[nodiscard]] std::string csv() const;       ///< RFC 4180
  [[nodiscard]] std::string markdown() const;  ///< a GitHub table
  /// One of the three by name. Throws Error(kUsage) for another name.
  [[nodiscard]] std::string format(std::string_view name) const;

 private:
  std::vector<std::string> m_header;
  std::vector<std::vector<std::string>> m_rows;
};

}  // namespace kvsieve::cli
