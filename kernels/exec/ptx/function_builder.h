#pragma once
// Collects a kernel while its text is read: names in their scopes, registers, constants, labels.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "exec/ptx/module.h"
#include "exec/ptx/statement.h"

namespace kvsieve::ptx {

/// Where a register's lanes are, and how wide a lane is: 0 bytes for a predicate.
struct Register {
  Operand at = kNoOperand;
  unsigned width = 0;
};

/// Shared variables of a module, which kernels lay out as they use them.
struct SharedVariable {
  std::uint64_t bytes = 0;
  std::uint64_t alignment = 1;
  bool dynamic = false;
};

/// What a name outside of kernels stands for.
struct ModuleNames {
  std::unordered_map<std::string_view, std::size_t> variables;  ///< .global and .const
  std::unordered_map<std::string_view, SharedVariable> shared;
};

class FunctionBuilder {
 public:
  FunctionBuilder(Function& function, const ModuleNames& names);

  void open_scope();
  /// False if none is open.
  bool close_scope();

  void declare_register(std::string_view name, Type type);
  /// `prefix`0 to `prefix`(count - 1).
  void declare_registers(std::string_view prefix, std::uint32_t count, Type type);
  void declare_shared(std::string_view name, const SharedVariable& variable);
  void declare_local(std::string_view name, std::uint64_t bytes, std::uint64_t alignment);
  /// The label stands for the instruction that comes next. False if it exists already.
  bool declare_label(std::string_view name);
  /// The label's instruction, known at the end: patched into the instruction that comes next.
  void use_label(std::string_view name, std::uint32_t line);

  /// Space, and offset in it, of what a name stands for; absent for unknown names. Module variables
  /// are given as their number.
  struct Address {
    Space space;
    std::uint64_t offset;
    std::optional<std::size_t> variable;
  };
  [[nodiscard]] std::optional<Address> find_address(std::string_view name);
  [[nodiscard]] std::optional<Register> find_register(std::string_view name);

  /// A constant in all lanes of a register of `width` bytes (0: a predicate).
  Operand constant(std::uint64_t bits, unsigned width);
  /// The address of a module variable, filled in at the launch.
  Operand variable_address(std::size_t variable, std::int64_t addend);
  /// A register of its own for intermediate values.
  Operand scratch(unsigned width);
  std::uint32_t add_list(const std::vector<Operand>& operands);

  [[nodiscard]] Function& function() { return m_function; }
  /// Resolves labels. Throws Error(kBadInput).
  void finish();

 private:
  struct RegisterRange {
    std::uint32_t count;
    unsigned width;
    Type type;
    std::vector<Operand> slots;
  };
  struct Scope {
    std::unordered_map<std::string_view, Register> registers;
    std::unordered_map<std::string_view, RegisterRange> ranges;
    std::unordered_map<std::string_view, Address> addresses;
  };
  struct LabelUse {
    std::string_view name;
    std::size_t instruction;
    std::uint32_t line;
  };

  Operand allocate(unsigned width);
  std::optional<Register> find_special(std::string_view name);

  Function& m_function;
  const ModuleNames& m_names;
  std::vector<Scope> m_scopes;
  std::unordered_map<std::string_view, std::uint32_t> m_labels;
  std::vector<LabelUse> m_label_uses;
  std::map<std::pair<std::uint64_t, unsigned>, Operand> m_constants;
  std::map<std::pair<std::size_t, std::int64_t>, Operand> m_variable_addresses;
  std::uint64_t m_shared_end = 0;
};

/// Bytes of a register's lanes.
[[nodiscard]] constexpr std::size_t register_size(unsigned width) {
  return width == 0 ? sizeof(LaneMask) : std::size_t{width} * kLanes;
}

}  // namespace kvsieve::ptx
