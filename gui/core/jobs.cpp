#include "core/jobs.h"

#include <QMetaObject>
#include <atomic>
#include <exception>
#include <new>

#include "kvsieve/traces/error.h"

namespace kvsieve::gui {

struct JobControl::State {
  QString name;
  QObject* receiver = nullptr;  ///< the Jobs, which outlives the job
  std::atomic<bool> cancelled = false;
  std::atomic<double> share = 0.0;
};

void JobControl::progress(double share) const {
  check();
  m_state->share = share;
}

void JobControl::check() const {
  if (m_state->cancelled) {
    throw JobCancelled();
  }
}

void JobControl::deliver(std::function<void()> part) const {
  check();
  QMetaObject::invokeMethod(
      m_state->receiver,
      [state = m_state, part = std::move(part)] {
        if (!state->cancelled) {
          try {
            part();
          } catch (...) {
            Q_EMIT static_cast<Jobs*>(state->receiver)->failed(current_failure());
          }
        }
      },
      Qt::QueuedConnection);
}

JobControl JobControl::detached() {
  return JobControl(std::make_shared<State>());
}

Failure current_failure() {
  try {
    throw;
  } catch (const Error& error) {
    return {QString::fromStdString(error.what()), QString::fromStdString(error.hint())};
  } catch (const std::bad_alloc&) {
    return {QStringLiteral("There is not enough memory for this"),
            QStringLiteral("Close other files, or choose fewer layers")};
  } catch (const std::exception& error) {
    return {QString::fromUtf8(error.what()), {}};
  }
}

Jobs::Jobs(QObject* parent) : QObject(parent) {
  constexpr int kProgressMs = 50;
  m_progress_timer.setInterval(kProgressMs);
  connect(&m_progress_timer, &QTimer::timeout, this, &Jobs::changed);
}

Jobs::~Jobs() {
  cancel_all();
  m_pool.waitForDone();
}

void Jobs::start(const QString& name, Work work, std::function<void(const Failure&)> on_failure) {
  cancel(name);
  auto state = std::make_shared<JobControl::State>();
  state->name = name;
  state->receiver = this;
  m_running[name] = state;
  m_progress_timer.start();
  Q_EMIT changed();
  m_pool.start([this, state, work = std::move(work), on_failure = std::move(on_failure)] {
    Delivery delivery;
    try {
      const JobControl control(state);
      control.check();
      delivery = work(control);
    } catch (const JobCancelled&) {
    } catch (...) {
      delivery = [this, on_failure, failure = current_failure()] {
        if (on_failure) {
          on_failure(failure);
        } else {
          Q_EMIT failed(failure);
        }
      };
    }
    QMetaObject::invokeMethod(
        this,
        [this, state, delivery = std::move(delivery)] {
          const bool cancelled = state->cancelled;
          finish(state);
          if (delivery && !cancelled) {
            try {
              delivery();
            } catch (...) {  // nothing may leave through the event loop
              Q_EMIT failed(current_failure());
            }
          }
        },
        Qt::QueuedConnection);
  });
}

void Jobs::cancel(const QString& name) {
  if (const auto found = m_running.find(name); found != m_running.end()) {
    const std::shared_ptr<JobControl::State> state = found->second;
    state->cancelled = true;
    finish(state);
  }
}

void Jobs::cancel_all() {
  while (!m_running.empty()) {
    cancel(m_running.begin()->first);
  }
}

std::vector<Jobs::Running> Jobs::running() const {
  std::vector<Running> list;
  for (const auto& [name, state] : m_running) {
    list.push_back({name, state->share});
  }
  return list;
}

void Jobs::finish(const std::shared_ptr<JobControl::State>& state) {
  const auto found = m_running.find(state->name);
  if (found == m_running.end() || found->second != state) {
    return;  // cancelled before, or replaced by a later job of the name
  }
  m_running.erase(found);
  if (m_running.empty()) {
    m_progress_timer.stop();
  }
  Q_EMIT changed();
}

}  // namespace kvsieve::gui
