#pragma once
// An instruction of PTX taken apart, its words not yet understood.

#include <cstdint>
#include <string_view>
#include <vector>

namespace kvsieve::ptx {

struct OperandText {
  enum class Kind : std::uint8_t {
    kName,  ///< register, special register, variable, label; with an offset `name+4`
    kImmediate,
    kAddress,  ///< [name+offset], [immediate]; the name is empty for an immediate
    kVector,   ///< {a, b}
    kPair,     ///< a|b
    kSink,     ///< _
  };
  Kind kind = Kind::kName;
  std::string_view name;
  bool negated = false;     ///< !p
  std::int64_t offset = 0;  ///< of a name or an address
  std::uint64_t bits = 0;   ///< of an immediate
  enum class Number : std::uint8_t { kInteger, kSingle, kDouble } number = Number::kInteger;
  std::vector<OperandText> parts;
};

struct Statement {
  std::uint32_t line = 0;
  std::string_view text;
  std::string_view guard;
  bool guard_negated = false;
  std::vector<std::string_view> opcode;  ///< "ld", "global", "v4", "f32"
  std::vector<OperandText> operands;

  [[nodiscard]] bool has(std::string_view modifier) const {
    for (std::size_t i = 1; i < opcode.size(); ++i) {
      if (opcode[i] == modifier) {
        return true;
      }
    }
    return false;
  }
};

/// From the text of an instruction without its semicolon; blanks stand where comments stood.
/// Throws Error(kBadInput) with the line and the text.
[[nodiscard]] Statement parse_statement(std::string_view text, std::uint32_t line);

/// Throws Error(kBadInput) "PTX line N: what: 'text'".
[[noreturn]] void refuse_ptx(std::uint32_t line, std::string_view what, std::string_view text);

}  // namespace kvsieve::ptx
