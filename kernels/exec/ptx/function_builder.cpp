#include "exec/ptx/function_builder.h"

#include <cxxabi.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

namespace kvsieve::ptx {
namespace {

// A line of the host's caches, and a whole number of its vectors.
constexpr std::size_t kRegisterAlignment = 64;

// Between two shared variables, so that running over the end of one is no access to the next. Whole
// rows of banks leave the bank of every variable as it is.
constexpr std::uint64_t kSharedGap = 128;

constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

/// A variable of a function without the function.
std::string variable_name(std::string_view name) {
  const std::string mangled(name);
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> text(
      abi::__cxa_demangle(mangled.c_str(), nullptr, nullptr, &status), &std::free);
  const std::string demangled = status == 0 ? text.get() : mangled;
  const std::size_t scope = demangled.rfind("::");
  return scope == std::string::npos ? demangled : demangled.substr(scope + 2);
}

constexpr std::array<std::pair<std::string_view, Special>, 21> kSpecials = {
    {{"%tid.x", Special::kTidX},
     {"%tid.y", Special::kTidY},
     {"%tid.z", Special::kTidZ},
     {"%ntid.x", Special::kNtidX},
     {"%ntid.y", Special::kNtidY},
     {"%ntid.z", Special::kNtidZ},
     {"%ctaid.x", Special::kCtaidX},
     {"%ctaid.y", Special::kCtaidY},
     {"%ctaid.z", Special::kCtaidZ},
     {"%nctaid.x", Special::kNctaidX},
     {"%nctaid.y", Special::kNctaidY},
     {"%nctaid.z", Special::kNctaidZ},
     {"%laneid", Special::kLaneid},
     {"%warpid", Special::kWarpid},
     {"%nwarpid", Special::kNwarpid},
     {"%lanemask_eq", Special::kLanemaskEq},
     {"%lanemask_lt", Special::kLanemaskLt},
     {"%lanemask_le", Special::kLanemaskLe},
     {"%lanemask_gt", Special::kLanemaskGt},
     {"%lanemask_ge", Special::kLanemaskGe},
     {"%dynamic_smem_size", Special::kDynamicSharedSize}}};

}  // namespace

FunctionBuilder::FunctionBuilder(Function& function, const ModuleNames& names)
    : m_function(function), m_names(names) {
  open_scope();
}

void FunctionBuilder::open_scope() {
  m_scopes.emplace_back();
}

bool FunctionBuilder::close_scope() {
  m_scopes.pop_back();
  return !m_scopes.empty();
}

Operand FunctionBuilder::allocate(unsigned width) {
  const std::size_t begin = width == 0 ? m_function.register_bytes
                                       : round_up(m_function.register_bytes, kRegisterAlignment);
  m_function.register_bytes = begin + register_size(width);
  return static_cast<Operand>(begin);
}

Operand FunctionBuilder::scratch(unsigned width) {
  return allocate(width);
}

void FunctionBuilder::declare_register(std::string_view name, Type type) {
  const unsigned width = size_of(type);
  m_scopes.back().registers[name] = {allocate(width), width};
}

void FunctionBuilder::declare_registers(std::string_view prefix, std::uint32_t count, Type type) {
  m_scopes.back().ranges[prefix] = {count, size_of(type), type,
                                    std::vector<Operand>(count, kNoOperand)};
}

void FunctionBuilder::declare_shared(std::string_view name, const SharedVariable& variable) {
  Address address{Space::kShared, kDynamicSharedBegin, std::nullopt};
  if (variable.dynamic) {
    m_function.uses_dynamic_shared = true;
  } else {
    address.offset = round_up(m_shared_end, std::max(variable.alignment, kSharedGap));
    m_shared_end = address.offset + variable.bytes + kSharedGap;
    m_function.shared.push_back({variable_name(name), address.offset, variable.bytes});
    m_function.static_shared_bytes =
        round_up(m_function.static_shared_bytes, variable.alignment) + variable.bytes;
  }
  // Of the kernel as a whole, wherever its text says it.
  m_scopes.front().addresses[name] = address;
}

void FunctionBuilder::declare_local(std::string_view name, std::uint64_t bytes,
                                    std::uint64_t alignment) {
  const std::uint64_t begin = round_up(m_function.local_bytes, alignment);
  m_function.local_bytes = begin + bytes;
  m_scopes.back().addresses[name] = {Space::kLocal, begin, std::nullopt};
}

bool FunctionBuilder::declare_label(std::string_view name) {
  return m_labels.emplace(name, static_cast<std::uint32_t>(m_function.code.size())).second;
}

void FunctionBuilder::use_label(std::string_view name, std::uint32_t line) {
  m_label_uses.push_back({name, m_function.code.size(), line});
}

std::optional<FunctionBuilder::Address> FunctionBuilder::find_address(std::string_view name) {
  for (std::size_t i = m_scopes.size(); i-- > 0;) {
    const auto found = m_scopes[i].addresses.find(name);
    if (found != m_scopes[i].addresses.end()) {
      return found->second;
    }
  }
  for (const Parameter& parameter : m_function.parameters) {
    if (parameter.name == name) {
      return Address{Space::kParam, parameter.offset, std::nullopt};
    }
  }
  if (const auto found = m_names.shared.find(name); found != m_names.shared.end()) {
    declare_shared(name, found->second);
    return m_scopes.front().addresses[name];
  }
  if (const auto found = m_names.variables.find(name); found != m_names.variables.end()) {
    return Address{Space::kGlobal, 0, found->second};
  }
  return std::nullopt;
}

std::optional<Register> FunctionBuilder::find_register(std::string_view name) {
  std::size_t digits = name.size();
  while (digits > 0 && name[digits - 1] >= '0' && name[digits - 1] <= '9') {
    --digits;
  }
  std::uint32_t number = 0;
  const bool numbered =
      digits < name.size() &&
      std::from_chars(name.data() + digits, name.data() + name.size(), number).ec == std::errc{};
  for (std::size_t i = m_scopes.size(); i-- > 0;) {
    Scope& scope = m_scopes[i];
    if (const auto found = scope.registers.find(name); found != scope.registers.end()) {
      return found->second;
    }
    if (numbered) {
      const auto found = scope.ranges.find(name.substr(0, digits));
      if (found != scope.ranges.end() && number < found->second.count) {
        RegisterRange& range = found->second;
        if (range.slots[number] == kNoOperand) {
          range.slots[number] = allocate(range.width);
        }
        return Register{range.slots[number], range.width};
      }
    }
  }
  return find_special(name);
}

std::optional<Register> FunctionBuilder::find_special(std::string_view name) {
  for (const auto& [text, special] : kSpecials) {
    if (text == name) {
      for (const SpecialRegister& known : m_function.specials) {
        if (known.special == special) {
          return Register{known.at, 4};
        }
      }
      m_function.specials.push_back({special, allocate(4)});
      return Register{m_function.specials.back().at, 4};
    }
  }
  return std::nullopt;
}

Operand FunctionBuilder::constant(std::uint64_t bits, unsigned width) {
  if (width < 8 && width > 0) {
    bits &= (std::uint64_t{1} << (8 * width)) - 1;
  }
  const auto [entry, is_new] = m_constants.try_emplace({bits, width}, kNoOperand);
  if (is_new) {
    std::vector<std::byte>& constants = m_function.constants;
    const std::size_t begin = round_up(constants.size(), kRegisterAlignment);
    constants.resize(begin + register_size(width));
    if (width == 0) {
      const LaneMask lanes = bits != 0 ? kAllLanes : 0;
      std::memcpy(constants.data() + begin, &lanes, sizeof(lanes));
    } else {
      for (std::size_t lane = 0; lane < kLanes; ++lane) {
        std::memcpy(constants.data() + begin + lane * width, &bits, std::min(width, 8U));
      }
    }
    entry->second = static_cast<Operand>(begin) | kConstantBit;
  }
  return entry->second;
}

Operand FunctionBuilder::variable_address(std::size_t variable, std::int64_t addend) {
  const auto [entry, is_new] = m_variable_addresses.try_emplace({variable, addend}, kNoOperand);
  if (is_new) {
    std::vector<std::byte>& constants = m_function.constants;
    const std::size_t begin = round_up(constants.size(), kRegisterAlignment);
    constants.resize(begin + register_size(8));
    entry->second = static_cast<Operand>(begin) | kConstantBit;
    m_function.relocations.push_back({static_cast<Operand>(begin), variable, addend});
  }
  return entry->second;
}

std::uint32_t FunctionBuilder::add_list(const std::vector<Operand>& operands) {
  const auto begin = static_cast<std::uint32_t>(m_function.operands.size());
  m_function.operands.insert(m_function.operands.end(), operands.begin(), operands.end());
  return begin;
}

void FunctionBuilder::finish() {
  for (const LabelUse& use : m_label_uses) {
    const auto found = m_labels.find(use.name);
    if (found == m_labels.end()) {
      refuse_ptx(use.line, "unknown label", use.name);
    }
    m_function.code[use.instruction].target = found->second;
  }
}

}  // namespace kvsieve::ptx
