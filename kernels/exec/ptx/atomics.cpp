// atom and red. The lanes of a warp take turns, the lowest first.

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "exec/ptx/access.h"
#include "exec/ptx/decode.h"
#include "exec/ptx/half.h"
#include "exec/ptx/requests.h"
#include "exec/ptx/warp.h"

namespace kvsieve::ptx {
namespace {

// Each combines what memory holds with one or two operands.

struct Add {
  template <class T>
  static T apply(T old, T b, T) {
    return static_cast<T>(old + b);
  }
};
struct AddFloat {
  template <class T>
  static T apply(T old, T b, T) {
    using F = std::conditional_t<sizeof(T) == 4, float, double>;
    return std::bit_cast<T>(std::bit_cast<F>(old) + std::bit_cast<F>(b));
  }
};
struct AddHalf {
  static std::uint16_t apply(std::uint16_t old, std::uint16_t b, std::uint16_t) {
    return to_half(double{half_to_float(old)} + double{half_to_float(b)});
  }
};
struct AddBf16 {
  static std::uint16_t apply(std::uint16_t old, std::uint16_t b, std::uint16_t) {
    return to_bf16(double{bf16_to_float(old)} + double{bf16_to_float(b)});
  }
};
template <class Half>
struct AddPair {
  static std::uint32_t apply(std::uint32_t old, std::uint32_t b, std::uint32_t) {
    const auto part = [=](unsigned shift) {
      return std::uint32_t{Half::apply(static_cast<std::uint16_t>(old >> shift),
                                       static_cast<std::uint16_t>(b >> shift), 0)};
    };
    return part(16) << 16U | part(0);
  }
};
struct And {
  template <class T>
  static T apply(T old, T b, T) {
    return static_cast<T>(old & b);
  }
};
struct Or {
  template <class T>
  static T apply(T old, T b, T) {
    return static_cast<T>(old | b);
  }
};
struct ExclusiveOr {
  template <class T>
  static T apply(T old, T b, T) {
    return static_cast<T>(old ^ b);
  }
};
struct Exchange {
  template <class T>
  static T apply(T, T b, T) {
    return b;
  }
};
struct CompareAndSwap {
  template <class T>
  static T apply(T old, T expected, T desired) {
    return old == expected ? desired : old;
  }
};
struct Increment {
  template <class T>
  static T apply(T old, T last, T) {
    return old >= last ? T{0} : static_cast<T>(old + 1);
  }
};
struct Decrement {
  template <class T>
  static T apply(T old, T last, T) {
    return old == 0 || old > last ? last : static_cast<T>(old - 1);
  }
};
struct Minimum {
  template <class T>
  static T apply(T old, T b, T) {
    return std::min(old, b);
  }
};
struct Maximum {
  template <class T>
  static T apply(T old, T b, T) {
    return std::max(old, b);
  }
};

/// Which part of memory a lane's address means.
std::byte* pass_lanes(Warp& warp, const Instruction& instruction, const Request& request,
                      bool shared) {
  Block& block = *warp.block;
  Counters& counters = block.counted(warp);
  if (shared) {
    pass_shared(warp, instruction, request, AccessKind::kAtomicUpdate);
    count_shared(counters, request);
    counters.shared_atomics += std::popcount(request.lanes);
    return block.shared_memory();
  }
  pass_global(warp, instruction, request, AccessKind::kAtomicUpdate);
  counters.global_atomics += std::popcount(request.lanes);
  return nullptr;
}

template <class F, class T>
void update(Warp& warp, const Instruction& instruction, const Request& request, bool shared) {
  if (request.lanes == 0) {
    return;
  }
  std::byte* const base = pass_lanes(warp, instruction, request, shared);
  T* d = instruction.d == kNoOperand ? nullptr : warp.lanes<T>(instruction.d);
  const T* b = warp.lanes<T>(instruction.b);
  const T* c = instruction.c == kNoOperand ? b : warp.lanes<T>(instruction.c);
  for (LaneMask rest = request.lanes; rest != 0; rest &= rest - 1) {
    const unsigned lane = lowest(rest);
    std::byte* const at =
        shared ? base + request.address[lane] : reinterpret_cast<std::byte*>(request.address[lane]);
    T old;
    std::memcpy(&old, at, sizeof(T));
    const T value = F::apply(old, b[lane], c[lane]);
    std::memcpy(at, &value, sizeof(T));
    if (d != nullptr) {
      d[lane] = old;
    }
  }
}

template <class F, class T>
void run_atomic(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  const Request request = make_request(warp, instruction, lanes, sizeof(T));
  if (instruction.space != Space::kGeneric) {
    update<F, T>(warp, instruction, request, instruction.space == Space::kShared);
    return;
  }
  const SpaceRequests parts = split_generic(request);
  if ((parts.local.lanes | parts.param.lanes) != 0) {
    warp.block->fail(warp, instruction, lowest(parts.local.lanes | parts.param.lanes),
                     "atomic on memory that is neither global nor shared");
  }
  update<F, T>(warp, instruction, parts.global, false);
  update<F, T>(warp, instruction, parts.shared, true);
}

template <class F>
Handler unsigned_handler(Type type) {
  return type == Type::kU32   ? run_atomic<F, std::uint32_t>
         : type == Type::kU64 ? run_atomic<F, std::uint64_t>
                              : nullptr;
}

template <class F>
Handler ordered_handler(Type type) {
  return type == Type::kS32   ? run_atomic<F, std::int32_t>
         : type == Type::kS64 ? run_atomic<F, std::int64_t>
                              : unsigned_handler<F>(type);
}

template <class F>
Handler bits_handler(Type type) {
  return type == Type::kB16   ? run_atomic<F, std::uint16_t>
         : type == Type::kB32 ? run_atomic<F, std::uint32_t>
         : type == Type::kB64 ? run_atomic<F, std::uint64_t>
                              : nullptr;
}

Handler add_handler(Type type) {
  switch (type) {
    case Type::kF32:
      return run_atomic<AddFloat, std::uint32_t>;
    case Type::kF64:
      return run_atomic<AddFloat, std::uint64_t>;
    case Type::kF16:
      return run_atomic<AddHalf, std::uint16_t>;
    case Type::kBf16:
      return run_atomic<AddBf16, std::uint16_t>;
    case Type::kF16x2:
      return run_atomic<AddPair<AddHalf>, std::uint32_t>;
    case Type::kBf16x2:
      return run_atomic<AddPair<AddBf16>, std::uint32_t>;
    case Type::kS32:
      // Two's complement adds up as unsigned numbers do.
      return run_atomic<Add, std::uint32_t>;
    case Type::kS64:
      return run_atomic<Add, std::uint64_t>;
    default:
      return unsigned_handler<Add>(type);
  }
}

struct Operation {
  Handler (*handler)(Type type);
  std::size_t operands;
};

void decode_atomic(Decoder& decoder) {
  static constexpr std::pair<std::string_view, Operation> kOperations[] = {
      {"add", {add_handler, 1}},
      {"and", {bits_handler<And>, 1}},
      {"or", {bits_handler<Or>, 1}},
      {"xor", {bits_handler<ExclusiveOr>, 1}},
      {"exch", {bits_handler<Exchange>, 1}},
      {"cas", {bits_handler<CompareAndSwap>, 2}},
      {"inc", {unsigned_handler<Increment>, 1}},
      {"dec", {unsigned_handler<Decrement>, 1}},
      {"min", {ordered_handler<Minimum>, 1}},
      {"max", {ordered_handler<Maximum>, 1}}};
  const bool returns = decoder.opcode() == "atom";
  Instruction instruction;
  instruction.category = InstructionClass::kMemory;
  decoder.ignore({"relaxed", "acquire", "release", "acq_rel", "cta", "cluster", "gpu", "sys"});
  Space space = Space::kGeneric;
  decoder.take_if([&space](std::string_view name) {
    const auto found = parse_space(name);
    space = found.value_or(space);
    return found.has_value();
  });
  if (space != Space::kGeneric && space != Space::kGlobal && space != Space::kShared) {
    decoder.refuse("atomic on memory that is neither global nor shared");
  }
  const auto operation = decoder.take_one_of(kOperations);
  if (!operation) {
    decoder.refuse("unsupported operation");
  }
  decoder.ignore({"noftz"});
  const Type type = decoder.take_type();
  instruction.type = type;
  instruction.run = operation->handler(type);
  if (instruction.run == nullptr) {
    decoder.refuse("unsupported type");
  }
  const std::size_t first = returns ? 1 : 0;
  decoder.expect_operands(first + 1 + operation->operands);
  decoder.address(decoder.operand(first), space, instruction);
  instruction.b = decoder.read(first + 1, type);
  if (operation->operands > 1) {
    instruction.c = decoder.read(first + 2, type);
  }
  if (returns) {
    instruction.d =
        decoder.operand(0).kind == OperandText::Kind::kSink ? kNoOperand : decoder.write(0, type);
  }
  decoder.emit(instruction);
}

}  // namespace

void add_atomics(DecodeTable& table) {
  table["atom"] = decode_atomic;
  table["red"] = decode_atomic;
}

}  // namespace kvsieve::ptx
