#pragma once
// Two programs measured side by side: the same cases, in turns, on the same processors.

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace kvsieve::bench {

struct AgainstOptions {
  std::vector<std::string> old_program;  ///< the words that start it, e.g. {"/opt/old/kvsieve"}
  std::vector<std::string> new_program;
  std::vector<std::string> case_options;  ///< that say which cases there are: --backend, --threads
  std::string filter;
  int repetitions = 20;                  ///< a side and case, even
  bool more_where_noisy = true;          ///< up to twice as many of cases whose timings scatter
  double min_time_s = 0.05;              ///< of a timing within a measurement
  std::vector<int> cpus;                 ///< that both sides run on
  std::uint64_t seed = 0;                ///< of the order
  std::function<bool()> stop;            ///< asked before each measurement; may be empty
  std::function<void(double)> progress;  ///< called with the finished share; may be empty
};

/// One document a side, as bench_document makes them.
struct AgainstResult {
  nlohmann::ordered_json old_document;
  nlohmann::ordered_json new_document;
  std::vector<std::string> only_old;  ///< cases that one side alone has; they are measured, too
  std::vector<std::string> only_new;
  std::int64_t disturbed_blocks = 0;  ///< that others' load spoilt and that do not count
};

/// Measures both programs with `PROGRAM bench --filter ... --format json`, block by block and in
/// each block case by case. A measurement is a process of its own, so that the placing of code and
/// data differs from one to the next as it does from day to day; it times the case many times
/// shortly, of which the first is forgotten and the quickest counts: one repetition of the
/// document. Throws Error(kBadInput) if a program cannot be started, fails, or prints no such
/// document, and Error(kUsage) if neither has a matching case. Ends early, with what there is, if
/// `stop` says so.
[[nodiscard]] AgainstResult run_against(const AgainstOptions& options);

}  // namespace kvsieve::bench
