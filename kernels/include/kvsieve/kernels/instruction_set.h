#pragma once

#include <string_view>

namespace kvsieve::kernels {

/// The instruction set that the CPU backend runs with here: "avx512bf16", "avx512", "avx2" or
/// "baseline". Results of different ones may differ in the last bits. The environment variable
/// KVSIEVE_ISA forces one; throws Error(kUsage) if this machine lacks it.
[[nodiscard]] std::string_view instruction_set();

}  // namespace kvsieve::kernels
