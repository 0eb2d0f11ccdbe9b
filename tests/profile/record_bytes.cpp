#include "profile/cupti_stub.h"

namespace kvsieve::profile::tests {

std::size_t record_bytes(std::uint32_t version, std::uint32_t kind) {
  const bool cuda13 = version >= 130000;
  const bool cuda134 = version >= 130400;
  switch (kind) {
    case 1:  // MEMCPY
      return cuda134 ? 112 : version >= 26 ? 96 : 88;
    case 2:  // MEMSET
      return cuda134 ? 104 : 88;
    case 3:
    case 10:  // CONCURRENT_KERNEL
      return cuda134 ? 248 : cuda13 ? 216 : 208;
    case 4:
    case 5:  // RUNTIME
      return 40;
    case 8:  // DEVICE
      return cuda134 ? 192 : 184;
    case 12:  // MARKER
      return 56;
    case 17:  // OVERHEAD
      return version >= 22 ? 56 : 40;
    case 22:  // MEMCPY2
      return 96;
    case 38:  // SYNCHRONIZATION
      return version >= 26 ? 56 : 40;
    default:
      return 0;
  }
}

}  // namespace kvsieve::profile::tests
