#pragma once
// Element types of trace tensors and their conversion to and from fp32.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace kvsieve::traces {

/// Element types that a trace or codebook file may hold, named as safetensors names them.
enum class DType { kF16, kBF16, kF32, kI32 };

/// Bytes of one element.
[[nodiscard]] constexpr std::size_t size_of(DType dtype) noexcept {
  return dtype == DType::kF16 || dtype == DType::kBF16 ? 2 : 4;
}

/// The safetensors name: "F16", "BF16", "F32" or "I32".
[[nodiscard]] std::string_view name_of(DType dtype) noexcept;

/// The inverse of name_of. Throws Error(kBadInput) with the supported names for any other name.
[[nodiscard]] DType dtype_from_name(std::string_view name);

/// IEEE binary16 bits to fp32, exact. Handles subnormals, infinities and NaN.
[[nodiscard]] inline float half_to_float(std::uint16_t bits) noexcept {
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000U) << 16U;
  const std::uint32_t magnitude = bits & 0x7fffU;
  // Multiplying by 2^112 moves the exponent bias from 15 to 127 and makes subnormals normal.
  const float scaled = std::bit_cast<float>(magnitude << 13U) * 0x1p112F;
  const std::uint32_t inf_or_nan = magnitude >= 0x7c00U ? 0x7f800000U : 0U;
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(scaled) | inf_or_nan | sign);
}

/// bfloat16 bits to fp32, exact.
[[nodiscard]] inline float bfloat_to_float(std::uint16_t bits) noexcept {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16U);
}

/// fp32 to IEEE binary16 bits, round to nearest even; values beyond 65504 become infinite.
[[nodiscard]] std::uint16_t float_to_half(float value) noexcept;

/// fp32 to bfloat16 bits, round to nearest even; NaN stays NaN.
[[nodiscard]] std::uint16_t float_to_bfloat(float value) noexcept;

/// Converts `out.size()` elements of type `dtype` at `source` (any alignment) to fp32.
/// Throws Error(kInternal) for I32, which holds positions and tokens, never values.
void to_float(DType dtype, const std::byte* source, std::span<float> out);

/// Converts fp32 values to `dtype` (F16, BF16 or F32) at `target`,
/// which must have room for values.size() elements.
void from_float(DType dtype, std::span<const float> values, std::byte* target);

}  // namespace kvsieve::traces
