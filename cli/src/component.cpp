#include "component.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "kvsieve/traces/error.h"

namespace kvsieve::cli {
namespace {

std::string path_of(const std::string& program, const std::string& folder) {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  if (!error) {
    for (const std::string& place : {program, fmt::format("../{}/{}", folder, program)}) {
      const std::filesystem::path candidate = self.parent_path() / place;
      if (std::filesystem::exists(candidate)) {
        return candidate.string();
      }
    }
  }
  return program;
}

}  // namespace

void start_component(const std::string& program, const std::string& folder,
                     const std::vector<std::string>& words) {
  std::string path = path_of(program, folder);
  std::vector<std::string> copies = words;
  std::vector<char*> arguments{path.data()};
  for (std::string& word : copies) {
    arguments.push_back(word.data());
  }
  arguments.push_back(nullptr);
  ::execvp(path.c_str(), arguments.data());
  if (errno != ENOENT) {
    throw Error(ErrorKind::kInternal,
                fmt::format("{}: cannot start it ({})", path, std::strerror(errno)));
  }
}

}  // namespace kvsieve::cli
