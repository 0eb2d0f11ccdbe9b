#pragma once
// The types of PTX: how values in registers and memory are read.

#include <cstdint>
#include <optional>
#include <string_view>

namespace kvsieve::ptx {

enum class Type : std::uint8_t {
  kPred,
  kB8,
  kB16,
  kB32,
  kB64,
  kB128,
  kU8,
  kU16,
  kU32,
  kU64,
  kS8,
  kS16,
  kS32,
  kS64,
  kF16,
  kF16x2,
  kBf16,
  kBf16x2,
  kF32,
  kF64,
};

/// From the suffix of an instruction or declaration without its dot, "u32".
[[nodiscard]] std::optional<Type> parse_type(std::string_view suffix);
[[nodiscard]] std::string_view to_text(Type type);

/// Of a value in memory; predicates have none (0).
[[nodiscard]] unsigned size_of(Type type);
[[nodiscard]] bool is_signed(Type type);
/// fp32 and fp64.
[[nodiscard]] bool is_float(Type type);
/// fp16 and bf16, alone or in pairs.
[[nodiscard]] bool is_half(Type type);

enum class Space : std::uint8_t { kGeneric, kGlobal, kShared, kLocal, kParam, kConst };

[[nodiscard]] std::optional<Space> parse_space(std::string_view suffix);

// Windows of the generic address space; addresses outside are global, and the host's own.
inline constexpr std::uint64_t kWindowBytes = std::uint64_t{1} << 32U;
inline constexpr std::uint64_t kSharedWindow = std::uint64_t{0x7fff'0001} << 32U;
inline constexpr std::uint64_t kLocalWindow = std::uint64_t{0x7fff'0002} << 32U;
inline constexpr std::uint64_t kParamWindow = std::uint64_t{0x7fff'0003} << 32U;

}  // namespace kvsieve::ptx
