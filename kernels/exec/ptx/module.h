#pragma once
// A PTX module decoded for execution: dense instructions whose operands are places in a warp's
// registers, where each register is an array of 32 lanes.

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "exec/ptx/counters.h"
#include "exec/ptx/types.h"

namespace kvsieve::ptx {

class Warp;
struct Instruction;

/// Bit a lane.
using LaneMask = std::uint32_t;
inline constexpr unsigned kLanes = 32;
inline constexpr LaneMask kAllLanes = 0xffffffffU;

/// Byte offset of a register's lanes: of the warp's own or, with the highest bit, of the function's
/// constants. A predicate is one LaneMask.
using Operand = std::uint32_t;
inline constexpr Operand kConstantBit = 0x80000000U;
inline constexpr Operand kNoOperand = 0xffffffffU;

/// Runs an instruction for some lanes of a warp.
using Handler = void (*)(Warp& warp, const Instruction& instruction, LaneMask lanes);

/// How the scheduler treats an instruction.
enum class Flow : std::uint8_t {
  kPlain,
  kBranch,
  kExit,
  kTrap,
  kWarpSync,  ///< runs once all lanes that its mask names are there
  kBarrier,
};

enum class InstructionClass : std::uint8_t {
  kInteger,
  kFloat,
  kHalf,
  kConvert,
  kTensor,
  kWarp,
  kControl,
  kMemory,
  kSpecial,
};

enum class BarrierVote : std::uint8_t { kNone, kArrive, kCount, kAnd, kOr };

struct Instruction {
  Handler run = nullptr;
  Flow flow = Flow::kPlain;
  InstructionClass category = InstructionClass::kInteger;
  std::uint8_t flops = 0;  ///< a lane
  bool guard_negated = false;
  Operand guard = kNoOperand;
  // What they hold depends on the instruction.
  Operand d = kNoOperand;
  Operand a = kNoOperand;
  Operand b = kNoOperand;
  Operand c = kNoOperand;
  Operand members = kNoOperand;  ///< lanes that a warp operation waits for; none: all
  std::uint32_t list = 0;        ///< more operands: index into Function::operands
  std::uint32_t target = 0;      ///< of a branch
  std::int64_t offset = 0;       ///< of an address
  Space space = Space::kGeneric;
  Type type = Type::kB32;
  std::uint8_t count = 1;    ///< of elements of a vector
  std::uint8_t d_width = 4;  ///< bytes a lane of the registers
  std::uint8_t a_width = 4;
  std::uint8_t option = 0;
  bool atomic = false;  ///< a load or store that other threads may see at any time
  BarrierVote vote = BarrierVote::kNone;
  std::uint32_t line = 0;    ///< of the PTX text
  std::uint32_t source = 0;  ///< index into Module::sources
};

/// A .global or .const variable. `relocations` are addresses in its initial bytes.
struct Variable {
  std::string name;
  std::size_t bytes = 0;
  std::size_t alignment = 1;
  std::vector<std::byte> initial;  ///< the rest is zero
};

/// A place in shared or local memory that a name stands for.
struct NamedRange {
  std::string name;
  std::uint64_t begin = 0;
  std::uint64_t bytes = 0;
};

enum class Special : std::uint8_t {
  kTidX,
  kTidY,
  kTidZ,
  kNtidX,
  kNtidY,
  kNtidZ,
  kCtaidX,
  kCtaidY,
  kCtaidZ,
  kNctaidX,
  kNctaidY,
  kNctaidZ,
  kLaneid,
  kWarpid,
  kNwarpid,
  kLanemaskEq,
  kLanemaskLt,
  kLanemaskLe,
  kLanemaskGt,
  kLanemaskGe,
  kDynamicSharedSize,
};

struct SpecialRegister {
  Special special;
  Operand at;
};

struct Parameter {
  std::string name;
  std::size_t offset = 0;
  std::size_t bytes = 0;
};

/// The address of a module variable, known at the launch: goes to `constants` at `at`.
struct Relocation {
  Operand at;
  std::size_t variable;
  std::int64_t addend;
};

// Where the dynamic shared memory begins, above all static variables.
inline constexpr std::uint32_t kDynamicSharedBegin = 0x80000;

/// A kernel.
struct Function {
  std::string name;
  std::string display_name;  ///< demangled, without its parameters
  std::vector<Parameter> parameters;
  std::size_t parameter_bytes = 0;
  std::uint32_t first_source = 0;
  std::uint32_t max_threads = 0;  ///< .maxntid; 0: unlimited
  std::vector<Instruction> code;
  std::vector<Operand> operands;
  std::size_t register_bytes = 0;
  std::vector<SpecialRegister> specials;
  std::vector<std::byte> constants;
  std::vector<Relocation> relocations;
  std::vector<NamedRange> shared;       ///< static, ascending
  std::size_t static_shared_bytes = 0;  ///< as the kernel declares them
  bool uses_dynamic_shared = false;
  std::size_t local_bytes = 0;  ///< a thread
};

struct Module {
  std::uint64_t id = 0;  ///< no two alike
  int architecture = 0;
  std::vector<SourceLine> sources;  ///< the first is "no line"
  std::vector<Variable> variables;
  std::vector<Function> functions;
  std::unordered_map<std::string, std::size_t> function_of_name;
};

/// Parses and decodes. Throws Error(kBadInput).
[[nodiscard]] std::unique_ptr<Module> parse_module(std::string_view text);

}  // namespace kvsieve::ptx
