#pragma once
// Setting a report as Markdown.

#include <string>

#include "report_model.h"

namespace kvsieve::sim {

[[nodiscard]] std::string markdown_page(const Report& report);

}  // namespace kvsieve::sim
