#pragma once
// Where the fields of CUPTI's activity records are. CUPTI grows its structs at the end, under a new
// name each time, and the library writes its newest ones whatever a program was compiled against.
// So the fields that are read here have stood at one place since CUDA 12.0; what is newer has the
// version that brought it. Own tables rather than CUPTI's headers, because one program has to read
// the records of every version, also where there is no toolkit; the tests hold them against the
// headers of those that are found.

#include <cstddef>
#include <cstdint>

namespace kvsieve::profile {

/// CUPTI_API_VERSION of CUDA 12.0, and of 12.8, whose copies say how many they stand for.
inline constexpr std::uint32_t kOldestCupti = 18;
inline constexpr std::uint32_t kCopyCountCupti = 26;
/// The newest version whose headers these tables were held against: CUDA 13.4.
inline constexpr std::uint32_t kNewestCheckedCupti = 130401;

/// CUpti_ActivityKind; the first four bytes of every record.
enum class ActivityKind : std::uint32_t {
  kCopy = 1,         ///< MEMCPY
  kFill = 2,         ///< MEMSET
  kKernel = 3,       ///< KERNEL, one at a time
  kDriver = 4,       ///< DRIVER
  kRuntime = 5,      ///< RUNTIME
  kDevice = 8,       ///< DEVICE
  kConcurrent = 10,  ///< CONCURRENT_KERNEL
  kMarker = 12,      ///< MARKER
  kOverhead = 17,    ///< OVERHEAD
  kPeerCopy = 22,    ///< MEMCPY2
};

// Offsets in bytes. `kBytes` is the least that a record has, up to the last field that is read.

namespace kernel_layout {
inline constexpr std::size_t kRegisters = 6;  // u16
inline constexpr std::size_t kBegin = 16;     // u64, ns
inline constexpr std::size_t kEnd = 24;
inline constexpr std::size_t kDevice = 40;  // u32
inline constexpr std::size_t kStream = 48;
inline constexpr std::size_t kGrid = 52;   // 3 x i32
inline constexpr std::size_t kBlock = 64;  // 3 x i32
inline constexpr std::size_t kStaticShared = 76;
inline constexpr std::size_t kDynamicShared = 80;
inline constexpr std::size_t kCorrelation = 92;
inline constexpr std::size_t kName = 104;  // const char*
inline constexpr std::size_t kBytes = 112;
}  // namespace kernel_layout

/// Copies, copies among GPUs and fills begin alike, but for the place of the correlation number.
namespace transfer_layout {
inline constexpr std::size_t kMoved = 8;   // u64, bytes
inline constexpr std::size_t kBegin = 16;  // u64, ns
inline constexpr std::size_t kEnd = 24;
inline constexpr std::size_t kDevice = 32;  // u32
inline constexpr std::size_t kStream = 40;
}  // namespace transfer_layout

namespace copy_layout {
inline constexpr std::size_t kCopyKind = 4;  // u8
inline constexpr std::size_t kCorrelation = 44;
inline constexpr std::size_t kBytes = 48;
inline constexpr std::size_t kCopyCount = 88;  // u64, from kCopyCountCupti on
inline constexpr std::size_t kBytesWithCount = 96;
}  // namespace copy_layout

namespace peer_copy_layout {
inline constexpr std::size_t kCorrelation = 60;
inline constexpr std::size_t kBytes = 64;
}  // namespace peer_copy_layout

namespace fill_layout {
inline constexpr std::size_t kCorrelation = 44;
inline constexpr std::size_t kBytes = 48;
}  // namespace fill_layout

namespace call_layout {
inline constexpr std::size_t kCallback = 4;
inline constexpr std::size_t kBegin = 8;
inline constexpr std::size_t kEnd = 16;
inline constexpr std::size_t kThread = 28;
inline constexpr std::size_t kCorrelation = 32;
inline constexpr std::size_t kResult = 36;
inline constexpr std::size_t kBytes = 40;
}  // namespace call_layout

namespace marker_layout {
inline constexpr std::size_t kFlags = 4;
inline constexpr std::size_t kTime = 8;
inline constexpr std::size_t kId = 16;
inline constexpr std::size_t kObject = 20;
inline constexpr std::size_t kThread = 28;  // objectId.pt.threadId
inline constexpr std::size_t kName = 40;    // const char*, of the marker that begins a range
inline constexpr std::size_t kBytes = 48;
inline constexpr std::uint32_t kStartFlag = 2;
inline constexpr std::uint32_t kEndFlag = 4;
inline constexpr std::uint32_t kThreadObject = 2;
}  // namespace marker_layout

namespace overhead_layout {
inline constexpr std::size_t kWhat = 4;
inline constexpr std::size_t kObject = 8;
inline constexpr std::size_t kThread = 16;  // objectId.pt.threadId
inline constexpr std::size_t kBegin = 24;
inline constexpr std::size_t kEnd = 32;
inline constexpr std::size_t kBytes = 40;
}  // namespace overhead_layout

namespace device_layout {
inline constexpr std::size_t kMultiprocessors = 44;
inline constexpr std::size_t kMajor = 104;
inline constexpr std::size_t kMinor = 108;
inline constexpr std::size_t kId = 112;
inline constexpr std::size_t kName = 136;  // const char*
inline constexpr std::size_t kBytes = 144;
}  // namespace device_layout

/// Where a record of a kind holds a pointer to text; 0 for none.
[[nodiscard]] constexpr std::size_t text_offset(ActivityKind kind) noexcept {
  switch (kind) {
    case ActivityKind::kKernel:
    case ActivityKind::kConcurrent:
      return kernel_layout::kName;
    case ActivityKind::kMarker:
      return marker_layout::kName;
    case ActivityKind::kDevice:
      return device_layout::kName;
    default:
      return 0;
  }
}

}  // namespace kvsieve::profile
