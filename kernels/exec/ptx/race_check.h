#pragma once
// Finds accesses of different threads to the same bytes that nothing orders.
//
// Every access gets the logical time of its launch, which goes on whenever threads meet. An access
// is ordered before another one if its thread and the other's have met since: the whole block or
// some warps at a barrier, the warp or some of its lanes at a __syncwarp(). Blocks never meet
// within a launch. Of each piece of memory the last write is remembered, and the reads since; where
// threads read both plainly and atomically without an order, the plain reads.

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "exec/ptx/warp.h"

namespace kvsieve::ptx {

/// The last accesses to some bytes.
struct ShadowCell {
  // In place of a warp's number: several warps accessed them, and instead of lanes there is a bit
  // for each, or, if some of them meet by themselves, an index into WarpMeetings::times.
  static constexpr std::uint8_t kSeveralWarps = 0xff;
  static constexpr std::uint8_t kTimesOfWarps = 0xfe;
  // Bits of `flags`.
  static constexpr std::uint8_t kWrittenAtomically = 1;
  static constexpr std::uint8_t kReadAtomically = 8;
  // Besides the last reader or writer, in the launch of `read_time` or `write_time`.
  static constexpr std::uint8_t kOtherBlocksRead = 2;
  static constexpr std::uint8_t kOtherBlocksWrote = 4;

  std::uint32_t write_time = 0;
  std::uint32_t read_time = 0;
  LaneMask write_lanes = 0;
  LaneMask read_lanes = 0;
  std::uint8_t write_warp = 0;
  std::uint8_t read_warp = 0;
  std::uint8_t flags = 0;
};

/// Cells of consecutive bytes. A cell has 4 bytes until somebody accesses fewer.
class ShadowPage {
 public:
  static constexpr std::size_t kBytes = 1024;

  /// Makes cells as small as accesses of `bytes` (a power of two) need.
  void refine(std::size_t bytes) {
    if (bytes >> m_shift == 0) {
      split(bytes == 1 ? 0 : 1);
    }
  }
  [[nodiscard]] ShadowCell* cells() { return m_cells.data(); }
  /// log2 of the bytes of a cell.
  [[nodiscard]] unsigned shift() const { return m_shift; }

 private:
  void split(unsigned shift);

  unsigned m_shift = 2;
  std::vector<ShadowCell> m_cells = std::vector<ShadowCell>(kBytes >> 2U);
};

/// The pages of a range of memory; pages appear when they are used.
class Shadow {
 public:
  explicit Shadow(std::size_t bytes)
      : m_pages((bytes + ShadowPage::kBytes - 1) / ShadowPage::kBytes) {}

  ShadowPage& page(std::size_t offset) {
    std::unique_ptr<ShadowPage>& page = m_pages[offset / ShadowPage::kBytes];
    if (page == nullptr) {
      page = std::make_unique<ShadowPage>();
    }
    return *page;
  }
  /// Forgets all accesses.
  void clear();

 private:
  std::vector<std::unique_ptr<ShadowPage>> m_pages;
};

enum class AccessKind : std::uint8_t {
  kRead,
  kWrite,
  kAtomicRead,  ///< volatile or relaxed: other threads may write atomically meanwhile
  kAtomicWrite,
  kAtomicUpdate,
};

[[nodiscard]] constexpr bool writes(AccessKind kind) {
  return kind != AccessKind::kRead && kind != AccessKind::kAtomicRead;
}
[[nodiscard]] constexpr bool reads(AccessKind kind) {
  return kind != AccessKind::kWrite && kind != AccessKind::kAtomicWrite;
}
[[nodiscard]] constexpr bool is_atomic(AccessKind kind) {
  return kind >= AccessKind::kAtomicRead;
}

inline constexpr unsigned kMaxWarps = 32;
/// A logical time for each warp of a block.
using WarpTimes = std::array<std::uint32_t, kMaxWarps>;

/// Which warps have met at barriers of some warps only.
struct WarpMeetings {
  bool any = false;  ///< since the last barrier of the whole block
  /// Until when what a warp (second index) did comes before what the first one does now.
  std::array<WarpTimes, kMaxWarps> known{};
  /// Lanes that have exited, and when they last met others of their warp or came to a barrier.
  std::array<LaneMask, kMaxWarps> exited{};
  std::array<std::array<std::uint32_t, kLanes>, kMaxWarps> last_met{};
  /// Of cells that several warps accessed: when each of them last did; 0: never.
  std::vector<WarpTimes> times;
};

/// The times that matter to an access of the running block.
struct Moment {
  std::uint32_t now = 0;
  std::uint32_t begin = 0;  ///< of all accesses that count: the launch, or the block
  std::uint32_t block_begin = 0;
  std::uint32_t barrier_time = 0;  ///< of the last barrier of the whole block
  WarpMeetings* warps = nullptr;
};

/// With what an access collides.
struct Collision {
  bool found = false;
  bool with_write = false;
  bool with_other_block = false;
  std::uint8_t warp = 0;
  LaneMask lanes = 0;
};

/// Checks an access of one lane against a cell and remembers it there.
Collision pass_contended_cell(ShadowCell& cell, AccessKind kind, const Moment& moment,
                              const Warp& warp, unsigned lane);

/// The same for what most accesses find: what was done to the cell is ordered before them by a
/// barrier of the block, by a meeting of the warp, or because the thread did it itself; or others
/// only read. Returns false, with nothing done, for anything else.
template <AccessKind kind>
inline bool pass_quiet_cell(ShadowCell& cell, const Moment& moment, std::uint8_t warp,
                            std::uint32_t warp_time, bool partial_meetings, unsigned lane) {
  const LaneMask self = LaneMask{1} << lane;
  const std::uint32_t settled = moment.barrier_time - moment.block_begin;
  const auto is_over = [&](std::uint32_t time, std::uint8_t by_warp, LaneMask by_lanes) {
    return time < moment.begin || time - moment.block_begin < settled ||
           (time >= moment.block_begin && by_warp == warp &&
            (by_lanes == self || time < warp_time));
  };
  constexpr std::uint8_t kOthers = ShadowCell::kOtherBlocksRead | ShadowCell::kOtherBlocksWrote;
  if ((cell.flags & kOthers) != 0 || !is_over(cell.write_time, cell.write_warp, cell.write_lanes)) {
    return false;
  }
  if (!is_over(cell.read_time, cell.read_warp, cell.read_lanes)) {
    if (kind != AccessKind::kRead || cell.read_time < moment.block_begin || partial_meetings ||
        (cell.flags & ShadowCell::kReadAtomically) != 0) {
      return false;
    }
    // One reader more.
    if (cell.read_warp == warp) {
      cell.read_lanes |= self;
    } else {
      if (cell.read_warp != ShadowCell::kSeveralWarps) {
        cell.read_lanes = LaneMask{1} << cell.read_warp;
        cell.read_warp = ShadowCell::kSeveralWarps;
      }
      cell.read_lanes |= LaneMask{1} << warp;
    }
    cell.read_time = moment.now;
    return true;
  }
  if (writes(kind)) {
    cell.write_time = moment.now;
    cell.write_lanes = self;
    cell.write_warp = warp;
    cell.flags = is_atomic(kind) ? ShadowCell::kWrittenAtomically : 0;
    cell.read_time = 0;
  } else {
    cell.read_time = moment.now;
    cell.read_lanes = self;
    cell.read_warp = warp;
    cell.flags =
        static_cast<std::uint8_t>(is_atomic(kind) ? cell.flags | ShadowCell::kReadAtomically
                                                  : cell.flags & ~ShadowCell::kReadAtomically);
  }
  return true;
}

}  // namespace kvsieve::ptx
