#pragma once
// Running another program to its end.

#include <string>
#include <vector>

namespace kvsieve::bench {

struct FinishedProcess {
  int exit_code = 0;  ///< 128 + its number after a signal
  std::string out;    ///< standard output
  std::string err;    ///< standard error
  double cpu_seconds = 0.0;
};

/// Runs `words`, of which the first is the program: a path, or a name on the PATH.
/// Throws Error(kBadInput) if it cannot be started.
[[nodiscard]] FinishedProcess run_process(const std::vector<std::string>& words);

}  // namespace kvsieve::bench
