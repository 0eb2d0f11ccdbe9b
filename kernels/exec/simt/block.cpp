#include "exec/simt/block.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <exception>
#include <map>
#include <string_view>
#include <utility>

#include "exec/simt/place.h"
#include "exec/simt/static_shared.h"

namespace kvsieve::simt {

namespace {

/// What uninitialised memory holds: NaN as a float, -1 as an integer.
constexpr int kPoison = 0xff;

bool same_place(const std::source_location& a, const std::source_location& b) {
  return a.line() == b.line() && a.column() == b.column() &&
         (a.file_name() == b.file_name() || std::string_view(a.file_name()) == b.file_name());
}

/// Instantiations of one operation in several files have several functions.
bool same_operation(const WarpOperation& a, const WarpOperation& b) {
  return a.combine == b.combine || std::string_view(a.name) == b.name;
}

std::string to_text(const Index3& index) {
  return fmt::format("({},{},{})", index.x, index.y, index.z);
}

unsigned lowest(unsigned mask) {
  return static_cast<unsigned>(std::countr_zero(mask));
}
unsigned highest(unsigned mask) {
  return 31U - static_cast<unsigned>(std::countl_zero(mask));
}
/// Any of the bits that are set; mask is not 0.
unsigned random_bit(unsigned mask, OrderRandom& random) {
  const int turn = static_cast<int>(random.below(kLanes));
  return (lowest(std::rotr(mask, turn)) + static_cast<unsigned>(turn)) % kLanes;
}

}  // namespace

Block::Block() {
  // A statically linked ThreadSanitizer (clang's) keeps its own data there.
  if (!kAddressSanitizer && !kClangThreadSanitizer) {
    m_static_shared = thread_locals_of_this_module();
  }
}

std::optional<std::string> Block::run(const Launch& launch, Index3 index) {
  const Unwatched unwatched;
  set_up(launch, index);
  t_thread = pick_next();
  Fiber::switch_to(m_host, t_thread->fiber);
  t_thread = nullptr;
  if (!m_error) {
    for (unsigned i = 0; i < m_thread_count; ++i) {
      m_threads[i].fiber.retire();
    }
  }
  return std::exchange(m_error, std::nullopt);
}

void Block::set_up(const Launch& launch, Index3 index) {
  m_launch = &launch;
  m_index = index;
  const kernels::Dim3& extent = launch.config.block;
  m_thread_count = extent.x * extent.y * extent.z;
  m_exited = 0;
  m_at_barrier = 0;
  m_ready_warps = 0;
  m_random = OrderRandom(launch.order.seed + launch.number * 0x10001 + index.x * 0x101ULL +
                         index.y * 0x1000003ULL + index.z * 0x100000007ULL);
  set_up_shared_memory(launch.config.shared_bytes);
  m_stacks.reserve(m_thread_count);
  if (m_threads.size() < m_thread_count) {
    m_threads = std::vector<Thread>(m_thread_count);
  }
  m_warps.fill({});
  for (unsigned rank = 0; rank < m_thread_count; ++rank) {
    set_up_thread(rank);
  }
}

void Block::set_up_shared_memory(std::size_t bytes) {
  if (!m_static_shared.empty()) {
    std::memset(m_static_shared.data(), kPoison, m_static_shared.size());
    t_thread = nullptr;
  }
  // Exactly as large as asked for, so that AddressSanitizer sees an overrun.
  if (m_shared_bytes != bytes) {
    m_shared = std::make_unique_for_overwrite<std::byte[]>(bytes);
    m_shared_bytes = bytes;
  }
  if (bytes > 0) {
    std::memset(m_shared.get(), kPoison, bytes);
  }
}

void Block::set_up_thread(unsigned rank) {
  const kernels::Dim3& extent = m_launch->config.block;
  Thread& thread = m_threads[rank];
  thread.block = this;
  thread.index = {rank % extent.x, rank / extent.x % extent.y, rank / extent.x / extent.y};
  thread.warp = static_cast<std::uint8_t>(rank / kLanes);
  thread.lane = static_cast<std::uint8_t>(rank % kLanes);
  thread.state = Thread::State::kReady;
  thread.copies.clear();
  thread.committed_groups = 0;
  thread.fenced = false;
  thread.last_atomic = nullptr;
  const StackPool::Stack stack = m_stacks.get(rank);
  thread.fiber.prepare(&thread_main, stack.begin, stack.bytes);
  if (kThreadSanitizer) {
    // ThreadSanitizer cuts names after 63 characters.
    thread.fiber.set_name(
        fmt::format("block {}, {} of {}", to_text(m_index), describe(thread), m_launch->name)
            .c_str());
  }
  make_ready(thread.warp, 1U << thread.lane);
}

void Block::thread_main() {
  Block& block = this_block();
  std::string problem = block.run_body();
  if (!problem.empty()) {
    block.stop(std::move(problem));
  }
  block.exit_thread();
}

/// The kernel in this thread. Returns the message of an exception that left it.
std::string Block::run_body() const {
  try {
    m_launch->body();
  } catch (const std::exception& error) {
    return fmt::format("{}, {}: exception in the kernel: {}", headline(), describe(*t_thread),
                       error.what());
  }
  return {};
}

void Block::make_ready(unsigned warp, unsigned lanes) {
  m_warps[warp].ready |= lanes;
  m_ready_warps |= 1U << warp;
}

/// The thread that runs next, taken off the ready ones; null if all wait or have exited.
/// Without randomness, a warp goes on as long as one of its lanes can.
Thread* Block::pick_next() {
  if (m_ready_warps == 0) {
    return nullptr;
  }
  unsigned warp = 0;
  unsigned lane = 0;
  switch (m_launch->order.kind) {
    case Order::Kind::kForward:
      warp = lowest(m_ready_warps);
      lane = lowest(m_warps[warp].ready);
      break;
    case Order::Kind::kReverse:
      warp = highest(m_ready_warps);
      lane = highest(m_warps[warp].ready);
      break;
    case Order::Kind::kRandom:
      warp = random_bit(m_ready_warps, m_random);
      lane = random_bit(m_warps[warp].ready, m_random);
      break;
  }
  m_warps[warp].ready &= ~(1U << lane);
  if (m_warps[warp].ready == 0) {
    m_ready_warps &= ~(1U << warp);
  }
  return &m_threads[warp * kLanes + lane];
}

/// Lets others run until someone makes this thread ready again.
void Block::wait() {
  Thread* self = t_thread;
  Thread* next = pick_next();
  if (next == nullptr) {
    stop_deadlock();
  }
  t_thread = next;
  Fiber::switch_to(self->fiber, next->fiber);
  self->state = Thread::State::kReady;
}

void Block::exit_thread() {
  Thread& self = *t_thread;
  Thread* next = nullptr;
  release(m_launch->done);
  {
    const Unwatched unwatched;
    self.state = Thread::State::kExited;
    Warp& warp = m_warps[self.warp];
    warp.exited |= 1U << self.lane;
    ++m_exited;
    if (m_at_barrier > 0 || is_waited_for(warp, self)) {
      stop_waited_for();
    }
    next = pick_next();
    if (next == nullptr && m_exited < m_thread_count) {
      stop_deadlock();
    }
    t_thread = next;
  }
  Fiber::finish(self.fiber, next == nullptr ? m_host : next->fiber);
}

/// Whether a lane of the warp waits for `self` in a warp operation.
bool Block::is_waited_for(const Warp& warp, const Thread& self) {
  for (unsigned rest = warp.waiting; rest != 0; rest &= rest - 1) {
    if ((lane_of(self, lowest(rest)).mask >> self.lane & 1U) != 0) {
      return true;
    }
  }
  return false;
}

int Block::barrier(BarrierVote vote, int value, const std::source_location& where) {
  const Unwatched unwatched;
  Thread& self = *t_thread;
  if (m_exited > 0) {
    std::string message =
        fmt::format("divergent barrier: waits in __syncthreads, but {} of {} threads exited",
                    m_exited, m_thread_count);
    fail(std::move(message), where);
  }
  if (m_at_barrier == 0) {
    m_barrier_where = where;
    m_vote = vote;
    m_vote_value = vote == BarrierVote::kAnd ? 1 : 0;
  } else if (!same_place(m_barrier_where, where) || m_vote != vote) {
    self.state = Thread::State::kAtBarrier;
    self.where = where;
    std::string message = "two different barriers meet: " + describe_waiting();
    fail(std::move(message), where);
  }
  switch (vote) {
    case BarrierVote::kNone:
      break;
    case BarrierVote::kCount:
      m_vote_value += value != 0 ? 1 : 0;
      break;
    case BarrierVote::kAnd:
      m_vote_value &= value != 0 ? 1 : 0;
      break;
    case BarrierVote::kOr:
      m_vote_value |= value != 0 ? 1 : 0;
      break;
  }
  release(&m_barrier_arrival);
  const unsigned generation = m_generation;
  if (++m_at_barrier < m_thread_count) {
    self.state = Thread::State::kAtBarrier;
    self.where = where;
    wait();
  } else {
    release_barrier();
  }
  acquire(&m_barrier_departure[generation % 2]);
  return m_vote_result;
}

void Block::release_barrier() {
  acquire(&m_barrier_arrival);
  release(&m_barrier_departure[m_generation % 2]);
  ++m_generation;
  m_at_barrier = 0;
  m_vote_result = m_vote_value;
  const unsigned warps = (m_thread_count + kLanes - 1) / kLanes;
  for (unsigned warp = 0; warp < warps; ++warp) {
    const unsigned lanes = std::min(kLanes, m_thread_count - warp * kLanes);
    make_ready(warp, kAllLanes >> (kLanes - lanes));
  }
  const Thread& self = *t_thread;
  m_warps[self.warp].ready &= ~(1U << self.lane);
  if (m_warps[self.warp].ready == 0) {
    m_ready_warps &= ~(1U << self.warp);
  }
}

void Block::check_mask(const Thread& self, unsigned mask, const WarpOperation& operation,
                       const std::source_location& where) {
  const unsigned lanes = std::min(kLanes, m_thread_count - self.warp * kLanes);
  const unsigned missing = mask & ~(kAllLanes >> (kLanes - lanes));
  const unsigned exited = mask & m_warps[self.warp].exited;
  std::string message;
  if ((mask >> self.lane & 1U) == 0) [[unlikely]] {
    message = fmt::format("{} is called by lane {}, which is not in its mask {:08x}",
                          operation.name, self.lane, mask);
  } else if (missing != 0) [[unlikely]] {
    message = fmt::format("{} names lane {} in its mask {:08x}, but the warp has {} lanes",
                          operation.name, lowest(missing), mask, lanes);
  } else if (exited != 0) [[unlikely]] {
    message = fmt::format("{} names lane {} in its mask {:08x}, which has exited", operation.name,
                          lowest(exited), mask);
  } else {
    return;
  }
  fail(std::move(message), where);
}

/// Stops the launch if a lane that `self` waits for waits for `self` in another way.
void Block::check_partners(const Warp& warp, const Thread& self) {
  for (unsigned lanes = self.mask & warp.waiting; lanes != 0; lanes &= lanes - 1) {
    const Thread& other = lane_of(self, lowest(lanes));
    const bool waits_for_self = (other.mask >> self.lane & 1U) != 0;
    if (waits_for_self &&
        (other.mask != self.mask || !same_operation(*other.operation, *self.operation))) {
      std::string message = fmt::format(
          "lanes of a warp wait for each other in different operations: "
          "{} in {}(mask {:08x}) at {} and {} in {}(mask {:08x}) at {}",
          describe(self), self.operation->name, self.mask, place(self.where), describe(other),
          other.operation->name, other.mask, place(other.where));
      fail(std::move(message), self.where);
    }
  }
}

/// Adds `self` to the lanes that wait; true if all that it waits for are there.
bool Block::arrive(Warp& warp, const Thread& self) {
  const unsigned before = warp.waiting;
  warp.waiting |= 1U << self.lane;
  if (before == 0) {
    warp.uniform = true;
    warp.mask = self.mask;
    warp.operation = *self.operation;
  } else if (warp.uniform) {
    warp.uniform = self.mask == warp.mask && same_operation(*self.operation, warp.operation);
  }
  if (warp.uniform) {
    return warp.waiting == self.mask;
  }
  check_partners(warp, self);
  if ((warp.waiting & self.mask) != self.mask) {
    return false;
  }
  for (unsigned rest = self.mask; rest != 0; rest &= rest - 1) {
    if (lane_of(self, lowest(rest)).mask != self.mask) {
      return false;
    }
  }
  return true;
}

void Block::warp_exchange(const WarpOperation& operation, unsigned mask, void* payload,
                          const std::source_location& where) {
  const Unwatched unwatched;
  Thread& self = *t_thread;
  check_mask(self, mask, operation, where);
  Warp& warp = m_warps[self.warp];
  self.operation = &operation;
  self.mask = mask;
  self.payload = payload;
  self.where = where;
  release(&m_lane_arrival[self.rank()]);
  if (arrive(warp, self)) {
    complete(warp, self);
  } else {
    self.state = Thread::State::kInWarpOperation;
    wait();
    acquire(&m_lane_departure[self.rank()]);
  }
}

/// Runs the operation that `self` was the last to come to, and lets the others go.
void Block::complete(Warp& warp, const Thread& self) {
  std::array<void*, kLanes> payloads{};
  for (unsigned rest = self.mask; rest != 0; rest &= rest - 1) {
    Thread& other = lane_of(self, lowest(rest));
    payloads[other.lane] = other.payload;
    acquire(&m_lane_arrival[other.rank()]);
  }
  self.operation->combine(payloads.data(), self.mask);
  for (unsigned rest = self.mask; rest != 0; rest &= rest - 1) {
    Thread& other = lane_of(self, lowest(rest));
    release(&m_lane_departure[other.rank()]);
  }
  warp.waiting &= ~self.mask;
  const unsigned others = self.mask & ~(1U << self.lane);
  if (others != 0) {
    make_ready(self.warp, others);
  }
}

void Block::fail(std::string message, const std::source_location& where) {
  message = fmt::format("{}, {}, {}: {}", headline(), describe(*t_thread), place(where), message);
  stop(std::move(message));
}

void Block::stop_deadlock() {
  std::string message = fmt::format("{}: deadlock: {}", headline(), describe_waiting());
  stop(std::move(message));
}

void Block::stop_waited_for() {
  std::string message = fmt::format("{}: {} exited while others wait for it: {}", headline(),
                                    describe(*t_thread), describe_waiting());
  stop(std::move(message));
}

void Block::stop(std::string message) {
  m_error = std::move(message);
  // What the threads that wait did is over as well.
  acquire(&m_barrier_arrival);
  for (char& arrival : m_lane_arrival) {
    acquire(&arrival);
  }
  release(m_launch->done);
  Thread& self = *t_thread;
  Fiber::finish(self.fiber, m_host);
}

std::string Block::headline() const {
  return fmt::format("kernel {}, block {}", m_launch->name, to_text(m_index));
}

std::string Block::describe(const Thread& thread) const {
  return fmt::format("thread {}", to_text(thread.index));
}

/// Who waits where, threads with the same answer together.
std::string Block::describe_waiting() const {
  std::map<std::string, std::vector<unsigned>> groups;
  for (unsigned i = 0; i < m_thread_count; ++i) {
    const Thread& thread = m_threads[i];
    if ((m_warps[thread.warp].ready >> thread.lane & 1U) != 0) {
      continue;
    }
    switch (thread.state) {
      case Thread::State::kReady:
        break;
      case Thread::State::kAtBarrier:
        groups[fmt::format("in __syncthreads at {}", place(thread.where))].push_back(i);
        break;
      case Thread::State::kInWarpOperation:
        groups[fmt::format("in {}(mask {:08x}) at {}", thread.operation->name, thread.mask,
                           place(thread.where))]
            .push_back(i);
        break;
      case Thread::State::kExited:
        groups["exited"].push_back(i);
        break;
    }
  }
  std::string text;
  for (const auto& [what, ranks] : groups) {
    text += text.empty() ? "" : "; ";
    text += ranks.size() == 1 ? fmt::format("thread {} {}", ranks.front(), what)
                              : fmt::format("{} threads ({} to {}) {}", ranks.size(), ranks.front(),
                                            ranks.back(), what);
  }
  return text;
}

}  // namespace kvsieve::simt
