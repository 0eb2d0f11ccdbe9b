// What evictions cost.

#include <fmt/format.h>

#include <cmath>

#include "adakv/eviction_loss_device.h"
#include "adakv/projected_loss_device.h"
#include "device/case_groups.h"
#include "device/case_memory.h"
#include "kvsieve/kernels/eviction_loss.h"

namespace kvsieve::bench::KVSIEVE_BACKEND_NS {
namespace {

using traces::DType;

struct LossShape {
  CaseSize size;
  DType dtype;
  std::int64_t head_dim;
  std::int64_t kv_heads;
  std::int64_t group;
  std::int64_t queries;
  std::int64_t selections;
  std::int64_t tokens;
};

DeviceCase eviction_loss_case(const LossShape& shape) {
  return {fmt::format("eviction_loss/dtype:{}/d:{}/group:{}/queries:{}/selections:{}/n:{}",
                      case_name_of(shape.dtype), shape.head_dim, shape.group, shape.queries,
                      shape.selections, shape.tokens),
          shape.size, [shape](device::Stream& stream) {
            CaseMemory memory(stream);
            const std::int64_t heads = shape.kv_heads * shape.group;
            const std::int64_t d = shape.head_dim;
            // Every fourth token and the last ones, in all units alike.
            const std::int64_t words = device::kept_words(shape.tokens);
            std::vector<std::uint32_t> row(static_cast<std::size_t>(words), 0x11111111U);
            row.back() = 0xffffffffU;
            std::vector<std::uint32_t> kept;
            for (std::int64_t unit = 0; unit < shape.selections * shape.kv_heads; ++unit) {
              kept.insert(kept.end(), row.begin(), row.end());
            }
            std::int64_t kept_tokens = 0;
            for (std::int64_t j = 0; j < shape.tokens; ++j) {
              kept_tokens += row[static_cast<std::size_t>(j / 32)] >> (j % 32) & 1U;
            }
            device::EvictionLossArgs args;
            args.kv_heads = shape.kv_heads;
            args.group = shape.group;
            args.queries = shape.queries;
            args.tokens = shape.tokens;
            args.head_dim = d;
            args.dtype = shape.dtype;
            args.attention.scale = 1.0 / std::sqrt(static_cast<double>(d));
            args.rotated_queries = memory.normal(heads * shape.queries * d);
            args.positions = memory.copy(last_positions(shape.tokens, shape.queries));
            args.rotated_keys = memory.normal(shape.kv_heads * shape.tokens * d, shape.dtype);
            args.values = memory.normal(shape.kv_heads * shape.tokens * d, shape.dtype);
            args.norms = memory.normal(heads * shape.tokens);
            args.selections = shape.selections;
            args.units = shape.kv_heads;
            args.kept = memory.copy(kept);
            args.output = memory.output<float>(heads * shape.queries * d);
            args.difference = memory.output<float>(shape.selections * heads * shape.queries * d);
            args.retained_mass = memory.output<float>(shape.selections * heads * shape.queries);
            args.kept_norm = memory.output<float>(shape.selections * heads * shape.queries);
            args.total_norm = memory.output<float>(heads * shape.queries);
            const kernels::Work work = repeated(
                shape.kv_heads, kernels::eviction_loss_work(
                                    shape.group, shape.queries, shape.tokens, d, shape.selections,
                                    shape.selections * kept_tokens, element_bytes(shape.dtype)));
            return make_operation(std::move(memory), args, work, device::eviction_loss);
          }};
}

struct ProjectionShape {
  CaseSize size;
  DType dtype;
  std::int64_t head_dim;
  std::int64_t q_heads;
  std::int64_t units;
  std::int64_t queries;
  std::int64_t selections;
  std::int64_t width;
};

DeviceCase projected_loss_case(const ProjectionShape& shape) {
  return {fmt::format("projected_loss/dtype:{}/d:{}/heads:{}/queries:{}/selections:{}/width:{}",
                      case_name_of(shape.dtype), shape.head_dim, shape.q_heads, shape.queries,
                      shape.selections, shape.width),
          shape.size, [shape](device::Stream& stream) {
            CaseMemory memory(stream);
            const std::int64_t rows = shape.q_heads * shape.queries * shape.head_dim;
            device::ProjectedLossArgs args;
            args.q_heads = shape.q_heads;
            args.units = shape.units;
            args.selections = shape.selections;
            args.queries = shape.queries;
            args.head_dim = shape.head_dim;
            args.width = shape.width;
            args.projection_dtype = shape.dtype;
            args.projections =
                memory.normal(shape.q_heads * shape.head_dim * shape.width, shape.dtype);
            args.output = memory.normal(rows);
            args.difference = memory.normal(shape.selections * rows);
            args.workspace = memory.workspace(device::projected_loss_workspace_bytes(args));
            args.unit_loss = memory.output<float>(shape.selections * shape.units * shape.queries);
            args.layer_loss = memory.output<float>(shape.selections * shape.queries);
            args.output_norm = memory.output<float>(shape.queries);
            return make_operation(std::move(memory), args,
                                  kernels::projected_loss_work(
                                      shape.q_heads, shape.units, shape.selections, shape.queries,
                                      shape.head_dim, shape.width, element_bytes(shape.dtype)),
                                  device::projected_loss);
          }};
}

}  // namespace

std::vector<DeviceCase> loss_cases() {
  constexpr CaseSize kCounted = CaseSize::kCounted;
  constexpr CaseSize kTimed = CaseSize::kTimed;
  return {
      eviction_loss_case({kCounted, DType::kBF16, 128, 1, 2, 4, 2, 128}),
      eviction_loss_case({kCounted, DType::kF16, 64, 2, 1, 3, 1, 97}),
      eviction_loss_case({kCounted, DType::kF32, 80, 1, 1, 5, 1, 65}),
      projected_loss_case({kCounted, DType::kBF16, 128, 2, 1, 4, 1, 128}),
      projected_loss_case({kCounted, DType::kF16, 64, 2, 2, 3, 2, 72}),
      projected_loss_case({kCounted, DType::kF32, 80, 1, 1, 5, 1, 60}),
      eviction_loss_case({kTimed, DType::kBF16, 128, 8, 4, 32, 1, 8192}),
      projected_loss_case({kTimed, DType::kBF16, 128, 32, 8, 32, 1, 4096}),
  };
}

}  // namespace kvsieve::bench::KVSIEVE_BACKEND_NS
