#include "hardware/sourced_fields.h"

#include <cmath>

namespace kvsieve::sim {

using nlohmann::ordered_json;

std::string text_from_json(const traces::JsonFields& fields, std::string_view key) {
  std::string text = fields.string(key);
  if (text.empty()) {
    fields.fail(key, "text");
  }
  return text;
}

Sourced sourced_from_json(const traces::JsonFields& fields, std::string_view key,
                          NumberRange range) {
  if (!fields.has(key) || !fields.raw(key).is_object()) {
    fields.fail(key, R"(an object {"value", "source", "verified"})");
  }
  const traces::JsonFields number = fields.object(key);
  number.allow_only({"value", "source", "verified"});
  Sourced result;
  result.value = number.number("value");
  switch (range) {
    case NumberRange::kPositive:
      if (result.value <= 0.0) {
        number.fail("value", "a number above 0");
      }
      break;
    case NumberRange::kNonNegative:
      if (result.value < 0.0) {
        number.fail("value", "0 or more");
      }
      break;
    case NumberRange::kShare:
      if (result.value <= 0.0 || result.value > 1.0) {
        number.fail("value", "a share: above 0, at most 1");
      }
      break;
  }
  result.source = text_from_json(number, "source");
  result.verified = number.boolean_or("verified", false);
  return result;
}

ordered_json to_json(const Sourced& number) {
  constexpr double kExact = 9007199254740992.0;  // 2^53: whole numbers below read as such
  ordered_json value = number.value;
  if (std::abs(number.value) < kExact && number.value == std::floor(number.value)) {
    value = static_cast<std::int64_t>(number.value);
  }
  return {{"value", value}, {"source", number.source}, {"verified", number.verified}};
}

}  // namespace kvsieve::sim
