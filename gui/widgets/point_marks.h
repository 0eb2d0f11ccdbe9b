#pragma once
// Marks of points that their outline alone tells apart.

#include <QPainterPath>
#include <cstddef>

namespace kvsieve::gui {

inline constexpr std::size_t kMarkShapes = 8;

/// Of the i-th category, around the origin; they repeat after kMarkShapes. All look about as large.
[[nodiscard]] QPainterPath point_mark(std::size_t shape, double radius);

}  // namespace kvsieve::gui
