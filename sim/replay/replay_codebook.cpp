#include "replay/replay_codebook.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <optional>
#include <vector>

#include "kvsieve/traces/error.h"
#include "replay/float_rows.h"
#include "replay/head_codebook.h"

namespace kvsieve::sim {

CodebookKind kind_of(RetrievalScorer scorer) {
  switch (scorer) {
    case RetrievalScorer::kVqPlain:
      return CodebookKind::kPlain;
    case RetrievalScorer::kVqPostRope:
      return CodebookKind::kPostRope;
    default:
      return CodebookKind::kQueryAware;
  }
}

CodebookOptions training_options(const RetrievalOptions& options) {
  CodebookOptions training;
  training.kind = kind_of(options.scorer);
  training.moment = options.moment;
  training.center_keys = options.center_keys;
  training.codewords = options.codewords;
  training.max_iterations = options.max_iterations;
  training.distance = options.distance;
  training.seed = options.seed;
  return training;
}

void check_codebook(const traces::Trace& trace, const RetrievalOptions& options,
                    std::span<const std::size_t> indices) {
  const Codebook& codebook = *options.codebook;
  codebook.check_serves(trace.header().model);
  if (codebook.info().kind != kind_of(options.scorer)) {
    throw Error(ErrorKind::kUsage,
                fmt::format("the codebook is {}, the scorer {} wants a {} one",
                            name_of(codebook.info().kind), name_of(options.scorer),
                            name_of(kind_of(options.scorer))));
  }
  for (const std::size_t index : indices) {
    const traces::TraceLayer layer = trace.layer(index);
    if (!layer.spec.attention.sliding_window && codebook.find(layer.layer) == nullptr) {
      std::vector<std::int64_t> numbers;
      for (const CodebookLayer& known : codebook.layers()) {
        numbers.push_back(known.layer);
      }
      throw Error(ErrorKind::kBadInput, fmt::format("the codebook has no layer {}, only {}",
                                                    layer.layer, fmt::join(numbers, ", ")));
    }
  }
}

CodedHead code_head(const traces::Trace& trace, const traces::TraceLayer& layer,
                    std::int64_t kv_head, const kernels::RopePhases& phases,
                    const RetrievalOptions& options, std::int64_t codewords,
                    const Progress& progress) {
  std::optional<FloatRows> rotated;
  if (options.scorer == RetrievalScorer::kVqPostRope) {
    rotated.emplace(kernels::HeadSlice(layer.k, kv_head), &phases);
  }
  const kernels::HeadSlice keys = rotated ? rotated->head() : kernels::HeadSlice(layer.k, kv_head);
  if (options.codebook != nullptr) {
    const CodebookLayer& book = *options.codebook->find(layer.layer);
    std::optional<FloatRows> mean;
    if (options.codebook->info().center_keys) {
      mean.emplace(kernels::HeadSlice(book.mean, kv_head), nullptr);
    }
    try {
      return {{{.codewords = kernels::HeadSlice(book.codewords, kv_head),
                .cholesky = kernels::HeadSlice(book.cholesky, kv_head),
                .mean = mean ? std::span<const float>(mean->values) : std::span<const float>(),
                .dtype = options.codebook_dtype},
               keys},
              book.heads[static_cast<std::size_t>(kv_head)]};
    } catch (const Error& error) {
      throw Error(error.kind(), fmt::format("codebook, layer {}, KV head {}: {}", layer.layer,
                                            kv_head, error.what()));
    }
  }
  CodebookOptions training = training_options(options);
  training.codewords = codewords;
  const traces::Trace* traces[] = {&trace};
  TrainedHead trained = train_head(traces, layer.layer, kv_head, training, progress);
  const std::int64_t d = trace.header().model.head_dim;
  return {{{.codewords = head_of(trained.codebook.codewords, codewords, d),
            .cholesky = head_of(trained.codebook.cholesky, d, d),
            .mean = trained.mean,
            .dtype = options.codebook_dtype},
           keys},
          std::move(trained.record)};
}

}  // namespace kvsieve::sim
