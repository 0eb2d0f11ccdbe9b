// The runtime of device code (exec/device/runtime.h) on the host SIMT executor.

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <numeric>

#include "exec/device/bus_counter.h"
#include "exec/device/pieces_to_host.h"
#include "exec/device/runtime.h"
#include "exec/simt/order.h"
#include "exec/simt/pinned_memory.h"
#include "exec/simt/queue.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::kernels::simt_ {
namespace {

constexpr std::size_t kAlignment = 256;
/// What uninitialised device memory holds: NaN as a float, -1 as an integer.
constexpr int kPoison = 0xff;

simt::Queue& queue_of(const Stream& stream) {
  return *static_cast<simt::Queue*>(stream.handle());
}

using EventHandle = std::shared_ptr<simt::EventState>;
const EventHandle& event_of(void* handle) {
  return *static_cast<EventHandle*>(handle);
}

void copy(void* target, const void* source, std::size_t bytes, Stream& stream) {
  if (bytes > 0) {
    simt::enqueue(queue_of(stream),
                  [target, source, bytes] { std::memcpy(target, source, bytes); });
  }
}

/// Poisoned memory, or null for no bytes.
void* allocate(std::size_t bytes) {
  if (bytes == 0) {
    return nullptr;
  }
  // Not rounded up, so that AddressSanitizer sees the first byte beyond it.
  void* memory = nullptr;
  if (posix_memalign(&memory, kAlignment, bytes) != 0) {
    throw Error(ErrorKind::kMissingCapability,
                fmt::format("the machine has no room for another {} bytes", bytes));
  }
  std::memset(memory, kPoison, bytes);
  return memory;
}

/// Copies that were enqueued.
struct Copies {
  BusCounter to_device;
  BusCounter to_host;
};
Copies& copies() {
  static Copies copies;
  return copies;
}

/// Places of `count` pieces in the schedule's order.
std::vector<std::size_t> piece_order(std::size_t count) {
  std::vector<std::size_t> places(count);
  std::iota(places.begin(), places.end(), std::size_t{0});
  const simt::Order order = simt::current_order();
  if (order.kind == simt::Order::Kind::kReverse) {
    std::reverse(places.begin(), places.end());
  } else if (order.kind == simt::Order::Kind::kRandom) {
    simt::OrderRandom random(order.seed);
    for (std::size_t i = count; i > 1; --i) {
      std::swap(places[i - 1], places[random.below(static_cast<std::uint32_t>(i))]);
    }
  }
  return places;
}

/// @param pinned which end of a piece has to lie in pinned memory
template <class Pinned>
void require_pinned(const char* call, std::span<const CopyPiece> pieces, const Pinned& pinned) {
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    if (pieces[i].bytes > 0 && !simt::is_pinned(pinned(pieces[i]), pieces[i].bytes)) {
      throw Error(ErrorKind::kInternal,
                  fmt::format("{}: piece {} is not in pinned memory", call, i));
    }
  }
}

void copy_pieces(std::span<const CopyPiece> pieces, BusCounter& counter, Stream& stream) {
  for (const CopyPiece& piece : pieces) {
    counter.add(piece.bytes);
  }
  simt::enqueue(queue_of(stream), [copied = std::vector<CopyPiece>(pieces.begin(), pieces.end())] {
    for (const std::size_t place : piece_order(copied.size())) {
      const CopyPiece& piece = copied[place];
      if (piece.bytes > 0) {
        std::memcpy(piece.target, piece.source, piece.bytes);
      }
    }
  });
}

}  // namespace

std::optional<std::string> why_unavailable() {
  return std::nullopt;
}

Stream::Stream() : m_handle(simt::make_queue()) {}
Stream::~Stream() {
  simt::destroy_queue(static_cast<simt::Queue*>(m_handle));
}
void Stream::synchronize() {
  simt::drain(queue_of(*this));
}

Event::Event() : m_handle(new EventHandle(std::make_shared<simt::EventState>())) {}
Event::~Event() {
  delete static_cast<EventHandle*>(m_handle);
}
void Event::record(Stream& stream) {
  simt::enqueue_record(queue_of(stream), event_of(m_handle));
}
void Event::block(Stream& stream) const {
  simt::enqueue_wait(queue_of(stream), event_of(m_handle));
}
void Event::synchronize() const {
  simt::drain(event_of(m_handle));
}

std::optional<double> Event::microseconds_since(const Event& /*earlier*/) const {
  return std::nullopt;
}

void* allocate_device(std::size_t bytes) {
  return allocate(bytes);
}
void free_device(void* memory) noexcept {
  if (memory != nullptr) {
    // As cudaFree does: what is enqueued may still use it.
    simt::drain_all();
    std::free(memory);
  }
}

void* allocate_pinned(std::size_t bytes) {
  void* memory = allocate(bytes);
  if (memory != nullptr) {
    simt::register_pinned(memory, bytes);
  }
  return memory;
}
void free_pinned(void* memory) noexcept {
  if (memory != nullptr) {
    // As cudaFreeHost does: what is enqueued may still use it.
    simt::drain_all();
    simt::forget_pinned(memory);
    std::free(memory);
  }
}

void copy_to_device(void* target, const void* source, std::size_t bytes, Stream& stream) {
  copies().to_device.add(bytes);
  copy(target, source, bytes, stream);
}
void copy_to_host(void* target, const void* source, std::size_t bytes, Stream& stream) {
  copies().to_host.add(bytes);
  copy(target, source, bytes, stream);
}
void copy_on_device(void* target, const void* source, std::size_t bytes, Stream& stream) {
  copy(target, source, bytes, stream);
}
void fill_device(void* target, unsigned char value, std::size_t bytes, Stream& stream) {
  if (bytes > 0) {
    simt::enqueue(queue_of(stream), [target, value, bytes] { std::memset(target, value, bytes); });
  }
}

void copy_pieces_to_device(std::span<const CopyPiece> pieces, Stream& stream) {
  require_pinned("copy_pieces_to_device", pieces,
                 [](const CopyPiece& piece) { return piece.source; });
  copy_pieces(pieces, copies().to_device, stream);
}
void copy_pieces_to_host(std::span<const CopyPiece> pieces, Stream& stream) {
  require_pinned("copy_pieces_to_host", pieces,
                 [](const CopyPiece& piece) { return piece.target; });
  copy_pieces(pieces, copies().to_host, stream);
}

void run_on_host(std::function<void()> work, Stream& stream) {
  simt::enqueue(queue_of(stream), std::move(work));
}

std::optional<BusTraffic> bus_traffic(BusPath path) {
  const auto traffic = [](const BusCounter& counter) {
    return BusTraffic{counter.bytes(), counter.pieces()};
  };
  switch (path) {
    case BusPath::kCopyToDevice:
      return traffic(copies().to_device);
    case BusPath::kCopyToHost:
      return traffic(copies().to_host);
    case BusPath::kReadByKernel:
      return traffic(simt::host_reads());
    case BusPath::kWrittenByKernel:
      break;
  }
  return traffic(simt::host_writes());
}

}  // namespace kvsieve::kernels::simt_
