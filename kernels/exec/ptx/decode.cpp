#include "exec/ptx/decode.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "exec/ptx/half.h"

namespace kvsieve::ptx {
namespace {

const DecodeTable& decode_table() {
  static const DecodeTable table = [] {
    DecodeTable result;
    add_integer_instructions(result);
    add_bit_instructions(result);
    add_float_instructions(result);
    add_comparisons(result);
    add_conversions(result);
    add_moves(result);
    add_memory_instructions(result);
    add_atomics(result);
    add_async_copies(result);
    add_warp_operations(result);
    add_matrix_instructions(result);
    add_control_instructions(result);
    return result;
  }();
  return table;
}

/// The bits of an immediate in an operand of a type.
std::uint64_t bits_as(const OperandText& text, Type type) {
  switch (text.number) {
    case OperandText::Number::kInteger:
      break;
    case OperandText::Number::kSingle: {
      const auto value = std::bit_cast<float>(static_cast<std::uint32_t>(text.bits));
      return type == Type::kF64 ? std::bit_cast<std::uint64_t>(double{value}) : text.bits;
    }
    case OperandText::Number::kDouble: {
      const auto value = std::bit_cast<double>(text.bits);
      return type == Type::kF32 ? std::bit_cast<std::uint32_t>(static_cast<float>(value))
                                : text.bits;
    }
  }
  // A whole number where a float is expected counts as one.
  const auto whole = static_cast<std::int64_t>(text.bits);
  if (type == Type::kF32) {
    return std::bit_cast<std::uint32_t>(static_cast<float>(whole));
  }
  if (type == Type::kF64) {
    return std::bit_cast<std::uint64_t>(static_cast<double>(whole));
  }
  return text.bits;
}

}  // namespace

void Decoder::refuse(std::string_view what) const {
  refuse_ptx(m_statement.line, what, m_statement.text);
}

bool Decoder::take(std::string_view modifier) {
  return take_if([modifier](std::string_view name) { return name == modifier; });
}

void Decoder::ignore(std::initializer_list<std::string_view> modifiers) {
  for (const std::string_view modifier : modifiers) {
    take(modifier);
  }
}

Type Decoder::take_type() {
  for (std::size_t i = 1; i < m_taken.size(); ++i) {
    if (!m_taken[i]) {
      if (const auto type = parse_type(m_statement.opcode[i])) {
        m_taken[i] = true;
        return *type;
      }
    }
  }
  refuse("instruction without a supported type");
}

const OperandText& Decoder::operand(std::size_t index) const {
  if (index >= m_statement.operands.size()) {
    refuse("too few operands");
  }
  return m_statement.operands[index];
}

void Decoder::expect_operands(std::size_t least, std::size_t most) {
  if (operands() < least || operands() > most) {
    refuse(operands() < least ? "too few operands" : "too many operands");
  }
}

Operand Decoder::constant(const OperandText& text, Type type) {
  const unsigned width = size_of(type);
  if (text.kind == OperandText::Kind::kImmediate) {
    return m_builder.constant(bits_as(text, type), width);
  }
  if (text.kind == OperandText::Kind::kName) {
    if (const auto address = m_builder.find_address(text.name)) {
      if (address->variable) {
        if (width != 8) {
          refuse("a global address needs 64 bits");
        }
        return m_builder.variable_address(*address->variable, text.offset);
      }
      return m_builder.constant(address->offset + static_cast<std::uint64_t>(text.offset), width);
    }
    refuse(fmt::format("unknown name {}", text.name));
  }
  refuse("unsupported operand");
}

Operand Decoder::read(const OperandText& text, Type type) {
  const auto [at, width] = read_wide(text, type);
  if (width != size_of(type)) {
    refuse(fmt::format("register {} has {} bits, the instruction {}", text.name, width * 8,
                       size_of(type) * 8));
  }
  return at;
}

std::pair<Operand, unsigned> Decoder::read_wide(const OperandText& text, Type type) {
  if (type == Type::kPred) {
    if (text.negated) {
      refuse("this predicate cannot be negated");
    }
    return {read_predicate(text), 0};
  }
  if (text.kind == OperandText::Kind::kName && !text.negated) {
    if (const auto found = m_builder.find_register(text.name)) {
      if (found->width < size_of(type) || text.offset != 0) {
        refuse(fmt::format("register {} does not fit the instruction", text.name));
      }
      return {found->at, found->width};
    }
  }
  if (text.negated) {
    refuse("only predicates can be negated");
  }
  return {constant(text, type), size_of(type)};
}

Operand Decoder::write(const OperandText& text, Type type) {
  const auto [at, width] = write_wide(text, type);
  if (width != size_of(type)) {
    refuse(fmt::format("register {} has {} bits, the instruction {}", text.name, width * 8,
                       size_of(type) * 8));
  }
  return at;
}

std::pair<Operand, unsigned> Decoder::write_wide(const OperandText& text, Type type) {
  if (text.kind == OperandText::Kind::kSink) {
    return {m_builder.scratch(size_of(type)), size_of(type)};
  }
  if (text.kind == OperandText::Kind::kName && !text.negated && text.offset == 0) {
    if (const auto found = m_builder.find_register(text.name)) {
      if (found->width < size_of(type) || (type == Type::kPred) != (found->width == 0)) {
        refuse(fmt::format("register {} does not fit the instruction", text.name));
      }
      return {found->at, found->width};
    }
    refuse(fmt::format("unknown register {}", text.name));
  }
  refuse("the result has to be a register");
}

Operand Decoder::read_predicate(const OperandText& text) {
  if (text.kind == OperandText::Kind::kImmediate) {
    return m_builder.constant(text.bits, 0);
  }
  const auto found = m_builder.find_register(text.name);
  if (text.kind != OperandText::Kind::kName || !found || found->width != 0) {
    refuse("expected a predicate");
  }
  return found->at;
}

Operand Decoder::write_predicate(const OperandText& text) {
  if (text.kind == OperandText::Kind::kSink) {
    return kNoOperand;
  }
  return write(text, Type::kPred);
}

std::vector<OperandText> Decoder::parts(const OperandText& text) {
  if (text.kind == OperandText::Kind::kVector) {
    return text.parts;
  }
  return {text};
}

void Decoder::address(const OperandText& text, Space space, Instruction& instruction) {
  if (text.kind != OperandText::Kind::kAddress) {
    refuse("expected an address");
  }
  instruction.space = space;
  instruction.offset = text.offset;
  instruction.a = kNoOperand;
  if (text.name.empty()) {
    return;
  }
  if (const auto found = m_builder.find_register(text.name)) {
    if (found->width != 8 && (found->width != 4 || space == Space::kGlobal)) {
      refuse(fmt::format("register {} does not hold an address", text.name));
    }
    instruction.a = found->at;
    instruction.a_width = static_cast<std::uint8_t>(found->width);
    return;
  }
  const auto found = m_builder.find_address(text.name);
  if (!found) {
    refuse(fmt::format("unknown name {}", text.name));
  }
  if (found->variable) {
    instruction.a = m_builder.variable_address(*found->variable, 0);
    instruction.a_width = 8;
    return;
  }
  if (found->space != space) {
    refuse(fmt::format("{} is in another space", text.name));
  }
  instruction.offset += static_cast<std::int64_t>(found->offset);
}

Instruction& Decoder::emit(Instruction instruction) {
  for (std::size_t i = 1; i < m_taken.size(); ++i) {
    if (!m_taken[i]) {
      refuse(fmt::format("unsupported modifier .{}", m_statement.opcode[i]));
    }
  }
  if (!m_statement.guard.empty()) {
    OperandText guard;
    guard.name = m_statement.guard;
    instruction.guard = read_predicate(guard);
    instruction.guard_negated = m_statement.guard_negated;
  }
  return m_builder.function().code.emplace_back(instruction);
}

void Decoder::emit(Handler run, Type result, std::initializer_list<Type> sources) {
  if (run == nullptr) {
    refuse("unsupported type");
  }
  expect_operands(1 + sources.size());
  Instruction instruction;
  instruction.run = run;
  instruction.d = write(0, result);
  Operand* const places[] = {&instruction.a, &instruction.b, &instruction.c};
  std::size_t count = 0;
  for (const Type type : sources) {
    *places[count] = read(count + 1, type);
    ++count;
  }
  emit(instruction);
}

void decode(const Statement& statement, FunctionBuilder& builder) {
  const auto found = decode_table().find(statement.opcode[0]);
  Decoder decoder(statement, builder);
  if (found == decode_table().end()) {
    decoder.refuse("unsupported instruction");
  }
  found->second(decoder);
}

}  // namespace kvsieve::ptx
