// cp.async: copies from global to shared memory that arrive when they are waited for, not earlier.

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "exec/ptx/access.h"
#include "exec/ptx/decode.h"
#include "exec/ptx/requests.h"
#include "exec/ptx/warp.h"

namespace kvsieve::ptx {
namespace {

void run_copy(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  Block& block = *warp.block;
  Counters& counters = block.counted(warp);
  const unsigned bytes = instruction.count;
  const Request target = make_request(warp, instruction, lanes, bytes);
  Instruction from = instruction;
  from.a = instruction.b;
  from.a_width = 8;
  from.offset = static_cast<std::int32_t>(instruction.target);
  Request source = make_request(warp, from, lanes, bytes);
  // What lanes read less than the whole of is read in one piece less.
  std::array<std::uint8_t, kLanes> source_bytes;
  source_bytes.fill(static_cast<std::uint8_t>(bytes));
  if (instruction.c != kNoOperand) {
    const auto* sizes = warp.lanes<std::uint32_t>(instruction.c);
    for (LaneMask rest = lanes; rest != 0; rest &= rest - 1) {
      const unsigned lane = lowest(rest);
      if (sizes[lane] > bytes) {
        block.fail(warp, instruction, lane,
                   fmt::format("cp.async reads {} of {} bytes", sizes[lane], bytes));
      }
      source_bytes[lane] = static_cast<std::uint8_t>(sizes[lane]);
    }
  }
  // Requests of equal size: whole ones, and one for each smaller size.
  ++counters.async_copies;
  for (LaneMask rest = lanes; rest != 0;) {
    const std::uint8_t size = source_bytes[lowest(rest)];
    LaneMask same = 0;
    for (LaneMask others = rest; others != 0; others &= others - 1) {
      const unsigned lane = lowest(others);
      same |= source_bytes[lane] == size ? LaneMask{1} << lane : 0;
    }
    rest &= ~same;
    if (size == 0) {
      continue;
    }
    source.lanes = same;
    if (std::has_single_bit(unsigned{size})) {
      source.bytes = size;
      const MemoryKind kind = pass_global(warp, instruction, source, AccessKind::kRead);
      count_global(counters, source, false, kind);
    } else {
      for (LaneMask one = same; one != 0; one &= one - 1) {
        const unsigned lane = lowest(one);
        Request piece = source;
        piece.lanes = LaneMask{1} << lane;
        piece.bytes = 1;
        for (unsigned i = 0; i < size; ++i) {
          piece.address[lane] = source.address[lane] + i;
          pass_global(warp, instruction, piece, AccessKind::kRead);
        }
      }
    }
  }
  pass_shared(warp, instruction, target, AccessKind::kWrite);
  count_shared(counters, target);
  for (LaneMask rest = lanes; rest != 0; rest &= rest - 1) {
    const unsigned lane = lowest(rest);
    block.shared_in_flight().set_aligned(target.address[lane], bytes);
    ++block.copies_in_flight();
    warp.copies.push_back({source.address[lane], static_cast<std::uint32_t>(target.address[lane]),
                           static_cast<std::uint8_t>(lane), static_cast<std::uint8_t>(bytes),
                           source_bytes[lane], warp.committed[lane]});
  }
}

void run_commit(Warp& warp, const Instruction&, LaneMask lanes) {
  for (LaneMask rest = lanes; rest != 0; rest &= rest - 1) {
    ++warp.committed[lowest(rest)];
  }
}

/// Delivers what the lanes committed before their last `option` groups, or all there is.
void run_wait(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  Block& block = *warp.block;
  const bool all = instruction.count == 0;
  const auto arrives = [&](const PendingCopy& copy) {
    if ((lanes >> copy.lane & 1U) == 0) {
      return false;
    }
    return all || copy.group + instruction.target < warp.committed[copy.lane];
  };
  Request written;
  for (const PendingCopy& copy : warp.copies) {
    if (!arrives(copy)) {
      continue;
    }
    block.shared_in_flight().clear(copy.target, copy.bytes);
    --block.copies_in_flight();
    // The thread's own write, as of now.
    written.lanes = LaneMask{1} << copy.lane;
    written.bytes = copy.bytes;
    written.address[copy.lane] = copy.target;
    pass_shared(warp, instruction, written, AccessKind::kWrite);
    std::byte* const target = block.shared_memory() + copy.target;
    std::memcpy(target, reinterpret_cast<const std::byte*>(copy.source), copy.source_bytes);
    std::memset(target + copy.source_bytes, 0, std::size_t{copy.bytes} - copy.source_bytes);
  }
  std::erase_if(warp.copies, arrives);
}

void decode_copy(Decoder& decoder) {
  Instruction instruction;
  const bool whole_lines = decoder.take("cg");
  if (!whole_lines && !decoder.take("ca")) {
    decoder.refuse("unsupported form of cp.async");
  }
  decoder.ignore({"shared", "shared::cta", "global"});
  while (decoder.take_if([](std::string_view name) {
    return name.starts_with("L2::") || name == "128B" || name == "256B" || name == "64B";
  })) {
  }
  instruction.category = InstructionClass::kMemory;
  decoder.expect_operands(3, 4);
  const OperandText& size = decoder.operand(2);
  if (size.kind != OperandText::Kind::kImmediate ||
      (size.bits != 16 && (whole_lines || (size.bits != 4 && size.bits != 8)))) {
    decoder.refuse("cp.async copies 4, 8 or 16 bytes, .cg 16");
  }
  decoder.address(decoder.operand(1), Space::kGlobal, instruction);
  if (instruction.a == kNoOperand || instruction.offset < INT32_MIN ||
      instruction.offset > INT32_MAX) {
    decoder.refuse("unsupported source address");
  }
  instruction.b = instruction.a;
  instruction.target = static_cast<std::uint32_t>(static_cast<std::int32_t>(instruction.offset));
  decoder.address(decoder.operand(0), Space::kShared, instruction);
  instruction.count = static_cast<std::uint8_t>(size.bits);
  if (decoder.operands() == 4) {
    instruction.c = decoder.read(3, Type::kU32);
  }
  instruction.run = run_copy;
  decoder.emit(instruction);
}

void decode_cp(Decoder& decoder) {
  if (!decoder.take("async")) {
    decoder.refuse("unsupported instruction");
  }
  Instruction instruction;
  instruction.category = InstructionClass::kControl;
  if (decoder.take("commit_group")) {
    decoder.expect_operands(0);
    instruction.run = run_commit;
    decoder.emit(instruction);
  } else if (decoder.take("wait_group")) {
    decoder.expect_operands(1);
    const OperandText& groups = decoder.operand(0);
    if (groups.kind != OperandText::Kind::kImmediate) {
      decoder.refuse("expected a number of groups");
    }
    instruction.run = run_wait;
    instruction.target = static_cast<std::uint32_t>(groups.bits);
    decoder.emit(instruction);
  } else if (decoder.take("wait_all")) {
    decoder.expect_operands(0);
    instruction.run = run_wait;
    instruction.count = 0;
    decoder.emit(instruction);
  } else {
    decode_copy(decoder);
  }
}

}  // namespace

void add_async_copies(DecodeTable& table) {
  table["cp"] = decode_cp;
}

}  // namespace kvsieve::ptx
