// Occupancy of kernels by the toolkit's own calculator, without a GPU.
//
//   occupancy                    reads lines "COMPUTE_CAPABILITY REGISTERS THREADS SHARED_BYTES"
//   and
//                                prints "BLOCKS SHARE" for each: resident blocks of a
//                                multiprocessor and the share of its threads that they are
//   occupancy --dynamic-shared   prints "KERNEL BYTES", the dynamic shared memory that the
//   launchers
//                                ask for at the benchmarks' shape

#include <cstdio>
#include <cstring>
#include <iostream>

#include "dynamic_shared.h"
#include "exec/cuda/occupancy.h"
#include "kvsieve/traces/error.h"

namespace {

int print_occupancies() {
  int capability = 0;
  kvsieve::kernels::BlockResources block;
  while (std::cin >> capability >> block.registers >> block.threads >> block.shared_bytes) {
    try {
      const auto [blocks, share] = kvsieve::kernels::occupancy_of(capability, block);
      std::printf("%d %.4f\n", blocks, share);
    } catch (const kvsieve::Error& error) {
      std::fprintf(stderr, "error: %s\n", error.what());
      return 1;
    }
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 1) {
    return print_occupancies();
  }
  if (argc == 2 && std::strcmp(argv[1], "--dynamic-shared") == 0) {
    for (const auto& [kernel, bytes] : kvsieve::kernels::cuda_::dynamic_shared_of_kernels()) {
      std::printf("%s %zu\n", kernel.c_str(), bytes);
    }
    return 0;
  }
  std::fprintf(stderr, "usage: occupancy [--dynamic-shared]\n");
  return 2;
}
