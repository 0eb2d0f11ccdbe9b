#include "exec/ptx/race_check.h"

#include <bit>

namespace kvsieve::ptx {
namespace {

/// Whether what some lanes of a warp did up to `time` is ordered before what `lane` of `warp` does
/// now.
bool are_lanes_ordered(std::uint32_t time, unsigned their_warp, LaneMask their_lanes,
                       const Moment& moment, const Warp& warp, unsigned lane) {
  if (their_warp != warp.number) {
    if (!moment.warps->any || time >= moment.warps->known[warp.number][their_warp]) {
      return false;
    }
    // Barriers of the warp after a lane's exit say nothing of that lane.
    const LaneMask exited = their_lanes & moment.warps->exited[their_warp];
    for (LaneMask rest = exited; rest != 0; rest &= rest - 1) {
      if (time >= moment.warps->last_met[their_warp][lowest(rest)]) {
        return false;
      }
    }
    return true;
  }
  const LaneMask others = their_lanes & ~(LaneMask{1} << lane);
  if (others == 0 || time < warp.full_time) {
    return true;
  }
  if (!warp.partial_meetings) {
    return false;
  }
  for (LaneMask rest = others; rest != 0; rest &= rest - 1) {
    if (time >= warp.known[lane][lowest(rest)]) {
      return false;
    }
  }
  return true;
}

/// Whether accesses of some lanes up to `time` are ordered before what `lane` of `warp` does now.
bool is_ordered(std::uint32_t time, std::uint8_t their_warp, LaneMask their_lanes,
                const Moment& moment, const Warp& warp, unsigned lane) {
  if (time < moment.begin) {
    return true;
  }
  if (time < moment.block_begin) {
    return false;
  }
  if (time < moment.barrier_time) {
    return true;
  }
  // Of several warps the lanes are not known: it may have been any that is still there.
  const auto is_warp_ordered = [&](std::uint32_t until, unsigned other) {
    return are_lanes_ordered(until, other, warp.existing & ~moment.warps->exited[other], moment,
                             warp, lane);
  };
  if (their_warp == ShadowCell::kSeveralWarps) {
    for (std::uint32_t rest = their_lanes; rest != 0; rest &= rest - 1) {
      if (!is_warp_ordered(time, lowest(rest))) {
        return false;
      }
    }
    return true;
  }
  if (their_warp == ShadowCell::kTimesOfWarps) {
    const WarpTimes& times = moment.warps->times[their_lanes];
    for (unsigned other = 0; other < kMaxWarps; ++other) {
      if (times[other] != 0 && !is_warp_ordered(times[other], other)) {
        return false;
      }
    }
    return true;
  }
  return are_lanes_ordered(time, their_warp, their_lanes, moment, warp, lane);
}

/// Adds an access of `lane` now to others of `time` that nothing orders before it.
void join(std::uint32_t time, std::uint8_t& by_warp, LaneMask& by_lanes, const Moment& moment,
          const Warp& warp, unsigned lane) {
  if (by_warp == warp.number) {
    by_lanes |= LaneMask{1} << lane;
    return;
  }
  if (by_warp != ShadowCell::kTimesOfWarps) {
    const std::uint32_t warps =
        by_warp == ShadowCell::kSeveralWarps ? by_lanes : std::uint32_t{1} << by_warp;
    if (!moment.warps->any) {
      by_lanes = warps | std::uint32_t{1} << warp.number;
      by_warp = ShadowCell::kSeveralWarps;
      return;
    }
    WarpTimes& times = moment.warps->times.emplace_back();
    for (std::uint32_t rest = warps; rest != 0; rest &= rest - 1) {
      times[lowest(rest)] = time;
    }
    by_lanes = static_cast<LaneMask>(moment.warps->times.size() - 1);
    by_warp = ShadowCell::kTimesOfWarps;
  }
  moment.warps->times[by_lanes][warp.number] = moment.now;
}

void set_flag(ShadowCell& cell, std::uint8_t flag, bool value) {
  cell.flags = static_cast<std::uint8_t>(value ? cell.flags | flag : cell.flags & ~flag);
}

void remember_read(ShadowCell& cell, bool atomic, const Moment& moment, const Warp& warp,
                   unsigned lane) {
  const LaneMask self = LaneMask{1} << lane;
  const auto number = static_cast<std::uint8_t>(warp.number);
  const bool joins = atomic == ((cell.flags & ShadowCell::kReadAtomically) != 0);
  if (atomic && !joins && cell.read_time >= moment.begin &&
      ((cell.flags & ShadowCell::kOtherBlocksRead) != 0 ||
       !is_ordered(cell.read_time, cell.read_warp, cell.read_lanes, moment, warp, lane))) {
    // The plain reads forbid more.
    return;
  }
  const bool by_other_block =
      joins && cell.read_time >= moment.begin && cell.read_time < moment.block_begin;
  if (cell.read_time < moment.begin || !joins || by_other_block) {
    set_flag(cell, ShadowCell::kOtherBlocksRead, by_other_block);
    cell.read_lanes = self;
    cell.read_warp = number;
  } else if (is_ordered(cell.read_time, cell.read_warp, cell.read_lanes, moment, warp, lane)) {
    cell.read_lanes = self;
    cell.read_warp = number;
  } else {
    join(cell.read_time, cell.read_warp, cell.read_lanes, moment, warp, lane);
  }
  cell.read_time = moment.now;
  set_flag(cell, ShadowCell::kReadAtomically, atomic);
}

void remember_write(ShadowCell& cell, bool atomic, const Moment& moment, const Warp& warp,
                    unsigned lane) {
  const LaneMask self = LaneMask{1} << lane;
  const auto number = static_cast<std::uint8_t>(warp.number);
  const bool joins = atomic && (cell.flags & ShadowCell::kWrittenAtomically) != 0;
  const bool by_other_block =
      joins && cell.write_time >= moment.begin && cell.write_time < moment.block_begin;
  if (cell.write_time < moment.begin || !joins || by_other_block) {
    set_flag(cell, ShadowCell::kOtherBlocksWrote, by_other_block);
    cell.write_lanes = self;
    cell.write_warp = number;
  } else if (is_ordered(cell.write_time, cell.write_warp, cell.write_lanes, moment, warp, lane)) {
    cell.write_lanes = self;
    cell.write_warp = number;
  } else {
    join(cell.write_time, cell.write_warp, cell.write_lanes, moment, warp, lane);
  }
  cell.write_time = moment.now;
  set_flag(cell, ShadowCell::kWrittenAtomically, atomic);
}

}  // namespace

void ShadowPage::split(unsigned shift) {
  const unsigned copies_shift = m_shift - shift;
  std::vector<ShadowCell> cells(kBytes >> shift);
  for (std::size_t i = 0; i < cells.size(); ++i) {
    cells[i] = m_cells[i >> copies_shift];
  }
  m_cells = std::move(cells);
  m_shift = shift;
}

void Shadow::clear() {
  for (std::unique_ptr<ShadowPage>& page : m_pages) {
    page.reset();
  }
}

Collision pass_contended_cell(ShadowCell& cell, AccessKind kind, const Moment& moment,
                              const Warp& warp, unsigned lane) {
  const bool atomic = is_atomic(kind);
  const bool both_atomic = atomic && (cell.flags & ShadowCell::kWrittenAtomically) != 0;
  if (cell.write_time >= moment.begin && !both_atomic) {
    const bool other_block =
        cell.write_time < moment.block_begin || (cell.flags & ShadowCell::kOtherBlocksWrote) != 0;
    if (other_block ||
        !is_ordered(cell.write_time, cell.write_warp, cell.write_lanes, moment, warp, lane)) {
      return {true, true, other_block, cell.write_warp, cell.write_lanes};
    }
  }
  if (writes(kind)) {
    const bool reads_atomic = atomic && (cell.flags & ShadowCell::kReadAtomically) != 0;
    if (cell.read_time >= moment.begin && !reads_atomic) {
      const bool other_block =
          cell.read_time < moment.block_begin || (cell.flags & ShadowCell::kOtherBlocksRead) != 0;
      if (other_block ||
          !is_ordered(cell.read_time, cell.read_warp, cell.read_lanes, moment, warp, lane)) {
        return {true, false, other_block, cell.read_warp, cell.read_lanes};
      }
    }
    remember_write(cell, atomic, moment, warp, lane);
    cell.read_time = 0;
    set_flag(cell, ShadowCell::kOtherBlocksRead, false);
    set_flag(cell, ShadowCell::kReadAtomically, false);
  } else {
    remember_read(cell, atomic, moment, warp, lane);
  }
  return {};
}

}  // namespace kvsieve::ptx
