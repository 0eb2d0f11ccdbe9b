#include "a2ats/step_messages.cuh"

#include "exec/device/dtype.cuh"
#include "exec/device/operation_range.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

LaunchConfig pack_step_message_config(const PackStepMessageArgs& args) {
  const std::int64_t rows = (args.queries == nullptr ? 0 : args.q_heads) + 2 * args.kv_heads;
  return {{blocks_for(rows * args.head_dim, kMessageThreads)}, {kMessageThreads}, 0};
}

void pack_step_message(const PackStepMessageArgs& args, Stream& stream) {
  constexpr const char* kName = "pack_step_message";
  const OperationRange range(kName);
  require_contract(args.new_row >= 0 && args.new_row < args.resident_rows, kName,
                   "the new token's row is not among the resident ones");
  require_contract(args.moved_row < args.resident_rows && args.moved_row != args.new_row, kName,
                   "the moved row is not another resident one");
  dispatch_dtype(kName, args.dtype, [&]<class T>() {
    launch<pack_message<T>>(pack_step_message_config(args), stream, args);
  });
}

LaunchConfig unpack_rows_config(const UnpackRowsArgs& args) {
  return {{blocks_for(args.n, kMessageThreads)}, {kMessageThreads}, 0};
}

void unpack_rows(const UnpackRowsArgs& args, Stream& stream) {
  constexpr const char* kName = "unpack_rows";
  const OperationRange range(kName);
  dispatch_dtype(kName, args.dtype,
                 [&]<class T>() { launch<unpack<T>>(unpack_rows_config(args), stream, args); });
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
