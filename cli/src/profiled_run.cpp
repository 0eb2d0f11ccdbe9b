#include "profiled_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "cost_options.h"
#include "kvsieve/kernels/stage_range.h"
#include "kvsieve/profile/gpu_decode.h"
#include "kvsieve/sim/decode_replay.h"
#include "kvsieve/sim/prompt_timeline.h"
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

ProfiledResult run_on_gpu(const traces::Trace& trace, const RunPlan& plan,
                          const sim::Progress& progress) {
  if (const auto* eviction = std::get_if<EvictionRun>(&plan)) {
    constexpr double kReplayShare = 0.8;
    const auto part = [&](double from, double to) {
      return [&progress, from, to](double share) { progress(from + (to - from) * share); };
    };
    sim::EvictionResult result = sim::replay_eviction(trace, {&eviction->plan, 1},
                                                      eviction->options, part(0.0, kReplayShare))
                                     .front();
    profile::run_gpu_decode(trace, result, part(kReplayShare, 1.0));
    return result;
  }
  const auto& retrieval = std::get<RetrievalRun>(plan);
  return sim::replay_decode(trace, retrieval.options, *retrieval.decode, progress);
}

ProfiledResult replay_on_cpu(const traces::Trace& trace, const RunPlan& plan,
                             const sim::Progress& progress) {
  if (const auto* eviction = std::get_if<EvictionRun>(&plan)) {
    sim::EvictionOptions options = eviction->options;
    options.backend = kernels::Backend::kCpu;
    options.losses = sim::Losses::kMass;
    options.bound = false;
    return sim::replay_eviction(trace, {&eviction->plan, 1}, options, progress).front();
  }
  return sim::replay_retrieval(trace, std::get<RetrievalRun>(plan).options, progress);
}

std::vector<std::int64_t> profiled_layers(const ProfiledResult& result) {
  std::vector<std::int64_t> layers;
  std::visit(
      [&](const auto& replayed) {
        for (const auto& layer : replayed.layers) {
          if (layer.touched) {
            layers.push_back(layer.layer);
          }
        }
      },
      result);
  return layers;
}

ModelledRun modelled_run(const Arguments& arguments, const traces::Trace& trace,
                         const ProfiledResult& result, const sim::HardwareProfile& hardware) {
  const traces::TraceHeader& header = trace.header();
  sim::CostRequest request;
  request.hardware = hardware;
  request.model = sim::dimensions_of(header.model);
  request.point.context = std::max<std::int64_t>(header.prompt_tokens, 1);
  request.point.capacity.element_bytes = static_cast<std::int64_t>(traces::size_of(header.dtype));
  std::visit(
      [&](const auto& replayed) {
        request.point.method = run_cost_method(arguments, replayed);
        request.loads = sim::captured_loads(replayed, header);
      },
      result);
  request.steps = std::max<std::int64_t>(request.loads.steps(), 1);
  const sim::CostMethod& method = request.point.method;
  ModelledRun run;
  if (const auto* eviction = std::get_if<sim::EvictionResult>(&result)) {
    run.prompt = sim::prompt_timeline(hardware, header, *eviction);
  } else {
    request.point.batch =
        kernels::DecodeGraphShape{1, method.placement, method.schedule}.micro_batches();
    run.prompt = sim::prompt_timeline(hardware, header, std::get<sim::RetrievalResult>(result),
                                      method.index.codewords, request.point.batch);
  }
  run.steps = sim::cost_timeline(request);
  return run;
}

profile::AttentionRowShape row_shape(const traces::Trace& trace, const ProfiledResult& result,
                                     const std::string& gpu, const std::string& version) {
  const traces::ModelShape& model = trace.header().model;
  profile::AttentionRowShape shape{gpu,
                                   version,
                                   model.q_heads,
                                   model.kv_heads,
                                   model.head_dim,
                                   kv_dtype_of(trace.header().dtype),
                                   {},
                                   {}};
  const std::int64_t prompt = trace.header().prompt_tokens;
  if (const auto* retrieval = std::get_if<sim::RetrievalResult>(&result)) {
    shape.stage = kernels::name_of(kernels::StepStage::kResidentAttention);
    shape.tokens = [prompt, sinks = retrieval->options.sinks, window = retrieval->options.window](
                       std::int32_t step, std::int32_t /*layer*/) {
      const std::int64_t seen = prompt + step + 1;
      const std::int64_t windowed = std::min(window, seen);
      return std::optional(windowed + std::min(sinks, seen - windowed));
    };
    return shape;
  }
  shape.stage = kernels::kAttentionStage;
  shape.tokens = [&eviction = std::get<sim::EvictionResult>(result), &model](
                     std::int32_t step, std::int32_t number) -> std::optional<std::int64_t> {
    const auto layer =
        std::find_if(eviction.layers.begin(), eviction.layers.end(),
                     [&](const sim::LayerEviction& one) { return one.layer == number; });
    // A row's cache is one of KV heads, all of one length.
    if (layer == eviction.layers.end() ||
        static_cast<std::int64_t>(layer->heads.size()) != model.kv_heads ||
        std::any_of(layer->heads.begin(), layer->heads.end(), [&](const sim::HeadEviction& head) {
          return head.budget != layer->heads.front().budget;
        })) {
      return std::nullopt;
    }
    return layer->heads.front().budget + step + 1;
  };
  return shape;
}

}  // namespace kvsieve::cli
