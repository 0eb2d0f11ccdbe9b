// fp16 and bf16, alone and in pairs. Every result is rounded once from the exact one.

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>

#include "exec/ptx/decode.h"
#include "exec/ptx/half.h"
#include "exec/ptx/warp.h"

namespace kvsieve::ptx {
namespace {

enum HalfOption : std::uint8_t { kFlush = 1, kSaturate = 2, kRelu = 4, kPropagateNan = 8 };

struct Half {
  static double read(std::uint16_t bits) { return half_to_float(bits); }
  static std::uint16_t write(double value) { return to_half(value); }
  static constexpr double kSmallestNormal = 0x1p-14;
};
struct Bf16 {
  static double read(std::uint16_t bits) { return bf16_to_float(bits); }
  static std::uint16_t write(double value) { return to_bf16(value); }
  static constexpr double kSmallestNormal = 0x1p-126;
};

/// The sum rounded to odd: rounding it again to a narrower format is as good as rounding once.
double add_to_odd(double a, double b) {
  const double sum = a + b;
  if (!std::isfinite(sum)) {
    return sum;
  }
  const double b_part = sum - a;
  const double error = (a - (sum - b_part)) + (b - b_part);
  auto bits = std::bit_cast<std::uint64_t>(sum);
  if (error != 0 && (bits & 1U) == 0) {
    // One bit towards the side where the exact sum lies.
    bits += (error > 0) == (sum > 0) ? 1 : std::uint64_t(-1);
  }
  return std::bit_cast<double>(bits);
}

// Products of two are exact in double precision; sums and quotients of two are not always, but far
// enough from it.
struct Add {
  static double apply(double a, double b, double) { return add_to_odd(a, b); }
};
struct Subtract {
  static double apply(double a, double b, double) { return add_to_odd(a, -b); }
};
struct Multiply {
  static double apply(double a, double b, double) { return a * b; }
};
struct FusedMultiplyAdd {
  static double apply(double a, double b, double c) { return add_to_odd(a * b, c); }
};
struct Negate {
  static double apply(double a, double, double) { return -a; }
};
struct Absolute {
  static double apply(double a, double, double) { return std::fabs(a); }
};
struct Exponential2 {
  static double apply(double a, double, double) { return std::exp2(a); }
};
struct HyperbolicTangent {
  static double apply(double a, double, double) { return std::tanh(a); }
};
template <bool maximum>
struct Extremum {
  static double apply(double a, double b, double) {
    if (std::isnan(a) || std::isnan(b)) {
      return std::isnan(a) ? b : a;
    }
    if (a == b) {
      return std::signbit(a) == maximum ? b : a;
    }
    return (a < b) == maximum ? b : a;
  }
};

template <class Format>
double flush(double value) {
  return std::fabs(value) < Format::kSmallestNormal ? std::copysign(0.0, value) : value;
}

template <class F, class Format>
std::uint16_t compute(std::uint16_t a, std::uint16_t b, std::uint16_t c, std::uint8_t option) {
  double values[3] = {Format::read(a), Format::read(b), Format::read(c)};
  if ((option & kFlush) != 0) {
    for (double& value : values) {
      value = flush<Format>(value);
    }
  }
  if ((option & kPropagateNan) != 0 && (std::isnan(values[0]) || std::isnan(values[1]))) {
    return kHalfNan;
  }
  double result = F::apply(values[0], values[1], values[2]);
  if ((option & kSaturate) != 0) {
    result = result > 0 ? std::fmin(result, 1.0) : 0.0;
  }
  if ((option & kRelu) != 0 && result <= 0) {
    result = 0.0;
  }
  const std::uint16_t rounded = Format::write(result);
  return (option & kFlush) != 0 ? Format::write(flush<Format>(Format::read(rounded))) : rounded;
}

template <class F, class Format>
struct Single {
  using Word = std::uint16_t;
  static Word apply(Word a, Word b, Word c, std::uint8_t option) {
    return compute<F, Format>(a, b, c, option);
  }
};
template <class F, class Format>
struct Pair {
  using Word = std::uint32_t;
  static Word apply(Word a, Word b, Word c, std::uint8_t option) {
    const auto half = [=](unsigned shift) {
      return std::uint32_t{compute<F, Format>(static_cast<std::uint16_t>(a >> shift),
                                              static_cast<std::uint16_t>(b >> shift),
                                              static_cast<std::uint16_t>(c >> shift), option)};
    };
    return half(16) << 16U | half(0);
  }
};

template <class F>
void run_half(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  using Word = typename F::Word;
  Word* d = warp.lanes<Word>(instruction.d);
  const Word* a = warp.lanes<Word>(instruction.a);
  const Word* b = warp.lanes<Word>(instruction.b);
  const Word* c = warp.lanes<Word>(instruction.c);
  const std::uint8_t option = instruction.option;
  for_lanes(lanes, [=](unsigned lane) { d[lane] = F::apply(a[lane], b[lane], c[lane], option); });
}

template <class F>
Handler half_handler(Type type) {
  switch (type) {
    case Type::kF16:
      return run_half<Single<F, Half>>;
    case Type::kF16x2:
      return run_half<Pair<F, Half>>;
    case Type::kBf16:
      return run_half<Single<F, Bf16>>;
    default:
      return run_half<Pair<F, Bf16>>;
  }
}

// Signs are changed in the bits, so that NaN keeps what it carries.
template <class Word, std::uint32_t flip, std::uint32_t keep>
struct SignBits {
  static Word apply(Word a) { return static_cast<Word>((a ^ flip) & keep); }
};

struct HalfOperation {
  std::string_view opcode;
  std::size_t operands;
  std::uint8_t flops;
  Handler (*handler)(Type type);
};

constexpr std::array kOperations = {
    HalfOperation{"add", 2, 1, half_handler<Add>},
    HalfOperation{"sub", 2, 1, half_handler<Subtract>},
    HalfOperation{"mul", 2, 1, half_handler<Multiply>},
    HalfOperation{"fma", 3, 2, half_handler<FusedMultiplyAdd>},
    HalfOperation{"min", 2, 0, half_handler<Extremum<false>>},
    HalfOperation{"max", 2, 0, half_handler<Extremum<true>>},
    HalfOperation{"neg", 1, 0, half_handler<Negate>},
    HalfOperation{"abs", 1, 0, half_handler<Absolute>},
    HalfOperation{"ex2", 1, 0, half_handler<Exponential2>},
    HalfOperation{"tanh", 1, 0, half_handler<HyperbolicTangent>},
};

Handler sign_handler(bool negates, bool pair) {
  if (negates) {
    return pair
               ? run_unary<SignBits<std::uint32_t, 0x80008000U, 0xffffffffU>, std::uint32_t,
                           std::uint32_t>
               : run_unary<SignBits<std::uint16_t, 0x8000U, 0xffffU>, std::uint16_t, std::uint16_t>;
  }
  return pair ? run_unary<SignBits<std::uint32_t, 0, 0x7fff7fffU>, std::uint32_t, std::uint32_t>
              : run_unary<SignBits<std::uint16_t, 0, 0x7fffU>, std::uint16_t, std::uint16_t>;
}

}  // namespace

void decode_half_arithmetic(Decoder& decoder, Type type) {
  const bool pair = type == Type::kF16x2 || type == Type::kBf16x2;
  for (const HalfOperation& operation : kOperations) {
    if (operation.opcode != decoder.opcode()) {
      continue;
    }
    Instruction instruction;
    instruction.category = operation.opcode == "ex2" || operation.opcode == "tanh"
                               ? InstructionClass::kSpecial
                               : InstructionClass::kHalf;
    instruction.flops = static_cast<std::uint8_t>(operation.flops * (pair ? 2 : 1));
    decoder.ignore({"rn", "approx"});
    instruction.option = static_cast<std::uint8_t>(
        (decoder.take("ftz") ? kFlush : 0) | (decoder.take("sat") ? kSaturate : 0) |
        (decoder.take("relu") ? kRelu : 0) | (decoder.take("NaN") ? kPropagateNan : 0));
    instruction.run = operation.handler(type);
    if ((operation.opcode == "neg" || operation.opcode == "abs") && instruction.option == 0) {
      instruction.run = sign_handler(operation.opcode == "neg", pair);
    }
    decoder.expect_operands(operation.operands + 1);
    instruction.d = decoder.write(0, type);
    instruction.a = decoder.read(1, type);
    instruction.b = operation.operands > 1 ? decoder.read(2, type) : instruction.a;
    instruction.c = operation.operands > 2 ? decoder.read(3, type) : instruction.a;
    decoder.emit(instruction);
    return;
  }
  decoder.refuse("unsupported type");
}

}  // namespace kvsieve::ptx
