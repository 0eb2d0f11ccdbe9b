#include "core/workspace.h"

#include <QFileInfo>
#include <algorithm>
#include <utility>

namespace kvsieve::gui {
namespace {

const QString kOpening = QStringLiteral("Opening files");

/// The last object of a kind among the files, and the one before it.
template <class T>
std::pair<std::shared_ptr<const T>, std::shared_ptr<const T>> last_two(
    const std::vector<OpenedFile>& files, std::shared_ptr<const T> OpenedFile::*member) {
  std::pair<std::shared_ptr<const T>, std::shared_ptr<const T>> found;
  for (const OpenedFile& file : files) {
    if (file.*member) {
      found = {file.*member, found.first};
    }
  }
  return found;
}

}  // namespace

Workspace::Workspace(QObject* parent) : QObject(parent), m_follower(m_jobs) {
  // Writers replace a file by a rename, or write for a while: wait until it is quiet.
  constexpr int kSettleMs = 300;
  m_reload_timer.setSingleShot(true);
  m_reload_timer.setInterval(kSettleMs);
  connect(&m_watcher, &QFileSystemWatcher::fileChanged, &m_reload_timer,
          qOverload<>(&QTimer::start));
  connect(&m_reload_timer, &QTimer::timeout, this, [this] {
    if (m_jobs.is_running(kOpening)) {
      m_reload_timer.start();  // what the user opens comes first
    } else {
      reload();
    }
  });
  connect(&m_follower, &SweepFollower::grew, this, &Workspace::take_grown);
}

void Workspace::open(const QStringList& paths) {
  start_opening(paths, After::kReplace);
}

void Workspace::add(const QStringList& paths) {
  if (m_jobs.is_running(kOpening)) {
    start_opening(m_opening + paths, m_opening_after);
  } else {
    start_opening(paths, After::kAdd);
  }
}

void Workspace::reload() {
  QStringList paths;
  for (const OpenedFile& file : m_files) {
    paths << file.path;
  }
  if (!paths.isEmpty()) {
    start_opening(paths, After::kReload);
  }
}

void Workspace::close_all() {
  m_jobs.cancel_all();
  m_view.reset();
  take({}, After::kReplace);
}

void Workspace::set_reloads(bool reloads) {
  m_reloads = reloads;
  watch_files();
}

void Workspace::show_run(std::shared_ptr<const Run> run) {
  m_run = std::move(run);
  Q_EMIT run_changed();
}

void Workspace::set_baseline(std::shared_ptr<const Run> run) {
  m_baseline = std::move(run);
  Q_EMIT baseline_changed();
}

void Workspace::show_sweeps(std::shared_ptr<const SweepTable> sweep,
                            std::shared_ptr<const SweepTable> baseline) {
  m_sweep = std::move(sweep);
  m_baseline_sweep = std::move(baseline);
  Q_EMIT sweep_changed();
}

void Workspace::swap_compared() {
  if (m_run && m_baseline) {
    if (m_run->is_whole()) {
      std::swap(m_run, m_baseline);
      Q_EMIT baseline_changed();
      Q_EMIT run_changed();
    }
  } else if (m_sweep && m_baseline_sweep) {
    show_sweeps(m_baseline_sweep, m_sweep);
  }
}

void Workspace::start_opening(const QStringList& paths, After after) {
  struct Outcome {
    std::vector<OpenedFile> files;
    std::vector<std::pair<QString, Failure>> failures;
  };
  m_opening = paths;
  m_opening_after = after;
  m_jobs.start(kOpening, [this, paths, after](const JobControl& control) {
    auto outcome = std::make_shared<Outcome>();
    for (qsizetype i = 0; i < paths.size(); ++i) {
      try {
        const QString path = QFileInfo(paths[i]).absoluteFilePath();
        outcome->files.push_back(open_file(path, control));
      } catch (const JobCancelled&) {
        throw;
      } catch (...) {
        outcome->failures.emplace_back(paths[i], current_failure());
      }
      control.progress(static_cast<double>(i + 1) / static_cast<double>(paths.size()));
    }
    return [this, outcome, after] {
      // A broken file takes nothing away that is open.
      if (!outcome->files.empty()) {
        if (after == After::kReplace) {
          m_view.reset();
        }
        take(std::move(outcome->files), after);
      }
      watch_files();  // one that was replaced has lost its watch, read or not
      for (const auto& [path, failure] : outcome->failures) {
        Q_EMIT open_failed(path, failure);
      }
      Q_EMIT open_finished();
    };
  });
}

void Workspace::take(std::vector<OpenedFile> files, After after) {
  const auto runs = std::count_if(files.begin(), files.end(),
                                  [](const OpenedFile& file) { return file.run != nullptr; });
  if (after == After::kReplace) {
    m_files = std::move(files);
  } else {
    for (OpenedFile& file : files) {
      const auto old = std::find_if(m_files.begin(), m_files.end(),
                                    [&](const OpenedFile& one) { return one.path == file.path; });
      if (after == After::kReload && old != m_files.end()) {
        *old = std::move(file);  // in its place; one that could not be read stays as it was
        continue;
      }
      if (old != m_files.end()) {
        m_files.erase(old);
      }
      m_files.push_back(std::move(file));
    }
  }
  watch_files();
  auto trace = last_two(m_files, &OpenedFile::trace).first;
  auto [run, baseline] = last_two(m_files, &OpenedFile::run);
  if (after == After::kAdd && trace == m_trace) {
    // What is shown may have been computed here, and be in no file.
    if (runs == 0) {
      run = m_run;
      baseline = m_baseline;
    } else if (runs == 1 && m_run && m_run->is_whole() && m_run->path() != run->path()) {
      baseline = m_run;
    }
  }
  m_trace = std::move(trace);
  m_run = std::move(run);
  m_baseline = std::move(baseline);
  std::tie(m_sweep, m_baseline_sweep) = last_two(m_files, &OpenedFile::sweep);
  m_timeline = last_two(m_files, &OpenedFile::timeline).first;
  Q_EMIT files_changed();
  Q_EMIT baseline_changed();
  Q_EMIT run_changed();
  Q_EMIT trace_changed();
  Q_EMIT sweep_changed();
  Q_EMIT timeline_changed();
}

void Workspace::watch_files() {
  if (!m_watcher.files().isEmpty()) {
    m_watcher.removePaths(m_watcher.files());
  }
  // A store that is being written changes all the time: it is followed, not opened again.
  std::vector<std::shared_ptr<const SweepTable>> sweeps;
  for (const OpenedFile& file : m_files) {
    if (file.sweep) {
      sweeps.push_back(file.sweep);
    } else if (m_reloads) {
      m_watcher.addPath(file.path);
    }
  }
  m_follower.follow(m_reloads ? sweeps : std::vector<std::shared_ptr<const SweepTable>>());
}

void Workspace::take_grown(const std::shared_ptr<const SweepTable>& before,
                           const std::shared_ptr<const SweepTable>& now) {
  for (OpenedFile& file : m_files) {
    if (file.sweep == before) {
      file.sweep = now;
      file.facts = sweep_facts(*now);
      file.bytes = QFileInfo(file.path).size();
    }
  }
  if (m_sweep != before && m_baseline_sweep != before) {
    return;
  }
  show_sweeps(m_sweep == before ? now : m_sweep,
              m_baseline_sweep == before ? now : m_baseline_sweep);
}

}  // namespace kvsieve::gui
