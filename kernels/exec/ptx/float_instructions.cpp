// fp32 and fp64. Exact operations round once, as IEEE 754 and PTX say; approximate ones are
// computed in double precision and rounded, which is closer than any GPU promises.

#include <array>
#include <bit>
#include <cfenv>
#include <cmath>
#include <cstdint>
#include <limits>

#include "exec/ptx/decode.h"
#include "exec/ptx/half.h"
#include "exec/ptx/warp.h"

namespace kvsieve::ptx {
namespace {

template <class T>
using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;

template <class T>
T flush(T value) {
  constexpr Bits<T> kSign = Bits<T>{1} << (8 * sizeof(T) - 1);
  return std::fabs(value) < std::numeric_limits<T>::min()
             ? std::bit_cast<T>(std::bit_cast<Bits<T>>(value) & kSign)
             : value;
}

/// fp32 results that are no number have all bits set but the sign.
inline float canonical(float value) {
  return value == value ? value : std::bit_cast<float>(0x7fffffffU);
}
inline double canonical(double value) {
  return value == value ? value : std::bit_cast<double>(0x7ff8000000000000ULL);
}

template <class T>
T saturate(T value) {
  // NaN becomes +0.
  return value > T{0} ? (value < T{1} ? value : T{1}) : T{0};
}

struct Add {
  template <class T>
  static T apply(T a, T b) {
    return a + b;
  }
};
struct Subtract {
  template <class T>
  static T apply(T a, T b) {
    return a - b;
  }
};
struct Multiply {
  template <class T>
  static T apply(T a, T b) {
    return a * b;
  }
};
struct Divide {
  template <class T>
  static T apply(T a, T b) {
    return a / b;
  }
};
struct FusedMultiplyAdd {
  template <class T>
  static T apply(T a, T b, T c) {
    return std::fma(a, b, c);
  }
};
struct SquareRoot {
  template <class T>
  static T apply(T a) {
    return std::sqrt(a);
  }
};
struct Reciprocal {
  template <class T>
  static T apply(T a) {
    return T{1} / a;
  }
};
struct ReciprocalRoot {
  template <class T>
  static T apply(T a) {
    if (a == 0) {
      return std::copysign(std::numeric_limits<T>::infinity(), a);
    }
    return static_cast<T>(1.0 / std::sqrt(double{a}));
  }
};
struct Exponential2 {
  static float apply(float a) { return static_cast<float>(std::exp2(double{a})); }
};
struct Logarithm2 {
  static float apply(float a) { return static_cast<float>(std::log2(double{a})); }
};
struct Sine {
  static float apply(float a) { return static_cast<float>(std::sin(double{a})); }
};
struct Cosine {
  static float apply(float a) { return static_cast<float>(std::cos(double{a})); }
};
struct HyperbolicTangent {
  static float apply(float a) { return static_cast<float>(std::tanh(double{a})); }
};

// One handler for operations of one to three operands, with what modifiers add to them.

template <class F, class T, int operands, bool ftz, bool sat>
void run_float(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  T* d = warp.lanes<T>(instruction.d);
  const T* a = warp.lanes<T>(instruction.a);
  const T* b = operands > 1 ? warp.lanes<T>(instruction.b) : a;
  const T* c = operands > 2 ? warp.lanes<T>(instruction.c) : a;
  const auto in = [](T value) { return ftz ? flush(value) : value; };
  for_lanes(lanes, [=](unsigned lane) {
    T result;
    if constexpr (operands == 1) {
      result = F::apply(in(a[lane]));
    } else if constexpr (operands == 2) {
      result = F::apply(in(a[lane]), in(b[lane]));
    } else {
      result = F::apply(in(a[lane]), in(b[lane]), in(c[lane]));
    }
    result = canonical(result);
    if (ftz) {
      result = flush(result);
    }
    d[lane] = sat ? saturate(result) : result;
  });
}

#ifdef __x86_64__
/// fma of fp32 by the host's own instruction, which the host's compiler may not use everywhere.
template <bool ftz, bool sat>
[[gnu::target("avx2,fma")]] void run_host_fma(Warp& warp, const Instruction& instruction,
                                              LaneMask lanes) {
  float* d = warp.lanes<float>(instruction.d);
  const float* a = warp.lanes<float>(instruction.a);
  const float* b = warp.lanes<float>(instruction.b);
  const float* c = warp.lanes<float>(instruction.c);
  if (lanes != kAllLanes) {
    run_float<FusedMultiplyAdd, float, 3, ftz, sat>(warp, instruction, lanes);
    return;
  }
#pragma GCC ivdep
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    float result = ftz ? __builtin_fmaf(flush(a[lane]), flush(b[lane]), flush(c[lane]))
                       : __builtin_fmaf(a[lane], b[lane], c[lane]);
    result = canonical(result);
    if (ftz) {
      result = flush(result);
    }
    d[lane] = sat ? saturate(result) : result;
  }
}
#endif

constexpr int kHostRounding[] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD};

/// The same with the host rounding as the instruction says. Operands come from and results go to
/// memory, which nothing moves across the changes of the rounding.
template <class F, class T, int operands, bool ftz, bool sat>
void run_rounded(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  std::fesetround(kHostRounding[instruction.option]);
  asm volatile("" ::: "memory");
  run_float<F, T, operands, ftz, sat>(warp, instruction, lanes);
  asm volatile("" ::: "memory");
  std::fesetround(FE_TONEAREST);
}

template <class F, class T, int operands>
Handler float_handler(bool ftz, bool sat, bool rounded) {
#ifdef __x86_64__
  if constexpr (std::is_same_v<F, FusedMultiplyAdd> && std::is_same_v<T, float>) {
    if (!rounded && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
      return ftz   ? (sat ? run_host_fma<true, true> : run_host_fma<true, false>)
             : sat ? run_host_fma<false, true>
                   : run_host_fma<false, false>;
    }
  }
#endif
  if (rounded) {
    return ftz   ? (sat ? run_rounded<F, T, operands, true, true>
                        : run_rounded<F, T, operands, true, false>)
           : sat ? run_rounded<F, T, operands, false, true>
                 : run_rounded<F, T, operands, false, false>;
  }
  return ftz   ? (sat ? run_float<F, T, operands, true, true>
                      : run_float<F, T, operands, true, false>)
         : sat ? run_float<F, T, operands, false, true>
               : run_float<F, T, operands, false, false>;
}

template <class F, int operands>
Handler float_handler(Type type, bool ftz, bool sat, bool rounded) {
  return type == Type::kF64 ? float_handler<F, double, operands>(false, false, rounded)
                            : float_handler<F, float, operands>(ftz, sat, rounded);
}

/// min and max: the other operand where one is no number, unless .NaN; -0 is below +0.
template <class T, bool maximum, bool propagates_nan, bool ftz>
struct Extremum {
  static T apply(T a, T b) {
    if (ftz) {
      a = flush(a);
      b = flush(b);
    }
    if (a != a || b != b) {
      return propagates_nan || (a != a && b != b) ? canonical(std::numeric_limits<T>::quiet_NaN())
             : a != a                             ? b
                                                  : a;
    }
    if (a == b) {
      return std::signbit(a) == maximum ? b : a;
    }
    return (a < b) == maximum ? b : a;
  }
};

template <class T, bool maximum, bool ftz>
Handler extremum_handler(bool propagates_nan) {
  return propagates_nan ? run_binary<Extremum<T, maximum, true, ftz>, T, T, T>
                        : run_binary<Extremum<T, maximum, false, ftz>, T, T, T>;
}

template <bool maximum>
Handler extremum_handler(Type type, bool propagates_nan, bool ftz) {
  if (type == Type::kF64) {
    return extremum_handler<double, maximum, false>(propagates_nan);
  }
  return ftz ? extremum_handler<float, maximum, true>(propagates_nan)
             : extremum_handler<float, maximum, false>(propagates_nan);
}

template <class T, bool ftz>
struct Negate {
  static T apply(T a) { return -(ftz ? flush(a) : a); }
};
template <class T, bool ftz>
struct Absolute {
  static T apply(T a) { return std::fabs(ftz ? flush(a) : a); }
};
/// The sign of the first operand and the magnitude of the second.
template <class T>
struct CopySign {
  static T apply(T a, T b) { return std::copysign(b, a); }
};

enum class Property : std::uint8_t {
  kFinite,
  kInfinite,
  kNumber,
  kNotANumber,
  kNormal,
  kSubnormal,
};

template <class T>
void run_test_property(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  const T* a = warp.lanes<T>(instruction.a);
  LaneMask& d = warp.predicate(instruction.d);
  const LaneMask result = mask_where(lanes, [&](unsigned lane) {
    switch (static_cast<Property>(instruction.option)) {
      case Property::kFinite:
        return std::isfinite(a[lane]);
      case Property::kInfinite:
        return std::isinf(a[lane]);
      case Property::kNumber:
        return !std::isnan(a[lane]);
      case Property::kNotANumber:
        return std::isnan(a[lane]);
      case Property::kNormal:
        return std::isnormal(a[lane]);
      case Property::kSubnormal:
        return std::fpclassify(a[lane]) == FP_SUBNORMAL || a[lane] == 0;
    }
    return false;
  });
  d = (d & ~lanes) | result;
}

constexpr std::pair<std::string_view, Rounding> kRoundings[] = {{"rn", Rounding::kNearest},
                                                                {"rz", Rounding::kZero},
                                                                {"rm", Rounding::kDown},
                                                                {"rp", Rounding::kUp}};

struct FloatOperation {
  std::string_view opcode;
  std::size_t operands;
  std::uint8_t flops;
  Handler (*handler)(Type type, bool ftz, bool sat, bool rounded);
};

constexpr std::array kExactOperations = {
    FloatOperation{"add", 2, 1, float_handler<Add, 2>},
    FloatOperation{"sub", 2, 1, float_handler<Subtract, 2>},
    FloatOperation{"mul", 2, 1, float_handler<Multiply, 2>},
    FloatOperation{"div", 2, 1, float_handler<Divide, 2>},
    FloatOperation{"fma", 3, 2, float_handler<FusedMultiplyAdd, 3>},
    FloatOperation{"mad", 3, 2, float_handler<FusedMultiplyAdd, 3>},
    FloatOperation{"sqrt", 1, 0, float_handler<SquareRoot, 1>},
    FloatOperation{"rcp", 1, 0, float_handler<Reciprocal, 1>},
    FloatOperation{"rsqrt", 1, 0, float_handler<ReciprocalRoot, 1>},
};

void read_operands(Decoder& decoder, Type type, Instruction& instruction, std::size_t count) {
  decoder.expect_operands(count + 1);
  instruction.type = type;
  instruction.d = decoder.write(0, type);
  instruction.a = decoder.read(1, type);
  if (count > 1) {
    instruction.b = decoder.read(2, type);
  }
  if (count > 2) {
    instruction.c = decoder.read(3, type);
  }
}

void decode_exact(Decoder& decoder, Type type, const FloatOperation& operation) {
  Instruction instruction;
  const auto rounding = decoder.take_one_of(kRoundings);
  decoder.ignore({"approx", "full"});
  const bool ftz = decoder.take("ftz");
  const bool sat = decoder.take("sat");
  if (type == Type::kF64 && (ftz || sat) && operation.operands > 1) {
    decoder.refuse("fp64 has neither .ftz nor .sat");
  }
  instruction.option = static_cast<std::uint8_t>(rounding.value_or(Rounding::kNearest));
  instruction.run = operation.handler(type, ftz, sat, instruction.option != 0);
  const bool special =
      operation.opcode == "sqrt" || operation.opcode == "rcp" || operation.opcode == "rsqrt";
  instruction.category = special ? InstructionClass::kSpecial : InstructionClass::kFloat;
  instruction.flops = operation.flops;
  read_operands(decoder, type, instruction, operation.operands);
  decoder.emit(instruction);
}

void decode_extremum(Decoder& decoder, Type type) {
  const bool maximum = decoder.opcode() == "max";
  const bool ftz = decoder.take("ftz");
  const bool propagates_nan = decoder.take("NaN");
  Instruction instruction;
  instruction.category = InstructionClass::kFloat;
  instruction.run = maximum ? extremum_handler<true>(type, propagates_nan, ftz)
                            : extremum_handler<false>(type, propagates_nan, ftz);
  read_operands(decoder, type, instruction, 2);
  decoder.emit(instruction);
}

template <template <class, bool> class F>
Handler sign_handler(Type type, bool ftz) {
  if (type == Type::kF64) {
    return run_unary<F<double, false>, double, double>;
  }
  return ftz ? run_unary<F<float, true>, float, float> : run_unary<F<float, false>, float, float>;
}

void decode_special(Decoder& decoder) {
  static constexpr std::pair<std::string_view, Handler (*)(Type, bool, bool, bool)> kOperations[] =
      {{"ex2", [](Type, bool ftz, bool,
                  bool) { return float_handler<Exponential2, float, 1>(ftz, false, false); }},
       {"lg2", [](Type, bool ftz, bool,
                  bool) { return float_handler<Logarithm2, float, 1>(ftz, false, false); }},
       {"sin", [](Type, bool ftz, bool,
                  bool) { return float_handler<Sine, float, 1>(ftz, false, false); }},
       {"cos", [](Type, bool ftz, bool,
                  bool) { return float_handler<Cosine, float, 1>(ftz, false, false); }},
       {"tanh", [](Type, bool ftz, bool, bool) {
          return float_handler<HyperbolicTangent, float, 1>(ftz, false, false);
        }}};
  const Type type = decoder.take_type();
  if (is_half(type)) {
    decode_half_arithmetic(decoder, type);
    return;
  }
  if (type != Type::kF32) {
    decoder.refuse("unsupported type");
  }
  decoder.ignore({"approx"});
  Instruction instruction;
  instruction.category = InstructionClass::kSpecial;
  for (const auto& [name, handler] : kOperations) {
    if (name == decoder.opcode()) {
      instruction.run = handler(type, decoder.take("ftz"), false, false);
    }
  }
  read_operands(decoder, type, instruction, 1);
  decoder.emit(instruction);
}

void decode_float(Decoder& decoder) {
  const Type type = decoder.take_type();
  if (is_half(type)) {
    decode_half_arithmetic(decoder, type);
  } else if (is_float(type)) {
    decode_float_arithmetic(decoder, type);
  } else {
    decoder.refuse("unsupported type");
  }
}

void decode_copysign(Decoder& decoder) {
  const Type type = decoder.take_type();
  if (!is_float(type)) {
    decoder.refuse("unsupported type");
  }
  Instruction instruction;
  instruction.category = InstructionClass::kFloat;
  instruction.run = type == Type::kF64 ? run_binary<CopySign<double>, double, double, double>
                                       : run_binary<CopySign<float>, float, float, float>;
  read_operands(decoder, type, instruction, 2);
  decoder.emit(instruction);
}

void decode_test_property(Decoder& decoder) {
  static constexpr std::pair<std::string_view, Property> kProperties[] = {
      {"finite", Property::kFinite}, {"infinite", Property::kInfinite},
      {"number", Property::kNumber}, {"notanumber", Property::kNotANumber},
      {"normal", Property::kNormal}, {"subnormal", Property::kSubnormal}};
  const auto property = decoder.take_one_of(kProperties);
  const Type type = decoder.take_type();
  if (!property || !is_float(type)) {
    decoder.refuse("unsupported property or type");
  }
  decoder.expect_operands(2);
  Instruction instruction;
  instruction.category = InstructionClass::kFloat;
  instruction.option = static_cast<std::uint8_t>(*property);
  instruction.run = type == Type::kF64 ? run_test_property<double> : run_test_property<float>;
  instruction.d = decoder.write(0, Type::kPred);
  instruction.a = decoder.read(1, type);
  decoder.emit(instruction);
}

}  // namespace

void decode_float_arithmetic(Decoder& decoder, Type type) {
  for (const FloatOperation& operation : kExactOperations) {
    if (operation.opcode == decoder.opcode()) {
      decode_exact(decoder, type, operation);
      return;
    }
  }
  if (decoder.opcode() == "min" || decoder.opcode() == "max") {
    decode_extremum(decoder, type);
    return;
  }
  if (decoder.opcode() == "neg" || decoder.opcode() == "abs") {
    const bool ftz = decoder.take("ftz");
    Instruction instruction;
    instruction.category = InstructionClass::kFloat;
    instruction.run = decoder.opcode() == "neg" ? sign_handler<Negate>(type, ftz)
                                                : sign_handler<Absolute>(type, ftz);
    read_operands(decoder, type, instruction, 1);
    decoder.emit(instruction);
    return;
  }
  decoder.refuse("unsupported type");
}

void add_float_instructions(DecodeTable& table) {
  for (const std::string_view name : {"fma", "sqrt", "rcp", "rsqrt"}) {
    table[name] = decode_float;
  }
  for (const std::string_view name : {"ex2", "lg2", "sin", "cos", "tanh"}) {
    table[name] = decode_special;
  }
  table["copysign"] = decode_copysign;
  table["testp"] = decode_test_property;
}

}  // namespace kvsieve::ptx
