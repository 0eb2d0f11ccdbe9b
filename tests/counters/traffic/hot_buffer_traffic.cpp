// Rows that hot buffers fetch, and the books that they keep.

#include <algorithm>
#include <bit>
#include <map>
#include <set>
#include <tuple>

#include "a2ats/kv_gather_device.h"
#include "traffic/traffic.h"
#include "traffic/warp_requests.h"

namespace kvsieve::bench {
namespace {

/// Of a token, a slot, a count, a step.
constexpr std::int64_t kEntryBytes = sizeof(std::int32_t);
/// Steps so far and slots in use.
constexpr std::int64_t kHeaderBytes = 2 * kEntryBytes;
constexpr std::int64_t kVectorBytes = 16;

/// What a step of one buffer does.
struct HotStepCounts {
  std::int64_t wanted = 0;
  std::int64_t hits = 0;
  std::int64_t misses = 0;
  std::int64_t cached = 0;   ///< rows before it
  std::int64_t unused = 0;   ///< of these, rows that it does not want
  std::int64_t victims = 0;  ///< of these, rows that make way
  std::int64_t kept = 0;     ///< misses with a slot
  // Uses of the rows in the buffer after it, in ascending order.
  std::vector<std::int32_t> rest;  ///< of those that it did not want
  std::vector<std::int32_t> used;  ///< of those that it did
};

/// The rows in a buffer, by its policy's words.
class CachedRows {
 public:
  CachedRows(std::int64_t slots, kernels::HotPolicy policy) : m_slots(slots), m_policy(policy) {}

  /// @param wanted ascending
  HotStepCounts serve(const std::vector<std::int32_t>& wanted) {
    ++m_step;
    HotStepCounts counts;
    counts.wanted = static_cast<std::int64_t>(wanted.size());
    counts.cached = static_cast<std::int64_t>(m_rows.size());
    std::vector<std::int32_t> missing;
    for (const std::int32_t token : wanted) {
      const auto row = m_rows.find(token);
      if (row == m_rows.end()) {
        missing.push_back(token);
      } else {
        row->second = {row->second.uses + 1, m_step};
      }
    }
    counts.misses = static_cast<std::int64_t>(missing.size());
    counts.hits = counts.wanted - counts.misses;
    counts.unused = counts.cached - counts.hits;
    const std::int64_t free_slots = std::min(counts.misses, m_slots - counts.cached);
    counts.victims = std::min(counts.misses - free_slots, counts.unused);
    counts.kept = free_slots + counts.victims;
    give_up(counts.victims);
    for (std::int64_t i = 0; i < counts.kept; ++i) {
      m_rows[missing[static_cast<std::size_t>(i)]] = {1, m_step};
    }
    for (const auto& [token, row] : m_rows) {
      (row.last_use == m_step ? counts.used : counts.rest).push_back(row.uses);
    }
    std::sort(counts.used.begin(), counts.used.end());
    std::sort(counts.rest.begin(), counts.rest.end());
    return counts;
  }

 private:
  struct Row {
    std::int32_t uses;
    std::int32_t last_use;  ///< step
  };

  void give_up(std::int64_t count) {
    std::set<std::tuple<std::int32_t, std::int32_t, std::int32_t>> first_to_go;
    for (const auto& [token, row] : m_rows) {
      if (row.last_use != m_step) {
        const std::int32_t uses = m_policy == kernels::HotPolicy::kLfu ? row.uses : 0;
        first_to_go.emplace(uses, row.last_use, token);
      }
    }
    for (auto next = first_to_go.begin(); count > 0; --count, ++next) {
      m_rows.erase(std::get<2>(*next));
    }
  }

  std::int64_t m_slots;
  kernels::HotPolicy m_policy;
  std::int32_t m_step = 0;
  std::map<std::int32_t, Row> m_rows;  ///< by token
};

/// Uses in `list` that the warps look at while the rows of `others` search for their places.
std::int64_t searched_uses(const std::vector<std::int32_t>& list,
                           const std::vector<std::int32_t>& others, std::int32_t above) {
  const auto count = static_cast<std::int64_t>(others.size());
  std::int64_t looked_at = 0;
  for (std::int64_t first = 0; first < count; first += kWarpLanes) {
    std::vector<LaneSearch> lanes;
    for (std::int64_t i = first; i < std::min(first + kWarpLanes, count); ++i) {
      lanes.push_back(
          {0, static_cast<std::int64_t>(list.size()), others[static_cast<std::size_t>(i)] + above});
    }
    looked_at += searched_elements(list, std::move(lanes));
  }
  return looked_at;
}

/// Entries of the books that a step reads and writes, beyond its list and its result.
struct BookEntries {
  std::int64_t loaded = 0;
  std::int64_t stored = 0;
};

// What a step has read it reads again after a barrier, and after a store into the books.

/// Partitions of the wanted tokens, of the rows in the order in which they go, and of the rows that
/// are there then; a rank in each is known after a first visit, and the second one moves.
BookEntries partition_entries(const HotStepCounts& step) {
  BookEntries entries;
  const std::int64_t cached_after = step.hits + step.kept;
  // Where each token is; the token again, and of hits where they are and how often they were used.
  entries.loaded += 2 * step.wanted + 2 * step.hits;
  entries.stored += 2 * step.misses + 2 * step.hits;  // token and place; last use and uses
  // Of each row its slot and last use; its slot again if it is not used, and of a victim the token.
  entries.loaded += 2 * step.cached + step.unused + step.victims;
  entries.stored += step.unused + step.victims;  // the new order, or a target and no slot
  // Of a miss its place; with a slot its token for each of two books, and the victim's slot.
  entries.loaded += step.misses + 2 * step.kept + step.victims;
  entries.stored += step.misses + 4 * step.kept;  // a target; slot, token, last use and uses
  // Where each token is by now, and again of those in the buffer.
  entries.loaded += step.wanted + cached_after;
  entries.stored += cached_after;
  return entries;
}

/// What least frequent use has besides: used rows sorted by uses, a bit at a time, and merged with
/// the rest.
BookEntries merge_entries(const HotStepCounts& step) {
  BookEntries entries;
  const auto used = static_cast<std::int64_t>(step.used.size());
  const auto rest = static_cast<std::int64_t>(step.rest.size());
  const auto bits = static_cast<std::int64_t>(
      std::bit_width(static_cast<std::uint32_t>(used > 0 ? step.used.back() : 0)));
  // Slot and uses to count a bit's zeros, once more to see that no bit is left; to rank; and the
  // slot to move it.
  entries.loaded += (2 * (bits + 1) + 3 * bits) * used;
  entries.stored += bits * used;
  // Slots, and their uses where there is something to search.
  entries.loaded +=
      (rest + used) * (rest > 0 && used > 0 ? 2 : 1) +
      2 * (searched_uses(step.used, step.rest, 0) + searched_uses(step.rest, step.used, 1));
  entries.stored += rest + used;
  return entries;
}

/// The steps of buffers that were empty.
Traffic serve_hot_buffers(const std::vector<device::HotBuffersArgs>& steps,
                          const kernels::Work& work) {
  std::int64_t loaded = work.bytes_read;
  std::int64_t stored = work.bytes_written;
  const device::HotBuffersArgs& shape = steps.front();
  std::vector<CachedRows> buffers(static_cast<std::size_t>(shape.segments),
                                  CachedRows(shape.slots, shape.policy));
  const std::int64_t warps = warps_of(device::serve_hot_buffers_config(shape));
  const std::int64_t fetching_warps = warps_of(device::gather_rows_config(
      {.source = shape.source, .segments = shape.segments, .lists = shape.wanted}));
  const std::int64_t row_vectors =
      kernels::row_bytes(shape.source.head_dim, element_bytes(shape.source.dtype)) / kVectorBytes;
  for (const device::HotBuffersArgs& args : steps) {
    const std::vector<std::int32_t> counts = from_device(args.wanted.counts, args.segments);
    for (std::int64_t s = 0; s < args.segments; ++s) {
      const HotStepCounts step = buffers[static_cast<std::size_t>(s)].serve(from_device(
          args.wanted.tokens + s * args.wanted.capacity, counts[static_cast<std::size_t>(s)]));
      BookEntries entries = partition_entries(step);
      if (args.policy == kernels::HotPolicy::kLfu) {
        const BookEntries merge = merge_entries(step);
        entries.loaded += merge.loaded;
        entries.stored += merge.stored;
      }
      // The fetch looks up which row goes where.
      entries.loaded += 2 * rows_looked_up(step.misses, row_vectors);
      // Misses, and those without a slot.
      entries.stored += 2;
      loaded += entries.loaded * kEntryBytes;
      stored += entries.stored * kEntryBytes + kHeaderBytes;
    }
    // Every warp reads how many tokens are wanted, or missing, and the header.
    loaded += warps * (kEntryBytes + kHeaderBytes) + fetching_warps * kEntryBytes;
  }
  return {loaded, stored};
}

constexpr OperationTraffic kTraffic[] = {
    {"serve_hot_buffers", traffic_of<std::vector<device::HotBuffersArgs>, serve_hot_buffers>},
};

}  // namespace

std::span<const OperationTraffic> hot_buffer_traffic() {
  return kTraffic;
}

}  // namespace kvsieve::bench
