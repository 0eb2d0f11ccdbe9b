// cvt: between whole numbers, floats and halves of all widths.

#include <bit>
#include <cfenv>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "exec/ptx/decode.h"
#include "exec/ptx/half.h"
#include "exec/ptx/warp.h"

namespace kvsieve::ptx {
namespace {

enum ConvertOption : std::uint8_t {
  kRoundingBits = 7,
  kSaturate = 8,
  kFlush = 16,
  kRelu = 32,
  kFinite = 64,  ///< .satfinite
  kToWhole = 128,
};

Rounding rounding_of(std::uint8_t option) {
  return static_cast<Rounding>(option & kRoundingBits);
}

double round_to_whole(double value, Rounding rounding) {
  switch (rounding) {
    case Rounding::kNearest:
    case Rounding::kNearestAway:
      return std::nearbyint(value);
    case Rounding::kZero:
      return std::trunc(value);
    case Rounding::kDown:
      return std::floor(value);
    case Rounding::kUp:
      return std::ceil(value);
  }
  return value;
}

/// A double as fp32 in a given rounding.
float to_single(double value, Rounding rounding) {
  const auto nearest = static_cast<float>(value);
  if (rounding == Rounding::kNearest || std::isnan(nearest) || double{nearest} == value) {
    return nearest;
  }
  const bool too_high = double{nearest} > value;
  const bool wants_lower =
      rounding == Rounding::kDown || (rounding == Rounding::kZero && value > 0);
  if (too_high == wants_lower) {
    return std::nextafter(nearest, wants_lower ? -std::numeric_limits<float>::infinity()
                                               : std::numeric_limits<float>::infinity());
  }
  return nearest;
}

// Values of halves and bf16 in registers, apart from plain whole numbers.
struct HalfBits {
  std::uint16_t bits;
};
struct Bf16Bits {
  std::uint16_t bits;
};

template <class T>
constexpr bool kIsHalf = std::is_same_v<T, HalfBits> || std::is_same_v<T, Bf16Bits>;

float value_of_half(HalfBits value) {
  return half_to_float(value.bits);
}
float value_of_half(Bf16Bits value) {
  return bf16_to_float(value.bits);
}

template <class T>
double value_of(T value) {
  if constexpr (kIsHalf<T>) {
    return value_of_half(value);
  } else {
    return static_cast<double>(value);
  }
}

/// To a whole number: out of range becomes the nearest in it. NaN becomes, as on GPUs, the highest
/// bit alone, but 0 if neither side has 64 bits.
template <class D, class S>
D to_whole(double value, Rounding rounding) {
  if (std::isnan(value)) {
    return sizeof(D) == 8 || std::is_same_v<S, double>
               ? static_cast<D>(std::uint64_t{1} << (sizeof(D) * 8 - 1))
               : D{0};
  }
  const double whole = round_to_whole(value, rounding);
  // Both limits are exact but for the upper one of 64 bits, which is one too high.
  constexpr auto kLow = static_cast<double>(std::numeric_limits<D>::min());
  constexpr auto kHigh = static_cast<double>(std::numeric_limits<D>::max());
  if (whole <= kLow) {
    return std::numeric_limits<D>::min();
  }
  if (whole >= kHigh) {
    return std::numeric_limits<D>::max();
  }
  return static_cast<D>(whole);
}

template <class D, class S>
D saturate_whole(S value) {
  using Limits = std::numeric_limits<D>;
  if (std::is_signed_v<S> && value < 0) {
    if constexpr (!std::is_signed_v<D>) {
      return 0;
    } else {
      return static_cast<std::int64_t>(value) < static_cast<std::int64_t>(Limits::min())
                 ? Limits::min()
                 : static_cast<D>(value);
    }
  }
  return static_cast<std::uint64_t>(value) > static_cast<std::uint64_t>(Limits::max())
             ? Limits::max()
             : static_cast<D>(value);
}

/// A whole number as fp32 or fp64 in a given rounding.
template <class D, class S>
D whole_to_float(S value, Rounding rounding) {
  if (rounding == Rounding::kNearest) {
    return static_cast<D>(value);
  }
  auto nearest = static_cast<D>(value);
  // The difference is exact in 128 bits.
  const auto difference = static_cast<__int128>(nearest) - static_cast<__int128>(value);
  const bool wants_lower =
      rounding == Rounding::kDown || (rounding == Rounding::kZero && value > 0);
  if (difference != 0 && (difference > 0) == wants_lower) {
    nearest = std::nextafter(nearest, wants_lower ? -std::numeric_limits<D>::infinity()
                                                  : std::numeric_limits<D>::infinity());
  }
  return nearest;
}

template <class T>
T flush(T value) {
  return std::fabs(value) < std::numeric_limits<float>::min() ? std::copysign(T{0}, value) : value;
}

template <class D>
D float_result(double value, std::uint8_t option) {
  const Rounding rounding = rounding_of(option);
  if ((option & kSaturate) != 0) {
    value = value > 0 ? std::fmin(value, 1.0) : 0.0;
  }
  if ((option & kRelu) != 0 && value <= 0) {
    value = 0.0;
  }
  const bool finite = (option & kFinite) != 0;
  if constexpr (std::is_same_v<D, HalfBits>) {
    return {to_half(value, rounding, finite)};
  } else if constexpr (std::is_same_v<D, Bf16Bits>) {
    return {to_bf16(value, rounding, finite)};
  } else if constexpr (std::is_same_v<D, float>) {
    float result = to_single(value, rounding);
    if ((option & kFlush) != 0) {
      result = flush(result);
    }
    return std::isnan(result) ? std::bit_cast<float>(0x7fffffffU) : result;
  } else {
    return value;
  }
}

template <class D, class S>
D convert(S source, std::uint8_t option) {
  constexpr bool kFromFloat = std::is_floating_point_v<S> || kIsHalf<S>;
  constexpr bool kToFloat = std::is_floating_point_v<D> || kIsHalf<D>;
  if constexpr (kIsHalf<S> && std::is_same_v<D, float>) {
    if (option == 0) {
      const float value = value_of_half(source);
      return value == value ? value : std::bit_cast<float>(0x7fffffffU);
    }
  }
  if constexpr (!kFromFloat && !kToFloat) {
    return (option & kSaturate) != 0 ? saturate_whole<D>(source) : static_cast<D>(source);
  } else if constexpr (!kFromFloat) {
    if constexpr (kIsHalf<D>) {
      // 64-bit numbers are beyond fp16's range long before a double rounds them; bf16 rounds them
      // from what a double keeps.
      return float_result<D>(whole_to_float<double>(source, Rounding::kNearest), option);
    } else {
      const D value = whole_to_float<D>(source, rounding_of(option));
      return (option & kSaturate) != 0 ? (value > 0 ? D{1} : D{0}) : value;
    }
  } else {
    double value = value_of(source);
    if constexpr (std::is_same_v<S, float>) {
      value = (option & kFlush) != 0 ? flush(value) : value;
    }
    if constexpr (!kToFloat) {
      return to_whole<D, S>(value, rounding_of(option));
    } else {
      if ((option & kToWhole) != 0) {
        // Halves and back are exact, so no second rounding follows.
        const double whole = round_to_whole(value, rounding_of(option));
        return float_result<D>(std::copysign(whole, value),
                               static_cast<std::uint8_t>(option & ~kRoundingBits));
      }
      return float_result<D>(value, option);
    }
  }
}

/// Registers may be wider than the types: the lower part is read, and the result extended.
template <class D, class S>
void run_convert(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  const std::uint8_t option = instruction.option;
  if (instruction.a_width == sizeof(S) && instruction.d_width == sizeof(D)) {
    D* d = warp.lanes<D>(instruction.d);
    const S* a = warp.lanes<S>(instruction.a);
    if (option == 0) {
      for_lanes(lanes, [=](unsigned lane) { d[lane] = convert<D, S>(a[lane], 0); });
    } else {
      for_lanes(lanes, [=](unsigned lane) { d[lane] = convert<D, S>(a[lane], option); });
    }
    return;
  }
  auto* d = warp.lanes<std::byte>(instruction.d);
  const auto* a = warp.lanes<std::byte>(instruction.a);
  for (LaneMask rest = lanes; rest != 0; rest &= rest - 1) {
    const unsigned lane = lowest(rest);
    S source;
    std::memcpy(&source, a + std::size_t{lane} * instruction.a_width, sizeof(S));
    const D result = convert<D, S>(source, option);
    std::uint64_t extended = 0;
    if constexpr (std::is_integral_v<D> && std::is_signed_v<D>) {
      extended = static_cast<std::uint64_t>(std::int64_t{result});
    } else {
      std::memcpy(&extended, &result, sizeof(D));
    }
    std::memcpy(d + std::size_t{lane} * instruction.d_width, &extended, instruction.d_width);
  }
}

template <class D>
Handler convert_handler(Type source) {
  switch (source) {
    case Type::kU8:
      return run_convert<D, std::uint8_t>;
    case Type::kU16:
      return run_convert<D, std::uint16_t>;
    case Type::kU32:
      return run_convert<D, std::uint32_t>;
    case Type::kU64:
      return run_convert<D, std::uint64_t>;
    case Type::kS8:
      return run_convert<D, std::int8_t>;
    case Type::kS16:
      return run_convert<D, std::int16_t>;
    case Type::kS32:
      return run_convert<D, std::int32_t>;
    case Type::kS64:
      return run_convert<D, std::int64_t>;
    case Type::kF16:
      return run_convert<D, HalfBits>;
    case Type::kBf16:
      return run_convert<D, Bf16Bits>;
    case Type::kF32:
      return run_convert<D, float>;
    case Type::kF64:
      return run_convert<D, double>;
    default:
      return nullptr;
  }
}

Handler convert_handler(Type result, Type source) {
  switch (result) {
    case Type::kU8:
      return convert_handler<std::uint8_t>(source);
    case Type::kU16:
      return convert_handler<std::uint16_t>(source);
    case Type::kU32:
      return convert_handler<std::uint32_t>(source);
    case Type::kU64:
      return convert_handler<std::uint64_t>(source);
    case Type::kS8:
      return convert_handler<std::int8_t>(source);
    case Type::kS16:
      return convert_handler<std::int16_t>(source);
    case Type::kS32:
      return convert_handler<std::int32_t>(source);
    case Type::kS64:
      return convert_handler<std::int64_t>(source);
    case Type::kF16:
      return convert_handler<HalfBits>(source);
    case Type::kBf16:
      return convert_handler<Bf16Bits>(source);
    case Type::kF32:
      return convert_handler<float>(source);
    case Type::kF64:
      return convert_handler<double>(source);
    default:
      return nullptr;
  }
}

/// Two fp32 to a pair; the first operand goes to the upper half.
template <class D>
void run_pack(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  auto* d = warp.lanes<std::uint32_t>(instruction.d);
  const auto* a = warp.lanes<float>(instruction.a);
  const auto* b = warp.lanes<float>(instruction.b);
  const std::uint8_t option = instruction.option;
  for_lanes(lanes, [=](unsigned lane) {
    const std::uint32_t high = convert<D, float>(a[lane], option).bits;
    const std::uint32_t low = convert<D, float>(b[lane], option).bits;
    d[lane] = high << 16U | low;
  });
}

constexpr std::pair<std::string_view, Rounding> kRoundings[] = {{"rn", Rounding::kNearest},
                                                                {"rz", Rounding::kZero},
                                                                {"rm", Rounding::kDown},
                                                                {"rp", Rounding::kUp},
                                                                {"rna", Rounding::kNearestAway}};
constexpr std::pair<std::string_view, Rounding> kWholeRoundings[] = {{"rni", Rounding::kNearest},
                                                                     {"rzi", Rounding::kZero},
                                                                     {"rmi", Rounding::kDown},
                                                                     {"rpi", Rounding::kUp}};

void decode_cvt(Decoder& decoder) {
  const auto rounding = decoder.take_one_of(kRoundings);
  const auto whole = decoder.take_one_of(kWholeRoundings);
  Instruction instruction;
  instruction.category = InstructionClass::kConvert;
  auto option = static_cast<unsigned>(whole ? *whole : rounding.value_or(Rounding::kNearest));
  if (whole) {
    option |= kToWhole;
  }
  static constexpr std::pair<std::string_view, unsigned> kModifiers[] = {
      {"sat", kSaturate}, {"ftz", kFlush}, {"relu", kRelu}, {"satfinite", kFinite}};
  for (const auto& [name, bit] : kModifiers) {
    option |= decoder.take(name) ? bit : 0U;
  }
  const Type result = decoder.take_type();
  const Type source = decoder.take_type();
  instruction.option = static_cast<std::uint8_t>(option);
  if (result == Type::kF16x2 || result == Type::kBf16x2) {
    if (source != Type::kF32) {
      decoder.refuse("unsupported type");
    }
    decoder.expect_operands(3);
    instruction.run = result == Type::kF16x2 ? run_pack<HalfBits> : run_pack<Bf16Bits>;
    instruction.d = decoder.write(0, result);
    instruction.a = decoder.read(1, source);
    instruction.b = decoder.read(2, source);
    decoder.emit(instruction);
    return;
  }
  decoder.expect_operands(2);
  instruction.run = convert_handler(result, source);
  if (instruction.run == nullptr) {
    decoder.refuse("unsupported type");
  }
  const auto [d, d_width] = decoder.write_wide(decoder.operand(0), result);
  const auto [a, a_width] = decoder.read_wide(decoder.operand(1), source);
  instruction.d = d;
  instruction.d_width = static_cast<std::uint8_t>(d_width);
  instruction.a = a;
  instruction.a_width = static_cast<std::uint8_t>(a_width);
  decoder.emit(instruction);
}

}  // namespace

void add_conversions(DecodeTable& table) {
  table["cvt"] = decode_cvt;
}

}  // namespace kvsieve::ptx
