#pragma once
// The cases that --filter leaves.

#include <optional>
#include <regex>
#include <string>
#include <string_view>

namespace kvsieve::sim {

class CaseFilter {
 public:
  /// @param expression ECMAScript, found anywhere in a name; empty keeps all
  /// Throws Error(kUsage) if it is none.
  explicit CaseFilter(const std::string& expression);

  /// Names longer than 2,000 bytes are looked at no further: matching recurses.
  [[nodiscard]] bool keeps(std::string_view name) const;

 private:
  std::optional<std::regex> m_expression;
};

}  // namespace kvsieve::sim
