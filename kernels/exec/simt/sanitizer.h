#pragma once
// What AddressSanitizer and ThreadSanitizer have to be told about fibers; nothing in other builds.
//
// ThreadSanitizer takes every CUDA thread for a thread of its own and knows only the order that
// barriers and warp operations make, so that it finds missing ones. The executor's own data, which
// one OS thread works on, is hidden from it.

#ifdef __SANITIZE_ADDRESS__
#define KVSIEVE_SIMT_ASAN 1
#endif
#ifdef __SANITIZE_THREAD__
#define KVSIEVE_SIMT_TSAN 1
#endif
#ifdef __has_feature  // clang
#if __has_feature(address_sanitizer)
#define KVSIEVE_SIMT_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define KVSIEVE_SIMT_TSAN 1
#endif
#endif

#ifdef KVSIEVE_SIMT_ASAN
#include <sanitizer/asan_interface.h>
#endif
#ifdef KVSIEVE_SIMT_TSAN
#include <sanitizer/tsan_interface.h>
extern "C" {
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);
}
#endif

namespace kvsieve::simt {

#ifdef KVSIEVE_SIMT_ASAN
inline constexpr bool kAddressSanitizer = true;
#else
inline constexpr bool kAddressSanitizer = false;
#endif
#ifdef KVSIEVE_SIMT_TSAN
inline constexpr bool kThreadSanitizer = true;
#else
inline constexpr bool kThreadSanitizer = false;
#endif
#ifdef __clang__
inline constexpr bool kClangThreadSanitizer = kThreadSanitizer;
#else
inline constexpr bool kClangThreadSanitizer = false;
#endif

/// What happened before release(x) in one CUDA thread happens before what follows acquire(x) in
/// another, in the eyes of ThreadSanitizer.
inline void release([[maybe_unused]] void* where) {
#ifdef KVSIEVE_SIMT_TSAN
  __tsan_release(where);
#endif
}
inline void acquire([[maybe_unused]] void* where) {
#ifdef KVSIEVE_SIMT_TSAN
  __tsan_acquire(where);
#endif
}

/// While it lives, ThreadSanitizer does not watch this CUDA thread.
class Unwatched {
 public:
#ifdef KVSIEVE_SIMT_TSAN
  Unwatched() {
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
  }
  ~Unwatched() {
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
  }
#else
  Unwatched() {}
#endif
  Unwatched(const Unwatched&) = delete;
  Unwatched& operator=(const Unwatched&) = delete;
};

}  // namespace kvsieve::simt
