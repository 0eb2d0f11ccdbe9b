#include <algorithm>
#include <iostream>

#include "component.h"
#include "kvsieve/traces/error.h"
#include "verb.h"

namespace kvsieve::cli {
namespace {

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
  start_component("kvsieve-record", "record", words);
  if (std::any_of(words.begin(), words.end(),
                  [](const std::string& word) { return word == "--help" || word == "-h"; })) {
    print_help();
    return 0;
  }
  throw Error(ErrorKind::kMissingCapability, "the recorder is not part of this build",
              "`./dev recorder` gets llama.cpp and builds it; docs/recording.md tells more");
}

}  // namespace kvsieve::cli
