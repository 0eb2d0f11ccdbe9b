#pragma once
// The part of a KV head's host cache that is also on the GPU: least recently used tokens leave.

#include <cstdint>
#include <span>
#include <vector>

namespace kvsieve::sim {

/// An LRU set of tokens. A step first counts what is there, then uses its hits in ascending order,
/// then brings in the missing tokens in ascending order, so that no token of a step pushes out a
/// hit of the same step before it was counted.
class HotBuffer {
 public:
  /// @param slots tokens that fit, 0 for none @param tokens T, all tokens that may ever come
  HotBuffer(std::int64_t slots, std::int64_t tokens);

  /// Serves one step's tokens (ascending, each < T). Replaces `missing` by those that were not
  /// there, ascending; returns how many were.
  std::int64_t serve(std::span<const std::int32_t> wanted, std::vector<std::int32_t>& missing);

 private:
  void unlink(std::int32_t token);
  void push_newest(std::int32_t token);

  static constexpr std::int32_t kAbsent = -1;
  std::int64_t m_slots;
  std::int64_t m_size = 0;
  std::int32_t m_head;                // list head; its neighbours are the oldest and the newest
  std::vector<std::int32_t> m_older;  // [T + 1] neighbour towards the oldest, kAbsent if not held
  std::vector<std::int32_t> m_newer;  // [T + 1]
};

}  // namespace kvsieve::sim
