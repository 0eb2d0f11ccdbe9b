#pragma once
// The data files under sim/hardware/data, embedded at build time (cmake/KVSieveEmbedData.cmake).

#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kvsieve/traces/error.h"
#include "kvsieve/traces/json_fields.h"

namespace kvsieve::sim {

/// A data file: its path below the data folder, e.g. "gpus/h100-sxm.json", and its text.
struct BuiltInFile {
  std::string_view path;
  std::string_view text;
};
[[nodiscard]] std::span<const BuiltInFile> built_in_files() noexcept;

/// A folder of the data, with what errors call one of its files.
struct DataFolder {
  std::string_view name;
  std::string_view what;
};
inline constexpr DataFolder kGpuFolder{"gpus", "hardware"};
inline constexpr DataFolder kArchitectureFolder{"architectures", "architecture"};
inline constexpr DataFolder kLinkFolder{"links", "link"};
inline constexpr DataFolder kCpuFolder{"cpus", "cpu"};
inline constexpr DataFolder kModelFolder{"models", "model"};

/// Ids (names of the files) in a folder, ascending.
[[nodiscard]] std::vector<std::string> built_in_ids(DataFolder folder);

/// The document with this id, or null. Parsed once; the pointer stays valid.
[[nodiscard]] const nlohmann::ordered_json* find_built_in(DataFolder folder, std::string_view id);

/// The document that `fields`' string `key` names. Throws Error(kBadInput) if it names none.
[[nodiscard]] const nlohmann::ordered_json& named_built_in(const traces::JsonFields& fields,
                                                           std::string_view key, DataFolder folder);

/// ASCII letters in lower case: how ids and aliases are compared.
[[nodiscard]] std::string lower_case(std::string_view text);

/// Throws Error(kUsage) for a name that is none of `names`, with the likeliest ones as a hint.
[[noreturn]] void fail_unknown(DataFolder folder, std::string_view name,
                               const std::vector<std::string>& names);

/// Whether a profile's or model's name on the command line is that of a file.
[[nodiscard]] bool ends_in_json(std::string_view name) noexcept;

/// The parsed document of a user's file. Throws Error(kBadInput) without the path.
[[nodiscard]] nlohmann::ordered_json parse_data_file(const std::string& path, DataFolder folder);

/// Gives the document of a user's file to `read`; errors begin with the path.
template <class Read>
[[nodiscard]] auto read_data_file(const std::string& path, DataFolder folder, Read&& read) {
  try {
    return read(parse_data_file(path, folder));
  } catch (const Error& error) {
    throw Error(error.kind(), path + ": " + error.what(), error.hint());
  }
}

}  // namespace kvsieve::sim
