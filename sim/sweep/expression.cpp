#include "kvsieve/sim/expression.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "kvsieve/traces/error.h"
#include "kvsieve/traces/json_fields.h"
#include "sweep/expression_node.h"
#include "sweep/quantity.h"

namespace kvsieve::sim {
namespace {

using Node = ExpressionNode;
using Kind = ExpressionNode::Kind;
using Value = std::optional<ExpressionValue>;

// One evaluation.
class ExpressionEvaluator {
 public:
  ExpressionEvaluator(std::string_view text, const ExpressionLookup& lookup)
      : m_text(text), m_lookup(lookup) {}

  bool holds(const Node& node) const {
    const auto part_holds = [&](const Node& part) { return holds(part); };
    switch (node.kind) {
      case Kind::kAll:
        return std::all_of(node.parts.begin(), node.parts.end(), part_holds);
      case Kind::kAny:
        return std::any_of(node.parts.begin(), node.parts.end(), part_holds);
      case Kind::kNot:
        return !holds(node.parts[0]);
      default:
        return compares(node);
    }
  }

  Value value(const Node& node) const {
    switch (node.kind) {
      case Kind::kNumber:
        return node.number;
      case Kind::kText:
        return node.text;
      case Kind::kName:
        return m_lookup(node.text);
      default:
        return calculated(node);
    }
  }

 private:
  bool compares(const Node& node) const {
    const Value left = value(node.parts[0]);
    const Value right = value(node.parts[1]);
    if (!left || !right) {
      return false;
    }
    if (left->index() != right->index()) {
      return node.kind == Kind::kNotEqual;
    }
    return std::visit(
        [&](const auto& a) {
          const auto& b = std::get<std::decay_t<decltype(a)>>(*right);
          switch (node.kind) {
            case Kind::kLess:
              return a < b;
            case Kind::kLessEqual:
              return a <= b;
            case Kind::kGreater:
              return a > b;
            case Kind::kGreaterEqual:
              return a >= b;
            case Kind::kEqual:
              return a == b;
            default:
              return a != b;
          }
        },
        *left);
  }

  Value calculated(const Node& node) const {
    double result = 0.0;
    bool complete = true;
    for (std::size_t i = 0; i < node.parts.size(); ++i) {
      const std::optional<double> part = number(node.parts[i]);
      complete = complete && part.has_value();
      if (complete) {
        result = i == 0 && node.kind != Kind::kNegative ? *part : combined(node, i, result, *part);
      }
    }
    return complete ? Value(result) : std::nullopt;
  }

  static double combined(const Node& node, std::size_t i, double left, double right) {
    switch (node.kind) {
      case Kind::kNegative:
        return -right;
      case Kind::kSum:
        return node.inverse[i] ? left - right : left + right;
      case Kind::kProduct:
        return node.inverse[i] ? left / right : left * right;
      case Kind::kMin:
        return std::min(left, right);
      default:
        return std::max(left, right);
    }
  }

  std::optional<double> number(const Node& node) const {
    const Value found = value(node);
    if (!found) {
      return std::nullopt;
    }
    if (const auto* text = std::get_if<std::string>(&*found)) {
      throw Error(
          ErrorKind::kUsage,
          fmt::format(
              "expression '{}': arithmetic needs numbers, {}'{}' is text",
              traces::printable(m_text),
              node.kind == Kind::kName ? fmt::format("{} = ", traces::printable(node.text)) : "",
              traces::printable(*text)));
    }
    return std::get<double>(*found);
  }

  std::string_view m_text;
  const ExpressionLookup& m_lookup;
};

}  // namespace

Expression::Expression(std::string_view text)
    : m_text(text), m_root(std::make_unique<const Node>(Node::parse(text))) {}

Expression::Expression(Expression&&) noexcept = default;
Expression& Expression::operator=(Expression&&) noexcept = default;
Expression::~Expression() = default;

std::optional<ExpressionValue> Expression::evaluate(const ExpressionLookup& lookup) const {
  const ExpressionEvaluator evaluator(m_text, lookup);
  if (m_root->is_condition()) {
    return evaluator.holds(*m_root) ? 1.0 : 0.0;
  }
  return evaluator.value(*m_root);
}

bool Expression::holds(const ExpressionLookup& lookup) const {
  if (!m_root->is_condition()) {
    throw Error(ErrorKind::kUsage,
                fmt::format("expression '{}' is no condition, expected one such as budget <= 10%",
                            traces::printable(m_text)));
  }
  return ExpressionEvaluator(m_text, lookup).holds(*m_root);
}

std::vector<std::string> Expression::names() const {
  std::vector<std::string> names;
  std::set<std::string_view> seen;
  const auto visit = [&](const auto& self, const Node& node) -> void {
    if (node.kind == Kind::kName && seen.insert(node.text).second) {
      names.push_back(node.text);
    }
    for (const Node& part : node.parts) {
      self(self, part);
    }
  };
  visit(visit, *m_root);
  return names;
}

ExpressionValue value_of(std::string_view text) {
  const bool negative = text.starts_with('-');
  const std::string_view digits = text.substr(negative ? 1 : 0);
  const std::optional<Quantity> quantity = quantity_at_start(digits);
  const std::optional<double> value =
      quantity && quantity->size == digits.size() ? quantity->value() : std::nullopt;
  if (!value) {
    return std::string(text);
  }
  return negative ? -*value : *value;
}

}  // namespace kvsieve::sim
