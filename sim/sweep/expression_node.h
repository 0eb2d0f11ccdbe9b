#pragma once
// What an expression is once it was parsed.

#include <string>
#include <string_view>
#include <vector>

namespace kvsieve::sim {

/// Chains such as a + b - c are one node, so that a tree is no deeper than the brackets and signs
/// of its text, however long that is.
struct ExpressionNode {
  enum class Kind {
    kNumber,
    kText,
    kName,
    kNegative,  ///< -parts[0]
    kSum,       ///< parts, those with inverse[i] subtracted
    kProduct,   ///< parts, those with inverse[i] divided by
    kMin,
    kMax,
    kLess,
    kLessEqual,
    kGreater,
    kGreaterEqual,
    kEqual,
    kNotEqual,
    kAll,  ///< parts joined with and
    kAny,  ///< parts joined with or
    kNot,
  };

  Kind kind = Kind::kNumber;
  double number = 0.0;
  std::string text;  ///< of kText, or the name
  std::vector<ExpressionNode> parts;
  std::vector<bool> inverse;

  /// Whether it holds or not, rather than having a value.
  [[nodiscard]] bool is_condition() const noexcept { return kind >= Kind::kLess; }

  /// Throws as Expression's constructor does.
  [[nodiscard]] static ExpressionNode parse(std::string_view text);
};

}  // namespace kvsieve::sim
