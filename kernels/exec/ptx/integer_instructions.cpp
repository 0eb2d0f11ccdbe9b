// Whole numbers: sums, products, quotients, extrema. Results wrap as two's complement does.

#include <algorithm>
#include <limits>
#include <type_traits>

#include "exec/ptx/decode.h"
#include "exec/ptx/warp.h"

namespace kvsieve::ptx {
namespace {

template <class T>
using Unsigned = std::make_unsigned_t<T>;

/// Twice as wide.
template <class T>
struct Wider;
template <>
struct Wider<std::uint16_t> {
  using Type = std::uint32_t;
};
template <>
struct Wider<std::int16_t> {
  using Type = std::int32_t;
};
template <>
struct Wider<std::uint32_t> {
  using Type = std::uint64_t;
};
template <>
struct Wider<std::int32_t> {
  using Type = std::int64_t;
};
template <>
struct Wider<std::uint64_t> {
  using Type = unsigned __int128;
};
template <>
struct Wider<std::int64_t> {
  using Type = __int128;
};
template <class T>
using WiderType = typename Wider<T>::Type;

template <class T>
T wrap(WiderType<Unsigned<T>> value) {
  return static_cast<T>(static_cast<Unsigned<T>>(value));
}

template <class T>
struct Add {
  static T apply(T a, T b) {
    return static_cast<T>(
        static_cast<Unsigned<T>>(static_cast<Unsigned<T>>(a) + static_cast<Unsigned<T>>(b)));
  }
};
template <class T>
struct AddSaturated {
  static T apply(T a, T b) {
    T sum = 0;
    if (!__builtin_add_overflow(a, b, &sum)) {
      return sum;
    }
    return a < 0 ? std::numeric_limits<T>::min() : std::numeric_limits<T>::max();
  }
};
template <class T>
struct Subtract {
  static T apply(T a, T b) {
    return static_cast<T>(
        static_cast<Unsigned<T>>(static_cast<Unsigned<T>>(a) - static_cast<Unsigned<T>>(b)));
  }
};
template <class T>
struct SubtractSaturated {
  static T apply(T a, T b) {
    T difference = 0;
    if (!__builtin_sub_overflow(a, b, &difference)) {
      return difference;
    }
    return a < 0 ? std::numeric_limits<T>::min() : std::numeric_limits<T>::max();
  }
};
template <class T>
struct MultiplyLow {
  static T apply(T a, T b) {
    return wrap<T>(WiderType<Unsigned<T>>{static_cast<Unsigned<T>>(a)} *
                   static_cast<Unsigned<T>>(b));
  }
};
template <>
struct MultiplyLow<std::uint64_t> {
  static std::uint64_t apply(std::uint64_t a, std::uint64_t b) { return a * b; }
};
template <>
struct MultiplyLow<std::int64_t> {
  static std::int64_t apply(std::int64_t a, std::int64_t b) {
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) * static_cast<std::uint64_t>(b));
  }
};
template <class T>
struct MultiplyHigh {
  static T apply(T a, T b) {
    return static_cast<T>((WiderType<T>{a} * WiderType<T>{b}) >> (8 * sizeof(T)));
  }
};
template <class T>
struct MultiplyWide {
  static WiderType<T> apply(T a, T b) { return WiderType<T>{a} * WiderType<T>{b}; }
};
/// The low 48 bits of products of 24-bit numbers; their upper 32 for .hi.
template <class T, bool high>
struct Multiply24 {
  static T apply(T a, T b) {
    const auto low24 = [](T value) {
      // The sign is the 24th bit.
      return static_cast<WiderType<T>>(static_cast<T>(static_cast<Unsigned<T>>(value) << 8U) >> 8);
    };
    const auto product = static_cast<std::uint64_t>(low24(a) * low24(b));
    return static_cast<T>(static_cast<std::uint32_t>(high ? product >> 16U : product));
  }
};
template <class Product, class T>
struct MultiplyAdd {
  using Sum = decltype(Product::apply(T{}, T{}));
  static Sum apply(T a, T b, Sum c) { return Add<Sum>::apply(Product::apply(a, b), c); }
};
template <class T>
struct MultiplyHighAddSaturated {
  static T apply(T a, T b, T c) { return AddSaturated<T>::apply(MultiplyHigh<T>::apply(a, b), c); }
};
// Quotients that PTX leaves open are what GPUs give: all bits set.
template <class T>
struct Divide {
  static T apply(T a, T b) {
    if (b == 0) {
      return static_cast<T>(-1);
    }
    if (std::is_signed_v<T> && b == static_cast<T>(-1)) {
      return Subtract<T>::apply(0, a);
    }
    return static_cast<T>(a / b);
  }
};
template <class T>
struct Remainder {
  static T apply(T a, T b) {
    if (b == 0) {
      return a;
    }
    if (std::is_signed_v<T> && b == static_cast<T>(-1)) {
      return 0;
    }
    return static_cast<T>(a % b);
  }
};
template <class T>
struct Minimum {
  static T apply(T a, T b) { return std::min(a, b); }
};
template <class T>
struct Maximum {
  static T apply(T a, T b) { return std::max(a, b); }
};
template <class T>
struct Negate {
  static T apply(T a) { return Subtract<T>::apply(0, a); }
};
template <class T>
struct Absolute {
  static T apply(T a) { return a < 0 ? Negate<T>::apply(a) : a; }
};
template <class T>
struct AbsoluteDifferenceSum {
  static T apply(T a, T b, T c) {
    return Add<T>::apply(c, a < b ? Subtract<T>::apply(b, a) : Subtract<T>::apply(a, b));
  }
};

/// The handler for one of the types of whole numbers; null for another type.
template <template <class> class F>
Handler binary_handler(Type type) {
  switch (type) {
    case Type::kU16:
      return run_binary<F<std::uint16_t>, std::uint16_t, std::uint16_t, std::uint16_t>;
    case Type::kU32:
      return run_binary<F<std::uint32_t>, std::uint32_t, std::uint32_t, std::uint32_t>;
    case Type::kU64:
      return run_binary<F<std::uint64_t>, std::uint64_t, std::uint64_t, std::uint64_t>;
    case Type::kS16:
      return run_binary<F<std::int16_t>, std::int16_t, std::int16_t, std::int16_t>;
    case Type::kS32:
      return run_binary<F<std::int32_t>, std::int32_t, std::int32_t, std::int32_t>;
    case Type::kS64:
      return run_binary<F<std::int64_t>, std::int64_t, std::int64_t, std::int64_t>;
    default:
      return nullptr;
  }
}

/// Decodes the instruction if its type is one of floats.
bool decode_as_float(Decoder& decoder, Type type) {
  if (is_float(type)) {
    decode_float_arithmetic(decoder, type);
  } else if (is_half(type)) {
    decode_half_arithmetic(decoder, type);
  }
  return is_float(type) || is_half(type);
}

template <template <class> class F>
void decode_binary(Decoder& decoder) {
  const Type type = decoder.take_type();
  if (!decode_as_float(decoder, type)) {
    decoder.emit(binary_handler<F>(type), type, {type, type});
  }
}

template <template <class> class F, template <class> class Saturated>
void decode_sum(Decoder& decoder) {
  const Type type = decoder.take_type();
  if (decode_as_float(decoder, type)) {
    return;
  }
  Handler run = binary_handler<F>(type);
  if (decoder.take("sat")) {
    run = type == Type::kS32
              ? run_binary<Saturated<std::int32_t>, std::int32_t, std::int32_t, std::int32_t>
              : nullptr;
  }
  decoder.emit(run, type, {type, type});
}

enum class Part : std::uint8_t { kLow, kHigh, kWide };
constexpr std::pair<std::string_view, Part> kParts[] = {
    {"lo", Part::kLow}, {"hi", Part::kHigh}, {"wide", Part::kWide}};

/// The product alone, or with a third operand added.
template <class F, class D, class T>
Handler product_handler(bool add) {
  return add ? Handler{run_ternary<MultiplyAdd<F, T>, D, T, T, D>}
             : Handler{run_binary<F, D, T, T>};
}

template <class T>
Handler product_handler(Part part, bool add) {
  switch (part) {
    case Part::kLow:
      return product_handler<MultiplyLow<T>, T, T>(add);
    case Part::kHigh:
      return product_handler<MultiplyHigh<T>, T, T>(add);
    case Part::kWide:
      if constexpr (sizeof(T) < 8) {
        return product_handler<MultiplyWide<T>, WiderType<T>, T>(add);
      }
      break;
  }
  return nullptr;
}

Handler product_handler(Type type, Part part, bool add) {
  switch (type) {
    case Type::kU16:
      return product_handler<std::uint16_t>(part, add);
    case Type::kU32:
      return product_handler<std::uint32_t>(part, add);
    case Type::kU64:
      return product_handler<std::uint64_t>(part, add);
    case Type::kS16:
      return product_handler<std::int16_t>(part, add);
    case Type::kS32:
      return product_handler<std::int32_t>(part, add);
    case Type::kS64:
      return product_handler<std::int64_t>(part, add);
    default:
      return nullptr;
  }
}

Type wide_type(Type type) {
  switch (type) {
    case Type::kU16:
      return Type::kU32;
    case Type::kS16:
      return Type::kS32;
    case Type::kU32:
      return Type::kU64;
    case Type::kS32:
      return Type::kS64;
    default:
      return type;
  }
}

/// The product of two operands of a type, or with a third operand of the result's type added.
void emit_product(Decoder& decoder, Handler run, Type result, Type type, bool add) {
  if (add) {
    decoder.emit(run, result, {type, type, result});
  } else {
    decoder.emit(run, result, {type, type});
  }
}

void decode_product(Decoder& decoder) {
  const bool add = decoder.opcode() == "mad";
  const auto part = decoder.take_one_of(kParts);
  if (!part) {
    if (!decode_as_float(decoder, decoder.take_type())) {
      decoder.refuse("expected .lo, .hi or .wide");
    }
    return;
  }
  const bool saturate = add && decoder.take("sat");
  const Type type = decoder.take_type();
  Handler run = product_handler(type, *part, add);
  if (saturate) {
    run = type == Type::kS32 && *part == Part::kHigh
              ? Handler{run_ternary<MultiplyHighAddSaturated<std::int32_t>, std::int32_t,
                                    std::int32_t, std::int32_t, std::int32_t>}
              : nullptr;
  }
  emit_product(decoder, run, *part == Part::kWide ? wide_type(type) : type, type, add);
}

template <class T>
Handler product24_handler(bool high, bool add) {
  return high ? product_handler<Multiply24<T, true>, T, T>(add)
              : product_handler<Multiply24<T, false>, T, T>(add);
}

void decode_product24(Decoder& decoder) {
  const bool add = decoder.opcode() == "mad24";
  const bool high = decoder.take("hi");
  if (!high && !decoder.take("lo")) {
    decoder.refuse("expected .lo or .hi");
  }
  const Type type = decoder.take_type();
  const Handler run = type == Type::kU32   ? product24_handler<std::uint32_t>(high, add)
                      : type == Type::kS32 ? product24_handler<std::int32_t>(high, add)
                                           : nullptr;
  emit_product(decoder, run, type, type, add);
}

template <template <class> class F>
Handler sign_handler(Type type) {
  switch (type) {
    case Type::kS16:
      return run_unary<F<std::int16_t>, std::int16_t, std::int16_t>;
    case Type::kS32:
      return run_unary<F<std::int32_t>, std::int32_t, std::int32_t>;
    case Type::kS64:
      return run_unary<F<std::int64_t>, std::int64_t, std::int64_t>;
    default:
      return nullptr;
  }
}

template <template <class> class F>
void decode_sign(Decoder& decoder) {
  // Modifiers of floats come first, so that the type alone tells them apart.
  const Type type = decoder.take_type();
  if (!decode_as_float(decoder, type)) {
    decoder.emit(sign_handler<F>(type), type, {type});
  }
}

template <class T>
constexpr Handler kSumOfDifferences = run_ternary<AbsoluteDifferenceSum<T>, T, T, T, T>;

void decode_sad(Decoder& decoder) {
  const Type type = decoder.take_type();
  const Handler run = type == Type::kU32   ? kSumOfDifferences<std::uint32_t>
                      : type == Type::kS32 ? kSumOfDifferences<std::int32_t>
                                           : nullptr;
  decoder.emit(run, type, {type, type, type});
}

}  // namespace

void add_integer_instructions(DecodeTable& table) {
  table["add"] = decode_sum<Add, AddSaturated>;
  table["sub"] = decode_sum<Subtract, SubtractSaturated>;
  table["mul"] = decode_product;
  table["mad"] = decode_product;
  table["mul24"] = decode_product24;
  table["mad24"] = decode_product24;
  table["div"] = decode_binary<Divide>;
  table["rem"] = decode_binary<Remainder>;
  table["min"] = decode_binary<Minimum>;
  table["max"] = decode_binary<Maximum>;
  table["neg"] = decode_sign<Negate>;
  table["abs"] = decode_sign<Absolute>;
  table["sad"] = decode_sad;
}

}  // namespace kvsieve::ptx
