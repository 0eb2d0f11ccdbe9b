#pragma once
// In which order the executor runs what CUDA leaves unordered: streams, blocks, warps and lanes.

#include <cstdint>
#include <string>
#include <string_view>

namespace kvsieve::simt {

/// Kernels have to give the same results under every order, so tests try several.
struct Order {
  enum class Kind {
    kForward,  ///< lowest stream, block, warp and lane first
    kReverse,  ///< highest first
    kRandom,   ///< drawn anew at every choice, repeatable for a seed
  };
  Kind kind = Kind::kForward;
  std::uint64_t seed = 0;

  bool operator==(const Order&) const = default;
};

/// Reads "forward", "reverse" or "random:SEED". Throws Error(kUsage).
[[nodiscard]] Order parse_order(std::string_view text);
[[nodiscard]] std::string to_text(const Order& order);

/// The order of everything that runs from now on; random choices start anew. At the start of the
/// program it is that of the environment variable KVSIEVE_SIMT_ORDER, or else forward.
void set_order(Order order);
[[nodiscard]] Order current_order();
/// How often the order was set.
[[nodiscard]] std::uint64_t order_epoch();

/// Small repeatable random numbers (splitmix64).
class OrderRandom {
 public:
  explicit OrderRandom(std::uint64_t seed) : m_state(seed) {}

  std::uint32_t next() {
    m_state += 0x9e3779b97f4a7c15ULL;
    std::uint64_t z = m_state;
    z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27U)) * 0x94d049bb133111ebULL;
    return static_cast<std::uint32_t>(z >> 32U);
  }
  /// In [0, count).
  std::uint32_t below(std::uint32_t count) {
    return static_cast<std::uint32_t>((std::uint64_t{next()} * count) >> 32U);
  }

 private:
  std::uint64_t m_state;
};

}  // namespace kvsieve::simt
