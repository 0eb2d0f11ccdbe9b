// The runtime of device code (exec/device/runtime.h) on the host SIMT executor.

#include <fmt/format.h>

#include <cstdlib>
#include <cstring>
#include <memory>

#include "exec/device/runtime.h"
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

void* allocate_device(std::size_t bytes) {
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
void free_device(void* memory) noexcept {
  if (memory != nullptr) {
    // As cudaFree does: what is enqueued may still use it.
    simt::drain_all();
    std::free(memory);
  }
}

void copy_to_device(void* target, const void* source, std::size_t bytes, Stream& stream) {
  copy(target, source, bytes, stream);
}
void copy_to_host(void* target, const void* source, std::size_t bytes, Stream& stream) {
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

}  // namespace kvsieve::kernels::simt_
