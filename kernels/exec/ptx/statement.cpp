#include "exec/ptx/statement.h"

#include <fmt/format.h>

#include <bit>
#include <cctype>
#include <charconv>
#include <string>
#include <utility>

#include "kvsieve/traces/error.h"

namespace kvsieve::ptx {
namespace {

constexpr unsigned kMaxDepth = 16;  ///< of operands within operands

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

bool is_name(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '$' || c == '%';
}

class Cursor {
 public:
  Cursor(std::string_view text, std::uint32_t line) : m_text(text), m_line(line) {}

  [[nodiscard]] bool at_end() {
    skip();
    return m_at == m_text.size();
  }
  [[nodiscard]] char peek() {
    skip();
    return m_at < m_text.size() ? m_text[m_at] : '\0';
  }
  bool take(char c) {
    if (peek() != c || at_end()) {
      return false;
    }
    ++m_at;
    return true;
  }
  void expect(char c) {
    if (!take(c)) {
      refuse(fmt::format("expected '{}'", c));
    }
  }
  /// Letters, digits, and what else a name may hold; dots join the parts of special registers.
  std::string_view name() {
    skip();
    const std::size_t begin = m_at;
    while (m_at < m_text.size() &&
           (is_name(m_text[m_at]) || (m_text[m_at] == '.' && m_at > begin))) {
      ++m_at;
    }
    if (m_at == begin) {
      refuse("expected an operand");
    }
    return m_text.substr(begin, m_at - begin);
  }
  /// Everything up to the next blank.
  std::string_view word() {
    skip();
    const std::size_t begin = m_at;
    while (m_at < m_text.size() && !is_blank(m_text[m_at])) {
      ++m_at;
    }
    return m_text.substr(begin, m_at - begin);
  }
  [[noreturn]] void refuse(std::string_view what) const { refuse_ptx(m_line, what, m_text); }

  /// `depth` operands hold it.
  OperandText operand(unsigned depth = 0);
  void immediate(OperandText& result);
  std::int64_t integer();

 private:
  void skip() {
    while (m_at < m_text.size() && is_blank(m_text[m_at])) {
      ++m_at;
    }
  }

  std::string_view m_text;
  std::uint32_t m_line;
  std::size_t m_at = 0;
};

void Cursor::immediate(OperandText& result) {
  const bool negative = take('-');
  std::string_view digits = name();
  result.kind = OperandText::Kind::kImmediate;
  const auto read = [&](std::string_view text, int base) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (error != std::errc{} || end != text.data() + text.size()) {
      refuse("not a number");
    }
    return value;
  };
  const auto starts = [&](char first, char second) {
    return digits.size() > 2 && digits[0] == first && (digits[1] | 0x20) == second;
  };
  if (starts('0', 'f') || starts('0', 'd')) {
    const bool single = (digits[1] | 0x20) == 'f';
    if (digits.size() != (single ? 10U : 18U)) {
      refuse("not a number");
    }
    result.number = single ? OperandText::Number::kSingle : OperandText::Number::kDouble;
    result.bits = read(digits.substr(2), 16);
    if (negative) {
      result.bits ^= std::uint64_t{1} << (single ? 31U : 63U);
    }
    return;
  }
  if (digits.find('.') != std::string_view::npos) {
    double value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc{} || end != digits.data() + digits.size()) {
      refuse("not a number");
    }
    result.number = OperandText::Number::kDouble;
    result.bits = std::bit_cast<std::uint64_t>(negative ? -value : value);
    return;
  }
  if (digits.back() == 'U') {
    digits.remove_suffix(1);
  }
  std::uint64_t value = 0;
  if (starts('0', 'x')) {
    value = read(digits.substr(2), 16);
  } else if (starts('0', 'b')) {
    value = read(digits.substr(2), 2);
  } else if (digits.size() > 1 && digits[0] == '0') {
    value = read(digits.substr(1), 8);
  } else {
    value = read(digits, 10);
  }
  result.bits = negative ? std::uint64_t{0} - value : value;
}

/// What follows a '+': a number that may be negative.
std::int64_t Cursor::integer() {
  OperandText number;
  immediate(number);
  if (number.number != OperandText::Number::kInteger) {
    refuse("expected a whole number");
  }
  return static_cast<std::int64_t>(number.bits);
}

OperandText Cursor::operand(unsigned depth) {
  if (depth > kMaxDepth) {
    refuse(fmt::format("operands within operands, at most {} deep", kMaxDepth));
  }
  OperandText result;
  const char first = peek();
  // Calls write their parameters in parentheses.
  for (const auto& [open, close] : {std::pair{'{', '}'}, std::pair{'(', ')'}}) {
    if (take(open)) {
      result.kind = OperandText::Kind::kVector;
      do {
        result.parts.push_back(operand(depth + 1));
      } while (take(','));
      expect(close);
      return result;
    }
  }
  if (take('[')) {
    result = operand(depth + 1);
    if (result.kind != OperandText::Kind::kName && result.kind != OperandText::Kind::kImmediate) {
      refuse("not an address");
    }
    if (result.kind == OperandText::Kind::kImmediate) {
      result.offset = static_cast<std::int64_t>(result.bits);
    }
    result.kind = OperandText::Kind::kAddress;
    expect(']');
    return result;
  }
  if (take('!')) {
    result = operand(depth + 1);
    result.negated = !result.negated;
    return result;
  }
  if (first == '-' || std::isdigit(static_cast<unsigned char>(first)) != 0) {
    immediate(result);
    return result;
  }
  result.name = name();
  if (result.name == "_") {
    result.kind = OperandText::Kind::kSink;
  } else if (take('+')) {
    result.offset = integer();
  }
  if (take('|')) {
    OperandText pair;
    pair.kind = OperandText::Kind::kPair;
    pair.parts.push_back(std::move(result));
    pair.parts.push_back(operand(depth + 1));
    return pair;
  }
  return result;
}

}  // namespace

void refuse_ptx(std::uint32_t line, std::string_view what, std::string_view text) {
  // A statement over several lines is shown in one.
  std::string shown;
  for (const char c : text) {
    if (!is_blank(c)) {
      shown.push_back(c);
    } else if (!shown.empty() && shown.back() != ' ') {
      shown.push_back(' ');
    }
  }
  while (!shown.empty() && shown.back() == ' ') {
    shown.pop_back();
  }
  throw Error(ErrorKind::kBadInput, fmt::format("PTX line {}: {}: '{}'", line, what, shown));
}

Statement parse_statement(std::string_view text, std::uint32_t line) {
  Statement result;
  result.line = line;
  result.text = text;
  Cursor cursor(text, line);
  if (cursor.take('@')) {
    result.guard_negated = cursor.take('!');
    result.guard = cursor.name();
  }
  std::string_view opcode = cursor.word();
  if (opcode.empty()) {
    cursor.refuse("expected an instruction");
  }
  while (true) {
    const std::size_t dot = opcode.find('.');
    result.opcode.push_back(opcode.substr(0, dot));
    if (dot == std::string_view::npos) {
      break;
    }
    opcode.remove_prefix(dot + 1);
  }
  if (!cursor.at_end()) {
    do {
      result.operands.push_back(cursor.operand());
    } while (cursor.take(','));
  }
  if (!cursor.at_end()) {
    cursor.refuse("unexpected text after the operands");
  }
  return result;
}

}  // namespace kvsieve::ptx
