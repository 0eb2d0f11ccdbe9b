// Comparisons and choices: setp, set, selp, slct.

#include <cmath>
#include <limits>

#include "exec/ptx/decode.h"
#include "exec/ptx/half.h"
#include "exec/ptx/warp.h"

namespace kvsieve::ptx {
namespace {

enum class Comparison : std::uint8_t {
  kEqual,
  kNotEqual,
  kLess,
  kLessOrEqual,
  kGreater,
  kGreaterOrEqual,
  // True where an operand is no number.
  kUnorderedEqual,
  kUnorderedNotEqual,
  kUnorderedLess,
  kUnorderedLessOrEqual,
  kUnorderedGreater,
  kUnorderedGreaterOrEqual,
  kNumbers,
  kNotNumbers,
};

constexpr std::pair<std::string_view, Comparison> kComparisons[] = {
    {"eq", Comparison::kEqual},
    {"ne", Comparison::kNotEqual},
    {"lt", Comparison::kLess},
    {"le", Comparison::kLessOrEqual},
    {"gt", Comparison::kGreater},
    {"ge", Comparison::kGreaterOrEqual},
    // Of unsigned numbers, which the type says as well.
    {"lo", Comparison::kLess},
    {"ls", Comparison::kLessOrEqual},
    {"hi", Comparison::kGreater},
    {"hs", Comparison::kGreaterOrEqual},
    {"equ", Comparison::kUnorderedEqual},
    {"neu", Comparison::kUnorderedNotEqual},
    {"ltu", Comparison::kUnorderedLess},
    {"leu", Comparison::kUnorderedLessOrEqual},
    {"gtu", Comparison::kUnorderedGreater},
    {"geu", Comparison::kUnorderedGreaterOrEqual},
    {"num", Comparison::kNumbers},
    {"nan", Comparison::kNotNumbers}};

template <Comparison comparison, class T>
bool compare(T a, T b) {
  // Comparisons with a NaN are false in C++ as in PTX, but for "not equal".
  switch (comparison) {
    case Comparison::kEqual:
      return a == b;
    case Comparison::kNotEqual:
      return a < b || a > b;
    case Comparison::kLess:
      return a < b;
    case Comparison::kLessOrEqual:
      return a <= b;
    case Comparison::kGreater:
      return a > b;
    case Comparison::kGreaterOrEqual:
      return a >= b;
    case Comparison::kUnorderedEqual:
      return !(a < b || a > b);
    case Comparison::kUnorderedNotEqual:
      return a != b;
    case Comparison::kUnorderedLess:
      return !(a >= b);
    case Comparison::kUnorderedLessOrEqual:
      return !(a > b);
    case Comparison::kUnorderedGreater:
      return !(a <= b);
    case Comparison::kUnorderedGreaterOrEqual:
      return !(a < b);
    case Comparison::kNumbers:
      return a == a && b == b;
    case Comparison::kNotNumbers:
      return a != a || b != b;
  }
  return false;
}

/// How an element is read: as it is, or as what it stands for.
template <class T>
struct Plain {
  using Stored = T;
  static T read(T value) { return value; }
};
struct Flushed {
  using Stored = float;
  static float read(float value) {
    return std::fabs(value) < std::numeric_limits<float>::min() ? 0.0F : value;
  }
};
struct HalfElement {
  using Stored = std::uint16_t;
  static float read(std::uint16_t value) { return half_to_float(value); }
};
struct Bf16Element {
  using Stored = std::uint16_t;
  static float read(std::uint16_t value) { return bf16_to_float(value); }
};
/// One of the two elements of a pair.
template <class Element, unsigned shift>
struct PairElement {
  using Stored = std::uint32_t;
  static float read(std::uint32_t value) {
    return Element::read(static_cast<std::uint16_t>(value >> shift));
  }
};

using CompareFunction = LaneMask (*)(Warp& warp, const Instruction& instruction, LaneMask lanes);

template <Comparison comparison, class Element>
LaneMask compare_lanes(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  const auto* a = warp.lanes<typename Element::Stored>(instruction.a);
  const auto* b = warp.lanes<typename Element::Stored>(instruction.b);
  return mask_where(lanes, [=](unsigned lane) {
    return compare<comparison>(Element::read(a[lane]), Element::read(b[lane]));
  });
}

enum class Combine : std::uint8_t { kNone, kAnd, kOr, kXor };
constexpr std::pair<std::string_view, Combine> kCombinations[] = {
    {"and", Combine::kAnd}, {"or", Combine::kOr}, {"xor", Combine::kXor}};

LaneMask combine(Combine how, LaneMask result, LaneMask with) {
  switch (how) {
    case Combine::kNone:
      return result;
    case Combine::kAnd:
      return result & with;
    case Combine::kOr:
      return result | with;
    case Combine::kXor:
      return result ^ with;
  }
  return result;
}

// Bits of Instruction::option beside the combination.
constexpr std::uint8_t kNegateThird = 4;
constexpr std::uint8_t kFloatResult = 8;

LaneMask third_operand(Warp& warp, const Instruction& instruction) {
  if (instruction.c == kNoOperand) {
    return 0;
  }
  const LaneMask value = warp.predicate(instruction.c);
  return (instruction.option & kNegateThird) != 0 ? ~value : value;
}

void write_masked(Warp& warp, Operand operand, LaneMask lanes, LaneMask value) {
  if (operand != kNoOperand) {
    LaneMask& d = warp.predicate(operand);
    d = (d & ~lanes) | (value & lanes);
  }
}

template <Comparison comparison, class Element>
void run_setp(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  const LaneMask result = compare_lanes<comparison, Element>(warp, instruction, lanes);
  const auto how = static_cast<Combine>(instruction.option & 3U);
  const LaneMask with = third_operand(warp, instruction);
  const Operand second = *warp.list(instruction);
  write_masked(warp, instruction.d, lanes, combine(how, result, with));
  write_masked(warp, second, lanes, combine(how, ~result, with));
}

/// The pairs of two: one predicate each.
template <Comparison comparison, class Element>
void run_setp_pair(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  const LaneMask low = compare_lanes<comparison, PairElement<Element, 0>>(warp, instruction, lanes);
  const LaneMask high =
      compare_lanes<comparison, PairElement<Element, 16>>(warp, instruction, lanes);
  const auto how = static_cast<Combine>(instruction.option & 3U);
  const LaneMask with = third_operand(warp, instruction);
  const Operand second = *warp.list(instruction);
  write_masked(warp, instruction.d, lanes, combine(how, low, with));
  write_masked(warp, second, lanes, combine(how, high, with));
}

/// All bits, or 1.0 of the result's type, where the comparison holds.
template <Comparison comparison, class Element>
void run_set(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  const LaneMask result = combine(static_cast<Combine>(instruction.option & 3U),
                                  compare_lanes<comparison, Element>(warp, instruction, lanes),
                                  third_operand(warp, instruction));
  const bool as_float = (instruction.option & kFloatResult) != 0;
  if (instruction.d_width == 2) {
    auto* d = warp.lanes<std::uint16_t>(instruction.d);
    const auto one = static_cast<std::uint16_t>(!as_float                        ? 0xffffU
                                                : instruction.type == Type::kF16 ? 0x3c00U
                                                                                 : 0x3f80U);
    for_lanes(lanes, [=](unsigned lane) { d[lane] = (result >> lane & 1U) != 0 ? one : 0; });
  } else {
    auto* d = warp.lanes<std::uint32_t>(instruction.d);
    const std::uint32_t one = as_float ? 0x3f800000U : 0xffffffffU;
    for_lanes(lanes, [=](unsigned lane) { d[lane] = (result >> lane & 1U) != 0 ? one : 0; });
  }
}

template <Comparison comparison, class Element>
void run_set_pair(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  const auto how = static_cast<Combine>(instruction.option & 3U);
  const LaneMask with = third_operand(warp, instruction);
  const LaneMask low = combine(
      how, compare_lanes<comparison, PairElement<Element, 0>>(warp, instruction, lanes), with);
  const LaneMask high = combine(
      how, compare_lanes<comparison, PairElement<Element, 16>>(warp, instruction, lanes), with);
  const bool as_float = (instruction.option & kFloatResult) != 0;
  const std::uint32_t one = !as_float                          ? 0xffffU
                            : instruction.type == Type::kF16x2 ? 0x3c00U
                                                               : 0x3f80U;
  auto* d = warp.lanes<std::uint32_t>(instruction.d);
  for_lanes(lanes, [=](unsigned lane) {
    d[lane] = ((low >> lane & 1U) != 0 ? one : 0) | ((high >> lane & 1U) != 0 ? one << 16U : 0);
  });
}

enum class Form : std::uint8_t { kSetp, kSet };

template <Comparison comparison, class Element>
Handler handler_of(Form form) {
  return form == Form::kSetp ? Handler{run_setp<comparison, Element>}
                             : Handler{run_set<comparison, Element>};
}
template <Comparison comparison, class Element>
Handler pair_handler_of(Form form) {
  return form == Form::kSetp ? Handler{run_setp_pair<comparison, Element>}
                             : Handler{run_set_pair<comparison, Element>};
}

template <Comparison comparison>
Handler handler_of(Form form, Type type, bool ftz) {
  constexpr bool kOfFloats = comparison >= Comparison::kUnorderedEqual;
  switch (type) {
    case Type::kF32:
      return ftz ? handler_of<comparison, Flushed>(form)
                 : handler_of<comparison, Plain<float>>(form);
    case Type::kF64:
      return handler_of<comparison, Plain<double>>(form);
    case Type::kF16:
      return handler_of<comparison, HalfElement>(form);
    case Type::kBf16:
      return handler_of<comparison, Bf16Element>(form);
    case Type::kF16x2:
      return pair_handler_of<comparison, HalfElement>(form);
    case Type::kBf16x2:
      return pair_handler_of<comparison, Bf16Element>(form);
    default:
      break;
  }
  if constexpr (!kOfFloats) {
    switch (type) {
      case Type::kB16:
      case Type::kU16:
        return handler_of<comparison, Plain<std::uint16_t>>(form);
      case Type::kB32:
      case Type::kU32:
        return handler_of<comparison, Plain<std::uint32_t>>(form);
      case Type::kB64:
      case Type::kU64:
        return handler_of<comparison, Plain<std::uint64_t>>(form);
      case Type::kS16:
        return handler_of<comparison, Plain<std::int16_t>>(form);
      case Type::kS32:
        return handler_of<comparison, Plain<std::int32_t>>(form);
      case Type::kS64:
        return handler_of<comparison, Plain<std::int64_t>>(form);
      default:
        break;
    }
  }
  return nullptr;
}

template <std::size_t... I>
Handler handler_of(Comparison comparison, Form form, Type type, bool ftz,
                   std::index_sequence<I...>) {
  Handler result = nullptr;
  ((static_cast<std::size_t>(comparison) == I &&
    (result = handler_of<static_cast<Comparison>(I)>(form, type, ftz), true)) ||
   ...);
  return result;
}

/// Comparison, combination and the operands after the result.
Instruction read_comparison(Decoder& decoder, Form form, Type type, Comparison comparison,
                            Combine how) {
  const bool ftz = decoder.take("ftz");
  Instruction instruction;
  instruction.category = is_float(type)  ? InstructionClass::kFloat
                         : is_half(type) ? InstructionClass::kHalf
                                         : InstructionClass::kInteger;
  instruction.run =
      handler_of(comparison, form, type, ftz,
                 std::make_index_sequence<static_cast<std::size_t>(Comparison::kNotNumbers) + 1>());
  if (instruction.run == nullptr) {
    decoder.refuse("unsupported comparison of this type");
  }
  decoder.expect_operands(how == Combine::kNone ? 3 : 4);
  instruction.a = decoder.read(1, type);
  instruction.b = decoder.read(2, type);
  instruction.option = static_cast<std::uint8_t>(how);
  if (how != Combine::kNone) {
    const OperandText& third = decoder.operand(3);
    instruction.c = decoder.read_predicate(third);
    instruction.option |= third.negated ? kNegateThird : 0;
  }
  return instruction;
}

std::pair<Comparison, Combine> take_comparison(Decoder& decoder) {
  const auto comparison = decoder.take_one_of(kComparisons);
  if (!comparison) {
    decoder.refuse("expected a comparison");
  }
  return {*comparison, decoder.take_one_of(kCombinations).value_or(Combine::kNone)};
}

void decode_setp(Decoder& decoder) {
  const auto [comparison, how] = take_comparison(decoder);
  const Type type = decoder.take_type();
  Instruction instruction = read_comparison(decoder, Form::kSetp, type, comparison, how);
  const OperandText& result = decoder.operand(0);
  Operand second = kNoOperand;
  if (result.kind == OperandText::Kind::kPair) {
    instruction.d = decoder.write_predicate(result.parts[0]);
    second = decoder.write_predicate(result.parts[1]);
  } else {
    instruction.d = decoder.write_predicate(result);
  }
  instruction.list = decoder.builder().add_list({second});
  decoder.emit(instruction);
}

void decode_set(Decoder& decoder) {
  const auto [comparison, how] = take_comparison(decoder);
  const Type result_type = decoder.take_type();
  const Type type = decoder.take_type();
  Instruction instruction = read_comparison(decoder, Form::kSet, type, comparison, how);
  const bool pair = type == Type::kF16x2 || type == Type::kBf16x2;
  if (size_of(result_type) != 4 && (pair || size_of(result_type) != 2)) {
    decoder.refuse("unsupported type");
  }
  instruction.type = result_type;
  instruction.option |= is_float(result_type) || is_half(result_type) ? kFloatResult : 0;
  instruction.d = decoder.write(0, result_type);
  instruction.d_width = static_cast<std::uint8_t>(size_of(result_type));
  decoder.emit(instruction);
}

template <class T>
void run_selp(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  T* d = warp.lanes<T>(instruction.d);
  const T* a = warp.lanes<T>(instruction.a);
  const T* b = warp.lanes<T>(instruction.b);
  const LaneMask chosen = warp.predicate(instruction.c) ^ (instruction.option != 0 ? kAllLanes : 0);
  for_lanes(lanes, [=](unsigned lane) {
    const T first = a[lane];
    const T second = b[lane];
    d[lane] = (chosen & (1U << lane)) != 0 ? first : second;
  });
}

void decode_selp(Decoder& decoder) {
  const Type type = decoder.take_type();
  decoder.expect_operands(4);
  Instruction instruction;
  switch (size_of(type)) {
    case 2:
      instruction.run = run_selp<std::uint16_t>;
      break;
    case 4:
      instruction.run = run_selp<std::uint32_t>;
      break;
    case 8:
      instruction.run = run_selp<std::uint64_t>;
      break;
    default:
      decoder.refuse("unsupported type");
  }
  instruction.d = decoder.write(0, type);
  instruction.a = decoder.read(1, type);
  instruction.b = decoder.read(2, type);
  instruction.c = decoder.read_predicate(decoder.operand(3));
  instruction.option = decoder.operand(3).negated ? 1 : 0;
  decoder.emit(instruction);
}

/// The first operand where the third is not negative.
template <class T, class C, bool ftz>
struct SelectBySign {
  static T apply(T a, T b, C c) {
    if (ftz) {
      c = static_cast<C>(Flushed::read(static_cast<float>(c)));
    }
    return c >= 0 ? a : b;
  }
};

template <class T>
Handler slct_handler(Type third, bool ftz) {
  if (third == Type::kS32) {
    return run_ternary<SelectBySign<T, std::int32_t, false>, T, T, T, std::int32_t>;
  }
  return ftz ? run_ternary<SelectBySign<T, float, true>, T, T, T, float>
             : run_ternary<SelectBySign<T, float, false>, T, T, T, float>;
}

Handler slct_handler(Type type, Type third, bool ftz) {
  switch (size_of(type)) {
    case 2:
      return slct_handler<std::uint16_t>(third, ftz);
    case 4:
      return slct_handler<std::uint32_t>(third, ftz);
    case 8:
      return slct_handler<std::uint64_t>(third, ftz);
    default:
      return nullptr;
  }
}

void decode_slct(Decoder& decoder) {
  const bool ftz = decoder.take("ftz");
  const Type type = decoder.take_type();
  const Type third = decoder.take_type();
  if (third != Type::kS32 && third != Type::kF32) {
    decoder.refuse("unsupported type");
  }
  decoder.emit(slct_handler(type, third, ftz), type, {type, type, third});
}

}  // namespace

void add_comparisons(DecodeTable& table) {
  table["setp"] = decode_setp;
  table["set"] = decode_set;
  table["selp"] = decode_selp;
  table["slct"] = decode_slct;
}

}  // namespace kvsieve::ptx
