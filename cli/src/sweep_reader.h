#pragma once
// Turns the options of a sweep's point into what to replay and cost, by the tables of `kvsieve run`
// (with a trace) and `kvsieve cost` (without).

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "kvsieve/sim/sweep_evaluator.h"

namespace kvsieve::cli {

/// Reads points. Points that differ in context and batch alone are read once. Safe for use by
/// several threads.
class SweepTaskReader {
 public:
  /// Throws Error(kUsage) for options that do not exist or do not go together, as the verbs do.
  [[nodiscard]] sim::SweepTask read(const sim::SweepPoint& point);

  /// Names of all options that a sweep can vary, ascending.
  [[nodiscard]] static std::vector<std::string> option_names();

 private:
  /// The point's task but for context and batch.
  [[nodiscard]] std::shared_ptr<const sim::SweepTask> known(const sim::SweepPoint& point);

  std::mutex m_mutex;
  std::map<std::string, std::shared_ptr<const sim::SweepTask>> m_known;  ///< by the other options
};

}  // namespace kvsieve::cli
