#include "adakv/budget_allocation.cuh"

#include <algorithm>
#include <string>

#include "exec/device/dispatch.h"
#include "exec/device/operation_range.h"
#include "exec/device/workspace.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {
namespace {

constexpr const char* kName = "budget_allocation";

struct AllocationWorkspace {
  explicit AllocationWorkspace(const BudgetAllocationArgs& args) : layout(args.workspace) {
    const std::int64_t rows = args.batch * args.heads;
    histograms = layout.take<unsigned>(rows * kSelectRowBins);
    above = layout.take<unsigned>(rows);
    zeroed_bytes = layout.bytes();
    prefixes = layout.take<unsigned>(args.batch);
  }

  WorkspaceLayout layout;
  unsigned* histograms = nullptr;
  unsigned* above = nullptr;
  unsigned* prefixes = nullptr;
  std::size_t zeroed_bytes = 0;  ///< of the beginning
};

void validate(const BudgetAllocationArgs& args) {
  require_supported(args.heads >= 1 && args.heads <= kAllocationMaxHeads, kName,
                    "a number of heads of", args.heads,
                    "1 to " + std::to_string(kAllocationMaxHeads));
  require_supported(args.m >= 0 && args.m <= kSelectMaxTokens, kName, "a row length of", args.m,
                    "0 to " + std::to_string(kSelectMaxTokens));
  require_supported(args.stride >= args.m, kName, "a row stride of", args.stride,
                    "the row length or more");
  require_supported(args.b >= 0, kName, "a budget of", args.b, "0 or more");
  require_supported(args.batch >= 0, kName, "a batch of", args.batch, "0 or more");
  require_supported(is_select_chunk(args.chunk_tokens), kName, "a chunk of", args.chunk_tokens,
                    "multiples of 4 up to " + std::to_string(kSelectMaxTokens));
  require_supported(is_select_grid(args.batch * args.heads, args.m, args.chunk_tokens), kName,
                    "a number of rows of", args.batch * args.heads,
                    "what fits a grid of 2^31 - 1 blocks");
}

AllocationParams make_params(const BudgetAllocationArgs& args, const AllocationWorkspace& space) {
  AllocationParams params{};
  params.scores = args.scores;
  params.stride = args.stride;
  params.heads = static_cast<unsigned>(args.heads);
  params.m = static_cast<unsigned>(args.m);
  params.chunk_tokens = static_cast<unsigned>(args.chunk_tokens);
  params.chunks = select_chunks(args.m, args.chunk_tokens);
  params.total = args.heads * args.b;
  params.histograms = space.histograms;
  params.above = space.above;
  params.prefixes = space.prefixes;
  params.budgets = args.budgets;
  params.first_not_finite = reinterpret_cast<unsigned long long*>(args.first_not_finite);
  return params;
}

template <int Pass>
void enqueue_pass(const BudgetAllocationArgs& args, const AllocationParams& params,
                  Stream& stream) {
  launch<count_layer_digits<Pass>>(count_layer_digits_config(args), stream, params);
  launch<narrow_layer<Pass>>(narrow_layer_config(args), stream, params);
}

}  // namespace

std::size_t budget_allocation_workspace_bytes(const BudgetAllocationArgs& args) {
  BudgetAllocationArgs unplaced = args;
  unplaced.workspace = nullptr;
  return AllocationWorkspace(unplaced).layout.bytes();
}

LaunchConfig count_layer_digits_config(const BudgetAllocationArgs& args) {
  const auto rows = static_cast<unsigned>(args.batch * args.heads);
  return {{rows * select_chunks(args.m, args.chunk_tokens)}, {kSelectThreads}, 0};
}

LaunchConfig narrow_layer_config(const BudgetAllocationArgs& args) {
  // The last pass keeps two numbers a head.
  return {{static_cast<unsigned>(args.batch)},
          {kNarrowThreads},
          static_cast<std::size_t>(args.heads) * 2 * sizeof(std::int64_t)};
}

void budget_allocation(const BudgetAllocationArgs& args, Stream& stream) {
  const OperationRange range(kName);
  validate(args);
  const AllocationWorkspace space(args);
  AllocationParams params = make_params(args, space);
  params.rule = allocation_rule(std::min(args.b, args.m), args.options);
  fill_device(args.first_not_finite, 0xff, sizeof(std::int64_t), stream);
  fill_device(args.workspace, 0, space.zeroed_bytes, stream);
  if (args.b == 0 || args.b >= args.m) {
    const std::int64_t rows = args.batch * args.heads;
    launch<count_layer_digits<0>>(count_layer_digits_config(args), stream, params);
    launch<fill_budgets>(LaunchConfig{{blocks_for(rows, kSelectThreads)}, {kSelectThreads}, 0},
                         stream, args.budgets, rows,
                         static_cast<std::int32_t>(std::min(args.b, args.m)));
    return;
  }
  enqueue_pass<0>(args, params, stream);
  enqueue_pass<1>(args, params, stream);
  enqueue_pass<2>(args, params, stream);
}

void require_finite_scores(const BudgetAllocationArgs& args, Stream& stream) {
  std::int64_t first = -1;
  copy_to_host(&first, args.first_not_finite, sizeof(first), stream);
  stream.synchronize();
  if (first < 0) {
    return;
  }
  const std::int64_t row = first / args.m;
  const std::int64_t token = first % args.m;
  float score = 0.0F;
  copy_to_host(&score, args.scores + row * args.stride + token, sizeof(score), stream);
  stream.synchronize();
  fail_for_score(row % args.heads, token, score);
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
