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
  SweepTaskReader();
  SweepTaskReader(const SweepTaskReader&) = delete;
  SweepTaskReader& operator=(const SweepTaskReader&) = delete;
  ~SweepTaskReader();

  /// Throws Error(kUsage) for options that do not exist or do not go together, as the verbs do.
  [[nodiscard]] sim::SweepTask read(const sim::SweepPoint& point);

  /// Names of all options that a sweep can vary, ascending.
  [[nodiscard]] static std::vector<std::string> option_names();

 private:
  struct Known;
  [[nodiscard]] std::shared_ptr<const Known> known(const sim::SweepPoint& point);

  std::mutex m_mutex;
  std::map<std::string, std::shared_ptr<const Known>>
      m_known;  ///< by options but context and batch
};

}  // namespace kvsieve::cli
