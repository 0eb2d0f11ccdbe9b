#include "core/score_scatter.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "core/retrieval_options.h"
#include "kvsieve/kernels/score_lookup.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::gui {

RunScores::RunScores(std::shared_ptr<const traces::Trace> trace, const Run& run, const HeadId& head,
                     const JobControl& control)
    : m_trace(std::move(trace)),
      m_head(head),
      m_method(run.view().method_name),
      m_scores(*m_trace, retrieval_options(run), head.layer, head.head,
               [&](double share) { control.progress(share); }),
      m_code_counts(m_scores.code_counts().begin(), m_scores.code_counts().end()) {
  std::sort(m_code_counts.begin(), m_code_counts.end(), std::greater<>());
}

ScoreScatter RunScores::at(std::int64_t q_head, std::int64_t step) const {
  const sim::ScoreSamples samples = m_scores.at(q_head, step);
  ScoreScatter scatter;
  scatter.eligible = static_cast<std::int64_t>(samples.exact.size());
  scatter.selected = static_cast<std::int64_t>(samples.selected.size());
  scatter.recall = sim::recall_of(samples);
  if (m_scores.estimates() && !samples.exact.empty()) {
    const kernels::ScoreErrorSums error = kernels::score_error(samples.exact, samples.approximate);
    scatter.mse = error.squared_error / static_cast<double>(error.tokens);
  }
  PointChart& chart = scatter.chart;
  chart.x = {.name = "exact score u"};
  chart.y = {.name = fmt::format("score û of {}", m_method)};
  chart.id_name = "token";
  chart.diagonal = m_scores.estimates();
  PointChart::Cloud left{.name = "not selected", .ink = sim::Ink::kGrey};
  PointChart::Cloud selected{.name = "selected", .ink = sim::Ink::kWarm, .keeps_all = true};
  for (std::size_t i = 0; i < samples.exact.size(); ++i) {
    const std::int64_t token = samples.first_token + static_cast<std::int64_t>(i);
    const bool chosen = std::binary_search(samples.selected.begin(), samples.selected.end(), token);
    PointChart::Cloud& cloud = chosen ? selected : left;
    cloud.ids.push_back(token);
    cloud.x.push_back(samples.exact[i]);
    cloud.y.push_back(samples.approximate[i]);
  }
  chart.clouds = {std::move(left), std::move(selected)};
  return scatter;
}

void require_trace_of(const traces::Trace& trace, const Run& run) {
  if (trace.hash() != run.view().trace.hash) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("the open trace {} is not the one that the run was made on ({})",
                            trace.path().filename().string(), run.view().trace.file),
                "open that trace beside the run");
  }
}

sim::LineChart codeword_counts(const std::vector<std::int64_t>& counts) {
  sim::LineChart chart;
  chart.x_name = "codeword, the most used first";
  chart.unit = sim::Unit::kTokens;
  if (counts.empty()) {
    return chart;
  }
  const double mean =
      static_cast<double>(std::accumulate(counts.begin(), counts.end(), std::int64_t{0})) /
      static_cast<double>(counts.size());
  sim::Series tokens{"tokens with this codeword", {}, sim::Ink::kAccent};
  sim::Series even{"even use", {}, sim::Ink::kGrey};
  for (std::size_t i = 0; i < counts.size(); ++i) {
    chart.x.push_back(static_cast<double>(i + 1));
    tokens.values.emplace_back(static_cast<double>(counts[i]));
    even.values.emplace_back(mean);
  }
  chart.series = {std::move(tokens), std::move(even)};
  return chart;
}

}  // namespace kvsieve::gui
