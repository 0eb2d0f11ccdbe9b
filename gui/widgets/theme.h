#pragma once
// Colours of drawings, from the platform's palette: light and dark come out alike.

#include <QColor>
#include <QPalette>

#include "kvsieve/sim/chart.h"
#include "kvsieve/sim/colour_scale.h"

namespace kvsieve::gui {

[[nodiscard]] bool is_dark(const QPalette& palette);
/// Of a series: a contrast of at least 3 to the palette's base.
[[nodiscard]] QColor ink(sim::Ink ink, const QPalette& palette);
/// The i-th colour of a set that stays distinct for colour-blind readers; repeats after 8. Give
/// categories a shape or a pattern besides.
[[nodiscard]] QColor category_colour(std::size_t index, const QPalette& palette);
/// Text that is less important than the palette's own, still with a contrast of 4.5 or more.
[[nodiscard]] QColor faint_text(const QPalette& palette);
[[nodiscard]] QColor grid_line(const QPalette& palette);
[[nodiscard]] inline QColor to_qcolor(sim::Colour colour) {
  return {colour.red, colour.green, colour.blue};
}
/// Without its opacity.
[[nodiscard]] sim::Colour to_colour(const QColor& colour);

}  // namespace kvsieve::gui
