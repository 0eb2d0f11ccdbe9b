// How the lanes of a warp meet in operations that name them.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>

#include "exec/ptx/block.h"

namespace kvsieve::ptx {

void Block::check_members(Warp& warp, const Instruction& instruction, LaneMask lanes) const {
  for (LaneMask rest = lanes; rest != 0; rest &= rest - 1) {
    const unsigned lane = lowest(rest);
    const LaneMask mask = instruction.members == kNoOperand
                              ? kAllLanes
                              : warp.lanes<LaneMask>(instruction.members)[lane];
    warp.members[lane] = mask;
    if ((mask >> lane & 1U) == 0) {
      fail(warp, instruction, lane,
           fmt::format("warp operation of a lane that is not in its own mask {:08x}", mask));
    }
    if ((mask & ~warp.existing) != 0) {
      fail(warp, instruction, lane,
           fmt::format("warp operation names lane {} in its mask {:08x}, but the warp has {} lanes",
                       lowest(mask & ~warp.existing), mask, std::popcount(warp.existing)));
    }
    if ((mask & warp.exited) != 0) {
      fail(warp, instruction, lane,
           fmt::format("warp operation names lane {} in its mask {:08x}, which has exited",
                       lowest(mask & warp.exited), mask));
    }
  }
}

/// Runs it at once if exactly the lanes that are here are named.
bool Block::run_warp_sync(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  if (instruction.members != kNoOperand) {
    const auto* members = warp.lanes<LaneMask>(instruction.members);
    for (LaneMask rest = lanes; rest != 0; rest &= rest - 1) {
      if (members[lowest(rest)] != lanes) {
        return false;
      }
    }
  } else if (lanes != kAllLanes) {
    return false;
  }
  run_synced(warp, warp.pc, lanes);
  return true;
}

void Block::run_synced(Warp& warp, std::uint32_t pc, LaneMask lanes) {
  warp.pc = pc;
  count(pc, lanes);
  // Shuffles, votes and the like promise nothing of memory: __syncwarp() alone does.
  if (m_code[pc].run == nullptr) {
    meet(warp, lanes);
  } else {
    m_code[pc].run(warp, m_code[pc], lanes);
  }
}

void Block::complete_warp_syncs(Warp& warp) {
  while (complete_one_warp_sync(warp)) {
  }
}

bool Block::complete_one_warp_sync(Warp& warp) {
  for (unsigned i = 0; i < warp.group_count; ++i) {
    const LaneGroup& group = warp.groups[i];
    if (group.state != LaneGroup::State::kInWarpSync) {
      continue;
    }
    const LaneMask mask = warp.members[lowest(group.lanes)];
    // Those at the same instruction; a mere meeting may be at several.
    LaneMask here = 0;
    for (unsigned j = 0; j < warp.group_count; ++j) {
      const LaneGroup& other = warp.groups[j];
      if (other.state == LaneGroup::State::kInWarpSync &&
          (other.pc == group.pc ||
           (m_code[group.pc].run == nullptr && m_code[other.pc].run == nullptr))) {
        for (LaneMask rest = other.lanes; rest != 0; rest &= rest - 1) {
          here |= warp.members[lowest(rest)] == mask ? rest & (0U - rest) : 0;
        }
      }
    }
    if (here != mask) {
      // Lanes of the group with another mask may be complete.
      LaneMask rest = group.lanes;
      bool uniform = true;
      for (; rest != 0; rest &= rest - 1) {
        uniform = uniform && warp.members[lowest(rest)] == mask;
      }
      if (!uniform) {
        // Each mask a group of its own.
        LaneMask same = 0;
        for (rest = group.lanes; rest != 0; rest &= rest - 1) {
          same |= warp.members[lowest(rest)] == mask ? rest & (0U - rest) : 0;
        }
        warp.groups[warp.group_count++] = {group.pc, group.lanes & ~same, group.state};
        warp.groups[i].lanes = same;
      }
      continue;
    }
    const std::uint32_t pc = group.pc;
    run_synced(warp, pc, mask);
    // The lanes go on from where each of them was.
    for (unsigned j = 0; j < warp.group_count; ++j) {
      LaneGroup& other = warp.groups[j];
      const LaneMask released = other.lanes & mask;
      if (released == 0 || other.state != LaneGroup::State::kInWarpSync) {
        continue;
      }
      if (released == other.lanes) {
        other = {other.pc + 1, released, LaneGroup::State::kReady};
      } else {
        other.lanes &= ~released;
        part(warp, other.pc + 1, released);
      }
    }
    return true;
  }
  return false;
}

void Block::meet(Warp& warp, LaneMask lanes) {
  const std::uint32_t now = advance_time();
  if (lanes == warp.existing) {
    warp.full_time = now;
    warp.partial_meetings = false;
    return;
  }
  if (!warp.partial_meetings) {
    warp.partial_meetings = true;
    for (auto& row : warp.known) {
      row.fill(warp.full_time);
    }
  }
  std::array<std::uint32_t, kLanes> joined{};
  for (LaneMask rest = lanes; rest != 0; rest &= rest - 1) {
    for (unsigned i = 0; i < kLanes; ++i) {
      joined[i] = std::max(joined[i], warp.known[lowest(rest)][i]);
    }
  }
  for (LaneMask rest = lanes; rest != 0; rest &= rest - 1) {
    joined[lowest(rest)] = now;
  }
  for (LaneMask rest = lanes; rest != 0; rest &= rest - 1) {
    warp.known[lowest(rest)] = joined;
  }
}

}  // namespace kvsieve::ptx
