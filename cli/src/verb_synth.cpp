#include <fmt/format.h>

#include <filesystem>
#include <iostream>

#include "arguments.h"
#include "kvsieve/traces/error.h"
#include "kvsieve/traces/synth.h"
#include "terminal.h"
#include "verb.h"

namespace po = boost::program_options;

namespace kvsieve::cli {

int run_synth(const std::vector<std::string>& words) {
  traces::SynthOptions options;
  std::string dtype = "F16";
  Arguments arguments("synth OUTPUT [options]",
                      "Writes a synthetic trace of any size: heads of chosen concentration whose "
                      "queries drift.\nIt is for scale tests; only captured traces say anything "
                      "about a model.",
                      {"kvsieve synth big.kvtrace --layers 8 --prompt-tokens 131072 --kv-heads 4",
                       "kvsieve synth flat.kvtrace --concentration-min 0 --concentration-max 0"});
  const auto number = [](std::int64_t& target) {
    return po::value(&target)->default_value(target);
  };
  arguments.options("Shape")("layers", number(options.layers), "L, all captured")(
      "q-heads", number(options.q_heads), "Hq")("kv-heads", number(options.kv_heads), "Hkv")(
      "head-dim", number(options.head_dim), "d")(
      "width", number(options.width), "D; 0 means Hq * d")("prompt-tokens",
                                                           number(options.prompt_tokens), "n")(
      "decode-tokens", number(options.decode_tokens), "decode steps")(
      "prompt-queries", number(options.prompt_queries), "captured prompt queries");
  arguments.options("Content")(
      "concentration-min",
      po::value(&options.concentration_min)->default_value(options.concentration_min),
      "deviation of the scores in the flattest head, in nats")(
      "concentration-max",
      po::value(&options.concentration_max)->default_value(options.concentration_max),
      "the same in the most concentrated head")(
      "drift",
      po::value(&options.drift)->default_value(options.drift, fmt::format("{}", options.drift)),
      "1 - cosine between the queries of consecutive steps")(
      "seed", po::value(&options.seed)->default_value(options.seed), "of all random numbers");
  arguments.options("File")("dtype", po::value(&dtype)->default_value(dtype), "F16, BF16 or F32")(
      "no-out", po::bool_switch(), "leave the attention output out: faster, cannot be checked")(
      "force", po::bool_switch(&options.overwrite), "replace an existing file");
  arguments.positional("output", 1);
  if (!arguments.parse(words)) {
    return 0;
  }
  if (!arguments.has("output")) {
    throw Error(ErrorKind::kUsage, "no output file given", "usage: kvsieve synth OUTPUT");
  }
  if (dtype != "F16" && dtype != "BF16" && dtype != "F32") {
    throw Error(ErrorKind::kUsage, fmt::format("--dtype '{}' is unknown", dtype),
                "supported: F16, BF16, F32");
  }
  options.dtype = traces::dtype_from_name(dtype);
  options.with_out = !arguments.get<bool>("no-out");
  const std::filesystem::path path = arguments.get<std::vector<std::string>>("output")[0];
  traces::synthesize(path, options);
  std::cout << fmt::format("{}  {}\n", path.string(),
                           human_bytes(static_cast<double>(std::filesystem::file_size(path))));
  return 0;
}

}  // namespace kvsieve::cli
