#pragma once
// `kvsieve sweep` itself: reads the command, evaluates the points into a store, shows what came
// out.

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kvsieve/sim/sweep_runner.h"
#include "sweep_definition.h"

namespace kvsieve::cli {

/// How points get into the store: sim::run_sweep, or a stand-in that spreads them over ranks.
using SweepExecutor = std::function<sim::SweepState(
    std::span<const sim::SweepPoint> points, const nlohmann::ordered_json& context,
    sim::SweepEvaluator& evaluator, sim::SweepStore& store, const sim::SweepProgress& progress,
    const std::function<bool()>& stop)>;

/// Runs the command and returns the exit code.
int run_sweep_points(const std::vector<std::string>& words,
                     const SweepExecutor& execute = sim::run_sweep);

/// Evaluates points of a command's sweep by their numbers, for a process that has no store.
class SweepWorker {
 public:
  /// Throws Error(kUsage) as the command does.
  explicit SweepWorker(const std::vector<std::string>& words);
  SweepWorker(const SweepWorker&) = delete;
  SweepWorker& operator=(const SweepWorker&) = delete;
  ~SweepWorker();

  [[nodiscard]] std::vector<sim::SweepRow> evaluate(std::span<const std::int64_t> numbers,
                                                    std::span<const std::string> keys);

 private:
  struct State;
  std::unique_ptr<State> m_state;
};

}  // namespace kvsieve::cli
