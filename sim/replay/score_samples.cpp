#include "kvsieve/sim/score_samples.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "kvsieve/kernels/dense_attention.h"
#include "kvsieve/kernels/topk_retrieval.h"
#include "kvsieve/traces/error.h"
#include "replay/adaptive_tops.h"
#include "replay/head_index.h"
#include "replay/replay_codebook.h"
#include "replay/step_selector.h"

namespace kvsieve::sim {
namespace {

using kernels::HeadSlice;
using kernels::MatrixView;
using kernels::TokenRange;

/// A KV head's keys and what ranks them.
struct RankedHead {
  kernels::HeadKeys near_keys;
  kernels::HeadKeys far_keys;
  std::unique_ptr<HeadIndex> index;
};

/// Scores of one query head at one step, by token.
struct StepScores {
  std::vector<float> near;
  std::vector<float> far;
  ScoreScratch scratch;
  std::span<const float> approximate;
};

void require(bool holds, const std::string& what) {
  if (!holds) {
    throw Error(ErrorKind::kUsage, what);
  }
}

}  // namespace

struct HeadScores::Layer {
  const traces::Trace& trace;
  RetrievalOptions options;
  traces::TraceLayer layer;
  kernels::RopePhases phases;
  std::int64_t first_head = 0;  // of `heads`
  std::int64_t kv_head = 0;
  std::vector<RankedHead> heads;
  std::vector<std::int64_t> code_counts;

  Layer(const traces::Trace& source, const RetrievalOptions& wanted, std::size_t index)
      : trace(source),
        options(wanted),
        layer(source.layer(index)),
        phases(traces::RopeTable(layer.spec.rope, source.header().model.head_dim),
               source.header().total_tokens()) {}

  [[nodiscard]] const traces::ModelShape& model() const { return trace.header().model; }
  [[nodiscard]] bool shares_tops() const { return options.budget == RetrievalBudget::kAdaptive; }

  void load(std::int64_t head, const Progress& progress) {
    RankedHead& ranked = heads.emplace_back();
    const HeadSlice keys(layer.k, head);
    ranked.near_keys.load(keys, &phases);
    ranked.far_keys.load(keys, nullptr);
    std::optional<HeadCodes> codes;
    if (uses_codebook(options.scorer)) {
      const std::int64_t codewords =
          options.codewords > 0 ? options.codewords : auto_codewords(trace.header().prompt_tokens);
      codes = code_head(trace, layer, head, phases, options, codewords, progress).codes;
      if (head == kv_head) {
        code_counts.resize(static_cast<std::size_t>(codes->codewords.tokens()));
        for (const std::uint16_t code : codes->codes) {
          ++code_counts[code];
        }
      }
    }
    ranked.index =
        std::make_unique<HeadIndex>(trace, layer, head, phases, options, std::move(codes));
  }

  [[nodiscard]] const RankedHead& head_of(std::int64_t q_head) const {
    return heads[static_cast<std::size_t>(q_head / model().group() - first_head)];
  }
  [[nodiscard]] std::int64_t position(std::int64_t step) const {
    return trace.header().prompt_tokens + step;
  }
  [[nodiscard]] TokenRange eligible(std::int64_t step) const {
    return kernels::eligible_tokens(position(step), options.sinks, options.window);
  }

  void score(std::int64_t q_head, std::int64_t step, StepScores& scores) const {
    const RankedHead& head = head_of(q_head);
    const std::int64_t row = q_head % model().group() * trace.header().decode_tokens + step;
    const std::int64_t tokens = position(step) + 1;
    const MatrixView<float> near = scratch_rows(scores.near, 1, tokens);
    const MatrixView<float> far = scratch_rows(scores.far, 1, tokens);
    const QueryBlock block{.q_head = q_head,
                           .first_step = step,
                           .near_queries = head.index->near_queries().rows_from(row, 1),
                           .far_queries = head.index->far_queries().rows_from(row, 1),
                           .near = near,
                           .far = far};
    kernels::attention_scores(block.near_queries, head.near_keys, 0, layer.spec.attention, near);
    kernels::attention_scores(block.far_queries, head.far_keys, 0, layer.spec.attention, far);
    const TokenRange range = eligible(step);
    scores.approximate = head.index->source().scores(block, {&range, 1}, scores.scratch).row(0);
  }

  /// Of the true scores, [0, i].
  [[nodiscard]] std::span<const float> exact(const StepScores& scores, std::int64_t step) const {
    return std::span(scores.near).first(static_cast<std::size_t>(position(step) + 1));
  }

  [[nodiscard]] std::int64_t top(std::int64_t q_head, std::int64_t step) const {
    const std::int64_t uniform = uniform_top(options, position(step));
    if (!shares_tops()) {
      return uniform;
    }
    const TokenRange range = eligible(step);
    AdaptiveTops adaptive({&range, 1}, model().q_heads);
    StepScores scores;
    for (std::int64_t other = 0; other < model().q_heads; ++other) {
      score(other, step, scores);
      adaptive.set(0, other, scores.approximate, exact(scores, step));
    }
    return adaptive.tops({&uniform, 1}, options.alpha)[static_cast<std::size_t>(q_head)];
  }
};

HeadScores::HeadScores(const traces::Trace& trace, const RetrievalOptions& options,
                       std::int64_t layer, std::int64_t kv_head, const Progress& progress) {
  check_ranges(options);
  const std::int64_t heads = trace.header().model.kv_heads;
  require(kv_head >= 0 && kv_head < heads,
          fmt::format("KV head {} is out of range, the model has {}", kv_head, heads));
  require(options.scorer != RetrievalScorer::kNone,
          options.name + " retrieves nothing, so that it scores no token");
  const std::vector<std::size_t> indices = captured_indices(trace, {&layer, 1});
  m_layer = std::make_unique<Layer>(trace, options, indices.front());
  require(!m_layer->layer.spec.attention.sliding_window,
          fmt::format("layer {} has a sliding window and is left whole", layer));
  if (uses_codebook(options.scorer) && options.codebook != nullptr) {
    check_codebook(trace, options, indices);
  }
  m_layer->kv_head = kv_head;
  const std::int64_t first = m_layer->shares_tops() ? 0 : kv_head;
  const std::int64_t end = m_layer->shares_tops() ? heads : kv_head + 1;
  m_layer->first_head = first;
  m_layer->heads.reserve(static_cast<std::size_t>(end - first));
  for (std::int64_t head = first; head < end; ++head) {
    m_layer->load(head, [&](double share) {
      if (progress) {
        progress((static_cast<double>(head - first) + share) / static_cast<double>(end - first));
      }
    });
  }
}

HeadScores::~HeadScores() = default;
HeadScores::HeadScores(HeadScores&&) noexcept = default;
HeadScores& HeadScores::operator=(HeadScores&&) noexcept = default;

ScoreSamples HeadScores::at(std::int64_t q_head, std::int64_t step) const {
  const std::int64_t group = m_layer->model().group();
  const std::int64_t steps = m_layer->trace.header().decode_tokens;
  require(q_head >= 0 && q_head / group == m_layer->kv_head,
          fmt::format("query head {} is not of KV head {}", q_head, m_layer->kv_head));
  require(step >= 0 && step < steps,
          fmt::format("step {} is out of range, the trace has {}", step, steps));
  const TokenRange range = m_layer->eligible(step);
  ScoreSamples samples;
  samples.first_token = range.begin;
  samples.top = m_layer->top(q_head, step);
  StepScores scores;
  m_layer->score(q_head, step, scores);
  const std::span<const float> exact = m_layer->exact(scores, step);
  samples.exact.assign(exact.begin() + range.begin, exact.begin() + range.end);
  samples.approximate.assign(scores.approximate.begin() + range.begin,
                             scores.approximate.begin() + range.end);
  make_step_selector(m_layer->options)
      ->select({.q_head = q_head,
                .step = step,
                .eligible = range,
                .top = samples.top,
                .scores = scores.approximate,
                .exact = exact},
               samples.selected);
  return samples;
}

std::optional<double> recall_of(const ScoreSamples& samples) {
  const auto count = static_cast<std::int64_t>(samples.selected.size());
  if (count == 0) {
    return std::nullopt;
  }
  std::vector<std::int32_t> best;
  kernels::select_top(samples.exact, {0, static_cast<std::int64_t>(samples.exact.size())}, count,
                      best);
  for (std::int32_t& token : best) {
    token += static_cast<std::int32_t>(samples.first_token);
  }
  return static_cast<double>(kernels::common_tokens(samples.selected, best)) /
         static_cast<double>(count);
}

bool HeadScores::estimates() const {
  return m_layer->heads.front().index->source().estimates();
}

std::span<const std::int64_t> HeadScores::code_counts() const {
  return m_layer->code_counts;
}

}  // namespace kvsieve::sim
