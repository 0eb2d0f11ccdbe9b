#include "sweep/quantity.h"

#include <array>
#include <charconv>
#include <cmath>
#include <string>

namespace kvsieve::sim {
namespace {

struct UnitScale {
  std::string_view text;
  int power_of_ten = 0;
  int power_of_two = 0;
};

// A unit stands before those that it ends with.
constexpr std::array<UnitScale, 8> kUnits{{{"%", -2, 0},
                                           {"KiB", 0, 10},
                                           {"MiB", 0, 20},
                                           {"GiB", 0, 30},
                                           {"KB", 3, 0},
                                           {"MB", 6, 0},
                                           {"GB", 9, 0},
                                           {"B", 0, 0}}};

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool begins_name(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

std::size_t count_digits(std::string_view text) {
  std::size_t count = 0;
  while (count < text.size() && is_digit(text[count])) {
    ++count;
  }
  return count;
}

UnitScale scale_of(std::string_view unit) {
  for (const UnitScale& scale : kUnits) {
    if (scale.text == unit) {
      return scale;
    }
  }
  return {};
}

}  // namespace

std::optional<double> Quantity::value() const {
  int shift = 0;
  if (!exponent.empty()) {
    const std::string_view number = exponent.substr(exponent.front() == '+' ? 1 : 0);
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), shift);
    // Far beyond any double, and far from overflowing the sum below.
    if (error != std::errc() || shift > 1'000'000 || shift < -1'000'000) {
      return std::nullopt;
    }
  }
  const UnitScale scale = scale_of(unit);
  const std::string text = std::string(digits) + 'e' + std::to_string(shift + scale.power_of_ten);
  double value = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  value = std::ldexp(value, scale.power_of_two);
  if (error != std::errc() || !std::isfinite(value)) {
    return std::nullopt;
  }
  return value;
}

std::optional<Quantity> quantity_at_start(std::string_view text) {
  const std::size_t whole = count_digits(text);
  std::size_t fraction = 0;
  std::size_t size = whole;
  if (size < text.size() && text[size] == '.') {
    fraction = count_digits(text.substr(size + 1));
    size += 1 + fraction;
  }
  if (whole + fraction == 0) {
    return std::nullopt;
  }
  Quantity quantity;
  quantity.digits = text.substr(0, size);
  if (size < text.size() && (text[size] == 'e' || text[size] == 'E')) {
    const std::string_view rest = text.substr(size + 1);
    const std::size_t sign = !rest.empty() && (rest[0] == '+' || rest[0] == '-') ? 1 : 0;
    const std::size_t digits = count_digits(rest.substr(sign));
    if (digits > 0) {
      quantity.exponent = rest.substr(0, sign + digits);
      size += 1 + sign + digits;
    }
  }
  for (const UnitScale& scale : kUnits) {
    if (text.substr(size).starts_with(scale.text)) {
      quantity.unit = text.substr(size, scale.text.size());
      size += scale.text.size();
      break;
    }
  }
  quantity.size = size;
  return quantity;
}

bool is_option_name(std::string_view text) {
  return !text.empty() && option_name_size(text) == text.size();
}

std::size_t option_name_size(std::string_view text) {
  if (text.empty() || !begins_name(text[0])) {
    return 0;
  }
  const auto continues = [](char c) { return begins_name(c) || is_digit(c); };
  std::size_t size = 1;
  while (size < text.size()) {
    if (continues(text[size])) {
      ++size;
    } else if ((text[size] == '-' || text[size] == '.') && size + 1 < text.size() &&
               continues(text[size + 1])) {
      size += 2;
    } else {
      break;
    }
  }
  return size;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpaces = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(kSpaces);
  if (begin == std::string_view::npos) {
    return {};
  }
  return text.substr(begin, text.find_last_not_of(kSpaces) - begin + 1);
}

}  // namespace kvsieve::sim
