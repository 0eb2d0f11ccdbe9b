#pragma once
// A warp of the running block: its registers, where its lanes are, and what they wait for.

#include <array>
#include <cstdint>
#include <vector>

#include "exec/ptx/lanes.h"
#include "exec/ptx/module.h"

namespace kvsieve::ptx {

class Block;

/// Lanes at the same instruction.
struct LaneGroup {
  enum class State : std::uint8_t { kReady, kInWarpSync, kAtBarrier };
  std::uint32_t pc = 0;
  LaneMask lanes = 0;
  State state = State::kReady;
};

/// A cp.async of one lane that has been issued and not been waited for.
struct PendingCopy {
  std::uint64_t source;
  std::uint32_t target;
  std::uint8_t lane;
  std::uint8_t bytes;
  std::uint8_t source_bytes;  ///< the rest is filled with zeros
  std::uint32_t group;        ///< number of commits of the lane before it
};

class Warp : public Registers {
 public:
  Block* block = nullptr;
  unsigned number = 0;
  LaneMask existing = 0;
  LaneMask exited = 0;
  std::array<LaneGroup, kLanes> groups;
  unsigned group_count = 0;
  bool yields = false;                     ///< lanes that waited in a loop let others go on
  std::uint32_t pc = 0;                    ///< of the instruction that runs
  std::array<LaneMask, kLanes> members{};  ///< of lanes in a warp operation: their mask
  std::vector<PendingCopy> copies;
  std::array<std::uint32_t, kLanes> committed{};

  // Logical times, for races (race_check.h).
  std::uint32_t full_time = 0;     ///< all lanes met last
  std::uint32_t arrival_time = 0;  ///< last came to a barrier
  bool partial_meetings = false;   ///< some met since then
  std::array<std::array<std::uint32_t, kLanes>, kLanes> known{};
};

// Handlers that give each lane F::apply of its operands.

template <class F, class D, class A>
void run_unary(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  D* d = warp.lanes<D>(instruction.d);
  const A* a = warp.lanes<A>(instruction.a);
  for_lanes(lanes, [=](unsigned lane) { d[lane] = F::apply(a[lane]); });
}

template <class F, class D, class A, class B>
void run_binary(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  D* d = warp.lanes<D>(instruction.d);
  const A* a = warp.lanes<A>(instruction.a);
  const B* b = warp.lanes<B>(instruction.b);
  for_lanes(lanes, [=](unsigned lane) { d[lane] = F::apply(a[lane], b[lane]); });
}

template <class F, class D, class A, class B, class C>
void run_ternary(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  D* d = warp.lanes<D>(instruction.d);
  const A* a = warp.lanes<A>(instruction.a);
  const B* b = warp.lanes<B>(instruction.b);
  const C* c = warp.lanes<C>(instruction.c);
  for_lanes(lanes, [=](unsigned lane) { d[lane] = F::apply(a[lane], b[lane], c[lane]); });
}

}  // namespace kvsieve::ptx
