// The tensor core: mma m16n8k16 on fp16 and bf16, and loading its fragments with ldmatrix.

#include <bit>
#include <cstring>

#include "exec/ptx/access.h"
#include "exec/ptx/decode.h"
#include "exec/ptx/half.h"
#include "exec/ptx/requests.h"
#include "exec/ptx/warp.h"

namespace kvsieve::ptx {
namespace {

constexpr unsigned kM = 16;
constexpr unsigned kN = 8;
constexpr unsigned kK = 16;

float half_element(std::uint32_t word, unsigned index) {
  return half_to_float(static_cast<std::uint16_t>(word >> (16 * index)));
}
float bf16_element(std::uint32_t word, unsigned index) {
  return bf16_to_float(static_cast<std::uint16_t>(word >> (16 * index)));
}

// Fragments of a lane, with r = lane / 4 and c = lane % 4 * 2, as in exec/device/warp_mma.cuh:
// A (r, c..c+1), (r+8, c..c+1), (r, c+8..c+9), (r+8, c+8..c+9); B (c..c+1, r), (c+8..c+9, r);
// C (r, c), (r, c+1), (r+8, c), (r+8, c+1). Operands: 4 or 2 of D, 4 of A, 2 of B, 4 or 2 of C.

template <float (*element)(std::uint32_t, unsigned), bool half_sums>
void run_mma(Warp& warp, const Instruction& instruction, LaneMask) {
  constexpr unsigned kSums = half_sums ? 2 : 4;
  const Operand* operands = warp.list(instruction);
  float a[kM][kK];
  float b[kN][kK];
  for (unsigned part = 0; part < 4; ++part) {
    const auto* words = warp.lanes<std::uint32_t>(operands[kSums + part]);
    for (unsigned lane = 0; lane < kLanes; ++lane) {
      for (unsigned i = 0; i < 2; ++i) {
        a[lane / 4 + part % 2 * 8][lane % 4 * 2 + part / 2 * 8 + i] = element(words[lane], i);
      }
    }
  }
  for (unsigned part = 0; part < 2; ++part) {
    const auto* words = warp.lanes<std::uint32_t>(operands[kSums + 4 + part]);
    for (unsigned lane = 0; lane < kLanes; ++lane) {
      for (unsigned i = 0; i < 2; ++i) {
        b[lane / 4][lane % 4 * 2 + part * 8 + i] = element(words[lane], i);
      }
    }
  }
  const auto product = [&](float sum, unsigned row, unsigned column) {
    // Products of two are exact, and their sum is rounded product by product.
    for (unsigned k = 0; k < kK; ++k) {
      sum += a[row][k] * b[column][k];
    }
    return sum;
  };
  // D may have the registers of C in another order.
  std::uint32_t results[kSums][kLanes];
  for (unsigned part = 0; part < kSums; ++part) {
    const Operand from = operands[kSums + 6 + part];
    for (unsigned lane = 0; lane < kLanes; ++lane) {
      const unsigned column = lane % 4 * 2;
      if constexpr (half_sums) {
        const unsigned row = lane / 4 + part * 8;
        const std::uint32_t old = warp.lanes<std::uint32_t>(from)[lane];
        const std::uint32_t low = to_half(double{product(half_element(old, 0), row, column)});
        const std::uint32_t high = to_half(double{product(half_element(old, 1), row, column + 1)});
        results[part][lane] = high << 16U | low;
      } else {
        const unsigned row = lane / 4 + part / 2 * 8;
        results[part][lane] = std::bit_cast<std::uint32_t>(
            product(warp.lanes<float>(from)[lane], row, column + part % 2));
      }
    }
  }
  for (unsigned part = 0; part < kSums; ++part) {
    std::memcpy(warp.lanes<std::uint32_t>(operands[part]), results[part], sizeof(results[part]));
  }
}

void decode_mma(Decoder& decoder) {
  for (const std::string_view modifier : {"sync", "aligned", "m16n8k16", "row", "col"}) {
    if (!decoder.take(modifier)) {
      decoder.refuse("only mma.sync.aligned.m16n8k16.row.col is supported");
    }
  }
  const Type sum = decoder.take_type();
  const Type a = decoder.take_type();
  const Type b = decoder.take_type();
  const Type c = decoder.take_type();
  const bool half_sums = sum == Type::kF16;
  if (a != b || sum != c || (a != Type::kF16 && a != Type::kBf16) ||
      (sum != Type::kF32 && (!half_sums || a != Type::kF16))) {
    decoder.refuse("unsupported types");
  }
  decoder.expect_operands(4);
  Instruction instruction;
  instruction.flow = Flow::kWarpSync;
  instruction.category = InstructionClass::kTensor;
  instruction.run = half_sums         ? run_mma<half_element, true>
                    : a == Type::kF16 ? run_mma<half_element, false>
                                      : run_mma<bf16_element, false>;
  const std::size_t sums = half_sums ? 2 : 4;
  const std::size_t counts[] = {sums, 4, 2, sums};
  std::vector<Operand> operands;
  for (std::size_t i = 0; i < 4; ++i) {
    const std::vector<OperandText> parts = Decoder::parts(decoder.operand(i));
    if (parts.size() != counts[i]) {
      decoder.refuse("unexpected number of registers");
    }
    const Type type = (i == 0 || i == 3) && !half_sums ? Type::kF32 : Type::kB32;
    for (const OperandText& part : parts) {
      operands.push_back(i == 0 ? decoder.write(part, type) : decoder.read(part, type));
    }
  }
  instruction.list = decoder.builder().add_list(operands);
  decoder.emit(instruction);
}

/// Lanes 8i to 8i + 7 name the rows of matrix i; lane l gets the elements 2 (l % 4) and the next of
/// row l / 4, or with `transposed` those of column l / 4.
template <bool transposed>
void run_ldmatrix(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  constexpr unsigned kRowBytes = 16;
  Block& block = *warp.block;
  const unsigned matrices = instruction.count;
  Request request = make_request(warp, instruction, lanes, kRowBytes);
  request.lanes = kAllLanes >> (kLanes - 8 * matrices);
  if (instruction.space == Space::kGeneric) {
    const SpaceRequests parts = split_generic(request);
    if (parts.shared.lanes != request.lanes) {
      block.fail(warp, instruction, lowest(request.lanes & ~parts.shared.lanes),
                 "ldmatrix of memory that is not shared");
    }
    request = parts.shared;
  }
  pass_shared(warp, instruction, request, AccessKind::kRead);
  count_shared(block.counted(warp), request);
  const Operand* results = warp.list(instruction);
  for (unsigned matrix = 0; matrix < matrices; ++matrix) {
    std::uint16_t elements[8][8];
    for (unsigned row = 0; row < 8; ++row) {
      std::memcpy(elements[row], block.shared_memory() + request.address[8 * matrix + row],
                  kRowBytes);
    }
    auto* d = warp.lanes<std::uint32_t>(results[matrix]);
    for (unsigned lane = 0; lane < kLanes; ++lane) {
      const unsigned row = lane / 4;
      const unsigned column = lane % 4 * 2;
      const std::uint32_t low = transposed ? elements[column][row] : elements[row][column];
      const std::uint32_t high = transposed ? elements[column + 1][row] : elements[row][column + 1];
      d[lane] = high << 16U | low;
    }
  }
}

void decode_ldmatrix(Decoder& decoder) {
  static constexpr std::pair<std::string_view, std::uint8_t> kCounts[] = {
      {"x1", 1}, {"x2", 2}, {"x4", 4}};
  for (const std::string_view modifier : {"sync", "aligned", "m8n8"}) {
    if (!decoder.take(modifier)) {
      decoder.refuse("only ldmatrix.sync.aligned.m8n8 is supported");
    }
  }
  const auto count = decoder.take_one_of(kCounts);
  const bool transposed = decoder.take("trans");
  const bool shared = decoder.take("shared") || decoder.take("shared::cta");
  if (!count || decoder.take_type() != Type::kB16) {
    decoder.refuse("unsupported shape or type");
  }
  decoder.expect_operands(2);
  Instruction instruction;
  instruction.flow = Flow::kWarpSync;
  instruction.category = InstructionClass::kMemory;
  instruction.run = transposed ? run_ldmatrix<true> : run_ldmatrix<false>;
  instruction.count = *count;
  decoder.address(decoder.operand(1), shared ? Space::kShared : Space::kGeneric, instruction);
  const std::vector<OperandText> parts = Decoder::parts(decoder.operand(0));
  if (parts.size() != *count) {
    decoder.refuse("unexpected number of registers");
  }
  std::vector<Operand> results;
  for (const OperandText& part : parts) {
    results.push_back(decoder.write(part, Type::kB32));
  }
  instruction.list = decoder.builder().add_list(results);
  decoder.emit(instruction);
}

}  // namespace

void add_matrix_instructions(DecodeTable& table) {
  table["mma"] = decode_mma;
  table["ldmatrix"] = decode_ldmatrix;
}

}  // namespace kvsieve::ptx
