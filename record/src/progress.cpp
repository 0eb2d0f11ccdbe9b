#include "progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <utility>

namespace kvsieve::record {

Progress::Progress(std::string phase, std::int64_t total)
    : m_phase(std::move(phase)),
      m_total(total),
      m_terminal(::isatty(STDERR_FILENO) == 1),
      m_start(Clock::now()),
      m_last(m_start) {}

Progress::~Progress() {
  if (m_drawn) {
    std::fputs("\r\033[K", stderr);
  }
}

double Progress::seconds() const {
  return std::chrono::duration<double>(Clock::now() - m_start).count();
}

void Progress::update(std::int64_t done) {
  const auto now = Clock::now();
  const auto interval =
      m_terminal ? Clock::duration(std::chrono::milliseconds(200)) : std::chrono::seconds(10);
  if (now - m_last < interval || done == 0) {
    return;
  }
  m_last = now;
  const double rate = static_cast<double>(done) / seconds();
  const double left = static_cast<double>(m_total - done) / rate;
  const std::string line = fmt::format("{} {}/{} tokens, {:.1f} tok/s, {:.0f} s left", m_phase,
                                       done, m_total, rate, left);
  if (m_terminal) {
    m_drawn = true;
    fmt::print(stderr, "\r\033[K{}", line);
    std::fflush(stderr);
  } else {
    fmt::print(stderr, "{}\n", line);
  }
}

}  // namespace kvsieve::record
