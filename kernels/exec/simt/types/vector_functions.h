#pragma once
// Makers of CUDA's short vectors, for machines without the toolkit.

#include <vector_types.h>

namespace kvsieve::simt::cuda {

#define KVSIEVE_SIMT_MAKERS(T, name)                  \
  inline name##1 make_##name##1(T x) {                \
    return {x};                                       \
  }                                                   \
  inline name##2 make_##name##2(T x, T y) {           \
    return {x, y};                                    \
  }                                                   \
  inline name##3 make_##name##3(T x, T y, T z) {      \
    return {x, y, z};                                 \
  }                                                   \
  inline name##4 make_##name##4(T x, T y, T z, T w) { \
    return {x, y, z, w};                              \
  }
KVSIEVE_SIMT_MAKERS(signed char, char)
KVSIEVE_SIMT_MAKERS(unsigned char, uchar)
KVSIEVE_SIMT_MAKERS(short, short)
KVSIEVE_SIMT_MAKERS(unsigned short, ushort)
KVSIEVE_SIMT_MAKERS(int, int)
KVSIEVE_SIMT_MAKERS(unsigned, uint)
KVSIEVE_SIMT_MAKERS(long long, longlong)
KVSIEVE_SIMT_MAKERS(unsigned long long, ulonglong)
KVSIEVE_SIMT_MAKERS(float, float)
KVSIEVE_SIMT_MAKERS(double, double)
#undef KVSIEVE_SIMT_MAKERS

}  // namespace kvsieve::simt::cuda
