#pragma once
// Random numbers that depend on a seed alone: the same on every machine, thread and backend.

#include <cstdint>

namespace kvsieve::kernels {

/// SplitMix64 (Steele, Lea and Flood, 2014).
class CounterRandom {
 public:
  explicit constexpr CounterRandom(std::uint64_t seed) noexcept : m_state(seed) {}

  constexpr std::uint64_t bits() noexcept {
    m_state += 0x9e3779b97f4a7c15ULL;
    std::uint64_t z = m_state;
    z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27U)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31U);
  }

  /// Evenly in [0, 1), a multiple of 2^-53.
  constexpr double uniform() noexcept { return static_cast<double>(bits() >> 11U) * 0x1p-53; }

 private:
  std::uint64_t m_state;
};

}  // namespace kvsieve::kernels
