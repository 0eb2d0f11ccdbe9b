#include "kvsieve/traces/output_file.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

#include "kvsieve/traces/error.h"

namespace kvsieve::traces {
namespace {

/// Opens a new file beside `path` and stores its name; the kernel applies the umask.
int open_beside(const std::filesystem::path& path, std::filesystem::path& temporary) {
  static std::atomic<unsigned> counter = 0;
  while (true) {
    temporary = fmt::format("{}.part-{}-{}", path.string(), ::getpid(), ++counter);
    const int descriptor = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor >= 0 || errno != EEXIST) {
      return descriptor;
    }
  }
}

}  // namespace

OutputFile::OutputFile(std::filesystem::path path, bool overwrite) : m_path(std::move(path)) {
  if (m_path.empty()) {
    throw Error(ErrorKind::kUsage, "the output path is empty");
  }
  std::error_code unreadable;  // whatever it is, creating the file reports it
  const std::filesystem::file_status existing = std::filesystem::status(m_path, unreadable);
  if (std::filesystem::exists(existing) && !std::filesystem::is_regular_file(existing)) {
    // Renaming over a device or a pipe would destroy it.
    throw Error(ErrorKind::kUsage,
                fmt::format("{}: cannot be replaced, it is not a regular file", m_path.string()));
  }
  if (!overwrite && std::filesystem::exists(existing)) {
    throw Error(ErrorKind::kUsage, fmt::format("{}: the file exists already", m_path.string()),
                "--force replaces it");
  }
  m_descriptor = open_beside(m_path, m_temporary);
  if (m_descriptor < 0) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("{}: cannot create it ({})", m_path.string(), std::strerror(errno)),
                "check that the folder exists and is writable");
  }
}

OutputFile::~OutputFile() {
  if (m_descriptor >= 0) {
    ::close(m_descriptor);
    ::unlink(m_temporary.c_str());
  }
}

void OutputFile::append(std::span<const std::byte> bytes) {
  write_at(m_end, bytes);
  m_end += bytes.size();
}

void OutputFile::append(std::string_view text) {
  append(std::as_bytes(std::span(text)));
}

void OutputFile::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written =
        ::pwrite(m_descriptor, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0) {
      if (errno == EINTR) {
        continue;
      }
      throw Error(ErrorKind::kBadInput,
                  fmt::format("{}: write failed ({})", m_path.string(), std::strerror(errno)));
    }
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    offset += static_cast<std::uint64_t>(written);
  }
}

void OutputFile::commit(Durability durability) {
  const auto fail = [&](const char* step) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("{}: {} failed ({})", m_path.string(), step, std::strerror(errno)));
  };
  const bool synced = durability == Durability::kSynced;
  if (synced && ::fsync(m_descriptor) != 0) {
    fail("sync");
  }
  if (::rename(m_temporary.c_str(), m_path.c_str()) != 0) {
    fail("rename");
  }
  ::close(std::exchange(m_descriptor, -1));
  if (!synced) {
    return;
  }
  // The rename itself is durable only once the folder is synced.
  const std::filesystem::path folder = m_path.has_parent_path() ? m_path.parent_path() : ".";
  if (const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
      descriptor >= 0) {
    ::fsync(descriptor);
    ::close(descriptor);
  }
}

void write_file(const std::filesystem::path& path, std::string_view text, bool overwrite,
                Durability durability) {
  OutputFile file(path, overwrite);
  file.append(text);
  file.commit(durability);
}

}  // namespace kvsieve::traces
