#pragma once
// One block: its threads as fibers, their schedule, and their meeting points.
//
// A thread runs until it has to wait; the last to arrive where others wait lets them go and runs
// on. So whoever waits switches directly to the next thread that can run: a switch a wait.
// Everything a block does happens in one OS thread, hence no locks.

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <source_location>
#include <span>
#include <string>
#include <vector>

#include "exec/device/launch_config.h"
#include "exec/simt/fiber.h"
#include "exec/simt/limits.h"
#include "exec/simt/order.h"

namespace kvsieve::simt {

/// Like CUDA's uint3, which the executor itself must not depend on.
struct Index3 {
  unsigned x = 0;
  unsigned y = 0;
  unsigned z = 0;
};

/// A cp.async that has been issued and not been waited for.
struct PendingCopy {
  std::byte* target;
  const std::byte* source;
  std::uint32_t bytes;
  std::uint32_t zeros;  ///< bytes at the end that are filled with zeros instead
  std::uint32_t group;  ///< number of commits before it
};

/// What the lanes of a warp do together: `combine` runs once, in the lane that comes last, with
/// the payloads of the lanes in the mask (null for the others).
struct WarpOperation {
  using Combine = void (*)(void* const* payloads, unsigned mask);
  const char* name;
  Combine combine;
};

class Block;

/// A CUDA thread. What a switch touches shares a cache line.
struct alignas(64) Thread {
  enum class State : std::uint8_t { kReady, kAtBarrier, kInWarpOperation, kExited };

  Fiber fiber;
  Block* block = nullptr;
  Index3 index;
  std::uint8_t warp = 0;
  std::uint8_t lane = 0;
  State state = State::kReady;
  // Where and for whom it waits.
  std::source_location where;
  unsigned mask = 0;
  void* payload = nullptr;
  const WarpOperation* operation = nullptr;
  std::vector<PendingCopy> copies;
  std::uint32_t committed_groups = 0;
  // Fences order atomics only where ThreadSanitizer watches (intrinsics/atomics.h).
  bool fenced = false;
  void* last_atomic = nullptr;

  [[nodiscard]] unsigned rank() const { return warp * kLanes + lane; }
};

/// How the values that threads bring to a barrier are combined.
enum class BarrierVote : std::uint8_t { kNone, kCount, kAnd, kOr };

/// Runs blocks, one after the other, in the OS thread that made it.
class Block {
 public:
  /// What is the same for all blocks of a launch.
  struct Launch {
    std::string name;
    kernels::LaunchConfig config;
    std::function<void()> body;
    Order order;
    std::uint64_t number = 0;
    char* done = nullptr;  ///< every thread's end is ordered before acquire(done)
  };

  Block();
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  /// Runs one block to its end. Returns what went wrong, in one line.
  std::optional<std::string> run(const Launch& launch, Index3 index);

  // For the intrinsics, called by the running thread.

  /// __syncthreads and its variants. Returns the combined value.
  int barrier(BarrierVote vote, int value, const std::source_location& where);
  /// Waits until all lanes in `mask` call it with the same operation and mask.
  void warp_exchange(const WarpOperation& operation, unsigned mask, void* payload,
                     const std::source_location& where);
  /// Stops the launch with the message, the running thread and the line in front. The caller's
  /// frame is abandoned: what it owns then leaks, hence messages are moved here.
  [[noreturn, gnu::cold, gnu::noinline]] void fail(std::string message,
                                                   const std::source_location& where);

  [[nodiscard]] const Index3& index() const { return m_index; }
  [[nodiscard]] const Launch& launch() const { return *m_launch; }
  [[nodiscard]] void* shared_memory() { return m_shared.get(); }

 private:
  struct Warp {
    unsigned ready = 0;    ///< lanes that can run
    unsigned waiting = 0;  ///< lanes in a warp operation
    unsigned exited = 0;
    // As long as all waiting lanes are in the same operation with the same mask, these tell it.
    bool uniform = true;
    unsigned mask = 0;
    WarpOperation operation{};
  };

  static void thread_main();
  std::string run_body() const;
  void set_up(const Launch& launch, Index3 index);
  void set_up_shared_memory(std::size_t bytes);
  void set_up_thread(unsigned rank);
  Thread* pick_next();
  void wait();
  void make_ready(unsigned warp, unsigned lanes);
  [[noreturn]] void exit_thread();
  void check_mask(const Thread& self, unsigned mask, const WarpOperation& operation,
                  const std::source_location& where);
  bool is_waited_for(const Warp& warp, const Thread& self);
  bool arrive(Warp& warp, const Thread& self);
  void complete(Warp& warp, const Thread& self);
  void check_partners(const Warp& warp, const Thread& self);
  void release_barrier();
  // Apart from the code that calls it, whose frames stay small.
  [[noreturn, gnu::cold, gnu::noinline]] void stop_deadlock();
  [[noreturn, gnu::cold, gnu::noinline]] void stop_waited_for();
  [[noreturn, gnu::cold, gnu::noinline]] void stop(std::string message);
  [[nodiscard]] std::string describe(const Thread& thread) const;
  [[nodiscard]] std::string describe_waiting() const;
  [[nodiscard]] std::string headline() const;
  [[nodiscard]] Thread& lane_of(const Thread& self, unsigned lane) {
    return m_threads[self.warp * kLanes + lane];
  }

  const Launch* m_launch = nullptr;
  Index3 m_index;
  StackPool m_stacks;
  Fiber m_host;
  std::vector<Thread> m_threads;
  unsigned m_thread_count = 0;
  unsigned m_exited = 0;
  std::array<Warp, kMaxWarps> m_warps;
  unsigned m_ready_warps = 0;  ///< bit a warp with ready lanes
  OrderRandom m_random{0};
  std::optional<std::string> m_error;

  // The barrier that threads wait at.
  unsigned m_at_barrier = 0;
  unsigned m_generation = 0;
  BarrierVote m_vote = BarrierVote::kNone;
  int m_vote_value = 0;
  int m_vote_result = 0;
  std::source_location m_barrier_where;

  std::span<std::byte> m_static_shared;
  std::unique_ptr<std::byte[]> m_shared;
  std::size_t m_shared_bytes = 0;

  // Addresses that stand for synchronisation in ThreadSanitizer's eyes.
  char m_barrier_arrival = 0;
  std::array<char, 2> m_barrier_departure{};
  std::array<char, kMaxBlockThreads> m_lane_arrival{};
  std::array<char, kMaxBlockThreads> m_lane_departure{};
};

/// The CUDA thread that runs in this OS thread, or null outside kernels.
extern constinit thread_local Thread* t_thread;

inline Thread& this_thread() {
  return *t_thread;
}
inline Block& this_block() {
  return *t_thread->block;
}

}  // namespace kvsieve::simt
