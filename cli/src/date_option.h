#pragma once
// --date: the day that is stored with what was measured.

#include <string>

namespace kvsieve::cli {

/// YYYY-MM-DD, UTC.
[[nodiscard]] std::string today();

/// Throws Error(kUsage) unless `text` begins with a calendar date, YYYY-MM-DD, and holds nothing
/// that ISO 8601 has not.
void check_date(const std::string& text);

}  // namespace kvsieve::cli
