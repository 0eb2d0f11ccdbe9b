// Feeds text to all that a sweep reads from its command line: axes, expressions, objectives.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "kvsieve/sim/expression.h"
#include "kvsieve/sim/pareto.h"
#include "kvsieve/sim/sweep_plan.h"
#include "kvsieve/traces/error.h"
#include "require.h"

using kvsieve::sim::Expression;
using kvsieve::sim::ExpressionValue;
using kvsieve::tests::require;

namespace {

template <class Read>
void attempt(const Read& read) {
  try {
    read();
  } catch (const kvsieve::Error& error) {
    kvsieve::tests::require_error(error, kvsieve::ErrorKind::kUsage);
  }
}

void read_axis(std::string_view text) {
  const kvsieve::sim::SweepAxis axis = kvsieve::sim::parse_axis(text);
  require(!axis.name.empty(), "an axis has a name");
  require(!axis.values.empty() && axis.values.size() <= 1'000'000, "an axis has values");
}

/// Some names are numbers, some text, some missing.
std::optional<ExpressionValue> value_of_name(std::string_view name) {
  return name.size() % 3 == 0 ? std::nullopt
                              : std::optional(kvsieve::sim::value_of(name.substr(1)));
}

void evaluate(std::string_view text) {
  const Expression expression(text);
  require(expression.names().size() <= text.size(), "names stand in the text");
  static_cast<void>(expression.evaluate(value_of_name));
  static_cast<void>(expression.holds(value_of_name));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  attempt([&] { read_axis(text); });
  attempt([&] { evaluate(text); });
  attempt([&] { static_cast<void>(kvsieve::sim::parse_objectives(text)); });
  static_cast<void>(kvsieve::sim::value_of(text));
  return 0;
}
