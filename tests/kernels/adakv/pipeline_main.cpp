// Scores, budgets, kept tokens and losses of one fixed layer as JSON, for the instruction set that
// KVSIEVE_ISA names. Exit code 2 if this machine does not have it.

#include <cstdint>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <vector>

#include "kernels/attention/random_heads.h"
#include "kvsieve/kernels/budget_allocation.h"
#include "kvsieve/kernels/dense_attention.h"
#include "kvsieve/kernels/eviction_loss.h"
#include "kvsieve/kernels/instruction_set.h"
#include "kvsieve/kernels/token_selection.h"
#include "kvsieve/kernels/window_scores.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::kernels::tests {
namespace {

constexpr std::int64_t kKvHeads = 4;
constexpr std::int64_t kGroup = 3;
constexpr std::int64_t kTokens = 1500;
constexpr std::int64_t kHeadDim = 80;
constexpr std::int64_t kWindow = 32;
constexpr std::int64_t kOutside = kTokens - kWindow;

nlohmann::ordered_json run() {
  nlohmann::ordered_json result;
  result["isa"] = instruction_set();
  std::vector<float> scores;
  for (std::int64_t kv = 0; kv < kKvHeads; ++kv) {
    AttentionCase item;
    item.group = kGroup;
    item.head_dim = kHeadDim;
    item.rope.dim = kHeadDim;
    item.tokens = kTokens;
    item.queries = kWindow;
    item.dtype = traces::DType::kBF16;
    item.attention.scale = 0.05 * static_cast<double>(kv + 1);
    const HeadProblem head(item, static_cast<std::uint32_t>(7 * kv + 1));
    const RopePhases phases(traces::RopeTable(item.rope, kHeadDim), kTokens);
    HeadKeys keys;
    keys.load(HeadSlice(head.keys.view(), 0), &phases);
    std::vector<float> means(kGroup * kTokens);
    attention_column_means(head.queries.view(), head.positions, keys, item.attention,
                           {means.data(), kGroup, kTokens});
    std::vector<float> reduced(kOutside);
    reduce_group({means.data(), kGroup, kOutside, kTokens}, GroupReduce::kMean, reduced);
    std::vector<float> pooled(kOutside);
    pool_scores(reduced, {Pooling::Kind::kMax, 7}, pooled);
    scores.insert(scores.end(), pooled.begin(), pooled.end());
    key_norm_scores(HeadSlice(head.keys.view(), 0), means);
    result["key_norms"].push_back(std::vector<float>(means.begin(), means.begin() + kTokens));

    HeadValues values;
    values.load(HeadSlice(head.values.view(), 0));
    std::vector<std::int32_t> kept;
    select_tokens(pooled, 200, kept);
    const std::vector<std::span<const std::int32_t>> spans(kGroup, kept);
    HeadLossProblem problem;
    problem.queries = head.queries.view();
    problem.positions = head.positions;
    problem.keys = &keys;
    problem.values = &values;
    problem.attention = item.attention;
    problem.kept = spans;
    problem.selections = 1;
    HeadLoss loss;
    eviction_loss(problem, loss);
    result["retained_mass"].push_back(loss.retained_mass.data);
    result["difference"].push_back(loss.difference.data);
  }
  const MatrixView<const float> view(scores.data(), kKvHeads, kOutside);
  for (const AlphaMode mode : {AlphaMode::kBlend, AlphaMode::kFloor, AlphaMode::kFloorKvpress,
                               AlphaMode::kPaperLiteral, AlphaMode::kOfficialRounding}) {
    const std::vector<std::int64_t> budgets = allocate_budgets(view, 268, {{2, 10}, mode, kWindow});
    result["budgets"].push_back(budgets);
    for (std::int64_t kv = 0; kv < kKvHeads; ++kv) {
      std::vector<std::int32_t> kept;
      select_tokens(view.row(kv), budgets[static_cast<std::size_t>(kv)], kept);
      result["kept"].push_back(kept);
    }
  }
  result["scores"] = scores;
  return result;
}

}  // namespace
}  // namespace kvsieve::kernels::tests

int main() {
  try {
    std::puts(kvsieve::kernels::tests::run().dump().c_str());
    return 0;
  } catch (const kvsieve::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return static_cast<int>(error.kind());
  }
}
