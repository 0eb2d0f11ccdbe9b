#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <iostream>

#include "kvsieve/traces/error.h"
#include "verb.h"

namespace kvsieve::cli {
namespace {

/// The recorder is a program of its own, beside this one or on the PATH, so that `kvsieve` itself
/// does not depend on llama.cpp.
std::string recorder_path() {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  if (!error) {
    for (const char* place : {"kvsieve-record", "../record/kvsieve-record"}) {
      const std::filesystem::path candidate = self.parent_path() / place;
      if (std::filesystem::exists(candidate)) {
        return candidate.string();
      }
    }
  }
  return "kvsieve-record";
}

/// What `record` would do, for builds without the recorder.
void print_help() {
  std::cout << "Usage: kvsieve record MODEL.gguf --prompt FILE --output TRACE [options]\n\n"
               "Runs a GGUF model with llama.cpp on a prompt and writes a trace.\n"
               "This build has no recorder: `./dev recorder` gets llama.cpp and builds it.\n"
               "docs/recording.md tells more.\n\n"
               "Examples:\n"
               "  kvsieve record model.gguf --prompt prompt.txt --output my.kvtrace\n";
}

}  // namespace

int run_record(const std::vector<std::string>& words) {
  std::string program = recorder_path();
  std::vector<std::string> copies = words;
  std::vector<char*> arguments{program.data()};
  for (std::string& word : copies) {
    arguments.push_back(word.data());
  }
  arguments.push_back(nullptr);
  ::execvp(program.c_str(), arguments.data());
  if (errno == ENOENT) {
    if (std::any_of(words.begin(), words.end(),
                    [](const std::string& word) { return word == "--help" || word == "-h"; })) {
      print_help();
      return 0;
    }
    throw Error(ErrorKind::kMissingCapability, "the recorder is not part of this build",
                "`./dev recorder` gets llama.cpp and builds it; docs/recording.md tells more");
  }
  throw Error(ErrorKind::kInternal,
              fmt::format("{}: cannot start it ({})", program, std::strerror(errno)));
}

}  // namespace kvsieve::cli
