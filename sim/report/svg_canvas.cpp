#include "svg_canvas.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "clean_text.h"

namespace kvsieve::sim {
namespace {

constexpr std::string_view anchor_name(Anchor anchor) {
  return anchor == Anchor::kMiddle ? "middle" : anchor == Anchor::kEnd ? "end" : "start";
}

}  // namespace

std::string coordinate(double value) {
  std::string text = fixed(std::isfinite(value) ? value : 0.0, 2);
  while (text.ends_with('0')) {
    text.pop_back();
  }
  if (text.ends_with('.')) {
    text.pop_back();
  }
  return text;
}

double text_width(std::string_view text) {
  // Of a broad typeface, DejaVu Sans, so that narrower ones fit too.
  double width = 0.0;
  for (const char c : text) {
    const bool continues = (static_cast<unsigned char>(c) & 0xC0U) == 0x80U;
    const bool thin = std::string_view("ijlIft.,:;'|() -").find(c) != std::string_view::npos;
    const bool broad = std::string_view("mwMW%").find(c) != std::string_view::npos;
    width += continues ? 0.0 : thin ? 0.36 : broad ? 0.95 : 0.635;
  }
  return kTextHeight * width;
}

std::string_view fill_class(Ink ink) {
  switch (ink) {
    case Ink::kGrey:
      return "f-grey";
    case Ink::kWarm:
      return "f-warm";
    case Ink::kPale:
      return "f-pale";
    case Ink::kSand:
      return "f-sand";
    case Ink::kAccent:
      break;
  }
  return "f-accent";
}

std::string_view stroke_class(Ink ink) {
  switch (ink) {
    case Ink::kGrey:
      return "s-grey";
    case Ink::kWarm:
      return "s-warm";
    case Ink::kPale:
      return "s-pale";
    case Ink::kSand:
      return "s-sand";
    case Ink::kAccent:
      break;
  }
  return "s-accent";
}

SvgCanvas::SvgCanvas(double width, std::string_view id, std::string_view title,
                     std::string_view description)
    : m_width(width), m_id(id), m_title(title), m_description(description) {}

void SvgCanvas::shape(std::string_view element, std::string_view tip) {
  if (tip.empty()) {
    m_body += fmt::format("<{}/>\n", element);
    return;
  }
  const std::string_view name = element.substr(0, element.find(' '));
  m_body += fmt::format("<{}><title>{}</title></{}>\n", element, escape_xml(tip), name);
}

void SvgCanvas::rect(double x, double y, double width, double height, std::string_view look,
                     std::string_view tip) {
  shape(fmt::format(R"(rect class="{}" x="{}" y="{}" width="{}" height="{}")", look, coordinate(x),
                    coordinate(y), coordinate(std::max(width, 0.0)),
                    coordinate(std::max(height, 0.0))),
        tip);
}

void SvgCanvas::rect(double x, double y, double width, double height, Colour fill,
                     std::string_view tip) {
  shape(fmt::format(R"(rect fill="{}" x="{}" y="{}" width="{}" height="{}")", fill.hex(),
                    coordinate(x), coordinate(y), coordinate(std::max(width, 0.0)),
                    coordinate(std::max(height, 0.0))),
        tip);
}

void SvgCanvas::line(double x1, double y1, double x2, double y2, std::string_view look,
                     std::string_view tip) {
  shape(fmt::format(R"(line class="{}" x1="{}" y1="{}" x2="{}" y2="{}")", look, coordinate(x1),
                    coordinate(y1), coordinate(x2), coordinate(y2)),
        tip);
}

void SvgCanvas::path(std::string_view data, std::string_view look) {
  shape(fmt::format(R"(path class="{}" d="{}")", look, data), {});
}

void SvgCanvas::circle(double x, double y, double radius, std::string_view look,
                       std::string_view tip) {
  shape(fmt::format(R"(circle class="{}" cx="{}" cy="{}" r="{}")", look, coordinate(x),
                    coordinate(y), coordinate(radius)),
        tip);
}

void SvgCanvas::text(double x, double y, std::string_view text, std::string_view look,
                     Anchor anchor) {
  m_body += fmt::format(R"(<text class="{}" x="{}" y="{}" text-anchor="{}">{}</text>)", look,
                        coordinate(x), coordinate(y), anchor_name(anchor), escape_xml(text));
  m_body += '\n';
}

void SvgCanvas::text(double x, double y, std::string_view text, Colour fill, Anchor anchor) {
  m_body +=
      fmt::format(R"(<text class="cell" fill="{}" x="{}" y="{}" text-anchor="{}">{}</text>)",
                  fill.hex(), coordinate(x), coordinate(y), anchor_name(anchor), escape_xml(text));
  m_body += '\n';
}

void SvgCanvas::gradient(double x, double y, double width, double height) {
  constexpr int kStops = 16;
  m_body += fmt::format(R"(<linearGradient id="{}-scale">)", m_id);
  for (int i = 0; i <= kStops; ++i) {
    const double share = static_cast<double>(i) / kStops;
    m_body += fmt::format(R"(<stop offset="{}" stop-color="{}"/>)", coordinate(share),
                          sequential_colour(share).hex());
  }
  m_body += "</linearGradient>\n";
  shape(fmt::format(R"x(rect fill="url(#{}-scale)" x="{}" y="{}" width="{}" height="{}")x", m_id,
                    coordinate(x), coordinate(y), coordinate(width), coordinate(height)),
        {});
}

void SvgCanvas::open_group(std::string_view look) {
  m_body += fmt::format("<g class=\"{}\">\n", look);
}

void SvgCanvas::close_group() {
  m_body += "</g>\n";
}

std::string SvgCanvas::finish(double height) const {
  const std::string w = coordinate(m_width);
  const std::string h = coordinate(height);
  std::string svg = fmt::format(
      R"(<svg class="chart" role="img" viewBox="0 0 {} {}" width="{}" height="{}" )", w, h, w, h);
  svg += fmt::format("aria-labelledby=\"{0}-title {0}-text\">\n", m_id);
  svg += fmt::format("<title id=\"{}-title\">{}</title>\n", m_id, escape_xml(m_title));
  svg += fmt::format("<desc id=\"{}-text\">{}</desc>\n", m_id, escape_xml(m_description));
  return svg + m_body + "</svg>\n";
}

double draw_legend(SvgCanvas& canvas, double x, double y, const std::vector<LegendEntry>& entries) {
  constexpr double kSwatch = 12.0;
  constexpr double kRow = 18.0;
  double at = x;
  for (const LegendEntry& entry : entries) {
    const double needed = kSwatch + 6.0 + text_width(entry.name) + 18.0;
    if (at > x && at + needed > canvas.width()) {
      at = x;
      y += kRow;
    }
    const double middle = y + 7.0;
    switch (entry.mark) {
      case LegendEntry::Mark::kBox:
        canvas.rect(at, y + 2.0, kSwatch - 1.0, kSwatch - 2.0, fill_class(entry.ink));
        break;
      case LegendEntry::Mark::kLine:
        canvas.line(at, middle, at + kSwatch, middle,
                    fmt::format("stroke {}", stroke_class(entry.ink)));
        break;
      case LegendEntry::Mark::kDash:
        canvas.line(at, middle, at + kSwatch, middle, "mark");
        break;
    }
    canvas.text(at + kSwatch + 6.0, y + 11.0, entry.name, "label");
    at += needed;
  }
  return y + kRow;
}

}  // namespace kvsieve::sim
