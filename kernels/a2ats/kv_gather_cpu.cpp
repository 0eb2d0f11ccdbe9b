#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "exec/cpu/parallel.h"
#include "kvsieve/kernels/kv_gather.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::kernels {
namespace {

/// Bytes that one task copies: large beside what starting it costs.
constexpr std::int64_t kBlockBytes = 64 * 1024;
/// Bytes that are on their way from memory while others are copied: what a core's line buffers hold
/// a few times over.
constexpr std::int64_t kAheadBytes = 4 * 1024;
constexpr std::int64_t kLineBytes = 64;

void prefetch(const std::byte* row, std::int64_t bytes) {
  for (std::int64_t at = 0; at < bytes; at += kLineBytes) {
    __builtin_prefetch(row + at);
  }
}

}  // namespace

void find_runs(std::span<const std::int32_t> tokens, std::vector<TokenRun>& runs) {
  runs.clear();
  for (const std::int32_t token : tokens) {
    if (!runs.empty() && runs.back().first + runs.back().count == token) {
      ++runs.back().count;
    } else {
      runs.push_back({token, 1});
    }
  }
}

void gather_rows(const KvRows& cache, std::int64_t segment, std::span<const std::int32_t> tokens,
                 void* target) {
  const std::int64_t bytes =
      row_bytes(cache.head_dim, static_cast<std::int64_t>(traces::size_of(cache.dtype)));
  const auto* base =
      static_cast<const std::byte*>(cache.rows) + segment * cache.segment_rows * bytes;
  const auto row = [&](std::int64_t i) {
    return base + tokens[static_cast<std::size_t>(i)] * bytes;
  };
  for (const std::int32_t token : tokens) {
    if (token < 0 || token >= cache.segment_rows) {
      throw Error(ErrorKind::kInternal,
                  fmt::format("gather_rows: token {} of {} rows", token, cache.segment_rows));
    }
  }
  const std::int64_t ahead = std::max<std::int64_t>(1, kAheadBytes / bytes);
  parallel_blocks(static_cast<std::int64_t>(tokens.size()),
                  std::max<std::int64_t>(1, kBlockBytes / bytes),
                  [&](std::int64_t first, std::int64_t last) {
                    auto* to = static_cast<std::byte*>(target) + first * bytes;
                    for (std::int64_t i = first; i < std::min(first + ahead, last); ++i) {
                      prefetch(row(i), bytes);
                    }
                    for (std::int64_t i = first; i < last; ++i, to += bytes) {
                      if (i + ahead < last) {
                        prefetch(row(i + ahead), bytes);
                      }
                      std::memcpy(to, row(i), static_cast<std::size_t>(bytes));
                    }
                  });
}

}  // namespace kvsieve::kernels
