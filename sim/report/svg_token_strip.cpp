#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "svg_chart.h"

namespace kvsieve::sim {
namespace {

constexpr double kTop = 24.0;  // labels of the bands
constexpr double kTrack = 15.0;
constexpr double kRow = 23.0;
constexpr std::size_t kBins = 1200;  // beyond that many tokens, marks show densities

struct Track {
  double left;
  double right;
  double tokens;

  [[nodiscard]] double x(double token) const { return left + token / tokens * (right - left); }
};

std::string mark(double left, double right, double top) {
  return fmt::format("M{} {}h{}v{}h-{}z", coordinate(left), coordinate(top),
                     coordinate(right - left), coordinate(kTrack), coordinate(right - left));
}

void draw_exact(SvgCanvas& canvas, const Track& track, const TokenStrip::Row& row, double top) {
  constexpr double kThinnest = 0.6;
  std::string data;
  for (const TokenRun& run : row.runs) {
    const double left = track.x(static_cast<double>(run.begin));
    const double right = track.x(static_cast<double>(run.end));
    data += mark(left, std::max(right, left + kThinnest), top);
  }
  canvas.path(data, "f-accent");
}

/// The share of tokens kept in each of kBins columns, in four shades.
void draw_density(SvgCanvas& canvas, const Track& track, const TokenStrip::Row& row, double top) {
  constexpr std::array<std::string_view, 4> kShades{"f-accent d1", "f-accent d2", "f-accent d3",
                                                    "f-accent"};
  const double per_bin = track.tokens / static_cast<double>(kBins);
  std::vector<double> kept(kBins, 0.0);
  for (const TokenRun& run : row.runs) {
    const auto begin = static_cast<double>(run.begin);
    const auto end = static_cast<double>(run.end);
    const auto first = static_cast<std::size_t>(begin / per_bin);
    const auto last = std::min<std::size_t>(kBins - 1, static_cast<std::size_t>(end / per_bin));
    for (std::size_t bin = first; bin <= last; ++bin) {
      const double from = static_cast<double>(bin) * per_bin;
      kept[bin] += std::max(0.0, std::min(end, from + per_bin) - std::max(begin, from)) / per_bin;
    }
  }
  std::array<std::string, kShades.size()> data;
  for (std::size_t bin = 0; bin < kBins; ++bin) {
    if (kept[bin] > 0.0) {
      const auto shade =
          std::min<std::size_t>(kShades.size() - 1, static_cast<std::size_t>(4.0 * kept[bin]));
      data[shade] += mark(track.x(static_cast<double>(bin) * per_bin),
                          track.x(static_cast<double>(bin + 1) * per_bin), top);
    }
  }
  for (std::size_t shade = 0; shade < kShades.size(); ++shade) {
    if (!data[shade].empty()) {
      canvas.path(data[shade], kShades[shade]);
    }
  }
}

void draw_band(SvgCanvas& canvas, const Track& track, const TokenRun& tokens, double bottom,
               std::string_view name, std::string_view look, Anchor anchor) {
  const double left = track.x(static_cast<double>(tokens.begin));
  const double right = std::max(track.x(static_cast<double>(tokens.end)), left + 2.0);
  canvas.rect(
      left, kTop - 6.0, right - left, bottom - kTop + 6.0, look,
      fmt::format("{}: tokens {} to {}", name, grouped(tokens.begin), grouped(tokens.end - 1)));
  const double at = anchor == Anchor::kStart ? left
                    : anchor == Anchor::kEnd ? right
                                             : 0.5 * (left + right);
  canvas.text(at, kTop - 11.0, name, anchor == Anchor::kMiddle ? "needle-label" : "label", anchor);
}

}  // namespace

double draw(SvgCanvas& canvas, const TokenStrip& strip) {
  double labels = 0.0;
  double counts = text_width("kept");
  for (const TokenStrip::Row& row : strip.rows) {
    labels = std::max(labels, text_width(row.name));
    counts = std::max(counts, text_width(grouped(row.kept)));
  }
  const Track track{labels + 12.0, canvas.width() - counts - 14.0,
                    static_cast<double>(std::max<std::int64_t>(strip.tokens, 1))};
  const double bottom = kTop + kRow * static_cast<double>(strip.rows.size()) - (kRow - kTrack);
  for (std::size_t i = 0; i < strip.rows.size(); ++i) {
    const double top = kTop + kRow * static_cast<double>(i);
    canvas.rect(track.left, top, track.right - track.left, kTrack, "track");
  }
  if (strip.window > 0) {
    draw_band(canvas, track, {strip.tokens - strip.window, strip.tokens}, bottom, "window", "band",
              Anchor::kEnd);
  }
  if (strip.sinks > 0) {
    draw_band(canvas, track, {0, strip.sinks}, bottom, "sinks", "band", Anchor::kStart);
  }
  canvas.text(canvas.width(), kTop - 11.0, "kept", "label", Anchor::kEnd);
  for (std::size_t i = 0; i < strip.rows.size(); ++i) {
    const TokenStrip::Row& row = strip.rows[i];
    const double top = kTop + kRow * static_cast<double>(i);
    canvas.text(track.left - 12.0, top + 12.0, row.name, "tick", Anchor::kEnd);
    if (strip.tokens > static_cast<std::int64_t>(4 * kBins)) {
      draw_density(canvas, track, row, top);
    } else {
      draw_exact(canvas, track, row, top);
    }
    canvas.text(canvas.width(), top + 12.0, grouped(row.kept), "tick", Anchor::kEnd);
  }
  if (strip.needle) {
    draw_band(canvas, track, *strip.needle, bottom, "needle", "needle", Anchor::kMiddle);
  }
  const Axis axis = inner_axis(0.0, track.tokens, 6, Unit::kTokens);
  for (const double tick : axis.ticks) {
    const double x = track.x(tick);
    canvas.line(x, bottom + 3.0, x, bottom + 7.0, "base");
    canvas.text(x, bottom + 20.0, tick_text(tick, axis.step, axis.high, Unit::kTokens), "tick",
                Anchor::kMiddle);
  }
  canvas.text(0.5 * (track.left + track.right), bottom + 37.0, "position in the prompt", "label",
              Anchor::kMiddle);
  return bottom + 44.0;
}

}  // namespace kvsieve::sim
