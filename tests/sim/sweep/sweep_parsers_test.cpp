// Axes, expressions and objectives from whatever a command line may hold: they are read, or end in
// one kind of error with a short printable line.

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <exception>
#include <string>
#include <string_view>

#include "kvsieve/kernels/counter_random.h"
#include "kvsieve/sim/expression.h"
#include "kvsieve/sim/pareto.h"
#include "kvsieve/sim/sweep_plan.h"
#include "kvsieve/traces/error.h"
#include "traces/printable_line.h"

namespace kvsieve::sim {
namespace {

using kvsieve::tests::is_printable_line;

constexpr std::string_view kSeeds[] = {
    "budget=[5%,10%,20%]",
    "alpha=[0:0.5:0.1]",
    "context[pow2]=[12:17:2]",
    "layers=['0,4','8-11']",
    "budget=[64MiB:192MiB:64MiB]",
    "x=[-1:1:0.001]",
    "tpot_ms < 20 and not l1_loss > 5%",
    "min(budget, 64KiB) / (alpha - 1e3) != 'text' || -x.y >= 0.5",
    "tokens_per_second:max,l1_loss_relative:min",
};
constexpr std::string_view kPieces[] = {
    "[",    "]",        "(",    ")",     "'",  "\"",  ",", ":", "=",  "-",
    "%",    "KiB",      "GB",   "1e",    "e-", "999", ".", "0", "1",  "min(",
    "not ", "!",        " or ", " and ", "<",  "==",  "*", "/", "\n", "\0",
    "\xff", "\xc3\xa9", "pow2", "max",   " ",  "a",   "_", "+", "&&", "||"};

std::string mutated(kernels::CounterRandom& random) {
  const auto below = [&](std::size_t bound) { return random.bits() % bound; };
  std::string text(kSeeds[below(std::size(kSeeds))]);
  for (std::size_t change = below(6); change > 0; --change) {
    const std::size_t at = below(text.size() + 1);
    switch (below(4)) {
      case 0:
        text.erase(at, 1 + below(4));
        break;
      case 1:
        text.insert(at, kPieces[below(std::size(kPieces))]);
        break;
      case 2:
        text.insert(at, std::string(kSeeds[below(std::size(kSeeds))]).substr(below(9)));
        break;
      default:
        if (at < text.size()) {
          text[at] = static_cast<char>(below(256));
        }
    }
  }
  return text;
}

/// Whether `read` accepted the text.
template <class Read>
bool accepts(const std::string& text, const Read& read) {
  try {
    read(text);
    return true;
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage) << text;
    EXPECT_TRUE(is_printable_line(error.what())) << error.what();
    EXPECT_LT(std::string_view(error.what()).size(), 500U) << error.what();
  } catch (const std::exception& error) {
    ADD_FAILURE() << text << ": " << error.what();
  }
  return false;
}

void read_axis(const std::string& text) {
  const SweepAxis axis = parse_axis(text);
  EXPECT_FALSE(axis.name.empty());
  EXPECT_FALSE(axis.values.empty());
  EXPECT_LE(axis.values.size(), 1'000'000U);
}

void read_expression(const std::string& text) {
  const Expression expression(text);
  const auto lookup = [](std::string_view name) -> std::optional<ExpressionValue> {
    return name.size() % 3 == 0 ? std::nullopt : std::optional(value_of(name.substr(1)));
  };
  static_cast<void>(expression.names());
  static_cast<void>(expression.evaluate(lookup));
  static_cast<void>(expression.holds(lookup));
}

TEST(SweepParsers, ReadOrRefuse) {
  kernels::CounterRandom random(5);
  std::array<int, 3> accepted{};
  for (int round = 0; round < 30'000; ++round) {
    const std::string text = mutated(random);
    accepted[0] += accepts(text, read_axis) ? 1 : 0;
    accepted[1] += accepts(text, read_expression) ? 1 : 0;
    accepted[2] += accepts(text,
                           [](const std::string& objectives) {
                             EXPECT_FALSE(parse_objectives(objectives).empty());
                           })
                       ? 1
                       : 0;
    static_cast<void>(value_of(text));
  }
  for (const int count : accepted) {
    EXPECT_GT(count, 500);  // not everything was refused at the first character
  }
}

TEST(SweepParsers, ErrorsStayShort) {
  for (const char piece : {'a', '1', ',', ':', '[', '\'', '=', '(', '<', '.', '-', '%', '\xff'}) {
    const std::string text(100'000, piece);
    accepts(text, read_axis);
    accepts("a=" + text, read_axis);
    accepts("a=[" + text + "]", read_axis);
    accepts("a[pow2]=[" + text + "]", read_axis);
    accepts(text, read_expression);
    accepts("a < " + text, read_expression);
    accepts("b + '" + text + "'", read_expression);
    accepts(text, [](const std::string& all) { static_cast<void>(parse_objectives(all)); });
  }
}

}  // namespace
}  // namespace kvsieve::sim
