#include "hardware/built_in_data.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "kvsieve/traces/input_file.h"
#include "kvsieve/traces/nearest.h"

namespace kvsieve::sim {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t kMaxFileBytes = std::size_t{1} << 26U;  // calibrations have many rows
constexpr std::string_view kExtension = ".json";

/// Folder -> id -> document.
using Documents =
    std::map<std::string, std::map<std::string, ordered_json, std::less<>>, std::less<>>;

const Documents& documents() {
  static const Documents all = [] {
    Documents parsed;
    for (const BuiltInFile& file : built_in_files()) {
      const std::size_t slash = file.path.find('/');
      const std::string_view name = file.path.substr(slash + 1);
      parsed[std::string(file.path.substr(0, slash))].emplace(
          name.substr(0, name.size() - kExtension.size()),
          traces::parse_json(file.text, file.path));
    }
    return parsed;
  }();
  return all;
}

/// "a, b or c".
std::string either(const std::vector<std::string>& names) {
  const std::vector<std::string> others(names.begin(), names.end() - 1);
  return others.empty() ? names.back()
                        : fmt::format("{} or {}", fmt::join(others, ", "), names.back());
}

/// The names that contain `word`, otherwise the nearest one; none if none is close.
std::vector<std::string> likely(std::string_view word, const std::vector<std::string>& names) {
  std::vector<std::string> found;
  if (!word.empty()) {
    std::copy_if(names.begin(), names.end(), std::back_inserter(found),
                 [&](const std::string& name) { return name.find(word) != std::string::npos; });
  }
  if (found.empty()) {
    if (std::string near = traces::nearest(word, names); !near.empty()) {
      found.push_back(std::move(near));
    }
  }
  return found;
}

}  // namespace

std::vector<std::string> built_in_ids(DataFolder folder) {
  std::vector<std::string> ids;
  for (const auto& [id, document] : documents().find(folder.name)->second) {
    ids.push_back(id);
  }
  return ids;
}

const ordered_json* find_built_in(DataFolder folder, std::string_view id) {
  const auto& inside = documents().find(folder.name)->second;
  const auto found = inside.find(lower_case(id));
  return found == inside.end() ? nullptr : &found->second;
}

const ordered_json& named_built_in(const traces::JsonFields& fields, std::string_view key,
                                   DataFolder folder) {
  const std::string id = fields.string(key);
  const ordered_json* document = find_built_in(folder, id);
  if (document == nullptr) {
    const std::vector<std::string> ids = built_in_ids(folder);
    const std::vector<std::string> near = likely(lower_case(id), ids);
    fields.fail(key, fmt::format("the id of a built-in {}", folder.what),
                near.empty() ? fmt::format("there are {}", fmt::join(ids, ", "))
                             : fmt::format("did you mean {}?", either(near)));
  }
  return *document;
}

std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char& letter : lower) {
    if (letter >= 'A' && letter <= 'Z') {
      letter = static_cast<char>(letter - 'A' + 'a');
    }
  }
  return lower;
}

void fail_unknown(DataFolder folder, std::string_view name, const std::vector<std::string>& names) {
  const std::vector<std::string> near = likely(lower_case(name), names);
  throw Error(
      ErrorKind::kUsage, fmt::format("{} '{}' is unknown", folder.what, traces::printable(name)),
      near.empty() ? fmt::format("there are {}, or give the path of a file", fmt::join(names, ", "))
                   : fmt::format("did you mean {}?", either(near)));
}

bool ends_in_json(std::string_view name) noexcept {
  return name.ends_with(kExtension);
}

ordered_json parse_data_file(const std::string& path, DataFolder folder) {
  return traces::parse_json(traces::read_file(path, kMaxFileBytes),
                            fmt::format("the {}", folder.what));
}

}  // namespace kvsieve::sim
