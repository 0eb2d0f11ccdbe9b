#pragma once
// Runs PTX that a test gives as text on one block.

#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/ptx/run_ptx.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::ptx {

/// What bodies begin with.
inline constexpr std::string_view kDeclarations = R"(
  .reg .b32 %t, %u, %v, %w, %a; .reg .b64 %x, %y; .reg .pred %p, %q;
  .shared .align 4 .b8 tile[512];
  mov.u32 %t, %tid.x;
  mad.wide.u32 %x, %t, 4, %in;
  mad.wide.u32 %y, %t, 4, %out;
  mov.u32 %w, tile;
  shl.b32 %a, %t, 2;
  add.u32 %a, %a, %w;
)";

/// What a block of `threads` leaves in `out`; in holds 0, 1, 2, ... Throws Error.
inline std::vector<std::uint32_t> run_block(std::string_view body, unsigned threads,
                                            std::uint64_t seed = 0) {
  const Program program(one_kernel({"in", "out"}, std::string(kDeclarations) + std::string(body)));
  Memory memory;
  std::vector<std::uint32_t> numbers(threads);
  std::iota(numbers.begin(), numbers.end(), 0U);
  const Buffer<std::uint32_t> in(memory, numbers);
  const Buffer<std::uint32_t> out(memory, std::vector<std::uint32_t>(threads));
  run(program, "k", {{1}, {threads}}, memory, seed, in.data(), out.data());
  return out.values();
}

/// What stops the block; empty if nothing does.
inline std::string message_of(std::string_view body, unsigned threads) {
  try {
    run_block(body, threads);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace kvsieve::ptx
