#pragma once
// A verb of the command line: `kvsieve VERB ...`.

#include <string>
#include <string_view>
#include <vector>

namespace kvsieve::cli {

/// One verb. `run` gets the arguments after the verb and returns the exit code; it throws Error for
/// everything that went wrong.
struct Verb {
  std::string_view name;
  std::string_view summary;
  int (*run)(const std::vector<std::string>& arguments);
};

/// All verbs, in the order of the help text.
[[nodiscard]] const std::vector<Verb>& verbs();

int run_bench(const std::vector<std::string>& arguments);
int run_calibrate(const std::vector<std::string>& arguments);
int run_check(const std::vector<std::string>& arguments);
int run_compare(const std::vector<std::string>& arguments);
int run_cost(const std::vector<std::string>& arguments);
int run_info(const std::vector<std::string>& arguments);
int run_profile(const std::vector<std::string>& arguments);
int run_record(const std::vector<std::string>& arguments);
int run_replay(const std::vector<std::string>& arguments);
int run_report(const std::vector<std::string>& arguments);
int run_sweep(const std::vector<std::string>& arguments);
int run_synth(const std::vector<std::string>& arguments);
int run_train(const std::vector<std::string>& arguments);
int run_validate(const std::vector<std::string>& arguments);
int run_view(const std::vector<std::string>& arguments);

}  // namespace kvsieve::cli
