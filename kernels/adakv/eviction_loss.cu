#include "adakv/eviction_loss.cuh"

#include <algorithm>
#include <limits>

#include "adakv/eviction_loss_device.h"
#include "exec/device/dtype.cuh"
#include "exec/device/operation_range.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {
namespace {

constexpr const char* kOperation = "eviction_loss";

void check(const EvictionLossArgs& args) {
  require_group(kOperation, args.group);
  constexpr std::int64_t kLargest = std::numeric_limits<int>::max() - kLossTile;
  const auto require = [](bool kept, std::string_view broken) {
    require_contract(kept, kOperation, broken);
  };
  require(args.kv_heads >= 0 && args.queries >= 0 && args.tokens >= 1 && args.selections >= 0,
          "a count is negative, or there are no tokens");
  require(args.tokens <= kLargest && args.queries <= kLargest && args.selections <= kLargest,
          "a count is too large");
  require(args.selections == 0 || args.units == args.kv_heads ||
              args.units == args.kv_heads * args.group,
          "kept sets belong to KV heads or to query heads");
}

template <class T>
EvictionLossTask<T> make_task(const EvictionLossArgs& args) {
  EvictionLossTask<T> task{};
  task.queries = args.rotated_queries;
  task.positions = args.positions;
  task.keys = static_cast<const T*>(args.rotated_keys);
  task.values = static_cast<const T*>(args.values);
  task.norms = args.norms;
  task.kept = args.kept;
  task.output = args.output;
  task.difference = args.difference;
  task.retained_mass = args.retained_mass;
  task.kept_norm = args.kept_norm;
  task.total_norm = args.total_norm;
  task.group = static_cast<int>(args.group);
  task.query_count = static_cast<int>(args.queries);
  task.tokens = static_cast<int>(args.tokens);
  task.selections = static_cast<int>(args.selections);
  task.units = static_cast<int>(args.units);
  task.scale = static_cast<float>(args.attention.scale);
  task.softcap = static_cast<float>(args.attention.softcap.value_or(0.0));
  task.sliding_window = static_cast<int>(std::min<std::int64_t>(
      args.attention.sliding_window.value_or(0), std::numeric_limits<int>::max()));
  return task;
}

}  // namespace

int eviction_loss_selections_per_pass(std::int64_t head_dim) {
  int selections = 0;
  dispatch_head_dim(kOperation, head_dim,
                    [&]<int kHeadDim> { selections = kLossSelections<kHeadDim>; });
  return selections;
}

LaunchConfig eviction_loss_config(const EvictionLossArgs& args) {
  LaunchConfig config;
  const unsigned passes =
      blocks_for(args.selections, eviction_loss_selections_per_pass(args.head_dim));
  // Without a selection there still is the output.
  config.grid = {blocks_for(args.queries, kLossRows),
                 static_cast<unsigned>(args.kv_heads * args.group), std::max(1U, passes)};
  config.block = {kLossThreads};
  dispatch_head_dim(kOperation, args.head_dim, [&]<int kHeadDim> {
    dispatch_dtype(kOperation, args.dtype,
                   [&]<class T> { config.shared_bytes = sizeof(EvictionLossShared<T, kHeadDim>); });
  });
  return config;
}

void eviction_loss(const EvictionLossArgs& args, Stream& stream) {
  check(args);
  const OperationRange range(kOperation);
  const LaunchConfig config = eviction_loss_config(args);
  dispatch_head_dim(kOperation, args.head_dim, [&]<int kHeadDim> {
    dispatch_dtype(kOperation, args.dtype, [&]<class T> {
      launch<eviction_loss_kernel<T, kHeadDim>>(config, stream, make_task<T>(args));
    });
  });
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
