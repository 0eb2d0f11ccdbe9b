#include "kvsieve/kernels/decimal.h"

#include <fmt/format.h>

#include "kvsieve/traces/error.h"

namespace kvsieve::kernels {
namespace {

constexpr std::int64_t kMaxScale = 1'000'000'000;
constexpr std::int64_t kMaxUnits = 1'000'000'000'000;

}  // namespace

Decimal Decimal::parse(std::string_view text) {
  const auto fail = [&] {
    throw Error(ErrorKind::kUsage,
                fmt::format("'{}' is not a decimal number such as 0.2 or 20%", text));
  };
  std::string_view digits = text;
  Decimal result;
  const bool percent = digits.ends_with('%');
  if (percent) {
    digits.remove_suffix(1);
    result.scale = 100;
  }
  bool point = false;
  bool any = false;
  for (const char c : digits) {
    if (c == '.' && !point) {
      point = true;
      continue;
    }
    if (c < '0' || c > '9') {
      fail();
    }
    any = true;
    result.units = result.units * 10 + (c - '0');
    result.scale *= point ? 10 : 1;
    if (result.units > kMaxUnits || result.scale > kMaxScale) {
      fail();
    }
  }
  if (!any) {
    fail();
  }
  while (result.scale > 1 && result.units % 10 == 0) {
    result.units /= 10;
    result.scale /= 10;
  }
  return result;
}

std::int64_t Decimal::floor_times(std::int64_t n) const {
  std::int64_t product = 0;
  if (__builtin_mul_overflow(units, n, &product)) {
    throw Error(ErrorKind::kUsage, fmt::format("{} times {} is too large", text(), n));
  }
  return product / scale;
}

std::string Decimal::text() const {
  if (scale == 1) {
    return fmt::format("{}", units);
  }
  int decimals = 0;
  for (std::int64_t s = scale; s > 1; s /= 10) {
    ++decimals;
  }
  return fmt::format("{}.{:0{}}", units / scale, units % scale, decimals);
}

}  // namespace kvsieve::kernels
