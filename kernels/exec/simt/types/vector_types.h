#pragma once
// CUDA's short vectors, for machines without the toolkit.

namespace kvsieve::simt::cuda {

#define KVSIEVE_SIMT_VECTORS(T, name, align2, align4) \
  struct name##1 {                                    \
    T x;                                              \
  };                                                  \
  struct alignas(align2) name##2 {                    \
    T x, y;                                           \
  };                                                  \
  struct name##3 {                                    \
    T x, y, z;                                        \
  };                                                  \
  struct alignas(align4) name##4 {                    \
    T x, y, z, w;                                     \
  };
KVSIEVE_SIMT_VECTORS(signed char, char, 2, 4)
KVSIEVE_SIMT_VECTORS(unsigned char, uchar, 2, 4)
KVSIEVE_SIMT_VECTORS(short, short, 4, 8)
KVSIEVE_SIMT_VECTORS(unsigned short, ushort, 4, 8)
KVSIEVE_SIMT_VECTORS(int, int, 8, 16)
KVSIEVE_SIMT_VECTORS(unsigned, uint, 8, 16)
KVSIEVE_SIMT_VECTORS(long long, longlong, 16, 16)
KVSIEVE_SIMT_VECTORS(unsigned long long, ulonglong, 16, 16)
KVSIEVE_SIMT_VECTORS(float, float, 8, 16)
KVSIEVE_SIMT_VECTORS(double, double, 16, 16)
#undef KVSIEVE_SIMT_VECTORS

struct dim3 {
  unsigned x = 1;
  unsigned y = 1;
  unsigned z = 1;
  constexpr dim3(unsigned extent_x = 1, unsigned extent_y = 1, unsigned extent_z = 1)
      : x(extent_x), y(extent_y), z(extent_z) {}
};

}  // namespace kvsieve::simt::cuda

using namespace kvsieve::simt::cuda;  // NOLINT: CUDA's names are global
