#pragma once
// What is open and what is shown of it: the one place that pages read from.

#include <QFileSystemWatcher>
#include <QObject>
#include <QStringList>
#include <memory>
#include <vector>

#include "core/jobs.h"
#include "core/opened_file.h"
#include "core/sweep_follower.h"
#include "core/view_stack.h"

namespace kvsieve::gui {

/// Lives on the user interface's thread. What it hands out is never changed, only replaced.
class Workspace : public QObject {
  Q_OBJECT
 public:
  explicit Workspace(QObject* parent = nullptr);

  [[nodiscard]] Jobs& jobs() noexcept { return m_jobs; }
  [[nodiscard]] ViewStack& view() noexcept { return m_view; }

  /// Opens files in a job in place of all that is open. Of several runs (or sweep stores) the first
  /// is what the last is compared with. A file that fails is reported by open_failed; the others
  /// are shown.
  void open(const QStringList& paths);
  /// Opens files beside those that are open, and those that are being opened: a run or store
  /// becomes the one that is shown, and the one shown before the one that it is compared with.
  void add(const QStringList& paths);
  /// Reads the open files again and keeps the view.
  void reload();
  void close_all();
  /// Whether files are read again when they change; on by default.
  void set_reloads(bool reloads);

  [[nodiscard]] const std::vector<OpenedFile>& files() const noexcept { return m_files; }
  /// Each is null where there is none.
  [[nodiscard]] const std::shared_ptr<const traces::Trace>& trace() const { return m_trace; }
  [[nodiscard]] const std::shared_ptr<const Run>& run() const { return m_run; }
  [[nodiscard]] const std::shared_ptr<const Run>& baseline() const { return m_baseline; }
  [[nodiscard]] const std::shared_ptr<const SweepTable>& sweep() const { return m_sweep; }
  [[nodiscard]] const std::shared_ptr<const SweepTable>& baseline_sweep() const {
    return m_baseline_sweep;
  }
  [[nodiscard]] const std::shared_ptr<const TimelineEvents>& timeline() const { return m_timeline; }

  /// Shows a run that was computed here, or none.
  void show_run(std::shared_ptr<const Run> run);
  /// What the shown run is compared with, or nothing.
  void set_baseline(std::shared_ptr<const Run> run);
  /// Which of the open stores is shown, and what it is compared with; either may be null.
  void show_sweeps(std::shared_ptr<const SweepTable> sweep,
                   std::shared_ptr<const SweepTable> baseline);
  /// Exchanges the shown run with the one that it is compared with; the stores where only stores
  /// are compared. Nothing happens to a part of a run.
  void swap_compared();

 Q_SIGNALS:
  void files_changed();
  void trace_changed();
  void run_changed();
  void baseline_changed();
  /// Another store is shown or compared with, or one has grown.
  void sweep_changed();
  void timeline_changed();
  void open_failed(const QString& path, const kvsieve::gui::Failure& failure);
  /// Every file of an open(), add() or reload() was opened or has failed.
  void open_finished();

 private:
  enum class After { kReplace, kAdd, kReload };
  void start_opening(const QStringList& paths, After after);
  void take(std::vector<OpenedFile> files, After after);
  void watch_files();
  void take_grown(const std::shared_ptr<const SweepTable>& before,
                  const std::shared_ptr<const SweepTable>& now);

  Jobs m_jobs;
  ViewStack m_view;
  QFileSystemWatcher m_watcher;
  QTimer m_reload_timer;
  SweepFollower m_follower;
  bool m_reloads = true;
  QStringList m_opening;  ///< what the job opens, and in which way
  After m_opening_after = After::kReplace;
  std::vector<OpenedFile> m_files;
  std::shared_ptr<const traces::Trace> m_trace;
  std::shared_ptr<const Run> m_run;
  std::shared_ptr<const Run> m_baseline;
  std::shared_ptr<const SweepTable> m_sweep;
  std::shared_ptr<const SweepTable> m_baseline_sweep;
  std::shared_ptr<const TimelineEvents> m_timeline;
};

}  // namespace kvsieve::gui
