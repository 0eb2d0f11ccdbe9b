#include "date_option.h"

#include <fmt/format.h>

#include <ctime>
#include <string_view>

#include "kvsieve/traces/error.h"

namespace kvsieve::cli {
namespace {

bool is_date(const std::string& text) {
  constexpr std::string_view kForm = "dddd-dd-dd";
  if (text.size() < kForm.size() ||
      text.find_first_not_of("0123456789-:TZ.+") != std::string::npos) {
    return false;
  }
  for (std::size_t i = 0; i < kForm.size(); ++i) {
    const bool digit = text[i] >= '0' && text[i] <= '9';
    if (kForm[i] == 'd' ? !digit : text[i] != kForm[i]) {
      return false;
    }
  }
  return true;
}

}  // namespace

std::string today() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  return fmt::format("{:04}-{:02}-{:02}", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday);
}

void check_date(const std::string& text) {
  if (!is_date(text)) {
    throw Error(ErrorKind::kUsage, fmt::format("--date is '{}', expected YYYY-MM-DD", text));
  }
}

}  // namespace kvsieve::cli
