#pragma once
// The messages of a decode step between GPU and host.
//
// The idea: everything a layer sends to the host, its heads' queries and new K and V rows, becomes
// one contiguous message, so that it takes one copy; the same launch puts the new rows among the
// resident ones. Layout: a thread a number; the new rows' threads write it twice.
// Bytes a block: 4 in and 2 to 8 out a thread; 2 or 4 more in and out where a row makes way.

#include "a2ats/step_messages_device.h"
#include "exec/device/numeric.cuh"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

inline constexpr int kMessageThreads = 256;

template <class T>
__global__ void __launch_bounds__(kMessageThreads) pack_message(PackStepMessageArgs args) {
  const std::int64_t at = std::int64_t{blockIdx.x} * kMessageThreads + threadIdx.x;
  const std::int64_t d = args.head_dim;
  const std::int64_t query_numbers = args.queries == nullptr ? 0 : args.q_heads * d;
  T* message = static_cast<T*>(args.message);
  if (at < query_numbers) {
    message[at] = from_float<T>(args.queries[at]);
    return;
  }
  const std::int64_t in_rows = at - query_numbers;
  if (in_rows >= args.kv_heads * 2 * d) {
    return;
  }
  const std::int64_t head = in_rows / (2 * d);
  const std::int64_t in_row = in_rows % (2 * d);
  const T number =
      from_float<T>(in_row < d ? args.keys[head * d + in_row] : args.values[head * d + in_row - d]);
  message[at] = number;
  T* resident = static_cast<T*>(args.resident) + head * args.resident_rows * 2 * d + in_row;
  if (args.moved_row >= 0) {
    resident[args.moved_row * 2 * d] = resident[args.new_row * 2 * d];
  }
  resident[args.new_row * 2 * d] = number;
}

template <class T>
__global__ void __launch_bounds__(kMessageThreads) unpack(UnpackRowsArgs args) {
  const std::int64_t at = std::int64_t{blockIdx.x} * kMessageThreads + threadIdx.x;
  if (at < args.n) {
    args.out[at] = to_float(static_cast<const T*>(args.rows)[at]);
  }
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
