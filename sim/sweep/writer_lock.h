#pragma once
// The right to write a file, which one process at a time has.

#include <filesystem>

namespace kvsieve::sim {

/// Held until destruction and at most as long as the process lives, however it ends: the lock is
/// the kernel's, and nothing stays behind. It is on a byte of the file itself, so that links to the
/// file share it.
class WriterLock {
 public:
  /// Opens the file, or creates an empty one. Throws Error(kBadInput) if it can't be opened for
  /// writing, is being written by another process, or its file system has no locks.
  explicit WriterLock(const std::filesystem::path& path);
  WriterLock(const WriterLock&) = delete;
  WriterLock& operator=(const WriterLock&) = delete;
  /// Closing a descriptor takes this process's SQLite locks on the file with it: connections that
  /// write must be closed before.
  ~WriterLock();

  [[nodiscard]] bool created() const noexcept { return m_created; }

 private:
  int m_descriptor = -1;
  bool m_created = false;
};

}  // namespace kvsieve::sim
