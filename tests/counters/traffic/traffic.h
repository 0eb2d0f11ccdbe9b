#pragma once
// What an operation's kernels load and store, derived by hand from its arguments and the data that
// they point to: its work, which is what must cross memory once, and what they read again or write
// besides.
//
// Counted are the bytes that warps ask for: those of a request that several lanes want count once,
// those that another warp or another request wants again count again, from whatever cache they
// come.

#include <any>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "exec/device/runtime.h"
#include "kvsieve/bench/device_case.h"
#include "kvsieve/kernels/topk_retrieval.h"
#include "kvsieve/kernels/work.h"
#include "kvsieve/traces/dtype.h"

namespace kvsieve::bench {

namespace device = cuda_::device;

/// Bytes of global memory.
struct Traffic {
  std::int64_t loaded = 0;
  std::int64_t stored = 0;
};

/// How the traffic of one operation is known.
struct OperationTraffic {
  std::string_view operation;  ///< the name of its cases up to the first '/'
  Traffic (*traffic)(const std::any& arguments, const kernels::Work& work);
};

[[nodiscard]] std::span<const OperationTraffic> attention_traffic();
[[nodiscard]] std::span<const OperationTraffic> buckets_traffic();
[[nodiscard]] std::span<const OperationTraffic> cache_traffic();
[[nodiscard]] std::span<const OperationTraffic> codebook_traffic();
[[nodiscard]] std::span<const OperationTraffic> eviction_traffic();
[[nodiscard]] std::span<const OperationTraffic> hot_buffer_traffic();
[[nodiscard]] std::span<const OperationTraffic> kmeans_traffic();
[[nodiscard]] std::span<const OperationTraffic> loss_traffic();
[[nodiscard]] std::span<const OperationTraffic> retrieval_traffic();
[[nodiscard]] std::span<const OperationTraffic> transfer_traffic();

/// A function of a launcher's arguments as OperationTraffic has it.
template <class Args, Traffic (*Of)(const Args&, const kernels::Work&)>
Traffic traffic_of(const std::any& arguments, const kernels::Work& work) {
  return Of(std::any_cast<const Args&>(arguments), work);
}

[[nodiscard]] inline std::int64_t element_bytes(traces::DType dtype) {
  return static_cast<std::int64_t>(traces::size_of(dtype));
}

/// Of a retrieval's masks: their bits are set by atomics, which are not counted.
[[nodiscard]] inline std::int64_t mask_bytes(std::int64_t segments, kernels::TokenRange range) {
  return segments * kernels::mask_words(range.size()) *
         static_cast<std::int64_t>(sizeof(std::uint32_t));
}

/// `count` elements from the device.
template <class T>
[[nodiscard]] std::vector<T> from_device(const T* elements, std::int64_t count) {
  std::vector<T> copy(static_cast<std::size_t>(count));
  device::Stream stream;
  device::copy_to_host(copy.data(), elements, copy.size() * sizeof(T), stream);
  stream.synchronize();
  return copy;
}

}  // namespace kvsieve::bench
