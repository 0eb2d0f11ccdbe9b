#pragma once
// Shuffles, votes, matches and reductions of a warp.

#include <algorithm>
#include <array>
#include <cstring>
#include <source_location>
#include <string>
#include <utility>

#include "exec/simt/sync_deletion.h"
#include "exec/simt/warp_exchange.h"

namespace kvsieve::simt::cuda {

namespace detail {

[[noreturn, gnu::cold, gnu::noinline]] inline void fail_shuffle_source(
    std::string message, unsigned source, const std::source_location& where) {
  message += " reads lane " + std::to_string(source) + ", which is not in the mask";
  this_block().fail(std::move(message), where);
}

template <class T>
struct ShuffleLane {
  T value;
  unsigned source;
  T result;
};

/// Every lane gets the value of the lane `source`. One in the mask has to bring it.
template <class T>
T shuffle(const char* name, unsigned mask, T value, unsigned source,
          const std::source_location& where) {
  if ((mask >> source & 1U) == 0) {
    this_block().fail(
        std::string(name) + " reads lane " + std::to_string(source) + ", which is not in the mask",
        where);
  }
  ShuffleLane<T> mine{value, source, value};
  warp_exchange(
      name, mask, &mine,
      [](std::array<ShuffleLane<T>*, kLanes>& lanes, unsigned) {
        for (ShuffleLane<T>* lane : lanes) {
          if (lane != nullptr) {
            lane->result = lanes[lane->source]->value;
          }
        }
      },
      where);
  return mine.result;
}

inline void check_width(const char* name, int width, const std::source_location& where) {
  if (width < 1 || width > static_cast<int>(kLanes) || (width & (width - 1)) != 0) {
    std::string message = name;
    message += " has width " + std::to_string(width) + ", supported: 1, 2, 4, 8, 16, 32";
    this_block().fail(std::move(message), where);
  }
}

template <class T, class R>
struct ReduceLane {
  T value;
  R result;
};

/// Every lane gets the values of all lanes in the mask, combined in the order of the lanes.
template <class T, class Combine>
T reduce(const char* name, unsigned mask, T value, Combine, const std::source_location& where) {
  using Lane = ReduceLane<T, T>;
  Lane mine{value, value};
  warp_exchange(
      name, mask, &mine,
      [](std::array<Lane*, kLanes>& lanes, unsigned members) {
        T total{};
        bool first = true;
        for (unsigned i = 0; i < kLanes; ++i) {
          if ((members >> i & 1U) != 0) {
            total = first ? lanes[i]->value : static_cast<T>(Combine{}(total, lanes[i]->value));
            first = false;
          }
        }
        for (Lane* lane : lanes) {
          if (lane != nullptr) {
            lane->result = total;
          }
        }
      },
      where);
  return mine.result;
}

}  // namespace detail

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32,
              std::source_location where = std::source_location::current()) {
  detail::check_width("__shfl_sync", width, where);
  const unsigned lane = this_thread().lane;
  const unsigned w = static_cast<unsigned>(width);
  return detail::shuffle("__shfl_sync", mask, value,
                         (lane & ~(w - 1)) | (static_cast<unsigned>(source) & (w - 1)), where);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32,
                 std::source_location where = std::source_location::current()) {
  detail::check_width("__shfl_up_sync", width, where);
  const unsigned lane = this_thread().lane;
  const unsigned first = lane & ~(static_cast<unsigned>(width) - 1);
  return detail::shuffle("__shfl_up_sync", mask, value, lane - first >= delta ? lane - delta : lane,
                         where);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32,
                   std::source_location where = std::source_location::current()) {
  detail::check_width("__shfl_down_sync", width, where);
  const unsigned lane = this_thread().lane;
  const unsigned last = lane | (static_cast<unsigned>(width) - 1);
  return detail::shuffle("__shfl_down_sync", mask, value,
                         last - lane >= delta ? lane + delta : lane, where);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32,
                  std::source_location where = std::source_location::current()) {
  detail::check_width("__shfl_xor_sync", width, where);
  const unsigned lane = this_thread().lane;
  const unsigned last = lane | (static_cast<unsigned>(width) - 1);
  const unsigned source = lane ^ static_cast<unsigned>(lanes);
  return detail::shuffle("__shfl_xor_sync", mask, value, source <= last ? source : lane, where);
}

inline void __syncwarp(unsigned mask = kAllLanes,
                       std::source_location where = std::source_location::current()) {
  if (is_deleted(where)) {
    return;
  }
  char nothing = 0;
  warp_exchange(
      "__syncwarp", mask, &nothing, [](std::array<char*, kLanes>&, unsigned) {}, where);
}

inline unsigned __ballot_sync(unsigned mask, int predicate,
                              std::source_location where = std::source_location::current()) {
  const unsigned mine = predicate != 0 ? 1U << this_thread().lane : 0U;
  return detail::reduce(
      "__ballot_sync", mask, mine, [](unsigned a, unsigned b) { return a | b; }, where);
}
inline int __any_sync(unsigned mask, int predicate,
                      std::source_location where = std::source_location::current()) {
  return detail::reduce(
      "__any_sync", mask, predicate != 0 ? 1 : 0, [](int a, int b) { return a | b; }, where);
}
inline int __all_sync(unsigned mask, int predicate,
                      std::source_location where = std::source_location::current()) {
  return detail::reduce(
      "__all_sync", mask, predicate != 0 ? 1 : 0, [](int a, int b) { return a & b; }, where);
}

/// The lanes of the mask that have the same value, compared bit by bit.
template <class T>
unsigned __match_any_sync(unsigned mask, T value,
                          std::source_location where = std::source_location::current()) {
  using Lane = detail::ReduceLane<T, unsigned>;
  Lane mine{value, 0};
  warp_exchange(
      "__match_any_sync", mask, &mine,
      [](std::array<Lane*, kLanes>& lanes, unsigned) {
        for (Lane* lane : lanes) {
          for (unsigned i = 0; lane != nullptr && i < kLanes; ++i) {
            if (lanes[i] != nullptr &&
                std::memcmp(&lanes[i]->value, &lane->value, sizeof(T)) == 0) {
              lane->result |= 1U << i;
            }
          }
        }
      },
      where);
  return mine.result;
}
/// The mask if all its lanes have the same value, else 0; `same` says which.
template <class T>
unsigned __match_all_sync(unsigned mask, T value, int* same,
                          std::source_location where = std::source_location::current()) {
  using Lane = detail::ReduceLane<T, unsigned>;
  Lane mine{value, 0};
  warp_exchange(
      "__match_all_sync", mask, &mine,
      [](std::array<Lane*, kLanes>& lanes, unsigned members) {
        const Lane* first = *std::find_if(lanes.begin(), lanes.end(),
                                          [](const Lane* lane) { return lane != nullptr; });
        const bool all = std::all_of(lanes.begin(), lanes.end(), [&](const Lane* lane) {
          return lane == nullptr || std::memcmp(&first->value, &lane->value, sizeof(T)) == 0;
        });
        for (Lane* lane : lanes) {
          if (lane != nullptr) {
            lane->result = all ? members : 0U;
          }
        }
      },
      where);
  *same = mine.result != 0 ? 1 : 0;
  return mine.result;
}

#define KVSIEVE_SIMT_REDUCE(T, name, expression)                                         \
  inline T name(unsigned mask, T value,                                                  \
                std::source_location where = std::source_location::current()) {          \
    return detail::reduce(                                                               \
        #name, mask, value, [](T a, T b) { return static_cast<T>(expression); }, where); \
  }
KVSIEVE_SIMT_REDUCE(unsigned, __reduce_add_sync, a + b)
KVSIEVE_SIMT_REDUCE(unsigned, __reduce_min_sync, std::min(a, b))
KVSIEVE_SIMT_REDUCE(unsigned, __reduce_max_sync, std::max(a, b))
KVSIEVE_SIMT_REDUCE(unsigned, __reduce_and_sync, a& b)
KVSIEVE_SIMT_REDUCE(unsigned, __reduce_or_sync, a | b)
KVSIEVE_SIMT_REDUCE(unsigned, __reduce_xor_sync, a ^ b)
KVSIEVE_SIMT_REDUCE(int, __reduce_add_sync, static_cast<unsigned>(a) + static_cast<unsigned>(b))
KVSIEVE_SIMT_REDUCE(int, __reduce_min_sync, std::min(a, b))
KVSIEVE_SIMT_REDUCE(int, __reduce_max_sync, std::max(a, b))
#undef KVSIEVE_SIMT_REDUCE

}  // namespace kvsieve::simt::cuda
