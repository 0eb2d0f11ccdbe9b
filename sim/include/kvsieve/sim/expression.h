#pragma once
// Small expressions over named values: conditions of --where and the right-hand sides of --derive.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace kvsieve::sim {

/// A number, or text that is none.
using ExpressionValue = std::variant<double, std::string>;
/// The value of a name, or nothing if there is none: comparisons with it are false.
using ExpressionLookup = std::function<std::optional<ExpressionValue>(std::string_view name)>;

struct ExpressionNode;

/// A parsed expression: numbers (5%, 64KiB, 1e3), 'text', names ([A-Za-z_][A-Za-z0-9_.-]*, where a
/// '-' belongs to the name unless spaces surround it), + - * / ( ), min(a, b), max(a, b),
/// < <= > >= == != , and && or `and`, || or `or`, ! or `not`. They bind, loosest first: or, and,
/// not, one comparison, + -, * /, the sign; equals go from left to right. Text is compared byte by
/// byte; a number and text are != and nothing else. Brackets and signs nest at most 64 deep.
class Expression {
 public:
  /// Throws Error(kUsage) with the text, the place and what was expected.
  explicit Expression(std::string_view text);
  Expression(Expression&&) noexcept;
  Expression& operator=(Expression&&) noexcept;
  ~Expression();

  /// The value, 1 or 0 for a condition; nothing if a name in arithmetic has none. Throws
  /// Error(kUsage) for arithmetic on text.
  [[nodiscard]] std::optional<ExpressionValue> evaluate(const ExpressionLookup& lookup) const;
  /// Whether the condition holds. Throws Error(kUsage) if the expression is no condition.
  [[nodiscard]] bool holds(const ExpressionLookup& lookup) const;
  /// The names in it, in order, each once.
  [[nodiscard]] std::vector<std::string> names() const;

 private:
  std::string m_text;
  std::unique_ptr<const ExpressionNode> m_root;
};

/// What an option's text means in an expression: "5%" is 0.05, "64KiB" 65,536, "ada-snapkv" text.
[[nodiscard]] ExpressionValue value_of(std::string_view text);

}  // namespace kvsieve::sim
