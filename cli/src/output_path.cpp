#include "output_path.h"

#include <fmt/format.h>

#include <filesystem>
#include <set>
#include <system_error>

#include "kvsieve/traces/error.h"
#include "kvsieve/traces/output_file.h"

namespace kvsieve::cli {

void check_output(const std::string& path, bool force, const std::vector<std::string>& inputs) {
  for (const std::string& input : inputs) {
    std::error_code missing;  // a file that does not exist is no input
    if (std::filesystem::equivalent(path, input, missing)) {
      throw Error(ErrorKind::kUsage, fmt::format("{}: is an input of this command", path),
                  "choose another --output");
    }
  }
  // Creates the temporary file and removes it again.
  const traces::OutputFile probe(path, force);
}

void check_outputs(const std::vector<std::string>& paths, bool force,
                   const std::vector<std::string>& inputs) {
  std::set<std::filesystem::path> outputs;
  for (const std::string& path : paths) {
    if (!path.empty() &&
        !outputs.insert(std::filesystem::absolute(path).lexically_normal()).second) {
      throw Error(ErrorKind::kUsage, fmt::format("{}: is two outputs of this command", path));
    }
  }
  for (const std::string& path : paths) {
    if (!path.empty()) {
      check_output(path, force, inputs);
    }
  }
}

}  // namespace kvsieve::cli
