// The running CUDA thread, and how sanitizers' reports learn of it. (ThreadSanitizer learns from
// the names of fibers.)

#include <fmt/format.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

#include "exec/simt/block.h"

namespace kvsieve::simt {

constinit thread_local Thread* t_thread = nullptr;

namespace {

/// Writes a line that says where the report comes from. Reports are made with locks held, so it
/// neither allocates nor calls what sanitizers intercept.
void announce_thread() {
  if (t_thread == nullptr) {
    return;
  }
  const Index3& block = this_block().index();
  const Index3& thread = this_thread().index;
  std::array<char, 512> line;
  const auto end = fmt::format_to_n(line.begin(), line.size() - 1,
                                    "kvsieve: in kernel {}, block ({},{},{}), thread ({},{},{}):",
                                    this_block().launch().name, block.x, block.y, block.z, thread.x,
                                    thread.y, thread.z)
                       .out;
  *end = '\n';
  syscall(SYS_write, STDERR_FILENO, line.data(), static_cast<std::size_t>(end + 1 - line.begin()));
}

}  // namespace
}  // namespace kvsieve::simt

// The sanitizers call these before they report; their own versions do nothing.
extern "C" {
void __asan_on_error();
void __ubsan_on_report();

void __asan_on_error() {
  kvsieve::simt::announce_thread();
}
void __ubsan_on_report() {
  kvsieve::simt::announce_thread();
}
}
