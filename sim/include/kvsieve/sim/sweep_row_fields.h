#pragma once
// The options and metrics of a sweep's row, field by field.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "kvsieve/sim/sweep_store.h"

namespace kvsieve::sim {

/// A member of a flat JSON object.
struct SweepField {
  std::string name;
  /// In the order of JSON's types: null, true and false, integers, other numbers, text.
  std::variant<std::monostate, bool, std::int64_t, std::uint64_t, double, std::string> value;

  [[nodiscard]] bool is_text() const { return std::holds_alternative<std::string>(value); }
  /// A text's characters, a number in its shortest exact form, nothing for null.
  [[nodiscard]] std::string text() const;
  /// Nothing if it is no number.
  [[nodiscard]] std::optional<double> number() const;
};

/// Reads rows one after the other, without building trees of them.
class SweepRowFields {
 public:
  SweepRowFields();
  SweepRowFields(const SweepRowFields&) = delete;
  SweepRowFields& operator=(const SweepRowFields&) = delete;
  ~SweepRowFields();

  /// Throws Error(kBadInput) if the row holds anything else than objects of numbers and texts, as
  /// those of a damaged store may.
  void read(const SweepRow& row);

  /// Of the row read last.
  [[nodiscard]] std::span<const SweepField> options() const noexcept;
  [[nodiscard]] std::span<const SweepField> metrics() const noexcept;

 private:
  class FlatObject;
  std::unique_ptr<FlatObject> m_options;
  std::unique_ptr<FlatObject> m_metrics;
};

}  // namespace kvsieve::sim
