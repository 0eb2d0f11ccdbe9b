#pragma once

#include <string_view>

namespace kvsieve::sim {

/// The tool's version, e.g. "0.1.0", as every output file states it.
[[nodiscard]] std::string_view version() noexcept;

}  // namespace kvsieve::sim
