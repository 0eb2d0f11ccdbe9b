#include "writer_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "kvsieve/traces/error.h"

namespace kvsieve::sim {
namespace {

// Far behind the file's end and the bytes at 1 GiB that SQLite locks.
constexpr off_t kLockedByte = off_t{1} << 62U;

}  // namespace

WriterLock::WriterLock(const std::filesystem::path& path) {
  constexpr int kFlags = O_RDWR | O_CLOEXEC;
  m_descriptor = ::open(path.c_str(), kFlags | O_CREAT | O_EXCL, 0666);
  m_created = m_descriptor >= 0;
  if (!m_created && errno == EEXIST) {
    m_descriptor = ::open(path.c_str(), kFlags);
  }
  if (m_descriptor < 0) {
    throw Error(ErrorKind::kBadInput, fmt::format("{}: cannot be opened for writing ({})",
                                                  path.string(), std::strerror(errno)));
  }
  // Open file description locks: unlike others, they also hold against this process itself, and
  // closing another descriptor of the file does not drop them.
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = kLockedByte;
  lock.l_len = 1;
  if (::fcntl(m_descriptor, F_OFD_SETLK, &lock) != 0) {
    const int reason = errno;
    ::close(m_descriptor);
    if (reason == EAGAIN || reason == EACCES) {
      throw Error(ErrorKind::kBadInput,
                  fmt::format("{}: is being written by another process", path.string()),
                  "wait for it, or give each process a store of its own and merge them");
    }
    if (m_created) {
      ::unlink(path.c_str());
    }
    throw Error(ErrorKind::kBadInput,
                fmt::format("{}: cannot be locked ({})", path.string(), std::strerror(reason)),
                "keep the store on a file system that has locks");
  }
}

WriterLock::~WriterLock() {
  ::close(m_descriptor);
}

}  // namespace kvsieve::sim
