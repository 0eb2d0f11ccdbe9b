#pragma once
// From the text of an instruction to what executes it.

#include <cstddef>
#include <initializer_list>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "exec/ptx/function_builder.h"
#include "exec/ptx/module.h"
#include "exec/ptx/statement.h"

namespace kvsieve::ptx {

/// Appends the instruction to the kernel. Throws Error(kBadInput) with line and text for anything
/// that is not supported.
void decode(const Statement& statement, FunctionBuilder& builder);

/// One instruction being decoded. Every modifier has to be taken by somebody, every operand read.
class Decoder {
 public:
  Decoder(const Statement& statement, FunctionBuilder& builder)
      : m_statement(statement), m_builder(builder), m_taken(statement.opcode.size()) {
    m_taken[0] = true;
  }

  [[nodiscard]] std::string_view opcode() const { return m_statement.opcode[0]; }
  [[nodiscard]] FunctionBuilder& builder() { return m_builder; }
  [[nodiscard]] std::uint32_t line() const { return m_statement.line; }
  [[noreturn]] void refuse(std::string_view what) const;

  // Modifiers.

  /// Whether the modifier is there; it counts as taken then.
  bool take(std::string_view modifier);
  /// Takes modifiers that change nothing here.
  void ignore(std::initializer_list<std::string_view> modifiers);
  /// The first modifier not taken yet that is one of the names.
  template <class T, std::size_t N>
  std::optional<T> take_one_of(const std::pair<std::string_view, T> (&names)[N]) {
    for (std::size_t i = 1; i < m_taken.size(); ++i) {
      if (!m_taken[i]) {
        for (const auto& [name, value] : names) {
          if (m_statement.opcode[i] == name) {
            m_taken[i] = true;
            return value;
          }
        }
      }
    }
    return std::nullopt;
  }
  /// The first type not taken yet. Refuses the instruction without one.
  Type take_type();
  /// The first modifier not taken yet that `accepts` it.
  template <class Accepts>
  bool take_if(const Accepts& accepts) {
    for (std::size_t i = 1; i < m_taken.size(); ++i) {
      if (!m_taken[i] && accepts(m_statement.opcode[i])) {
        m_taken[i] = true;
        return true;
      }
    }
    return false;
  }

  // Operands.

  [[nodiscard]] std::size_t operands() const { return m_statement.operands.size(); }
  [[nodiscard]] const OperandText& operand(std::size_t index) const;
  void expect_operands(std::size_t least, std::size_t most);
  void expect_operands(std::size_t count) { expect_operands(count, count); }
  /// A register of the type's width, or a constant of it.
  Operand read(const OperandText& text, Type type);
  Operand read(std::size_t index, Type type) { return read(operand(index), type); }
  /// A register at least as wide as the type; its width.
  std::pair<Operand, unsigned> read_wide(const OperandText& text, Type type);
  Operand write(const OperandText& text, Type type);
  Operand write(std::size_t index, Type type) { return write(operand(index), type); }
  std::pair<Operand, unsigned> write_wide(const OperandText& text, Type type);
  /// Whether it is negated is left to the caller.
  Operand read_predicate(const OperandText& text);
  /// kNoOperand for a sink.
  Operand write_predicate(const OperandText& text);
  /// Parts of a vector, or the operand itself.
  [[nodiscard]] static std::vector<OperandText> parts(const OperandText& text);
  /// Base register, kNoOperand if the address is `offset` alone.
  void address(const OperandText& text, Space space, Instruction& instruction);

  /// Appends the instruction; refuses it if a modifier was not taken.
  Instruction& emit(Instruction instruction);
  /// Appends one of a result and up to three sources of these types, which it reads. Refuses it
  /// without a handler, which means that its type is not supported.
  void emit(Handler run, Type result, std::initializer_list<Type> sources);

 private:
  Operand constant(const OperandText& text, Type type);

  const Statement& m_statement;
  FunctionBuilder& m_builder;
  std::vector<bool> m_taken;
};

using DecodeFunction = void (*)(Decoder& decoder);
using DecodeTable = std::unordered_map<std::string_view, DecodeFunction>;

// What each file of instructions adds.
void add_integer_instructions(DecodeTable& table);
void add_bit_instructions(DecodeTable& table);
void add_float_instructions(DecodeTable& table);
void add_comparisons(DecodeTable& table);
void add_conversions(DecodeTable& table);
void add_moves(DecodeTable& table);
void add_memory_instructions(DecodeTable& table);
void add_atomics(DecodeTable& table);
void add_async_copies(DecodeTable& table);
void add_warp_operations(DecodeTable& table);
void add_matrix_instructions(DecodeTable& table);
void add_control_instructions(DecodeTable& table);

// Instructions that exist for integers and floats: the decoder for fp16, bf16, fp32 and fp64.
void decode_float_arithmetic(Decoder& decoder, Type type);
void decode_half_arithmetic(Decoder& decoder, Type type);

}  // namespace kvsieve::ptx
