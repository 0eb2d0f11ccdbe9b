#include "exec/simt/queue.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "exec/simt/executor.h"
#include "exec/simt/grid.h"
#include "exec/simt/order.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::simt {
namespace {

struct Record {
  std::shared_ptr<EventState> event;
  std::uint64_t number;
};
struct Wait {
  std::shared_ptr<EventState> event;
  std::uint64_t number;
};
using Work = std::function<void()>;
using Item = std::variant<Work, Record, Wait>;

}  // namespace

class Queue {
 public:
  std::deque<Item> items;
  std::exception_ptr problem;

  [[nodiscard]] bool ready() const {
    if (items.empty()) {
      return false;
    }
    const Wait* wait = std::get_if<Wait>(&items.front());
    return wait == nullptr || wait->event->reached >= wait->number;
  }

  /// Only when ready().
  void run_one() {
    Item item = std::move(items.front());
    items.pop_front();
    if (Record* record = std::get_if<Record>(&item)) {
      record->event->reached = std::max(record->event->reached, record->number);
    } else if (Work* work = std::get_if<Work>(&item); work != nullptr && problem == nullptr) {
      try {
        (*work)();
      } catch (...) {
        problem = std::current_exception();
      }
    }
  }
};

namespace {

/// All queues, oldest first.
class Device {
 public:
  std::mutex mutex;
  std::atomic<std::thread::id> holder;  ///< of the mutex
  std::vector<std::unique_ptr<Queue>> queues;

  /// Runs one item of some queue; false if none is ready.
  bool step() {
    std::vector<Queue*> ready;
    for (const auto& queue : queues) {
      if (queue->ready()) {
        ready.push_back(queue.get());
      }
    }
    if (ready.empty()) {
      return false;
    }
    choose(ready)->run_one();
    return true;
  }

 private:
  Queue* choose(const std::vector<Queue*>& ready) {
    const Order order = current_order();
    switch (order.kind) {
      case Order::Kind::kForward:
        break;
      case Order::Kind::kReverse:
        return ready.back();
      case Order::Kind::kRandom:
        if (const std::uint64_t epoch = order_epoch(); m_epoch != epoch) {
          m_epoch = epoch;
          m_random = OrderRandom(order.seed);
        }
        return ready[m_random.below(static_cast<std::uint32_t>(ready.size()))];
    }
    return ready.front();
  }

  std::uint64_t m_epoch = UINT64_MAX;
  OrderRandom m_random{0};
};

Device& device() {
  static Device device;
  return device;
}

/// Keeps the device's queues to this thread. Throws Error(kInternal) in work of a queue, which
/// already runs under it.
class DeviceLock {
 public:
  DeviceLock() {
    if (device().holder.load() == std::this_thread::get_id()) {
      throw Error(ErrorKind::kInternal, "work of a stream calls the device runtime");
    }
    device().mutex.lock();
    device().holder = std::this_thread::get_id();
  }
  ~DeviceLock() {
    device().holder = std::thread::id();
    device().mutex.unlock();
  }
  DeviceLock(const DeviceLock&) = delete;
  DeviceLock& operator=(const DeviceLock&) = delete;
};

}  // namespace

Queue* make_queue() {
  const DeviceLock lock;
  return device().queues.emplace_back(std::make_unique<Queue>()).get();
}

void destroy_queue(Queue* queue) noexcept {
  const DeviceLock lock;
  while (!queue->items.empty() && device().step()) {
  }
  std::erase_if(device().queues, [&](const auto& other) { return other.get() == queue; });
}

void enqueue(Queue& queue, std::function<void()> work) {
  const DeviceLock lock;
  queue.items.emplace_back(std::move(work));
}

void enqueue_record(Queue& queue, std::shared_ptr<EventState> event) {
  const DeviceLock lock;
  const std::uint64_t number = ++event->recorded;
  queue.items.emplace_back(Record{std::move(event), number});
}

void enqueue_wait(Queue& queue, std::shared_ptr<EventState> event) {
  const DeviceLock lock;
  const std::uint64_t number = event->recorded;
  queue.items.emplace_back(Wait{std::move(event), number});
}

void drain(Queue& queue) {
  const DeviceLock lock;
  while (!queue.items.empty() && device().step()) {
  }
  if (queue.problem != nullptr) {
    std::rethrow_exception(std::exchange(queue.problem, nullptr));
  }
}

void drain(const std::shared_ptr<EventState>& event) {
  const DeviceLock lock;
  while (event->reached < event->recorded && device().step()) {
  }
}

void drain_all() noexcept {
  const DeviceLock lock;
  while (device().step()) {
  }
}

void while_idle(const std::function<void()>& body) {
  const DeviceLock lock;
  body();
}

void enqueue_kernel(void* queue, std::string name, const kernels::LaunchConfig& config,
                    std::function<void()> body) {
  check_launch(name, config);
  enqueue(*static_cast<Queue*>(queue), [name = std::move(name), config, body = std::move(body)] {
    run_grid(name, config, body);
  });
}

}  // namespace kvsieve::simt
