// The language of conditions and derived options, by hand and against an evaluator of its own.

#include "kvsieve/sim/expression.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kvsieve/kernels/counter_random.h"
#include "kvsieve/traces/error.h"
#include "traces/fails_with.h"

namespace kvsieve::sim {
namespace {

using kvsieve::tests::fails_with;

std::optional<ExpressionValue> sample_value(std::string_view name) {
  static const std::map<std::string, ExpressionValue, std::less<>> kValues = {
      {"a", 2.0},          {"b", 3.0},
      {"budget", 0.05},    {"context", 65'536.0},
      {"alpha-mode", 7.0}, {"cost.step_us", 12.5},
      {"_x1", 1.0},        {"order", 5.0},
      {"nota", 6.0},       {"min", 9.0},
      {"method", "a2ats"}, {"batch", "max"},
      {"empty", ""},
  };
  const auto found = kValues.find(name);
  return found == kValues.end() ? std::nullopt : std::optional(found->second);
}

double number_of(const std::string& text) {
  const auto value = Expression(text).evaluate(sample_value);
  if (!value || !std::holds_alternative<double>(*value)) {
    ADD_FAILURE() << text << " is no number";
    return std::nan("");
  }
  return std::get<double>(*value);
}

TEST(Expression, ReadsNumbers) {
  const struct {
    const char* text;
    double value;
  } cases[] = {
      {"0", 0.0},           {"42", 42.0},
      {"007", 7.0},         {"1.5", 1.5},
      {".5", 0.5},          {"5.", 5.0},
      {"1e3", 1000.0},      {"1E-2", 0.01},
      {"2.5e+1", 25.0},     {"1e-999", -1.0},
      {"5%", 0.05},         {"12.3%", 0.123},
      {"1e1%", 0.1},        {"29%", 0.29},
      {"100%", 1.0},        {"64KiB", 65'536.0},
      {"1.5MiB", 1572864.}, {"2GiB", 2147483648.},
      {"3KB", 3000.0},      {"1.1MB", 1'100'000.0},
      {"0.3GB", 3e8},       {"7B", 7.0},
      {"0.1", 0.1},         {"9007199254740993", 9007199254740992.},
  };
  for (const auto& item : cases) {
    if (item.value < 0.0) {
      EXPECT_EQ(value_of(item.text), ExpressionValue(item.text));
      EXPECT_THROW(Expression{item.text}, Error);
      continue;
    }
    EXPECT_EQ(number_of(item.text), item.value) << item.text;
    EXPECT_EQ(value_of(item.text), ExpressionValue(item.value)) << item.text;
    EXPECT_EQ(value_of(std::string("-") + item.text), ExpressionValue(-item.value)) << item.text;
  }
}

TEST(Expression, EveryPercentageIsTheNearestDouble) {
  for (int thousandths = 0; thousandths <= 2000; ++thousandths) {
    const std::string percent = fmt::format("{}.{}%", thousandths / 10, thousandths % 10);
    EXPECT_EQ(value_of(percent), ExpressionValue(thousandths / 1000.0)) << percent;
  }
}

TEST(Expression, WhatIsNoNumberIsText) {
  for (const std::string text :
       {"",         " ",     "-",    "+5",         "--5",  "5 ",   " 5",    "5%%",
        "5kb",      "5TiB",  "0x10", "nan",        "inf",  "-inf", "1e",    "1e+",
        "1,5",      "1.2.3", "5 %",  "ada-snapkv", "8-11", "0,4",  "1e400", "1e99999999999",
        "1e308GiB", ".",     "%",    "KiB"}) {
    EXPECT_EQ(value_of(text), ExpressionValue(text)) << text;
  }
}

TEST(Expression, BindsByPrecedenceFromLeftToRight) {
  const struct {
    const char* text;
    double value;
  } cases[] = {
      {"1 + 2 * 3", 7},
      {"(1 + 2) * 3", 9},
      {"10 - 4 - 3", 3},
      {"10 - (4 - 3)", 9},
      {"10 - 4 + 3", 9},
      {"64 / 4 / 2", 8},
      {"64 / (4 / 2)", 32},
      {"64 / 4 * 2", 32},
      {"2 * 3 + 4 * 5", 26},
      {"2 - 3 * 4", -10},
      {"-2 * 3", -6},
      {"-2 + 3", 1},
      {"2 * -3", -6},
      {"2 - -3", 5},
      {"2--3", 5},
      {"- - 2", 2},
      {"-(2 + 3)", -5},
      {"1/3", 1.0 / 3.0},
      {"0.1 + 0.2", 0.1 + 0.2},
      {"min(2, 3)", 2},
      {"max(2, 3)", 3},
      {"max(min(5, 1), -2) * 4", 4},
      {"min (1 + 2 , 2 * 4)", 3},
      {"a + b", 5},
      {"a - b", -1},
      {"a -b", -1},
      {"a- b", -1},
      {"a-(b)", -1},
      {"a*b -4", 2},
      {"(a)-b", -1},
      {"2-b", -1},
      {"alpha-mode + 1", 8},
      {"cost.step_us * 2", 25},
      {"_x1", 1},
      {"min + 1", 10},
      {"min(min, 4)", 4},
      {"context / 64KiB", 1},
      {"budget * 100", 0.05 * 100},
      {" \t2\n+\r2 ", 4},
      // Conditions are 1 or 0.
      {"1 < 2", 1},
      {"2 < 1", 0},
      {"(1 < 2) and not (2 < 1)", 1},
  };
  for (const auto& item : cases) {
    EXPECT_EQ(number_of(item.text), item.value) << item.text;
  }
  EXPECT_TRUE(std::isinf(number_of("1 / 0")));
  EXPECT_TRUE(std::isnan(number_of("0 / 0")));
}

TEST(Expression, Holds) {
  const struct {
    const char* text;
    bool holds;
  } cases[] = {
      {"1 < 2", true},
      {"2 < 2", false},
      {"2 <= 2", true},
      {"2 > 2", false},
      {"2 >= 2", true},
      {"2 == 2", true},
      {"2 != 2", false},
      {"1+1==2", true},
      {"1 < 2 + 3", true},
      {"budget == 5%", true},
      {"budget==0.05 and context<=64KiB", true},
      {"budget < 5% || context == 65536", true},
      // and binds tighter than or, not tighter than and.
      {"1 < 2 or 1 < 2 and 2 < 1", true},
      {"(1 < 2 or 1 < 2) and 2 < 1", false},
      {"2 < 1 and 1 < 2 or 1 < 2", true},
      {"2 < 1 and (1 < 2 or 1 < 2)", false},
      {"not 2 < 1", true},
      {"! 2 < 1", true},
      {"!(1 < 2)", false},
      {"not 1 < 2 or 1 < 2", true},
      {"not (1 < 2 or 1 < 2)", false},
      {"not 2 < 1 and 2 < 1", false},
      {"not (2 < 1 and 2 < 1)", true},
      {"not not 1 < 2", true},
      {"!!1<2", true},
      {"1<2&&2<3&&3<4", true},
      {"1<2&&2<3&&4<3", false},
      {"2<1||3<2||1<2", true},
      {"1 < 2 && 2 < 1 or 1 < 2 and 2 < 3", true},
      // Words are words of their own.
      {"order == 5 and nota == 6", true},
      {"order==5or nota==6", true},
      // Text.
      {"method == 'a2ats'", true},
      {"method != 'a2ats'", false},
      {"method == 'A2ATS'", false},
      {"'a' < 'b'", true},
      {"'B' < 'a'", true},
      {"'a' < 'ab'", true},
      {"'' <= empty", true},
      {"'z' < '\xc3\xa9'", true},
      // A number and text are unequal, and neither is less.
      {"batch == 8", false},
      {"batch != 8", true},
      {"batch < 8", false},
      {"batch <= 8", false},
      {"batch > 8", false},
      {"batch >= 8", false},
      {"not batch <= 8", true},
      {"'5' == 5", false},
      {"budget == '5%'", false},
      // What is missing compares as false.
      {"missing < 1", false},
      {"missing >= 1", false},
      {"missing == 1", false},
      {"missing != 1", false},
      {"1 != missing", false},
      {"missing == missing", false},
      {"missing + 1 < 5", false},
      {"max(1, missing) > 0", false},
      {"not missing < 1", true},
      {"missing < 1 or 1 < 2", true},
      // So does what is no number.
      {"0/0 == 0/0", false},
      {"0/0 != 1", true},
      {"1/0 > 1e300", true},
  };
  for (const auto& item : cases) {
    EXPECT_EQ(Expression(item.text).holds(sample_value), item.holds) << item.text;
    EXPECT_EQ(number_of(item.text), item.holds ? 1.0 : 0.0) << item.text;
  }
}

TEST(Expression, MissingNamesHaveNoValue) {
  for (const char* text : {"missing", "a*b-4", "missing + 1", "1 - missing", "-missing",
                           "min(missing, 1)", "max(1, missing)", "2 * (3 + missing)"}) {
    EXPECT_FALSE(Expression(text).evaluate(sample_value)) << text;
  }
}

TEST(Expression, GivesText) {
  EXPECT_EQ(Expression("method").evaluate(sample_value), ExpressionValue("a2ats"));
  EXPECT_EQ(Expression("'5%'").evaluate(sample_value), ExpressionValue("5%"));
  EXPECT_EQ(Expression("('')").evaluate(sample_value), ExpressionValue(""));
}

TEST(Expression, RefusesArithmeticOnText) {
  const struct {
    const char* text;
    const char* message;
  } cases[] = {
      {"method + 1", "expression 'method + 1': arithmetic needs numbers, method = 'a2ats' is text"},
      {"1 * 'x'", "expression '1 * 'x'': arithmetic needs numbers, 'x' is text"},
      {"-batch", "batch = 'max' is text"},
      {"min(1, batch)", "batch = 'max' is text"},
      {"missing + batch", "batch = 'max' is text"},
      {"2 * batch < 3", "batch = 'max' is text"},
  };
  for (const auto& item : cases) {
    EXPECT_TRUE(fails_with(ErrorKind::kUsage, item.message, [&] {
      static_cast<void>(Expression(item.text).evaluate(sample_value));
    })) << item.text;
  }
}

TEST(Expression, SaysWhatIsWrongAndWhere) {
  const struct {
    const char* text;
    const char* message;
  } cases[] = {
      {"", "expression '': expected a number, a name, 'text' or '(' at character 1, found the end"},
      {"1 +", "expected a number, a name, 'text' or '(' at character 4, found the end"},
      {"1 + * 2", "expected a number, a name, 'text' or '(' at character 5, found '* 2'"},
      {"+1", "expected a number, a name, 'text' or '(' at character 1, found '+1'"},
      {"and < 1", "expected a number, a name, 'text' or '(' at character 1, found 'and < 1'"},
      {"1 2", "expected an operator at character 3, found '2'"},
      {"5x", "expected an operator at character 2, found 'x'"},
      {"5kb", "expected an operator at character 2, found 'kb'"},
      {"a = 1", "expected an operator at character 3, found '= 1'"},
      {"1 < 2)", "expected an operator at character 6, found ')'"},
      {"(1 < 2", "expected ')' at character 7, found the end"},
      {"(1, 2)", "expected ')' at character 3, found ', 2)'"},
      {"1 < 2 < 3", "comparisons do not chain, at character 7, found '< 3'"},
      {"'abc", "expected a closing quote at character 5, found the end"},
      {"'a\nb' == a", "expected one line of printable UTF-8 at character 2"},
      {"'\xff' == a", "expected one line of printable UTF-8 at character 2"},
      {"1e999", "expected a number that a double can hold at character 1, found '1e999'"},
      {"min(1)", "expected ',' at character 6, found ')'"},
      {"min(1, 2, 3)", "expected ')' at character 9, found ', 3)'"},
      {"1 + floor(2)", "expected min(a, b) or max(a, b) at character 5, found 'floor('"},
      {"a and 1 < 2", "expected a condition such as budget <= 10% at character 1, found a value"},
      {"1 < 2 and a", "expected a condition such as budget <= 10% at character 11, found a value"},
      {"1 < 2 or (a + 1)", "at character 10, found a value"},
      {"not a", "expected a condition such as budget <= 10% at character 5, found a value"},
      {"(1 < 2) + 1", "expected a value at character 1, found a condition"},
      {"1 + (1 < 2)", "expected a value at character 5, found a condition"},
      {"1 * (not a < b)", "expected a value at character 5, found a condition"},
      {"-(1 < 2)", "expected a value at character 2, found a condition"},
      {"(1 < 2) == 1", "expected a value at character 1, found a condition"},
      {"1 == (1 < 2)", "expected a value at character 6, found a condition"},
      {"max(a, a < b)", "expected a value at character 8, found a condition"},
      {"1 == not 2 < 3", "expected a number, a name, 'text' or '(' at character 6"},
      {"a $ b", "expected an operator at character 3, found '$ b'"},
      {"a & b", "expected an operator at character 3, found '& b'"},
      {"\xff", "at character 1, found '\\ufffd'"},
  };
  for (const auto& item : cases) {
    EXPECT_TRUE(fails_with(ErrorKind::kUsage, item.message, [&] {
      static_cast<void>(Expression(item.text));
    })) << item.text;
  }
  for (const char* text : {"budget", "1", "'text'", "a + b", "min(a, b)"}) {
    EXPECT_TRUE(fails_with(ErrorKind::kUsage, "is no condition, expected one such as", [&] {
      static_cast<void>(Expression(text).holds(sample_value));
    })) << text;
  }
}

TEST(Expression, NamesStandInOrderEachOnce) {
  EXPECT_EQ(Expression("b < a and (x-y - a > 2 or min(z.k, b) == 'q') and not c == 1").names(),
            (std::vector<std::string>{"b", "a", "x-y", "z.k", "c"}));
  EXPECT_TRUE(Expression("1 + 2").names().empty());
}

std::string repeated(std::string_view text, std::size_t times) {
  std::string all;
  all.reserve(text.size() * times);
  for (std::size_t i = 0; i < times; ++i) {
    all += text;
  }
  return all;
}

TEST(Expression, NestsToALimit) {
  EXPECT_EQ(number_of(repeated("(", 64) + "1" + repeated(")", 64)), 1.0);
  EXPECT_EQ(number_of(repeated("-", 64) + "1"), 1.0);
  EXPECT_EQ(number_of(repeated("min(1,", 64) + "1" + repeated(")", 64)), 1.0);
  EXPECT_TRUE(Expression(repeated("not ", 64) + "1 < 2").holds(sample_value));
  EXPECT_TRUE(Expression(repeated("not (", 32) + "1 < 2" + repeated(")", 32)).holds(sample_value));
  for (const char* opening : {"(", "-", "!", "not ", "min(", "max(1,", "not (", "-(", "1-("}) {
    for (const std::size_t times : {65U, 1'000'000U}) {
      EXPECT_TRUE(
          fails_with(ErrorKind::kUsage, "expected at most 64 nested brackets and signs",
                     [&] { static_cast<void>(Expression(repeated(opening, times) + "1")); }))
          << opening;
    }
  }
}

TEST(Expression, ChainsAreAsLongAsTheyLike) {
  constexpr std::size_t kTimes = 200'000;
  EXPECT_EQ(number_of("1" + repeated(" + 1", kTimes)), 200'001.0);
  EXPECT_EQ(number_of("0" + repeated(" - 1", kTimes)), -200'000.0);
  EXPECT_EQ(number_of("3" + repeated("*2/2", kTimes)), 3.0);
  EXPECT_TRUE(Expression("1<2" + repeated(" and 1<2", kTimes)).holds(sample_value));
  EXPECT_FALSE(Expression("1>2" + repeated("||1>2", kTimes)).holds(sample_value));
  EXPECT_EQ(Expression("a" + repeated("+a", kTimes)).names(), std::vector<std::string>{"a"});
}

TEST(Expression, Moves) {
  Expression first("a + 1");
  Expression second(std::move(first));
  EXPECT_EQ(second.evaluate(sample_value), ExpressionValue(3.0));
  second = Expression("b + 1");
  EXPECT_EQ(second.evaluate(sample_value), ExpressionValue(4.0));
}

// ------------------------------------------------------------------------------------------------
// Random expressions: a tree of binary operations, written with as few brackets as its precedence
// needs (and some more) and evaluated on its own.

struct Tree {
  std::string symbol;  // empty for a leaf
  std::string leaf;
  double value = 0.0;
  bool missing = false;
  std::vector<Tree> parts;
};

class RandomTrees {
 public:
  explicit RandomTrees(std::uint64_t seed) : m_random(seed) {}

  Tree number(int depth) {
    if (depth == 0 || below(4) == 0) {
      return leaf();
    }
    static constexpr std::string_view kSymbols[] = {"+", "-", "*", "/", "min", "max", "negative"};
    Tree tree;
    tree.symbol = kSymbols[below(7)];
    tree.parts.push_back(number(depth - 1));
    if (tree.symbol != "negative") {
      tree.parts.push_back(number(depth - 1));
    }
    return tree;
  }

  Tree condition(int depth) {
    Tree tree;
    if (depth == 0 || below(3) == 0) {
      static constexpr std::string_view kSymbols[] = {"<", "<=", ">", ">=", "==", "!="};
      tree.symbol = kSymbols[below(6)];
      tree.parts.push_back(number(2));
      tree.parts.push_back(number(2));
      return tree;
    }
    static constexpr std::string_view kSymbols[] = {"and", "or", "not"};
    tree.symbol = kSymbols[below(3)];
    tree.parts.push_back(condition(depth - 1));
    if (tree.symbol != "not") {
      tree.parts.push_back(condition(depth - 1));
    }
    return tree;
  }

  std::string text(const Tree& tree, int least = 0) {
    const int own = precedence(tree);
    std::string inner = bare(tree, own);
    return own < least || below(8) == 0 ? "(" + inner + ")" : inner;
  }

 private:
  std::uint64_t below(std::uint64_t bound) { return m_random.bits() % bound; }

  Tree leaf() {
    Tree tree;
    switch (below(6)) {
      case 0:
        tree.leaf = "missing";
        tree.missing = true;
        break;
      case 1:
        tree.leaf = "a";
        tree.value = 2.0;
        break;
      case 2:
        tree.leaf = "alpha-mode";
        tree.value = 7.0;
        break;
      case 3: {
        const auto percent = below(200);
        tree.leaf = fmt::format("{}%", percent);
        tree.value = static_cast<double>(percent) / 100.0;
        break;
      }
      default:
        tree.value = static_cast<double>(below(10));
        tree.leaf = fmt::format("{}", tree.value);
    }
    return tree;
  }

  static int precedence(const Tree& tree) {
    static const std::map<std::string, int> kOf = {
        {"or", 1}, {"and", 2}, {"not", 3}, {"<", 4}, {"<=", 4}, {">", 4}, {">=", 4},
        {"==", 4}, {"!=", 4},  {"+", 5},   {"-", 5}, {"*", 6},  {"/", 6}, {"negative", 7}};
    const auto found = kOf.find(tree.symbol);
    return found == kOf.end() ? 8 : found->second;
  }

  std::string space() { return std::string(below(3), ' '); }

  std::string bare(const Tree& tree, int own) {
    if (tree.symbol.empty()) {
      return tree.leaf;
    }
    if (tree.symbol == "min" || tree.symbol == "max") {
      std::string inner = tree.symbol + space() + "(" + text(tree.parts[0]) + space();
      return inner + "," + space() + text(tree.parts[1]) + ")";
    }
    if (tree.symbol == "negative") {
      return "-" + space() + text(tree.parts[0], own);
    }
    if (tree.symbol == "not") {
      return (below(2) == 0 ? "not " : "!") + text(tree.parts[0], own);
    }
    // Comparisons do not chain, so neither side may be one; the others go from left to right.
    const std::string left = text(tree.parts[0], own == 4 ? own + 1 : own);
    const std::string right = text(tree.parts[1], own + 1);
    if (own <= 2) {
      const std::string sign = tree.symbol == "or" ? "||" : "&&";
      return below(2) == 0 ? left + " " + tree.symbol + " " + right : left + sign + right;
    }
    // A '-' without spaces would belong to the name before it.
    const std::string around = tree.symbol == "-" ? " " : space();
    return left + around + tree.symbol + around + right;
  }

  kernels::CounterRandom m_random;
};

std::optional<double> expected_value(const Tree& tree) {
  if (tree.symbol.empty()) {
    return tree.missing ? std::nullopt : std::optional(tree.value);
  }
  const std::optional<double> left = expected_value(tree.parts[0]);
  if (tree.symbol == "negative") {
    return left ? std::optional(-*left) : std::nullopt;
  }
  const std::optional<double> right = expected_value(tree.parts[1]);
  if (!left || !right) {
    return std::nullopt;
  }
  if (tree.symbol == "min" || tree.symbol == "max") {
    // As std::min and std::max take what is no number.
    const bool second = tree.symbol == "min" ? *right < *left : *left < *right;
    return second ? right : left;
  }
  switch (tree.symbol[0]) {
    case '+':
      return *left + *right;
    case '-':
      return *left - *right;
    case '*':
      return *left * *right;
    default:
      return *left / *right;
  }
}

bool expected_holds(const Tree& tree) {
  if (tree.symbol == "not") {
    return !expected_holds(tree.parts[0]);
  }
  if (tree.symbol == "and" || tree.symbol == "or") {
    const bool left = expected_holds(tree.parts[0]);
    const bool right = expected_holds(tree.parts[1]);
    return tree.symbol == "and" ? left && right : left || right;
  }
  const std::optional<double> left = expected_value(tree.parts[0]);
  const std::optional<double> right = expected_value(tree.parts[1]);
  if (!left || !right) {
    return false;
  }
  const std::map<std::string, bool> results = {{"<", *left < *right},   {"<=", *left <= *right},
                                               {">", *left > *right},   {">=", *left >= *right},
                                               {"==", *left == *right}, {"!=", *left != *right}};
  return results.at(tree.symbol);
}

TEST(Expression, RandomArithmeticAgrees) {
  RandomTrees trees(11);
  int missing = 0;
  for (int round = 0; round < 20'000; ++round) {
    const Tree tree = trees.number(1 + round % 5);
    const std::string text = trees.text(tree);
    const std::optional<double> expected = expected_value(tree);
    const auto value = Expression(text).evaluate(sample_value);
    ASSERT_EQ(value.has_value(), expected.has_value()) << text;
    missing += expected ? 0 : 1;
    if (expected && !std::isnan(*expected)) {
      ASSERT_EQ(std::get<double>(*value), *expected) << text;
    } else if (expected) {
      ASSERT_TRUE(std::isnan(std::get<double>(*value))) << text;
    }
  }
  EXPECT_GT(missing, 1000);
  EXPECT_LT(missing, 19'000);
}

TEST(Expression, RandomConditionsAgree) {
  RandomTrees trees(12);
  int held = 0;
  for (int round = 0; round < 20'000; ++round) {
    const Tree tree = trees.condition(1 + round % 5);
    const std::string text = trees.text(tree);
    const bool expected = expected_holds(tree);
    held += expected ? 1 : 0;
    ASSERT_EQ(Expression(text).holds(sample_value), expected) << text;
  }
  EXPECT_GT(held, 5000);
  EXPECT_LT(held, 15'000);
}

}  // namespace
}  // namespace kvsieve::sim
