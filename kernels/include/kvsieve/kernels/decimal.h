#pragma once
// Exact decimal numbers for shares and alpha, so that floor(29 % of 100) is 29 and not 28.

#include <cstdint>
#include <string>
#include <string_view>

namespace kvsieve::kernels {

/// units / scale with scale a power of ten up to 10^9.
struct Decimal {
  std::int64_t units = 0;
  std::int64_t scale = 1;

  /// Parses "0.2", "20", ".05" or "20%" (a percentage is divided by 100); at most 9 decimals in
  /// all. Throws Error(kUsage) naming the text otherwise. Negative numbers are not accepted.
  [[nodiscard]] static Decimal parse(std::string_view text);

  /// floor(value * n) for n >= 0, exact. Throws Error(kUsage) beyond 64 bits.
  [[nodiscard]] std::int64_t floor_times(std::int64_t n) const;

  [[nodiscard]] double value() const noexcept {
    return static_cast<double>(units) / static_cast<double>(scale);
  }
  /// The shortest form that parse() reads back, e.g. "0.2".
  [[nodiscard]] std::string text() const;
};

}  // namespace kvsieve::kernels
