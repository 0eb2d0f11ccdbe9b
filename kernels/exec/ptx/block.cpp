#include "exec/ptx/block.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>

#include "kvsieve/traces/error.h"

namespace kvsieve::ptx {
namespace {

// Branches back after which lanes that still run let others go on, so that waiting for another
// thread in a loop comes to an end.
constexpr unsigned kPatience = 1U << 18U;

std::size_t shared_extent(const Launch& launch) {
  std::size_t end = 0;
  for (const NamedRange& range : launch.function->shared) {
    end = std::max<std::size_t>(end, range.begin + range.bytes);
  }
  return launch.config.shared_bytes > 0 ? kDynamicSharedBegin + launch.config.shared_bytes : end;
}

std::byte* zeroed(std::size_t bytes) {
  // Aligned for vectors; operand offsets keep it.
  const std::size_t rounded = (bytes + 63) / 64 * 64 + 64;
  auto* const memory = static_cast<std::byte*>(std::aligned_alloc(64, rounded));
  if (memory == nullptr) {
    throw std::bad_alloc();
  }
  std::memset(memory, 0, rounded);
  return memory;
}

std::size_t register_stride(const Function& function) {
  return (function.register_bytes + 63) / 64 * 64;
}

/// Of a lane: no access of up to 32 aligned bytes crosses a word of WrittenBits.
std::size_t local_stride(const Function& function) {
  return (function.local_bytes + 31) / 32 * 32;
}

std::string to_text(const kernels::Dim3& index) {
  return fmt::format("({}, {}, {})", index.x, index.y, index.z);
}

}  // namespace

Block::Block(Launch& launch)
    : m_launch(launch),
      m_code(launch.function->code.data()),
      m_threads(launch.config.block.x * launch.config.block.y * launch.config.block.z),
      m_warps((m_threads + kLanes - 1) / kLanes),
      m_registers(zeroed(register_stride(*launch.function) * m_warps.size())),
      m_local_stride(local_stride(*launch.function)),
      m_local(m_local_stride * kLanes * m_warps.size()),
      m_local_written(m_local.size()),
      m_shared(static_cast<std::byte*>(std::calloc(shared_extent(launch) + 1, 1))),
      m_shared_bytes(shared_extent(launch)),
      m_shared_written(m_shared_bytes),
      m_shared_in_flight(m_shared_bytes),
      m_shared_shadow(m_shared_bytes),
      m_shared_ranges(launch.function->shared),
      m_random(launch.seed) {
  if (m_shared == nullptr) {
    throw std::bad_alloc();
  }
  if (launch.config.shared_bytes > 0) {
    m_shared_ranges.push_back(
        {"dynamic shared memory", kDynamicSharedBegin, launch.config.shared_bytes});
  }
  for (unsigned number = 0; number < m_warps.size(); ++number) {
    Warp& warp = m_warps[number];
    warp.block = this;
    warp.number = number;
    const unsigned lanes = std::min(kLanes, m_threads - number * kLanes);
    warp.existing = kAllLanes >> (kLanes - lanes);
    warp.bind(m_registers.get() + number * register_stride(*launch.function),
              launch.constants.data(), launch.function->operands.data());
  }
}

void Block::run(const kernels::Dim3& index) {
  Memory::State& memory = *m_launch.memory;
  m_index = index;
  m_exited = 0;
  const std::uint32_t now = ++memory.now;
  m_global_moment = {now, m_launch.begin, now, now, &m_meetings};
  m_shared_moment = {now, now, now, now, &m_meetings};
  m_meetings.any = false;
  m_meetings.exited.fill(0);
  m_meetings.times.clear();
  m_copies_in_flight = 0;
  for (const NamedRange& range : m_shared_ranges) {
    m_shared_written.clear(range.begin, range.bytes);
    m_shared_in_flight.clear(range.begin, range.bytes);
  }
  m_local_written.clear(0, m_local.size());
  m_barriers.fill({});
  for (Warp& warp : m_warps) {
    set_up_warp(warp, index);
  }
  m_first_warp = 0;
  while (Warp* warp = pick_next()) {
    run_warp(*warp);
  }
  if (m_exited < m_threads) {
    stop_stuck();
  }
}

void Block::set_up_warp(Warp& warp, const kernels::Dim3& index) {
  warp.exited = 0;
  warp.yields = false;
  warp.group_count = 1;
  warp.groups[0] = {0, warp.existing, LaneGroup::State::kReady};
  warp.copies.clear();
  warp.committed.fill(0);
  warp.full_time = m_global_moment.now;
  warp.arrival_time = 0;
  warp.partial_meetings = false;
  write_specials(warp, index);
}

void Block::write_specials(Warp& warp, const kernels::Dim3& index) {
  const kernels::Dim3& block = m_launch.config.block;
  const kernels::Dim3& grid = m_launch.config.grid;
  for (const SpecialRegister& special : m_launch.function->specials) {
    auto* values = warp.lanes<std::uint32_t>(special.at);
    for (unsigned lane = 0; lane < kLanes; ++lane) {
      const unsigned rank = warp.number * kLanes + lane;
      const LaneMask self = LaneMask{1} << lane;
      values[lane] = [&]() -> std::uint32_t {
        switch (special.special) {
          case Special::kTidX:
            return rank % block.x;
          case Special::kTidY:
            return rank / block.x % block.y;
          case Special::kTidZ:
            return rank / block.x / block.y;
          case Special::kNtidX:
            return block.x;
          case Special::kNtidY:
            return block.y;
          case Special::kNtidZ:
            return block.z;
          case Special::kCtaidX:
            return index.x;
          case Special::kCtaidY:
            return index.y;
          case Special::kCtaidZ:
            return index.z;
          case Special::kNctaidX:
            return grid.x;
          case Special::kNctaidY:
            return grid.y;
          case Special::kNctaidZ:
            return grid.z;
          case Special::kLaneid:
            return lane;
          case Special::kWarpid:
            return warp.number;
          case Special::kNwarpid:
            return static_cast<std::uint32_t>(m_warps.size());
          case Special::kLanemaskEq:
            return self;
          case Special::kLanemaskLt:
            return self - 1;
          case Special::kLanemaskLe:
            return self | (self - 1);
          case Special::kLanemaskGt:
            return ~(self | (self - 1));
          case Special::kLanemaskGe:
            return ~(self - 1);
          case Special::kDynamicSharedSize:
            return static_cast<std::uint32_t>(m_launch.config.shared_bytes);
        }
        return 0;
      }();
    }
  }
}

/// A warp with lanes that can run: the lowest, or by chance; null if there is none.
Warp* Block::pick_next() {
  const auto count = static_cast<unsigned>(m_warps.size());
  unsigned first = m_first_warp;
  m_first_warp = 0;
  if (m_launch.seed != 0) {
    m_random = m_random * 6364136223846793005ULL + 1442695040888963407ULL;
    first = static_cast<unsigned>(m_random >> 33U);
  }
  for (unsigned i = 0; i < count; ++i) {
    Warp& warp = m_warps[(first + i) % count];
    for (unsigned group = 0; group < warp.group_count; ++group) {
      if (warp.groups[group].state == LaneGroup::State::kReady) {
        return &warp;
      }
    }
  }
  return nullptr;
}

/// The ready lanes at the lowest instruction become one group, which is chosen, unless it has been
/// at it for long; `limit` is where the next lanes are.
bool Block::choose_group(Warp& warp, unsigned& chosen, std::uint32_t& limit) {
  bool found = false;
  limit = UINT32_MAX;
  for (unsigned i = 0; i < warp.group_count; ++i) {
    LaneGroup& group = warp.groups[i];
    if (group.state != LaneGroup::State::kReady) {
      continue;
    }
    if (!found) {
      found = true;
      chosen = i;
    } else if (group.pc == warp.groups[chosen].pc) {
      warp.groups[chosen].lanes |= group.lanes;
      group = warp.groups[--warp.group_count];
      --i;
    } else if (group.pc < warp.groups[chosen].pc) {
      limit = warp.groups[chosen].pc;
      chosen = i;
    } else {
      limit = std::min(limit, group.pc);
    }
  }
  if (warp.yields && limit != UINT32_MAX) {
    // The next lowest go on for once, up to where others are.
    const std::uint32_t next = limit;
    limit = UINT32_MAX;
    for (unsigned i = 0; i < warp.group_count; ++i) {
      const LaneGroup& group = warp.groups[i];
      if (group.state == LaneGroup::State::kReady) {
        if (group.pc == next) {
          chosen = i;
        } else if (group.pc > next) {
          limit = std::min(limit, group.pc);
        }
      }
    }
  }
  warp.yields = false;
  return found;
}

void Block::part(Warp& warp, std::uint32_t pc, LaneMask lanes) {
  warp.groups[warp.group_count++] = {pc, lanes, LaneGroup::State::kReady};
}

void Block::run_warp(Warp& warp) {
  unsigned budget = kPatience;
  unsigned chosen = 0;
  std::uint32_t limit = 0;
  while (choose_group(warp, chosen, limit)) {
    LaneGroup& group = warp.groups[chosen];
    const LaneMask active = group.lanes;
    std::uint32_t pc = group.pc;
    bool goes_on = true;
    while (goes_on && pc < limit) {
      const Instruction& instruction = m_code[pc];
      LaneMask lanes = active;
      if (instruction.guard != kNoOperand) {
        const LaneMask guard = warp.predicate(instruction.guard);
        lanes &= instruction.guard_negated ? ~guard : guard;
      }
      warp.pc = pc;
      switch (instruction.flow) {
        case Flow::kPlain:
          count(pc, lanes);
          if (lanes != 0) {
            instruction.run(warp, instruction, lanes);
          }
          ++pc;
          break;
        case Flow::kBranch:
          count(pc, lanes);
          ++m_launch.counted[pc].branches;
          if (lanes == active) {
            pc = instruction.target;
          } else if (lanes == 0) {
            ++pc;
          } else {
            ++m_launch.counted[pc].divergent_branches;
            part(warp, instruction.target, lanes);
            group.lanes = active & ~lanes;
            ++pc;
            goes_on = false;
          }
          // Backwards is where a loop without end would be.
          if (pc <= warp.pc && --budget == 0) {
            group.pc = pc;
            warp.yields = true;
            m_first_warp = warp.number + 1;
            return;
          }
          break;
        case Flow::kExit:
          count(pc, lanes);
          if (lanes == 0) {
            ++pc;
            break;
          }
          group.pc = pc + 1;
          group.lanes = active & ~lanes;
          if (group.lanes == 0) {
            group = warp.groups[--warp.group_count];
          }
          exit_lanes(warp, instruction, lanes);
          pc = UINT32_MAX;
          goes_on = false;
          break;
        case Flow::kTrap:
          if (lanes != 0) {
            fail(warp, instruction, lowest(lanes), "stops with a trap");
          }
          ++pc;
          break;
        case Flow::kWarpSync:
        case Flow::kBarrier:
          if (lanes == 0) {
            count(pc, 0);
            ++pc;
            break;
          }
          if (instruction.flow == Flow::kWarpSync && lanes == active &&
              run_warp_sync(warp, instruction, lanes)) {
            ++pc;
            break;
          }
          if (lanes != active) {
            part(warp, pc + 1, active & ~lanes);
          }
          group = {pc, lanes,
                   instruction.flow == Flow::kBarrier ? LaneGroup::State::kAtBarrier
                                                      : LaneGroup::State::kInWarpSync};
          if (instruction.flow == Flow::kBarrier) {
            arrive_at_barrier(warp, pc);
            return;
          }
          check_members(warp, instruction, lanes);
          complete_warp_syncs(warp);
          pc = UINT32_MAX;
          goes_on = false;
          break;
      }
    }
    if (pc != UINT32_MAX) {
      group.pc = pc;
    }
  }
}

void Block::exit_lanes(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  warp.exited |= lanes;
  m_exited += static_cast<unsigned>(std::popcount(lanes));
  m_meetings.exited[warp.number] |= lanes;
  for (LaneMask rest = lanes; rest != 0; rest &= rest - 1) {
    const unsigned lane = lowest(rest);
    m_meetings.last_met[warp.number][lane] = std::max(
        warp.arrival_time, warp.partial_meetings ? warp.known[lane][lane] : warp.full_time);
  }
  for (unsigned i = 0; i < warp.group_count; ++i) {
    const LaneGroup& group = warp.groups[i];
    if (group.state != LaneGroup::State::kInWarpSync) {
      continue;
    }
    for (LaneMask rest = group.lanes; rest != 0; rest &= rest - 1) {
      const unsigned lane = lowest(rest);
      const LaneMask missing = warp.members[lane] & lanes;
      if (missing != 0) {
        fail(warp, m_code[group.pc], lane,
             fmt::format("warp operation with mask {:08x}, but {}, which it names, exits at {}",
                         warp.members[lane], thread_name(warp.number, lowest(missing)),
                         place(instruction)));
      }
    }
  }
  for (const Barrier& barrier : m_barriers) {
    if (barrier.waiting != 0 && barrier.whole_block) {
      const Warp& waiting = m_warps[lowest(barrier.waiting)];
      fail(waiting, m_code[barrier.pc], lowest(waiting.groups[0].lanes),
           fmt::format("barrier that not all threads reach: {} exits at {}",
                       thread_name(warp.number, lowest(lanes)), place(instruction)));
    }
  }
  // The rest of the warp may have waited at a barrier for these lanes.
  for (unsigned i = 0; i < warp.group_count; ++i) {
    if (warp.groups[i].state == LaneGroup::State::kAtBarrier) {
      arrive_at_barrier(warp, warp.groups[i].pc);
      break;
    }
  }
}

// ---- Messages ----

std::string Block::place(const Instruction& instruction) const {
  const SourceLine& source = m_launch.module->sources[instruction.source];
  return source.line == 0
             ? fmt::format("PTX line {}", instruction.line)
             : fmt::format("PTX line {}, {}:{}", instruction.line, source.file, source.line);
}

const NamedRange* Block::find_shared(std::uint64_t address) const {
  for (const NamedRange& range : m_shared_ranges) {
    if (address - range.begin < range.bytes) {
      return &range;
    }
  }
  return nullptr;
}

std::string Block::describe_shared(std::uint64_t address) const {
  const NamedRange* before = nullptr;
  for (const NamedRange& range : m_shared_ranges) {
    if (range.begin <= address && (before == nullptr || range.begin > before->begin)) {
      before = &range;
    }
  }
  if (before == nullptr) {
    return "in no variable";
  }
  const std::uint64_t offset = address - before->begin;
  return offset < before->bytes
             ? fmt::format("{} bytes into {} of {} bytes", offset, before->name, before->bytes)
             : fmt::format("{} bytes after the end of {} of {} bytes", offset - before->bytes,
                           before->name, before->bytes);
}

std::string Block::thread_name(unsigned warp, unsigned lane) const {
  const kernels::Dim3& block = m_launch.config.block;
  const unsigned rank = warp * kLanes + lane;
  return fmt::format("thread ({}, {}, {})", rank % block.x, rank / block.x % block.y,
                     rank / block.x / block.y);
}

void Block::fail(const Warp& warp, const Instruction& instruction, unsigned lane,
                 std::string_view message) const {
  throw Error(
      ErrorKind::kInternal,
      fmt::format("kernel {}, block {}, {}, {}: {}", m_launch.function->display_name,
                  to_text(m_index), thread_name(warp.number, lane), place(instruction), message));
}

/// Nobody can go on: says who waits where.
void Block::stop_stuck() const {
  for (const Warp& warp : m_warps) {
    for (unsigned i = 0; i < warp.group_count; ++i) {
      const LaneGroup& group = warp.groups[i];
      const Instruction& instruction = m_code[group.pc];
      const unsigned lane = lowest(group.lanes);
      const LaneMask others = warp.existing & ~warp.exited & ~group.lanes;
      const auto whereabouts = [&](LaneMask missing) {
        for (unsigned j = 0; j < warp.group_count; ++j) {
          if ((warp.groups[j].lanes & missing) != 0) {
            return fmt::format("{} waits at {}",
                               thread_name(warp.number, lowest(warp.groups[j].lanes & missing)),
                               place(m_code[warp.groups[j].pc]));
          }
        }
        return std::string("nobody else waits");
      };
      if (group.state == LaneGroup::State::kInWarpSync) {
        const LaneMask mask = warp.members[lane];
        fail(warp, instruction, lane,
             fmt::format("warp operation with mask {:08x}, but not all of its lanes reach it: {}",
                         mask, whereabouts(mask & ~group.lanes)));
      }
      if (others != 0) {
        fail(warp, instruction, lane,
             fmt::format("barrier that not all lanes of the warp reach: {}", whereabouts(others)));
      }
    }
  }
  for (const Barrier& barrier : m_barriers) {
    if (barrier.waiting != 0) {
      const Warp& warp = m_warps[lowest(barrier.waiting)];
      const Instruction& instruction = m_code[warp.groups[0].pc];
      fail(warp, instruction, lowest(warp.groups[0].lanes),
           fmt::format("barrier that only {} of {} threads reach", barrier.threads,
                       barrier.expected));
    }
  }
  throw Error(ErrorKind::kInternal, "the block of a kernel neither runs nor waits");
}

}  // namespace kvsieve::ptx
