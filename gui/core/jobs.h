#pragma once
// Work off the user interface's thread, with progress and Cancel.

#include <QObject>
#include <QString>
#include <QThreadPool>
#include <QTimer>
#include <functional>
#include <map>
#include <memory>
#include <vector>

namespace kvsieve::gui {

/// Thrown inside a job that was cancelled; it ends without a word.
struct JobCancelled {};

/// What a job sees of its outside. For use on any thread.
class JobControl {
 public:
  struct State;
  explicit JobControl(std::shared_ptr<State> state) : m_state(std::move(state)) {}

  /// The finished share, 0 to 1. Throws JobCancelled if the job was cancelled.
  void progress(double share) const;
  /// Throws JobCancelled if the job was cancelled.
  void check() const;
  /// Calls `part` on the user interface's thread, unless the job is cancelled before: for results
  /// that come bit by bit.
  void deliver(std::function<void()> part) const;
  /// A control that nobody cancels, for callers that wait.
  [[nodiscard]] static JobControl detached();

 private:
  std::shared_ptr<State> m_state;
};

/// Why a job failed: one line, and what can be done about it.
struct Failure {
  QString what;
  QString hint;
};

/// The failure that an exception in flight stands for; call it inside a catch block.
[[nodiscard]] Failure current_failure();

/// Jobs on a pool of threads. Lives on the user interface's thread.
class Jobs : public QObject {
  Q_OBJECT
 public:
  /// What a job leaves: called on the user interface's thread once the job is over.
  using Delivery = std::function<void()>;
  /// Runs on a worker thread. It must not touch objects of the user interface's thread.
  using Work = std::function<Delivery(const JobControl&)>;

  explicit Jobs(QObject* parent = nullptr);
  /// Cancels every job and waits for it.
  ~Jobs() override;

  /// Starts a job. One of the same name that still runs is cancelled and delivers nothing: the
  /// latest wins. `failed` is called on this thread instead of the delivery; without it the signal
  /// of that name is emitted.
  void start(const QString& name, Work work, std::function<void(const Failure&)> on_failure = {});
  void cancel(const QString& name);
  void cancel_all();

  struct Running {
    QString name;
    double share = 0.0;
  };
  /// Names ascending.
  [[nodiscard]] std::vector<Running> running() const;
  [[nodiscard]] bool is_running(const QString& name) const { return m_running.contains(name); }
  [[nodiscard]] bool is_idle() const { return m_running.empty(); }

 Q_SIGNALS:
  /// A job started, went on or ended.
  void changed();
  void failed(const kvsieve::gui::Failure& failure);

 private:
  void finish(const std::shared_ptr<JobControl::State>& state);

  QThreadPool m_pool;
  QTimer m_progress_timer;
  std::map<QString, std::shared_ptr<JobControl::State>> m_running;
};

}  // namespace kvsieve::gui
