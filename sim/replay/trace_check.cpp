#include "kvsieve/sim/trace_check.h"

#include <fmt/format.h>

#include <cmath>

#include "kvsieve/kernels/eviction_loss.h"
#include "kvsieve/traces/error.h"
#include "replay/phase_cache.h"

namespace kvsieve::sim {
namespace {

using kernels::HeadSlice;

constexpr std::int64_t kQueriesPerChunk = 256;

std::int64_t count_nonfinite(const traces::TensorView& tensor) {
  const std::int64_t columns = tensor.shape[2];
  std::vector<float> row(static_cast<std::size_t>(columns));
  std::int64_t count = 0;
  for (std::int64_t head = 0; head < tensor.shape[0]; ++head) {
    const HeadSlice slice(tensor, head);
    for (std::int64_t r = 0; r < slice.rows; ++r) {
      kernels::load_rows(slice, r, {row.data(), 1, columns});
      for (const float value : row) {
        count += std::isfinite(value) ? 0 : 1;
      }
    }
  }
  return count;
}

/// ||replayed - captured||_F / ||captured||_F over the captured queries of a layer.
double output_error(const traces::Trace& trace, const traces::TraceLayer& layer,
                    const kernels::RopePhases& phases) {
  const traces::ModelShape& model = trace.header().model;
  const auto positions = trace.query_positions();
  const auto queries = static_cast<std::int64_t>(positions.size());
  kernels::HeadKeys keys;
  kernels::HeadValues values;
  kernels::HeadLoss loss;
  std::vector<float> rows;
  std::vector<float> captured(static_cast<std::size_t>(model.head_dim));
  double difference = 0.0;
  double norm = 0.0;
  for (std::int64_t kv_head = 0; kv_head < model.kv_heads; ++kv_head) {
    keys.load(HeadSlice(layer.k, kv_head), &phases);
    values.load(HeadSlice(layer.v, kv_head));
    for (std::int64_t first = 0; first < queries; first += kQueriesPerChunk) {
      const auto chunk =
          positions.subspan(static_cast<std::size_t>(first),
                            static_cast<std::size_t>(std::min(kQueriesPerChunk, queries - first)));
      const auto count = static_cast<std::int64_t>(chunk.size());
      kernels::load_group_queries(layer.q, kv_head, model.group(), first, chunk, phases, rows);
      kernels::HeadLossProblem problem;
      problem.queries = {rows.data(), model.group() * count, model.head_dim};
      problem.positions = chunk;
      problem.keys = &keys;
      problem.values = &values;
      problem.attention = layer.spec.attention;
      kernels::eviction_loss(problem, loss);
      for (std::int64_t member = 0; member < model.group(); ++member) {
        const HeadSlice out(*layer.out, kv_head * model.group() + member);
        for (std::int64_t r = 0; r < count; ++r) {
          kernels::load_rows(out, first + r, {captured.data(), 1, model.head_dim});
          const auto replayed = loss.output.matrix(member).row(r);
          for (std::size_t t = 0; t < captured.size(); ++t) {
            const double gap = static_cast<double>(replayed[t]) - static_cast<double>(captured[t]);
            difference += gap * gap;
            norm += static_cast<double>(captured[t]) * static_cast<double>(captured[t]);
          }
        }
      }
    }
  }
  return norm > 0.0 ? std::sqrt(difference / norm) : std::sqrt(difference);
}

}  // namespace

TraceCheck check_trace(const traces::Trace& trace, double tolerance, const Progress& progress) {
  TraceCheck check;
  check.tolerance = tolerance;
  check.passed = true;
  const std::size_t layers = trace.header().captured_layers.size();
  PhaseCache phases(trace.header().model.head_dim, trace.header().total_tokens());
  for (std::size_t i = 0; i < layers; ++i) {
    const traces::TraceLayer layer = trace.layer(i);
    LayerCheck verdict;
    verdict.layer = layer.layer;
    const auto inspect = [&](std::string_view part, const traces::TensorView& tensor) {
      if (const std::int64_t count = count_nonfinite(tensor); count > 0) {
        verdict.nonfinite.push_back(fmt::format(
            "{}: {} of {}", traces::tensor_name(layer.layer, part), count, tensor.elements()));
      }
    };
    inspect("k", layer.k);
    inspect("q", layer.q);
    inspect("v", layer.v);
    inspect("wo", layer.wo);
    if (layer.out) {
      inspect("out", *layer.out);
    }
    if (layer.out && verdict.nonfinite.empty()) {
      verdict.output_error = output_error(trace, layer, phases.get(layer.spec.rope));
    }
    verdict.passed =
        verdict.nonfinite.empty() && (!verdict.output_error || *verdict.output_error <= tolerance);
    check.passed = check.passed && verdict.passed;
    check.layers.push_back(std::move(verdict));
    trace.release(layer);
    if (progress) {
      progress(static_cast<double>(i + 1) / static_cast<double>(layers));
    }
  }
  return check;
}

}  // namespace kvsieve::sim
