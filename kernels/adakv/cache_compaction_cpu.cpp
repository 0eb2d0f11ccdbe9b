#include "kvsieve/kernels/cache_compaction.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <numeric>

#include "adakv/cache_rows.h"
#include "exec/cpu/parallel.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::kernels {
namespace {

/// Bytes of K that one task copies: large beside what starting it costs, small enough that the last
/// ones end together.
constexpr std::int64_t kBlockBytes = 128 * 1024;

std::int64_t row_bytes(const RaggedCacheView& cache) {
  return cache.head_dim * static_cast<std::int64_t>(traces::size_of(cache.dtype));
}

std::int64_t rows_per_block(const RaggedCacheView& cache) {
  return std::max<std::int64_t>(1, kBlockBytes / row_bytes(cache));
}

/// Copies rows of K and V, several at once where they follow each other on both sides.
class RowCopy {
 public:
  RowCopy(const void* from_keys, const void* from_values, const RaggedCacheView& to)
      : m_from_keys(static_cast<const std::byte*>(from_keys)),
        m_from_values(static_cast<const std::byte*>(from_values)),
        m_to_keys(static_cast<std::byte*>(to.keys)),
        m_to_values(static_cast<std::byte*>(to.values)),
        m_row_bytes(row_bytes(to)) {}
  ~RowCopy() { flush(); }
  RowCopy(const RowCopy&) = delete;
  RowCopy& operator=(const RowCopy&) = delete;

  /// @param source in bytes from the start of K and of V @param row in the ragged cache
  void add(std::int64_t source, std::int64_t row) {
    const std::int64_t target = row * m_row_bytes;
    if (source != m_source + m_bytes || target != m_target + m_bytes) {
      flush();
      m_source = source;
      m_target = target;
    }
    m_bytes += m_row_bytes;
  }

 private:
  void flush() {
    if (m_bytes > 0) {
      std::memcpy(m_to_keys + m_target, m_from_keys + m_source, static_cast<std::size_t>(m_bytes));
      std::memcpy(m_to_values + m_target, m_from_values + m_source,
                  static_cast<std::size_t>(m_bytes));
      m_bytes = 0;
    }
  }

  const std::byte* m_from_keys;
  const std::byte* m_from_values;
  std::byte* m_to_keys;
  std::byte* m_to_values;
  std::int64_t m_row_bytes;
  std::int64_t m_source = 0;
  std::int64_t m_target = 0;
  std::int64_t m_bytes = 0;
};

void require_same_shape(const char* operation, traces::DType dtype, std::int64_t head_dim,
                        std::int64_t segments, const RaggedCacheView& cache) {
  if (dtype != cache.dtype || head_dim != cache.head_dim || segments != cache.segments) {
    throw Error(ErrorKind::kUsage,
                fmt::format("{}: {} segments of {} rows with d = {} do not fit a cache of {} "
                            "segments of {} rows with d = {}",
                            operation, segments, traces::name_of(dtype), head_dim, cache.segments,
                            traces::name_of(cache.dtype), cache.head_dim));
  }
}

void require_room(const char* operation, const RaggedCacheView& cache, std::int64_t s,
                  std::int64_t rows) {
  if (!has_room(cache, s, rows)) {
    throw Error(ErrorKind::kUsage,
                fmt::format("{}: segment {} has no room for {} rows", operation, s, rows));
  }
}

std::int64_t place_count(const RaggedCacheView& cache) {
  return cache.pages == nullptr ? cache.offsets[cache.segments]
                                : cache.segments * cache.pages_per_segment * cache.page_rows;
}

}  // namespace

void compact_cache(const DenseCacheView& dense, const KeptTokensView& kept,
                   const RaggedCacheView& cache) {
  require_same_shape("compact_cache", dense.dtype, dense.head_dim, dense.segments, cache);
  const std::int64_t* offsets = kept.offsets;
  for (std::int64_t s = 0; s < cache.segments; ++s) {
    require_room("compact_cache", cache, s, offsets[s + 1] - offsets[s]);
  }
  const auto element_bytes = static_cast<std::int64_t>(traces::size_of(dense.dtype));
  parallel_blocks(
      offsets[cache.segments], rows_per_block(cache), [&](std::int64_t first, std::int64_t last) {
        RowCopy copy(dense.keys, dense.values, cache);
        std::int64_t s = segment_of(offsets, cache.segments, first);
        for (std::int64_t r = first; r < last; ++r) {
          while (r >= offsets[s + 1]) {
            ++s;
          }
          const std::int64_t token = kept.tokens[r];
          if (token < 0 || token >= dense.tokens) {
            throw Error(ErrorKind::kInternal,
                        fmt::format("compact_cache: segment {} keeps token {} of {}", s, token,
                                    dense.tokens));
          }
          copy.add(element_of(dense, s, token) * element_bytes, row_of(cache, s, r - offsets[s]));
        }
      });
  for (std::int64_t s = 0; s < cache.segments; ++s) {
    cache.lengths[s] = static_cast<std::int32_t>(offsets[s + 1] - offsets[s]);
  }
}

void append_tokens(const NewTokens& rows, const RaggedCacheView& cache) {
  const std::int64_t t = rows.per_segment;
  if (t < 0) {
    throw Error(ErrorKind::kUsage, fmt::format("append_tokens: {} tokens", t));
  }
  for (std::int64_t s = 0; s < cache.segments; ++s) {
    require_room("append_tokens", cache, s, cache.lengths[s] + t);
  }
  const std::int64_t bytes = row_bytes(cache);
  parallel_blocks(cache.segments * t, rows_per_block(cache),
                  [&](std::int64_t first, std::int64_t last) {
                    RowCopy copy(rows.keys, rows.values, cache);
                    for (std::int64_t r = first; r < last; ++r) {
                      const std::int64_t s = r / t;
                      copy.add(r * bytes, row_of(cache, s, cache.lengths[s] + r % t));
                    }
                  });
  for (std::int64_t s = 0; s < cache.segments; ++s) {
    cache.lengths[s] += static_cast<std::int32_t>(t);
  }
}

void remove_last_tokens(std::int64_t count, const RaggedCacheView& cache) {
  for (std::int64_t s = 0; s < cache.segments; ++s) {
    if (count < 0 || count > cache.lengths[s]) {
      throw Error(ErrorKind::kUsage,
                  fmt::format("remove_last_tokens: cannot take {} tokens off the {} of segment {}",
                              count, cache.lengths[s], s));
    }
  }
  for (std::int64_t s = 0; s < cache.segments; ++s) {
    cache.lengths[s] -= static_cast<std::int32_t>(count);
  }
}

void regrow_cache(const RaggedCacheView& from, const RaggedCacheView& to) {
  require_same_shape("regrow_cache", from.dtype, from.head_dim, from.segments, to);
  for (std::int64_t s = 0; s < to.segments; ++s) {
    require_room("regrow_cache", to, s, from.lengths[s]);
  }
  const std::int64_t bytes = row_bytes(from);
  parallel_blocks(place_count(from), rows_per_block(from),
                  [&](std::int64_t first, std::int64_t last) {
                    RowCopy copy(from.keys, from.values, to);
                    auto [s, j] = place_of(from, first);
                    for (std::int64_t n = first; n < last; ++n, ++j) {
                      while (j >= places_of(from, s)) {
                        ++s;
                        j = 0;
                      }
                      if (j < from.lengths[s]) {
                        copy.add(row_of(from, s, j) * bytes, row_of(to, s, j));
                      }
                    }
                  });
  std::copy_n(from.lengths, to.segments, to.lengths);
}

std::int64_t slack_for(std::span<const std::int32_t> lengths) {
  if (lengths.empty()) {
    return kMinimumSlack;
  }
  const std::int64_t total = std::accumulate(lengths.begin(), lengths.end(), std::int64_t{0});
  const std::int64_t divisor = kSlackDivisor * static_cast<std::int64_t>(lengths.size());
  return std::max(kMinimumSlack, (total + divisor - 1) / divisor);
}

RaggedLayout regrown_layout(std::span<const std::int32_t> lengths, std::int64_t alignment) {
  const std::vector<std::int64_t> budgets(lengths.begin(), lengths.end());
  return make_ragged_layout(budgets, slack_for(lengths), alignment);
}

}  // namespace kvsieve::kernels
