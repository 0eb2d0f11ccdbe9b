// The decode step as a C library, for a comparison with PyTorch in one process on the same memory.

#include <cstdint>
#include <cstdio>

#include "kvsieve/bench/roofline.h"
#include "kvsieve/kernels/instruction_set.h"
#include "kvsieve/kernels/ragged_decode.h"
#include "kvsieve/traces/error.h"

extern "C" {

const char* kvsieve_isa() {
  static const std::string name(kvsieve::kernels::instruction_set());
  return name.c_str();
}

/// Bytes a second that `threads` threads read from memory here.
double kvsieve_read_bandwidth(int threads) {
  return kvsieve::bench::roofline(threads).read_bytes_per_second;
}

/// One decode step; 0, or 1 after printing what is wrong.
/// @param dtype 0 F16, 1 BF16, 2 F32 @param queries [S, G, d] in that dtype
/// @param offsets [S + 1] @param lengths [S] @param out [S, G, d]
int kvsieve_decode(int dtype, void* keys, void* values, const void* queries,
                   const std::int64_t* offsets, std::int32_t* lengths, std::int64_t segments,
                   std::int64_t group, std::int64_t head_dim, float scale, float* out,
                   int threads) {
  using kvsieve::traces::DType;
  constexpr DType kTypes[] = {DType::kF16, DType::kBF16, DType::kF32};
  try {
    kvsieve::kernels::RaggedDecodeArgs args;
    args.cache.keys = keys;
    args.cache.values = values;
    args.cache.dtype = kTypes[dtype];
    args.cache.head_dim = head_dim;
    args.cache.segments = segments;
    args.cache.offsets = offsets;
    args.cache.lengths = lengths;
    args.queries = queries;
    args.query_dtype = kTypes[dtype];
    args.group = group;
    args.scale = scale;
    args.out = out;
    kvsieve::bench::with_threads(threads, [&] { kvsieve::kernels::ragged_decode(args); });
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}

}  // extern "C"
