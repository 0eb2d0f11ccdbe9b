#include "kvsieve/traces/dtype.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "kvsieve/traces/error.h"

namespace kvsieve::traces {
namespace {

constexpr std::array<std::pair<std::string_view, DType>, 4> kNames{
    {{"F16", DType::kF16}, {"BF16", DType::kBF16}, {"F32", DType::kF32}, {"I32", DType::kI32}}};

}  // namespace

std::string_view name_of(DType dtype) noexcept {
  for (const auto& [name, value] : kNames) {
    if (value == dtype) {
      return name;
    }
  }
  return "?";
}

DType dtype_from_name(std::string_view name) {
  for (const auto& [known, value] : kNames) {
    if (known == name) {
      return value;
    }
  }
  throw Error(ErrorKind::kBadInput,
              fmt::format("unsupported dtype '{}' (supported: F16, BF16, F32, I32)", name));
}

std::uint16_t float_to_half(float value) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>((bits >> 16U) & 0x8000U);
  const std::uint32_t magnitude = bits & 0x7fffffffU;
  if (magnitude > 0x7f800000U) {
    return static_cast<std::uint16_t>(sign | 0x7e00U);
  }
  if (magnitude >= 0x477ff000U) {  // 65520 and up round to infinity
    return static_cast<std::uint16_t>(sign | 0x7c00U);
  }
  if (magnitude < 0x38800000U) {  // below 2^-14: the result is subnormal
    // Adding 0.5 aligns the mantissa so that the FPU itself rounds to the last half-precision bit.
    const float aligned = std::bit_cast<float>(magnitude) + 0.5F;
    return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(aligned) - 0x3f000000U));
  }
  const std::uint32_t round_to_even = 0xfffU + ((magnitude >> 13U) & 1U);
  return static_cast<std::uint16_t>(sign | ((magnitude - 0x38000000U + round_to_even) >> 13U));
}

std::uint16_t float_to_bfloat(float value) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffU) > 0x7f800000U) {
    return static_cast<std::uint16_t>((bits >> 16U) | 0x40U);
  }
  return static_cast<std::uint16_t>((bits + 0x7fffU + ((bits >> 16U) & 1U)) >> 16U);
}

void to_float(DType dtype, const std::byte* source, std::span<float> out) {
  const auto convert = [&](auto decode) {
    for (std::size_t i = 0; i < out.size(); ++i) {
      std::uint16_t bits = 0;
      std::memcpy(&bits, source + 2 * i, sizeof bits);
      out[i] = decode(bits);
    }
  };
  switch (dtype) {
    case DType::kF16:
      convert(half_to_float);
      return;
    case DType::kBF16:
      convert(bfloat_to_float);
      return;
    case DType::kF32:
      // Unlike memcpy, copy_n allows null pointers where there is nothing to copy.
      std::copy_n(source, out.size_bytes(), std::as_writable_bytes(out).data());
      return;
    case DType::kI32:
      break;
  }
  throw Error(ErrorKind::kInternal, "I32 tensors hold no values to convert");
}

void from_float(DType dtype, std::span<const float> values, std::byte* target) {
  const auto convert = [&](auto encode) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      const std::uint16_t bits = encode(values[i]);
      std::memcpy(target + 2 * i, &bits, sizeof bits);
    }
  };
  switch (dtype) {
    case DType::kF16:
      convert(float_to_half);
      return;
    case DType::kBF16:
      convert(float_to_bfloat);
      return;
    case DType::kF32:
      std::copy_n(std::as_bytes(values).data(), values.size_bytes(), target);
      return;
    case DType::kI32:
      break;
  }
  throw Error(ErrorKind::kInternal, "I32 tensors hold no values to convert");
}

}  // namespace kvsieve::traces
