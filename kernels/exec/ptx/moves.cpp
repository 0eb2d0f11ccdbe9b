// mov in all its forms, and addresses between spaces: cvta, isspacep.

#include <cstring>

#include "exec/ptx/decode.h"
#include "exec/ptx/warp.h"

namespace kvsieve::ptx {
namespace {

template <class T>
void run_move(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  T* d = warp.lanes<T>(instruction.d);
  const T* a = warp.lanes<T>(instruction.a);
  if (lanes == kAllLanes) {
    std::memmove(d, a, sizeof(T) * kLanes);
    return;
  }
  for_lanes(lanes, [=](unsigned lane) { d[lane] = a[lane]; });
}

void run_move_predicate(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  LaneMask& d = warp.predicate(instruction.d);
  d = (d & ~lanes) | (warp.predicate(instruction.a) & lanes);
}

struct Wide {
  std::uint64_t words[2];
};

/// {parts} to one register of `Whole`.
template <class Whole, class Part>
void run_pack(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  constexpr unsigned kParts = sizeof(Whole) / sizeof(Part);
  auto* d = warp.lanes<std::byte>(instruction.d);
  const Operand* parts = warp.list(instruction);
  // A part may be the result itself.
  Whole packed[kLanes];
  for (unsigned part = 0; part < kParts; ++part) {
    const Part* values = warp.lanes<Part>(parts[part]);
    for_lanes(lanes, [&packed, values, part](unsigned lane) {
      std::memcpy(reinterpret_cast<std::byte*>(&packed[lane]) + part * sizeof(Part), &values[lane],
                  sizeof(Part));
    });
  }
  for_lanes(lanes, [&packed, d](unsigned lane) {
    std::memcpy(d + lane * sizeof(Whole), &packed[lane], sizeof(Whole));
  });
}

template <class Whole, class Part>
void run_unpack(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  constexpr unsigned kParts = sizeof(Whole) / sizeof(Part);
  Whole whole[kLanes];
  std::memcpy(whole, warp.lanes<std::byte>(instruction.a), sizeof(whole));
  const Operand* parts = warp.list(instruction);
  for (unsigned part = 0; part < kParts; ++part) {
    if (parts[part] == kNoOperand) {
      continue;
    }
    Part* values = warp.lanes<Part>(parts[part]);
    for_lanes(lanes, [&whole, values, part](unsigned lane) {
      std::memcpy(&values[lane],
                  reinterpret_cast<const std::byte*>(&whole[lane]) + part * sizeof(Part),
                  sizeof(Part));
    });
  }
}

struct PackHandlers {
  Handler pack;
  Handler unpack;
};

template <class Whole, class Part>
constexpr PackHandlers kPackHandlers{run_pack<Whole, Part>, run_unpack<Whole, Part>};

PackHandlers pack_handlers(unsigned whole, std::size_t parts) {
  switch (whole * 16 + static_cast<unsigned>(parts)) {
    case 2 * 16 + 2:
      return kPackHandlers<std::uint16_t, std::uint8_t>;
    case 4 * 16 + 2:
      return kPackHandlers<std::uint32_t, std::uint16_t>;
    case 4 * 16 + 4:
      return kPackHandlers<std::uint32_t, std::uint8_t>;
    case 8 * 16 + 2:
      return kPackHandlers<std::uint64_t, std::uint32_t>;
    case 8 * 16 + 4:
      return kPackHandlers<std::uint64_t, std::uint16_t>;
    case 16 * 16 + 2:
      return kPackHandlers<Wide, std::uint64_t>;
    case 16 * 16 + 4:
      return kPackHandlers<Wide, std::uint32_t>;
    default:
      return {nullptr, nullptr};
  }
}

Type bits_type(unsigned bytes) {
  switch (bytes) {
    case 1:
      return Type::kB8;
    case 2:
      return Type::kB16;
    case 4:
      return Type::kB32;
    default:
      return Type::kB64;
  }
}

void decode_mov(Decoder& decoder) {
  const Type type = decoder.take_type();
  decoder.expect_operands(2);
  const OperandText& result = decoder.operand(0);
  const OperandText& source = decoder.operand(1);
  Instruction instruction;
  const bool packs = source.kind == OperandText::Kind::kVector;
  const bool unpacks = result.kind == OperandText::Kind::kVector;
  if (packs || unpacks) {
    const std::vector<OperandText>& texts = packs ? source.parts : result.parts;
    const PackHandlers handlers = pack_handlers(size_of(type), texts.size());
    if (handlers.pack == nullptr || (packs && unpacks)) {
      decoder.refuse("unsupported vector");
    }
    const Type part_type = bits_type(size_of(type) / static_cast<unsigned>(texts.size()));
    std::vector<Operand> parts;
    for (const OperandText& text : texts) {
      if (unpacks && text.kind == OperandText::Kind::kSink) {
        parts.push_back(kNoOperand);
      } else {
        parts.push_back(packs ? decoder.read(text, part_type) : decoder.write(text, part_type));
      }
    }
    instruction.list = decoder.builder().add_list(parts);
    if (packs) {
      instruction.run = handlers.pack;
      instruction.d = decoder.write(result, type);
    } else {
      instruction.run = handlers.unpack;
      instruction.a = decoder.read(source, type);
    }
    decoder.emit(instruction);
    return;
  }
  switch (size_of(type)) {
    case 0:
      instruction.run = run_move_predicate;
      break;
    case 2:
      instruction.run = run_move<std::uint16_t>;
      break;
    case 4:
      instruction.run = run_move<std::uint32_t>;
      break;
    case 8:
      instruction.run = run_move<std::uint64_t>;
      break;
    case 16:
      instruction.run = run_move<Wide>;
      break;
    default:
      decoder.refuse("unsupported type");
  }
  instruction.d = decoder.write(result, type);
  instruction.a = decoder.read(source, type);
  decoder.emit(instruction);
}

std::uint64_t window_of(Space space) {
  switch (space) {
    case Space::kShared:
      return kSharedWindow;
    case Space::kLocal:
      return kLocalWindow;
    case Space::kParam:
      return kParamWindow;
    default:
      return 0;
  }
}

// Addresses of 32 bits are those of spaces with a window; the generic one has 64.

void run_to_generic(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  auto* d = warp.lanes<std::uint64_t>(instruction.d);
  const std::uint64_t window = window_of(instruction.space);
  const auto* a = warp.lanes<std::uint64_t>(instruction.a);
  for_lanes(lanes, [=](unsigned lane) { d[lane] = a[lane] + window; });
}

void run_from_generic(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  auto* d = warp.lanes<std::uint64_t>(instruction.d);
  const std::uint64_t window = window_of(instruction.space);
  const auto* a = warp.lanes<std::uint64_t>(instruction.a);
  for_lanes(lanes, [=](unsigned lane) { d[lane] = a[lane] - window; });
}

Space take_space(Decoder& decoder) {
  Space space = Space::kGeneric;
  decoder.take_if([&space](std::string_view name) {
    const auto found = parse_space(name);
    space = found.value_or(space);
    return found.has_value();
  });
  return space;
}

void decode_cvta(Decoder& decoder) {
  const bool from_generic = decoder.take("to");
  Instruction instruction;
  instruction.space = take_space(decoder);
  if (instruction.space == Space::kGeneric) {
    decoder.refuse("expected a space");
  }
  const Type type = decoder.take_type();
  if (type != Type::kU64 && type != Type::kB64) {
    decoder.refuse("unsupported type");
  }
  decoder.expect_operands(2);
  instruction.run = window_of(instruction.space) == 0 ? run_move<std::uint64_t>
                    : from_generic                    ? run_from_generic
                                                      : run_to_generic;
  instruction.d = decoder.write(0, type);
  instruction.a = decoder.read(1, type);
  decoder.emit(instruction);
}

void run_is_space(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  const auto* a = warp.lanes<std::uint64_t>(instruction.a);
  const Space space = instruction.space;
  const LaneMask result = mask_where(lanes, [=](unsigned lane) {
    const std::uint64_t window = a[lane] / kWindowBytes * kWindowBytes;
    const bool windowed =
        window == kSharedWindow || window == kLocalWindow || window == kParamWindow;
    return space == Space::kGlobal ? !windowed : window == window_of(space);
  });
  LaneMask& d = warp.predicate(instruction.d);
  d = (d & ~lanes) | result;
}

void decode_isspacep(Decoder& decoder) {
  Instruction instruction;
  instruction.space = take_space(decoder);
  if (instruction.space == Space::kGeneric || instruction.space == Space::kConst) {
    decoder.refuse("expected a space");
  }
  decoder.expect_operands(2);
  instruction.run = run_is_space;
  instruction.d = decoder.write(0, Type::kPred);
  instruction.a = decoder.read(1, Type::kU64);
  decoder.emit(instruction);
}

}  // namespace

void add_moves(DecodeTable& table) {
  table["mov"] = decode_mov;
  table["cvta"] = decode_cvta;
  table["isspacep"] = decode_isspacep;
}

}  // namespace kvsieve::ptx
