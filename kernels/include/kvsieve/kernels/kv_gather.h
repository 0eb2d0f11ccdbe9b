#pragma once
// Bringing the selected K and V rows from host memory to the GPU, and keeping the ones that come
// back often there.

#include <cstdint>
#include <span>
#include <vector>

#include "kvsieve/kernels/sparse_decode.h"
#include "kvsieve/kernels/work.h"

namespace kvsieve::kernels {

/// A run of consecutive tokens: one piece of a transfer.
struct TokenRun {
  std::int32_t first = 0;
  std::int32_t count = 0;

  bool operator==(const TokenRun&) const = default;
};

/// Replaces `runs` by the maximal runs of an ascending list, in order.
void find_runs(std::span<const std::int32_t> tokens, std::vector<TokenRun>& runs);

/// Copies the listed rows of one segment to consecutive rows at `target`, on the host's threads:
/// the CPU's half of a gather that then takes a single copy.
/// @param tokens each < cache.segment_rows @param target [tokens.size(), 2, d], aligned to 16 bytes
void gather_rows(const KvRows& cache, std::int64_t segment, std::span<const std::int32_t> tokens,
                 void* target);

/// Which cached rows give way.
enum class HotPolicy {
  kLru,  ///< the last use is oldest; ties: the lowest token
  kLfu,  ///< fewest uses since it came; ties: the oldest last use, then the lowest token
};

/// Where the rows of a step's tokens are, and which of them have to be fetched first.
struct HotStep {
  std::vector<std::int32_t> slots;  ///< [wanted] slot of each token, or -1 - i: the i-th bypass row
  std::vector<std::int32_t> missing;  ///< tokens to fetch, ascending
  std::vector<std::int32_t> targets;  ///< [missing] slot, or -1 - i, where each goes
  std::int64_t hits = 0;
  std::int64_t bypassed = 0;  ///< missing tokens that found no slot
};

/// The GPU's buffer of one KV head's rows, by slots. A step's hits are pinned for that step; its
/// misses, ascending, take free slots (lowest first), then the slots of unpinned tokens that the
/// policy names; when none is left, the remaining misses bypass the buffer: they are fetched and
/// not kept.
class HotBuffer {
 public:
  /// @param slots >= 0 @param tokens that may ever be wanted
  HotBuffer(std::int64_t slots, std::int64_t tokens, HotPolicy policy);

  /// Serves a step's tokens, ascending. Reuses the memory of `step`. It takes time for the tokens
  /// alone, not for the slots.
  void serve(std::span<const std::int32_t> wanted, HotStep& step);

 private:
  struct Slot {
    std::int32_t token = -1;
    std::int32_t uses = 0;
    // Neighbours in its queue.
    std::int32_t before = -1;
    std::int32_t after = -1;
  };
  /// Slots by last use, then token: a step's tokens join at the end in ascending order.
  struct Queue {
    std::int32_t first = -1;
    std::int32_t last = -1;
  };

  Queue& queue_of(const Slot& slot);
  void append(std::int32_t slot);
  void unlink(std::int32_t slot);
  std::int32_t take_slot(std::size_t& lowest);

  std::vector<Slot> m_slots;
  std::vector<std::int32_t> m_slot_of;  ///< by token, -1 if not cached
  std::vector<Queue> m_queues;          ///< LRU: one; LFU: by uses
  HotPolicy m_policy;
  std::int64_t m_filled = 0;  ///< slots [0, m_filled) hold tokens
};

/// Work of gathering `rows` rows: each read from host memory once and written once.
[[nodiscard]] constexpr Work kv_gather_work(std::int64_t rows, std::int64_t d,
                                            std::int64_t element_bytes) {
  const std::int64_t bytes = rows * row_bytes(d, element_bytes);
  return {bytes + rows * 4, bytes, 0};
}

/// Work of serving `wanted` tokens from hot buffers in which `missing` of them are not: the list
/// and where each of its rows is, and the missing rows, each read from host memory once and written
/// once. The buffers' own books are not counted.
[[nodiscard]] constexpr Work hot_buffer_work(std::int64_t wanted, std::int64_t missing,
                                             std::int64_t d, std::int64_t element_bytes) {
  const std::int64_t bytes = missing * row_bytes(d, element_bytes) + wanted * 4;
  return {bytes, bytes, 0};
}

}  // namespace kvsieve::kernels
