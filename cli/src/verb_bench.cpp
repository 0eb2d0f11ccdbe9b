#include <filesystem>

#include "bench_command.h"
#include "verb.h"

namespace kvsieve::cli {

int run_bench(const std::vector<std::string>& words) {
  const BenchProgram program{{std::filesystem::read_symlink("/proc/self/exe").string()},
                             [](const std::string& backend, const bench::CpuCaseOptions& options) {
                               return backend == "cuda" ? bench::cuda_cases()
                                                        : bench::cpu_cases(options);
                             }};
  return run_bench_command(program, words);
}

}  // namespace kvsieve::cli
