// Writes a sample recording for the tests of the command line:
//   kvsieve_sample_recording TRACE OUTPUT CUPTI_VERSION PLACEMENT SCHEDULE [OPTION WORD]...

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <string>

#include "kvsieve/traces/trace.h"
#include "profile/sample_recording.h"

int main(int argc, char** argv) {
  using namespace kvsieve;
  if (argc < 6) {
    std::cerr << "kvsieve_sample_recording TRACE OUTPUT CUPTI_VERSION PLACEMENT SCHEDULE ...\n";
    return 2;
  }
  try {
    const traces::Trace trace = traces::Trace::open(argv[1]);
    profile::tests::SampleRun run;
    run.cupti_version = static_cast<std::uint32_t>(std::strtoul(argv[3], nullptr, 10));
    run.layers = trace.header().captured_layers;
    run.shape = {static_cast<std::int64_t>(run.layers.size()),
                 kernels::placement_from_name(argv[4]), kernels::schedule_from_name(argv[5])};
    run.steps = static_cast<std::int32_t>(trace.header().decode_tokens);
    run.trace_name = trace.path().filename().string();
    run.trace_hash = trace.hash();
    run.words = {"--method", "a2ats", "--placement", argv[4], "--schedule", argv[5]};
    run.words.insert(run.words.end(), argv + 6, argv + argc);
    profile::write_recording(argv[2], profile::tests::sample_recording(run), true);
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
