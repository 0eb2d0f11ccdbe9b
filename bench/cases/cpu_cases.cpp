#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <regex>
#include <system_error>

#include "cases/case_groups.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::bench {

std::string_view case_name_of(traces::DType dtype) {
  return dtype == traces::DType::kBF16 ? "bf16" : dtype == traces::DType::kF16 ? "f16" : "f32";
}

std::vector<BenchCase> cpu_cases(const CpuCaseOptions& options) {
  std::vector<BenchCase> all;
  const auto add = [&all](std::vector<BenchCase> cases) {
    std::move(cases.begin(), cases.end(), std::back_inserter(all));
  };
  add(adakv_cases(options.threads));
  add(cache_cases(options.threads));
  add(codebook_cases(options.threads));
  add(cost_cases());
  add(decode_cases(options.threads));
  add(replay_cases(options.threads, options.trace));
  add(retrieval_cases(options.threads));
  std::sort(all.begin(), all.end(),
            [](const BenchCase& a, const BenchCase& b) { return a.name < b.name; });
  return all;
}

std::string sample_trace() {
  constexpr const char* kName = "smollm2-needle.kvtrace";
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  const std::filesystem::path installed = self.parent_path() / "../share/kvsieve/samples" / kName;
  return !error && std::filesystem::exists(installed)
             ? installed.string()
             : std::string(KVSIEVE_SOURCE "/traces/samples/") + kName;
}

std::vector<BenchCase> matching_cases(std::vector<BenchCase> cases, const std::string& filter) {
  try {
    const std::regex pattern(filter);
    std::erase_if(cases,
                  [&](const BenchCase& item) { return !std::regex_search(item.name, pattern); });
  } catch (const std::regex_error& error) {
    throw Error(ErrorKind::kUsage,
                fmt::format("--filter '{}' is no regular expression: {}", filter, error.what()));
  }
  if (cases.empty()) {
    throw Error(ErrorKind::kUsage, fmt::format("--filter '{}' matches no case", filter),
                "`kvsieve bench --list` names them all");
  }
  return cases;
}

}  // namespace kvsieve::bench
