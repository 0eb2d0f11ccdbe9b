#include "run_options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "kvsieve/traces/error.h"

namespace po = boost::program_options;

namespace kvsieve::cli {
namespace {

const std::vector<std::string> kEvictionOnly{"budget", "alpha",        "granularity", "alpha-mode",
                                             "pool",   "group-reduce", "no-bound"};
const std::vector<std::string> kRetrievalOnly{
    "top",       "codewords",  "codebook",       "final-attention",
    "placement", "hot-buffer", "wrope-distance", "iterations"};
const std::vector<std::string> kCodebookOnly{"codewords", "codebook", "iterations"};

void refuse(const Arguments& arguments, const std::vector<std::string>& options,
            const std::string& method) {
  for (const std::string& option : options) {
    if (arguments.has(option) && arguments.given(option)) {
      throw Error(ErrorKind::kUsage,
                  fmt::format("--{} does not apply to the method {}", option, method),
                  "`kvsieve run --help` says which options belong to which family");
    }
  }
}

std::vector<std::string> eviction_names() {
  std::vector<std::string> names;
  for (const sim::EvictionMethod& preset : sim::eviction_presets()) {
    names.push_back(preset.name);
  }
  return names;
}

std::vector<std::string> retrieval_names() {
  std::vector<std::string> names;
  for (const sim::RetrievalOptions& preset : sim::retrieval_presets()) {
    names.push_back(preset.name);
  }
  return names;
}

bool is_retrieval(const std::string& name) {
  const std::vector<std::string> names = retrieval_names();
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// What `parse` makes of an option's text; every error names the option.
template <class Parse>
auto parsed(const Arguments& arguments, const std::string& option, const Parse& parse) {
  try {
    return parse(arguments.get<std::string>(option));
  } catch (const Error& error) {
    const std::string what = error.what();
    if (what.find("--" + option) != std::string::npos) {
      throw;
    }
    throw Error(error.kind(), fmt::format("--{}: {}", option, what), error.hint());
  }
}

kernels::Decimal parse_alpha(const std::string& text) {
  const kernels::Decimal alpha = kernels::Decimal::parse(text);
  if (alpha.units > alpha.scale) {
    throw Error(ErrorKind::kUsage, fmt::format("--alpha is {}, expected 0 to 1", text));
  }
  return alpha;
}

EvictionRun make_eviction(const Arguments& arguments, const sim::EvictionMethod& preset,
                          const traces::ModelShape& model) {
  EvictionRun run;
  sim::EvictionMethod& method = run.plan.method;
  method = preset;
  refuse(arguments, kRetrievalOnly, method.name);
  for (const char* option : {"alpha", "alpha-mode"}) {
    if (arguments.given(option) && !method.adaptive) {
      throw Error(
          ErrorKind::kUsage,
          fmt::format("--{} does not apply to {}, which is not adaptive", option, method.name),
          "the adaptive methods are ada-snapkv, ada-pyramid and ada-criticalkv");
    }
  }
  method.alpha = parsed(arguments, "alpha", parse_alpha);
  method.alpha_mode = sim::alpha_mode_from_name(arguments.get<std::string>("alpha-mode"));
  method.granularity = sim::granularity_from_name(arguments.get<std::string>("granularity"));
  method.group_reduce = sim::group_reduce_from_name(arguments.get<std::string>("group-reduce"));
  if (arguments.has("pool")) {
    method.pool = sim::pooling_from_name(arguments.get<std::string>("pool"));
  }
  if (arguments.has("window")) {
    method.window = arguments.at_least(1, "window");
  }
  if (arguments.has("sinks")) {
    method.sinks = arguments.at_least(0, "sinks");
  }
  method.seed = arguments.get<std::uint64_t>("seed");
  run.plan.budget = parsed(arguments, "budget", sim::Budget::parse);
  run.options.layers = chosen_layers(arguments.get<std::string>("layers"), model.layers);
  run.options.bound = !arguments.get<bool>("no-bound");
  return run;
}

sim::RetrievalOptions make_retrieval(const Arguments& arguments, const std::string& name,
                                     const traces::ModelShape& model) {
  sim::RetrievalOptions options = sim::retrieval_preset(name);
  refuse(arguments, kEvictionOnly, name);
  if (options.scorer != sim::RetrievalScorer::kVqQueryAware &&
      options.scorer != sim::RetrievalScorer::kVqPlain) {
    refuse(arguments, kCodebookOnly, name);
  }
  if (arguments.has("codebook")) {
    for (const char* option : {"codewords", "iterations"}) {
      if (arguments.given(option)) {
        throw Error(ErrorKind::kUsage,
                    fmt::format("--{} does not apply to a given codebook", option),
                    "leave out --codebook to train one");
      }
    }
    if (arguments.get<std::string>("codebook").empty()) {
      throw Error(ErrorKind::kUsage, "--codebook is an empty name");
    }
  }
  options.top = parsed(arguments, "top", sim::TopBudget::parse);
  if (arguments.has("window")) {
    options.window = arguments.at_least(1, "window");
  }
  if (arguments.has("sinks")) {
    options.sinks = arguments.at_least(0, "sinks");
  }
  options.distance = arguments.at_least(0, "wrope-distance");
  options.final_attention =
      sim::final_attention_from_name(arguments.get<std::string>("final-attention"));
  options.placement = sim::placement_from_name(arguments.get<std::string>("placement"));
  options.codewords = arguments.at_least(0, "codewords");
  options.max_iterations = arguments.at_least(1, "iterations");
  options.hot_buffer = arguments.at_least(0, "hot-buffer");
  options.layers = chosen_layers(arguments.get<std::string>("layers"), model.layers);
  options.seed = arguments.get<std::uint64_t>("seed");
  if (arguments.has("codebook")) {
    options.codebook = std::make_shared<const sim::Codebook>(
        sim::Codebook::open(arguments.get<std::string>("codebook")));
  }
  return options;
}

}  // namespace

void add_method_options(Arguments& arguments) {
  const auto text = [](const char* fallback) {
    return po::value<std::string>()->default_value(fallback);
  };
  arguments.options("Method")(
      "method,m", po::value<std::string>()->required(),
      fmt::format("eviction: {}; retrieval: {}. streaming-llm is both: retrieval if --top or "
                  "--placement is given",
                  fmt::join(eviction_names(), ", "), fmt::join(retrieval_names(), ", "))
          .c_str())("layers", text("all"), "model layers, e.g. 0,4,8-11, or all captured ones")(
      "window", po::value<std::int64_t>(),
      "w, newest tokens that are always kept (eviction 32, retrieval 64)")(
      "sinks", po::value<std::int64_t>(),
      "first tokens that are always kept (eviction 0, streaming-llm 4, retrieval 8)")(
      "seed", po::value<std::uint64_t>()->default_value(0), "of random scores and of training");
  arguments.options("Eviction")(
      "budget,b", text("20%"),
      "tokens kept a head, window included: 512, 20% of the prompt, or 64MiB for K and V of all "
      "layers")("alpha", text("0.2"), "uniform share of an adaptive budget, 0 to 1")(
      "alpha-mode", text("blend"), "blend, floor, floor-kvpress, paper-literal, official-rounding")(
      "granularity", text("kv"), "who gets a budget: kv heads or query heads")(
      "pool", po::value<std::string>(), "pooling of scores: max:7 (default), avg:K or none")(
      "group-reduce", text("mean"), "query heads of a group into one score: mean or max")(
      "no-bound", po::bool_switch(), "leave the loss bounds out (they need a pass over V W_O)");
  arguments.options("Retrieval")(
      "top", text("3%"), "K a query head and step: a share of all tokens so far, or a count")(
      "codebook", po::value<std::string>(),
      "codebook file of `kvsieve train`; without it one is trained on the trace's own prompt")(
      "codewords", po::value<std::int64_t>()->default_value(0),
      "C of a codebook trained here; 0 chooses by the number of keys")(
      "iterations", po::value<std::int64_t>()->default_value(300),
      "most k-means iterations of a codebook trained here")(
      "wrope-distance", po::value<std::int64_t>()->default_value(2048),
      "b, the constant distance of windowed RoPE")("final-attention", text("exact"),
                                                   "exact (true positions) or wrope")(
      "placement", text("fetch"), "whose PCIe bytes the summary shows: fetch or cpu-attention")(
      "hot-buffer", po::value<std::int64_t>()->default_value(0),
      "LRU slots a KV head on the GPU, in tokens; 0 is off");
}

RunPlan make_plan(const Arguments& arguments, const traces::ModelShape& model) {
  const auto name = arguments.get<std::string>("method");
  const sim::EvictionMethod* preset = sim::find_eviction_preset(name);
  const bool retrieval = is_retrieval(name);
  const bool asks_retrieval = retrieval && (arguments.given("top") || arguments.given("placement"));
  if (preset != nullptr && !asks_retrieval) {
    return make_eviction(arguments, *preset, model);
  }
  if (retrieval) {
    return make_retrieval(arguments, name, model);
  }
  std::vector<std::string> names = eviction_names();
  for (const std::string& other : retrieval_names()) {
    names.push_back(other);
  }
  const std::string near = nearest(name, names);
  throw Error(
      ErrorKind::kUsage, fmt::format("unknown method '{}'", name),
      near.empty() ? "`kvsieve run --help` lists the methods" : "did you mean " + near + "?");
}

}  // namespace kvsieve::cli
