#include "sweep/replay_cache.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "kvsieve/traces/error.h"
#include "kvsieve/traces/input_file.h"
#include "kvsieve/traces/output_file.h"
#include "sweep/replay_key.h"

namespace kvsieve::sim {
namespace {

using nlohmann::ordered_json;

constexpr std::string_view kSchema = "kvsieve.replay/1";
constexpr std::size_t kLargestFile = std::size_t{1} << 28U;

}  // namespace

ReplayCache::ReplayCache(std::filesystem::path folder) : m_folder(std::move(folder)) {
  if (m_folder.empty()) {
    return;
  }
  std::error_code error;
  std::filesystem::create_directories(m_folder, error);
  if (error || !std::filesystem::is_directory(m_folder, error)) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("{}: cannot be made a folder for replays ({})", m_folder.string(),
                            error ? error.message() : "it is something else"));
  }
}

std::filesystem::path ReplayCache::file_of(std::string_view name) const {
  return m_folder / fmt::format("{}.json", name);
}

std::optional<ReplayFigures> ReplayCache::find(std::string_view name,
                                               const ordered_json& key) const {
  const std::filesystem::path path = file_of(name);
  std::error_code error;
  if (m_folder.empty() || !std::filesystem::is_regular_file(path, error)) {
    return std::nullopt;
  }
  try {
    const ordered_json json = ordered_json::parse(traces::read_file(path, kLargestFile));
    const ordered_json& figures = json.at("figures");
    if (json.at("schema") == kSchema && json.at("key") == key &&
        json.at("figures_xxh128") == text_hash(figures.dump())) {
      return replay_figures_from_json(figures);
    }
  } catch (const std::exception&) {
    // Damaged, foreign or gone meanwhile: as good as no file, and keep() replaces it.
  }
  return std::nullopt;
}

void ReplayCache::keep(std::string_view name, const ordered_json& key,
                       const ReplayFigures& figures) const {
  if (m_folder.empty()) {
    return;
  }
  const ordered_json content = to_json(figures);
  const ordered_json json = {{"schema", kSchema},
                             {"key", key},
                             {"figures_xxh128", text_hash(content.dump())},
                             {"figures", content}};
  try {
    // A sync takes longer than many a replay; find() checks what it reads.
    traces::write_file(file_of(name), json.dump(), /*overwrite=*/true,
                       traces::Durability::kRenamed);
  } catch (const Error&) {
    // See the contract.
  }
}

}  // namespace kvsieve::sim
