#pragma once
// Progress of one phase on stderr: a live line on a terminal, a line each 10 seconds elsewhere.

#include <chrono>
#include <cstdint>
#include <string>

namespace kvsieve::record {

/// Counts tokens of a phase and says how fast it goes and how long it will take.
class Progress {
 public:
  Progress(std::string phase, std::int64_t total);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  /// Clears the live line, so that what is printed next starts on a clean one.
  ~Progress();

  /// `done` tokens of the phase are finished.
  void update(std::int64_t done);

  /// Seconds since the phase began.
  [[nodiscard]] double seconds() const;

 private:
  using Clock = std::chrono::steady_clock;

  std::string m_phase;
  std::int64_t m_total;
  bool m_terminal;
  bool m_drawn = false;
  Clock::time_point m_start;
  Clock::time_point m_last;
};

}  // namespace kvsieve::record
