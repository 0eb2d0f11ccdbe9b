#pragma once
// Sweep stores that grow while they are open.

#include <QElapsedTimer>
#include <QObject>
#include <QTimer>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/jobs.h"
#include "core/sweep_table.h"

namespace kvsieve::gui {

/// Looks at the stores' files four times a second and reads in a job what is new, so seldom that a
/// fifth of a thread is enough, however fast rows come. Looks at sizes and times only: opening a
/// file that SQLite reads in another thread would take its lock away, and network file systems tell
/// nobody of changes by other machines. Lives on the user interface's thread.
class SweepFollower : public QObject {
  Q_OBJECT
 public:
  explicit SweepFollower(Jobs& jobs, QObject* parent = nullptr);

  /// Follows these in place of those before.
  void follow(const std::vector<std::shared_ptr<const SweepTable>>& tables);

 Q_SIGNALS:
  /// `now` has the rows of `before`, those that were added, and failed ones that were tried again.
  void grew(const std::shared_ptr<const kvsieve::gui::SweepTable>& before,
            const std::shared_ptr<const kvsieve::gui::SweepTable>& now);

 private:
  /// What tells that a file has changed.
  struct Stamp {
    std::uint64_t inode = 0;
    std::int64_t bytes = -1;
    std::int64_t time_ns = 0;
    bool settled = false;  ///< old enough that a change after it has another time

    bool operator==(const Stamp&) const = default;
  };
  struct Followed {
    std::shared_ptr<const SweepTable> table;
    Stamp read;  ///< of the file when it was read
  };
  static Stamp stamp_of(const SweepTable& table);
  void look();
  void take(const std::shared_ptr<const SweepTable>& before,
            const std::shared_ptr<const SweepTable>& now, const Stamp& stamp);

  Jobs& m_jobs;
  QTimer m_timer;
  QElapsedTimer m_clock;
  std::int64_t m_next_read_ms = 0;
  std::vector<Followed> m_followed;
};

}  // namespace kvsieve::gui
