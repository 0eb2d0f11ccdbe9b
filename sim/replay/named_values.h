#pragma once
// Enumerations as users spell them.

#include <fmt/format.h>

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "kvsieve/traces/error.h"

namespace kvsieve::sim {

/// The names of an enumeration's N values, in the order of the help text.
template <class T, std::size_t N>
struct NamedValues {
  std::string_view option;  ///< what an error calls the enumeration
  std::array<std::pair<std::string_view, T>, N> entries;

  [[nodiscard]] constexpr std::string_view name(T value) const noexcept {
    for (const auto& [known, candidate] : entries) {
      if (candidate == value) {
        return known;
      }
    }
    return "?";
  }

  /// Throws Error(kUsage) listing the supported names.
  [[nodiscard]] T value(std::string_view wanted) const {
    std::string supported;
    for (const auto& [known, candidate] : entries) {
      if (known == wanted) {
        return candidate;
      }
      supported += (supported.empty() ? "" : ", ") + std::string(known);
    }
    throw Error(ErrorKind::kUsage,
                fmt::format("{} '{}' is unknown, supported: {}", option, wanted, supported));
  }
};

}  // namespace kvsieve::sim
