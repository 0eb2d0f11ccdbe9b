#pragma once
// The style sheet of HTML reports: one accent colour, light and dark, phones and paper.

#include <string_view>

namespace kvsieve::sim {

[[nodiscard]] std::string_view html_style();

}  // namespace kvsieve::sim
