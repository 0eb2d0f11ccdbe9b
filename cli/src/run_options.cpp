#include "run_options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "kvsieve/traces/error.h"

namespace po = boost::program_options;

namespace kvsieve::cli {
namespace {

const std::vector<std::string> kEvictionOnly{"budget",       "granularity", "alpha-mode", "pool",
                                             "group-reduce", "losses",      "no-bound"};
const std::vector<std::string> kRetrievalOnly{
    "top",        "retrieval-budget", "mass",           "codewords",      "codebook",
    "iterations", "center-keys",      "codebook-dtype", "pq-subvectors",  "pq-bits",
    "channels",   "final-attention",  "placement",      "wrope-distance", "hot-buffer",
    "hot-policy", "schedule",         "selection",      "latency"};
const std::vector<std::string> kCodebookOnly{"codebook", "center-keys", "codebook-dtype"};
const std::vector<std::string> kTrainingOnly{"codewords", "iterations", "center-keys"};

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

kernels::Decimal parse_mass(const std::string& text) {
  const kernels::Decimal mass = kernels::Decimal::parse(text);
  if (mass.units == 0 || mass.units > mass.scale) {
    throw Error(ErrorKind::kUsage,
                fmt::format("--mass is {}, expected a share above 0 and up to 100%", text));
  }
  return mass;
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
  run.options.losses = sim::losses_from_name(arguments.get<std::string>("losses"));
  run.options.bound = !arguments.get<bool>("no-bound");
  return run;
}

/// Options that belong to scorers other than the method's.
void refuse_other_scorers(const Arguments& arguments, const sim::RetrievalOptions& options) {
  const bool pq = options.scorer == sim::RetrievalScorer::kPq;
  const bool clusters = options.scorer == sim::RetrievalScorer::kClusterCentroid;
  if (!sim::uses_codebook(options.scorer)) {
    refuse(arguments, kCodebookOnly, options.name);
  }
  if (!sim::uses_codebook(options.scorer) && !clusters) {
    refuse(arguments, {"codewords"}, options.name);
  }
  if (!sim::uses_codebook(options.scorer) && !clusters && !pq) {
    refuse(arguments, {"iterations"}, options.name);
  }
  if (!pq) {
    refuse(arguments, {"pq-subvectors", "pq-bits"}, options.name);
  }
  if (options.scorer != sim::RetrievalScorer::kChannelSubset) {
    refuse(arguments, {"channels"}, options.name);
  }
  if (!sim::ranks_by_attention(options.scorer)) {
    refuse(arguments, {"retrieval-budget", "mass", "alpha"}, options.name);
  }
}

/// The options that say how many tokens a query head retrieves.
void read_selection(const Arguments& arguments, sim::RetrievalOptions& options) {
  options.top = parsed(arguments, "top", sim::TopBudget::parse);
  options.budget = sim::retrieval_budget_from_name(arguments.get<std::string>("retrieval-budget"));
  if (options.budget == sim::RetrievalBudget::kAdaptive) {
    options.alpha = parsed(arguments, "alpha", parse_alpha);
  } else if (arguments.given("alpha")) {
    throw Error(ErrorKind::kUsage, "--alpha does not apply to uniform retrieval budgets",
                "--retrieval-budget adaptive has one");
  }
  if (arguments.get<std::string>("mass") != "none") {
    options.mass = parsed(arguments, "mass", parse_mass);
  }
}

sim::RetrievalOptions make_retrieval(const Arguments& arguments, const std::string& name,
                                     const traces::ModelShape& model) {
  sim::RetrievalOptions options = sim::retrieval_preset(name);
  refuse(arguments, kEvictionOnly, name);
  refuse_other_scorers(arguments, options);
  if (arguments.has("codebook")) {
    for (const std::string& option : kTrainingOnly) {
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
  read_selection(arguments, options);
  if (arguments.has("window")) {
    options.window = arguments.at_least(1, "window");
  }
  if (arguments.has("sinks")) {
    options.sinks = arguments.at_least(0, "sinks");
  }
  options.distance = arguments.at_least(0, "wrope-distance");
  options.final_attention =
      sim::final_attention_from_name(arguments.get<std::string>("final-attention"));
  options.placement = kernels::placement_from_name(arguments.get<std::string>("placement"));
  options.codewords = arguments.at_least(0, "codewords");
  options.max_iterations = arguments.at_least(1, "iterations");
  options.center_keys = arguments.get<bool>("center-keys");
  options.codebook_dtype =
      sim::codebook_dtype_from_name(arguments.get<std::string>("codebook-dtype"));
  options.pq_subvectors = arguments.at_least(1, "pq-subvectors");
  options.pq_bits = arguments.at_least(1, "pq-bits");
  options.channels = arguments.at_least(1, "channels");
  options.hot_buffer = arguments.at_least(0, "hot-buffer");
  options.hot_policy = sim::hot_policy_from_name(arguments.get<std::string>("hot-policy"));
  if (arguments.given("hot-policy") && options.hot_buffer == 0) {
    throw Error(ErrorKind::kUsage, "--hot-policy does not apply without a hot buffer",
                "--hot-buffer gives it slots");
  }
  if (options.placement == kernels::Placement::kFetchHotBuffer && options.hot_buffer == 0) {
    throw Error(ErrorKind::kUsage, "--placement fetch-hot-buffer needs a hot buffer",
                "--hot-buffer 4096 gives it 4,096 slots a KV head");
  }
  options.layers = chosen_layers(arguments.get<std::string>("layers"), model.layers);
  options.seed = arguments.get<std::uint64_t>("seed");
  if (arguments.has("codebook")) {
    options.codebook = std::make_shared<const sim::Codebook>(
        sim::Codebook::open(arguments.get<std::string>("codebook")));
  }
  return options;
}

/// How decode steps run, if they do: on the cpu backend only where latency is asked for.
std::optional<sim::DecodeOptions> make_decode(const Arguments& arguments,
                                              kernels::Backend backend) {
  sim::DecodeOptions decode;
  decode.backend = backend;
  decode.schedule = kernels::schedule_from_name(arguments.get<std::string>("schedule"));
  const auto selection = arguments.get<std::string>("selection");
  if (selection != "buckets" && selection != "scores") {
    throw Error(ErrorKind::kUsage, fmt::format("--selection '{}' is unknown", selection),
                "supported: buckets, scores");
  }
  decode.buckets = selection == "buckets";
  if (backend != kernels::Backend::kCpu || arguments.get<bool>("latency")) {
    return decode;
  }
  for (const char* option : {"schedule", "selection"}) {
    if (arguments.given(option) && arguments.get<bool>("no-cost")) {
      throw Error(ErrorKind::kUsage,
                  fmt::format("--{} does not apply without decode steps or their cost", option),
                  "--latency or another --backend runs them");
    }
  }
  return std::nullopt;
}

}  // namespace

void add_method_options(Arguments& arguments, bool method_required) {
  auto* method = po::value<std::string>();
  if (method_required) {
    method->required();
  }
  const auto text = [](const char* fallback) {
    return po::value<std::string>()->default_value(fallback);
  };
  arguments.options("Method")(
      "method,m", method,
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
      "layers")("alpha", text("0.2"),
                "uniform share of an adaptive budget, 0 to 1; of adaptive retrieval budgets too")(
      "alpha-mode", text("blend"), "blend, floor, floor-kvpress, paper-literal, official-rounding")(
      "granularity", text("kv"), "who gets a budget: kv heads or query heads")(
      "pool", po::value<std::string>(), "pooling of scores: max:7 (default), avg:K or none")(
      "group-reduce", text("mean"), "query heads of a group into one score: mean or max")(
      "losses", text("projected"),
      "projected: evicted mass and the L1 loss of the output; mass: evicted mass alone, faster")(
      "no-bound", po::bool_switch(), "leave the loss bounds out (they need a pass over V W_O)");
  arguments.options("Retrieval")(
      "top", text("3%"), "K a query head and step: a share of all tokens so far, or a count")(
      "retrieval-budget", text("uniform"),
      "uniform: K each; adaptive: the layer's total shared out among its query heads by the "
      "attention that the scores promise, step by step")(
      "mass", text("none"),
      "take the best tokens only until they, sinks and window hold this share of the expected "
      "attention, e.g. 95%; at most K")(
      "codebook", po::value<std::string>(),
      "codebook file of `kvsieve train`; without it one is trained on the trace's own prompt")(
      "codewords", po::value<std::int64_t>()->default_value(0),
      "C of a codebook trained here, or clusters of cluster-centroid; 0 chooses by the number of "
      "keys")("iterations", po::value<std::int64_t>()->default_value(300),
              "most k-means iterations of what is trained here")("center-keys", po::bool_switch(),
                                                                 "train on keys minus their mean")(
      "codebook-dtype", text("fp32"),
      "what codewords and Cholesky factor are rounded to: fp32, fp16 or bf16")(
      "pq-subvectors", po::value<std::int64_t>()->default_value(2),
      "m of pq, a divisor of the head dimension")(
      "pq-bits", po::value<std::int64_t>()->default_value(6), "of a code of pq, 1 to 12")(
      "channels", po::value<std::int64_t>()->default_value(16),
      "r of channel-subset, 1 to the head dimension")(
      "wrope-distance", po::value<std::int64_t>()->default_value(2048),
      "b, the constant distance of windowed RoPE")("final-attention", text("exact"),
                                                   "exact (true positions) or wrope")(
      "placement", text("fetch-dma"),
      "who attends to retrieved tokens, and whose PCIe bytes the summary shows: cpu-attention, "
      "fetch-dma (copies), fetch-kernel (reads over the bus) or fetch-hot-buffer")(
      "hot-buffer", po::value<std::int64_t>()->default_value(0),
      "slots a KV head on the GPU, in tokens; 0 is off")(
      "hot-policy", text("lru"), "which token leaves a full hot buffer: lru or lfu")(
      "latency", po::bool_switch(),
      "also run the decode steps on the backend and measure their stages; always with "
      "--backend simt (which measures no time) and cuda")(
      "schedule", text("serial"),
      "of the decode steps: serial, as published, or overlapped with two micro-batches")(
      "selection", text("buckets"),
      "how the decode steps find the top K: buckets of codes, or scores of all tokens");
}

RunPlan make_plan(const Arguments& arguments, const traces::ModelShape& model,
                  kernels::Backend backend) {
  const auto name = arguments.get<std::string>("method");
  const sim::EvictionMethod* preset = sim::find_eviction_preset(name);
  const bool retrieval = is_retrieval(name);
  const bool asks_retrieval = retrieval && (arguments.given("top") || arguments.given("placement"));
  if (preset != nullptr && !asks_retrieval) {
    EvictionRun run = make_eviction(arguments, *preset, model);
    run.options.backend = backend;
    return run;
  }
  if (retrieval) {
    return RetrievalRun{make_retrieval(arguments, name, model), make_decode(arguments, backend)};
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
