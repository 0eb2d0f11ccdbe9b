#include "exec/simt/grid.h"

#include <fmt/format.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <numeric>
#include <optional>
#include <thread>
#include <vector>

#include "exec/simt/block.h"
#include "exec/simt/limits.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::simt {
namespace {

/// Which block is started as the n-th.
class BlockOrder {
 public:
  BlockOrder(const Order& order, std::uint64_t count, std::uint64_t launch_number)
      : m_order(order), m_count(count) {
    if (order.kind == Order::Kind::kRandom) {
      // n -> n * step + offset is a permutation if step and count have no common divisor.
      OrderRandom random(order.seed ^ (launch_number << 32U));
      m_offset = random.next() % count;
      do {
        m_step = random.next() % count + 1;
      } while (std::gcd(m_step, count) != 1);
    }
  }

  [[nodiscard]] std::uint64_t block(std::uint64_t n) const {
    switch (m_order.kind) {
      case Order::Kind::kForward:
        return n;
      case Order::Kind::kReverse:
        return m_count - 1 - n;
      case Order::Kind::kRandom:
        break;
    }
    return static_cast<std::uint64_t>((static_cast<unsigned __int128>(n) * m_step + m_offset) %
                                      m_count);
  }

 private:
  Order m_order;
  std::uint64_t m_count;
  std::uint64_t m_step = 1;
  std::uint64_t m_offset = 0;
};

/// The blocks of one launch, handed out to workers.
class Grid {
 public:
  explicit Grid(Block::Launch launch)
      : m_launch(std::move(launch)),
        m_count(std::uint64_t{m_launch.config.grid.x} * m_launch.config.grid.y *
                m_launch.config.grid.z),
        m_order(m_launch.order, m_count, m_launch.number) {}

  [[nodiscard]] std::uint64_t count() const { return m_count; }

  /// Runs blocks until none is left.
  void work(Block& block) {
    while (!m_stop.load()) {
      const std::uint64_t n = m_next.fetch_add(1);
      if (n >= m_count) {
        return;
      }
      run_block(block, n);
    }
  }

  /// Runs the n-th block. Returns whether it went well.
  bool run_block(Block& block, std::uint64_t n) {
    auto problem = block.run(m_launch, index_of(m_order.block(n)));
    const bool well = !problem;
    if (!well) {
      m_stop = true;
      const std::lock_guard lock(m_mutex);
      if (n < m_problem_at) {
        m_problem_at = n;
        m_problem = std::move(problem);
      }
      release(m_launch.done);
    }
    return well;
  }

  void throw_problem() const {
    if (m_problem) {
      throw Error(ErrorKind::kInternal, *m_problem);
    }
  }

 private:
  [[nodiscard]] Index3 index_of(std::uint64_t block) const {
    const kernels::Dim3& grid = m_launch.config.grid;
    return {static_cast<unsigned>(block % grid.x), static_cast<unsigned>(block / grid.x % grid.y),
            static_cast<unsigned>(block / grid.x / grid.y)};
  }

  Block::Launch m_launch;
  std::uint64_t m_count;
  BlockOrder m_order;
  std::atomic<std::uint64_t> m_next{0};
  std::atomic<bool> m_stop{false};
  std::mutex m_mutex;
  std::uint64_t m_problem_at = UINT64_MAX;
  std::optional<std::string> m_problem;
};

/// Threads that live as long as the program and share the blocks of each launch.
class WorkerPool {
 public:
  WorkerPool() {
    // Static __shared__ arrays are one for all workers under AddressSanitizer.
    const unsigned count =
        kAddressSanitizer ? 1 : std::max(1U, std::thread::hardware_concurrency());
    for (unsigned i = 0; i < count; ++i) {
      m_threads.emplace_back([this] { serve(); });
    }
  }
  ~WorkerPool() {
    {
      const std::lock_guard lock(m_mutex);
      m_quit = true;
    }
    m_wake.notify_all();
    for (std::thread& thread : m_threads) {
      thread.join();
    }
  }
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  /// Callers take turns (queue.cpp).
  void run(Grid& grid) {
    std::unique_lock lock(m_mutex);
    m_grid = &grid;
    ++m_turn;
    m_wanted = static_cast<unsigned>(std::min<std::uint64_t>(m_threads.size(), grid.count()));
    m_wake.notify_all();
    m_done.wait(lock, [this] { return m_wanted == 0 && m_busy == 0; });
    m_grid = nullptr;
  }

 private:
  void serve() {
    Block block;
    std::uint64_t served = 0;
    std::unique_lock lock(m_mutex);
    for (;;) {
      m_wake.wait(lock, [&] { return m_quit || (m_wanted > 0 && m_turn != served); });
      if (m_quit) {
        return;
      }
      served = m_turn;
      Grid* grid = m_grid;
      --m_wanted;
      ++m_busy;
      lock.unlock();
      grid->work(block);
      lock.lock();
      --m_busy;
      if (m_wanted == 0 && m_busy == 0) {
        m_done.notify_one();
      }
    }
  }

  std::vector<std::thread> m_threads;
  std::mutex m_mutex;
  std::condition_variable m_wake;
  std::condition_variable m_done;
  Grid* m_grid = nullptr;
  std::uint64_t m_turn = 0;
  unsigned m_wanted = 0;  ///< workers that have not taken up the current launch yet
  unsigned m_busy = 0;
  bool m_quit = false;
};

WorkerPool& worker_pool() {
  static WorkerPool pool;
  return pool;
}

/// Tells another thread without ThreadSanitizer's taking notice.
class UnwatchedSignal {
 public:
  [[gnu::no_sanitize_thread]] void set() {
    __atomic_store_n(&m_set, 1, __ATOMIC_RELEASE);
    syscall(SYS_futex, &m_set, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
  }
  [[gnu::no_sanitize_thread]] void wait() {
    while (__atomic_load_n(&m_set, __ATOMIC_ACQUIRE) == 0) {
      syscall(SYS_futex, &m_set, FUTEX_WAIT_PRIVATE, 0, nullptr, nullptr, 0);
    }
  }

 private:
  int m_set = 0;
};

/// One block for run_in_fresh_threads().
struct FreshBlock {
  Grid* grid;
  std::uint64_t n;
  bool well = false;
  UnwatchedSignal done;

  static void* run(void* data) {
    auto& self = *static_cast<FreshBlock*>(data);
    {
      const Unwatched unwatched;
      Block block;
      self.well = self.grid->run_block(block, self.n);
    }
    self.done.set();
    return nullptr;
  }
};

/// For ThreadSanitizer: every block in an OS thread of its own, one after the other, with nothing
/// that would order one block's accesses before another's.
void run_in_fresh_threads(Grid& grid) {
  // The sanitizer works on the whole stack of a new thread.
  constexpr std::size_t kStackBytes = std::size_t{1} << 20U;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStackBytes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  std::deque<FreshBlock> blocks;
  bool well = true;
  for (std::uint64_t n = 0; n < grid.count() && well; ++n) {
    FreshBlock& block = blocks.emplace_back(FreshBlock{&grid, n, false, {}});
    pthread_t thread{};
    if (pthread_create(&thread, &attributes, &FreshBlock::run, &block) != 0) {
      throw Error(ErrorKind::kInternal, "cannot start a thread");
    }
    block.done.wait();
    const Unwatched unwatched;
    well = block.well;
  }
  pthread_attr_destroy(&attributes);
}

/// Launches since the order was set, so that a random order can be had again. Callers take turns.
std::uint64_t next_launch_number() {
  static std::uint64_t epoch = 0;
  static std::uint64_t number = 0;
  if (epoch != order_epoch()) {
    epoch = order_epoch();
    number = 0;
  }
  return number++;
}

}  // namespace

void check_launch(const std::string& name, const kernels::LaunchConfig& config) {
  const auto refuse = [&](const std::string& what) {
    throw Error(ErrorKind::kInternal, fmt::format("launch of kernel {}: {}", name, what));
  };
  const kernels::Dim3& block = config.block;
  const kernels::Dim3& grid = config.grid;
  const std::uint64_t threads = std::uint64_t{block.x} * block.y * block.z;
  if (threads == 0 || threads > kMaxBlockThreads || block.z > kMaxBlockZ) {
    refuse(fmt::format("blocks of {} x {} x {} threads, at most {} threads and {} in z fit",
                       block.x, block.y, block.z, kMaxBlockThreads, kMaxBlockZ));
  }
  if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.x > kMaxGridX || grid.y > kMaxGridYZ ||
      grid.z > kMaxGridYZ) {
    refuse(fmt::format("a grid of {} x {} x {} blocks, at most {} x {} x {} fit", grid.x, grid.y,
                       grid.z, kMaxGridX, kMaxGridYZ, kMaxGridYZ));
  }
  if (config.shared_bytes > kMaxSharedBytes) {
    refuse(fmt::format("{} bytes of shared memory, a block has at most {}", config.shared_bytes,
                       kMaxSharedBytes));
  }
}

void run_grid(const std::string& name, const kernels::LaunchConfig& config,
              const std::function<void()>& body) {
  char done = 0;
  Grid grid({name, config, body, current_order(), next_launch_number(), &done});
  if (kThreadSanitizer) {
    run_in_fresh_threads(grid);
    acquire(&done);
  } else {
    worker_pool().run(grid);
  }
  grid.throw_problem();
}

}  // namespace kvsieve::simt
