// Branches, the end, barriers and fences.

#include "exec/ptx/decode.h"

namespace kvsieve::ptx {
namespace {

void decode_bra(Decoder& decoder) {
  decoder.ignore({"uni"});
  decoder.expect_operands(1);
  const OperandText& label = decoder.operand(0);
  if (label.kind != OperandText::Kind::kName || label.offset != 0) {
    decoder.refuse("expected a label");
  }
  Instruction instruction;
  instruction.flow = Flow::kBranch;
  instruction.category = InstructionClass::kControl;
  decoder.builder().use_label(label.name, decoder.line());
  decoder.emit(instruction);
}

template <Flow flow>
void decode_end(Decoder& decoder) {
  decoder.ignore({"uni"});
  decoder.expect_operands(0);
  Instruction instruction;
  instruction.flow = flow;
  instruction.category = InstructionClass::kControl;
  decoder.emit(instruction);
}

/// What orders memory between threads changes nothing where they take turns anyway.
void decode_fence(Decoder& decoder) {
  decoder.ignore({"gl", "cta", "sys", "gpu", "cluster", "sc", "acq_rel"});
  decoder.expect_operands(0);
  Instruction instruction;
  instruction.category = InstructionClass::kControl;
  instruction.run = [](Warp&, const Instruction&, LaneMask) {};
  decoder.emit(instruction);
}

void decode_nanosleep(Decoder& decoder) {
  decoder.take_type();
  decoder.expect_operands(1);
  Instruction instruction;
  instruction.category = InstructionClass::kControl;
  instruction.run = [](Warp&, const Instruction&, LaneMask) {};
  decoder.emit(instruction);
}

/// bar.warp.sync: lanes only meet.
void decode_warp_barrier(Decoder& decoder) {
  if (!decoder.take("sync")) {
    decoder.refuse("unsupported form");
  }
  decoder.expect_operands(1);
  Instruction instruction;
  instruction.flow = Flow::kWarpSync;
  instruction.category = InstructionClass::kControl;
  instruction.members = decoder.read(0, Type::kB32);
  decoder.emit(instruction);
}

void decode_barrier(Decoder& decoder) {
  static constexpr std::pair<std::string_view, BarrierVote> kVotes[] = {
      {"popc", BarrierVote::kCount}, {"and", BarrierVote::kAnd}, {"or", BarrierVote::kOr}};
  if (decoder.take("warp")) {
    decode_warp_barrier(decoder);
    return;
  }
  decoder.ignore({"cta", "aligned"});
  Instruction instruction;
  instruction.flow = Flow::kBarrier;
  instruction.category = InstructionClass::kControl;
  std::size_t next = 0;
  const auto read_numbers = [&](std::size_t end) {
    instruction.a = decoder.read(next++, Type::kB32);
    if (next < end) {
      instruction.b = decoder.read(next++, Type::kB32);
    }
  };
  if (decoder.take("sync")) {
    decoder.expect_operands(1, 2);
    read_numbers(decoder.operands());
  } else if (decoder.take("arrive")) {
    decoder.expect_operands(2);
    instruction.vote = BarrierVote::kArrive;
    read_numbers(2);
  } else if (decoder.take("red")) {
    const auto vote = decoder.take_one_of(kVotes);
    const Type type = decoder.take_type();
    if (!vote || type != (*vote == BarrierVote::kCount ? Type::kU32 : Type::kPred)) {
      decoder.refuse("unsupported reduction or type");
    }
    decoder.expect_operands(3, 4);
    instruction.vote = *vote;
    instruction.d = decoder.write(next++, type);
    const std::size_t last = decoder.operands() - 1;
    read_numbers(last);
    instruction.c = decoder.read_predicate(decoder.operand(last));
    instruction.option = decoder.operand(last).negated ? 1 : 0;
  } else {
    decoder.refuse("unsupported form");
  }
  decoder.emit(instruction);
}

}  // namespace

void add_control_instructions(DecodeTable& table) {
  table["bra"] = decode_bra;
  table["ret"] = decode_end<Flow::kExit>;
  table["exit"] = decode_end<Flow::kExit>;
  table["trap"] = decode_end<Flow::kTrap>;
  table["membar"] = decode_fence;
  table["fence"] = decode_fence;
  table["nanosleep"] = decode_nanosleep;
  table["bar"] = decode_barrier;
  table["barrier"] = decode_barrier;
}

}  // namespace kvsieve::ptx
