// cp.async: copies from global to shared memory that arrive when they are waited for, not earlier.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "exec/ptx/access.h"
#include "exec/ptx/decode.h"
#include "exec/ptx/requests.h"
#include "exec/ptx/warp.h"

namespace kvsieve::ptx {
namespace {

/// Passes the first `sizes` bytes of each lane's part of a request; returns the lanes whose memory
/// is pinned.
LaneMask pass_short_load(Warp& warp, const Instruction& instruction, const Request& request,
                         const std::array<std::uint8_t, kLanes>& sizes) {
  check_alignment(warp, instruction, request, "global");
  LaneMask pinned = 0;
  // In pieces of powers of two, the largest first, each of which is aligned where it begins.
  for (unsigned bytes = request.bytes; bytes > 0; bytes /= 2) {
    Request piece = request;
    piece.bytes = bytes;
    piece.in_sequence = false;
    piece.lanes = 0;
    for (LaneMask rest = request.lanes; rest != 0; rest &= rest - 1) {
      const unsigned lane = lowest(rest);
      if ((sizes[lane] & bytes) != 0) {
        piece.lanes |= LaneMask{1} << lane;
        piece.address[lane] += sizes[lane] & ~(2 * bytes - 1);
      }
    }
    if (piece.lanes != 0) {
      pinned |= pass_global(warp, instruction, piece, AccessKind::kRead);
    }
  }
  return pinned;
}

void run_copy(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  Block& block = *warp.block;
  Counters& counters = block.counted(warp);
  const unsigned bytes = instruction.count;
  const Request target = make_request(warp, instruction, lanes, bytes);
  Instruction from = instruction;
  from.space = Space::kGlobal;
  from.a = instruction.b;
  from.a_width = 8;
  from.offset = static_cast<std::int32_t>(instruction.target);
  const Request source = make_request(warp, from, lanes, bytes);
  std::array<std::uint8_t, kLanes> source_bytes;
  source_bytes.fill(static_cast<std::uint8_t>(bytes));
  bool whole = true;
  if (instruction.c != kNoOperand) {
    const auto* sizes = warp.lanes<std::uint32_t>(instruction.c);
    for (LaneMask rest = lanes; rest != 0; rest &= rest - 1) {
      const unsigned lane = lowest(rest);
      if (sizes[lane] > bytes) {
        block.fail(warp, instruction, lane,
                   fmt::format("cp.async reads {} of {} bytes", sizes[lane], bytes));
      }
      source_bytes[lane] = static_cast<std::uint8_t>(sizes[lane]);
      whole = whole && sizes[lane] == bytes;
    }
  }
  ++counters.async_copies;
  if (whole) {
    count_global(counters, source, false, pass_global(warp, from, source, AccessKind::kRead));
  } else {
    count_short_load(counters, source, source_bytes,
                     pass_short_load(warp, from, source, source_bytes));
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
