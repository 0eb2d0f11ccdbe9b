#include "cost/prompt_stages.h"

#include <algorithm>
#include <cmath>

#include "kvsieve/kernels/budget_allocation.h"
#include "kvsieve/kernels/cache_compaction.h"
#include "kvsieve/kernels/key_encoding.h"
#include "kvsieve/kernels/token_selection.h"
#include "kvsieve/kernels/window_scores.h"

namespace kvsieve::sim {
namespace {

using kernels::Work;

// Launches, fills of memory included.
constexpr double kScoreLaunches = 3.0;
constexpr double kAllocationLaunches = 8.0;
constexpr double kCompactionLaunches = 2.0;
/// Rows of one chunk are selected by one kernel, behind that which places them.
constexpr std::int64_t kSelectionChunkTokens = 8192;
constexpr double kChunkLaunches = 2.0;
constexpr double kSelectionLaunches = 7.0;
constexpr double kSecondStageLaunches = 5.0;

double bytes_of(const Work& work) {
  return static_cast<double>(work.bytes_read + work.bytes_written);
}

}  // namespace

double window_scores_us(const OperationTimes& gpu, const PromptHeads& heads, std::int64_t queries,
                        std::int64_t tokens, CostTerms* terms) {
  const Work scores = kernels::window_scores_work(heads.group, queries, tokens,
                                                  std::max<std::int64_t>(tokens - queries, 0),
                                                  heads.head_dim, heads.element_bytes);
  return gpu.kernel_us(heads.kv_heads * bytes_of(scores),
                       heads.kv_heads * static_cast<double>(scores.flops), kScoreLaunches, true,
                       terms);
}

double allocation_us(const OperationTimes& gpu, std::int64_t units, std::int64_t candidates) {
  return gpu.kernel_us(kernels::budget_allocation_work(units, candidates), kAllocationLaunches);
}

double selection_us(const OperationTimes& gpu, std::int64_t units, std::int64_t candidates,
                    std::int64_t chosen, bool two_stage) {
  const double launches = candidates <= kSelectionChunkTokens
                              ? kChunkLaunches
                              : kSelectionLaunches + (two_stage ? kSecondStageLaunches : 0.0);
  return gpu.kernel_us(kernels::token_selection_work(units * candidates, chosen), launches);
}

double compaction_us(const OperationTimes& gpu, const PromptHeads& heads, double kept_rows,
                     CostTerms* terms) {
  return gpu.kernel_us(
      kernels::compact_cache_work(std::llround(kept_rows), std::llround(heads.kv_heads),
                                  heads.head_dim, heads.element_bytes),
      kCompactionLaunches, false, terms);
}

double key_encoding_us(const OperationTimes& gpu, const PromptHeads& heads, double tokens,
                       std::int64_t codewords, CostTerms* terms) {
  const Work coding = kernels::key_encoding_work(std::llround(tokens), codewords, heads.head_dim,
                                                 heads.element_bytes);
  return gpu.kernel_us(heads.kv_heads * bytes_of(coding),
                       heads.kv_heads * static_cast<double>(coding.flops), 1.0, false, terms);
}

}  // namespace kvsieve::sim
