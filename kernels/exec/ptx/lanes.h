#pragma once
// A warp's registers, and loops over its lanes that the host's compiler turns into vector code.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "exec/ptx/module.h"

namespace kvsieve::ptx {

/// What arithmetic needs of a warp.
class Registers {
 public:
  /// The lanes of a register, all of one type.
  template <class T>
  [[nodiscard]] T* lanes(Operand operand) {
    return reinterpret_cast<T*>(m_bases[operand >> 31U] + (operand & ~kConstantBit));
  }
  template <class T>
  [[nodiscard]] const T* lanes(Operand operand) const {
    return reinterpret_cast<const T*>(m_bases[operand >> 31U] + (operand & ~kConstantBit));
  }
  [[nodiscard]] LaneMask& predicate(Operand operand) { return *lanes<LaneMask>(operand); }
  [[nodiscard]] const Operand* list(const Instruction& instruction) const {
    return m_lists + instruction.list;
  }
  void bind(std::byte* registers, std::byte* constants, const Operand* lists) {
    m_bases[0] = registers;
    m_bases[1] = constants;
    m_lists = lists;
  }

 private:
  std::byte* m_bases[2] = {nullptr, nullptr};
  const Operand* m_lists = nullptr;
};

/// The lowest lane of a mask that has one.
[[nodiscard]] inline unsigned lowest(LaneMask lanes) {
  return static_cast<unsigned>(std::countr_zero(lanes));
}

/// Calls body(lane) for every lane of the mask.
template <class Body>
inline void for_lanes(LaneMask lanes, const Body& body) {
  if (lanes == kAllLanes) {
    // A register may be source and result, but then of the same lane.
#pragma GCC ivdep
    for (unsigned lane = 0; lane < kLanes; ++lane) {
      body(lane);
    }
  } else {
    for (LaneMask rest = lanes; rest != 0; rest &= rest - 1) {
      body(lowest(rest));
    }
  }
}

/// Bits of lanes for which `test(lane)` holds.
template <class Test>
inline LaneMask mask_where(LaneMask lanes, const Test& test) {
  LaneMask result = 0;
  if (lanes == kAllLanes) {
    // First bytes, which vectors can be narrowed to, then eight of them at a time to bits.
    std::uint8_t bytes[kLanes];
    for (unsigned lane = 0; lane < kLanes; ++lane) {
      bytes[lane] = test(lane) ? 1 : 0;
    }
    for (unsigned group = 0; group < kLanes / 8; ++group) {
      std::uint64_t eight = 0;
      for (unsigned i = 0; i < 8; ++i) {
        eight |= std::uint64_t{bytes[group * 8 + i]} << (8 * i);
      }
      result |= static_cast<LaneMask>((eight * 0x0102040810204080ULL) >> 56U) << (8 * group);
    }
  } else {
    for (LaneMask rest = lanes; rest != 0; rest &= rest - 1) {
      const unsigned lane = lowest(rest);
      result |= (test(lane) ? 1U : 0U) << lane;
    }
  }
  return result;
}

}  // namespace kvsieve::ptx
