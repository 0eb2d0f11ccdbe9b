#include "core/sweep_follower.h"

#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace kvsieve::gui {
namespace {

const QString kReading = QStringLiteral("Reading new rows");
constexpr int kLookMs = 250;
constexpr std::int64_t kPauses = 4;  // between two reads, as often as the read was long
constexpr std::int64_t kSettledNs = 50'000'000;

}  // namespace

SweepFollower::SweepFollower(Jobs& jobs, QObject* parent) : QObject(parent), m_jobs(jobs) {
  m_clock.start();
  m_timer.setInterval(kLookMs);
  connect(&m_timer, &QTimer::timeout, this, &SweepFollower::look);
}

void SweepFollower::follow(const std::vector<std::shared_ptr<const SweepTable>>& tables) {
  m_followed.clear();
  for (const std::shared_ptr<const SweepTable>& table : tables) {
    m_followed.push_back({table, {}});
  }
  if (tables.empty()) {
    m_timer.stop();
  } else {
    m_timer.start();
  }
}

SweepFollower::Stamp SweepFollower::stamp_of(const SweepTable& table) {
  struct stat status {};
  if (::stat(table.path().toLocal8Bit().constData(), &status) != 0) {
    return {};
  }
  constexpr std::int64_t kSecond = 1'000'000'000;
  const std::int64_t now = std::chrono::duration_cast<std::chrono::nanoseconds>(
                               std::chrono::system_clock::now().time_since_epoch())
                               .count();
  const std::int64_t time = status.st_mtim.tv_sec * kSecond + status.st_mtim.tv_nsec;
  return {status.st_ino, status.st_size, time, now - time > kSettledNs};
}

void SweepFollower::look() {
  if (m_jobs.is_running(kReading) || m_clock.elapsed() < m_next_read_ms) {
    return;
  }
  struct Read {
    std::shared_ptr<const SweepTable> before;
    Stamp stamp;
    std::shared_ptr<const SweepTable> now;
  };
  auto reads = std::make_shared<std::vector<Read>>();
  for (const Followed& followed : m_followed) {
    const Stamp stamp = stamp_of(*followed.table);
    if (stamp.bytes >= 0 && (stamp != followed.read || !stamp.settled)) {
      reads->push_back({followed.table, stamp, followed.table});
    }
  }
  if (reads->empty()) {
    return;
  }
  m_jobs.start(
      kReading,
      [this, reads](const JobControl& control) {
        QElapsedTimer time;
        time.start();
        for (Read& read : *reads) {
          try {
            read.now = SweepTable::refreshed(read.before, control);
          } catch (const std::exception&) {
            // A store that is just being replaced, or broken: what was read stays until it changes.
          }
        }
        return [this, reads, ms = time.elapsed()] {
          m_next_read_ms = m_clock.elapsed() + kPauses * ms;
          for (const Read& read : *reads) {
            take(read.before, read.now, read.stamp);
          }
        };
      },
      [](const Failure&) {});
}

void SweepFollower::take(const std::shared_ptr<const SweepTable>& before,
                         const std::shared_ptr<const SweepTable>& now, const Stamp& stamp) {
  const auto followed = std::find_if(m_followed.begin(), m_followed.end(),
                                     [&](const Followed& entry) { return entry.table == before; });
  if (followed == m_followed.end()) {
    return;
  }
  followed->read = stamp;
  if (now != before) {
    followed->table = now;
    Q_EMIT grew(before, now);
  }
}

}  // namespace kvsieve::gui
