#include "kvsieve/sim/decode_replay.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <list>
#include <memory>

#include "kvsieve/kernels/retrieval_engine.h"
#include "kvsieve/sim/backends.h"
#include "kvsieve/traces/error.h"
#include "replay/replay_codebook.h"
#include "replay/step_selector.h"

namespace kvsieve::sim {
namespace {

/// Shares of the progress: training, decoding; measuring is the rest.
constexpr double kTrainingShare = 0.4;
constexpr double kDecodeShare = 0.3;

bool has_kernels(const RetrievalOptions& options) {
  return options.scorer == RetrievalScorer::kVqQueryAware ||
         options.scorer == RetrievalScorer::kVqPlain;
}

void check(const RetrievalOptions& options) {
  const auto require = [&](bool supported, std::string_view what) {
    if (!supported) {
      throw Error(ErrorKind::kMissingCapability,
                  fmt::format("{} has no decode step on a backend", what),
                  "leave out --backend and --latency to replay it; a2ats and vq-plain with their "
                  "own selection have decode steps");
    }
  };
  require(has_kernels(options), "the method " + options.name);
  require(options.final_attention == FinalAttention::kExact, "--final-attention wrope");
  require(options.budget == RetrievalBudget::kUniform, "--retrieval-budget adaptive");
  require(!options.mass, "--mass");
  require(!options.center_keys &&
              (options.codebook == nullptr || !options.codebook->info().center_keys),
          "a codebook of centred keys");
  require(options.codebook_dtype == traces::DType::kF32, "--codebook-dtype other than fp32");
}

/// The decode steps of all layers, recorded: what each query head retrieved, and each layer's
/// output.
class RecordedSteps : public StepSelector {
 public:
  RecordedSteps(std::vector<std::int64_t> layers, std::int64_t steps)
      : m_layers(std::move(layers)), m_records(static_cast<std::size_t>(steps)) {}

  [[nodiscard]] kernels::DecodeStepRecord& step(std::int64_t s) {
    return m_records[static_cast<std::size_t>(s)];
  }
  [[nodiscard]] const std::vector<kernels::DecodeStepRecord>& steps() const { return m_records; }
  [[nodiscard]] double output_deviation() const { return m_deviation; }

  void begin_layer(const SelectorLayer& layer) override {
    const auto found = std::find(m_layers.begin(), m_layers.end(), layer.layer.layer);
    m_current = static_cast<std::size_t>(found - m_layers.begin());
  }

  void select(const SelectorQuery& query, std::vector<std::int32_t>& chosen) const override {
    chosen = layer_step(query.step).selected[static_cast<std::size_t>(query.q_head)];
  }

  void end_head(std::int64_t kv_head, const SelectorOutputs& outputs) override {
    const std::int64_t d = outputs.dense.front().cols;
    const auto group = static_cast<std::int64_t>(outputs.dense.size());
    for (std::int64_t g = 0; g < group; ++g) {
      for (std::int64_t s = 0; s < outputs.dense.front().rows; ++s) {
        const std::span<const float> dense = outputs.dense[static_cast<std::size_t>(g)].row(s);
        const std::span<const float> lost = outputs.difference[static_cast<std::size_t>(g)].row(s);
        const float* mine = layer_step(s).output.data() + (kv_head * group + g) * d;
        double error = 0.0;
        double size = 0.0;
        for (std::int64_t t = 0; t < d; ++t) {
          const auto at = static_cast<std::size_t>(t);
          const double expected = static_cast<double>(dense[at]) - static_cast<double>(lost[at]);
          const double difference = static_cast<double>(mine[t]) - expected;
          error += difference * difference;
          size += expected * expected;
        }
        m_deviation = std::max(m_deviation, size > 0.0 ? std::sqrt(error / size) : 0.0);
      }
    }
  }

 private:
  [[nodiscard]] const kernels::LayerStep& layer_step(std::int64_t step) const {
    return m_records[static_cast<std::size_t>(step)].layers[m_current];
  }

  std::vector<std::int64_t> m_layers;
  std::vector<kernels::DecodeStepRecord> m_records;
  std::size_t m_current = 0;
  double m_deviation = 0.0;
};

class DecodeReplay {
 public:
  DecodeReplay(const traces::Trace& trace, const RetrievalOptions& options,
               const DecodeOptions& decode, const Progress& progress)
      : m_trace(trace),
        m_options(options),
        m_decode(decode),
        m_progress(progress),
        m_model(trace.header().model),
        m_steps(trace.header().decode_tokens) {
    check(options);
    m_engine = make_retrieval_engine(decode.backend);  // before the minutes that training may take
    for (const std::size_t index : captured_indices(trace, options.layers)) {
      traces::TraceLayer layer = trace.layer(index);
      if (!layer.spec.attention.sliding_window) {
        m_layers.push_back(std::move(layer));
      }
    }
  }

  RetrievalResult run() {
    if (m_layers.empty() || m_steps == 0) {
      return replay_retrieval(m_trace, m_options, m_progress);
    }
    const bool trains = m_options.codebook == nullptr;
    if (trains) {
      m_options.codebook = train();
    }
    m_options.codebook->check_serves(m_model);
    RecordedSteps recorded = decode();
    RetrievalResult result = replay_selections(m_trace, m_options, recorded, [&](double share) {
      report(kTrainingShare + kDecodeShare + share * (1.0 - kTrainingShare - kDecodeShare));
    });
    if (trains) {
      result.codebook->given = false;
      const std::vector<std::string>& warnings = m_options.codebook->info().warnings;
      result.warnings.insert(result.warnings.begin(), warnings.begin(), warnings.end());
    }
    result.decode = summarise(recorded);
    return result;
  }

 private:
  void report(double share) const {
    if (m_progress) {
      m_progress(share);
    }
  }

  [[nodiscard]] std::shared_ptr<const Codebook> train() const {
    const traces::Trace* traces[] = {&m_trace};
    CodebookOptions training = training_options(m_options);
    for (const traces::TraceLayer& layer : m_layers) {
      training.layers.push_back(layer.layer);
    }
    return std::make_shared<const Codebook>(
        train_codebook(traces, training, [&](double share) { report(share * kTrainingShare); }));
  }

  /// The layers as the engine takes them. RoPE tables live in `phases`.
  [[nodiscard]] std::vector<kernels::RetrievalLayer> engine_layers(
      std::list<kernels::RopePhases>& phases) const {
    std::vector<kernels::RetrievalLayer> layers;
    for (const traces::TraceLayer& layer : m_layers) {
      const auto known =
          std::find_if(phases.begin(), phases.end(), [&](const kernels::RopePhases& table) {
            return table.table().spec() == layer.spec.rope;
          });
      if (known == phases.end()) {
        phases.emplace_back(traces::RopeTable(layer.spec.rope, m_model.head_dim),
                            m_trace.header().total_tokens());
      }
      kernels::RetrievalLayer& view = layers.emplace_back();
      view.q = layer.q;
      view.k = layer.k;
      view.v = layer.v;
      view.first_query = m_trace.prompt_queries();
      view.prompt_tokens = m_trace.header().prompt_tokens;
      view.phases = known == phases.end() ? &phases.back() : &*known;
      view.attention = layer.spec.attention;
      const CodebookLayer* book = m_options.codebook->find(layer.layer);
      if (book == nullptr) {
        throw Error(ErrorKind::kBadInput, fmt::format("the codebook has no layer {}", layer.layer));
      }
      for (std::int64_t h = 0; h < m_model.kv_heads; ++h) {
        view.codebooks.push_back(
            {kernels::HeadSlice(book->codewords, h), kernels::HeadSlice(book->cholesky, h)});
      }
    }
    return layers;
  }

  [[nodiscard]] std::int64_t top_at(std::int64_t step) const {
    return m_options.top.at(m_trace.header().prompt_tokens + step + 1);
  }

  RecordedSteps decode() {
    kernels::RetrievalEngineOptions engine_options;
    engine_options.sinks = m_options.sinks;
    engine_options.window = m_options.window;
    engine_options.distance = m_options.distance;
    engine_options.placement = m_options.placement;
    engine_options.schedule = m_decode.schedule;
    engine_options.max_top = std::min(top_at(m_steps - 1), m_trace.header().total_tokens());
    engine_options.buckets = m_decode.buckets;
    engine_options.hot_buffer = m_options.hot_buffer;
    engine_options.hot_policy = m_options.hot_policy;
    std::vector<std::int64_t> numbers;
    for (const traces::TraceLayer& layer : m_layers) {
      numbers.push_back(layer.layer);
    }
    RecordedSteps recorded(std::move(numbers), m_steps);
    std::list<kernels::RopePhases> phases;
    const std::vector<kernels::RetrievalLayer> layers = engine_layers(phases);
    m_engine->load(layers, engine_options);
    for (std::int64_t s = 0; s < m_steps; ++s) {
      m_engine->step(top_at(s), recorded.step(s));
      report(kTrainingShare +
             kDecodeShare * static_cast<double>(s + 1) / static_cast<double>(m_steps));
    }
    m_engine.reset();  // the whole cache of all layers
    return recorded;
  }

  [[nodiscard]] DecodeReport summarise(const RecordedSteps& recorded) const {
    DecodeReport decode;
    decode.backend = m_decode.backend;
    decode.schedule = m_decode.schedule;
    decode.sequences =
        kernels::DecodeGraphShape{1, m_options.placement, m_decode.schedule}.micro_batches();
    decode.output_deviation = recorded.output_deviation();
    const std::vector<kernels::DecodeStepRecord>& steps = recorded.steps();
    for (const kernels::DecodeStepRecord& step : steps) {
      if (step.counted) {
        decode.counted = decode.counted.value_or(kernels::StepTraffic{});
        *decode.counted += *step.counted;
      }
      for (const kernels::LayerStep& layer : step.layers) {
        decode.ledger += traffic_of(layer);
      }
      if (step.step_us) {
        decode.step_us =
            decode.step_us.value_or(0.0) + *step.step_us / static_cast<double>(steps.size());
      }
    }
    if (steps.front().stage_us) {
      const std::vector<kernels::StepTask> graph =
          kernels::decode_step_graph({1, m_options.placement, kernels::Schedule::kSerial});
      for (const kernels::StepTask& task : graph) {
        // A stage that a backend has not, or has inside another, takes no time.
        if (const StageLatency latency = stage_latency(steps, task.stage); latency.max_us > 0.0) {
          decode.stages.push_back(latency);
        }
      }
    }
    return decode;
  }

  [[nodiscard]] static StageLatency stage_latency(std::span<const kernels::DecodeStepRecord> steps,
                                                  kernels::StepStage stage) {
    StageLatency latency{stage, 0.0, 0.0};
    for (const kernels::DecodeStepRecord& step : steps) {
      const double us = (*step.stage_us)[static_cast<std::size_t>(stage)];
      latency.mean_us += us / static_cast<double>(steps.size());
      latency.max_us = std::max(latency.max_us, us);
    }
    return latency;
  }

  [[nodiscard]] kernels::StepTraffic traffic_of(const kernels::LayerStep& layer) const {
    const kernels::LedgerShape shape{
        1, m_model.q_heads, m_model.kv_heads, m_model.head_dim,
        static_cast<std::int64_t>(traces::size_of(m_trace.header().dtype))};
    std::int64_t tokens = 0;
    std::int64_t misses = 0;
    std::int64_t runs = 0;
    std::vector<kernels::TokenRun> found;
    for (std::size_t h = 0; h < layer.retrieved.size(); ++h) {
      tokens += static_cast<std::int64_t>(layer.retrieved[h].size());
      misses += layer.misses.empty() ? 0 : layer.misses[h];
      kernels::find_runs(layer.retrieved[h], found);
      runs += static_cast<std::int64_t>(found.size());
    }
    return kernels::step_traffic(shape, m_options.placement, tokens, misses, runs);
  }

  const traces::Trace& m_trace;
  RetrievalOptions m_options;
  DecodeOptions m_decode;
  const Progress& m_progress;
  const traces::ModelShape& m_model;
  std::int64_t m_steps;
  std::vector<traces::TraceLayer> m_layers;
  std::unique_ptr<kernels::RetrievalEngine> m_engine;
};

}  // namespace

RetrievalResult replay_decode(const traces::Trace& trace, const RetrievalOptions& options,
                              const DecodeOptions& decode, const Progress& progress) {
  return DecodeReplay(trace, options, decode, progress).run();
}

}  // namespace kvsieve::sim
