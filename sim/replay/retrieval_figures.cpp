#include "replay/retrieval_figures.h"

#include <algorithm>

namespace kvsieve::sim {
namespace {

/// A mean over the values that exist; absent if none does.
class Mean {
 public:
  void add(double value) {
    m_sum += value;
    m_count += 1.0;
  }
  void add(const std::optional<double>& value) {
    if (value) {
      add(*value);
    }
  }
  [[nodiscard]] std::optional<double> value() const {
    return m_count > 0.0 ? std::optional(m_sum / m_count) : std::nullopt;
  }

 private:
  double m_sum = 0.0;
  double m_count = 0.0;
};

std::optional<double> ratio(double part, double whole) {
  return whole > 0.0 ? std::optional(part / whole) : std::nullopt;
}

void add(PcieTraffic& sum, const PcieTraffic& part) {
  sum.to_gpu_bytes += part.to_gpu_bytes;
  sum.to_host_bytes += part.to_host_bytes;
  sum.pieces += part.pieces;
}

/// Adds one step's bytes: whole numbers, so that sums are exact.
void add_step(RetrievalFigures& sum, const HeadStep& step, const FigureContext& context) {
  const std::int64_t d = context.head_dim;
  const std::int64_t e = context.element_bytes;
  const auto traffic = [](std::int64_t to_gpu, std::int64_t to_host, std::int64_t pieces) {
    return PcieTraffic{static_cast<double>(to_gpu), static_cast<double>(to_host),
                       static_cast<double>(pieces)};
  };
  add(sum.fetch, traffic(fetch_bytes(step.union_tokens - step.hot_hits, d, e), append_bytes(d, e),
                         step.fetch_pieces));
  add(sum.cpu_attention,
      traffic(cpu_attention_to_gpu_bytes(context.group, d, e),
              cpu_attention_to_host_bytes(step.union_tokens, context.group, d, e), 2));
}

void divide(PcieTraffic& sum, double count) {
  sum.to_gpu_bytes /= count;
  sum.to_host_bytes /= count;
  sum.pieces /= count;
}

std::optional<ScoreError> mean_error(std::span<const RetrievalFigures> parts,
                                     std::optional<ScoreError> RetrievalFigures::*field) {
  Mean mse;
  Mean nmse;
  for (const RetrievalFigures& part : parts) {
    if (const auto& error = part.*field) {
      mse.add(error->mse);
      nmse.add(error->nmse);
    }
  }
  if (!mse.value()) {
    return std::nullopt;
  }
  return ScoreError{*mse.value(), nmse.value()};
}

}  // namespace

FigureContext::FigureContext(const traces::TraceHeader& header, const RetrievalOptions& options)
    : group(header.model.group()),
      head_dim(header.model.head_dim),
      element_bytes(static_cast<std::int64_t>(traces::size_of(header.dtype))),
      retrieves(options.scorer != RetrievalScorer::kNone),
      hot_buffer(retrieves && options.hot_buffer > 0) {}

RetrievalFigures figures_of(std::span<const HeadStep> steps, const FigureContext& context) {
  RetrievalFigures figures;
  Mean recall;
  Mean recall_vs_wrope;
  Mean wrope_recall;
  Mean selected;
  Mean union_factor;
  Mean ties;
  Mean overlap;
  double hits = 0.0;
  double wanted = 0.0;
  double needle_retrieved = 0.0;
  double needle_eligible = 0.0;
  for (const HeadStep& step : steps) {
    if (step.selected > 0.0) {
      recall.add(step.recall);
      recall_vs_wrope.add(step.recall_vs_wrope);
      wrope_recall.add(step.wrope_recall);
      union_factor.add(static_cast<double>(step.union_tokens) / step.selected);
      ties.add(step.boundary_ties);
    }
    overlap.add(step.overlap);
    figures.captured_mass += step.captured_mass;
    figures.retrieved_mass += step.retrieved_mass;
    figures.output_error += step.output_error;
    figures.attended_tokens += static_cast<double>(step.attended);
    figures.union_tokens += static_cast<double>(step.union_tokens);
    hits += static_cast<double>(step.hot_hits);
    wanted += static_cast<double>(step.union_tokens);
    needle_retrieved += static_cast<double>(step.needle_retrieved);
    needle_eligible += static_cast<double>(step.needle_eligible);
    if (context.retrieves) {
      selected.add(step.selected);
      figures.index_read_bytes += context.index.read(step.eligible);
      add_step(figures, step, context);
    }
  }
  const auto count = static_cast<double>(std::max<std::size_t>(1, steps.size()));
  for (double* sum : {&figures.captured_mass, &figures.retrieved_mass, &figures.output_error,
                      &figures.attended_tokens, &figures.union_tokens, &figures.index_read_bytes}) {
    *sum /= count;
  }
  divide(figures.fetch, count);
  divide(figures.cpu_attention, count);
  figures.recall = recall.value();
  figures.recall_vs_wrope = recall_vs_wrope.value();
  figures.wrope_recall = wrope_recall.value();
  figures.selected_tokens = selected.value();
  figures.union_factor = union_factor.value();
  figures.boundary_ties = ties.value();
  figures.overlap = overlap.value();
  if (context.hot_buffer) {
    figures.hot_hit_rate = ratio(hits, wanted);
  }
  figures.needle_recall = ratio(needle_retrieved, needle_eligible);
  return figures;
}

RetrievalFigures mean_figures(std::span<const RetrievalFigures> parts) {
  RetrievalFigures mean;
  for (const auto field : {&RetrievalFigures::recall, &RetrievalFigures::recall_vs_wrope,
                           &RetrievalFigures::wrope_recall, &RetrievalFigures::selected_tokens,
                           &RetrievalFigures::union_factor, &RetrievalFigures::boundary_ties,
                           &RetrievalFigures::overlap, &RetrievalFigures::hot_hit_rate,
                           &RetrievalFigures::needle_recall}) {
    Mean values;
    for (const RetrievalFigures& part : parts) {
      values.add(part.*field);
    }
    mean.*field = values.value();
  }
  for (const auto field : {&RetrievalFigures::captured_mass, &RetrievalFigures::retrieved_mass,
                           &RetrievalFigures::output_error, &RetrievalFigures::attended_tokens,
                           &RetrievalFigures::union_tokens}) {
    Mean values;
    for (const RetrievalFigures& part : parts) {
      values.add(part.*field);
    }
    mean.*field = values.value().value_or(0.0);
  }
  mean.wrope_error = mean_error(parts, &RetrievalFigures::wrope_error);
  mean.vq_error = mean_error(parts, &RetrievalFigures::vq_error);
  mean.score_error = mean_error(parts, &RetrievalFigures::score_error);
  for (const RetrievalFigures& part : parts) {
    mean.index_read_bytes += part.index_read_bytes;
    add(mean.fetch, part.fetch);
    add(mean.cpu_attention, part.cpu_attention);
  }
  return mean;
}

ProjectedLoss mean_loss(std::span<const ProjectedLoss> parts) {
  ProjectedLoss mean;
  for (const auto field :
       {&ProjectedLoss::output_error, &ProjectedLoss::l1_loss, &ProjectedLoss::l1_loss_relative}) {
    for (const ProjectedLoss& part : parts) {
      mean.*field += part.*field / static_cast<double>(parts.size());
    }
  }
  return mean;
}

}  // namespace kvsieve::sim
