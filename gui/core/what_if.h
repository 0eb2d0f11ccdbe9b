#pragma once
// The live run of an open trace: options that change, and runs that follow.

#include <QObject>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "core/live_run.h"
#include "core/workspace.h"

namespace kvsieve::gui {

/// Where the budget slider stops.
[[nodiscard]] const std::vector<std::string>& budget_stops();
/// Where the alpha slider stops.
[[nodiscard]] const std::vector<std::string>& alpha_stops();

/// One point of the curve over the budget slider.
struct BudgetPoint {
  std::string budget;
  double tokens = 0.0;  ///< kept a head, mean
  std::optional<double> evicted_mass;
  std::optional<double> uniform_evicted_mass;
  std::optional<double> l1_loss_relative;
  std::optional<double> uniform_l1_loss_relative;
};

/// Watches the workspace: as soon as a trace is open, its live run is shown; each change of an
/// option computes the next one in a job, the latest wins. While nothing else is to do, the other
/// stops of the two sliders are computed in one shared replay, so that a move of a slider shows a
/// result that is there already.
class WhatIf : public QObject {
  Q_OBJECT
 public:
  /// Replays that take longer are not worth repeating for stops that nobody may want.
  static constexpr double kLookAheadLimitMs = 1500.0;

  explicit WhatIf(Workspace& workspace);
  ~WhatIf() override;

  [[nodiscard]] const RunOptions& options() const noexcept { return m_options; }
  /// Whether there is a trace to compute on.
  [[nodiscard]] bool is_live() const { return m_trace != nullptr; }
  /// Sets one option, or takes it away (no text). An option that the method does not have is
  /// refused with changed_in_vain.
  void set(const std::string& name, const std::optional<std::string>& text);
  /// Options of another method: those that it does not have are dropped.
  void set_method(const std::string& method);
  void set_all(const RunOptions& options);
  /// Options that the present method has, of those that could be set.
  [[nodiscard]] bool applies(const std::string& name) const;

  /// The curve over the budget stops at the present other options: those that are computed.
  [[nodiscard]] std::vector<BudgetPoint> budget_curve() const;
  /// Looking ahead costs processor time; on by default.
  void set_looks_ahead(bool looks_ahead);

  /// Of the last change: from the change to the shown run, milliseconds.
  [[nodiscard]] std::optional<double> last_latency_ms() const { return m_last_latency_ms; }

 Q_SIGNALS:
  /// The options changed.
  void options_changed();
  /// The run of the present options is shown. Parts of a long replay come through
  /// Workspace::run_changed before.
  void computed();
  /// The present options give no run; the shown one stays.
  void changed_in_vain(const kvsieve::gui::Failure& failure);
  /// Results arrived ahead of time.
  void curve_changed();

 private:
  class Memory;
  void take_trace();
  void compute();
  void look_ahead();
  void show(const std::shared_ptr<const Run>& run);

  Workspace& m_workspace;
  std::shared_ptr<const traces::Trace> m_trace;
  RunOptions m_options;
  std::shared_ptr<Memory> m_memory;
  std::shared_ptr<const Run> m_own_run;  ///< the last whole one of these options
  bool m_looks_ahead = true;
  double m_replay_ms = 0.0;
  qint64 m_changed_ns = 0;
  std::optional<double> m_last_latency_ms;
};

}  // namespace kvsieve::gui
