#pragma once
// fp16 and bf16 as bits, converted as a GPU does. Nothing here depends on the host's instructions.

#include <bit>
#include <cstdint>

namespace kvsieve::ptx {

inline constexpr std::uint16_t kHalfNan = 0x7fff;

[[nodiscard]] inline float half_to_float(std::uint16_t half) {
  const std::uint32_t sign = std::uint32_t{half & 0x8000U} << 16U;
  const std::uint32_t rest = half & 0x7fffU;
  // Subnormal numbers are whole multiples of 2^-24.
  const float small = static_cast<float>(static_cast<std::int32_t>(rest)) * 0x1p-24F;
  std::uint32_t bits = (rest << 13U) + 0x38000000U;
  bits = rest >= 0x7c00U ? (rest << 13U) | 0x7f800000U : bits;
  bits = rest < 0x0400U ? std::bit_cast<std::uint32_t>(small) : bits;
  return std::bit_cast<float>(bits | sign);
}

[[nodiscard]] inline float bf16_to_float(std::uint16_t value) {
  return std::bit_cast<float>(std::uint32_t{value} << 16U);
}

enum class Rounding : std::uint8_t {
  kNearest,  ///< to even
  kZero,
  kDown,
  kUp,
  kNearestAway,
};

namespace detail {

/// `magnitude` without its `dropped` lowest bits, rounded; `sticky` says that something not zero
/// lies below even those.
[[nodiscard]] inline std::uint64_t round_off(std::uint64_t magnitude, unsigned dropped, bool sticky,
                                             bool negative, Rounding rounding) {
  if (dropped >= 64) {
    sticky = sticky || magnitude != 0;
    magnitude = 0;
    dropped = 63;
  }
  const std::uint64_t kept = magnitude >> dropped;
  const std::uint64_t rest = magnitude & ((std::uint64_t{1} << dropped) - 1);
  const std::uint64_t half = dropped == 0 ? 0 : std::uint64_t{1} << (dropped - 1);
  const bool inexact = rest != 0 || sticky;
  bool up = false;
  switch (rounding) {
    case Rounding::kNearest:
      up = dropped != 0 && (rest > half || (rest == half && (sticky || (kept & 1U) != 0)));
      break;
    case Rounding::kNearestAway:
      up = dropped != 0 && rest >= half;
      break;
    case Rounding::kZero:
      break;
    case Rounding::kDown:
      up = negative && inexact;
      break;
    case Rounding::kUp:
      up = !negative && inexact;
      break;
  }
  return kept + (up ? 1 : 0);
}

/// A double as a number with `mantissa_bits` stored bits and `exponent_bits` of exponent.
/// `saturate` keeps what is finite finite.
template <unsigned exponent_bits, unsigned mantissa_bits>
[[nodiscard]] inline std::uint16_t narrow(double value, Rounding rounding, bool saturate = false) {
  constexpr int kBias = (1 << (exponent_bits - 1)) - 1;
  constexpr std::uint32_t kInfinity = ((1U << exponent_bits) - 1) << mantissa_bits;
  const auto bits = std::bit_cast<std::uint64_t>(value);
  const bool negative = (bits >> 63U) != 0;
  const std::uint32_t sign = negative ? 0x8000U : 0;
  const auto exponent = static_cast<int>(bits >> 52U & 0x7ffU);
  std::uint64_t mantissa = bits & ((std::uint64_t{1} << 52U) - 1);
  if (exponent == 0x7ff) {
    return mantissa != 0 ? kHalfNan : static_cast<std::uint16_t>(sign | kInfinity);
  }
  if (exponent == 0) {
    // Far below the smallest number; only its being not zero counts.
    const std::uint64_t tiny = round_off(0, 1, mantissa != 0, negative, rounding);
    return static_cast<std::uint16_t>(sign | tiny);
  }
  mantissa |= std::uint64_t{1} << 52U;
  const int target = exponent - 1023 + kBias;
  unsigned dropped = 52 - mantissa_bits;
  if (target < 1) {
    dropped += static_cast<unsigned>(1 - target);
  }
  const std::uint64_t kept = round_off(mantissa, dropped, false, negative, rounding);
  // A carry out of the mantissa moves the exponent on by itself.
  const std::uint64_t scaled =
      target < 1 ? kept : kept + (static_cast<std::uint64_t>(target - 1) << mantissa_bits);
  if (scaled >= kInfinity) {
    const bool stays_finite = saturate || rounding == Rounding::kZero ||
                              (rounding == Rounding::kDown && !negative) ||
                              (rounding == Rounding::kUp && negative);
    return static_cast<std::uint16_t>(sign | (stays_finite ? kInfinity - 1 : kInfinity));
  }
  return static_cast<std::uint16_t>(sign | scaled);
}

}  // namespace detail

[[nodiscard]] inline std::uint16_t to_half(double value, Rounding rounding = Rounding::kNearest,
                                           bool saturate = false) {
  return detail::narrow<5, 10>(value, rounding, saturate);
}

[[nodiscard]] inline std::uint16_t to_bf16(double value, Rounding rounding = Rounding::kNearest,
                                           bool saturate = false) {
  return detail::narrow<8, 7>(value, rounding, saturate);
}

}  // namespace kvsieve::ptx
