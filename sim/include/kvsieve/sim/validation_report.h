#pragma once
// A validation as one HTML file: tables of errors, and modelled against measured times as drawings.

#include <string>

#include "kvsieve/sim/validation.h"

namespace kvsieve::sim {

/// Inline style and drawings, no scripts, nothing from the network. The same report gives the same
/// bytes, whatever the locale.
[[nodiscard]] std::string html_report(const ValidationReport& report);

}  // namespace kvsieve::sim
