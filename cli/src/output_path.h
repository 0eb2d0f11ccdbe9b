#pragma once
// Where a verb writes: refused before the work, which may take long, rather than after it.

#include <string>
#include <vector>

namespace kvsieve::cli {

/// Throws as traces::OutputFile does for a path that it would not write, and Error(kUsage) if
/// `path` is one of the `inputs`, which --force must not replace.
void check_output(const std::string& path, bool force, const std::vector<std::string>& inputs);

/// check_output of several outputs of a command, of which those that are empty are not asked for.
/// Throws Error(kUsage) also if two are the same file, before any is tried.
void check_outputs(const std::vector<std::string>& paths, bool force,
                   const std::vector<std::string>& inputs);

}  // namespace kvsieve::cli
