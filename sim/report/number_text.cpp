#include "kvsieve/sim/number_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace kvsieve::sim {
namespace {

constexpr std::array<const char*, 6> kByteUnits{"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
constexpr double kLargest = 1e300;  // beyond, percent would overflow
constexpr double kLongest = 1e9;    // beyond, fixed notation is no help
constexpr const char* kTimes = "\u00d7";

std::size_t byte_unit(double largest) {
  std::size_t unit = 0;
  for (double rest = std::abs(largest); rest >= 1024.0 && unit + 1 < kByteUnits.size(); ++unit) {
    rest /= 1024.0;
  }
  return unit;
}

std::string bytes_text(double value) {
  const std::size_t unit = byte_unit(value);
  const double scaled = value / std::pow(1024.0, static_cast<double>(unit));
  if (std::abs(scaled) >= kLongest) {
    return fmt::format("{} {}", significant(scaled, 3), kByteUnits[unit]);
  }
  const int decimals = unit == 0 || std::abs(scaled) >= 99.95 ? 0
                       : std::abs(scaled) >= 9.995            ? 1
                                                              : 2;
  return fmt::format("{} {}", fixed(scaled, decimals), kByteUnits[unit]);
}

std::string percent_text(double share) {
  const double percent = 100.0 * std::clamp(share, -kLargest, kLargest);
  constexpr double kSmallest = 0.005;
  if (percent != 0.0 && std::abs(percent) < kSmallest) {
    return percent > 0.0 ? "<0.01%" : ">-0.01%";
  }
  return (std::abs(percent) < kLongest ? fixed(percent, 2) : significant(percent, 4)) + "%";
}

/// Three digits.
std::string scaled_text(double value) {
  const double size = std::abs(value);
  if (size >= kLongest || (size > 0.0 && size < 0.0095)) {
    return significant(value, 3);
  }
  return fixed(value, size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2);
}

std::string time_text(double us) {
  const double size = std::abs(us);
  if (size >= 999'500.0) {
    return scaled_text(us * 1e-6) + " s";
  }
  return size >= 999.5 ? scaled_text(us * 1e-3) + " ms" : scaled_text(us) + " us";
}

bool is_whole(double value) {
  return std::abs(value) < 1e15 && value == std::round(value);
}

std::string tokens_text(double value) {
  if (is_whole(value)) {
    return grouped(static_cast<std::int64_t>(value));
  }
  if (std::abs(value) >= 1e15) {
    return significant(value, 4);
  }
  const double tenths = std::round(value * 10.0);
  if (std::abs(tenths) < 10.0) {
    return significant(value, 2);
  }
  const auto whole = static_cast<std::int64_t>(tenths / 10.0);
  return fmt::format("{}{}.{}", tenths < 0.0 && whole == 0 ? "-" : "", grouped(whole),
                     std::abs(static_cast<std::int64_t>(tenths) % 10));
}

}  // namespace

std::string fixed(double value, int decimals) {
  std::string text = fmt::format("{:.{}f}", value, decimals);
  if (text.starts_with('-') && text.find_first_not_of("-0.") == std::string::npos) {
    text.erase(0, 1);
  }
  return text;
}

std::string significant(double value, int digits) {
  const double size = std::abs(value);
  if (size == 0.0) {
    return "0";
  }
  if (size < 1e-4 || size >= kLongest) {
    return fmt::format("{:.{}e}", value, digits - 1);
  }
  const int magnitude = static_cast<int>(std::floor(std::log10(size)));
  const int decimals = std::clamp(digits - 1 - magnitude, 0, 8);
  return decimals == 0 ? grouped(std::llround(value)) : fixed(value, decimals);
}

double byte_factor(double largest) {
  return std::pow(1024.0, static_cast<double>(byte_unit(largest)));
}

std::string grouped(std::int64_t value) {
  std::string text = fmt::format("{}", value);
  const std::size_t first = text.starts_with('-') ? 1 : 0;
  for (std::size_t at = text.size(); at > first + 3;) {
    at -= 3;
    text.insert(at, 1, ',');
  }
  return text;
}

std::string counted(std::int64_t count, const std::string& noun) {
  return fmt::format("{} {}{}", grouped(count), noun, count == 1 ? "" : "s");
}

std::string number_text(double value, Unit unit) {
  switch (unit) {
    case Unit::kShare:
      return percent_text(value);
    case Unit::kTokens:
      return tokens_text(value);
    case Unit::kBytes:
      return bytes_text(value);
    case Unit::kRatio:
      return kTimes + (std::abs(value) >= 99.95 ? significant(value, 3) : fixed(value, 3));
    case Unit::kMicroseconds:
      return time_text(value);
    case Unit::kGbps:
      return scaled_text(value) + " GB/s";
    case Unit::kNumber:
      break;
  }
  return significant(value, 4);
}

std::string exact_text(double value, Unit unit) {
  switch (unit) {
    case Unit::kShare:
      return significant(100.0 * std::clamp(value, -kLargest, kLargest), 6) + "%";
    case Unit::kTokens:
      return tokens_text(value);
    case Unit::kBytes:
      return is_whole(value) ? grouped(static_cast<std::int64_t>(value)) + " B"
                             : significant(value, 6) + " B";
    case Unit::kRatio:
      return kTimes + significant(value, 6);
    case Unit::kMicroseconds:
      return significant(value, 6) + " us";
    case Unit::kGbps:
      return significant(value, 6) + " GB/s";
    case Unit::kNumber:
      break;
  }
  return significant(value, 6);
}

std::string tick_text(double value, double step, double largest, Unit unit) {
  double factor = 1.0;
  std::string suffix;
  if (unit == Unit::kShare) {
    factor = 0.01;
    suffix = "%";
  } else if (unit == Unit::kBytes) {
    factor = byte_factor(largest);
    suffix = fmt::format(" {}", kByteUnits[byte_unit(largest)]);
  } else if (unit == Unit::kMicroseconds) {
    const double size = std::abs(largest);
    factor = size >= 1e6 ? 1e6 : size >= 1e3 ? 1e3 : 1.0;
    suffix = size >= 1e6 ? " s" : size >= 1e3 ? " ms" : " us";
  } else if (unit == Unit::kGbps) {
    suffix = " GB/s";
  }
  const double shown = value / factor;
  const double shown_step = std::abs(step / factor);
  if (shown == 0.0) {
    return "0";
  }
  const std::string prefix = unit == Unit::kRatio ? kTimes : "";
  if (std::abs(shown) >= 1e7 || (shown_step > 0.0 && shown_step < 1e-5)) {
    return prefix + fmt::format("{:.1e}", shown) + suffix;
  }
  if (is_whole(shown) && (shown_step >= 1.0 || shown_step == 0.0)) {
    return prefix + grouped(static_cast<std::int64_t>(shown)) + suffix;
  }
  int decimals = shown_step > 0.0
                     ? std::clamp(static_cast<int>(std::ceil(-std::log10(shown_step) - 1e-9)), 0, 6)
                     : 2;
  // A step of 0.25 needs two.
  const double in_last = shown_step * std::pow(10.0, decimals);
  if (decimals < 6 && std::abs(in_last - std::round(in_last)) > 1e-6) {
    ++decimals;
  }
  return prefix + fixed(shown, decimals) + suffix;
}

}  // namespace kvsieve::sim
