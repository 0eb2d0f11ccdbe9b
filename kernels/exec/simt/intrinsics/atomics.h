#pragma once
// Read-modify-write operations, atomic between threads of all blocks and, as in CUDA, relaxed.

#include <algorithm>
#include <atomic>
#include <type_traits>

#include "exec/simt/block.h"

namespace kvsieve::simt::cuda {

namespace detail {

/// Replaces *address by change(*address); returns what was there.
template <class T, class Change>
T atomic_change(T* address, Change change) {
  Thread& self = this_thread();
  self.last_atomic = address;
  if (self.fenced) {
    release(address);
  }
  std::atomic_ref<T> target(*address);
  T old = target.load(std::memory_order_relaxed);
  while (!target.compare_exchange_weak(old, change(old), std::memory_order_relaxed)) {
  }
  return old;
}

/// The parameter of an atomic's operand, so that only the address decides the type.
template <class T>
using Operand = std::type_identity_t<T>;

template <class T>
concept AtomicInteger = std::is_same_v<T, int> || std::is_same_v<T, unsigned> ||
    std::is_same_v<T, unsigned long long> || std::is_same_v<T, long long>;
template <class T>
concept AtomicNumber = AtomicInteger<T> || std::is_same_v<T, float> || std::is_same_v<T, double>;

template <AtomicNumber T>
T wrapping_add(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    using Unsigned = std::make_unsigned_t<T>;
    return static_cast<T>(static_cast<Unsigned>(a) + static_cast<Unsigned>(b));
  } else {
    return a + b;
  }
}

}  // namespace detail

template <detail::AtomicNumber T>
T atomicAdd(T* address, detail::Operand<T> value) {
  return detail::atomic_change(address, [=](T old) { return detail::wrapping_add(old, value); });
}
template <detail::AtomicInteger T>
T atomicSub(T* address, detail::Operand<T> value) {
  return detail::atomic_change(address, [=](T old) {
    using Unsigned = std::make_unsigned_t<T>;
    return static_cast<T>(static_cast<Unsigned>(old) - static_cast<Unsigned>(value));
  });
}
template <detail::AtomicInteger T>
T atomicMax(T* address, detail::Operand<T> value) {
  return detail::atomic_change(address, [=](T old) { return std::max(old, value); });
}
template <detail::AtomicInteger T>
T atomicMin(T* address, detail::Operand<T> value) {
  return detail::atomic_change(address, [=](T old) { return std::min(old, value); });
}
template <detail::AtomicInteger T>
T atomicOr(T* address, detail::Operand<T> value) {
  return detail::atomic_change(address, [=](T old) { return old | value; });
}
template <detail::AtomicInteger T>
T atomicAnd(T* address, detail::Operand<T> value) {
  return detail::atomic_change(address, [=](T old) { return old & value; });
}
template <detail::AtomicInteger T>
T atomicXor(T* address, detail::Operand<T> value) {
  return detail::atomic_change(address, [=](T old) { return old ^ value; });
}
template <detail::AtomicNumber T>
T atomicExch(T* address, detail::Operand<T> value) {
  return detail::atomic_change(address, [=](T) { return value; });
}
template <detail::AtomicInteger T>
T atomicCAS(T* address, detail::Operand<T> expected, detail::Operand<T> value) {
  return detail::atomic_change(address, [=](T old) { return old == expected ? value : old; });
}
/// Counts up to `last` and then starts again at 0.
inline unsigned atomicInc(unsigned* address, unsigned last) {
  return detail::atomic_change(address, [=](unsigned old) { return old >= last ? 0U : old + 1U; });
}
inline unsigned atomicDec(unsigned* address, unsigned last) {
  return detail::atomic_change(
      address, [=](unsigned old) { return old == 0 || old > last ? last : old - 1U; });
}

}  // namespace kvsieve::simt::cuda
