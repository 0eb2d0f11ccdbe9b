#pragma once
// Numbers as a report shows them. The decimal separator is always a point.

#include <cstdint>
#include <string>

namespace kvsieve::sim {

enum class Unit {
  kShare,         ///< of one, shown as percent
  kTokens,        ///< tokens and other counts; means of them have a decimal
  kBytes,         ///< shown in binary units
  kRatio,         ///< a factor, shown with a multiplication sign
  kMicroseconds,  ///< shown as us, ms or s
  kGbps,          ///< 10^9 bytes a second (SI, unlike kBytes)
  kNumber,        ///< anything else, four significant digits
};

/// "12.97%", "401", "2.35 MiB", "×0.965". A share that is not zero never reads 0.00%.
[[nodiscard]] std::string number_text(double value, Unit unit);

/// Six significant digits with the unit, bytes in full: for a reader who points at a mark.
[[nodiscard]] std::string exact_text(double value, Unit unit);

/// The label of an axis tick whose neighbours are `step` away. Bytes are labelled in the binary
/// unit of `largest`.
[[nodiscard]] std::string tick_text(double value, double step, double largest, Unit unit);

/// "2,009".
[[nodiscard]] std::string grouped(std::int64_t value);

/// "1 layer", "8 layers", "2,009 tokens".
[[nodiscard]] std::string counted(std::int64_t count, const std::string& noun);

/// Fixed notation with this many decimals, never "-0".
[[nodiscard]] std::string fixed(double value, int decimals);

/// Fixed notation with about this many significant digits where that is readable, 1.2e-07
/// otherwise.
[[nodiscard]] std::string significant(double value, int digits);

/// The factor of the binary unit in which `largest` bytes are shown, 1024 to some power.
[[nodiscard]] double byte_factor(double largest);

}  // namespace kvsieve::sim
