#pragma once
// Numbers as options write them: digits, perhaps an exponent, perhaps '%' or a byte unit behind.

#include <cstddef>
#include <optional>
#include <string_view>

namespace kvsieve::sim {

/// What a number is made of; the views point into the text that it was read from.
struct Quantity {
  std::string_view digits;    ///< "12", "12.5", ".5" or "5."
  std::string_view exponent;  ///< "3", "+3" or "-3"; empty without one
  std::string_view unit;      ///< "%", B, KB, MB, GB (powers of 1000), KiB, MiB, GiB (of 1024)
  std::size_t size = 0;       ///< characters in all

  /// The double nearest to the decimal number, so that "5%" and "0.05" are one value; times a
  /// power of two for units of 1024. Nothing if it is beyond what a double holds.
  [[nodiscard]] std::optional<double> value() const;
};

/// The longest number at the start of `text`, without a sign; nothing if there is none.
[[nodiscard]] std::optional<Quantity> quantity_at_start(std::string_view text);

/// Whether `text` can be an option's name: [A-Za-z_][A-Za-z0-9_.-]*, with a letter, digit or
/// underscore behind each '.' and '-'.
[[nodiscard]] bool is_option_name(std::string_view text);

/// Characters of the longest option's name at the start of `text`; 0 if there is none.
[[nodiscard]] std::size_t option_name_size(std::string_view text);

/// Without spaces, tabs and line ends at either end.
[[nodiscard]] std::string_view trimmed(std::string_view text);

}  // namespace kvsieve::sim
