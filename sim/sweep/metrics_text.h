#pragma once
// The metrics of a row as text: members of one compact JSON object.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kvsieve::sim {

/// Collects named numbers in order; each in its shortest form that reads back exactly.
class MetricsText {
 public:
  /// Throws Error(kBadInput) naming a value that is not finite, which JSON cannot hold.
  void add(std::string_view name, double value);
  void add(std::string_view name, std::int64_t value);
  /// Nothing if there is no value.
  void add(std::string_view name, const std::optional<double>& value);

  /// Takes over what another one collected.
  void append(std::string_view members);

  /// "a":1,"b":2.5 without braces.
  [[nodiscard]] const std::string& members() const noexcept { return m_members; }
  /// The object.
  [[nodiscard]] std::string object() const;

 private:
  void begin(std::string_view name);

  std::string m_members;
};

}  // namespace kvsieve::sim
