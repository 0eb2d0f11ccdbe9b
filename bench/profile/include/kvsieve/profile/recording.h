#pragma once
// What CUPTI recorded of a run, as a file: somebody else's GPU can be looked at without one.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace kvsieve::profile {

/// What ran while it was recorded.
struct RecordedRun {
  std::string tool_version;
  std::vector<std::string> words;  ///< options of the command line, without its files
  std::string trace_name;          ///< empty where no trace was replayed
  std::string trace_hash;
  std::vector<std::int64_t> layers;  ///< the model's, by the number that stage ranges give them

  bool operator==(const RecordedRun&) const = default;
};

/// Activity records as CUPTI wrote them, but that a pointer to text is its number in `texts`, from
/// 1, and 0 where there is none.
struct ActivityRecording {
  std::uint32_t cupti_version = 0;
  std::vector<std::byte> records;   ///< one after the other, each a multiple of 8 bytes
  std::vector<std::int32_t> sizes;  ///< bytes of each
  std::vector<std::string> texts;
  std::map<std::uint32_t, std::string> runtime_calls;  ///< names by callback number
  std::map<std::uint32_t, std::string> driver_calls;
  std::int64_t dropped = 0;  ///< records that CUPTI had no room for
  RecordedRun run;

  bool operator==(const ActivityRecording&) const = default;
};

/// Writes a recording (docs/profiling.md has the form). Errors as traces::OutputFile.
void write_recording(const std::filesystem::path& path, const ActivityRecording& recording,
                     bool overwrite);

/// Reads one. Throws Error(kBadInput), one line that begins with the path, for a file that is none,
/// or whose sizes do not add up.
[[nodiscard]] ActivityRecording read_recording(const std::filesystem::path& path);

}  // namespace kvsieve::profile
