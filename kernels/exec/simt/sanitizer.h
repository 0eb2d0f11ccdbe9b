#pragma once
// What AddressSanitizer and ThreadSanitizer have to be told about fibers; nothing in other builds.

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#define KVSIEVE_SIMT_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KVSIEVE_SIMT_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define KVSIEVE_SIMT_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define KVSIEVE_SIMT_TSAN 1
#endif
#endif

#ifdef KVSIEVE_SIMT_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef KVSIEVE_SIMT_TSAN
#include <sanitizer/tsan_interface.h>
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

}  // namespace kvsieve::simt
