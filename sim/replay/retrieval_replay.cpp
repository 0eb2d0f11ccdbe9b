#include "kvsieve/sim/retrieval_replay.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "kvsieve/kernels/eviction_loss.h"
#include "kvsieve/kernels/retrieval_ledger.h"
#include "kvsieve/kernels/topk_retrieval.h"
#include "kvsieve/traces/error.h"
#include "replay/adaptive_tops.h"
#include "replay/head_codebook.h"
#include "replay/head_index.h"
#include "replay/phase_cache.h"
#include "replay/replay_codebook.h"
#include "replay/retrieval_figures.h"
#include "replay/retrieval_head.h"
#include "replay/step_selector.h"

namespace kvsieve::sim {
namespace {

using kernels::HeadSlice;
using kernels::MatrixView;

/// Rows [steps, D] that sums of projected heads go to.
class ProjectedRows {
 public:
  ProjectedRows(std::int64_t steps, std::int64_t width)
      : m_steps(steps),
        m_width(width),
        m_stride((width + 15) / 16 * 16),
        m_values(static_cast<std::size_t>(steps * m_stride), 0.0F) {}

  void clear() { std::fill(m_values.begin(), m_values.end(), 0.0F); }
  void add(const ProjectedRows& other) {
    std::transform(m_values.begin(), m_values.end(), other.m_values.begin(), m_values.begin(),
                   std::plus<>());
  }
  [[nodiscard]] MatrixView<float> view() { return {m_values.data(), m_steps, m_width, m_stride}; }

 private:
  std::int64_t m_steps;
  std::int64_t m_width;
  std::int64_t m_stride;
  std::vector<float> m_values;
};

struct Norms {
  double l1 = 0.0;
  double l2 = 0.0;
};

Norms norms_of(std::span<const float> row) {
  Norms norms;
  for (const float value : row) {
    norms.l1 += std::abs(static_cast<double>(value));
    norms.l2 += static_cast<double>(value) * static_cast<double>(value);
  }
  norms.l2 = std::sqrt(norms.l2);
  return norms;
}

double relative(double part, double whole) {
  return whole > 0.0 ? part / whole : 0.0;
}

class RetrievalReplay {
 public:
  RetrievalReplay(const traces::Trace& trace, const RetrievalOptions& options,
                  StepSelector& selector, const Progress& progress)
      : m_trace(trace),
        m_options(options),
        m_selector(selector),
        m_progress(progress),
        m_model(trace.header().model),
        m_steps(trace.header().decode_tokens),
        m_context(trace.header(), options),
        m_indices(captured_indices(trace, options.layers)),
        m_phases(m_model.head_dim, trace.header().total_tokens()),
        m_head(trace, options) {
    check_ranges(options);
    if (m_steps == 0) {
      throw Error(ErrorKind::kBadInput,
                  fmt::format("{}: the trace has no decode steps, which retrieval is replayed over",
                              trace.path().string()));
    }
    m_result.options = options;
    if (uses_codebook(options.scorer)) {
      prepare_codebook();
    }
  }

  RetrievalResult run() {
    std::vector<traces::TraceLayer> layers;
    for (const std::size_t index : m_indices) {
      layers.push_back(m_trace.layer(index));
    }
    const auto touched = std::count_if(layers.begin(), layers.end(), [](const auto& layer) {
      return !layer.spec.attention.sliding_window;
    });
    m_heads_to_do = static_cast<double>(touched * m_model.kv_heads);
    for (const traces::TraceLayer& layer : layers) {
      LayerRetrieval& result = m_result.layers.emplace_back();
      result.layer = layer.layer;
      result.touched = !layer.spec.attention.sliding_window;
      if (result.touched) {
        run_layer(layer, result);
        m_trace.release(layer);
      }
    }
    if (touched == 0) {
      m_result.warnings.emplace_back(
          "every replayed layer has a sliding window and was left whole");
    }
    summarise();
    return std::move(m_result);
  }

 private:
  void prepare_codebook() {
    CodebookUse use;
    use.given = m_options.codebook != nullptr;
    if (use.given) {
      check_codebook(m_trace, m_options, m_indices);
      use.info = m_options.codebook->info();
      warn_of_codebook(use.info);
      const std::string hash = m_trace.hash();
      use.in_sample =
          std::any_of(use.info.traces.begin(), use.info.traces.end(),
                      [&](const CalibrationTrace& trace) { return trace.hash == hash; });
    } else {
      use.info = describe_training(traces(), training_options(m_options));
      use.in_sample = true;
      m_result.warnings = use.info.warnings;
    }
    m_result.codebook = std::move(use);
  }

  void warn_of_codebook(const CodebookInfo& info) {
    if (info.model.name != m_model.name) {
      m_result.warnings.push_back(fmt::format(
          "the codebook was calibrated on {}, the trace is of {}", info.model.name, m_model.name));
    }
    if (info.kind == CodebookKind::kQueryAware && info.distance != m_options.distance) {
      m_result.warnings.push_back(
          fmt::format("the codebook was calibrated at distance {}, queries score at {}",
                      info.distance, m_options.distance));
    }
  }

  [[nodiscard]] std::span<const traces::Trace* const> traces() const { return {&m_trace_list, 1}; }

  void run_layer(const traces::TraceLayer& layer, LayerRetrieval& result) {
    const kernels::RopePhases& phases = m_phases.get(layer.spec.rope);
    std::vector<std::unique_ptr<HeadIndex>> indices;
    for (std::int64_t kv_head = 0; kv_head < m_model.kv_heads; ++kv_head) {
      HeadRetrieval& head = result.heads.emplace_back();
      head.head = kv_head;
      std::optional<HeadCodes> codes;
      if (uses_codebook(m_options.scorer)) {
        CodedHead coded = code_head(m_trace, layer, kv_head, phases, m_options,
                                    m_result.codebook->info.codewords);
        head.calibration = std::move(coded.calibration);
        codes = std::move(coded.codes);
        head.code_usage = codes->usage();
      }
      indices.push_back(std::make_unique<HeadIndex>(m_trace, layer, kv_head, phases, m_options,
                                                    std::move(codes)));
      finish_half_a_head();
    }
    if (m_context.retrieves) {
      m_context.index = indices.front()->source().index_bytes();
      m_result.index = m_context.index;
    }
    const std::vector<std::int64_t> tops = layer_tops(layer, phases, indices);
    begin_layer(layer, indices, tops);
    ProjectedRows output(m_steps, m_model.width);
    ProjectedRows difference(m_steps, m_model.width);
    ProjectedRows unit(m_steps, m_model.width);
    for (HeadRetrieval& head : result.heads) {
      const std::int64_t kv_head = head.head;
      m_head.load(layer, kv_head, phases, *indices[static_cast<std::size_t>(kv_head)]);
      m_head.run(m_selector, tops);
      end_head(kv_head);
      unit.clear();
      for (std::int64_t member = 0; member < m_model.group(); ++member) {
        m_projection.pack(HeadSlice(layer.wo, kv_head * m_model.group() + member));
        kernels::project(m_head.dense(member), m_projection, output.view());
        kernels::project(m_head.difference(member), m_projection, unit.view());
      }
      difference.add(unit);
      finish_head(unit, head);
      finish_half_a_head();
    }
    finish_layer(output, difference, result);
  }

  /// A head is half done with its index and done with its steps.
  void finish_half_a_head() {
    m_heads_done += 0.5;
    if (m_progress) {
      m_progress(m_heads_done / m_heads_to_do);
    }
  }

  [[nodiscard]] kernels::TokenRange eligible_at(std::int64_t step) const {
    return kernels::eligible_tokens(m_trace.header().prompt_tokens + step, m_options.sinks,
                                    m_options.window);
  }

  /// K of a step where all query heads have the same.
  [[nodiscard]] std::int64_t top_at(std::int64_t step) const {
    return uniform_top(m_options, m_trace.header().prompt_tokens + step);
  }

  /// K of a step and query head, [m, Hq].
  [[nodiscard]] std::vector<std::int64_t> layer_tops(
      const traces::TraceLayer& layer, const kernels::RopePhases& phases,
      std::span<const std::unique_ptr<HeadIndex>> indices) {
    std::vector<std::int64_t> uniform;
    std::vector<kernels::TokenRange> eligible;
    for (std::int64_t s = 0; s < m_steps; ++s) {
      uniform.push_back(top_at(s));
      eligible.push_back(eligible_at(s));
    }
    if (m_options.budget == RetrievalBudget::kAdaptive) {
      AdaptiveTops adaptive(eligible, m_model.q_heads);
      for (std::int64_t kv_head = 0; kv_head < m_model.kv_heads; ++kv_head) {
        m_head.load(layer, kv_head, phases, *indices[static_cast<std::size_t>(kv_head)]);
        m_head.rank(adaptive);
      }
      return adaptive.tops(uniform, m_options.alpha);
    }
    std::vector<std::int64_t> tops;
    for (const std::int64_t top : uniform) {
      tops.insert(tops.end(), static_cast<std::size_t>(m_model.q_heads), top);
    }
    return tops;
  }

  void begin_layer(const traces::TraceLayer& layer,
                   std::span<const std::unique_ptr<HeadIndex>> indices,
                   std::span<const std::int64_t> tops) {
    SelectorLayer view{layer, m_trace.header().prompt_tokens, tops, {}};
    for (const std::unique_ptr<HeadIndex>& index : indices) {
      view.heads.push_back({index->codes(), index->near_queries(), index->far_queries()});
    }
    m_selector.begin_layer(view);
  }

  void end_head(std::int64_t kv_head) {
    SelectorOutputs outputs;
    for (std::int64_t member = 0; member < m_model.group(); ++member) {
      outputs.dense.push_back(m_head.dense(member));
      outputs.difference.push_back(m_head.difference(member));
    }
    m_selector.end_head(kv_head, outputs);
  }

  void finish_head(ProjectedRows& unit, HeadRetrieval& head) {
    head.steps = std::move(m_head.steps());
    for (std::int64_t s = 0; s < m_steps; ++s) {
      HeadStep& step = head.steps[static_cast<std::size_t>(s)];
      step.top = top_at(s);
      step.l1_loss = norms_of(unit.view().row(s)).l1;
      head.l1_loss += step.l1_loss / static_cast<double>(m_steps);
    }
    head.figures = figures_of(head.steps, m_context);
    kernels::ScoreErrorSums wrope_error;
    kernels::ScoreErrorSums vq_error;
    kernels::ScoreErrorSums score_error;
    for (std::int64_t member = 0; member < m_model.group(); ++member) {
      head.query_heads.push_back(query_head(head.head * m_model.group() + member, member));
      for (std::int64_t s = 0; s < m_steps; ++s) {
        wrope_error += m_head.query_step(member, s).wrope_error;
        vq_error += m_head.query_step(member, s).vq_error;
        score_error += m_head.query_step(member, s).score_error;
        m_selected.push_back(m_head.query_step(member, s).selected);
        m_at_top += m_selected.back() >= top_at(s) ? 1.0 : 0.0;
      }
    }
    const auto mean = [](const kernels::ScoreErrorSums& sums) -> std::optional<ScoreError> {
      if (sums.tokens == 0) {
        return std::nullopt;
      }
      ScoreError error{sums.squared_error / static_cast<double>(sums.tokens), std::nullopt};
      if (sums.variation > 0.0) {
        error.nmse = sums.squared_error / sums.variation;
      }
      return error;
    };
    head.figures.wrope_error = mean(wrope_error);
    head.figures.vq_error = mean(vq_error);
    head.figures.score_error = mean(score_error);
  }

  [[nodiscard]] QueryHeadRetrieval query_head(std::int64_t q_head, std::int64_t member) const {
    QueryHeadRetrieval result;
    result.head = q_head;
    double selecting = 0.0;
    for (std::int64_t s = 0; s < m_steps; ++s) {
      selecting += m_head.query_step(member, s).selected > 0 ? 1.0 : 0.0;
    }
    const auto add = [](std::optional<double>& mean, double value) {
      mean = mean.value_or(0.0) + value;
    };
    for (std::int64_t s = 0; s < m_steps; ++s) {
      const QueryStep& step = m_head.query_step(member, s);
      if (step.selected > 0) {
        add(result.recall, step.recall / selecting);
        add(result.recall_vs_wrope, step.recall_vs_wrope / selecting);
        add(result.wrope_recall, step.wrope_recall / selecting);
      }
      const auto count = static_cast<double>(m_steps);
      result.captured_mass += step.captured_mass / count;
      result.retrieved_mass += step.retrieved_mass / count;
      result.output_error += step.output_error / count;
    }
    return result;
  }

  void finish_layer(ProjectedRows& output, ProjectedRows& difference, LayerRetrieval& result) {
    double output_l1 = 0.0;
    for (std::int64_t s = 0; s < m_steps; ++s) {
      const Norms whole = norms_of(output.view().row(s));
      const Norms lost = norms_of(difference.view().row(s));
      result.steps.push_back({relative(lost.l2, whole.l2), lost.l1, relative(lost.l1, whole.l1)});
      output_l1 += whole.l1 / static_cast<double>(m_steps);
    }
    result.loss = mean_loss(result.steps);
    result.loss.l1_loss_relative = relative(result.loss.l1_loss, output_l1);
    std::vector<RetrievalFigures> heads;
    for (const HeadRetrieval& head : result.heads) {
      heads.push_back(head.figures);
    }
    result.figures = mean_figures(heads);
    share_messages(result.figures);
  }

  /// All KV heads of a layer travel in the same messages.
  void share_messages(RetrievalFigures& figures) const {
    for (const Placement placement : kernels::kPlacements) {
      if (m_context.retrieves) {
        figures.pcie[static_cast<std::size_t>(placement)].pieces +=
            static_cast<double>(kernels::messages(placement));
      }
    }
  }

  void summarise() {
    std::vector<RetrievalFigures> figures;
    std::vector<ProjectedLoss> losses;
    for (const LayerRetrieval& layer : m_result.layers) {
      if (layer.touched) {
        figures.push_back(layer.figures);
        losses.push_back(layer.loss);
      }
    }
    m_result.summary = mean_figures(figures);
    m_result.loss = mean_loss(losses);
    m_result.pcie = m_result.summary.pcie_of(m_options.placement);
    for (std::int64_t s = 0; !figures.empty() && s < m_steps; ++s) {
      m_result.steps.push_back(mean_step(s));
    }
    const bool varies = m_options.mass || m_options.budget == RetrievalBudget::kAdaptive;
    if (varies && !m_selected.empty()) {
      m_result.selected = spread_of_selected();
    }
  }

  [[nodiscard]] SelectedSpread spread_of_selected() {
    std::sort(m_selected.begin(), m_selected.end());
    const auto at = [&](std::size_t percent) {
      return m_selected[(m_selected.size() - 1) * percent / 100];
    };
    return {at(10), at(50), at(90), m_selected.back(),
            m_at_top / static_cast<double>(m_selected.size())};
  }

  [[nodiscard]] RetrievalStep mean_step(std::int64_t s) const {
    RetrievalStep result;
    result.step = s;
    result.position = m_trace.header().prompt_tokens + s;
    std::vector<RetrievalFigures> layers;
    std::vector<ProjectedLoss> losses;
    for (const LayerRetrieval& layer : m_result.layers) {
      if (!layer.touched) {
        continue;
      }
      std::vector<RetrievalFigures> heads;
      for (const HeadRetrieval& head : layer.heads) {
        heads.push_back(
            figures_of(std::span(head.steps).subspan(static_cast<std::size_t>(s), 1), m_context));
        result.top = head.steps[static_cast<std::size_t>(s)].top;
      }
      layers.push_back(mean_figures(heads));
      share_messages(layers.back());
      losses.push_back(layer.steps[static_cast<std::size_t>(s)]);
    }
    result.figures = mean_figures(layers);
    result.loss = mean_loss(losses);
    return result;
  }

  const traces::Trace& m_trace;
  const traces::Trace* m_trace_list = &m_trace;  // the one trace of a codebook trained here
  const RetrievalOptions& m_options;
  StepSelector& m_selector;
  const Progress& m_progress;
  const traces::ModelShape& m_model;
  std::int64_t m_steps;
  FigureContext m_context;
  std::vector<std::size_t> m_indices;
  PhaseCache m_phases;
  RetrievalHead m_head;
  kernels::PackedMatrix m_projection;
  std::vector<std::int64_t> m_selected;  // by query head and step of the layers so far
  double m_at_top = 0.0;                 // of them, those with K or more
  double m_heads_to_do = 0.0;
  double m_heads_done = 0.0;
  RetrievalResult m_result;
};

}  // namespace

RetrievalResult replay_retrieval(const traces::Trace& trace, const RetrievalOptions& options,
                                 const Progress& progress) {
  return replay_selections(trace, options, *make_step_selector(options), progress);
}

RetrievalResult replay_selections(const traces::Trace& trace, const RetrievalOptions& options,
                                  StepSelector& selector, const Progress& progress) {
  return RetrievalReplay(trace, options, selector, progress).run();
}

}  // namespace kvsieve::sim
