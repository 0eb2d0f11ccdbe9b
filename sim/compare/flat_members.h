#pragma once
// The members of a sweep row's metrics as they stand in their text: most of them are equal on both
// sides of a comparison, and what is equal needs not be parsed.

#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kvsieve/sim/sweep_row_fields.h"

namespace kvsieve::sim {

struct FlatMember {
  std::string_view name;
  std::string_view value;  ///< a number's digits, a text without its quotes
  bool is_number = false;

  /// Nothing if it is no number.
  [[nodiscard]] std::optional<double> number() const;
};

/// Reads rows one after the other.
class FlatMembers {
 public:
  /// The row's metrics; they live until the next row is read, and as long as `row`.
  /// Throws Error(kBadInput) as SweepRowFields.
  const std::vector<FlatMember>& read(const SweepRow& row);

 private:
  bool split(std::string_view json);
  void read_any(const SweepRow& row);

  std::vector<FlatMember> m_members;
  SweepRowFields m_fields;          // for what is not in the form that sweeps write
  std::deque<std::string> m_texts;  // that m_members refers to then
};

}  // namespace kvsieve::sim
