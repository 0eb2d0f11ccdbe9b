// How the warps of a block meet at barriers.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>

#include "exec/ptx/block.h"

namespace kvsieve::ptx {

unsigned Block::barrier_operand(const Warp& warp, const Instruction& instruction, Operand operand,
                                unsigned otherwise) const {
  if (operand == kNoOperand) {
    return otherwise;
  }
  const auto* values = warp.lanes<std::uint32_t>(operand);
  const LaneMask lanes = warp.existing & ~warp.exited;
  for (LaneMask rest = lanes; rest != 0; rest &= rest - 1) {
    if (values[lowest(rest)] != values[lowest(lanes)]) {
      fail(warp, instruction, lowest(rest), "barrier whose operands differ within a warp");
    }
  }
  return values[lowest(lanes)];
}

void Block::arrive_at_barrier(Warp& warp, std::uint32_t pc) {
  const Instruction& instruction = m_code[pc];
  const LaneMask lanes = warp.existing & ~warp.exited;
  LaneMask here = 0;
  for (unsigned i = 0; i < warp.group_count; ++i) {
    if (warp.groups[i].pc == pc && warp.groups[i].state == LaneGroup::State::kAtBarrier) {
      here |= warp.groups[i].lanes;
    }
  }
  if (here != lanes) {
    return;
  }
  warp.group_count = 1;
  warp.groups[0] = {pc, lanes, LaneGroup::State::kAtBarrier};
  warp.pc = pc;
  count(pc, lanes);
  ++m_launch.counted[pc].barriers;
  const unsigned number = barrier_operand(warp, instruction, instruction.a, 0);
  const auto all = static_cast<unsigned>(m_warps.size() * kLanes);
  const unsigned expected = barrier_operand(warp, instruction, instruction.b, all);
  if (number >= kBarriers || expected == 0 || expected % kLanes != 0 || expected > all) {
    fail(warp, instruction, lowest(lanes),
         fmt::format("barrier {} of {} threads in a block of {} warps", number, expected,
                     m_warps.size()));
  }
  const bool whole_block = instruction.b == kNoOperand;
  if (m_exited > 0 && whole_block) {
    fail(warp, instruction, lowest(lanes),
         fmt::format("barrier that not all threads reach: {} of {} exited", m_exited, m_threads));
  }
  Barrier& barrier = m_barriers[number];
  if (barrier.arrived == 0) {
    barrier.pc = pc;
    barrier.expected = expected;
    barrier.whole_block = whole_block;
    barrier.vote = instruction.vote == BarrierVote::kAnd ? 1 : 0;
  } else if (barrier.expected != expected || (barrier.pc != pc &&
                                              (m_code[barrier.pc].source != instruction.source ||
                                               m_code[barrier.pc].vote != instruction.vote) &&
                                              whole_block)) {
    fail(warp, instruction, lowest(lanes),
         fmt::format("two different barriers meet: others wait at {}", place(m_code[barrier.pc])));
  }
  barrier.arrived |= 1U << warp.number;
  // Lanes that exited count.
  barrier.threads += kLanes;
  order_arrival(warp, barrier, whole_block);
  if (instruction.vote == BarrierVote::kArrive) {
    warp.groups[0] = {pc + 1, lanes, LaneGroup::State::kReady};
  } else {
    barrier.waiting |= 1U << warp.number;
  }
  if (instruction.c != kNoOperand) {
    const LaneMask value =
        (warp.predicate(instruction.c) ^ (instruction.option != 0 ? kAllLanes : 0)) & lanes;
    switch (instruction.vote) {
      case BarrierVote::kCount:
        barrier.vote += std::popcount(value);
        break;
      case BarrierVote::kAnd:
        barrier.vote &= value == lanes ? 1 : 0;
        break;
      case BarrierVote::kOr:
        barrier.vote |= value != 0 ? 1 : 0;
        break;
      case BarrierVote::kNone:
      case BarrierVote::kArrive:
        break;
    }
  }
  if (barrier.threads >= barrier.expected) {
    release_barrier(barrier);
  }
}

void Block::release_barrier(Barrier& barrier) {
  order_barrier(barrier);
  for (std::uint32_t rest = barrier.waiting; rest != 0; rest &= rest - 1) {
    Warp& warp = m_warps[lowest(rest)];
    LaneGroup& group = warp.groups[0];
    write_votes(warp, m_code[group.pc], barrier.vote);
    group = {group.pc + 1, group.lanes, LaneGroup::State::kReady};
  }
  barrier = {};
}

void Block::write_votes(Warp& warp, const Instruction& instruction, int vote) {
  const LaneMask lanes = warp.existing & ~warp.exited;
  if (instruction.vote == BarrierVote::kCount) {
    auto* d = warp.lanes<std::uint32_t>(instruction.d);
    for_lanes(lanes, [=](unsigned lane) { d[lane] = static_cast<std::uint32_t>(vote); });
  } else if (instruction.vote == BarrierVote::kAnd || instruction.vote == BarrierVote::kOr) {
    LaneMask& d = warp.predicate(instruction.d);
    d = (d & ~lanes) | (vote != 0 ? lanes : 0);
  }
}

std::uint32_t Block::advance_time() {
  const std::uint32_t now = ++m_launch.memory->now;
  m_global_moment.now = now;
  m_shared_moment.now = now;
  return now;
}

/// Of what the warp did, and what it knows, those who wait at the barrier will know.
void Block::order_arrival(Warp& warp, Barrier& barrier, bool whole_block) {
  if (!whole_block && !m_meetings.any) {
    m_meetings.any = true;
    for (WarpTimes& row : m_meetings.known) {
      row.fill(m_global_moment.barrier_time);
    }
  }
  if (m_meetings.any) {
    const WarpTimes& known = m_meetings.known[warp.number];
    for (unsigned i = 0; i < kMaxWarps; ++i) {
      barrier.known[i] = std::max(barrier.known[i], known[i]);
    }
  }
  warp.arrival_time = advance_time();
  barrier.known[warp.number] = warp.arrival_time;
}

/// Orders what warps did before they arrived before what those who wait do next.
void Block::order_barrier(const Barrier& barrier) {
  for (std::uint32_t rest = barrier.waiting; rest != 0; rest &= rest - 1) {
    Warp& warp = m_warps[lowest(rest)];
    meet(warp, warp.existing & ~warp.exited);
    m_meetings.known[warp.number] = barrier.known;
  }
  if (static_cast<std::size_t>(std::popcount(barrier.waiting)) == m_warps.size() && m_exited == 0) {
    m_global_moment.barrier_time = m_global_moment.now;
    m_shared_moment.barrier_time = m_shared_moment.now;
    m_meetings.any = false;
    m_meetings.times.clear();
  }
}

}  // namespace kvsieve::ptx
