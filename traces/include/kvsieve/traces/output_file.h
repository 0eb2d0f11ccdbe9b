#pragma once
// Files that appear whole or not at all.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>

namespace kvsieve::traces {

/// What outlives a machine that stops.
enum class Durability {
  kSynced,   ///< the file as a whole
  kRenamed,  ///< nothing for sure, the content may be torn: for what is checked when it is read
};

/// A file written under a temporary name beside its target; commit() syncs it and renames it into
/// place, and destruction without commit() removes it.
class OutputFile {
 public:
  /// Throws Error(kUsage) if `path` exists and `overwrite` is false (hint: --force) or is no
  /// regular file, or Error(kBadInput) if the folder cannot be written.
  OutputFile(std::filesystem::path path, bool overwrite);
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  ~OutputFile();

  /// Writes at the end of what append() wrote before. Throws Error(kBadInput) if the disk is full.
  void append(std::span<const std::byte> bytes);
  void append(std::string_view text);

  /// Writes at byte `offset`.
  void write_at(std::uint64_t offset, std::span<const std::byte> bytes);

  /// Syncs file and folder, if so wanted, and renames into place: other processes see the file
  /// whole or not at all either way.
  void commit(Durability durability = Durability::kSynced);

 private:
  std::filesystem::path m_path;
  std::filesystem::path m_temporary;
  int m_descriptor = -1;
  std::uint64_t m_end = 0;
};

/// Writes `text` as a whole file. Errors as OutputFile.
void write_file(const std::filesystem::path& path, std::string_view text, bool overwrite,
                Durability durability = Durability::kSynced);

}  // namespace kvsieve::traces
