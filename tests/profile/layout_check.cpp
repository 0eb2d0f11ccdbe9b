// The fields that are read from activity records stand where CUPTI's own headers have them. Built
// once for each folder of headers that is there.

#include <cuda.h>
// After it.
#include <cupti_activity.h>
#include <cupti_version.h>
#if CUPTI_API_VERSION >= 20
#include <cupti_activity_deprecated.h>
#endif

#include "activity_layout.h"

namespace kvsieve::profile {
namespace {

template <ActivityKind kKind, CUpti_ActivityKind kTheirs>
constexpr bool same = static_cast<std::uint32_t>(kKind) == static_cast<std::uint32_t>(kTheirs);
static_assert(same<ActivityKind::kCopy, CUPTI_ACTIVITY_KIND_MEMCPY>);
static_assert(same<ActivityKind::kFill, CUPTI_ACTIVITY_KIND_MEMSET>);
static_assert(same<ActivityKind::kKernel, CUPTI_ACTIVITY_KIND_KERNEL>);
static_assert(same<ActivityKind::kDriver, CUPTI_ACTIVITY_KIND_DRIVER>);
static_assert(same<ActivityKind::kRuntime, CUPTI_ACTIVITY_KIND_RUNTIME>);
static_assert(same<ActivityKind::kDevice, CUPTI_ACTIVITY_KIND_DEVICE>);
static_assert(same<ActivityKind::kConcurrent, CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL>);
static_assert(same<ActivityKind::kMarker, CUPTI_ACTIVITY_KIND_MARKER>);
static_assert(same<ActivityKind::kOverhead, CUPTI_ACTIVITY_KIND_OVERHEAD>);
static_assert(same<ActivityKind::kPeerCopy, CUPTI_ACTIVITY_KIND_MEMCPY2>);
static_assert(marker_layout::kStartFlag == CUPTI_ACTIVITY_FLAG_MARKER_START);
static_assert(marker_layout::kEndFlag == CUPTI_ACTIVITY_FLAG_MARKER_END);
static_assert(marker_layout::kThreadObject == CUPTI_ACTIVITY_OBJECT_THREAD);

template <class Kernel>
constexpr bool kernel_fits() {
  using namespace kernel_layout;
  return offsetof(Kernel, registersPerThread) == kRegisters && offsetof(Kernel, start) == kBegin &&
         offsetof(Kernel, end) == kEnd && offsetof(Kernel, deviceId) == kDevice &&
         offsetof(Kernel, streamId) == kStream && offsetof(Kernel, gridX) == kGrid &&
         offsetof(Kernel, gridZ) == kGrid + 8 && offsetof(Kernel, blockX) == kBlock &&
         offsetof(Kernel, blockZ) == kBlock + 8 &&
         offsetof(Kernel, staticSharedMemory) == kStaticShared &&
         offsetof(Kernel, dynamicSharedMemory) == kDynamicShared &&
         offsetof(Kernel, correlationId) == kCorrelation && offsetof(Kernel, name) == kName &&
         sizeof(Kernel) >= kBytes;
}

template <class Transfer>
constexpr bool transfer_fits(std::size_t correlation, std::size_t bytes) {
  using namespace transfer_layout;
  return offsetof(Transfer, bytes) == kMoved && offsetof(Transfer, start) == kBegin &&
         offsetof(Transfer, end) == kEnd && offsetof(Transfer, deviceId) == kDevice &&
         offsetof(Transfer, streamId) == kStream &&
         offsetof(Transfer, correlationId) == correlation && sizeof(Transfer) >= bytes;
}

template <class Copy>
constexpr bool copy_fits() {
  using namespace copy_layout;
  return offsetof(Copy, copyKind) == kCopyKind && transfer_fits<Copy>(kCorrelation, kBytes);
}

template <class Copy>
constexpr bool counted_copy_fits() {
  using namespace copy_layout;
  return copy_fits<Copy>() && offsetof(Copy, copyCount) == kCopyCount &&
         sizeof(Copy) >= kBytesWithCount;
}

template <class Fill>
constexpr bool fill_fits() {
  return transfer_fits<Fill>(fill_layout::kCorrelation, fill_layout::kBytes);
}

template <class Overhead>
constexpr bool overhead_fits() {
  using namespace overhead_layout;
  return offsetof(Overhead, overheadKind) == kWhat && offsetof(Overhead, objectKind) == kObject &&
         offsetof(Overhead, objectId) + offsetof(CUpti_ActivityObjectKindId, pt.threadId) ==
             kThread &&
         offsetof(Overhead, start) == kBegin && offsetof(Overhead, end) == kEnd &&
         sizeof(Overhead) >= kBytes;
}

template <class Device>
constexpr bool device_fits() {
  using namespace device_layout;
  return offsetof(Device, numMultiprocessors) == kMultiprocessors &&
         offsetof(Device, computeCapabilityMajor) == kMajor &&
         offsetof(Device, computeCapabilityMinor) == kMinor && offsetof(Device, id) == kId &&
         offsetof(Device, name) == kName && sizeof(Device) >= kBytes;
}

// What every version from CUDA 12.0 on has, as its current or as an older form.
static_assert(kernel_fits<CUpti_ActivityKernel9>());
static_assert(copy_fits<CUpti_ActivityMemcpy5>());
static_assert(fill_fits<CUpti_ActivityMemset4>());
static_assert(overhead_fits<CUpti_ActivityOverhead>());
static_assert(device_fits<CUpti_ActivityDevice4>());
static_assert(transfer_fits<CUpti_ActivityMemcpyPtoP4>(peer_copy_layout::kCorrelation,
                                                       peer_copy_layout::kBytes));
static_assert(offsetof(CUpti_ActivityAPI, cbid) == call_layout::kCallback);
static_assert(offsetof(CUpti_ActivityAPI, start) == call_layout::kBegin);
static_assert(offsetof(CUpti_ActivityAPI, end) == call_layout::kEnd);
static_assert(offsetof(CUpti_ActivityAPI, threadId) == call_layout::kThread);
static_assert(offsetof(CUpti_ActivityAPI, correlationId) == call_layout::kCorrelation);
static_assert(offsetof(CUpti_ActivityAPI, returnValue) == call_layout::kResult);
static_assert(sizeof(CUpti_ActivityAPI) >= call_layout::kBytes);
static_assert(offsetof(CUpti_ActivityMarker2, flags) == marker_layout::kFlags);
static_assert(offsetof(CUpti_ActivityMarker2, timestamp) == marker_layout::kTime);
static_assert(offsetof(CUpti_ActivityMarker2, id) == marker_layout::kId);
static_assert(offsetof(CUpti_ActivityMarker2, objectKind) == marker_layout::kObject);
static_assert(offsetof(CUpti_ActivityMarker2, objectId) +
                  offsetof(CUpti_ActivityObjectKindId, pt.threadId) ==
              marker_layout::kThread);
static_assert(offsetof(CUpti_ActivityMarker2, name) == marker_layout::kName);
static_assert(sizeof(CUpti_ActivityMarker2) >= marker_layout::kBytes);

// What newer ones write instead.
#if CUPTI_API_VERSION >= 26
static_assert(counted_copy_fits<CUpti_ActivityMemcpy6>());
#endif
#if CUPTI_API_VERSION >= 22
static_assert(overhead_fits<CUpti_ActivityOverhead3>());
static_assert(device_fits<CUpti_ActivityDevice5>());
#endif
#if CUPTI_API_VERSION >= 130000
static_assert(kernel_fits<CUpti_ActivityKernel10>());
#endif
#if CUPTI_API_VERSION >= 130400
static_assert(kernel_fits<CUpti_ActivityKernel13>());
static_assert(counted_copy_fits<CUpti_ActivityMemcpy7>());
static_assert(fill_fits<CUpti_ActivityMemset5>());
static_assert(device_fits<CUpti_ActivityDevice6>());
#endif

}  // namespace
}  // namespace kvsieve::profile
