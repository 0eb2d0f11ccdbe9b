#pragma once
// Setting a report as one HTML file.

#include <string>

#include "report_model.h"

namespace kvsieve::sim {

[[nodiscard]] std::string html_page(const Report& report);

}  // namespace kvsieve::sim
