#include "replay/replay_codebook.h"

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

}  // namespace kvsieve::sim
