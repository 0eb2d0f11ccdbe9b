#pragma once
// Writing one SVG drawing: shapes with the page's classes, escaped text, rounded coordinates.

#include <string>
#include <string_view>

#include "kvsieve/sim/chart.h"
#include "kvsieve/sim/colour_scale.h"

namespace kvsieve::sim {

inline constexpr double kNarrow = 420.0;  ///< drawing units; the text is 12 high
inline constexpr double kWide = 880.0;
inline constexpr double kTextHeight = 12.0;

enum class Anchor { kStart, kMiddle, kEnd };

class SvgCanvas {
 public:
  /// @param id unique in its page
  SvgCanvas(double width, std::string_view id, std::string_view title,
            std::string_view description);

  [[nodiscard]] double width() const { return m_width; }
  [[nodiscard]] const std::string& id() const { return m_id; }

  void rect(double x, double y, double width, double height, std::string_view look,
            std::string_view tip = {});
  void rect(double x, double y, double width, double height, Colour fill,
            std::string_view tip = {});
  void line(double x1, double y1, double x2, double y2, std::string_view look,
            std::string_view tip = {});
  void path(std::string_view data, std::string_view look);
  void circle(double x, double y, double radius, std::string_view look, std::string_view tip = {});
  void text(double x, double y, std::string_view text, std::string_view look = "tick",
            Anchor anchor = Anchor::kStart);
  void text(double x, double y, std::string_view text, Colour fill, Anchor anchor);
  /// A bar of the sequential colours, left to right.
  void gradient(double x, double y, double width, double height);
  void open_group(std::string_view look);
  void close_group();

  /// The whole element, this high.
  [[nodiscard]] std::string finish(double height) const;

 private:
  void shape(std::string_view element, std::string_view tip);

  double m_width;
  std::string m_id;
  std::string m_title;
  std::string m_description;
  std::string m_body;
};

/// A coordinate with two decimals at most.
[[nodiscard]] std::string coordinate(double value);

/// Width of text of the usual height, estimated.
[[nodiscard]] double text_width(std::string_view text);

[[nodiscard]] std::string_view fill_class(Ink ink);
[[nodiscard]] std::string_view stroke_class(Ink ink);

struct LegendEntry {
  std::string name;
  Ink ink = Ink::kAccent;
  enum class Mark { kBox, kLine, kDash } mark = Mark::kBox;
};

/// Entries in rows from (x, y) on; returns the y below them.
double draw_legend(SvgCanvas& canvas, double x, double y, const std::vector<LegendEntry>& entries);

}  // namespace kvsieve::sim
