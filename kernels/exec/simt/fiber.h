#pragma once
// One execution context a CUDA thread, on Boost.Context's assembler switch.

#include <cstddef>

#include "exec/simt/sanitizer.h"

namespace kvsieve::simt {

/// A context that can be left and entered again. A default-made one stands for the OS thread that
/// switches away from it first.
class Fiber {
 public:
  /// Ends in finish().
  using Entry = void (*)();

  /// Makes the fiber start `entry` on the given stack when it is next entered. What it did before
  /// is forgotten without unwinding.
  void prepare(Entry entry, std::byte* stack, std::size_t stack_bytes);
  /// Frees what ThreadSanitizer holds for a finished fiber.
  void retire();
  /// The fiber's name in ThreadSanitizer's reports.
  void set_name(const char* name);

  /// Leaves `from`, which is the running one, for `to`; returns when someone enters `from` again.
  static void switch_to(Fiber& from, Fiber& to);
  /// Leaves `from` for good.
  [[noreturn]] static void finish(Fiber& from, Fiber& to);

 private:
  friend struct FiberStart;

  static void jump(Fiber& from, Fiber& to, bool for_good);

  void* m_context = nullptr;
  Entry m_entry = nullptr;
#ifdef KVSIEVE_SIMT_ASAN
  void* m_fake_stack = nullptr;
  const void* m_stack = nullptr;
  std::size_t m_stack_bytes = 0;
#endif
#ifdef KVSIEVE_SIMT_TSAN
  void* m_tsan_fiber = nullptr;
#endif
};

/// Stacks for the fibers of a block, kept for the next block. They begin at different cache sets,
/// so that the frames of all threads do not compete for the same few lines.
class StackPool {
 public:
  StackPool() = default;
  ~StackPool();
  StackPool(const StackPool&) = delete;
  StackPool& operator=(const StackPool&) = delete;

  /// Makes room for so many stacks; the earlier ones are gone.
  void reserve(std::size_t count);

  struct Stack {
    std::byte* begin;
    std::size_t bytes;
  };
  /// The stack of thread `index` of a block.
  [[nodiscard]] Stack get(std::size_t index) const;

 private:
  void free();

  std::byte* m_memory = nullptr;
  std::size_t m_count = 0;
};

}  // namespace kvsieve::simt
