// The command line: finds the verb, runs it, and turns errors into one line and an exit code.

#include <fmt/format.h>

#include <exception>
#include <iostream>
#include <new>

#include "arguments.h"
#include "kvsieve/sim/version.h"
#include "kvsieve/traces/error.h"
#include "terminal.h"
#include "verb.h"

namespace kvsieve::cli {

const std::vector<Verb>& verbs() {
  static const std::vector<Verb> all{
      {"run", "replay one method on a trace: budgets, losses, recall, bytes", run_replay},
      {"cost", "model a method on hardware: time, throughput, memory, transfers", run_cost},
      {"sweep", "what-if over axes of methods, budgets, hardware, contexts, batches", run_sweep},
      {"train", "calibrate an A2ATS codebook from a trace", run_train},
      {"view", "open files in the viewer, or write its plots into a folder", run_view},
      {"report", "Markdown or one-file HTML of one or several runs", run_report},
      {"compare", "two benchmarks, runs or stores: what got worse, for people and CI", run_compare},
      {"validate", "how far the cost model is off measured rows", run_validate},
      {"calibrate", "fit a hardware profile to measured rows of one engine", run_calibrate},
      {"bench", "time the kernels, the replay and the cost model on this machine", run_bench},
      {"profile", "what a GPU did in a run, measured, and its link", run_profile},
      {"info", "what a trace, codebook or run holds", run_info},
      {"check", "whether a trace is sound and reproduces its captured output", run_check},
      {"synth", "write a synthetic trace for scale tests", run_synth},
      {"record", "run a GGUF model on a prompt and write a trace", run_record},
  };
  return all;
}

namespace {

void print_overview() {
  std::cout << "kvsieve " << sim::version()
            << ": what KV-cache eviction and retrieval keep, lose and move, from captured traces\n"
               "\nUsage: kvsieve VERB [arguments]\n\nExamples:\n"
               "  kvsieve run traces/samples/smollm2-needle.kvtrace --method ada-snapkv "
               "--budget 20%\n"
               "  kvsieve run TRACE --method a2ats --top 3% --format json\n"
               "\nVerbs:\n";
  for (const Verb& verb : verbs()) {
    std::cout << fmt::format("  {:<9} {}\n", verb.name, verb.summary);
  }
  std::cout << "\n`kvsieve VERB --help` explains a verb. Exit codes: 0 ok, 1 a check failed, "
               "2 usage,\n3 bad input file, 4 missing capability, 5 internal, 130 interrupted.\n";
}

int dispatch(std::vector<std::string> words) {
  if (!words.empty() && words[0] == "help") {
    std::erase(words, "help");
    words.emplace_back("--help");
  }
  if (words.empty() || words[0] == "--help" || words[0] == "-h") {
    print_overview();
    return words.empty() ? static_cast<int>(ErrorKind::kUsage) : 0;
  }
  if (words[0] == "--version") {
    std::cout << "kvsieve " << sim::version() << "\n";
    return 0;
  }
  std::vector<std::string> names;
  for (const Verb& verb : verbs()) {
    if (verb.name == words[0]) {
      return verb.run({words.begin() + 1, words.end()});
    }
    names.emplace_back(verb.name);
  }
  names.insert(names.end(), {"help", "--help", "--version"});
  const std::string near = nearest(words[0], names);
  throw Error(ErrorKind::kUsage, fmt::format("unknown verb '{}'", words[0]),
              near.empty() ? "`kvsieve --help` lists the verbs" : "did you mean " + near + "?");
}

}  // namespace
}  // namespace kvsieve::cli

int main(int argc, char** argv) {
  using kvsieve::ErrorKind;
  using namespace kvsieve::cli;
  catch_interrupts();
  std::ios::sync_with_stdio(false);
  try {
    const int code = dispatch({argv + 1, argv + argc});
    std::cout.flush();
    if (!std::cout) {
      return report_error("writing to standard output failed", "", ErrorKind::kBadInput);
    }
    return code;
  } catch (const Interrupted&) {
    std::cerr << "interrupted; nothing was written\n";
    return kInterruptedCode;
  } catch (const kvsieve::Error& error) {
    return report_error(error.what(), error.hint(), error.kind());
  } catch (const std::bad_alloc&) {
    return report_error("out of memory", "", ErrorKind::kInternal);
  } catch (const std::exception& error) {
    return report_error(error.what(), "this is a defect of kvsieve", ErrorKind::kInternal);
  }
}
