// Bits of whole numbers: logic, shifts, fields, counts, permutations of bytes.

#include <algorithm>
#include <bit>
#include <type_traits>

#include "exec/ptx/decode.h"
#include "exec/ptx/warp.h"

namespace kvsieve::ptx {
namespace {

struct And {
  template <class T>
  static T apply(T a, T b) {
    return static_cast<T>(a & b);
  }
};
struct Or {
  template <class T>
  static T apply(T a, T b) {
    return static_cast<T>(a | b);
  }
};
struct ExclusiveOr {
  template <class T>
  static T apply(T a, T b) {
    return static_cast<T>(a ^ b);
  }
};
struct Not {
  template <class T>
  static T apply(T a) {
    return static_cast<T>(~a);
  }
};
struct LogicalNot {
  template <class T>
  static T apply(T a) {
    return a == 0 ? 1 : 0;
  }
};
// Amounts beyond the width count as the width.
struct ShiftLeft {
  template <class T>
  static T apply(T a, std::uint32_t amount) {
    return amount >= 8 * sizeof(T) ? T{0} : static_cast<T>(a << amount);
  }
};
struct ShiftRight {
  template <class T>
  static T apply(T a, std::uint32_t amount) {
    constexpr std::uint32_t kBits = 8 * sizeof(T);
    if constexpr (std::is_signed_v<T>) {
      return static_cast<T>(a >> std::min(amount, kBits - 1));
    } else {
      return amount >= kBits ? T{0} : static_cast<T>(a >> amount);
    }
  }
};
struct PopulationCount {
  template <class T>
  static std::uint32_t apply(T a) {
    return static_cast<std::uint32_t>(std::popcount(a));
  }
};
struct CountLeadingZeros {
  template <class T>
  static std::uint32_t apply(T a) {
    return static_cast<std::uint32_t>(std::countl_zero(a));
  }
};
struct ReverseBits {
  template <class T>
  static T apply(T a) {
    T result = 0;
    for (unsigned bit = 0; bit < 8 * sizeof(T); ++bit) {
      result = static_cast<T>(result << 1U | (a >> bit & 1U));
    }
    return result;
  }
};
/// The highest bit that differs from the sign, or its distance from the top.
template <bool shift_amount>
struct FindHighest {
  template <class T>
  static std::uint32_t apply(T a) {
    using U = std::make_unsigned_t<T>;
    auto bits = static_cast<U>(a);
    if (std::is_signed_v<T> && a < 0) {
      bits = static_cast<U>(~bits);
    }
    if (bits == 0) {
      return 0xffffffffU;
    }
    const auto zeros = static_cast<std::uint32_t>(std::countl_zero(bits));
    return shift_amount ? zeros : static_cast<std::uint32_t>(8 * sizeof(T) - 1) - zeros;
  }
};
struct ExtractField {
  template <class T>
  static T apply(T a, std::uint32_t position, std::uint32_t length) {
    using U = std::make_unsigned_t<T>;
    constexpr std::uint32_t kBits = 8 * sizeof(T);
    position &= 0xffU;
    length &= 0xffU;
    const std::uint32_t sign_at = std::min(position + length - 1, kBits - 1);
    const bool negative =
        std::is_signed_v<T> && length != 0 && (static_cast<U>(a) >> sign_at & 1U) != 0;
    U result = negative ? static_cast<U>(~U{0}) : U{0};
    for (std::uint32_t i = 0; i < length && i < kBits; ++i) {
      const bool bit =
          position + i < kBits ? (static_cast<U>(a) >> (position + i) & 1U) != 0 : negative;
      result = static_cast<U>((result & ~(U{1} << i)) | (U{bit} << i));
    }
    return static_cast<T>(result);
  }
};

template <class T>
void run_insert_field(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  T* d = warp.lanes<T>(instruction.d);
  const T* a = warp.lanes<T>(instruction.a);
  const T* b = warp.lanes<T>(instruction.b);
  const auto* positions = warp.lanes<std::uint32_t>(instruction.c);
  const auto* lengths = warp.lanes<std::uint32_t>(*warp.list(instruction));
  for_lanes(lanes, [=](unsigned lane) {
    constexpr std::uint32_t kBits = 8 * sizeof(T);
    const std::uint32_t position = positions[lane] & 0xffU;
    const std::uint32_t length = lengths[lane] & 0xffU;
    const T field = length >= kBits ? static_cast<T>(~T{0}) : static_cast<T>((T{1} << length) - 1);
    const T mask = position >= kBits ? T{0} : static_cast<T>(field << position);
    const T bits = position >= kBits ? T{0} : static_cast<T>(a[lane] << position);
    d[lane] = static_cast<T>((b[lane] & ~mask) | (bits & mask));
  });
}

template <bool left, bool wrap>
struct FunnelShift {
  static std::uint32_t apply(std::uint32_t low, std::uint32_t high, std::uint32_t amount) {
    const std::uint32_t shift = wrap ? amount & 31U : std::min(amount, 32U);
    const std::uint64_t both = std::uint64_t{high} << 32U | low;
    return static_cast<std::uint32_t>(left ? (both << shift) >> 32U : both >> shift);
  }
};

template <unsigned mode>
std::uint32_t permute(std::uint32_t a, std::uint32_t b, std::uint32_t selector) {
  const std::uint64_t bytes = std::uint64_t{b} << 32U | a;
  const auto byte = [bytes](std::uint32_t index) {
    return static_cast<std::uint32_t>(bytes >> (8 * (index & 7U))) & 0xffU;
  };
  std::uint32_t result = 0;
  for (std::uint32_t i = 0; i < 4; ++i) {
    std::uint32_t value = 0;
    const std::uint32_t control = selector & 3U;
    switch (mode) {
      case 0: {
        const std::uint32_t nibble = selector >> (4 * i) & 0xfU;
        value = byte(nibble);
        if ((nibble & 8U) != 0) {
          value = (value & 0x80U) != 0 ? 0xffU : 0;
        }
        break;
      }
      case 1:  // f4e: forward, four extract
        value = byte(control + i);
        break;
      case 2:  // b4e: backward
        value = byte(control + 8 - i);
        break;
      case 3:  // rc8: replicate 8
        value = byte(control);
        break;
      case 4:  // ecl: clamp left
        value = byte(std::max(control, i));
        break;
      case 5:  // ecr: clamp right
        value = byte(std::min(control, i));
        break;
      default:  // rc16: replicate 16
        value = byte((control & 1U) * 2 + (i & 1U));
        break;
    }
    result |= value << (8 * i);
  }
  return result;
}

template <unsigned mode>
struct Permute {
  static std::uint32_t apply(std::uint32_t a, std::uint32_t b, std::uint32_t selector) {
    return permute<mode>(a, b, selector);
  }
};

void run_lop3(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  auto* d = warp.lanes<std::uint32_t>(instruction.d);
  const auto* a = warp.lanes<std::uint32_t>(instruction.a);
  const auto* b = warp.lanes<std::uint32_t>(instruction.b);
  const auto* c = warp.lanes<std::uint32_t>(instruction.c);
  // Bit 4a + 2b + c of the table is the result for these three bits.
  std::uint32_t table[8];
  for (unsigned i = 0; i < 8; ++i) {
    table[i] = (instruction.option >> i & 1U) != 0 ? 0xffffffffU : 0;
  }
  for_lanes(lanes, [=](unsigned lane) {
    std::uint32_t result = 0;
    for (unsigned i = 0; i < 8; ++i) {
      result |= table[i] & ((i & 4U) != 0 ? a[lane] : ~a[lane]) &
                ((i & 2U) != 0 ? b[lane] : ~b[lane]) & ((i & 1U) != 0 ? c[lane] : ~c[lane]);
    }
    d[lane] = result;
  });
}

template <class F>
void run_predicates(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  const LaneMask a = warp.predicate(instruction.a);
  const LaneMask b = instruction.b == kNoOperand ? 0 : warp.predicate(instruction.b);
  LaneMask& d = warp.predicate(instruction.d);
  LaneMask result = 0;
  if constexpr (std::is_same_v<F, Not>) {
    result = ~a;
  } else {
    result = F::apply(a, b);
  }
  d = (d & ~lanes) | (result & lanes);
}

template <class F>
Handler logic_handler(Type type) {
  switch (type) {
    case Type::kPred:
      return run_predicates<F>;
    case Type::kB16:
      return run_binary<F, std::uint16_t, std::uint16_t, std::uint16_t>;
    case Type::kB32:
      return run_binary<F, std::uint32_t, std::uint32_t, std::uint32_t>;
    case Type::kB64:
      return run_binary<F, std::uint64_t, std::uint64_t, std::uint64_t>;
    default:
      return nullptr;
  }
}

template <class F>
void decode_logic(Decoder& decoder) {
  const Type type = decoder.take_type();
  decoder.emit(logic_handler<F>(type), type, {type, type});
}

template <class F>
Handler not_handler(Type type) {
  switch (type) {
    case Type::kPred:
      return std::is_same_v<F, Not> ? run_predicates<Not> : nullptr;
    case Type::kB16:
      return run_unary<F, std::uint16_t, std::uint16_t>;
    case Type::kB32:
      return run_unary<F, std::uint32_t, std::uint32_t>;
    case Type::kB64:
      return run_unary<F, std::uint64_t, std::uint64_t>;
    default:
      return nullptr;
  }
}

template <class F>
void decode_not(Decoder& decoder) {
  const Type type = decoder.take_type();
  decoder.emit(not_handler<F>(type), type, {type});
}

template <class F, class T>
constexpr Handler kShift = run_binary<F, T, T, std::uint32_t>;

Handler shift_handler(Type type, bool left) {
  switch (type) {
    case Type::kB16:
    case Type::kU16:
      return left ? kShift<ShiftLeft, std::uint16_t> : kShift<ShiftRight, std::uint16_t>;
    case Type::kB32:
    case Type::kU32:
      return left ? kShift<ShiftLeft, std::uint32_t> : kShift<ShiftRight, std::uint32_t>;
    case Type::kB64:
    case Type::kU64:
      return left ? kShift<ShiftLeft, std::uint64_t> : kShift<ShiftRight, std::uint64_t>;
    case Type::kS16:
      return left ? nullptr : kShift<ShiftRight, std::int16_t>;
    case Type::kS32:
      return left ? nullptr : kShift<ShiftRight, std::int32_t>;
    case Type::kS64:
      return left ? nullptr : kShift<ShiftRight, std::int64_t>;
    default:
      return nullptr;
  }
}

void decode_shift(Decoder& decoder) {
  const Type type = decoder.take_type();
  decoder.emit(shift_handler(type, decoder.opcode() == "shl"), type, {type, Type::kU32});
}

void decode_funnel_shift(Decoder& decoder) {
  const bool left = decoder.take("l");
  if (!left && !decoder.take("r")) {
    decoder.refuse("expected .l or .r");
  }
  const bool wrap = decoder.take("wrap");
  if (!wrap && !decoder.take("clamp")) {
    decoder.refuse("expected .wrap or .clamp");
  }
  if (decoder.take_type() != Type::kB32) {
    decoder.refuse("unsupported type");
  }
  using U = std::uint32_t;
  const Handler of_left = wrap ? run_ternary<FunnelShift<true, true>, U, U, U, U>
                               : run_ternary<FunnelShift<true, false>, U, U, U, U>;
  const Handler of_right = wrap ? run_ternary<FunnelShift<false, true>, U, U, U, U>
                                : run_ternary<FunnelShift<false, false>, U, U, U, U>;
  decoder.emit(left ? of_left : of_right, Type::kB32, {Type::kB32, Type::kB32, Type::kB32});
}

template <class F>
void decode_count(Decoder& decoder) {
  const Type type = decoder.take_type();
  const Handler run = type == Type::kB32   ? run_unary<F, std::uint32_t, std::uint32_t>
                      : type == Type::kB64 ? run_unary<F, std::uint32_t, std::uint64_t>
                                           : nullptr;
  decoder.emit(run, Type::kU32, {type});
}

void decode_reverse(Decoder& decoder) {
  const Type type = decoder.take_type();
  const Handler run = type == Type::kB32   ? run_unary<ReverseBits, std::uint32_t, std::uint32_t>
                      : type == Type::kB64 ? run_unary<ReverseBits, std::uint64_t, std::uint64_t>
                                           : nullptr;
  decoder.emit(run, type, {type});
}

template <bool shift_amount>
Handler find_handler(Type type) {
  using F = FindHighest<shift_amount>;
  switch (type) {
    case Type::kU32:
      return run_unary<F, std::uint32_t, std::uint32_t>;
    case Type::kS32:
      return run_unary<F, std::uint32_t, std::int32_t>;
    case Type::kU64:
      return run_unary<F, std::uint32_t, std::uint64_t>;
    case Type::kS64:
      return run_unary<F, std::uint32_t, std::int64_t>;
    default:
      return nullptr;
  }
}

void decode_find(Decoder& decoder) {
  const bool shift_amount = decoder.take("shiftamt");
  const Type type = decoder.take_type();
  decoder.emit(shift_amount ? find_handler<true>(type) : find_handler<false>(type), Type::kU32,
               {type});
}

template <class T>
constexpr Handler kExtract = run_ternary<ExtractField, T, T, std::uint32_t, std::uint32_t>;

Handler extract_handler(Type type) {
  switch (type) {
    case Type::kU32:
      return kExtract<std::uint32_t>;
    case Type::kS32:
      return kExtract<std::int32_t>;
    case Type::kU64:
      return kExtract<std::uint64_t>;
    case Type::kS64:
      return kExtract<std::int64_t>;
    default:
      return nullptr;
  }
}

void decode_extract(Decoder& decoder) {
  const Type type = decoder.take_type();
  decoder.emit(extract_handler(type), type, {type, Type::kU32, Type::kU32});
}

void decode_insert(Decoder& decoder) {
  const Type type = decoder.take_type();
  decoder.expect_operands(5);
  Instruction instruction;
  if (type == Type::kB32) {
    instruction.run = run_insert_field<std::uint32_t>;
  } else if (type == Type::kB64) {
    instruction.run = run_insert_field<std::uint64_t>;
  } else {
    decoder.refuse("unsupported type");
  }
  instruction.d = decoder.write(0, type);
  instruction.a = decoder.read(1, type);
  instruction.b = decoder.read(2, type);
  instruction.c = decoder.read(3, Type::kU32);
  instruction.list = decoder.builder().add_list({decoder.read(4, Type::kU32)});
  decoder.emit(instruction);
}

void decode_permute(Decoder& decoder) {
  if (decoder.take_type() != Type::kB32) {
    decoder.refuse("unsupported type");
  }
  using U = std::uint32_t;
  static constexpr std::pair<std::string_view, Handler> kModes[] = {
      {"f4e", run_ternary<Permute<1>, U, U, U, U>}, {"b4e", run_ternary<Permute<2>, U, U, U, U>},
      {"rc8", run_ternary<Permute<3>, U, U, U, U>}, {"ecl", run_ternary<Permute<4>, U, U, U, U>},
      {"ecr", run_ternary<Permute<5>, U, U, U, U>}, {"rc16", run_ternary<Permute<6>, U, U, U, U>}};
  const Handler run = decoder.take_one_of(kModes).value_or(run_ternary<Permute<0>, U, U, U, U>);
  decoder.emit(run, Type::kB32, {Type::kB32, Type::kB32, Type::kB32});
}

void decode_lop3(Decoder& decoder) {
  if (decoder.take_type() != Type::kB32) {
    decoder.refuse("unsupported type");
  }
  decoder.expect_operands(5);
  const OperandText& table = decoder.operand(4);
  if (table.kind != OperandText::Kind::kImmediate || table.bits > 0xff) {
    decoder.refuse("expected a table of 8 bits");
  }
  Instruction instruction;
  instruction.run = run_lop3;
  instruction.option = static_cast<std::uint8_t>(table.bits);
  instruction.d = decoder.write(0, Type::kB32);
  instruction.a = decoder.read(1, Type::kB32);
  instruction.b = decoder.read(2, Type::kB32);
  instruction.c = decoder.read(3, Type::kB32);
  decoder.emit(instruction);
}

}  // namespace

void add_bit_instructions(DecodeTable& table) {
  table["and"] = decode_logic<And>;
  table["or"] = decode_logic<Or>;
  table["xor"] = decode_logic<ExclusiveOr>;
  table["not"] = decode_not<Not>;
  table["cnot"] = decode_not<LogicalNot>;
  table["shl"] = decode_shift;
  table["shr"] = decode_shift;
  table["shf"] = decode_funnel_shift;
  table["popc"] = decode_count<PopulationCount>;
  table["clz"] = decode_count<CountLeadingZeros>;
  table["brev"] = decode_reverse;
  table["bfind"] = decode_find;
  table["bfe"] = decode_extract;
  table["bfi"] = decode_insert;
  table["prmt"] = decode_permute;
  table["lop3"] = decode_lop3;
}

}  // namespace kvsieve::ptx
