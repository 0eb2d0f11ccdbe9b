#include "adakv/projected_loss.cuh"

#include <limits>

#include "adakv/projected_loss_device.h"
#include "exec/device/dtype.cuh"
#include "exec/device/operation_range.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {
namespace {

constexpr const char* kOperation = "projected_loss";

void check(const ProjectedLossArgs& args) {
  dispatch_head_dim(kOperation, args.head_dim, [&]<int kHeadDim> {});
  // What the kernels count in ints: slices of a row, slots, queries, columns.
  constexpr std::int64_t kLargest = std::numeric_limits<int>::max() / 1024;
  const auto fits = [](std::int64_t count) { return count >= 0 && count <= kLargest; };
  if (!fits(args.q_heads) || !fits(args.selections) || !fits(args.queries) || !fits(args.width)) {
    throw Error(
        ErrorKind::kInternal,
        fmt::format("{}: {} query heads, {} selections, {} queries, width {}: each must be "
                    "0 to {}",
                    kOperation, args.q_heads, args.selections, args.queries, args.width, kLargest));
  }
  if (args.units < 1 || args.q_heads < args.units || args.q_heads % args.units != 0) {
    throw Error(ErrorKind::kInternal, fmt::format("{}: {} units cannot share {} query heads",
                                                  kOperation, args.units, args.q_heads));
  }
}

std::int64_t column_tiles(const ProjectedLossArgs& args) {
  return blocks_for(args.width, kTileColumns);
}
/// Rows of losses: every selection's units and layer, and the output.
std::int64_t slots(const ProjectedLossArgs& args) {
  return args.selections * (args.units + 1) + 1;
}

template <class W>
ProjectedLossTask<W> make_task(const ProjectedLossArgs& args) {
  return {static_cast<const W*>(args.projections),
          args.output,
          args.difference,
          static_cast<float*>(args.workspace),
          static_cast<int>(args.q_heads),
          static_cast<int>(args.units),
          static_cast<int>(args.selections),
          static_cast<int>(args.queries),
          static_cast<int>(args.head_dim),
          static_cast<int>(args.width)};
}

LossSumTask make_sum_task(const ProjectedLossArgs& args) {
  return {static_cast<const float*>(args.workspace),
          args.unit_loss,
          args.layer_loss,
          args.output_norm,
          static_cast<int>(args.units),
          static_cast<int>(args.selections),
          static_cast<int>(args.queries),
          static_cast<int>(column_tiles(args))};
}

}  // namespace

std::size_t projected_loss_workspace_bytes(const ProjectedLossArgs& args) {
  return static_cast<std::size_t>(slots(args) * column_tiles(args) * args.queries) * sizeof(float);
}

LaunchConfig projected_loss_config(const ProjectedLossArgs& args) {
  LaunchConfig config;
  config.grid = {blocks_for(args.width, kTileColumns), blocks_for(args.queries, kTileRows),
                 static_cast<unsigned>(args.selections + 1)};
  config.block = {kTileThreads};
  return config;
}

LaunchConfig projected_loss_sum_config(const ProjectedLossArgs& args) {
  LaunchConfig config;
  config.grid = {blocks_for(args.queries, kLossSumThreads), static_cast<unsigned>(slots(args))};
  config.block = {kLossSumThreads};
  return config;
}

void projected_loss(const ProjectedLossArgs& args, Stream& stream) {
  check(args);
  const OperationRange range(kOperation);
  dispatch_dtype(kOperation, args.projection_dtype, [&]<class W> {
    launch<projected_loss_kernel<W>>(projected_loss_config(args), stream, make_task<W>(args));
  });
  launch<projected_loss_sum_kernel>(projected_loss_sum_config(args), stream, make_sum_task(args));
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
