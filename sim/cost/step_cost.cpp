#include "kvsieve/sim/step_cost.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "cost/layer_tasks.h"
#include "cost/prompt_stages.h"
#include "cost/stage_times.h"
#include "kvsieve/kernels/retrieval_ledger.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::sim {
namespace {

struct StageInfo {
  std::string_view name;
  Lane lane;
};
constexpr std::array<StageInfo, kCostStages> kStages{{{"qkv", Lane::kGpu},
                                                      {"attention", Lane::kGpu},
                                                      {"rotate", Lane::kGpu},
                                                      {"encode", Lane::kGpu},
                                                      {"score", Lane::kGpu},
                                                      {"topk", Lane::kGpu},
                                                      {"union", Lane::kGpu},
                                                      {"down", Lane::kToHost},
                                                      {"append", Lane::kCpu},
                                                      {"cpu-score", Lane::kCpu},
                                                      {"cpu-attention", Lane::kCpu},
                                                      {"up", Lane::kToGpu},
                                                      {"fetch", Lane::kToGpu},
                                                      {"fetched-attention", Lane::kGpu},
                                                      {"resident-attention", Lane::kGpu},
                                                      {"merge", Lane::kGpu},
                                                      {"output", Lane::kGpu},
                                                      {"mlp", Lane::kGpu},
                                                      {"logits", Lane::kGpu},
                                                      {"sampling", Lane::kGpu},
                                                      {"engine", Lane::kCpu}}};

/// Periods of the layers of an overlapped step that are simulated to find what one more takes.
constexpr std::int64_t kSimulatedPeriods = 3;
/// Queries of the observation window that scores the prompt (SnapKV's default).
constexpr std::int64_t kScoringWindow = 32;

std::size_t at(CostStage stage) {
  return static_cast<std::size_t>(stage);
}

bool is_transfer(CostStage stage) {
  return lane_of(stage) == Lane::kToGpu || lane_of(stage) == Lane::kToHost;
}

std::int64_t micro_batches_of(const CostPoint& point) {
  return point.method.family == CostFamily::kRetrieval
             ? kernels::DecodeGraphShape{1, point.method.placement, point.method.schedule}
                   .micro_batches()
             : 1;
}

/// Sequences of a micro-batch: the first takes one more where they do not divide.
double sequences_of(std::int64_t batch, std::int64_t micro_batches, std::int64_t which) {
  return static_cast<double>(batch / micro_batches + (which < batch % micro_batches ? 1 : 0));
}

using LayerTimes = std::vector<StageTime>;

/// Builds timelines out of layers' tasks and times.
class TimelineBuilder {
 public:
  explicit TimelineBuilder(std::int64_t micro_batches) : m_micro_batches(micro_batches) {
    for (const StageInfo& stage : kStages) {
      m_timeline.names.emplace_back(stage.name);
    }
  }

  void reserve(std::size_t tasks) {
    m_timeline.tasks.reserve(tasks);
    m_timeline.after.reserve(tasks);
  }

  void layer(std::int32_t step, std::int32_t layer, const std::vector<LayerTask>& tasks,
             const LayerTimes& times) {
    const auto first = static_cast<std::int32_t>(m_timeline.tasks.size());
    for (std::size_t t = 0; t < tasks.size(); ++t) {
      begin(tasks[t].stage, tasks[t].micro_batch, step, layer, times[t]);
      for (const std::int32_t before : tasks[t].after) {
        m_timeline.after.push_back(first + before);
      }
      // The next step begins once the engine has seen the last one's tokens.
      if (layer == 0 && m_engine >= 0 && tasks[t].stage == CostStage::kQkv) {
        m_timeline.after.push_back(m_engine);
      }
      end();
    }
  }

  /// @param heads [micro-batches] logits and sampling of each
  void finish_step(std::int32_t step, const std::vector<std::pair<StageTime, StageTime>>& heads,
                   const StageTime& engine) {
    std::vector<std::int32_t> last;
    for (std::int64_t batch = 0; batch < m_micro_batches; ++batch) {
      const auto& [logits, sampling] = heads[static_cast<std::size_t>(batch)];
      begin(CostStage::kLogits, static_cast<std::int32_t>(batch), step, -1, logits);
      end();
      begin(CostStage::kSampling, static_cast<std::int32_t>(batch), step, -1, sampling);
      end();
      last.push_back(static_cast<std::int32_t>(m_timeline.tasks.size()) - 1);
    }
    begin(CostStage::kEngine, 0, step, -1, engine);
    for (const std::int32_t task : last) {
      m_timeline.after.push_back(task);
    }
    end();
    m_engine = static_cast<std::int32_t>(m_timeline.tasks.size()) - 1;
  }

  [[nodiscard]] Timeline take() { return std::move(m_timeline); }

 private:
  void begin(CostStage stage, std::int32_t micro_batch, std::int32_t step, std::int32_t layer,
             const StageTime& time) {
    TimelineTask& task = m_timeline.tasks.emplace_back();
    task.name = static_cast<std::int32_t>(stage);
    task.lane = lane_of(stage);
    task.us = time.us;
    task.uses = time.uses;
    task.step = step;
    task.layer = layer;
    task.micro_batch = micro_batch;
    task.bytes = static_cast<std::int64_t>(time.bytes + 0.5);
    task.pieces = static_cast<std::int64_t>(time.pieces + 0.5);
    task.after_begin = static_cast<std::int32_t>(m_timeline.after.size());
  }
  void end() {
    m_timeline.tasks.back().after_end = static_cast<std::int32_t>(m_timeline.after.size());
  }

  std::int64_t m_micro_batches;
  Timeline m_timeline;
  std::int32_t m_engine = -1;
};

/// Sums of stages.
class StageSums {
 public:
  void add(CostStage stage, const StageTime& time, double times = 1.0) {
    Sum& sum = m_sums[at(stage)];
    sum.present = true;
    sum.us += time.us * times;
    sum.bytes += time.bytes * times;
    sum.pieces += time.pieces * times;
    if (time.us * times > sum.largest) {
      sum.largest = time.us * times;
      sum.regime = time.regime;
    }
  }

  void write(StepCost& cost) const {
    for (std::size_t s = 0; s < kCostStages; ++s) {
      const Sum& sum = m_sums[s];
      const auto stage = static_cast<CostStage>(s);
      if (!sum.present || (stage == CostStage::kEngine && sum.us == 0.0)) {
        continue;
      }
      cost.stages.push_back({stage, sum.us, sum.bytes, sum.pieces, sum.regime});
      cost.serial_us += sum.us;
      if (lane_of(stage) == Lane::kToGpu) {
        cost.to_gpu_bytes += sum.bytes;
      } else if (lane_of(stage) == Lane::kToHost) {
        cost.to_host_bytes += sum.bytes;
      }
    }
  }

 private:
  struct Sum {
    bool present = false;
    double us = 0.0;
    double bytes = 0.0;
    double pieces = 0.0;
    double largest = 0.0;
    std::string_view regime;
  };
  std::array<Sum, kCostStages> m_sums{};
};

/// Everything that a point's layers of one kind need.
struct LayerKind {
  std::vector<LayerTask> tasks;
  LayerTimes times;
  std::int64_t count = 0;
};

}  // namespace

std::string_view name_of(CostStage stage) noexcept {
  return kStages[at(stage)].name;
}
Lane lane_of(CostStage stage) noexcept {
  return kStages[at(stage)].lane;
}

namespace {

/// One point's micro-batches on a model.
class PointTimes {
 public:
  PointTimes(const StepModel& model, const CostPoint& point)
      : m_model(model), m_point(point), m_micro_batches(micro_batches_of(point)) {}

  [[nodiscard]] std::int64_t micro_batches() const { return m_micro_batches; }

  /// Times of a layer's tasks; a micro-batch without sequences takes none.
  void layer(const std::vector<LayerTask>& tasks, bool sliding, double context,
             const LayerLoad& load, LayerTimes& times) const {
    times.resize(tasks.size());
    for (std::size_t t = 0; t < tasks.size(); ++t) {
      // The micro-batches of equal size take equal times.
      const std::size_t twin = twin_of(tasks, t);
      times[t] = twin < t ? times[twin]
                          : stage(tasks[t].stage, tasks[t].micro_batch, sliding, context, load);
    }
  }

  [[nodiscard]] StageTime stage(CostStage stage, std::int64_t micro_batch, bool sliding,
                                double context, const LayerLoad& load,
                                CostTerms* terms = nullptr) const {
    const double sequences = sequences_of(m_point.batch, m_micro_batches, micro_batch);
    if (sequences == 0.0) {
      return {};
    }
    return StageTimes(m_model, m_point.method, sequences, context, m_point.capacity.element_bytes,
                      load)
        .stage(stage, sliding, terms);
  }

  [[nodiscard]] std::vector<std::pair<StageTime, StageTime>> heads(double context,
                                                                   const LayerLoad& load) const {
    std::vector<std::pair<StageTime, StageTime>> heads;
    for (std::int64_t batch = 0; batch < m_micro_batches; ++batch) {
      heads.emplace_back(stage(CostStage::kLogits, batch, false, context, load),
                         stage(CostStage::kSampling, batch, false, context, load));
    }
    return heads;
  }

 private:
  /// The same stage of the first micro-batch, if both are of one size; t otherwise.
  [[nodiscard]] std::size_t twin_of(const std::vector<LayerTask>& tasks, std::size_t t) const {
    if (tasks[t].micro_batch == 0 || m_point.batch % m_micro_batches != 0) {
      return t;
    }
    for (std::size_t other = 0; other < t; ++other) {
      if (tasks[other].micro_batch == 0 && tasks[other].stage == tasks[t].stage) {
        return other;
      }
    }
    return t;
  }

  const StepModel& m_model;
  const CostPoint& m_point;
  std::int64_t m_micro_batches;
};

/// Totals of a step.
struct StepTotals {
  double us = 0.0;
  double exposed_transfer_us = 0.0;
  double host_memory_us = 0.0;  ///< use of the host's memory over time
  std::array<double, kLanes> busy_us{};

  /// Adds `times` the difference of two totals.
  void extend(const StepTotals& more, const StepTotals& less, double times) {
    us += times * (more.us - less.us);
    exposed_transfer_us += times * (more.exposed_transfer_us - less.exposed_transfer_us);
    host_memory_us += times * (more.host_memory_us - less.host_memory_us);
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      busy_us[lane] += times * (more.busy_us[lane] - less.busy_us[lane]);
    }
  }
};

/// The layers of one step, all global ones alike and all sliding ones alike.
class PlannedStep {
 public:
  PlannedStep(const StepModel& model, const CostPoint& point, const PointTimes& times,
              double context, const LayerLoad& load)
      : m_model(model),
        m_micro_batches(times.micro_batches()),
        m_heads(times.heads(context, load)),
        m_engine(times.stage(CostStage::kEngine, 0, false, context, load)) {
    m_kinds[0].count = model.model().global_layers();
    m_kinds[1].count = model.model().layers - m_kinds[0].count;
    for (const bool sliding : {false, true}) {
      LayerKind& kind = m_kinds[sliding ? 1 : 0];
      if (kind.count > 0) {
        kind.tasks = layer_tasks(point.method, sliding, m_micro_batches);
        times.layer(kind.tasks, sliding, context, load, kind.times);
      }
    }
  }

  [[nodiscard]] StageSums sums() const {
    StageSums sums;
    each([&](CostStage stage, const StageTime& time, double times) {
      sums.add(stage, time, times);
    });
    return sums;
  }

  /// One stage after another.
  [[nodiscard]] StepTotals serial() const {
    StepTotals totals;
    each([&](CostStage stage, const StageTime& time, double times) {
      const double us = time.us * times;
      totals.us += us;
      totals.busy_us[static_cast<std::size_t>(lane_of(stage))] += us;
      totals.exposed_transfer_us += is_transfer(stage) ? us : 0.0;
      totals.host_memory_us +=
          us * time.uses[static_cast<std::size_t>(SharedResource::kHostMemory)];
    });
    return totals;
  }

  /// The schedule of two micro-batches. Layers repeat with a period; what is beyond the first few
  /// periods adds what the last one of them added.
  [[nodiscard]] StepTotals overlapped() const {
    const std::int64_t layers = m_model.model().layers;
    const std::int64_t period = m_model.layer_period();
    const std::int64_t simulated = kSimulatedPeriods * period + layers % period;
    if (simulated >= layers) {
      return simulated_layers(layers);
    }
    const StepTotals more = simulated_layers(simulated);
    StepTotals totals = more;
    totals.extend(more, simulated_layers(simulated - period),
                  static_cast<double>((layers - simulated) / period));
    return totals;
  }

 private:
  template <class Visit>
  void each(const Visit& visit) const {
    for (const LayerKind& kind : m_kinds) {
      for (std::size_t t = 0; t < kind.tasks.size(); ++t) {
        visit(kind.tasks[t].stage, kind.times[t], static_cast<double>(kind.count));
      }
    }
    for (const auto& [logits, sampling] : m_heads) {
      visit(CostStage::kLogits, logits, 1.0);
      visit(CostStage::kSampling, sampling, 1.0);
    }
    visit(CostStage::kEngine, m_engine, 1.0);
  }

  [[nodiscard]] StepTotals simulated_layers(std::int64_t count) const {
    TimelineBuilder builder(m_micro_batches);
    for (std::int64_t layer = 0; layer < count; ++layer) {
      const LayerKind& kind = m_kinds[m_model.is_sliding(layer) ? 1 : 0];
      builder.layer(0, static_cast<std::int32_t>(layer), kind.tasks, kind.times);
    }
    builder.finish_step(0, m_heads, m_engine);
    const TimelineResult result = simulate(builder.take());
    return {
        result.total_us, result.exposed_transfer_us,
        result.utilisation[static_cast<std::size_t>(SharedResource::kHostMemory)] * result.total_us,
        result.busy_us};
  }

  const StepModel& m_model;
  std::int64_t m_micro_batches;
  std::array<LayerKind, 2> m_kinds;  ///< global, sliding
  std::vector<std::pair<StageTime, StageTime>> m_heads;
  StageTime m_engine;
};

void check(const ModelDimensions& model, const CostPoint& point) {
  if (point.batch < 1 || point.context < 1) {
    throw Error(ErrorKind::kUsage, fmt::format("batch {} and context {} of {} must be at least 1",
                                               point.batch, point.context, model.id));
  }
}

}  // namespace

StepModel::StepModel(const HardwareProfile& profile, ModelDimensions model)
    : m_model(std::move(model)),
      m_gpu(profile),
      m_link(profile.link),
      m_host(profile.cpu),
      m_engine_us(profile.calibration ? profile.calibration->step_overhead_us : 0.0) {
  if (m_model.attention == AttentionKind::kLatent) {
    static_cast<void>(memory_ledger(m_model, CostMethod{}, 1));  // says why not
  }
  m_sliding.resize(static_cast<std::size_t>(m_model.layers), false);
  for (const std::int64_t layer : m_model.sliding_layers) {
    m_sliding[static_cast<std::size_t>(layer)] = true;
  }
  const auto repeats = [&](std::size_t period) {
    return std::equal(m_sliding.begin() + static_cast<std::ptrdiff_t>(period), m_sliding.end(),
                      m_sliding.begin());
  };
  std::size_t period = 1;
  while (period < m_sliding.size() && !repeats(period)) {
    ++period;
  }
  m_layer_period = static_cast<std::int64_t>(period);
}

StepCost StepModel::step(const CostPoint& point, const std::optional<LayerLoad>& load) const {
  check(m_model, point);
  const PointTimes times(*this, point);
  const auto context = static_cast<double>(point.context);
  const PlannedStep plan(*this, point, times, context,
                         load.value_or(stated_load(point.method, context, m_model.group())));
  StepCost cost;
  plan.sums().write(cost);
  const StepTotals totals = times.micro_batches() == 1 ? plan.serial() : plan.overlapped();
  cost.step_us = totals.us;
  cost.exposed_transfer_us = totals.exposed_transfer_us;
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    cost.utilisation[lane] = totals.busy_us[lane] / totals.us;
  }
  cost.host_memory_utilisation = totals.host_memory_us / totals.us;
  cost.tokens_per_second = static_cast<double>(point.batch) / totals.us * 1e6;
  return cost;
}

Timeline StepModel::timeline(const CostPoint& point, const StepLoads& loads,
                             std::int64_t steps) const {
  check(m_model, point);
  const PointTimes times(*this, point);
  const std::vector<LayerTask> global = layer_tasks(point.method, false, times.micro_batches());
  const std::vector<LayerTask> sliding = layer_tasks(point.method, true, times.micro_batches());
  TimelineBuilder builder(times.micro_batches());
  builder.reserve(static_cast<std::size_t>(steps * m_model.layers) *
                  std::max(global.size(), sliding.size()));
  LayerTimes layer_times;
  for (std::int64_t step = 0; step < steps; ++step) {
    const double context = static_cast<double>(point.context + step);
    const LayerLoad stated = stated_load(point.method, context, m_model.group());
    std::int64_t global_layer = 0;
    for (std::int64_t layer = 0; layer < m_model.layers; ++layer) {
      const bool slides = is_sliding(layer);
      LayerLoad load = stated;
      if (!slides && loads.layers > 0) {
        // A model with more layers than were captured takes the captured one at its depth.
        const std::int64_t from = global_layer * loads.layers / m_model.global_layers();
        load = loads.loads[static_cast<std::size_t>((step % loads.steps()) * loads.layers + from)];
      }
      global_layer += slides ? 0 : 1;
      const std::vector<LayerTask>& tasks = slides ? sliding : global;
      times.layer(tasks, slides, context, load, layer_times);
      builder.layer(static_cast<std::int32_t>(step), static_cast<std::int32_t>(layer), tasks,
                    layer_times);
    }
    builder.finish_step(static_cast<std::int32_t>(step), times.heads(context, stated),
                        times.stage(CostStage::kEngine, 0, false, context, stated));
  }
  return builder.take();
}

StepCost StepModel::totals(const CostPoint& point, const Timeline& timeline,
                           const TimelineResult& result) const {
  const double steps =
      timeline.tasks.empty() ? 1.0 : static_cast<double>(timeline.tasks.back().step + 1);
  StageSums sums;
  for (const TimelineTask& task : timeline.tasks) {
    sums.add(static_cast<CostStage>(task.name),
             {task.us, static_cast<double>(task.bytes), static_cast<double>(task.pieces), {}, {}},
             1.0 / steps);
  }
  StepCost cost;
  sums.write(cost);
  cost.step_us = result.total_us / steps;
  cost.exposed_transfer_us = result.exposed_transfer_us / steps;
  cost.tokens_per_second = static_cast<double>(point.batch) / cost.step_us * 1e6;
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    cost.utilisation[lane] = result.busy_us[lane] / result.total_us;
  }
  cost.host_memory_utilisation =
      result.utilisation[static_cast<std::size_t>(SharedResource::kHostMemory)];
  // The regimes are those of the first step.
  const StepCost first = step(point);
  for (StageCost& stage : cost.stages) {
    for (const StageCost& other : first.stages) {
      stage.regime = other.stage == stage.stage ? other.regime : stage.regime;
    }
  }
  return cost;
}

CostTerms StepModel::explain(const CostPoint& point, const std::optional<LayerLoad>& load) const {
  check(m_model, point);
  const PointTimes times(*this, point);
  const auto context = static_cast<double>(point.context);
  const LayerLoad used = load.value_or(stated_load(point.method, context, m_model.group()));
  CostTerms terms;
  const auto add = [&](CostStage stage, bool sliding, std::string_view what) {
    CostTerms own;
    static_cast<void>(times.stage(stage, 0, sliding, context, used, &own));
    for (CostTerm& term : own) {
      term.name = fmt::format("{} {}: {}", what, name_of(stage), term.name);
      terms.push_back(std::move(term));
    }
  };
  for (const bool sliding : {false, true}) {
    if ((sliding ? m_model.layers - m_model.global_layers() : m_model.global_layers()) == 0) {
      continue;
    }
    for (const LayerTask& task : layer_tasks(point.method, sliding, times.micro_batches())) {
      if (task.micro_batch == 0) {
        add(task.stage, sliding, sliding ? "sliding layer" : "layer");
      }
    }
  }
  add(CostStage::kLogits, false, "step");
  add(CostStage::kSampling, false, "step");
  const StepCost cost = step(point, load);
  terms.push_back(
      {"step: stages one after another", "sum over layers and micro-batches",
       fmt::format("{} global layers, {} sliding layers, {} micro-batches", m_model.global_layers(),
                   m_model.layers - m_model.global_layers(), times.micro_batches()),
       cost.serial_us, "us", "modelled"});
  if (m_engine_us > 0.0) {
    terms.push_back({"step: engine", "constant", "calibrated overhead of a step", m_engine_us, "us",
                     "calibration of the profile"});
  }
  terms.push_back(
      {"step", "schedule of the task graph over its lanes",
       fmt::format("placement {}, schedule {}", kernels::name_of(point.method.placement),
                   kernels::name_of(point.method.schedule)),
       cost.step_us, "us", "modelled"});
  return terms;
}

std::vector<StageWork> StepModel::work(const CostPoint& point,
                                       const std::optional<LayerLoad>& load) const {
  check(m_model, point);
  const PointTimes times(*this, point);
  const auto context = static_cast<double>(point.context);
  const LayerLoad used = load.value_or(stated_load(point.method, context, m_model.group()));
  std::array<StageWork, kCostStages> sums{};
  const auto add = [&](CostStage stage, std::int64_t micro_batch, bool sliding, double layers) {
    if (is_transfer(stage)) {
      return;
    }
    CostTerms terms;
    const StageTime time = times.stage(stage, micro_batch, sliding, context, used, &terms);
    StageWork& sum = sums[at(stage)];
    sum.us += layers * time.us;
    for (const CostTerm& term : terms) {
      sum.memory_bytes += layers * term.memory_bytes;
      sum.flops += layers * term.flops;
    }
  };
  for (const bool sliding : {false, true}) {
    const std::int64_t layers =
        sliding ? m_model.layers - m_model.global_layers() : m_model.global_layers();
    if (layers == 0) {
      continue;
    }
    for (const LayerTask& task : layer_tasks(point.method, sliding, times.micro_batches())) {
      add(task.stage, task.micro_batch, sliding, static_cast<double>(layers));
    }
  }
  for (std::int64_t batch = 0; batch < times.micro_batches(); ++batch) {
    add(CostStage::kLogits, batch, false, 1.0);
    add(CostStage::kSampling, batch, false, 1.0);
  }
  std::vector<StageWork> found;
  for (std::size_t stage = 0; stage < kCostStages; ++stage) {
    if (sums[stage].us > 0.0) {
      sums[stage].stage = static_cast<CostStage>(stage);
      found.push_back(sums[stage]);
    }
  }
  return found;
}

double StepModel::prefill_us(const CostPoint& point, CostTerms* terms) const {
  check(m_model, point);
  const auto batch = static_cast<double>(point.batch);
  const auto context = static_cast<double>(point.context);
  const double tokens = batch * context;
  const LayerLoad none;
  const StageTimes stages(*this, point.method, tokens, 0.0, point.capacity.element_bytes, none);
  const double dense = stages.stage(CostStage::kQkv, false, terms).us +
                       stages.stage(CostStage::kOutput, false, terms).us +
                       stages.stage(CostStage::kMlp, false, terms).us;
  const double whole =
      m_gpu.prefill_attention_us(batch, m_model.q_heads, m_model.head_dim, context, context, terms);
  double sliding = whole;
  if (m_model.sliding_window && static_cast<double>(*m_model.sliding_window) < context) {
    const auto window = static_cast<double>(*m_model.sliding_window);
    const double pairs = window * (context - window / 2.0);
    sliding = whole * pairs / (context * (context + 1.0) / 2.0);
  }
  const auto global_layers = static_cast<double>(m_model.global_layers());
  const double sliding_layers = static_cast<double>(m_model.layers) - global_layers;
  double us =
      (global_layers + sliding_layers) * dense + global_layers * whole + sliding_layers * sliding;
  us += StageTimes(*this, point.method, batch, context, point.capacity.element_bytes, none)
            .stage(CostStage::kLogits, false, terms)
            .us;
  const auto kv_heads = static_cast<double>(m_model.kv_heads);
  const PromptHeads heads{batch * kv_heads, m_model.group(), m_model.head_dim,
                          point.capacity.element_bytes};
  if (point.method.family == CostFamily::kEviction) {
    // The observation window's attention over all keys, and moving what stays.
    const double kept = stated_load(point.method, context, m_model.group()).kept_share * context;
    us += global_layers * (window_scores_us(m_gpu, heads, kScoringWindow, point.context, terms) +
                           compaction_us(m_gpu, heads, batch * kv_heads * kept, terms));
  }
  if (point.method.family == CostFamily::kRetrieval) {
    if (point.method.index.codes) {
      const PromptHeads coded{kv_heads, m_model.group(), m_model.head_dim,
                              point.capacity.element_bytes};
      us += global_layers *
            key_encoding_us(m_gpu, coded, tokens, point.method.index.codewords, terms);
    }
    // Layers move to the host while the next ones compute.
    const double bytes =
        global_layers * tokens * kv_heads *
        static_cast<double>(kernels::row_bytes(m_model.head_dim, point.capacity.element_bytes));
    us = std::max(us, m_link.transfer_us(TransferPath::kDma, Direction::kToHost, bytes,
                                         global_layers * batch, terms));
  }
  return us;
}

}  // namespace kvsieve::sim
