#include "replay/retrieval_figures.h"

#include <algorithm>

#include "kvsieve/kernels/retrieval_ledger.h"

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
  const kernels::LedgerShape head{1, context.group, 1, context.head_dim, context.element_bytes};
  for (const Placement placement : kernels::kPlacements) {
    const std::int64_t misses =
        step.union_tokens - (placement == Placement::kFetchHotBuffer ? step.hot_hits : 0);
    const kernels::StepTraffic traffic =
        kernels::step_traffic(head, placement, step.union_tokens, misses, step.fetch_pieces);
    add(sum.pcie[static_cast<std::size_t>(placement)],
        {static_cast<double>(traffic.to_gpu_bytes), static_cast<double>(traffic.to_host_bytes),
         static_cast<double>(traffic.copies - kernels::messages(placement))});
  }
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
  for (PcieTraffic& traffic : figures.pcie) {
    divide(traffic, count);
  }
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
    for (std::size_t p = 0; p < mean.pcie.size(); ++p) {
      add(mean.pcie[p], part.pcie[p]);
    }
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
