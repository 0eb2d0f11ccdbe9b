// A sweep of 200 evictions over one trace beside a single run of one of them, in the same rounds,
// and points that are costed alone. `n` is the prompt's tokens, or the context.
//
// The trace is synthetic, of SmolLM2-135M's shape; KVSIEVE_SWEEP_TRACE names another, whose length
// then counts instead of `n`.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "kvsieve/sim/sweep_evaluator.h"
#include "kvsieve/traces/synth.h"
#include "traces/temporary_folder.h"

namespace kvsieve::bench {
namespace {

constexpr std::int64_t kWholeModelFrom = 4096;  // below, the trace has two layers

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0.0 : values[values.size() / 2];
}

/// The trace that a sweep is over.
class SweptTrace {
 public:
  explicit SweptTrace(std::int64_t tokens) {
    if (const char* path = std::getenv("KVSIEVE_SWEEP_TRACE")) {
      m_path = path;
      return;
    }
    traces::SynthOptions options;
    options.layers = tokens < kWholeModelFrom ? 2 : 30;
    options.q_heads = 9;
    options.kv_heads = 3;
    options.head_dim = 64;
    options.decode_tokens = 64;
    options.prompt_tokens = tokens - options.decode_tokens;
    options.with_out = false;
    m_path = (m_folder / "swept.kvtrace").string();
    traces::synthesize(m_path, options);
  }

  [[nodiscard]] const std::string& path() const { return m_path; }

 private:
  kvsieve::tests::TemporaryFolder m_folder;
  std::string m_path;
};

const std::string& option(const sim::SweepPoint& point, std::string_view name) {
  return std::find_if(point.options.begin(), point.options.end(),
                      [&](const auto& option) { return option.first == name; })
      ->second;
}

sim::EvictionPlan plan_of(const sim::SweepPoint& point) {
  const std::string& rule = option(point, "rule");
  sim::EvictionPlan plan;
  plan.method = *sim::find_eviction_preset(rule.substr(0, rule.find('/')));
  plan.method.alpha = kernels::Decimal::parse(option(point, "alpha"));
  if (rule.find('/') != std::string::npos) {
    plan.method.alpha_mode = sim::alpha_mode_from_name(rule.substr(rule.find('/') + 1));
  }
  plan.budget = sim::Budget::parse(option(point, "budget"));
  return plan;
}

/// Budgets x alphas x rules: 10 x 4 x 5.
std::vector<sim::SweepPoint> eviction_points() {
  std::vector<sim::SweepPoint> points;
  for (const char* budget : {"5%", "10%", "15%", "20%", "25%", "30%", "40%", "50%", "60%", "70%"}) {
    for (const char* alpha : {"0", "0.1", "0.2", "0.4"}) {
      for (const char* rule : {"ada-snapkv", "ada-snapkv/floor", "ada-snapkv/official-rounding",
                               "ada-snapkv/floor-kvpress", "ada-pyramid"}) {
        points.push_back({static_cast<std::int64_t>(points.size()),
                          {{"budget", budget}, {"alpha", alpha}, {"rule", rule}}});
      }
    }
  }
  return points;
}

sim::CostRequest cost_on_a100(const traces::TraceHeader& header) {
  sim::CostRequest request;
  request.hardware = sim::load_hardware("a100-sxm-80");
  request.model = sim::dimensions_of(header.model);
  request.point.context = header.prompt_tokens;
  return request;
}

/// What `kvsieve run` does with one method: the trace is opened, replayed and costed.
double single_run_seconds(const std::string& path, const sim::SweepPoint& point,
                          sim::Losses losses) {
  const auto begin = std::chrono::steady_clock::now();
  const traces::Trace trace = traces::Trace::open(path);
  const sim::EvictionPlan plan = plan_of(point);
  const auto results = sim::replay_eviction(trace, {&plan, 1}, {.losses = losses});
  sim::CostRequest request = cost_on_a100(trace.header());
  request.point.method = sim::cost_method_of(results[0]);
  request.loads = sim::captured_loads(results[0], trace.header());
  request.steps = request.loads.steps();
  benchmark::DoNotOptimize(sim::cost_report(std::move(request)).cost.step_us);
  return seconds_since(begin);
}

double sweep_seconds(const std::string& path, const std::vector<sim::SweepPoint>& points,
                     sim::Losses losses) {
  const auto begin = std::chrono::steady_clock::now();
  const sim::CostRequest request = cost_on_a100(traces::Trace::open(path).header());
  sim::SweepEvaluator evaluator(
      [&](const sim::SweepPoint& point) {
        sim::SweepTask task;
        task.trace = path;
        task.replay = sim::SweepTask::Eviction{plan_of(point), {.losses = losses}};
        task.cost = request;
        return task;
      },
      {});
  const std::vector<std::string> keys(points.size());
  benchmark::DoNotOptimize(evaluator.evaluate(points, keys).back().metrics.size());
  return seconds_since(begin);
}

void evictions(benchmark::State& state, sim::Losses losses) {
  const SweptTrace trace(state.range(0));
  const std::vector<sim::SweepPoint> points = eviction_points();
  const sim::SweepPoint& middle = points[points.size() / 2];
  std::vector<double> single;
  std::vector<double> sweep;
  std::vector<double> ratio;
  for ([[maybe_unused]] auto iteration : state) {
    // The single run on both sides of the sweep, so that a change of the machine's load shows less.
    const double before = single_run_seconds(trace.path(), middle, losses);
    sweep.push_back(sweep_seconds(trace.path(), points, losses));
    single.push_back((before + single_run_seconds(trace.path(), middle, losses)) / 2.0);
    ratio.push_back(sweep.back() / single.back());
    state.SetIterationTime(sweep.back());
  }
  state.counters["points"] = static_cast<double>(points.size());
  state.counters["single_run_ms"] = median(single) * 1e3;
  state.counters["sweep_ms"] = median(sweep) * 1e3;
  state.counters["sweep/single"] = median(ratio);
}

void cost_only(benchmark::State& state, kernels::Schedule schedule) {
  const std::vector<sim::HardwareProfile> profiles{
      sim::load_hardware("a100-sxm-80"), sim::load_hardware("h100-sxm"), sim::load_hardware("l4")};
  const sim::ModelDimensions model = sim::load_model("llama-3.1-8b");
  const std::vector<const char*> methods{"full", "ada-snapkv", "a2ats", "quest"};
  std::vector<sim::SweepPoint> points;
  for (std::size_t hardware = 0; hardware < profiles.size(); ++hardware) {
    for (const char* method : methods) {
      for (std::int64_t batch = 1; batch <= 32; ++batch) {
        for (std::int64_t step = 0; step < 16; ++step) {
          points.push_back({static_cast<std::int64_t>(points.size()),
                            {{"hardware", profiles[hardware].id},
                             {"method", method},
                             {"batch", std::to_string(batch)},
                             {"context", std::to_string(state.range(0) + 512 * step)}}});
        }
      }
    }
  }
  sim::SweepEvaluator evaluator(
      [&](const sim::SweepPoint& point) {
        const auto number = [&](const char* name) { return std::stoll(option(point, name)); };
        sim::SweepTask task;
        task.cost.hardware = *std::find_if(profiles.begin(), profiles.end(), [&](const auto& one) {
          return one.id == option(point, "hardware");
        });
        task.cost.model = model;
        task.cost.point.method = sim::cost_method(option(point, "method"));
        task.cost.point.method.schedule = schedule;
        task.cost.point.batch = number("batch");
        task.cost.point.context = number("context");
        return task;
      },
      {});
  const std::vector<std::string> keys(points.size());
  for ([[maybe_unused]] auto iteration : state) {
    benchmark::DoNotOptimize(evaluator.evaluate(points, keys).back().metrics.size());
  }
  state.counters["points/s"] = benchmark::Counter(static_cast<double>(points.size()),
                                                  benchmark::Counter::kIsIterationInvariantRate);
}

BENCHMARK_CAPTURE(evictions, mass, sim::Losses::kMass)
    ->ArgName("n")
    ->Arg(1024)
    ->Arg(4096)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(evictions, projected, sim::Losses::kProjected)
    ->ArgName("n")
    ->Arg(1024)
    ->Arg(4096)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(cost_only, serial, kernels::Schedule::kSerial)
    ->ArgName("n")
    ->Arg(1024)
    ->Arg(131'072)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(cost_only, overlapped, kernels::Schedule::kOverlapped)
    ->ArgName("n")
    ->Arg(131'072)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace kvsieve::bench
