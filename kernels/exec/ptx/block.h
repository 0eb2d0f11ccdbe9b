#pragma once
// One block: its warps, their schedule, and their meeting points.
//
// A warp runs until all its lanes wait or have exited. Within it the lanes at the lowest
// instruction go first, so that lanes which parted meet again where their ways join.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "exec/ptx/launch.h"
#include "exec/ptx/race_check.h"
#include "exec/ptx/warp.h"

namespace kvsieve::ptx {

/// Runs blocks, one after the other.
class Block {
 public:
  explicit Block(Launch& launch);
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  /// Runs one block to its end. Throws Error(kInternal).
  void run(const kernels::Dim3& index);

  // For the instructions.

  [[nodiscard]] Launch& launch() { return m_launch; }
  [[nodiscard]] Counters& counted(const Warp& warp) { return m_launch.counted[warp.pc]; }
  [[nodiscard]] const Moment& moment(bool shared) const {
    return shared ? m_shared_moment : m_global_moment;
  }
  [[nodiscard]] std::byte* shared_memory() { return m_shared.get(); }
  [[nodiscard]] WrittenBits& shared_written() { return m_shared_written; }
  /// Bytes that cp.async copies on their way will write, and how many copies there are.
  [[nodiscard]] WrittenBits& shared_in_flight() { return m_shared_in_flight; }
  [[nodiscard]] std::size_t& copies_in_flight() { return m_copies_in_flight; }
  [[nodiscard]] Shadow& shared_shadow() { return m_shared_shadow; }
  /// The variable that a shared address lies in; null if none.
  [[nodiscard]] const NamedRange* find_shared(std::uint64_t address) const;
  /// "4 bytes after the end of values of 256 bytes"
  [[nodiscard]] std::string describe_shared(std::uint64_t address) const;
  /// Where a lane's part of the block's local memory begins.
  [[nodiscard]] std::size_t local_begin(const Warp& warp, unsigned lane) const {
    return (warp.number * std::size_t{kLanes} + lane) * m_local_stride;
  }
  [[nodiscard]] std::byte* local_memory() { return m_local.data(); }
  [[nodiscard]] WrittenBits& local_written() { return m_local_written; }
  /// Orders what lanes of a warp did before what they do next.
  void meet(Warp& warp, LaneMask lanes);
  [[noreturn, gnu::cold]] void fail(const Warp& warp, const Instruction& instruction, unsigned lane,
                                    std::string_view message) const;
  /// "PTX line 12, file.cu:34"
  [[nodiscard]] std::string place(const Instruction& instruction) const;
  [[nodiscard]] std::string thread_name(unsigned warp, unsigned lane) const;

 private:
  struct Barrier {
    std::uint32_t waiting = 0;  ///< bit a warp
    std::uint32_t arrived = 0;  ///< with those that do not wait
    WarpTimes known{};          ///< until when what each warp did comes before what waits
    unsigned threads = 0;
    unsigned expected = 0;
    bool whole_block = false;
    std::uint32_t pc = 0;  ///< of the first
    int vote = 0;
  };
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };

  void set_up_warp(Warp& warp, const kernels::Dim3& index);
  void write_specials(Warp& warp, const kernels::Dim3& index);
  [[nodiscard]] Warp* pick_next();
  void run_warp(Warp& warp);
  bool choose_group(Warp& warp, unsigned& chosen, std::uint32_t& limit);
  void part(Warp& warp, std::uint32_t pc, LaneMask lanes);
  void exit_lanes(Warp& warp, const Instruction& instruction, LaneMask lanes);

  bool run_warp_sync(Warp& warp, const Instruction& instruction, LaneMask lanes);
  void check_members(Warp& warp, const Instruction& instruction, LaneMask lanes) const;
  void complete_warp_syncs(Warp& warp);
  bool complete_one_warp_sync(Warp& warp);
  void run_synced(Warp& warp, std::uint32_t pc, LaneMask lanes);

  void arrive_at_barrier(Warp& warp, std::uint32_t pc);
  void release_barrier(Barrier& barrier);
  std::uint32_t advance_time();
  void order_arrival(Warp& warp, Barrier& barrier, bool whole_block);
  void order_barrier(const Barrier& barrier);
  void write_votes(Warp& warp, const Instruction& instruction, int vote);
  unsigned barrier_operand(const Warp& warp, const Instruction& instruction, Operand operand,
                           unsigned otherwise) const;
  void count(std::uint32_t pc, LaneMask lanes) {
    Issued& issued = m_launch.issued[pc];
    ++issued.warps;
    issued.threads += lanes == kAllLanes ? std::int64_t{kLanes} : std::popcount(lanes);
  }
  [[noreturn]] void stop_stuck() const;

  Launch& m_launch;
  const Instruction* m_code;
  kernels::Dim3 m_index;
  unsigned m_threads;
  std::vector<Warp> m_warps;
  std::unique_ptr<std::byte, Free> m_registers;
  std::size_t m_local_stride;
  std::vector<std::byte> m_local;
  WrittenBits m_local_written;
  std::unique_ptr<std::byte, Free> m_shared;
  std::size_t m_shared_bytes;
  WrittenBits m_shared_written;
  WrittenBits m_shared_in_flight;
  std::size_t m_copies_in_flight = 0;
  Shadow m_shared_shadow;
  std::vector<NamedRange> m_shared_ranges;
  std::array<Barrier, kBarriers> m_barriers;
  std::uint64_t m_random;
  unsigned m_first_warp = 0;  ///< that may run next
  Moment m_global_moment;
  Moment m_shared_moment;
  WarpMeetings m_meetings;
  unsigned m_exited = 0;
};

}  // namespace kvsieve::ptx
