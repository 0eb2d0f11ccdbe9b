#pragma once
// The part of a KV head's host cache that is also on the GPU.

#include <cstdint>
#include <span>
#include <vector>

#include "kvsieve/sim/retrieval_replay.h"

namespace kvsieve::sim {

/// Slots for tokens, served step by step. Tokens of the step that are there are hits. The missing
/// ones, ascending, take free slots, then those of tokens that the step has not used:
///   LRU  whose last use is oldest; ties: the lowest token
///   LFU  with the fewest uses since it came in; ties: the oldest last use, then the lowest token
/// Once every slot is used by the step, the remaining ones are fetched and not kept.
class HotBuffer {
 public:
  /// @param slots tokens that fit, 0 for none @param tokens T, all tokens that may ever come
  HotBuffer(std::int64_t slots, std::int64_t tokens, HotPolicy policy);

  /// Serves one step's tokens (ascending, each < T). Replaces `missing` by those that were not
  /// there, ascending; returns how many were.
  std::int64_t serve(std::span<const std::int32_t> wanted, std::vector<std::int32_t>& missing);

 private:
  struct Use {
    std::int64_t uses = 0;  // since it came in; 0 if it is not held
    std::int64_t last = 0;  // step of the last use
  };

  void evict(std::int64_t count);
  [[nodiscard]] bool leaves_first(std::int32_t a, std::int32_t b) const;

  std::int64_t m_slots;
  HotPolicy m_policy;
  std::int64_t m_step = 0;
  std::vector<Use> m_use;             // [T]
  std::vector<std::int32_t> m_held;   // in no order
  std::vector<std::int32_t> m_spare;  // held and not used by this step
};

}  // namespace kvsieve::sim
