#pragma once
// The command that reproduces a point of a sweep.

#include <string>
#include <utility>
#include <vector>

namespace kvsieve::cli {

/// Its words behind the program's name: run TRACE --method ... with a trace, cost --method ...
/// without. Switches of a point are true or false.
/// @param options of the point, in order
[[nodiscard]] std::vector<std::string> point_command(
    const std::vector<std::pair<std::string, std::string>>& options);

/// "kvsieve" and the words, as a shell takes them.
[[nodiscard]] std::string command_line(const std::vector<std::string>& words);

}  // namespace kvsieve::cli
