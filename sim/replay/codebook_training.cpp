#include <fmt/format.h>

#include <algorithm>

#include "kvsieve/kernels/head_tensors.h"
#include "kvsieve/kernels/windowed_rope.h"
#include "kvsieve/sim/version.h"
#include "kvsieve/traces/error.h"
#include "replay/codebook_builder.h"
#include "replay/head_codebook.h"

namespace kvsieve::sim {
namespace {

using kernels::HeadSlice;
using kernels::MatrixView;

// Query rows a dimension below which a second moment is mostly noise.
constexpr std::int64_t kQueryRowsPerDimension = 16;
// Queries rotated and summed together: bounds their fp32 copy.
constexpr std::int64_t kQueriesPerBlock = 8192;

std::int64_t prompt_rows(std::span<const traces::Trace* const> traces) {
  std::int64_t rows = 0;
  for (const traces::Trace* trace : traces) {
    rows += trace->header().prompt_tokens;
  }
  return rows;
}

std::int64_t group_query_rows(std::span<const traces::Trace* const> traces) {
  std::int64_t rows = 0;
  for (const traces::Trace* trace : traces) {
    rows += trace->prompt_queries() * trace->header().model.group();
  }
  return rows;
}

traces::TraceLayer layer_of(const traces::Trace& trace, std::int64_t layer) {
  const auto index = trace.find_layer(layer);
  if (!index) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("{}: layer {} was not captured", trace.path().string(), layer));
  }
  return trace.layer(*index);
}

/// Prompt keys of all traces, one after the other, [rows, d].
std::vector<float> load_keys(std::span<const traces::Trace* const> traces, std::int64_t layer,
                             std::int64_t kv_head, std::int64_t d) {
  std::vector<float> keys(static_cast<std::size_t>(prompt_rows(traces) * d));
  float* next = keys.data();
  for (const traces::Trace* trace : traces) {
    const std::int64_t rows = trace->header().prompt_tokens;
    kernels::load_rows(HeadSlice(layer_of(*trace, layer).k, kv_head), 0, {next, rows, d});
    next += rows * d;
  }
  return keys;
}

void add_queries(const traces::Trace& trace, std::int64_t layer_number, std::int64_t q_head,
                 const CodebookOptions& options, kernels::QueryMoment& moment) {
  const traces::TraceLayer layer = layer_of(trace, layer_number);
  const std::int64_t d = moment.head_dim();
  const traces::RopeTable rope(layer.spec.rope, d);
  const std::int64_t queries = trace.prompt_queries();
  std::vector<float> rows(static_cast<std::size_t>(std::min(queries, kQueriesPerBlock) * d));
  for (std::int64_t first = 0; first < queries; first += kQueriesPerBlock) {
    const MatrixView<float> block(rows.data(), std::min(kQueriesPerBlock, queries - first), d);
    kernels::load_rows(HeadSlice(layer.q, q_head), first, block);
    if (options.moment == MomentQueries::kWrope) {
      kernels::rotate_to_distance(rope, options.distance, block);
    } else {
      for (std::int64_t r = 0; r < block.rows; ++r) {
        rope.rotate(trace.query_positions()[static_cast<std::size_t>(first + r)], block.row(r));
      }
    }
    moment.add(block);
  }
}

void check_options(const CodebookOptions& options) {
  if (options.codewords < 0 || options.codewords > 65536) {
    throw Error(ErrorKind::kUsage, fmt::format("--codewords is {}, expected 1 to 65536, or 0 for "
                                               "as many as the rows allow",
                                               options.codewords));
  }
  if (options.distance < 0 || options.distance > INT32_MAX) {
    throw Error(ErrorKind::kUsage,
                fmt::format("--distance is {}, expected 0 to 2^31 - 1", options.distance));
  }
}

void check_same_model(std::span<const traces::Trace* const> traces) {
  if (traces.empty()) {
    throw Error(ErrorKind::kUsage, "a codebook needs at least one trace");
  }
  const traces::ModelShape& first = traces.front()->header().model;
  for (const traces::Trace* trace : traces.subspan(1)) {
    const traces::ModelShape& model = trace->header().model;
    if (model.name != first.name || model.layers != first.layers ||
        model.q_heads != first.q_heads || model.kv_heads != first.kv_heads ||
        model.head_dim != first.head_dim || !(model.defaults == first.defaults) ||
        model.layer_overrides != first.layer_overrides) {
      throw Error(ErrorKind::kBadInput,
                  fmt::format("{}: its model {} is not the {} of {}", trace->path().string(),
                              model.name, first.name, traces.front()->path().string()));
    }
  }
}

}  // namespace

CodebookInfo describe_training(std::span<const traces::Trace* const> traces,
                               const CodebookOptions& options) {
  check_options(options);
  check_same_model(traces);
  CodebookInfo info;
  info.model = traces.front()->header().model;
  info.kind = options.kind;
  info.moment = options.moment;
  const std::int64_t rows = prompt_rows(traces);
  info.codewords = options.codewords > 0 ? options.codewords : auto_codewords(rows);
  info.distance = options.distance;
  info.max_iterations = options.max_iterations;
  info.tolerance = options.tolerance;
  info.seed = options.seed;
  info.seeding = options.seeding;
  info.tool_version = version();
  for (const traces::Trace* trace : traces) {
    info.traces.push_back({trace->path().filename().string(), trace->hash(),
                           trace->header().prompt_tokens, trace->prompt_queries()});
  }
  if (rows < info.codewords) {
    info.warnings.push_back(fmt::format("{} codewords for {} calibration keys: some stay unused",
                                        info.codewords, rows));
  }
  if (options.kind == CodebookKind::kQueryAware) {
    const std::int64_t queries = group_query_rows(traces);
    const std::int64_t wanted = kQueryRowsPerDimension * info.model.head_dim;
    if (queries == 0) {
      throw Error(ErrorKind::kBadInput,
                  fmt::format("{}: a query-aware codebook needs captured prompt queries, the trace "
                              "has none",
                              traces.front()->path().string()),
                  "record with --prompt-queries all, or train a plain codebook");
    }
    if (queries < wanted) {
      info.warnings.push_back(
          fmt::format("{} captured query rows a group are under 16 d = {}: the query-aware metric "
                      "is noisy (record with --prompt-queries all)",
                      queries, wanted));
    }
  }
  return info;
}

TrainedHead train_head(std::span<const traces::Trace* const> traces, std::int64_t layer,
                       std::int64_t kv_head, const CodebookOptions& options,
                       const Progress& progress) {
  const traces::ModelShape& model = traces.front()->header().model;
  const std::int64_t d = model.head_dim;
  try {
    kernels::CholeskyFactor factor = kernels::identity_factor(d);
    TrainedHead trained;
    if (options.kind == CodebookKind::kQueryAware) {
      kernels::QueryMoment moment(d);
      for (const traces::Trace* trace : traces) {
        for (std::int64_t member = 0; member < model.group(); ++member) {
          add_queries(*trace, layer, kv_head * model.group() + member, options, moment);
        }
      }
      factor = kernels::factorise(moment);
      trained.record.query_rows = moment.rows();
    }
    const std::vector<float> keys = load_keys(traces, layer, kv_head, d);
    const auto rows = static_cast<std::int64_t>(keys.size()) / d;
    kernels::KMeansOptions kmeans{.clusters = options.codewords,
                                  .max_iterations = options.max_iterations,
                                  .tolerance = options.tolerance,
                                  .seed = options.seed,
                                  .seeding = options.seeding == CodebookSeeding::kSampled
                                                 ? kernels::KMeansSeeding::kSampled
                                                 : kernels::KMeansSeeding::kPlusPlus};
    if (progress) {
      kmeans.progress = [&](std::int64_t iteration) {
        progress(static_cast<double>(iteration) / static_cast<double>(options.max_iterations));
      };
    }
    trained.codebook =
        kernels::train_codebook(MatrixView<const float>(keys.data(), rows, d), factor, kmeans);
    const kernels::KMeansResult& clustering = trained.codebook.clustering;
    trained.record.rows = rows;
    trained.record.iterations = clustering.iterations;
    trained.record.converged = clustering.converged;
    trained.record.reseeded = clustering.reseeded;
    trained.record.dead_codes = clustering.dead_codes;
    trained.record.condition_number = factor.condition_number;
    trained.record.objective = clustering.objective;
    return trained;
  } catch (const Error& error) {
    throw Error(error.kind(), fmt::format("layer {}, KV head {}: {}", layer, kv_head, error.what()),
                error.hint());
  }
}

Codebook train_codebook(std::span<const traces::Trace* const> traces,
                        const CodebookOptions& options, const Progress& progress) {
  const CodebookInfo info = describe_training(traces, options);
  CodebookOptions resolved = options;
  resolved.codewords = info.codewords;
  std::vector<std::int64_t> layers;
  for (const std::size_t index : captured_indices(*traces.front(), options.layers)) {
    const traces::TraceLayer layer = traces.front()->layer(index);
    if (!layer.spec.attention.sliding_window) {
      layers.push_back(layer.layer);
    }
  }
  if (layers.empty()) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("{}: every chosen layer has a sliding window, which no codebook serves",
                            traces.front()->path().string()));
  }
  std::sort(layers.begin(), layers.end());
  layers.erase(std::unique(layers.begin(), layers.end()), layers.end());
  CodebookBuilder builder(info);
  const std::int64_t heads = info.model.kv_heads;
  const auto total = static_cast<double>(layers.size()) * static_cast<double>(heads);
  double finished = 0.0;
  for (const std::int64_t layer : layers) {
    builder.add_layer(layer);
    for (std::int64_t kv_head = 0; kv_head < heads; ++kv_head) {
      const auto progress_of_head = [&](double share) {
        if (progress) {
          progress((finished + share) / total);
        }
      };
      TrainedHead trained = train_head(traces, layer, kv_head, resolved, progress_of_head);
      builder.set_head(kv_head, trained.codebook, std::move(trained.record));
      finished += 1.0;
      if (progress) {
        progress(finished / total);
      }
    }
    for (const traces::Trace* trace : traces) {
      trace->release(layer_of(*trace, layer));
    }
  }
  return builder.finish();
}

}  // namespace kvsieve::sim
