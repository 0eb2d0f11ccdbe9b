#pragma once
// A GPU that nobody has, as CUPTI would have recorded it: what the stand-in for the CUDA runtime is
// asked to do gets times that follow from its bytes. They are made up, so that a test can foresee
// them, and say nothing of any hardware.

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "profile/record_builder.h"

namespace kvsieve::profile::tests {

// The made-up GPU: ns of everything it does.
inline constexpr std::int64_t kRehearsedCallNs = 2000;       ///< of the host, any call
inline constexpr std::int64_t kRehearsedPieceNs = 300;       ///< of a copy
inline constexpr std::int64_t kRehearsedBytesANs = 20;       ///< over the link
inline constexpr std::int64_t kRehearsedKernelNs = 2000;     ///< without a byte
inline constexpr std::int64_t kRehearsedMemoryANs = 500;     ///< bytes of its own memory
inline constexpr std::int64_t kRehearsedHostStageNs = 7000;  ///< work of the host in a stream

/// What a launch asks for.
struct RehearsedKernel {
  std::string name;
  std::int64_t memory_bytes = 0;
  std::int64_t link_bytes = 0;  ///< that it reads and writes in pinned memory
};

/// Clocks of the host's threads and of streams, and the records of what ran. Thread-safe.
class RehearsedGpu {
 public:
  static RehearsedGpu& get();

  /// Any first call of CUDA: CUPTI describes the device then, if anybody listens.
  void initialise();

  void launch(const RehearsedKernel& kernel, const void* stream);
  /// @param kind CUpti_ActivityMemcpyKind @param callback CUPTI's number of the call
  void copy(std::uint8_t kind, std::int64_t bytes, std::int64_t pieces, const void* stream,
            std::uint32_t callback);
  void fill(std::int64_t bytes, const void* stream);
  /// A range of the calling thread.
  void begin_range(const std::string& name);
  void end_range();
  void enqueue_host_work();
  /// Work of the host that a stream has come to, on the calling thread.
  void begin_host_work(const void* stream);
  void end_host_work(const void* stream);

  void record_event(const void* event, const void* stream);
  void wait_for_event(const void* event, const void* stream);
  void synchronize(const void* stream);
  /// Between two events.
  [[nodiscard]] float milliseconds_between(const void* begin, const void* end);

 private:
  RehearsedGpu();

  struct Host {
    std::uint32_t number = 0;
    std::int64_t now_ns = 0;
    bool works = false;  ///< for a stream
    std::vector<std::uint32_t> open_ranges;
  };
  [[nodiscard]] Host& host();
  [[nodiscard]] CuptiStub* stub();
  [[nodiscard]] bool records(std::uint32_t kind);
  /// The call that enqueues something; returns its correlation number.
  std::uint32_t call(std::uint32_t callback);
  /// When a stream runs what takes `ns`.
  struct Span {
    std::int64_t begin_ns;
    std::int64_t end_ns;
  };
  Span run(const void* stream, std::int64_t ns);
  [[nodiscard]] std::uint32_t number_of(const void* stream);
  void hand_over_full_buffer();

  std::mutex m_mutex;
  CuptiStub* m_stub = nullptr;
  RecordBuilder m_builder;
  std::map<std::thread::id, Host> m_hosts;
  std::map<const void*, std::int64_t> m_stream_free_ns;
  std::map<const void*, std::int64_t> m_events_ns;
  std::map<const void*, std::uint32_t> m_stream_numbers;
  std::uint32_t m_correlation = 0;
  std::uint32_t m_range = 0;
  bool m_initialised = false;
};

}  // namespace kvsieve::profile::tests
