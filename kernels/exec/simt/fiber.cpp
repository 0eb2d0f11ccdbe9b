#include "exec/simt/fiber.h"

#include <sys/mman.h>

#include <boost/context/detail/fcontext.hpp>
#include <cstdlib>
#include <new>

namespace kvsieve::simt {

namespace fc = boost::context::detail;

namespace {

constexpr std::size_t kPageBytes = 4096;
// Sanitizers' frames are several times as large.
constexpr std::size_t kStackBytes = (kAddressSanitizer || kThreadSanitizer ? 256 : 64) * 1024;
// Not a divisor of the page, so that the tops of neighbouring stacks fall into other cache sets.
constexpr std::size_t kColourStep = 5 * 64;

}  // namespace

/// Where a fresh fiber begins.
struct FiberStart {
  static void run(fc::transfer_t transfer) {
    auto** jump = static_cast<Fiber**>(transfer.data);
    Fiber* from = jump[0];
    Fiber* self = jump[1];
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
  __asan_unpoison_memory_region(stack, stack_bytes);
#endif
#ifdef KVSIEVE_SIMT_TSAN
  m_tsan_fiber = __tsan_create_fiber(0);
#endif
}

void Fiber::retire() {
#ifdef KVSIEVE_SIMT_TSAN
  if (m_tsan_fiber != nullptr) {
    __tsan_destroy_fiber(m_tsan_fiber);
    m_tsan_fiber = nullptr;
  }
#endif
}

void Fiber::jump(Fiber& from, Fiber& to, [[maybe_unused]] bool for_good) {
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
  for (std::byte* mapping : m_mappings) {
    munmap(mapping, kStackBytes + 2 * kPageBytes);
  }
}

StackPool::Stack StackPool::get(std::size_t index) {
  while (m_mappings.size() <= index) {
    // One page below guards against overflow, one above gives room for the colour.
    void* mapping = mmap(nullptr, kStackBytes + 2 * kPageBytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapping == MAP_FAILED || mprotect(mapping, kPageBytes, PROT_NONE) != 0) {
      throw std::bad_alloc();
    }
    m_mappings.push_back(static_cast<std::byte*>(mapping));
  }
  return {m_mappings[index] + kPageBytes, kStackBytes + (index * kColourStep) % kPageBytes};
}

}  // namespace kvsieve::simt
