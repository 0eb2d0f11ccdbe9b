#pragma once
// CUPTI, NVIDIA's profiling library, loaded when it is needed: the program links neither it nor the
// driver, and builds without its headers.

#include <cstddef>
#include <cstdint>
#include <string>

namespace kvsieve::profile {

/// The entry points that recording takes, with the types of CUPTI's C interface: an enumeration is
/// an int, a context or a record a pointer. Each returns 0 for success.
struct CuptiCalls {
  using BufferRequested = void (*)(std::uint8_t** buffer, std::size_t* bytes,
                                   std::size_t* most_records);
  using BufferCompleted = void (*)(void* context, std::uint32_t stream, std::uint8_t* buffer,
                                   std::size_t bytes, std::size_t valid_bytes);
  using Callback = void (*)(void* user_data, int domain, std::uint32_t callback, const void* data);

  int (*get_version)(std::uint32_t* version) = nullptr;
  int (*get_result_string)(int result, const char** text) = nullptr;
  int (*get_callback_name)(int domain, std::uint32_t callback, const char** name) = nullptr;
  int (*subscribe)(void** subscriber, Callback callback, void* user_data) = nullptr;
  int (*unsubscribe)(void* subscriber) = nullptr;
  int (*register_callbacks)(BufferRequested requested, BufferCompleted completed) = nullptr;
  int (*enable)(int kind) = nullptr;
  int (*disable)(int kind) = nullptr;
  int (*flush_all)(std::uint32_t flags) = nullptr;
  int (*get_next_record)(std::uint8_t* buffer, std::size_t valid_bytes, void** record) = nullptr;
  int (*get_dropped_records)(void* context, std::uint32_t stream, std::size_t* dropped) = nullptr;
};

/// A loaded library. It stays loaded until the process ends.
class CuptiLibrary {
 public:
  /// Loads `path`, or where it is empty what the environment variable KVSIEVE_CUPTI names, or else
  /// the first that is found of libcupti.so.13, .12 and .so on the loader's path, then in
  /// CUDA_HOME, CUDA_PATH and /usr/local/cuda, there in extras/CUPTI/lib64, lib64 and lib.
  /// Throws Error(kMissingCapability), one line: none is found or loads, one lacks an entry point,
  /// or it is older than that of CUDA 12.0.
  static CuptiLibrary open(const std::string& path);

  [[nodiscard]] const CuptiCalls& calls() const noexcept { return m_calls; }
  /// As CUPTI reports it: 18 is CUDA 12.0, 28 is 12.9, from 13.0 on 130000 and so forth.
  [[nodiscard]] std::uint32_t version() const noexcept { return m_version; }
  /// The file that was loaded.
  [[nodiscard]] const std::string& path() const noexcept { return m_path; }

 private:
  CuptiLibrary() = default;

  CuptiCalls m_calls;
  std::uint32_t m_version = 0;
  std::string m_path;
};

}  // namespace kvsieve::profile
