#pragma once
// Stretches of time that do not overlap, and how much of a range they cover.

#include <cstddef>
#include <utility>
#include <vector>

namespace kvsieve::gui {

/// [begin, end)
using Stretch = std::pair<double, double>;

/// Ascending, apart from each other, never empty stretches.
class Intervals {
 public:
  Intervals() = default;
  /// The union of stretches in any order; those that are empty are left out.
  explicit Intervals(std::vector<Stretch> stretches);

  [[nodiscard]] const std::vector<double>& begin() const noexcept { return m_begin; }
  [[nodiscard]] const std::vector<double>& end() const noexcept { return m_end; }
  [[nodiscard]] std::size_t size() const noexcept { return m_begin.size(); }
  [[nodiscard]] double total() const noexcept { return m_before.empty() ? 0.0 : m_before.back(); }
  /// How much of [low, high) is covered. O(log n).
  [[nodiscard]] double covered(double low, double high) const noexcept;

  /// What is in this and not in `other`.
  [[nodiscard]] Intervals without(const Intervals& other) const;
  /// What is in either.
  [[nodiscard]] Intervals with(const Intervals& other) const;

 private:
  [[nodiscard]] double covered_until(double at) const noexcept;

  std::vector<double> m_begin;
  std::vector<double> m_end;
  std::vector<double> m_before;  ///< [size + 1] what the stretches before each cover
};

}  // namespace kvsieve::gui
