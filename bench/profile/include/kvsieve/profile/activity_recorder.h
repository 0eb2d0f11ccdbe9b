#pragma once
// Records what the GPU and the CUDA runtime do, through CUPTI.

#include <cstddef>
#include <cstdint>
#include <exception>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "kvsieve/profile/cupti_library.h"
#include "kvsieve/profile/recording.h"

namespace kvsieve::profile {

/// Records kernels, copies, fills, calls of the CUDA runtime, NVTX ranges, overheads and devices
/// from its construction on. Calls of the driver are left out: all of this program's go through the
/// runtime and would be there twice. One at a time in a process, and to be made before anything of
/// CUDA or NVTX is called: CUPTI describes the devices while CUDA initialises, and NVTX looks for
/// who wants its ranges when the first one begins.
class ActivityRecorder {
 public:
  /// Throws Error(kMissingCapability), one line that names the call and CUPTI's reason, if it fails
  /// (there is no driver, say, or another profiler is at work), Error(kInternal) if another one is
  /// recording.
  explicit ActivityRecorder(const CuptiLibrary& library);
  ~ActivityRecorder();
  ActivityRecorder(const ActivityRecorder&) = delete;
  ActivityRecorder& operator=(const ActivityRecorder&) = delete;

  /// Stops and returns everything so far; `run` is left to the caller. All work should have been
  /// waited for: what still runs is not in it. Throws as the constructor does.
  [[nodiscard]] ActivityRecording finish();

 private:
  static void ignore_callback(void* user_data, int domain, std::uint32_t callback,
                              const void* data) noexcept;
  static void request_buffer(std::uint8_t** buffer, std::size_t* bytes, std::size_t* most_records);
  static void complete_buffer(void* context, std::uint32_t stream, std::uint8_t* buffer,
                              std::size_t bytes, std::size_t valid_bytes);

  void check(int result, const std::string& call) const;
  void stop() noexcept;
  void take(void* context, std::uint32_t stream, std::uint8_t* buffer, std::size_t valid_bytes);
  /// Adds what was dropped since somebody asked.
  void count_dropped(void* context, std::uint32_t stream);
  void take_record(const std::uint8_t* record, std::size_t bytes);
  [[nodiscard]] std::uint64_t number_of(const char* text);
  void name_calls();

  static std::mutex s_mutex;  ///< CUPTI hands buffers over on threads of its own
  static ActivityRecorder* s_current;

  CuptiCalls m_calls;
  void* m_subscriber = nullptr;
  ActivityRecording m_recording;
  std::unordered_map<std::string, std::uint64_t> m_numbers;  ///< of the texts
  std::exception_ptr m_problem;
};

}  // namespace kvsieve::profile
