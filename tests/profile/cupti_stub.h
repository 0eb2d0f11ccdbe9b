#pragma once
// A library with CUPTI's entry points that replays given buffers instead of recording any.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace kvsieve::profile::tests {

/// What the stub does and what was asked of it.
struct CuptiStub {
  std::uint32_t version = 130001;
  std::string failing_call;  ///< returns `failure`; "cuptiActivityEnable" may have ":12" behind it
  int failure = 999;
  std::vector<std::vector<std::uint8_t>> buffers;  ///< handed over by cuptiActivityFlushAll
  std::size_t dropped = 0;                         ///< reported with the first of them

  // Of a program that makes records as it runs; may be empty.
  std::function<void()> before_flush;                         ///< begin of cuptiActivityFlushAll
  std::function<void(const void* get_export_table)> on_nvtx;  ///< NVTX found the stub

  /// Hands a buffer over at once, on the calling thread.
  void (*hand_over)(const std::vector<std::uint8_t>& bytes) = nullptr;

  std::set<int> enabled;  ///< kinds
  int subscribers = 0;
  int refused_buffers = 0;
  int nvtx_initialised = 0;  ///< times that NVTX found it
};

/// Bytes of a record of `kind` in CUPTI `version`; 0 for a kind that the stub does not know.
[[nodiscard]] std::size_t record_bytes(std::uint32_t version, std::uint32_t kind);

}  // namespace kvsieve::profile::tests

extern "C" {
/// The state of the loaded stub.
kvsieve::profile::tests::CuptiStub* kvsieve_cupti_stub();
}
