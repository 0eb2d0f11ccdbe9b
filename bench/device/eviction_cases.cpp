// From a prompt's keys to the tokens that each head keeps.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "adakv/budget_allocation_device.h"
#include "adakv/token_selection_device.h"
#include "adakv/window_scores_device.h"
#include "device/case_groups.h"
#include "device/case_memory.h"

namespace kvsieve::bench::KVSIEVE_BACKEND_NS {
namespace {

using traces::DType;

struct ScoresShape {
  CaseSize size;
  DType dtype;
  std::int64_t head_dim;
  std::int64_t kv_heads;
  std::int64_t group;
  std::int64_t window;
  std::int64_t tokens;
};

DeviceCase window_scores_case(const ScoresShape& shape) {
  return {fmt::format("window_scores/dtype:{}/d:{}/group:{}/n:{}", case_name_of(shape.dtype),
                      shape.head_dim, shape.group, shape.tokens),
          shape.size, [shape](device::Stream& stream) {
            CaseMemory memory(stream);
            const std::int64_t d = shape.head_dim;
            device::WindowScoresArgs args;
            args.queries =
                memory.normal(shape.kv_heads * shape.group * shape.window * d, shape.dtype);
            args.positions = memory.copy(last_positions(shape.tokens, shape.window));
            args.keys = memory.normal(shape.kv_heads * shape.tokens * d, shape.dtype);
            args.sequence_stride = shape.kv_heads * shape.tokens * d;
            args.head_stride = shape.tokens * d;
            args.token_stride = d;
            args.dtype = shape.dtype;
            args.kv_heads = shape.kv_heads;
            args.group = shape.group;
            args.queries_count = shape.window;
            args.head_dim = d;
            args.tokens = shape.tokens;
            args.scored_tokens = shape.tokens - shape.window;
            args.attention.scale = 1.0 / std::sqrt(static_cast<double>(d));
            args.scores = memory.output<float>(shape.kv_heads * args.scored_tokens);
            args.workspace = memory.workspace(device::window_scores_workspace_bytes(args));
            const kernels::Work work = repeated(
                shape.kv_heads,
                kernels::window_scores_work(shape.group, shape.window, shape.tokens,
                                            args.scored_tokens, d, element_bytes(shape.dtype)));
            return make_operation(std::move(memory), args, work, device::window_scores);
          }};
}

struct AllocationShape {
  CaseSize size;
  std::int64_t heads;
  std::int64_t m;
  std::int64_t b;
};

DeviceCase budget_allocation_case(const AllocationShape& shape) {
  return {fmt::format("budget_allocation/heads:{}/m:{}/b:{}", shape.heads, shape.m, shape.b),
          shape.size, [shape](device::Stream& stream) {
            CaseMemory memory(stream);
            device::BudgetAllocationArgs args;
            args.scores = memory.normal(shape.heads * shape.m);
            args.heads = shape.heads;
            args.m = shape.m;
            args.stride = shape.m;
            args.b = shape.b;
            args.budgets = memory.output<std::int32_t>(shape.heads);
            args.first_not_finite = memory.output<std::int64_t>(1);
            args.workspace = memory.workspace(device::budget_allocation_workspace_bytes(args));
            return make_operation(std::move(memory), args,
                                  kernels::budget_allocation_work(shape.heads, shape.m),
                                  device::budget_allocation);
          }};
}

struct SelectionShape {
  CaseSize size;
  std::int64_t units;
  std::int64_t m;
  std::int64_t window;
  bool with_norms;  ///< CriticalKV's two stages
};

DeviceCase token_selection_case(const SelectionShape& shape) {
  return {fmt::format("token_selection/by:{}/units:{}/m:{}", shape.with_norms ? "norms" : "scores",
                      shape.units, shape.m),
          shape.size, [shape](device::Stream& stream) {
            CaseMemory memory(stream);
            std::vector<std::int32_t> counts;
            for (std::int64_t unit = 0; unit < shape.units; ++unit) {
              counts.push_back(static_cast<std::int32_t>(shape.m / (4 + unit % 3)));
            }
            const auto kept = std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
            // Neither stage of CriticalKV takes negative scores.
            const auto positive = [&](std::uint64_t seed) {
              std::vector<float> numbers = normal_numbers(shape.units * shape.m, seed);
              std::transform(numbers.begin(), numbers.end(), numbers.begin(),
                             [](float number) { return std::abs(number); });
              return memory.copy(numbers);
            };
            device::TokenSelectionArgs args;
            args.scores = positive(1);
            args.counts = memory.copy(counts);
            args.units = shape.units;
            args.m = shape.m;
            args.stride = shape.m;
            args.window = shape.window;
            args.norms = shape.with_norms ? positive(2) : nullptr;
            args.norms_stride = shape.m;
            args.offsets = memory.output<std::int64_t>(shape.units + 1);
            args.kept = memory.output<std::int32_t>(kept + shape.units * shape.window);
            args.workspace = memory.workspace(device::token_selection_workspace_bytes(args));
            return make_operation(std::move(memory), args,
                                  kernels::token_selection_work(shape.units * shape.m, kept),
                                  device::token_selection);
          }};
}

}  // namespace

std::vector<DeviceCase> eviction_cases() {
  constexpr CaseSize kCounted = CaseSize::kCounted;
  constexpr CaseSize kTimed = CaseSize::kTimed;
  std::vector<DeviceCase> cases{
      window_scores_case({kCounted, DType::kBF16, 128, 1, 4, 8, 256}),
      window_scores_case({kCounted, DType::kF16, 64, 2, 3, 5, 131}),
      window_scores_case({kCounted, DType::kF32, 80, 1, 1, 8, 129}),
      budget_allocation_case({kCounted, 4, 1024, 200}),
      budget_allocation_case({kCounted, 3, 1021, 77}),
      token_selection_case({kCounted, 4, 1024, 32, false}),
      token_selection_case({kCounted, 3, 1021, 5, true}),
  };
  for (const std::int64_t tokens : {32'768, 131'072}) {
    const std::int64_t m = tokens - 32;
    cases.push_back(window_scores_case({kTimed, DType::kBF16, 128, 8, 4, 32, tokens}));
    cases.push_back(budget_allocation_case({kTimed, 8, m, tokens / 5 - 32}));
    cases.push_back(token_selection_case({kTimed, 8, m, 32, false}));
  }
  return cases;
}

}  // namespace kvsieve::bench::KVSIEVE_BACKEND_NS
