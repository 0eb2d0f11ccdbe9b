#include "kvsieve/sim/sweep_evaluator.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "kvsieve/kernels/parallel_tasks.h"
#include "kvsieve/traces/error.h"
#include "sweep/cost_bases.h"
#include "sweep/metrics_text.h"
#include "sweep/replay_figures.h"
#include "sweep/shared_replays.h"

namespace kvsieve::sim {
namespace {

// Points whose costs are computed between two reports of progress.
constexpr std::size_t kPointsPerReport = 4096;
// And by one task: enough to outweigh starting it.
constexpr std::size_t kPointsPerTask = 16;
// Share of a call's progress that its replays are, if there are any.
constexpr double kReplayShare = 0.9;

std::string options_text(const SweepPoint& point) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for (const auto& [name, value] : point.options) {
    json[name] = value;
  }
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

/// A point as far as it is known before its replay.
struct Job {
  std::optional<std::size_t> replay;  ///< its number among the shared ones
  std::variant<std::monostate, EvictionPlan, RetrievalOptions> method;
  const CostBasis* basis = nullptr;  ///< null without cost
  CostPoint point;
  bool largest_batch = false;
  StepLoads loads;  ///< given by the reader
  std::int64_t steps = 1;
  std::string error;
};

/// The replayed method with what only the reader knows: how decode steps are scheduled.
CostMethod cost_method_of(const Job& job, const ReplayFigures& figures) {
  if (const auto* plan = std::get_if<EvictionPlan>(&job.method)) {
    return replayed_method(*plan, figures);
  }
  CostMethod method = replayed_method(std::get<RetrievalOptions>(job.method), figures);
  method.schedule = job.point.method.schedule;
  method.index.buckets = job.point.method.index.buckets;
  return method;
}

std::string metrics_of(const Job& job, const SharedReplays& replays) {
  MetricsText text;
  const ReplayFigures* figures = nullptr;
  if (job.replay) {
    figures = &replays.figures(*job.replay);
    const auto* retrieval = std::get_if<RetrievalOptions>(&job.method);
    add_replay(*figures, retrieval ? std::optional(retrieval->placement) : std::nullopt, text);
  }
  if (job.basis != nullptr) {
    const auto& [hardware, model] = *job.basis;
    if (figures != nullptr) {
      CostPoint point = job.point;
      point.method = cost_method_of(job, *figures);
      add_cost(
          cost_figures(hardware, model, point, job.largest_batch, figures->loads, figures->steps),
          job.largest_batch, text);
    } else {
      add_cost(cost_figures(hardware, model, job.point, job.largest_batch, job.loads, job.steps),
               job.largest_batch, text);
    }
  }
  return text.object();
}

SweepRow row_of(const SweepPoint& point, const std::string& key, const Job& job,
                const SharedReplays& replays) {
  SweepRow row{point.number, key, options_text(point), {}, job.error};
  if (row.error.empty()) {
    try {
      row.metrics = metrics_of(job, replays);
    } catch (const std::exception& error) {
      row.error = error.what();
    }
  }
  return row;
}

}  // namespace

struct SweepEvaluator::State {
  State(SweepReader read, std::filesystem::path cache)
      : reader(std::move(read)), replays(std::move(cache)) {}

  [[nodiscard]] Job read(const SweepPoint& point) {
    Job job;
    try {
      SweepTask task = reader(point);
      if (task.costs) {
        job.basis = &bases.of(task.cost.hardware, task.cost.model);
        job.point = std::move(task.cost.point);
        job.largest_batch = task.cost.largest_batch;
        job.loads = std::move(task.cost.loads);
        job.steps = task.cost.steps;
      }
      if (auto* eviction = std::get_if<SweepTask::Eviction>(&task.replay)) {
        job.replay = replays.ask(task.trace, *eviction);
        job.method = std::move(eviction->plan);
      } else if (auto* retrieval = std::get_if<RetrievalOptions>(&task.replay)) {
        job.replay = replays.ask(task.trace, *retrieval);
        job.method = std::move(*retrieval);
      }
    } catch (const std::exception& error) {
      job.error = error.what();
    }
    return job;
  }

  SweepReader reader;
  CostBases bases;
  SharedReplays replays;
};

SweepEvaluator::SweepEvaluator(SweepReader reader, std::filesystem::path cache)
    : m_state(std::make_unique<State>(std::move(reader), std::move(cache))) {}

SweepEvaluator::SweepEvaluator(SweepEvaluator&&) noexcept = default;
SweepEvaluator& SweepEvaluator::operator=(SweepEvaluator&&) noexcept = default;
SweepEvaluator::~SweepEvaluator() = default;

std::vector<SweepRow> SweepEvaluator::evaluate(std::span<const SweepPoint> points,
                                               std::span<const std::string> keys,
                                               const Progress& progress) {
  if (points.size() != keys.size()) {
    throw Error(ErrorKind::kInternal, "a sweep's points and keys are not equally many");
  }
  SharedReplays& replays = m_state->replays;
  replays.clear();
  std::vector<Job> jobs;
  jobs.reserve(points.size());
  bool replaying = false;
  for (const SweepPoint& point : points) {
    jobs.push_back(m_state->read(point));
    replaying = replaying || jobs.back().replay;
  }
  const double before = replaying ? kReplayShare : 0.0;
  if (replaying) {
    replays.run(progress ? Progress([&](double share) { progress(before * share); }) : Progress());
  }
  std::vector<SweepRow> rows(points.size());
  for (std::size_t first = 0; first < rows.size(); first += kPointsPerReport) {
    const std::size_t last = std::min(first + kPointsPerReport, rows.size());
    const std::size_t tasks = (last - first + kPointsPerTask - 1) / kPointsPerTask;
    kernels::parallel_tasks(static_cast<std::int64_t>(tasks), [&](std::int64_t task) {
      const std::size_t begin = first + static_cast<std::size_t>(task) * kPointsPerTask;
      for (std::size_t i = begin; i < std::min(begin + kPointsPerTask, last); ++i) {
        rows[i] = row_of(points[i], keys[i], jobs[i], replays);
      }
    });
    if (progress) {
      progress(before +
               (1.0 - before) * static_cast<double>(last) / static_cast<double>(rows.size()));
    }
  }
  return rows;
}

std::int64_t SweepEvaluator::replays() const noexcept {
  return m_state->replays.replays();
}

std::int64_t SweepEvaluator::cache_hits() const noexcept {
  return m_state->replays.cache_hits();
}

}  // namespace kvsieve::sim
