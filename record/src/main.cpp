// kvsieve-record: the command line.

#include <fmt/format.h>
#include <sys/resource.h>

#include <boost/program_options.hpp>
#include <charconv>
#include <cstdio>
#include <exception>
#include <iostream>
#include <optional>
#include <string>

#include "interrupt.h"
#include "kvsieve/traces/error.h"
#include "llama_session.h"
#include "recorder.h"

namespace {

namespace po = boost::program_options;
using kvsieve::Error;
using kvsieve::ErrorKind;
using kvsieve::record::RecordOptions;
using kvsieve::record::RecordSummary;

constexpr int kExitInterrupted = 130;

constexpr const char* kHelpHead =
    R"(Usage: kvsieve-record MODEL.gguf --prompt FILE --output TRACE [options]

Runs a language model over a prompt with llama.cpp and writes a trace of its attention: keys,
values, queries, attention outputs and output projections.

Examples:
  kvsieve-record model.gguf --prompt prompt.txt --output prompt.kvtrace
  kvsieve-record model.gguf --prompt story.txt --output story.kvtrace --needle "the code is 4711"
  kvsieve-record model.gguf --prompt train.txt --output train.kvtrace \
    --prompt-queries all --layers 0,8-11

Architectures: llama, gemma3, qwen2, qwen3.
Decoding takes the most likely token and goes on past end-of-generation tokens, so that exactly as
many steps are recorded as asked for.

)";

constexpr const char* kHelpTail =
    R"(
Exit codes: 0 ok, 2 usage, 3 bad input file, 4 not supported, 5 internal, 130 interrupted.
)";

struct CommandLine {
  RecordOptions options;
  bool help = false;
  bool version = false;
};

po::options_description describe_options() {
  po::options_description description("Options", 100);
  description.add_options()                                                            //
      ("prompt", po::value<std::string>()->value_name("FILE"),                         //
       "text to run the model on; one newline at its end is dropped")                  //
      ("output", po::value<std::string>()->value_name("TRACE"), "trace to write")      //
      ("decode", po::value<std::string>()->value_name("N")->default_value("64"),       //
       "tokens to generate and record after the prompt")                               //
      ("prompt-queries",                                                               //
       po::value<std::string>()->value_name("N|all")->default_value("128"),            //
       "queries of the prompt to record, the last ones; codebook training wants all")  //
      ("layers", po::value<std::string>()->value_name("LIST")->default_value("all"),   //
       "layers to record, for example 0,4,8-11")                                       //
      ("dtype", po::value<std::string>()->value_name("F16|BF16|F32")->default_value("F16"),
       "number format of the recorded tensors")                                     //
      ("needle", po::value<std::string>()->value_name("TEXT"),                      //
       "a stretch of the prompt whose tokens are marked in the trace")              //
      ("chat", "wrap the prompt in the model's chat template as one user message")  //
      ("context", po::value<std::string>()->value_name("N"),                        //
       "tokens that the KV cache holds (default: prompt and decode steps)")         //
      ("threads", po::value<std::string>()->value_name("N"),                        //
       "threads to compute with (default: all cores)")                              //
      ("note", po::value<std::string>()->value_name("TEXT"),                        //
       "free text to keep in the trace")                                            //
      ("force", "replace an existing trace")                                        //
      ("help,h", "print this help")                                                 //
      ("version", "print the version");
  return description;
}

std::int64_t parse_count(const std::string& option, const std::string& text, std::int64_t lowest) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < lowest ||
      value > INT32_MAX) {
    throw Error(ErrorKind::kUsage,
                fmt::format("--{}: '{}' is no number from {} on", option, text, lowest));
  }
  return value;
}

kvsieve::traces::DType parse_dtype(const std::string& text) {
  using kvsieve::traces::DType;
  for (const DType dtype : {DType::kF16, DType::kBF16, DType::kF32}) {
    if (text == kvsieve::traces::name_of(dtype)) {
      return dtype;
    }
  }
  throw Error(ErrorKind::kUsage,
              fmt::format("--dtype: '{}' is not supported; supported: F16, BF16, F32", text));
}

RecordOptions to_options(const po::variables_map& values) {
  const auto text = [&](const char* name) {
    return values.count(name) != 0 ? values[name].as<std::string>() : std::string();
  };
  const auto required = [&](const char* name, const char* shown) {
    if (text(name).empty()) {
      throw Error(ErrorKind::kUsage, fmt::format("{} is missing", shown),
                  "kvsieve-record --help shows examples");
    }
    return text(name);
  };
  const auto count = [&](const char* name, std::int64_t lowest, std::int64_t fallback) {
    return values.count(name) != 0 ? parse_count(name, text(name), lowest) : fallback;
  };
  RecordOptions options;
  options.model = required("model", "MODEL.gguf");
  options.prompt = required("prompt", "--prompt");
  options.output = required("output", "--output");
  options.decode = count("decode", 0, options.decode);
  if (text("prompt-queries") == "all") {
    options.prompt_queries.reset();
  } else {
    options.prompt_queries = count("prompt-queries", options.decode == 0 ? 1 : 0, 128);
  }
  options.layers = text("layers");
  options.dtype = parse_dtype(text("dtype"));
  options.needle = text("needle");
  options.context = count("context", 1, 0);
  options.threads = static_cast<int>(count("threads", 1, 0));
  options.note = text("note");
  options.chat = values.count("chat") != 0;
  options.force = values.count("force") != 0;
  return options;
}

CommandLine parse_command_line(int argc, char** argv) {
  po::options_description all = describe_options();
  all.add_options()("model", po::value<std::string>());
  po::positional_options_description positional;
  positional.add("model", 1);
  po::variables_map values;
  try {
    // Abbreviated options would change their meaning when one is added.
    const int style =
        po::command_line_style::default_style & ~po::command_line_style::allow_guessing;
    po::store(
        po::command_line_parser(argc, argv).options(all).positional(positional).style(style).run(),
        values);
    po::notify(values);
  } catch (const po::error& error) {
    throw Error(ErrorKind::kUsage, error.what(), "kvsieve-record --help lists the options");
  }
  CommandLine command;
  command.help = values.count("help") != 0;
  command.version = values.count("version") != 0;
  if (!command.help && !command.version) {
    command.options = to_options(values);
  }
  return command;
}

double per_second(std::int64_t count, double seconds) {
  return seconds > 0.0 ? static_cast<double>(count) / seconds : 0.0;
}

void print_summary(const RecordOptions& options, const RecordSummary& summary) {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  if (summary.decode_tokens > 0) {
    fmt::print(stderr, "decoded: {:?}\n", summary.decoded_text);
  }
  fmt::print(stderr,
             "{}: {:.1f} MB, {} prompt tokens at {:.0f} tok/s, {} decode steps at {:.0f} tok/s, "
             "peak memory {:.0f} MB\n",
             options.output.string(), static_cast<double>(summary.file_bytes) / 1e6,
             summary.prompt_tokens, per_second(summary.prompt_tokens, summary.prompt_seconds),
             summary.decode_tokens, per_second(summary.decode_tokens, summary.decode_seconds),
             static_cast<double>(usage.ru_maxrss) * 1024.0 / 1e6);
}

int run(int argc, char** argv) {
  const CommandLine command = parse_command_line(argc, argv);
  if (command.help) {
    std::cout << kHelpHead << describe_options() << kHelpTail;
    return 0;
  }
  if (command.version) {
    fmt::print("kvsieve-record {} ({})\n", KVSIEVE_VERSION, kvsieve::record::llama_version_text());
    return 0;
  }
  kvsieve::record::install_interrupt_handler();
  kvsieve::record::silence_llama_log();
  print_summary(command.options, kvsieve::record::record(command.options));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const kvsieve::record::Interrupted&) {
    fmt::print(stderr, "kvsieve-record: interrupted, nothing was written\n");
    return kExitInterrupted;
  } catch (const Error& error) {
    fmt::print(stderr, "kvsieve-record: {}\n", error.what());
    if (!error.hint().empty()) {
      fmt::print(stderr, "hint: {}\n", error.hint());
    }
    return static_cast<int>(error.kind());
  } catch (const std::exception& error) {
    fmt::print(stderr, "kvsieve-record: {}\n", error.what());
    return static_cast<int>(ErrorKind::kInternal);
  }
}
