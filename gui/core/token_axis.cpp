#include "core/token_axis.h"

#include <algorithm>
#include <cmath>

namespace kvsieve::gui {

std::int64_t TokenAxis::token_at(double x, std::int64_t tokens) const {
  const double at = std::floor(position(x));
  const bool shown = x >= left && x <= right && at >= 0.0;
  return shown && at < static_cast<double>(tokens) ? static_cast<std::int64_t>(at) : -1;
}

TokenAxis TokenAxis::showing(double from, double to, std::int64_t tokens) const {
  const auto all = std::max(static_cast<double>(tokens), 1.0);
  const double span = std::clamp(to - from, std::min(kFewestTokens, all), all);
  TokenAxis axis = *this;
  axis.low = std::clamp(from + 0.5 * ((to - from) - span), 0.0, all - span);
  axis.high = axis.low + span;
  return axis;
}

TokenAxis TokenAxis::zoomed(double factor, double x, std::int64_t tokens) const {
  const auto all = std::max(static_cast<double>(tokens), 1.0);
  const double span = std::clamp((high - low) * factor, std::min(kFewestTokens, all), all);
  const double share = (x - left) / (right - left);
  const double from = position(x) - share * span;
  return showing(from, from + span, tokens);
}

TokenAxis TokenAxis::panned(double positions, std::int64_t tokens) const {
  return showing(low + positions, high + positions, tokens);
}

std::vector<float> column_maxima(std::span<const float> values, const TokenAxis& axis,
                                 int columns) {
  std::vector<float> maxima(static_cast<std::size_t>(std::max(columns, 0)), -1.0F);
  const double width = (axis.high - axis.low) / std::max(columns, 1);
  const auto count = static_cast<std::int64_t>(values.size());
  for (std::size_t column = 0; column < maxima.size(); ++column) {
    const double from = axis.low + static_cast<double>(column) * width;
    const auto first =
        std::clamp(static_cast<std::int64_t>(std::floor(from)), std::int64_t{0}, count);
    const auto end = std::clamp(static_cast<std::int64_t>(std::ceil(from + width)), first, count);
    for (std::int64_t token = first; token < end; ++token) {
      maxima[column] = std::max(maxima[column], values[static_cast<std::size_t>(token)]);
    }
  }
  return maxima;
}

std::vector<float> column_cover(std::span<const sim::TokenRun> runs, const TokenAxis& axis,
                                int columns) {
  std::vector<float> cover(static_cast<std::size_t>(std::max(columns, 0)), 0.0F);
  const double width = (axis.high - axis.low) / std::max(columns, 1);
  for (const sim::TokenRun& run : runs) {
    const double begin = std::max((static_cast<double>(run.begin) - axis.low) / width, 0.0);
    const double end =
        std::min((static_cast<double>(run.end) - axis.low) / width, static_cast<double>(columns));
    for (auto column = static_cast<std::int64_t>(begin); static_cast<double>(column) < end;
         ++column) {
      const auto at = static_cast<double>(column);
      cover[static_cast<std::size_t>(column)] +=
          static_cast<float>(std::min(end, at + 1.0) - std::max(begin, at));
    }
  }
  return cover;
}

}  // namespace kvsieve::gui
