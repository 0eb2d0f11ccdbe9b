#include "exec/simt/fiber.h"

#include <sys/mman.h>

#include <boost/context/detail/fcontext.hpp>
#include <cstdlib>
#include <new>
#ifdef KVSIEVE_SIMT_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

namespace kvsieve::simt {

namespace fc = boost::context::detail;

namespace {

constexpr std::size_t kPageBytes = 4096;
// Sanitizers' frames are several times as large.
constexpr std::size_t kStackBytes = (kAddressSanitizer || kThreadSanitizer ? 256 : 64) * 1024;
// One page below guards against overflow, one above gives room for the colour.
constexpr std::size_t kSlotBytes = kStackBytes + 2 * kPageBytes;
// Not a divisor of the page, so that the tops of neighbouring stacks fall into other cache sets.
constexpr std::size_t kColourStep = 5 * 64;

}  // namespace

/// Where a fresh fiber begins.
struct FiberStart {
  [[gnu::no_sanitize_address, gnu::no_sanitize_thread]] static void run(fc::transfer_t transfer) {
    auto** ends = static_cast<Fiber**>(transfer.data);
    Fiber* from = ends[0];
    Fiber* self = ends[1];
    from->m_context = transfer.fctx;
#ifdef KVSIEVE_SIMT_ASAN
    const void* stack = nullptr;
    std::size_t bytes = 0;
    __sanitizer_finish_switch_fiber(nullptr, &stack, &bytes);
    if (from->m_stack == nullptr) {
      from->m_stack = stack;
      from->m_stack_bytes = bytes;
    }
#endif
    self->m_entry();
    std::abort();  // an entry ends in finish()
  }
};

void Fiber::prepare(Entry entry, std::byte* stack, std::size_t stack_bytes) {
  m_entry = entry;
  m_context = fc::make_fcontext(stack + stack_bytes, stack_bytes, &FiberStart::run);
#ifdef KVSIEVE_SIMT_ASAN
  m_fake_stack = nullptr;
  m_stack = stack;
  m_stack_bytes = stack_bytes;
  // An abandoned fiber leaves red zones behind.
  __asan_unpoison_memory_region(stack, stack_bytes);
#endif
#ifdef KVSIEVE_SIMT_TSAN
  m_tsan_fiber = __tsan_create_fiber(0);
#endif
}

void Fiber::retire() {
#ifdef KVSIEVE_SIMT_TSAN
  __tsan_destroy_fiber(m_tsan_fiber);
  m_tsan_fiber = nullptr;
#endif
}

void Fiber::set_name([[maybe_unused]] const char* name) {
#ifdef KVSIEVE_SIMT_TSAN
  __tsan_set_fiber_name(m_tsan_fiber, name);
#endif
}

[[gnu::no_sanitize_address, gnu::no_sanitize_thread]] void Fiber::jump(
    Fiber& from, Fiber& to, [[maybe_unused]] bool for_good) {
#ifdef KVSIEVE_SIMT_ASAN
  __sanitizer_start_switch_fiber(for_good ? nullptr : &from.m_fake_stack, to.m_stack,
                                 to.m_stack_bytes);
#endif
#ifdef KVSIEVE_SIMT_TSAN
  if (from.m_tsan_fiber == nullptr) {
    from.m_tsan_fiber = __tsan_get_current_fiber();
  }
  __tsan_switch_to_fiber(to.m_tsan_fiber, __tsan_switch_to_fiber_no_sync);
#endif
  Fiber* ends[2] = {&from, &to};
  const fc::transfer_t transfer = fc::jump_fcontext(to.m_context, static_cast<void*>(ends));
  static_cast<Fiber**>(transfer.data)[0]->m_context = transfer.fctx;
#ifdef KVSIEVE_SIMT_ASAN
  __sanitizer_finish_switch_fiber(from.m_fake_stack, nullptr, nullptr);
#endif
}

void Fiber::switch_to(Fiber& from, Fiber& to) {
  jump(from, to, false);
}

void Fiber::finish(Fiber& from, Fiber& to) {
  jump(from, to, true);
  std::abort();  // nobody enters a finished fiber
}

StackPool::~StackPool() {
  free();
}

void StackPool::free() {
  if (m_memory != nullptr) {
    munmap(m_memory, m_count * kSlotBytes);
    m_memory = nullptr;
  }
}

void StackPool::reserve(std::size_t count) {
  if (count <= m_count) {
    return;
  }
  free();
  void* memory = mmap(nullptr, count * kSlotBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    throw std::bad_alloc();
  }
  m_memory = static_cast<std::byte*>(memory);
  m_count = count;
  for (std::size_t i = 0; i < count; ++i) {
    mprotect(m_memory + i * kSlotBytes, kPageBytes, PROT_NONE);
  }
}

StackPool::Stack StackPool::get(std::size_t index) const {
  return {m_memory + index * kSlotBytes + kPageBytes,
          kStackBytes + (index * kColourStep) % kPageBytes};
}

}  // namespace kvsieve::simt
