#include "cost_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "kvsieve/sim/measured_rows.h"
#include "kvsieve/traces/error.h"

namespace po = boost::program_options;

namespace kvsieve::cli {
namespace {

const std::vector<std::string> kEvictionOnly{"budget", "longest-over-mean"};
const std::vector<std::string> kRetrievalOnly{
    "top",      "sinks",        "window",       "placement", "fetch-path",
    "schedule", "codewords",    "packed-codes", "selection", "hot-buffer",
    "hit-rate", "union-factor", "run-tokens"};

bool same_text(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](unsigned char x, unsigned char y) {
    return std::tolower(x) == std::tolower(y);
  });
}

/// A calibration holds for the engine that it was fitted to.
void check_engine(const Arguments& arguments, const sim::HardwareProfile& profile) {
  const bool given = arguments.given("engine");
  const std::string engine = given ? arguments.get<std::string>("engine") : "";
  if (!profile.calibration) {
    if (given) {
      throw Error(
          ErrorKind::kUsage,
          fmt::format("--engine {}: {} is not calibrated for any engine", engine, profile.id),
          "`kvsieve calibrate` fits a profile to measured rows of an engine");
    }
    return;
  }
  const sim::CalibrationRecord& record = *profile.calibration;
  const std::string whole = record.engine + " " + record.engine_version;
  if (!given) {
    throw Error(
        ErrorKind::kUsage,
        fmt::format("{} was calibrated for {}, which its times hold for alone", profile.id, whole),
        fmt::format("say --engine '{}' to use it", record.engine));
  }
  if (!same_text(engine, record.engine) && !same_text(engine, whole)) {
    throw Error(ErrorKind::kUsage,
                fmt::format("--engine {}: {} was calibrated for {}", engine, profile.id, whole));
  }
}

double share(const Arguments& arguments, const std::string& name) {
  const auto value = arguments.get<double>(name);
  if (!(value > 0.0 && value <= 1.0)) {
    throw Error(ErrorKind::kUsage,
                fmt::format("--{} is {}, expected above 0 and up to 1", name, value));
  }
  return value;
}

void refuse(const Arguments& arguments, const std::vector<std::string>& options,
            const std::string& method) {
  for (const std::string& option : options) {
    if (arguments.given(option)) {
      throw Error(ErrorKind::kUsage,
                  fmt::format("--{} does not apply to the method {}", option, method),
                  "`kvsieve cost --help` says which options belong to which family");
    }
  }
}

double at_least(double least, const Arguments& arguments, const std::string& name) {
  const auto value = arguments.get<double>(name);
  if (!(value >= least) || value > 1e9) {
    throw Error(ErrorKind::kUsage,
                fmt::format("--{} is {}, expected {} or more", name, value, least));
  }
  return value;
}

std::string method_names() {
  std::string names;
  for (const sim::CostMethod& method : sim::cost_methods()) {
    names += (names.empty() ? "" : ", ") + method.name;
  }
  return names;
}

}  // namespace

void add_cost_method_options(Arguments& arguments) {
  const std::string names = method_names();
  arguments.options("Method")("method", po::value<std::string>()->default_value("full"),
                              names.c_str())(
      "model-shape", po::value<std::string>()->default_value("llama-3.1-8b"),
      "model: an id or a .json file");
  arguments.options("Eviction")("budget", po::value<std::string>()->default_value("20%"),
                                "tokens a KV head keeps: 20% of the context, or 512")(
      "longest-over-mean", po::value<double>(),
      "longest head / mean of its layer; 2 for adaptive methods, 1 otherwise");
  arguments.options("Retrieval")("top", po::value<std::string>(),
                                 "K of a query head: 3% of the context, or 512")(
      "sinks", po::value<std::int64_t>(), "first tokens, which stay on the GPU")(
      "window", po::value<std::int64_t>(), "newest tokens, which stay on the GPU")(
      "placement", po::value<std::string>(),
      "cpu-attention, fetch-dma, fetch-kernel or fetch-hot-buffer")(
      "fetch-path", po::value<std::string>(),
      "how fetched rows reach the GPU: dma, batched-dma, kernel, zero-copy or cpu-gather; the "
      "placement's own if not given")("schedule", po::value<std::string>(),
                                      "serial (as published) or overlapped (two micro-batches)")(
      "codewords", po::value<std::int64_t>(), "C of code methods")(
      "packed-codes", po::bool_switch(), "12 bits a code rather than 16")(
      "selection", po::value<std::string>()->default_value("buckets"),
      "buckets or scores: top K from code buckets or from the scores of all tokens")(
      "hot-buffer", po::value<std::int64_t>(),
      "tokens a KV head that the GPU keeps, of a sequence")("hit-rate", po::value<double>(),
                                                            "of the hot buffer; 0.6 if not given")(
      "union-factor", po::value<double>(), "|union| / K of a group; sqrt(G) if not given")(
      "run-tokens", po::value<double>(), "tokens of a contiguous run of the union; 1 if not given");
}

sim::CostMethod read_cost_method(const Arguments& arguments, const sim::ModelDimensions& model) {
  sim::CostMethod method = sim::cost_method(arguments.get<std::string>("method"));
  if (method.family != sim::CostFamily::kEviction) {
    refuse(arguments, kEvictionOnly, method.name);
  } else {
    method.budget = sim::Budget::parse(arguments.get<std::string>("budget"));
    if (method.budget.kind == sim::Budget::Kind::kBytes) {
      sim::CapacityOptions unpaged;
      unpaged.page_tokens = 1;
      method.budget.kind = sim::Budget::Kind::kTokens;
      method.budget.amount /= sim::kv_cache_bytes(model, 1, unpaged);
    }
    if (arguments.has("longest-over-mean")) {
      method.longest_over_mean = at_least(1.0, arguments, "longest-over-mean");
    }
  }
  if (method.family != sim::CostFamily::kRetrieval) {
    refuse(arguments, kRetrievalOnly, method.name);
    return method;
  }
  if (!method.index.codes) {
    refuse(arguments, {"codewords", "packed-codes", "selection"}, method.name);
  }
  if (arguments.has("top")) {
    method.top = sim::TopBudget::parse(arguments.get<std::string>("top"));
  }
  if (arguments.has("sinks")) {
    method.sinks = arguments.at_least(0, "sinks");
  }
  if (arguments.has("window")) {
    method.window = arguments.at_least(1, "window");
  }
  if (arguments.has("placement")) {
    method.placement = kernels::placement_from_name(arguments.get<std::string>("placement"));
  }
  if (arguments.has("fetch-path")) {
    if (method.placement == kernels::Placement::kCpuAttention) {
      throw Error(ErrorKind::kUsage, "--fetch-path does not apply to the placement cpu-attention",
                  "--placement fetch-dma, fetch-kernel or fetch-hot-buffer fetches rows");
    }
    method.fetch_path = sim::fetch_path_from_name(arguments.get<std::string>("fetch-path"));
  }
  if (arguments.has("schedule")) {
    method.schedule = kernels::schedule_from_name(arguments.get<std::string>("schedule"));
  }
  if (arguments.has("codewords")) {
    method.index.codewords = arguments.at_least(1, "codewords");
  }
  method.index.packed = arguments.get<bool>("packed-codes");
  const auto selection = arguments.get<std::string>("selection");
  if (selection != "buckets" && selection != "scores") {
    throw Error(ErrorKind::kUsage,
                fmt::format("--selection '{}' is unknown, supported: buckets, scores", selection));
  }
  method.index.buckets = selection == "buckets";
  if (arguments.has("hot-buffer")) {
    method.hot_buffer = arguments.at_least(0, "hot-buffer");
  }
  if (arguments.has("hit-rate")) {
    method.hit_rate = at_least(0.0, arguments, "hit-rate");
    if (method.hit_rate > 1.0) {
      throw Error(ErrorKind::kUsage,
                  fmt::format("--hit-rate is {}, expected 0 to 1", method.hit_rate));
    }
  }
  if (arguments.has("union-factor")) {
    method.union_factor = at_least(1.0, arguments, "union-factor");
  }
  if (arguments.has("run-tokens")) {
    method.run_tokens = at_least(1.0, arguments, "run-tokens");
  }
  return method;
}

std::int64_t read_context(std::string_view text) {
  const auto context = whole_number(text);
  if (!context || *context < 1) {
    throw Error(ErrorKind::kUsage,
                fmt::format("--context is '{}', expected a number of tokens, 1 or more", text));
  }
  return *context;
}

void read_batch(std::string_view text, sim::CostRequest& request) {
  request.largest_batch = text == "max";
  if (request.largest_batch) {
    return;
  }
  const auto batch = whole_number(text);
  if (!batch || *batch < 1 || *batch > sim::kMostSequences) {
    throw Error(ErrorKind::kUsage, fmt::format("--batch is '{}', expected 1 to {}, or max", text,
                                               sim::kMostSequences));
  }
  request.point.batch = *batch;
}

void add_hardware_options(Arguments& arguments, const std::string& context_default) {
  arguments.options("Where it runs (modelled)")(
      "hardware", po::value<std::string>()->default_value("a100-sxm-80"),
      "GPU profile: an id or alias, or a .json file")(
      "link", po::value<std::string>(),
      "host link instead of the profile's: an id or a .json file")(
      "cpu", po::value<std::string>(), "host CPU instead of the profile's: an id or a .json file")(
      "engine", po::value<std::string>(),
      "serving engine of a calibrated profile; must be the one that it was calibrated for")(
      "context", po::value<std::int64_t>(),
      fmt::format("tokens in the cache; {}", context_default).c_str())(
      "batch", po::value<std::string>()->default_value("1"),
      "sequences that decode side by side, or max: the most that fit")(
      "kv-dtype", po::value<std::string>()->default_value("bfloat16"),
      "of the cache: bfloat16, float16, fp8, float32")(
      "gpu-share", po::value<double>()->default_value(0.9, "0.9"), "of GPU memory that is used")(
      "host-share", po::value<double>()->default_value(0.9, "0.9"), "of host memory that is used");
}

sim::CostRequest hardware_request(const Arguments& arguments, sim::ModelDimensions model,
                                  std::int64_t context) {
  sim::CostRequest request;
  request.hardware = sim::load_hardware(arguments.get<std::string>("hardware"));
  check_engine(arguments, request.hardware);
  if (arguments.given("link")) {
    request.hardware.link = sim::load_link(arguments.get<std::string>("link"));
  }
  if (arguments.given("cpu")) {
    request.hardware.cpu = sim::load_cpu(arguments.get<std::string>("cpu"));
  }
  request.model = std::move(model);
  request.point.context = arguments.given("context") ? arguments.at_least(1, "context") : context;
  read_batch(arguments.get<std::string>("batch"), request);
  request.point.capacity.element_bytes =
      sim::element_bytes_of(arguments.get<std::string>("kv-dtype"));
  request.point.capacity.gpu_share = share(arguments, "gpu-share");
  request.point.capacity.host_share = share(arguments, "host-share");
  return request;
}

void add_run_cost_options(Arguments& arguments) {
  add_hardware_options(arguments, "the prompt's if not given, the trace's shares applied to it");
  arguments.options("Where it runs (modelled)")(
      "model-shape", po::value<std::string>(),
      "cost this model instead of the trace's: an id or a .json file")("no-cost", po::bool_switch(),
                                                                       "leave the cost out");
}

sim::CostRequest run_cost_request(const Arguments& arguments, const traces::TraceHeader& trace) {
  return hardware_request(arguments,
                          arguments.has("model-shape")
                              ? sim::load_model(arguments.get<std::string>("model-shape"))
                              : sim::dimensions_of(trace.model),
                          std::max<std::int64_t>(trace.prompt_tokens, 1));
}

sim::CostMethod run_cost_method(const Arguments& /*arguments*/, const sim::EvictionResult& result) {
  return sim::cost_method_of(result);
}

sim::CostMethod run_cost_method(const Arguments& arguments, const sim::RetrievalResult& result) {
  sim::CostMethod method = sim::cost_method_of(result);
  method.schedule = kernels::schedule_from_name(arguments.get<std::string>("schedule"));
  method.index.buckets = arguments.get<std::string>("selection") == "buckets";
  return method;
}

}  // namespace kvsieve::cli
