// Shuffles, votes, matches and reductions of a warp.

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "exec/ptx/block.h"
#include "exec/ptx/decode.h"
#include "exec/ptx/warp.h"

namespace kvsieve::ptx {
namespace {

enum class Shuffle : std::uint8_t { kUp, kDown, kButterfly, kIndex };

/// The lane that `lane` takes its value from; itself if that lies outside its segment, which the
/// highest bit tells.
template <Shuffle mode>
std::uint32_t shuffle_source(std::uint32_t lane, std::uint32_t b, std::uint32_t c) {
  constexpr std::uint32_t kOutside = 0x80000000U;
  const std::uint32_t amount = b & 0x1fU;
  const std::uint32_t segment = c >> 8U & 0x1fU;
  const std::uint32_t last = (lane & segment) | (c & 0x1fU & ~segment);
  switch (mode) {
    case Shuffle::kUp:
      return static_cast<std::int32_t>(lane - amount) >= static_cast<std::int32_t>(last)
                 ? lane - amount
                 : lane | kOutside;
    case Shuffle::kDown:
      return lane + amount <= last ? lane + amount : lane | kOutside;
    case Shuffle::kButterfly:
      return (lane ^ amount) <= last ? lane ^ amount : lane | kOutside;
    case Shuffle::kIndex: {
      const std::uint32_t from = (lane & segment) | (amount & ~segment);
      return from <= last ? from : lane | kOutside;
    }
  }
  return lane;
}

template <Shuffle mode>
void run_shuffle(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  std::uint32_t source[kLanes];
  std::memcpy(source, warp.lanes<std::uint32_t>(instruction.a), sizeof(source));
  const auto* b = warp.lanes<std::uint32_t>(instruction.b);
  const auto* c = warp.lanes<std::uint32_t>(instruction.c);
  std::uint32_t from[kLanes];
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    from[lane] = shuffle_source<mode>(lane, b[lane], c[lane]);
  }
  if (lanes != kAllLanes) {
    for (LaneMask rest = lanes; rest != 0; rest &= rest - 1) {
      const unsigned lane = lowest(rest);
      if ((lanes >> (from[lane] & 31U) & 1U) == 0) {
        warp.block->fail(warp, instruction, lane,
                         fmt::format("shuffle from lane {}, which is not in the mask {:08x}",
                                     from[lane] & 31U, lanes));
      }
    }
  }
  auto* d = warp.lanes<std::uint32_t>(instruction.d);
  for_lanes(lanes, [&source, &from, d](unsigned lane) { d[lane] = source[from[lane] & 31U]; });
  const Operand predicate = *warp.list(instruction);
  if (predicate != kNoOperand) {
    const LaneMask inside =
        mask_where(lanes, [&from](unsigned lane) { return from[lane] < kLanes; });
    LaneMask& p = warp.predicate(predicate);
    p = (p & ~lanes) | inside;
  }
}

/// A result of 32 bits with or without a predicate, which goes to the list.
void write_result(Decoder& decoder, Instruction& instruction) {
  const OperandText& result = decoder.operand(0);
  Operand predicate = kNoOperand;
  if (result.kind == OperandText::Kind::kPair) {
    instruction.d = decoder.write(result.parts[0], Type::kB32);
    predicate = decoder.write_predicate(result.parts[1]);
  } else {
    instruction.d = decoder.write(result, Type::kB32);
  }
  instruction.list = decoder.builder().add_list({predicate});
}

void decode_shuffle(Decoder& decoder) {
  static constexpr std::pair<std::string_view, Handler> kModes[] = {
      {"up", run_shuffle<Shuffle::kUp>},
      {"down", run_shuffle<Shuffle::kDown>},
      {"bfly", run_shuffle<Shuffle::kButterfly>},
      {"idx", run_shuffle<Shuffle::kIndex>}};
  if (!decoder.take("sync")) {
    decoder.refuse("only .sync is supported");
  }
  const auto mode = decoder.take_one_of(kModes);
  if (!mode || decoder.take_type() != Type::kB32) {
    decoder.refuse("unsupported mode or type");
  }
  decoder.expect_operands(5);
  Instruction instruction;
  instruction.flow = Flow::kWarpSync;
  instruction.category = InstructionClass::kWarp;
  instruction.run = *mode;
  write_result(decoder, instruction);
  instruction.a = decoder.read(1, Type::kB32);
  instruction.b = decoder.read(2, Type::kB32);
  instruction.c = decoder.read(3, Type::kB32);
  instruction.members = decoder.read(4, Type::kB32);
  decoder.emit(instruction);
}

enum class Vote : std::uint8_t { kAll, kAny, kUniform, kBallot };

void run_vote(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  const LaneMask raw = warp.predicate(instruction.a);
  const LaneMask value = (instruction.count != 0 ? ~raw : raw) & lanes;
  const auto vote = static_cast<Vote>(instruction.option);
  if (vote == Vote::kBallot) {
    auto* d = warp.lanes<std::uint32_t>(instruction.d);
    for_lanes(lanes, [=](unsigned lane) { d[lane] = value; });
    return;
  }
  const bool result = vote == Vote::kAll   ? value == lanes
                      : vote == Vote::kAny ? value != 0
                                           : value == lanes || value == 0;
  LaneMask& d = warp.predicate(instruction.d);
  d = (d & ~lanes) | (result ? lanes : 0);
}

void decode_vote(Decoder& decoder) {
  static constexpr std::pair<std::string_view, Vote> kVotes[] = {
      {"all", Vote::kAll}, {"any", Vote::kAny}, {"uni", Vote::kUniform}, {"ballot", Vote::kBallot}};
  if (!decoder.take("sync")) {
    decoder.refuse("only .sync is supported");
  }
  const auto vote = decoder.take_one_of(kVotes);
  const Type type = decoder.take_type();
  if (!vote || type != (*vote == Vote::kBallot ? Type::kB32 : Type::kPred)) {
    decoder.refuse("unsupported vote or type");
  }
  decoder.expect_operands(3);
  Instruction instruction;
  instruction.flow = Flow::kWarpSync;
  instruction.category = InstructionClass::kWarp;
  instruction.run = run_vote;
  instruction.option = static_cast<std::uint8_t>(*vote);
  instruction.d = decoder.write(0, type);
  instruction.a = decoder.read_predicate(decoder.operand(1));
  instruction.count = decoder.operand(1).negated ? 1 : 0;
  instruction.members = decoder.read(2, Type::kB32);
  decoder.emit(instruction);
}

/// Lanes that hold the same value; .all gives them only if they are all lanes.
template <class T, bool all>
void run_match(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  T values[kLanes];
  std::memcpy(values, warp.lanes<T>(instruction.a), sizeof(values));
  auto* d = warp.lanes<std::uint32_t>(instruction.d);
  LaneMask matching = 0;
  for (LaneMask rest = lanes; rest != 0; rest &= rest - 1) {
    const unsigned lane = lowest(rest);
    LaneMask same = 0;
    for (LaneMask others = lanes; others != 0; others &= others - 1) {
      const unsigned other = lowest(others);
      same |= values[other] == values[lane] ? LaneMask{1} << other : 0;
    }
    d[lane] = !all || same == lanes ? same : 0;
    matching |= same == lanes ? LaneMask{1} << lane : 0;
  }
  const Operand predicate = *warp.list(instruction);
  if (all && predicate != kNoOperand) {
    LaneMask& p = warp.predicate(predicate);
    p = (p & ~lanes) | matching;
  }
}

void decode_match(Decoder& decoder) {
  const bool all = decoder.take("all");
  if (!all && !decoder.take("any")) {
    decoder.refuse("expected .any or .all");
  }
  if (!decoder.take("sync")) {
    decoder.refuse("only .sync is supported");
  }
  const Type type = decoder.take_type();
  decoder.expect_operands(3);
  Instruction instruction;
  instruction.flow = Flow::kWarpSync;
  instruction.category = InstructionClass::kWarp;
  if (type == Type::kB32) {
    instruction.run = all ? run_match<std::uint32_t, true> : run_match<std::uint32_t, false>;
  } else if (type == Type::kB64) {
    instruction.run = all ? run_match<std::uint64_t, true> : run_match<std::uint64_t, false>;
  } else {
    decoder.refuse("unsupported type");
  }
  write_result(decoder, instruction);
  instruction.a = decoder.read(1, type);
  instruction.members = decoder.read(2, Type::kB32);
  decoder.emit(instruction);
}

struct Sum {
  template <class T>
  static T apply(T a, T b) {
    return static_cast<T>(static_cast<std::uint32_t>(a) + static_cast<std::uint32_t>(b));
  }
};
struct Minimum {
  template <class T>
  static T apply(T a, T b) {
    return std::min(a, b);
  }
};
struct Maximum {
  template <class T>
  static T apply(T a, T b) {
    return std::max(a, b);
  }
};
struct And {
  static std::uint32_t apply(std::uint32_t a, std::uint32_t b) { return a & b; }
};
struct Or {
  static std::uint32_t apply(std::uint32_t a, std::uint32_t b) { return a | b; }
};
struct ExclusiveOr {
  static std::uint32_t apply(std::uint32_t a, std::uint32_t b) { return a ^ b; }
};

template <class F, class T>
void run_reduce(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  const T* a = warp.lanes<T>(instruction.a);
  T* d = warp.lanes<T>(instruction.d);
  T result = a[lowest(lanes)];
  for (LaneMask rest = lanes & (lanes - 1); rest != 0; rest &= rest - 1) {
    result = F::apply(result, a[lowest(rest)]);
  }
  for_lanes(lanes, [=](unsigned lane) { d[lane] = result; });
}

template <class F>
Handler number_handler(Type type) {
  return type == Type::kU32   ? run_reduce<F, std::uint32_t>
         : type == Type::kS32 ? run_reduce<F, std::int32_t>
                              : nullptr;
}
template <class F>
Handler bits_handler(Type type) {
  return type == Type::kB32 ? run_reduce<F, std::uint32_t> : nullptr;
}

void decode_reduce(Decoder& decoder) {
  static constexpr std::pair<std::string_view, Handler (*)(Type)> kOperations[] = {
      {"add", number_handler<Sum>},     {"min", number_handler<Minimum>},
      {"max", number_handler<Maximum>}, {"and", bits_handler<And>},
      {"or", bits_handler<Or>},         {"xor", bits_handler<ExclusiveOr>}};
  if (!decoder.take("sync")) {
    decoder.refuse("only .sync is supported");
  }
  const auto operation = decoder.take_one_of(kOperations);
  const Type type = decoder.take_type();
  Instruction instruction;
  instruction.flow = Flow::kWarpSync;
  instruction.category = InstructionClass::kWarp;
  instruction.run = operation ? (*operation)(type) : nullptr;
  if (instruction.run == nullptr) {
    decoder.refuse("unsupported operation or type");
  }
  decoder.expect_operands(3);
  instruction.d = decoder.write(0, type);
  instruction.a = decoder.read(1, type);
  instruction.members = decoder.read(2, Type::kB32);
  decoder.emit(instruction);
}

void run_active_mask(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  auto* d = warp.lanes<std::uint32_t>(instruction.d);
  for_lanes(lanes, [=](unsigned lane) { d[lane] = lanes; });
}

void decode_active_mask(Decoder& decoder) {
  if (decoder.take_type() != Type::kB32) {
    decoder.refuse("unsupported type");
  }
  decoder.expect_operands(1);
  Instruction instruction;
  instruction.category = InstructionClass::kWarp;
  instruction.run = run_active_mask;
  instruction.d = decoder.write(0, Type::kB32);
  decoder.emit(instruction);
}

/// The lowest lane is chosen, and says so by a predicate.
void run_elect(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  const auto leader = static_cast<std::uint32_t>(std::countr_zero(lanes));
  if (instruction.d != kNoOperand) {
    auto* d = warp.lanes<std::uint32_t>(instruction.d);
    for_lanes(lanes, [=](unsigned lane) { d[lane] = leader; });
  }
  const Operand predicate = *warp.list(instruction);
  if (predicate != kNoOperand) {
    LaneMask& p = warp.predicate(predicate);
    p = (p & ~lanes) | LaneMask{1} << leader;
  }
}

void decode_elect(Decoder& decoder) {
  if (!decoder.take("sync")) {
    decoder.refuse("only .sync is supported");
  }
  decoder.expect_operands(2);
  const OperandText& result = decoder.operand(0);
  if (result.kind != OperandText::Kind::kPair) {
    decoder.refuse("expected a lane and a predicate");
  }
  Instruction instruction;
  instruction.flow = Flow::kWarpSync;
  instruction.category = InstructionClass::kWarp;
  instruction.run = run_elect;
  instruction.d = result.parts[0].kind == OperandText::Kind::kSink
                      ? kNoOperand
                      : decoder.write(result.parts[0], Type::kB32);
  instruction.list = decoder.builder().add_list({decoder.write_predicate(result.parts[1])});
  instruction.members = decoder.read(1, Type::kB32);
  decoder.emit(instruction);
}

}  // namespace

void add_warp_operations(DecodeTable& table) {
  table["shfl"] = decode_shuffle;
  table["vote"] = decode_vote;
  table["match"] = decode_match;
  table["redux"] = decode_reduce;
  table["activemask"] = decode_active_mask;
  table["elect"] = decode_elect;
}

}  // namespace kvsieve::ptx
