#include "run/subprocess.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "kvsieve/traces/error.h"

namespace kvsieve::bench {
namespace {

/// A pipe that closes what is open of it.
class Pipe {
 public:
  Pipe() {
    if (::pipe2(m_ends.data(), O_CLOEXEC) != 0) {
      throw Error(ErrorKind::kInternal, fmt::format("no pipe: {}", std::strerror(errno)));
    }
  }
  ~Pipe() {
    close(0);
    close(1);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  [[nodiscard]] int reading() const { return m_ends[0]; }
  [[nodiscard]] int writing() const { return m_ends[1]; }
  void close(std::size_t end) {
    if (m_ends[end] >= 0) {
      ::close(m_ends[end]);
      m_ends[end] = -1;
    }
  }

 private:
  std::array<int, 2> m_ends{-1, -1};
};

/// Reads both pipes until both ends are closed.
void drain(Pipe& out, Pipe& err, FinishedProcess& process) {
  std::array<pollfd, 2> files{{{out.reading(), POLLIN, 0}, {err.reading(), POLLIN, 0}}};
  std::array<std::string*, 2> texts{&process.out, &process.err};
  while (files[0].fd >= 0 || files[1].fd >= 0) {
    if (::poll(files.data(), files.size(), -1) < 0 && errno != EINTR) {
      throw Error(ErrorKind::kInternal, fmt::format("poll: {}", std::strerror(errno)));
    }
    for (std::size_t i = 0; i < files.size(); ++i) {
      if (files[i].fd < 0 || (files[i].revents & (POLLIN | POLLHUP | POLLERR)) == 0) {
        continue;
      }
      std::array<char, 1 << 16> buffer;
      const ssize_t count = ::read(files[i].fd, buffer.data(), buffer.size());
      if (count > 0) {
        texts[i]->append(buffer.data(), static_cast<std::size_t>(count));
      } else if (count == 0 || errno != EINTR) {
        files[i].fd = -1;
      }
    }
  }
}

double seconds_of(const timeval& time) {
  return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
}

}  // namespace

FinishedProcess run_process(const std::vector<std::string>& words) {
  std::vector<std::string> copies = words;
  std::vector<char*> arguments;
  for (std::string& word : copies) {
    arguments.push_back(word.data());
  }
  arguments.push_back(nullptr);
  Pipe out;
  Pipe err;
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, out.writing(), STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, err.writing(), STDERR_FILENO);
  pid_t child = 0;
  const int failure =
      ::posix_spawnp(&child, arguments[0], &actions, nullptr, arguments.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (failure != 0) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("{}: cannot start it ({})", words[0], std::strerror(failure)));
  }
  out.close(1);
  err.close(1);
  FinishedProcess process;
  drain(out, err, process);
  int status = 0;
  rusage usage{};
  while (::wait4(child, &status, 0, &usage) < 0) {
    if (errno != EINTR) {
      throw Error(ErrorKind::kInternal, fmt::format("wait4: {}", std::strerror(errno)));
    }
  }
  process.exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  process.cpu_seconds = seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
  return process;
}

}  // namespace kvsieve::bench
