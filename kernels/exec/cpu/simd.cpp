#include "exec/cpu/simd.h"

#include <cstdlib>
#include <string>

#include "kvsieve/kernels/instruction_set.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::kernels {
namespace {

const SimdOps& choose() {
  const SimdList supported = simd_supported();
  const char* wanted = std::getenv("KVSIEVE_ISA");
  if (wanted == nullptr || *wanted == '\0') {
    return *supported.items[0];
  }
  std::string names;
  for (int i = 0; i < supported.count; ++i) {
    if (std::string(supported.items[i]->name) == wanted) {
      return *supported.items[i];
    }
    names += (i == 0 ? "" : ", ") + std::string(supported.items[i]->name);
  }
  throw Error(ErrorKind::kUsage,
              "KVSIEVE_ISA is '" + std::string(wanted) + "', this machine supports: " + names);
}

}  // namespace

SimdList simd_supported() {
  SimdList list{};
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
    // No processor has the one without the other.
    if (__builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vnni")) {
      list.items[list.count++] = &simd_avx512bf16;
    }
    list.items[list.count++] = &simd_avx512;
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
      __builtin_cpu_supports("f16c")) {
    list.items[list.count++] = &simd_avx2;
  }
#endif
  list.items[list.count++] = &simd_baseline;
  return list;
}

const SimdOps& simd() {
  static const SimdOps& chosen = choose();
  return chosen;
}

std::string_view instruction_set() {
  return simd().name;
}

}  // namespace kvsieve::kernels
