#include "node_name.h"

#include <array>
#include <charconv>
#include <utility>

namespace kvsieve::record {

std::optional<NodeName> parse_node_name(std::string_view name) noexcept {
  static constexpr std::array<std::pair<std::string_view, NodeRole>, 6> kBases = {{
      {"Qcur", NodeRole::kQuery},
      {"Qcur_normed", NodeRole::kQuery},
      {"Kcur", NodeRole::kKey},
      {"Kcur_normed", NodeRole::kKey},
      {"Vcur", NodeRole::kValue},
      {"kqv_out", NodeRole::kOutput},
  }};
  const std::size_t dash = name.find('-');
  if (dash == std::string_view::npos) {
    return std::nullopt;
  }
  const std::string_view digits = name.substr(dash + 1);
  std::int64_t layer = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), layer);
  const bool ends_well = end == digits.data() + digits.size() || *end == ' ';
  if (error != std::errc() || layer < 0 || !ends_well) {
    return std::nullopt;
  }
  for (const auto& [base, role] : kBases) {
    if (name.substr(0, dash) == base) {
      return NodeName{role, layer};
    }
  }
  return std::nullopt;
}

}  // namespace kvsieve::record
