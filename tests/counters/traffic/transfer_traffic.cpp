// What crosses the bus in a decode step: gathered rows, and the step's messages.

#include "a2ats/kv_gather_device.h"
#include "a2ats/step_messages_device.h"
#include "traffic/traffic.h"
#include "traffic/warp_requests.h"

namespace kvsieve::bench {
namespace {

constexpr std::int64_t kListBytes = sizeof(std::int32_t);
constexpr std::int64_t kVectorBytes = 16;

Traffic gather_rows(const device::GatherRowsArgs& args, const kernels::Work& work) {
  const std::int64_t row_vectors =
      kernels::row_bytes(args.source.head_dim, element_bytes(args.source.dtype)) / kVectorBytes;
  std::int64_t lookups = 0;
  std::int64_t listed = 0;
  for (const std::int32_t count : from_device(args.lists.counts, args.segments)) {
    listed += count;
    lookups += rows_looked_up(count, row_vectors);
  }
  // And how many rows the segment has.
  const std::int64_t counts = warps_of(device::gather_rows_config(args));
  return {work.bytes_read + (lookups - listed + counts) * kListBytes, work.bytes_written};
}

Traffic pack_step_message(const device::PackStepMessageArgs& args, const kernels::Work& work) {
  // The row that makes way for the new one.
  const std::int64_t moved =
      args.moved_row < 0 ? 0 : args.kv_heads * 2 * args.head_dim * element_bytes(args.dtype);
  return {work.bytes_read + moved, work.bytes_written + moved};
}

Traffic unpack_rows(const device::UnpackRowsArgs& /*args*/, const kernels::Work& work) {
  return {work.bytes_read, work.bytes_written};
}

constexpr OperationTraffic kTraffic[] = {
    {"gather_rows", traffic_of<device::GatherRowsArgs, gather_rows>},
    {"pack_step_message", traffic_of<device::PackStepMessageArgs, pack_step_message>},
    {"unpack_rows", traffic_of<device::UnpackRowsArgs, unpack_rows>},
};

}  // namespace

std::span<const OperationTraffic> transfer_traffic() {
  return kTraffic;
}

}  // namespace kvsieve::bench
