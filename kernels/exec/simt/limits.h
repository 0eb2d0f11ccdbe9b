#pragma once
// What the GPUs that the kernels are compiled for can do (compute capability 9.0).

#include <cstddef>

namespace kvsieve::simt {

inline constexpr unsigned kLanes = 32;
inline constexpr unsigned kAllLanes = 0xffffffffU;
inline constexpr unsigned kMaxBlockThreads = 1024;
inline constexpr unsigned kMaxBlockZ = 64;
inline constexpr unsigned kMaxWarps = kMaxBlockThreads / kLanes;
inline constexpr unsigned kMaxGridX = 0x7fffffff;
inline constexpr unsigned kMaxGridYZ = 65535;
inline constexpr std::size_t kMaxSharedBytes = std::size_t{227} * 1024;

}  // namespace kvsieve::simt
