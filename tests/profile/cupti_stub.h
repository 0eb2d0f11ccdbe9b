#pragma once
// A library with CUPTI's entry points that replays given buffers instead of recording any.

#include <cstddef>
#include <cstdint>
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
