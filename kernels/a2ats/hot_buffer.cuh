#pragma once
// The hot buffers' bookkeeping: which of a step's tokens are cached, and which slots the others
// take. gather_rows_kernel then fetches them.
//
// Idea: no sorting of slots. The slots in use are kept in the order in which the policy gives them
// up, so a step is a few stable partitions by prefix sums. The tokens that this step uses leave
// the order, the first of the rest are its victims, and the used ones join again: for LRU at the
// end, in ascending order; for LFU they are sorted by uses, a bit at a time from the lowest, which
// keeps ascending tokens in order, and merged with the rest by binary search. The rest has its
// older uses first among equals, as the policy wants.
//
// Threads: a block a segment; its threads stride over lists and slots, all positions come from
// prefix sums in fixed order. Integers only: no order of threads changes a result.
// Bytes: about 4 (6 n + 5 N) a segment for n tokens and N slots.
// Limits: N plus the largest list below 2^31.

#include <cstdint>

#include "exec/device/device.cuh"
#include "exec/device/warp.cuh"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

inline constexpr int kHotThreads = 512;
inline constexpr int kHotWarps = kHotThreads / kWarpSize;

/// Of a segment.
struct HotHeader {
  std::int32_t step;    ///< steps so far
  std::int32_t filled;  ///< slots [0, filled) hold tokens
};

/// The state in device memory, and a step's lists.
struct HotState {
  std::int64_t slots;     ///< N
  std::int64_t tokens;    ///< that may ever be wanted
  std::int64_t capacity;  ///< of the lists
  std::int32_t* slot_of;  ///< [S, tokens] -1 if not cached
  HotHeader* headers;     ///< [S]
  std::int32_t* orders;   ///< [2, S, N] slots, next victim first; the newer one of odd steps is [1]
  std::int32_t* token_of;             ///< [S, N]
  std::int32_t* last_use;             ///< [S, N] step
  std::int32_t* uses;                 ///< [S, N] since the token came
  std::int32_t* missing;              ///< [S, capacity] tokens, ascending
  std::int32_t* targets;              ///< [S, capacity] rows of the pool for them
  std::int32_t* places;               ///< [S, capacity] their places in `wanted`
  std::int32_t* rest;                 ///< [S, N] LFU only: slots that were not used
  std::int32_t* used;                 ///< [2, S, N] LFU only: slots that were
  const std::int32_t* wanted;         ///< [S, capacity]
  const std::int32_t* wanted_counts;  ///< [S]; of a longer list, what is there
  std::int32_t* rows;                 ///< [S, capacity] out
  std::int32_t* misses;               ///< [S] out
  std::int32_t* bypassed;             ///< [S] out
};

/// Calls visit(i, chosen(i), rank) for i < n, rank being the number of chosen ones before it.
/// Returns how many are chosen. What visits write is visible to all threads after it.
template <class Chosen, class Visit>
__device__ inline int visit_ranked(int n, int* warp_sums, Chosen chosen, Visit visit) {
  int before = 0;
  for (int first = 0; first < n; first += kHotThreads) {
    const int i = first + static_cast<int>(threadIdx.x);
    const bool is_chosen = i < n && chosen(i);
    int total = 0;
    const int rank = before + block_exclusive_sum<kHotThreads>(is_chosen ? 1 : 0, warp_sums, total);
    if (i < n) {
      visit(i, is_chosen, rank);
    }
    before += total;
    __syncthreads();
  }
  return before;
}

/// Slots in ascending order of their uses.
struct SlotList {
  const std::int32_t* slots;
  int count;
};

/// Slots of the list with fewer uses than `limit`.
__device__ inline int slots_below(SlotList list, const std::int32_t* uses, int limit) {
  int low = 0;
  int high = list.count;
  while (low < high) {
    const int middle = (low + high) / 2;
    if (uses[list.slots[middle]] < limit) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

/// Puts the slots of a list into an order that they share with `others`: behind those with fewer
/// uses than their own and `above`.
__device__ inline void merge_slots(std::int32_t* order, SlotList list, SlotList others,
                                   const std::int32_t* uses, int above) {
  // A warp's lanes leave the loop together. Since Volta, lanes need not reconverge by themselves:
  // those that left earlier could go on alone, and ask apart for what comes next.
  for (int first = 0; first < list.count; first += kHotThreads) {
    const int i = first + static_cast<int>(threadIdx.x);
    if (i < list.count) {
      const std::int32_t slot = list.slots[i];
      const int before = others.count > 0 ? slots_below(others, uses, uses[slot] + above) : 0;
      order[i + before] = slot;
    }
  }
}

/// Sorts n slots by uses, stably. Returns the one of both lists that has the result.
__device__ inline std::int32_t* sort_by_uses(std::int32_t* from, std::int32_t* to, int n,
                                             const std::int32_t* uses, int* warp_sums) {
  for (int bit = 0;; ++bit) {
    int zeros = 0;
    bool more = false;
    for (int i = static_cast<int>(threadIdx.x); i < n; i += kHotThreads) {
      const int digits = uses[from[i]] >> bit;
      zeros += digits % 2 == 0 ? 1 : 0;
      more = more || digits != 0;
    }
    if (__syncthreads_or(more ? 1 : 0) == 0) {
      return from;
    }
    int all_zeros = 0;
    block_exclusive_sum<kHotThreads>(zeros, warp_sums, all_zeros);
    __syncthreads();
    visit_ranked(
        n, warp_sums, [&](int i) { return (uses[from[i]] >> bit) % 2 == 0; },
        [&](int i, bool is_zero, int rank) {
          to[is_zero ? rank : all_zeros + i - rank] = from[i];
        });
    std::int32_t* sorted = to;
    to = from;
    from = sorted;
  }
}

/// One step of one segment.
template <bool kLfu>
__global__ void __launch_bounds__(kHotThreads) serve_hot_kernel(HotState state) {
  __shared__ int warp_sums[kHotWarps];
  const auto s = static_cast<std::int64_t>(blockIdx.x);
  const auto segments = static_cast<std::int64_t>(gridDim.x);
  const auto slots = static_cast<int>(state.slots);
  std::int32_t* slot_of = state.slot_of + s * state.tokens;
  std::int32_t* token_of = state.token_of + s * state.slots;
  std::int32_t* last_use = state.last_use + s * state.slots;
  std::int32_t* uses = state.uses + s * state.slots;
  std::int32_t* missing = state.missing + s * state.capacity;
  std::int32_t* targets = state.targets + s * state.capacity;
  std::int32_t* places = state.places + s * state.capacity;
  const std::int32_t* wanted = state.wanted + s * state.capacity;
  std::int32_t* rows = state.rows + s * state.capacity;
  const auto n = static_cast<int>(min(std::int64_t{state.wanted_counts[s]}, state.capacity));
  const HotHeader before = state.headers[s];
  const int step = before.step + 1;
  const auto order_of = [&](int at) {
    return state.orders + ((at % 2) * segments + s) * state.slots;
  };
  const std::int32_t* order = order_of(before.step);
  std::int32_t* next_order = order_of(step);

  const int misses = visit_ranked(
      n, warp_sums, [&](int i) { return slot_of[wanted[i]] < 0; },
      [&](int i, bool is_missing, int rank) {
        if (is_missing) {
          missing[rank] = wanted[i];
          places[rank] = i;
        } else {
          const int slot = slot_of[wanted[i]];
          rows[i] = slot;
          last_use[slot] = step;
          ++uses[slot];
        }
      });
  const int free_slots = min(misses, slots - before.filled);
  const int wanted_victims = misses - free_slots;
  std::int32_t* rest = kLfu ? state.rest + s * state.slots : next_order;
  const int unused = visit_ranked(
      before.filled, warp_sums, [&](int p) { return last_use[order[p]] != step; },
      [&](int p, bool is_unused, int rank) {
        if (!is_unused) {
          return;
        }
        const int slot = order[p];
        if (rank < wanted_victims) {
          slot_of[token_of[slot]] = -1;
          targets[free_slots + rank] = slot;
        } else {
          rest[rank - wanted_victims] = slot;
        }
      });
  const int victims = min(wanted_victims, unused);
  const int rest_count = unused - victims;
  const int kept = free_slots + victims;
  for (int i = static_cast<int>(threadIdx.x); i < misses; i += kHotThreads) {
    const int row = i < free_slots ? before.filled + i : i < kept ? targets[i] : slots + i - kept;
    if (i < kept) {
      slot_of[missing[i]] = row;
      token_of[row] = missing[i];
      last_use[row] = step;
      uses[row] = 1;
    }
    targets[i] = row;
    rows[places[i]] = row;
  }
  __syncthreads();
  std::int32_t* used = kLfu ? state.used + s * state.slots : next_order + rest_count;
  const int used_count = visit_ranked(
      n, warp_sums, [&](int i) { return rows[i] < slots; },
      [&](int i, bool is_cached, int rank) {
        if (is_cached) {
          used[rank] = rows[i];
        }
      });
  if (kLfu) {
    used = sort_by_uses(used, used + segments * state.slots, used_count, uses, warp_sums);
    // Of equal uses the rest goes first.
    merge_slots(next_order, {rest, rest_count}, {used, used_count}, uses, 0);
    merge_slots(next_order, {used, used_count}, {rest, rest_count}, uses, 1);
  }
  if (threadIdx.x == 0) {
    state.headers[s] = {step, before.filled + free_slots};
    state.misses[s] = misses;
    state.bypassed[s] = misses - kept;
  }
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
