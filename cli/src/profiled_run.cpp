#include "profiled_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <variant>

#include "cost_options.h"
#include "kvsieve/sim/decode_replay.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::cli {
namespace {

/// The method's options alone. @param trace whether a trace is among the words
Arguments method_table() {
  Arguments table("profile", "", {});
  add_method_options(table, false);
  return table;
}

/// The option that a word begins, and whether its value is in the word, too. Empty for other words.
struct OptionWord {
  std::string name;
  bool has_value = false;
};

OptionWord option_of(const std::string& word) {
  if (word.starts_with("--")) {
    const std::size_t equals = word.find('=');
    return {word.substr(2, equals == std::string::npos ? equals : equals - 2),
            equals != std::string::npos};
  }
  for (const auto& [letter, name] : {std::pair{"-m", "method"}, std::pair{"-b", "budget"}}) {
    if (word.starts_with(letter)) {
      return {name, word.size() > 2};
    }
  }
  return {};
}

std::string kv_dtype_of(traces::DType dtype) {
  switch (dtype) {
    case traces::DType::kBF16:
      return "bfloat16";
    case traces::DType::kF16:
      return "float16";
    case traces::DType::kF32:
    case traces::DType::kI32:
      break;
  }
  return "float32";
}

}  // namespace

std::vector<std::string> method_words(const std::vector<std::string>& words) {
  const Arguments table = method_table();
  const std::vector<std::string> names = table.names();
  std::vector<std::string> taken;
  for (std::size_t w = 0; w < words.size(); ++w) {
    const OptionWord option = option_of(words[w]);
    if (std::find(names.begin(), names.end(), option.name) == names.end()) {
      continue;
    }
    taken.push_back(words[w]);
    if (!option.has_value && !table.is_switch(option.name) && w + 1 < words.size()) {
      taken.push_back(words[++w]);
    }
  }
  return taken;
}

Arguments recorded_arguments(const profile::RecordedRun& run, const std::string& file) {
  Arguments table = method_table();
  const bool help = std::any_of(run.words.begin(), run.words.end(), [](const std::string& word) {
    return word == "--help" || word == "-h";
  });
  try {
    if (help || !table.parse(run.words) || !table.has("method")) {
      throw Error(ErrorKind::kBadInput, "it does not say which method ran");
    }
  } catch (const Error& error) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("{}: the recorded options: {}", file, error.what()),
                "a recording of `kvsieve profile TRACE --method NAME` has them");
  }
  return table;
}

std::optional<sim::RetrievalResult> run_on_gpu(const traces::Trace& trace, const RunPlan& plan,
                                               const sim::Progress& progress) {
  if (const auto* eviction = std::get_if<EvictionRun>(&plan)) {
    static_cast<void>(
        sim::replay_eviction(trace, {&eviction->plan, 1}, eviction->options, progress));
    return std::nullopt;
  }
  const auto& retrieval = std::get<RetrievalRun>(plan);
  return sim::replay_decode(trace, retrieval.options, *retrieval.decode, progress);
}

std::vector<std::int64_t> profiled_layers(const sim::RetrievalResult& result) {
  std::vector<std::int64_t> layers;
  for (const sim::LayerRetrieval& layer : result.layers) {
    if (layer.touched) {
      layers.push_back(layer.layer);
    }
  }
  return layers;
}

sim::Timeline modelled_steps(const Arguments& arguments, const traces::Trace& trace,
                             const sim::RetrievalResult& result,
                             const sim::HardwareProfile& hardware) {
  sim::CostRequest request;
  request.hardware = hardware;
  request.model = sim::dimensions_of(trace.header().model);
  request.point.method = run_cost_method(arguments, result);
  request.point.context = std::max<std::int64_t>(trace.header().prompt_tokens, 1);
  request.point.batch =
      kernels::DecodeGraphShape{1, request.point.method.placement, request.point.method.schedule}
          .micro_batches();
  request.point.capacity.element_bytes =
      static_cast<std::int64_t>(traces::size_of(trace.header().dtype));
  request.loads = sim::captured_loads(result, trace.header());
  request.steps = std::max<std::int64_t>(request.loads.steps(), 1);
  return sim::cost_timeline(request);
}

profile::AttentionRowShape row_shape(const traces::Trace& trace,
                                     const sim::RetrievalOptions& options, const std::string& gpu,
                                     const std::string& version) {
  const traces::ModelShape& model = trace.header().model;
  return {gpu,
          version,
          model.q_heads,
          model.kv_heads,
          model.head_dim,
          kv_dtype_of(trace.header().dtype),
          trace.header().prompt_tokens,
          options.sinks,
          options.window};
}

}  // namespace kvsieve::cli
