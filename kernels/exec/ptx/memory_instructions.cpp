// ld and st in all spaces.

#include <bit>
#include <cstring>

#include "exec/ptx/access.h"
#include "exec/ptx/decode.h"
#include "exec/ptx/requests.h"
#include "exec/ptx/warp.h"

namespace kvsieve::ptx {
namespace {

/// Where the bytes of each lane are on the host.
using Pointers = std::array<std::byte*, kLanes>;

void pass_part(Warp& warp, const Instruction& instruction, const Request& request, Space space,
               AccessKind kind, Pointers& pointers) {
  Block& block = *warp.block;
  Counters& counters = block.counted(warp);
  switch (space) {
    case Space::kGlobal:
    case Space::kConst:
    case Space::kGeneric: {
      const LaneMask pinned = pass_global(warp, instruction, request, kind);
      // Constant memory has a cache of its own, and no sectors.
      if (space != Space::kConst) {
        count_global(counters, request, writes(kind), pinned);
      }
      for_lanes(request.lanes, [&](unsigned lane) {
        pointers[lane] = reinterpret_cast<std::byte*>(request.address[lane]);
      });
      break;
    }
    case Space::kShared:
      pass_shared(warp, instruction, request, kind);
      count_shared(counters, request);
      for_lanes(request.lanes, [&](unsigned lane) {
        pointers[lane] = block.shared_memory() + request.address[lane];
      });
      break;
    case Space::kLocal:
      pass_local(warp, instruction, request, kind);
      ++counters.local_requests;
      for_lanes(request.lanes, [&](unsigned lane) {
        pointers[lane] =
            block.local_memory() + block.local_begin(warp, lane) + request.address[lane];
      });
      break;
    case Space::kParam:
      pass_param(warp, instruction, request);
      for_lanes(request.lanes, [&](unsigned lane) {
        pointers[lane] = block.launch().parameters.data() + request.address[lane];
      });
      break;
  }
}

void pass(Warp& warp, const Instruction& instruction, LaneMask lanes, AccessKind kind,
          Pointers& pointers) {
  const unsigned bytes = size_of(instruction.type) * instruction.count;
  const Request request = make_request(warp, instruction, lanes, bytes);
  if (instruction.space != Space::kGeneric) {
    pass_part(warp, instruction, request, instruction.space, kind, pointers);
    return;
  }
  const SpaceRequests parts = split_generic(request);
  const auto pass_lanes = [&](const Request& part, Space space) {
    if (part.lanes != 0) {
      pass_part(warp, instruction, part, space, kind, pointers);
    }
  };
  pass_lanes(parts.global, Space::kGlobal);
  pass_lanes(parts.shared, Space::kShared);
  pass_lanes(parts.local, Space::kLocal);
  pass_lanes(parts.param, Space::kParam);
}

struct Wide {
  std::uint64_t words[2];
};

/// A parameter: the same for all lanes.
template <class Element, class Stored>
void load_parameter(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  const std::vector<std::byte>& parameters = warp.block->launch().parameters;
  const Operand* results = warp.list(instruction);
  for (unsigned i = 0; i < instruction.count; ++i) {
    if (results[i] != kNoOperand) {
      Element element;
      std::memcpy(
          &element,
          parameters.data() + static_cast<std::size_t>(instruction.offset) + i * sizeof(Element),
          sizeof(Element));
      Stored value;
      if constexpr (std::is_same_v<Element, Stored>) {
        value = element;
      } else {
        value = static_cast<Stored>(element);
      }
      auto* d = warp.lanes<Stored>(results[i]);
      for_lanes(lanes, [=](unsigned lane) { d[lane] = value; });
    }
  }
}

template <class Element, class Stored>
void run_load(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  if (instruction.space == Space::kParam && instruction.a == kNoOperand) {
    load_parameter<Element, Stored>(warp, instruction, lanes);
    return;
  }
  Pointers pointers;
  pass(warp, instruction, lanes, instruction.atomic ? AccessKind::kAtomicRead : AccessKind::kRead,
       pointers);
  const Operand* results = warp.list(instruction);
  for (unsigned i = 0; i < instruction.count; ++i) {
    if (results[i] == kNoOperand) {
      continue;
    }
    auto* d = warp.lanes<Stored>(results[i]);
    for_lanes(lanes, [&](unsigned lane) {
      Element element;
      std::memcpy(&element, pointers[lane] + i * sizeof(Element), sizeof(Element));
      if constexpr (std::is_same_v<Element, Stored>) {
        d[lane] = element;
      } else {
        d[lane] = static_cast<Stored>(element);
      }
    });
  }
}

template <class Element, class Stored>
void run_store(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  Pointers pointers;
  pass(warp, instruction, lanes, instruction.atomic ? AccessKind::kAtomicWrite : AccessKind::kWrite,
       pointers);
  const Operand* values = warp.list(instruction);
  for (unsigned i = 0; i < instruction.count; ++i) {
    const auto* a = warp.lanes<Stored>(values[i]);
    for_lanes(lanes, [&](unsigned lane) {
      // The lower part of a register that is wider.
      std::memcpy(pointers[lane] + i * sizeof(Element), &a[lane], sizeof(Element));
    });
  }
}

template <bool load, class Element, class Stored>
Handler handler_of() {
  if constexpr (load) {
    return run_load<Element, Stored>;
  } else {
    return run_store<Element, Stored>;
  }
}

template <bool load, class Element>
Handler handler_of(unsigned width) {
  using Signed = std::conditional_t<std::is_signed_v<Element>, std::int64_t, std::uint64_t>;
  switch (width) {
    case 1:
      if constexpr (sizeof(Element) == 1) {
        return handler_of<load, Element, Element>();
      }
      break;
    case 2:
      if constexpr (sizeof(Element) <= 2) {
        return handler_of<
            load, Element,
            std::conditional_t<std::is_signed_v<Element>, std::int16_t, std::uint16_t>>();
      }
      break;
    case 4:
      if constexpr (sizeof(Element) <= 4) {
        return handler_of<
            load, Element,
            std::conditional_t<std::is_signed_v<Element>, std::int32_t, std::uint32_t>>();
      }
      break;
    case 8:
      return handler_of<load, Element, Signed>();
    default:
      break;
  }
  return nullptr;
}

template <bool load>
Handler handler_of(Type type, unsigned width) {
  switch (size_of(type)) {
    case 1:
      return is_signed(type) ? handler_of<load, std::int8_t>(width)
                             : handler_of<load, std::uint8_t>(width);
    case 2:
      return is_signed(type) ? handler_of<load, std::int16_t>(width)
                             : handler_of<load, std::uint16_t>(width);
    case 4:
      return is_signed(type) ? handler_of<load, std::int32_t>(width)
                             : handler_of<load, std::uint32_t>(width);
    case 8:
      return handler_of<load, std::uint64_t>(width);
    case 16:
      return width == 16 ? handler_of<load, Wide, Wide>() : nullptr;
    default:
      return nullptr;
  }
}

template <bool load>
void decode_access(Decoder& decoder) {
  Instruction instruction;
  instruction.category = InstructionClass::kMemory;
  // What others may do meanwhile; scopes and caches change no result here.
  for (const std::string_view strong : {"volatile", "relaxed", "acquire", "release", "mmio"}) {
    instruction.atomic = decoder.take(strong) || instruction.atomic;
  }
  decoder.ignore({"weak", "cta", "cluster", "gpu", "sys", "nc"});
  Space space = Space::kGeneric;
  decoder.take_if([&space](std::string_view name) {
    const auto found = parse_space(name);
    space = found.value_or(space);
    return found.has_value();
  });
  decoder.ignore({"ca", "cg", "cs", "lu", "cv", "wb", "wt", "nc", "unified"});
  while (decoder.take_if(
      [](std::string_view name) { return name.starts_with("L1::") || name.starts_with("L2::"); })) {
  }
  static constexpr std::pair<std::string_view, std::uint8_t> kCounts[] = {
      {"v2", 2}, {"v4", 4}, {"v8", 8}};
  instruction.count = decoder.take_one_of(kCounts).value_or(1);
  const Type type = decoder.take_type();
  instruction.type = type;
  const std::size_t address_at = load ? 1 : 0;
  decoder.expect_operands(2, 2);
  decoder.address(decoder.operand(address_at), space, instruction);
  if (!load && (space == Space::kParam || space == Space::kConst)) {
    decoder.refuse("this space cannot be written");
  }
  if (space == Space::kParam && instruction.a == kNoOperand &&
      (instruction.offset < 0 || static_cast<std::size_t>(instruction.offset) +
                                         std::size_t{size_of(type)} * instruction.count >
                                     decoder.builder().function().parameter_bytes)) {
    decoder.refuse("beyond the parameters");
  }
  if (size_of(type) * instruction.count > 32) {
    decoder.refuse("a lane accesses at most 32 bytes");
  }
  const std::vector<OperandText> parts = Decoder::parts(decoder.operand(1 - address_at));
  if (parts.size() != instruction.count) {
    decoder.refuse("unexpected number of elements");
  }
  // Registers may be wider than what they hold, all alike; constants follow them.
  unsigned width = size_of(type);
  for (const OperandText& part : parts) {
    if (part.kind == OperandText::Kind::kName) {
      width = (load ? decoder.write_wide(part, type) : decoder.read_wide(part, type)).second;
      break;
    }
  }
  std::vector<Operand> operands;
  for (const OperandText& part : parts) {
    if (load && part.kind == OperandText::Kind::kSink) {
      operands.push_back(kNoOperand);
    } else if (!load && part.kind == OperandText::Kind::kImmediate) {
      operands.push_back(width == size_of(type) ? decoder.read(part, type)
                                                : decoder.builder().constant(part.bits, width));
    } else {
      const auto [operand, part_width] =
          load ? decoder.write_wide(part, type) : decoder.read_wide(part, type);
      if (part_width != width) {
        decoder.refuse("elements of different width");
      }
      operands.push_back(operand);
    }
  }
  instruction.run = handler_of<load>(type, width);
  if (instruction.run == nullptr) {
    decoder.refuse("unsupported type");
  }
  instruction.list = decoder.builder().add_list(operands);
  decoder.emit(instruction);
}

void decode_prefetch(Decoder& decoder) {
  // Changes nothing that a kernel could see.
  decoder.ignore({"global", "local", "L1", "L2"});
  decoder.expect_operands(1);
  Instruction instruction;
  instruction.category = InstructionClass::kMemory;
  instruction.run = [](Warp&, const Instruction&, LaneMask) {};
  decoder.emit(instruction);
}

}  // namespace

void add_memory_instructions(DecodeTable& table) {
  table["ld"] = decode_access<true>;
  table["ldu"] = decode_access<true>;
  table["st"] = decode_access<false>;
  table["prefetch"] = decode_prefetch;
}

}  // namespace kvsieve::ptx
