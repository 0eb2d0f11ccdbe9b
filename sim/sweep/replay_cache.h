#pragma once
// Figures of replays on disk, by content: a file a replay, named by the hash of its key.

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string_view>

#include "sweep/replay_figures.h"

namespace kvsieve::sim {

/// A folder of figures. Any number of threads and processes may share it: files appear whole, and
/// those of one key hold the same.
class ReplayCache {
 public:
  /// @param folder created if missing; empty for no cache. Throws Error(kBadInput) if it cannot be.
  explicit ReplayCache(std::filesystem::path folder);

  /// The figures of `key`, whose text_hash is `name`; nothing if no sound file of them is there.
  [[nodiscard]] std::optional<ReplayFigures> find(std::string_view name,
                                                  const nlohmann::ordered_json& key) const;

  /// Keeps the figures, in place of whatever the file held. A folder that cannot be written (any
  /// more) keeps nothing: the cache saves time, no result depends on it.
  void keep(std::string_view name, const nlohmann::ordered_json& key,
            const ReplayFigures& figures) const;

 private:
  [[nodiscard]] std::filesystem::path file_of(std::string_view name) const;

  std::filesystem::path m_folder;
};

}  // namespace kvsieve::sim
