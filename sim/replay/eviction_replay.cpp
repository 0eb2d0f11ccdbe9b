#include "kvsieve/sim/eviction_replay.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include "kvsieve/sim/backends.h"
#include "kvsieve/traces/error.h"
#include "replay/eviction_scores.h"
#include "replay/eviction_selection.h"
#include "replay/layer_loss.h"
#include "replay/phase_cache.h"

namespace kvsieve::sim {
namespace {

LossFigures mean_figures(std::span<const QueryLoss> queries) {
  LossFigures mean;
  double output = 0.0;
  for (const QueryLoss& query : queries) {
    mean.evicted_mass += query.evicted_mass;
    mean.l1_loss += query.l1_loss;
    output += query.output_l1;
    mean.bounds.eps += query.bounds.eps;
    mean.bounds.head += query.bounds.head;
    mean.bounds.theta += query.bounds.theta;
  }
  mean.l1_loss_relative = output > 0.0 ? mean.l1_loss / output : 0.0;
  const auto count = static_cast<double>(queries.size());
  for (double* value : {&mean.evicted_mass, &mean.l1_loss, &mean.bounds.eps, &mean.bounds.head,
                        &mean.bounds.theta}) {
    *value /= count;
  }
  return mean;
}

void accumulate(std::optional<LossFigures>& sum, const std::optional<LossFigures>& figures) {
  if (!figures) {
    return;
  }
  if (!sum) {
    sum.emplace();
  }
  sum->evicted_mass += figures->evicted_mass;
  sum->l1_loss += figures->l1_loss;
  sum->l1_loss_relative += figures->l1_loss_relative;
  sum->bounds.eps += figures->bounds.eps;
  sum->bounds.head += figures->bounds.head;
  sum->bounds.theta += figures->bounds.theta;
}

void divide(std::optional<LossFigures>& sum, double count) {
  if (!sum) {
    return;
  }
  for (double* value : {&sum->evicted_mass, &sum->l1_loss, &sum->l1_loss_relative, &sum->bounds.eps,
                        &sum->bounds.head, &sum->bounds.theta}) {
    *value /= count;
  }
}

EvictionSummary summarise(const std::vector<LayerEviction>& layers) {
  EvictionSummary summary;
  double kept = 0.0;
  double units = 0.0;
  for (const LayerEviction& layer : layers) {
    if (!layer.touched) {
      continue;
    }
    ++summary.ratio.layers;
    kept += static_cast<double>(layer.budget_total);
    units += static_cast<double>(layer.heads.size());
    accumulate(summary.decode, layer.decode);
    accumulate(summary.uniform, layer.uniform);
    accumulate(summary.observation, layer.observation);
    if (layer.decode && layer.uniform) {
      summary.ratio.layers_improved_mass +=
          layer.decode->evicted_mass < layer.uniform->evicted_mass ? 1 : 0;
      summary.ratio.layers_improved_l1 += layer.decode->l1_loss < layer.uniform->l1_loss ? 1 : 0;
    }
  }
  summary.kept_tokens_per_head_mean = units > 0.0 ? kept / units : 0.0;
  if (summary.decode && summary.uniform) {
    // Sums over layers, before they become means.
    const auto ratio = [](double value, double uniform) {
      return uniform > 0.0 ? std::optional(value / uniform) : std::nullopt;
    };
    summary.ratio.evicted_mass = ratio(summary.decode->evicted_mass, summary.uniform->evicted_mass);
    summary.ratio.l1_loss = ratio(summary.decode->l1_loss, summary.uniform->l1_loss);
  }
  const auto layer_count = static_cast<double>(std::max<std::int64_t>(1, summary.ratio.layers));
  divide(summary.decode, layer_count);
  divide(summary.uniform, layer_count);
  divide(summary.observation, layer_count);
  return summary;
}

/// Mean value norm of each unit's query heads over all tokens, [units, T].
std::vector<float> unit_norms(const ValueNorms& norms, std::int64_t units) {
  const std::int64_t members = norms.heads / units;
  std::vector<float> means(static_cast<std::size_t>(units * norms.tokens), 0.0F);
  for (std::int64_t head = 0; head < norms.heads; ++head) {
    const auto row = norms.rows(head, 1).row(0);
    for (std::int64_t j = 0; j < norms.tokens; ++j) {
      means[static_cast<std::size_t>(head / members * norms.tokens + j)] +=
          row[static_cast<std::size_t>(j)] / static_cast<float>(members);
    }
  }
  return means;
}

/// Throws Error(kUsage) for parameters that mean nothing on any trace.
void check_method(const EvictionMethod& method) {
  const std::int64_t smallest = method.scorer == Scorer::kWindowAttention ? 1 : 0;
  if (method.window < smallest) {
    throw Error(ErrorKind::kUsage, fmt::format("the window of {} is {}, expected at least {}",
                                               method.name, method.window, smallest));
  }
  if (method.sinks < 0) {
    throw Error(ErrorKind::kUsage, fmt::format("the sinks of {} are {}, expected at least 0",
                                               method.name, method.sinks));
  }
}

/// What a selection depends on, within a layer.
struct SelectionKey {
  std::size_t stages = 0;
  std::int64_t window = 0;
  std::int64_t sinks = 0;
  std::int64_t budget = 0;
  bool two_stage = false;
  std::optional<kernels::AllocationOptions> allocation;

  [[nodiscard]] auto tied() const {
    const kernels::AllocationOptions options = allocation.value_or(kernels::AllocationOptions{});
    return std::tuple(stages, window, sinks, budget, two_stage, allocation.has_value(),
                      options.alpha.units, options.alpha.scale, options.mode,
                      options.protected_tokens);
  }
  bool operator<(const SelectionKey& other) const { return tied() < other.tied(); }
};

bool is_finite(const SelectionLoss& loss) {
  return std::all_of(loss.queries.begin(), loss.queries.end(), [](const QueryLoss& query) {
    return std::isfinite(query.output_l1) && std::isfinite(query.l1_loss) &&
           std::isfinite(query.evicted_mass) && std::isfinite(query.bounds.eps) &&
           std::isfinite(query.bounds.theta);
  });
}

std::int64_t count_kept(const Selection& selection) {
  std::int64_t count = 0;
  for (const std::vector<std::int32_t>& kept : selection.kept) {
    count += static_cast<std::int64_t>(kept.size());
  }
  return count;
}

/// Index of `value` in `list`, added if it is new.
template <class T>
std::size_t intern(std::vector<T>& list, T value) {
  const auto found = std::find(list.begin(), list.end(), value);
  if (found != list.end()) {
    return static_cast<std::size_t>(found - list.begin());
  }
  list.push_back(std::move(value));
  return list.size() - 1;
}

class EvictionReplay {
 public:
  EvictionReplay(const traces::Trace& trace, std::span<const EvictionPlan> plans,
                 const EvictionOptions& options)
      : m_trace(trace),
        m_plans(plans),
        m_options(options),
        m_indices(captured_indices(trace, options.layers)),
        m_phases(trace.header().model.head_dim, trace.header().total_tokens()),
        m_engine(make_eviction_engine(options.backend)),
        m_projected(options.losses == Losses::kProjected),
        m_bound(options.bound && m_projected) {
    for (const EvictionPlan& plan : plans) {
      check_method(plan.method);
      m_stages_of.push_back(intern(m_stages, ScoreStages(plan.method)));
      m_two_stage = m_two_stage || plan.method.two_stage;
      m_results.push_back(start(plan));
    }
    m_totals.resize(plans.size());
  }

  std::vector<EvictionResult> run(const Progress& progress) {
    for (std::size_t i = 0; i < m_indices.size(); ++i) {
      const traces::TraceLayer layer = m_trace.layer(m_indices[i]);
      if (layer.spec.attention.sliding_window) {
        for (EvictionResult& result : m_results) {
          result.layers.push_back({.layer = layer.layer, .touched = false});
        }
      } else {
        run_layer(layer);
        m_trace.release(layer);
      }
      if (progress) {
        progress(static_cast<double>(i + 1) / static_cast<double>(m_indices.size()));
      }
      if (m_options.partial && i + 1 < m_indices.size()) {
        for (EvictionResult& result : m_results) {
          result.summary = summarise(result.layers);
        }
        m_options.partial(m_results);
      }
    }
    for (std::size_t p = 0; p < m_results.size(); ++p) {
      EvictionResult& result = m_results[p];
      const Totals& totals = m_totals[p];
      if (totals.own != totals.uniform) {
        result.warnings.push_back(
            fmt::format("the replayed layers keep {} tokens, their uniform twin {}: the ratio is "
                        "not at the same total",
                        totals.own, totals.uniform));
      }
      result.summary = summarise(result.layers);
      if (result.summary.ratio.layers == 0) {
        result.warnings.emplace_back(
            "every replayed layer has a sliding window and was left whole");
      }
    }
    return std::move(m_results);
  }

 private:
  /// Tokens kept over all layers and units.
  struct Totals {
    std::int64_t own = 0;
    std::int64_t uniform = 0;
  };

  [[nodiscard]] EvictionResult start(const EvictionPlan& plan) const {
    const traces::TraceHeader& header = m_trace.header();
    EvictionResult result;
    result.plan = plan;
    result.method_name = plan.method.name;
    result.losses = m_options.losses;
    result.bound = m_bound;
    result.backend = m_options.backend;
    result.queries_used = queries_needed(m_trace, ScoreStages(plan.method));
    result.budget_tokens = plan.budget.tokens_per_head(header, plan.method.granularity);
    if (plan.method.scorer == Scorer::kAttentionSum &&
        m_trace.prompt_queries() < header.prompt_tokens) {
      result.method_name += "-window";
      result.warnings.push_back(
          fmt::format("H2O saw the last {} of {} prompt queries (record with --prompt-queries all "
                      "for the rest)",
                      m_trace.prompt_queries(), header.prompt_tokens));
    }
    if (plan.method.scorer != Scorer::kNone && result.budget_tokens <= plan.method.window) {
      result.warnings.push_back(
          fmt::format("a budget of {} tokens is at most the window of {}: only the window is kept",
                      result.budget_tokens, plan.method.window));
    }
    if (plan.method.adaptive && plan.method.granularity == Granularity::kKvHead &&
        header.model.kv_heads == 1) {
      result.warnings.emplace_back(
          "with one KV head there is nothing to share out: try --granularity query");
    }
    if (header.decode_tokens == 0) {
      result.warnings.emplace_back(
          "the trace has no decode steps: losses on unseen queries are absent");
    }
    return result;
  }

  void run_layer(const traces::TraceLayer& layer) {
    const traces::TraceHeader& header = m_trace.header();
    const kernels::RopePhases& phases = m_phases.get(layer.spec.rope);
    m_engine->set_layer({layer.q, layer.k, layer.v, layer.wo, m_trace.query_positions(), &phases,
                         layer.spec.attention, header.prompt_tokens});
    const std::vector<UnitScores> scores = score_layer(m_trace, layer, m_stages, *m_engine);
    for (const UnitScores& unit_scores : scores) {
      require_finite(layer, std::all_of(unit_scores.data.begin(), unit_scores.data.end(),
                                        [](float score) { return std::isfinite(score); }));
    }
    std::optional<ValueNorms> norms;
    if (m_bound || m_two_stage) {
      norms = layer_value_norms(header, *m_engine);
    }
    const LayerSelections chosen = select(layer, scores, norms ? &*norms : nullptr);
    const ValueNorms* bound_norms = m_bound ? &*norms : nullptr;
    const auto measure = [&](std::int64_t first, std::int64_t count) {
      std::vector<SelectionLoss> losses = measure_layer(m_trace, chosen.selections, bound_norms,
                                                        m_projected, first, count, *m_engine);
      require_finite(layer, std::all_of(losses.begin(), losses.end(), is_finite));
      return losses;
    };
    const std::int64_t observed = m_options.detail == EvictionDetail::kFull
                                      ? std::min(max_window(), m_trace.prompt_queries())
                                      : 0;
    const std::vector<SelectionLoss> losses =
        measure(m_trace.prompt_queries() - observed, observed);
    const std::vector<SelectionLoss> decode_losses =
        measure(m_trace.prompt_queries(), header.decode_tokens);
    for (std::size_t p = 0; p < m_plans.size(); ++p) {
      const std::size_t own = chosen.own[p];
      const std::size_t uniform = chosen.uniform[p];
      m_totals[p].own += count_kept(chosen.selections[own]);
      m_totals[p].uniform += count_kept(chosen.selections[uniform]);
      m_results[p].layers.push_back(
          make_layer(layer.layer, m_plans[p].method, chosen.selections[own], decode_losses[own],
                     decode_losses[uniform], losses[own], losses[uniform]));
    }
  }

  /// What all plans and their uniform twins keep of a layer.
  struct LayerSelections {
    std::vector<Selection> selections;
    std::vector<std::size_t> own;      // of each plan
    std::vector<std::size_t> uniform;  // of its twin
  };

  [[nodiscard]] LayerSelections select(const traces::TraceLayer& layer,
                                       const std::vector<UnitScores>& scores,
                                       const ValueNorms* norms) {
    const traces::TraceHeader& header = m_trace.header();
    LayerSelections chosen;
    std::map<SelectionKey, std::size_t> known;
    std::map<std::int64_t, std::vector<float>> means;  // value norms of units, by their number
    std::vector<kernels::SelectionRequest> requests;
    for (std::size_t p = 0; p < m_plans.size(); ++p) {
      const EvictionMethod& method = m_plans[p].method;
      const UnitScores& unit_scores = scores[m_stages_of[p]];
      const BudgetSplit split =
          split_budget(header.prompt_tokens, m_results[p].budget_tokens, method);
      kernels::MatrixView<const float> norm_rows;
      if (method.two_stage) {
        std::vector<float>& rows = means[unit_scores.units];
        if (rows.empty()) {
          rows = unit_norms(*norms, unit_scores.units);
        }
        norm_rows = {rows.data(), unit_scores.units, norms->tokens};
      }
      const auto add = [&](std::int64_t tokens, bool adaptive) {
        const kernels::SelectionRequest request = selection_request(
            unit_scores.view(), norm_rows, header.prompt_tokens, split, tokens, method, adaptive);
        const auto [found, is_new] =
            known.try_emplace({m_stages_of[p], request.window, request.sinks, request.budget,
                               request.two_stage, request.allocation},
                              requests.size());
        if (is_new) {
          requests.push_back(request);
          chosen.selections.push_back({method.granularity, {}});
        }
        return found->second;
      };
      chosen.own.push_back(
          add(layer_budget(header.model, layer.layer, split, method.layer_rule), method.adaptive));
      chosen.uniform.push_back(add(split.free, false));
    }
    std::vector<kernels::KeptTokens> kept = m_engine->select(requests);
    for (std::size_t s = 0; s < kept.size(); ++s) {
      chosen.selections[s].kept = std::move(kept[s]);
    }
    return chosen;
  }

  /// One value that is not finite would turn every figure of the layer into NaN.
  void require_finite(const traces::TraceLayer& layer, bool finite) const {
    if (!finite) {
      throw Error(ErrorKind::kBadInput,
                  fmt::format("{}: layer {} holds values that are not finite, or attention over "
                              "them overflows",
                              m_trace.path().string(), layer.layer),
                  "`kvsieve check` names the tensors");
    }
  }

  [[nodiscard]] std::int64_t max_window() const {
    std::int64_t window = 0;
    for (const EvictionPlan& plan : m_plans) {
      window = std::max(window, plan.method.window);
    }
    return window;
  }

  [[nodiscard]] LayerEviction make_layer(std::int64_t number, const EvictionMethod& method,
                                         const Selection& selection, const SelectionLoss& decode,
                                         const SelectionLoss& uniform,
                                         const SelectionLoss& observation,
                                         const SelectionLoss& observation_uniform) const {
    LayerEviction layer;
    layer.layer = number;
    for (std::size_t unit = 0; unit < selection.kept.size(); ++unit) {
      HeadEviction head;
      head.head = static_cast<std::int64_t>(unit);
      const std::vector<std::int32_t>& kept = selection.kept[unit];
      head.budget = static_cast<std::int64_t>(kept.size());
      head.evicted_mass = decode.units[unit].evicted_mass;
      head.l1_loss = decode.units[unit].l1_loss;
      if (const auto& needle = m_trace.header().needle) {
        head.needle_kept = std::count_if(kept.begin(), kept.end(), [&](std::int32_t j) {
          return j >= needle->begin && j < needle->end;
        });
      }
      if (m_options.detail == EvictionDetail::kFull) {
        head.kept = kept;
      }
      layer.budget_total += head.budget;
      layer.heads.push_back(std::move(head));
    }
    if (m_options.detail == EvictionDetail::kFull) {
      layer.queries = decode.queries;
    }
    if (!decode.queries.empty()) {
      layer.decode = mean_figures(decode.queries);
      layer.uniform = mean_figures(uniform.queries);
    }
    // Plans with a smaller window observe only the end of the measured stretch.
    const auto observed =
        std::min<std::size_t>(observation.queries.size(), static_cast<std::size_t>(method.window));
    if (observed > 0) {
      layer.observation = mean_figures(std::span(observation.queries).last(observed));
      layer.observation_uniform =
          mean_figures(std::span(observation_uniform.queries).last(observed));
    }
    return layer;
  }

  const traces::Trace& m_trace;
  std::span<const EvictionPlan> m_plans;
  const EvictionOptions& m_options;
  std::vector<std::size_t> m_indices;
  PhaseCache m_phases;
  std::unique_ptr<kernels::EvictionEngine> m_engine;
  bool m_projected;
  bool m_bound;
  std::vector<ScoreStages> m_stages;
  std::vector<std::size_t> m_stages_of;  // plan -> index into m_stages
  bool m_two_stage = false;
  std::vector<EvictionResult> m_results;
  std::vector<Totals> m_totals;  // of each plan
};

}  // namespace

std::string_view name_of(Losses losses) noexcept {
  return losses == Losses::kMass ? "mass" : "projected";
}

Losses losses_from_name(std::string_view name) {
  for (const Losses losses : {Losses::kMass, Losses::kProjected}) {
    if (name == name_of(losses)) {
      return losses;
    }
  }
  throw Error(ErrorKind::kUsage,
              fmt::format("--losses '{}' is unknown, supported: mass, projected", name));
}

std::vector<std::size_t> captured_indices(const traces::Trace& trace,
                                          std::span<const std::int64_t> layers) {
  const auto& captured = trace.header().captured_layers;
  std::vector<std::size_t> indices;
  for (const std::int64_t layer : layers) {
    const auto found = trace.find_layer(layer);
    if (!found) {
      throw Error(ErrorKind::kUsage,
                  fmt::format("{}: layer {} was not captured, the trace has {}",
                              trace.path().string(), layer, fmt::join(captured, ", ")));
    }
    indices.push_back(*found);
  }
  for (std::size_t i = 0; layers.empty() && i < captured.size(); ++i) {
    indices.push_back(i);
  }
  return indices;
}

std::vector<EvictionResult> replay_eviction(const traces::Trace& trace,
                                            std::span<const EvictionPlan> plans,
                                            const EvictionOptions& options,
                                            const Progress& progress) {
  return EvictionReplay(trace, plans, options).run(progress);
}

}  // namespace kvsieve::sim
