#include "exec/ptx/executor.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "exec/ptx/block.h"
#include "exec/ptx/launch.h"
#include "exec/ptx/module.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::ptx {
namespace {

const Function& find_function(const Module& module, std::string_view kernel) {
  const auto found = module.function_of_name.find(std::string(kernel));
  if (found == module.function_of_name.end()) {
    throw Error(ErrorKind::kInternal, fmt::format("the PTX has no kernel {}", kernel));
  }
  return module.functions[found->second];
}

/// Addresses of the module's variables, which the first launch puts into memory.
const std::vector<std::uint64_t>& variable_addresses(const Module& module, Memory::State& memory) {
  const auto [entry, is_new] = memory.variables.try_emplace(module.id);
  if (is_new) {
    for (const Variable& variable : module.variables) {
      Allocation& allocation = memory.allocate(variable.bytes, MemoryKind::kDevice);
      auto* bytes = reinterpret_cast<std::byte*>(allocation.begin);
      std::memset(bytes, 0, variable.bytes);
      std::copy(variable.initial.begin(), variable.initial.end(), bytes);
      allocation.written.set(0, variable.bytes);
      entry->second.push_back(allocation.begin);
    }
  }
  return entry->second;
}

void add_instruction(Counters& counters, const Instruction& instruction, const Issued& issued) {
  counters.instructions += issued.warps;
  counters.thread_instructions += issued.threads;
  switch (instruction.category) {
    case InstructionClass::kInteger:
      counters.integer_instructions += issued.warps;
      break;
    case InstructionClass::kFloat:
      counters.float_instructions += issued.warps;
      break;
    case InstructionClass::kHalf:
      counters.half_instructions += issued.warps;
      break;
    case InstructionClass::kConvert:
      counters.convert_instructions += issued.warps;
      break;
    case InstructionClass::kTensor:
      counters.tensor_instructions += issued.warps;
      // Multiplications and additions of 16 x 8 x 16.
      counters.flops += issued.warps * 2 * 16 * 8 * 16;
      break;
    case InstructionClass::kWarp:
      counters.warp_instructions += issued.warps;
      break;
    case InstructionClass::kControl:
      counters.control_instructions += issued.warps;
      break;
    case InstructionClass::kMemory:
      counters.memory_instructions += issued.warps;
      break;
    case InstructionClass::kSpecial:
      counters.special_instructions += issued.warps;
      break;
  }
  counters.flops += issued.threads * instruction.flops;
}

void add_launch(const Launch& launch, KernelCounters& counters) {
  const kernels::LaunchConfig& config = launch.config;
  const std::int64_t blocks = std::int64_t{config.grid.x} * config.grid.y * config.grid.z;
  ++counters.launches;
  counters.blocks += blocks;
  counters.threads += blocks * config.block.x * config.block.y * config.block.z;
  const std::vector<Instruction>& code = launch.function->code;
  for (std::size_t pc = 0; pc < code.size(); ++pc) {
    if (launch.issued[pc].warps == 0) {
      continue;
    }
    Counters of_instruction = launch.counted[pc];
    add_instruction(of_instruction, code[pc], launch.issued[pc]);
    counters.total += of_instruction;
    const SourceLine& source = launch.module->sources[code[pc].source];
    if (source.line != 0) {
      counters.lines[source] += of_instruction;
    }
  }
}

/// The n-th block to run: n itself, or by a permutation drawn from the seed.
class BlockOrder {
 public:
  BlockOrder(std::uint64_t seed, std::uint64_t count) : m_count(count) {
    if (seed != 0) {
      // n -> n * step + offset is a permutation if step and count have no common divisor.
      m_offset = draw(seed) % count;
      do {
        m_step = draw(seed) % count + 1;
      } while (std::gcd(m_step, count) != 1);
    }
  }
  [[nodiscard]] std::uint64_t block(std::uint64_t n) const {
    return static_cast<std::uint64_t>((static_cast<unsigned __int128>(n) * m_step + m_offset) %
                                      m_count);
  }

 private:
  static std::uint64_t draw(std::uint64_t& state) {
    state += 0x9e3779b97f4a7c15ULL;
    std::uint64_t z = state;
    z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27U)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31U);
  }

  std::uint64_t m_count;
  std::uint64_t m_step = 1;
  std::uint64_t m_offset = 0;
};

}  // namespace

void check_launch(const Function& function, int architecture, const kernels::LaunchConfig& config) {
  const auto refuse = [&](const std::string& what) {
    throw Error(ErrorKind::kInternal,
                fmt::format("launch of kernel {}: {}", function.display_name, what));
  };
  const kernels::Dim3& block = config.block;
  const kernels::Dim3& grid = config.grid;
  const std::uint64_t threads = std::uint64_t{block.x} * block.y * block.z;
  if (threads == 0 || threads > kMaxBlockThreads || block.z > kMaxBlockZ) {
    refuse(fmt::format("blocks of {} x {} x {} threads, at most {} threads and {} in z fit",
                       block.x, block.y, block.z, kMaxBlockThreads, kMaxBlockZ));
  }
  if (function.max_threads != 0 && threads > function.max_threads) {
    refuse(fmt::format("blocks of {} threads, it is compiled for at most {}", threads,
                       function.max_threads));
  }
  if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.x > kMaxGridX || grid.y > kMaxGridYZ ||
      grid.z > kMaxGridYZ) {
    refuse(fmt::format("a grid of {} x {} x {} blocks, at most {} x {} x {} fit", grid.x, grid.y,
                       grid.z, kMaxGridX, kMaxGridYZ, kMaxGridYZ));
  }
  const std::size_t shared = function.static_shared_bytes + config.shared_bytes;
  if (const std::size_t most = max_shared_bytes(architecture); shared > most) {
    refuse(fmt::format("{} bytes of shared memory, a block of sm_{} has at most {}", shared,
                       architecture, most));
  }
}

Program::Program(std::string_view ptx) : m_module(parse_module(ptx)) {}
Program::~Program() = default;
Program::Program(Program&&) noexcept = default;
Program& Program::operator=(Program&&) noexcept = default;

std::vector<std::string> Program::kernels() const {
  std::vector<std::string> result;
  for (const Function& function : m_module->functions) {
    result.push_back(function.name);
  }
  return result;
}

std::vector<std::size_t> Program::parameter_bytes(std::string_view kernel) const {
  std::vector<std::size_t> result;
  for (const Parameter& parameter : find_function(*m_module, kernel).parameters) {
    result.push_back(parameter.bytes);
  }
  return result;
}

std::size_t Program::static_shared_bytes(std::string_view kernel) const {
  return find_function(*m_module, kernel).static_shared_bytes;
}

SourceLine Program::first_line(std::string_view kernel) const {
  return m_module->sources[find_function(*m_module, kernel).first_source];
}

int Program::architecture() const {
  return m_module->architecture;
}

void execute(const Program& program, std::string_view kernel, const kernels::LaunchConfig& config,
             std::span<const void* const> parameters, Memory& memory, const ExecuteOptions& options,
             KernelCounters& counters) {
  const Function& function = find_function(program.module(), kernel);
  check_launch(function, program.architecture(), config);
  if (parameters.size() != function.parameters.size()) {
    throw Error(ErrorKind::kInternal,
                fmt::format("launch of kernel {}: {} parameters, it has {}", function.display_name,
                            parameters.size(), function.parameters.size()));
  }
  Launch launch;
  launch.module = &program.module();
  launch.function = &function;
  launch.config = config;
  launch.memory = &memory.state();
  launch.memory->renew_time();
  launch.begin = ++launch.memory->now;
  launch.seed = options.seed;
  launch.parameters.resize(function.parameter_bytes);
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    std::memcpy(launch.parameters.data() + function.parameters[i].offset, parameters[i],
                function.parameters[i].bytes);
  }
  launch.constants = function.constants;
  const std::vector<std::uint64_t>& addresses =
      variable_addresses(program.module(), memory.state());
  for (const Relocation& relocation : function.relocations) {
    const std::uint64_t address =
        addresses[relocation.variable] + static_cast<std::uint64_t>(relocation.addend);
    for (unsigned lane = 0; lane < kLanes; ++lane) {
      std::memcpy(launch.constants.data() + relocation.at + lane * sizeof(address), &address,
                  sizeof(address));
    }
  }
  launch.issued.resize(function.code.size());
  launch.counted.resize(function.code.size());
  const std::uint64_t blocks = std::uint64_t{config.grid.x} * config.grid.y * config.grid.z;
  const BlockOrder order(options.seed, blocks);
  Block block(launch);
  for (std::uint64_t n = 0; n < blocks; ++n) {
    const std::uint64_t at = order.block(n);
    block.run({static_cast<unsigned>(at % config.grid.x),
               static_cast<unsigned>(at / config.grid.x % config.grid.y),
               static_cast<unsigned>(at / config.grid.x / config.grid.y)});
  }
  add_launch(launch, counters);
}

}  // namespace kvsieve::ptx
