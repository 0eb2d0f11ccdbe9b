#include <fmt/format.h>

#include <array>
#include <utility>

#include "kvsieve/traces/error.h"
#include "kvsieve/traces/json_fields.h"
#include "report/clean_text.h"
#include "sweep/expression_node.h"
#include "sweep/quantity.h"

namespace kvsieve::sim {
namespace {

using Node = ExpressionNode;
using Kind = ExpressionNode::Kind;

constexpr int kMostNested = 64;
constexpr std::string_view kOperand = "a number, a name, 'text' or '('";

// Precedence, loosest first: or; and; not; comparisons; + and -; * and /; the sign.
class ExpressionParser {
 public:
  explicit ExpressionParser(std::string_view text) : m_text(text) {}

  Node parse() {
    Node node = any();
    skip_spaces();
    if (m_at < m_text.size()) {
      fail("an operator");
    }
    return node;
  }

 private:
  /// One more level of brackets or signs, while it lives.
  class Level {
   public:
    explicit Level(ExpressionParser& parser) : m_parser(parser) {
      if (++m_parser.m_nested > kMostNested) {
        m_parser.fail(fmt::format("at most {} nested brackets and signs", kMostNested));
      }
    }
    ~Level() { --m_parser.m_nested; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    ExpressionParser& m_parser;
  };

  [[noreturn]] void fail_at(std::size_t at, std::string_view expected,
                            std::string_view found) const {
    throw Error(ErrorKind::kUsage,
                fmt::format("expression '{}': expected {} at character {}, found {}",
                            traces::printable(m_text), expected, at + 1, found));
  }

  [[noreturn]] void fail(std::string_view expected) const {
    const std::string rest = traces::printable(m_text.substr(m_at));
    fail_at(m_at, expected, rest.empty() ? "the end" : fmt::format("'{}'", rest));
  }

  void skip_spaces() {
    while (m_at < m_text.size() &&
           std::string_view(" \t\r\n").find(m_text[m_at]) != std::string_view::npos) {
      ++m_at;
    }
  }

  bool take(std::string_view symbol) {
    skip_spaces();
    if (!m_text.substr(m_at).starts_with(symbol)) {
      return false;
    }
    m_at += symbol.size();
    return true;
  }

  /// The name that comes next, not yet taken; empty if none does.
  std::string_view next_name() {
    skip_spaces();
    const std::string_view rest = m_text.substr(m_at);
    return rest.substr(0, option_name_size(rest));
  }

  bool take_word(std::string_view word) {
    if (next_name() != word) {
      return false;
    }
    m_at += word.size();
    return true;
  }

  /// A part that must be a condition, or must be none.
  template <class Parse>
  Node part(bool condition, const Parse& parse) {
    skip_spaces();
    const std::size_t begin = m_at;
    Node node = parse();
    require(node, condition, begin);
    return node;
  }

  void require(const Node& node, bool condition, std::size_t begin) const {
    if (node.is_condition() != condition) {
      fail_at(begin, condition ? "a condition such as budget <= 10%" : "a value",
              condition ? "a value" : "a condition");
    }
  }

  /// parse (symbol parse)*, or what `parse` gives if there is no such symbol.
  template <class Parse>
  Node joined(Kind kind, std::string_view symbol, std::string_view word, const Parse& parse) {
    skip_spaces();
    const std::size_t begin = m_at;
    Node first = parse();
    if (!take(symbol) && !take_word(word)) {
      return first;
    }
    require(first, true, begin);
    Node node;
    node.kind = kind;
    node.parts.push_back(std::move(first));
    do {
      node.parts.push_back(part(true, parse));
    } while (take(symbol) || take_word(word));
    return node;
  }

  Node any() {
    return joined(Kind::kAny, "||", "or", [&] { return all(); });
  }

  Node all() {
    return joined(Kind::kAll, "&&", "and", [&] { return negation(); });
  }

  Node negation() {
    if (!take("!") && !take_word("not")) {
      return comparison();
    }
    const Level level(*this);
    Node node;
    node.kind = Kind::kNot;
    node.parts.push_back(part(true, [&] { return negation(); }));
    return node;
  }

  bool take_comparison(Kind& kind) {
    static constexpr std::array<std::pair<std::string_view, Kind>, 6> kSymbols{
        {{"<=", Kind::kLessEqual},
         {"<", Kind::kLess},
         {">=", Kind::kGreaterEqual},
         {">", Kind::kGreater},
         {"==", Kind::kEqual},
         {"!=", Kind::kNotEqual}}};
    for (const auto& [symbol, found] : kSymbols) {
      if (take(symbol)) {
        kind = found;
        return true;
      }
    }
    return false;
  }

  Node comparison() {
    skip_spaces();
    const std::size_t begin = m_at;
    Node left = sum();
    Node node;
    if (!take_comparison(node.kind)) {
      return left;
    }
    require(left, false, begin);
    node.parts.push_back(std::move(left));
    node.parts.push_back(part(false, [&] { return sum(); }));
    skip_spaces();
    const std::size_t end = m_at;
    Kind second{};
    if (take_comparison(second)) {
      fail_at(end, "'and' or the end, as comparisons do not chain,",
              fmt::format("'{}'", traces::printable(m_text.substr(end))));
    }
    return node;
  }

  /// parse ((plain | inverse) parse)*.
  template <class Parse>
  Node chain(Kind kind, std::string_view plain, std::string_view inverse, const Parse& parse) {
    skip_spaces();
    const std::size_t begin = m_at;
    Node first = parse();
    Node node;
    while (true) {
      const bool inverted = take(inverse);
      if (!inverted && !take(plain)) {
        break;
      }
      if (node.parts.empty()) {
        require(first, false, begin);
        node.kind = kind;
        node.parts.push_back(std::move(first));
        node.inverse.push_back(false);
      }
      node.parts.push_back(part(false, parse));
      node.inverse.push_back(inverted);
    }
    return node.parts.empty() ? std::move(first) : std::move(node);
  }

  Node sum() {
    return chain(Kind::kSum, "+", "-", [&] { return product(); });
  }

  Node product() {
    return chain(Kind::kProduct, "*", "/", [&] { return signed_operand(); });
  }

  Node signed_operand() {
    if (!take("-")) {
      return operand();
    }
    const Level level(*this);
    Node node;
    node.kind = Kind::kNegative;
    node.parts.push_back(part(false, [&] { return signed_operand(); }));
    return node;
  }

  Node operand() {
    if (take("(")) {
      const Level level(*this);
      Node node = any();
      close();
      return node;
    }
    if (take("'")) {
      return text();
    }
    const std::string_view name = next_name();
    if (!name.empty()) {
      return named(name);
    }
    return number();
  }

  Node text() {
    const std::size_t end = m_text.find('\'', m_at);
    if (end == std::string_view::npos) {
      m_at = m_text.size();
      fail("a closing quote");
    }
    Node node;
    node.kind = Kind::kText;
    node.text = m_text.substr(m_at, end - m_at);
    if (clean_text(node.text) != node.text) {
      fail("one line of printable UTF-8");
    }
    m_at = end + 1;
    return node;
  }

  Node named(std::string_view name) {
    if (name == "and" || name == "or" || name == "not") {
      fail(kOperand);
    }
    const std::size_t begin = m_at;
    m_at += name.size();
    if (take("(")) {
      return function(name, begin);
    }
    Node node;
    node.kind = Kind::kName;
    node.text = name;
    return node;
  }

  Node function(std::string_view name, std::size_t begin) {
    if (name != "min" && name != "max") {
      fail_at(begin, "min(a, b) or max(a, b)", fmt::format("'{}('", traces::printable(name)));
    }
    const Level level(*this);
    Node node;
    node.kind = name == "min" ? Kind::kMin : Kind::kMax;
    node.parts.push_back(part(false, [&] { return any(); }));
    if (!take(",")) {
      fail("','");
    }
    node.parts.push_back(part(false, [&] { return any(); }));
    close();
    return node;
  }

  void close() {
    if (!take(")")) {
      fail("')'");
    }
  }

  Node number() {
    const std::optional<Quantity> quantity = quantity_at_start(m_text.substr(m_at));
    if (!quantity) {
      fail(kOperand);
    }
    const std::optional<double> value = quantity->value();
    if (!value) {
      fail("a number that a double can hold");
    }
    m_at += quantity->size;
    Node node;
    node.number = *value;
    return node;
  }

  std::string_view m_text;
  std::size_t m_at = 0;
  int m_nested = 0;
};

}  // namespace

ExpressionNode ExpressionNode::parse(std::string_view text) {
  return ExpressionParser(text).parse();
}

}  // namespace kvsieve::sim
