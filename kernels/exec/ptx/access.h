#pragma once
// Accesses of a warp to memory: bounds, alignment, initialisation, races, and what they cost.

#include <array>
#include <cstdint>
#include <string_view>

#include "exec/ptx/block.h"
#include "exec/ptx/module.h"
#include "exec/ptx/race_check.h"

namespace kvsieve::ptx {

/// What the lanes of a warp ask for in one instruction: `bytes` at `address` of each.
struct Request {
  std::array<std::uint64_t, kLanes> address;
  LaneMask lanes = 0;
  unsigned bytes = 0;  ///< a power of two, to which addresses are aligned
  /// Each lane's address follows on the one before; of the whole warp.
  bool in_sequence = false;

  [[nodiscard]] bool is_in_sequence() const { return in_sequence && lanes == kAllLanes; }
};

/// Addresses of the lanes, from the instruction's base register and offset.
[[nodiscard]] Request make_request(Warp& warp, const Instruction& instruction, LaneMask lanes,
                                   unsigned bytes);

/// A generic request's lanes apart by space, their addresses those of the space.
struct SpaceRequests {
  Request global;
  Request shared;
  Request local;
  Request param;
};
[[nodiscard]] SpaceRequests split_generic(const Request& request);

// These throw Error(kInternal) for an access that is not allowed.

/// That addresses are multiples of the request's bytes.
void check_alignment(Warp& warp, const Instruction& instruction, const Request& request,
                     std::string_view space);
/// Global or constant memory; returns the lanes whose memory is pinned.
LaneMask pass_global(Warp& warp, const Instruction& instruction, const Request& request,
                     AccessKind kind);
void pass_shared(Warp& warp, const Instruction& instruction, const Request& request,
                 AccessKind kind);
void pass_local(Warp& warp, const Instruction& instruction, const Request& request,
                AccessKind kind);
void pass_param(Warp& warp, const Instruction& instruction, const Request& request);

}  // namespace kvsieve::ptx
