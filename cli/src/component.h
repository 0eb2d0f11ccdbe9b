#pragma once
// Programs beside `kvsieve` that have dependencies of their own.

#include <string>
#include <vector>

namespace kvsieve::cli {

/// Replaces this process by `program`, found beside this one, in `folder` of the build tree, or on
/// the PATH. Returns only if there is none.
void start_component(const std::string& program, const std::string& folder,
                     const std::vector<std::string>& words);

}  // namespace kvsieve::cli
