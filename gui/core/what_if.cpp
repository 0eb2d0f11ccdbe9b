#include "core/what_if.h"

#include <QElapsedTimer>
#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "kvsieve/sim/codebook.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::gui {
namespace {

const QString kComputing = QStringLiteral("What-if");
const QString kLookingAhead = QStringLiteral("Looking ahead");

/// Who waits longer for a slider's move notices it.
constexpr double kNoticeableMs = 100.0;
/// Parts of a longer replay are shown this often.
constexpr auto kPartialEvery = std::chrono::milliseconds(250);

qint64 now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

QString label_of(const RunOptions& options) {
  const auto text = [&options](const char* name) {
    const auto found = options.find(name);
    return found == options.end() ? QString() : QString::fromStdString(found->second);
  };
  QString label = text("method");
  for (const char* name : {"budget", "top", "alpha"}) {
    if (const QString value = text(name); !value.isEmpty()) {
      label += QStringLiteral(" %1 %2").arg(name, value);
    }
  }
  return label;
}

RunOptions with(RunOptions options, const std::string& name, const std::string& text) {
  options[name] = text;
  return options;
}

}  // namespace

const std::vector<std::string>& budget_stops() {
  static const std::vector<std::string> kStops{
      "2%",  "3%",  "4%",  "5%",  "6%",  "8%",  "10%", "12%", "15%", "17%", "20%",
      "25%", "30%", "35%", "40%", "45%", "50%", "60%", "70%", "80%", "90%", "100%"};
  return kStops;
}

const std::vector<std::string>& alpha_stops() {
  static const std::vector<std::string> kStops{
      "0",    "0.05", "0.1",  "0.15", "0.2",  "0.25", "0.3",  "0.35", "0.4",  "0.45", "0.5",
      "0.55", "0.6",  "0.65", "0.7",  "0.75", "0.8",  "0.85", "0.9",  "0.95", "1"};
  return kStops;
}

/// Results by options, the oldest forgotten first. Shared with jobs.
class WhatIf::Memory {
 public:
  [[nodiscard]] std::shared_ptr<const sim::EvictionResult> find(const RunOptions& options) const {
    const std::lock_guard lock(m_mutex);
    const auto found = m_results.find(options);
    return found == m_results.end() ? nullptr : found->second;
  }

  void add(const RunOptions& options, sim::EvictionResult result) {
    const std::lock_guard lock(m_mutex);
    if (m_results.contains(options)) {
      return;
    }
    std::int64_t kept = 0;
    for (const sim::LayerEviction& layer : result.layers) {
      kept += layer.budget_total;
    }
    m_kept_tokens += kept;
    m_results.emplace(options, std::make_shared<const sim::EvictionResult>(std::move(result)));
    m_order.push_back({options, kept});
    // 64 million kept tokens are 256 MB.
    constexpr std::int64_t kMostTokens = 64'000'000;
    constexpr std::size_t kMostResults = 512;
    while (m_order.size() > 1 && (m_kept_tokens > kMostTokens || m_order.size() > kMostResults)) {
      m_kept_tokens -= m_order.front().second;
      m_results.erase(m_order.front().first);
      m_order.pop_front();
    }
  }

 private:
  mutable std::mutex m_mutex;
  std::map<RunOptions, std::shared_ptr<const sim::EvictionResult>> m_results;
  std::deque<std::pair<RunOptions, std::int64_t>> m_order;
  std::int64_t m_kept_tokens = 0;
};

WhatIf::WhatIf(Workspace& workspace)
    : m_workspace(workspace),
      m_options{{"method", "ada-snapkv"}, {"budget", "20%"}},
      m_memory(std::make_shared<Memory>()) {
  connect(&workspace, &Workspace::trace_changed, this, &WhatIf::take_trace);
}

WhatIf::~WhatIf() = default;

void WhatIf::set(const std::string& name, const std::optional<std::string>& text) {
  RunOptions next = m_options;
  if (text) {
    next[name] = *text;
  } else {
    next.erase(name);
  }
  set_all(next);
}

void WhatIf::set_method(const std::string& method) {
  RunOptions next = m_options;
  next["method"] = method;
  // A budget means nothing to a retrieval method, nor top K to an eviction method.
  for (const std::string name : {"budget", "top"}) {
    if (!next.contains(name)) {
      next[name] = name == "budget" ? "20%" : "3%";
    }
  }
  if (m_trace) {
    for (auto option = next.begin(); option != next.end();) {
      const bool fits = [&] {
        try {
          const LiveRun run({{"method", method}, *option}, m_trace->header());
          return true;
        } catch (const Error&) {
          return false;
        }
      }();
      option = fits || option->first == "method" ? std::next(option) : next.erase(option);
    }
  }
  set_all(next);
}

void WhatIf::set_all(const RunOptions& options) {
  // Asked again for what is not shown (a run that was cancelled, a file's run): compute it.
  if (options == m_options && m_own_run && m_own_run == m_workspace.run()) {
    return;
  }
  m_options = options;
  Q_EMIT options_changed();
  compute();
}

bool WhatIf::applies(const std::string& name) const {
  static const std::map<std::string, std::string> kAny{{"budget", "20%"},
                                                       {"top", "3%"},
                                                       {"alpha", "0.5"},
                                                       {"window", "32"},
                                                       {"sinks", "4"},
                                                       {"granularity", "query"},
                                                       {"pool", "max:7"},
                                                       {"alpha-mode", "floor"},
                                                       {"group-reduce", "max"},
                                                       {"placement", "cpu-attention"},
                                                       {"schedule", "overlapped"},
                                                       {"codewords", "64"},
                                                       {"hot-buffer", "64"},
                                                       {"wrope-distance", "1024"}};
  const auto text = kAny.find(name);
  if (!m_trace || text == kAny.end()) {
    return text != kAny.end();
  }
  RunOptions options{{name, text->second}};
  if (const auto method = m_options.find("method"); method != m_options.end()) {
    options.insert(*method);
  }
  // Which family a name shared by both means, the options say.
  for (const char* family : {"top", "placement", "budget"}) {
    if (const auto found = m_options.find(family); found != m_options.end() && name != family) {
      options.insert(*found);
    }
  }
  try {
    const LiveRun run(options, m_trace->header());
    return true;
  } catch (const Error&) {
    return false;
  }
}

std::vector<BudgetPoint> WhatIf::budget_curve() const {
  std::vector<BudgetPoint> curve;
  for (const std::string& budget : budget_stops()) {
    const auto result = m_memory->find(with(m_options, "budget", budget));
    if (!result) {
      continue;
    }
    BudgetPoint point{budget, result->summary.kept_tokens_per_head_mean};
    if (const auto& decode = result->summary.decode) {
      point.evicted_mass = decode->evicted_mass;
      point.l1_loss_relative = decode->l1_loss_relative;
    }
    if (const auto& uniform = result->summary.uniform) {
      point.uniform_evicted_mass = uniform->evicted_mass;
      point.uniform_l1_loss_relative = uniform->l1_loss_relative;
    }
    curve.push_back(point);
  }
  return curve;
}

void WhatIf::set_looks_ahead(bool looks_ahead) {
  m_looks_ahead = looks_ahead;
  if (!looks_ahead) {
    m_workspace.jobs().cancel(kLookingAhead);
  }
}

void WhatIf::take_trace() {
  // Its run would take the place of what was opened.
  m_workspace.jobs().cancel(kComputing);
  if (!m_trace || m_trace != m_workspace.trace()) {
    m_workspace.jobs().cancel(kLookingAhead);
    m_memory = std::make_shared<Memory>();
    m_trace = m_workspace.trace();
    m_own_run.reset();
    m_replay_ms = 0.0;
    Q_EMIT curve_changed();
  }
  if (m_trace && (!m_workspace.run() || !m_workspace.run()->is_whole())) {
    compute();
  }
}

void WhatIf::compute() {
  if (!m_trace) {
    return;
  }
  m_changed_ns = now_ns();
  Jobs& jobs = m_workspace.jobs();
  jobs.cancel(kLookingAhead);
  std::shared_ptr<LiveRun> live;
  try {
    live = std::make_shared<LiveRun>(m_options, m_trace->header());
  } catch (...) {
    jobs.cancel(kComputing);  // its run would pass for that of these options
    Q_EMIT changed_in_vain(current_failure());
    return;
  }
  const auto make_run = [live, trace = m_trace, name = label_of(m_options)](
                            const auto& result, Run::Extent extent = Run::Extent::kWhole) {
    const QString suffix = extent == Run::Extent::kWhole ? QString() : QStringLiteral(" (part)");
    return std::make_shared<const Run>(live->document(*trace, result), name + suffix, QString(),
                                       extent);
  };
  // Budgets and masses need a third of the time that losses through W_O do.
  const bool masses_first = m_replay_ms > kNoticeableMs && m_replay_ms < kLookAheadLimitMs;
  const auto work = [this, live, make_run, masses_first, trace = m_trace,
                     memory = m_memory](const JobControl& control) -> Jobs::Delivery {
    const auto progress = [&control](double share) { control.progress(share); };
    QElapsedTimer timer;
    timer.start();
    std::shared_ptr<const Run> run;
    const bool remembered = memory->find(live->options()) != nullptr;
    if (const sim::EvictionPlan* plan = live->eviction()) {
      auto result = memory->find(live->options());
      if (!result) {
        sim::EvictionOptions options = live->eviction_options();
        if (masses_first && options.losses == sim::Losses::kProjected) {
          sim::EvictionOptions quick = options;
          quick.losses = sim::Losses::kMass;
          const auto part = make_run(
              sim::replay_eviction(*trace, {plan, 1}, quick, progress).front(), Run::Extent::kPart);
          control.deliver([this, part] { show(part); });
        }
        auto last = std::chrono::steady_clock::now();
        options.partial = [&](std::span<const sim::EvictionResult> parts) {
          const auto now = std::chrono::steady_clock::now();
          if (now - last >= kPartialEvery) {
            last = now;
            const auto part = make_run(parts.front(), Run::Extent::kPart);
            control.deliver([this, part] { show(part); });
          }
        };
        auto results = sim::replay_eviction(*trace, {plan, 1}, options, progress);
        memory->add(live->options(), std::move(results.front()));
        result = memory->find(live->options());
      }
      run = make_run(*result);
    } else {
      run = make_run(live->replay(*trace, *live->retrieval(), progress));
    }
    const double took_ms = static_cast<double>(timer.nsecsElapsed()) / 1e6;
    return [this, run, took_ms, remembered] {
      if (!remembered) {
        m_replay_ms = took_ms;
      }
      show(run);
    };
  };
  jobs.start(kComputing, work, [this](const Failure& failure) { Q_EMIT changed_in_vain(failure); });
}

void WhatIf::look_ahead() {
  if (!m_looks_ahead || m_replay_ms > kLookAheadLimitMs) {
    return;
  }
  std::vector<RunOptions> wanted;
  const auto want = [&](const char* option, const std::vector<std::string>& stops) {
    for (const std::string& stop : stops) {
      RunOptions options = with(m_options, option, stop);
      if (!m_memory->find(options)) {
        wanted.push_back(std::move(options));
      }
    }
  };
  try {
    const LiveRun present(m_options, m_trace->header());
    if (present.eviction() == nullptr) {
      return;
    }
    want("budget", budget_stops());
    if (present.eviction()->method.adaptive) {
      want("alpha", alpha_stops());
    }
  } catch (const Error&) {
    return;  // compute() has said so
  }
  if (wanted.empty()) {
    return;
  }
  const auto work = [this, wanted, trace = m_trace,
                     memory = m_memory](const JobControl& control) -> Jobs::Delivery {
    std::vector<sim::EvictionPlan> plans;
    sim::EvictionOptions options;
    for (const RunOptions& one : wanted) {
      const LiveRun run(one, trace->header());
      plans.push_back(*run.eviction());
      options = run.eviction_options();
    }
    auto results = sim::replay_eviction(*trace, plans, options,
                                        [&control](double share) { control.progress(share); });
    for (std::size_t i = 0; i < results.size(); ++i) {
      memory->add(wanted[i], std::move(results[i]));
    }
    return [this] { Q_EMIT curve_changed(); };
  };
  // A stop that does not work is no matter until somebody goes there.
  m_workspace.jobs().start(kLookingAhead, work, [](const Failure&) {});
}

void WhatIf::show(const std::shared_ptr<const Run>& run) {
  m_workspace.show_run(run);
  if (run->is_whole()) {
    m_own_run = run;
    m_last_latency_ms = static_cast<double>(now_ns() - m_changed_ns) / 1e6;
    Q_EMIT computed();
    look_ahead();
    Q_EMIT curve_changed();
  }
}

}  // namespace kvsieve::gui
