// Compaction of one layer of Llama-3.1-8B to a fifth of its tokens, and appending to what is left:
// in place, and as the published kernel does, by rewriting the cache.

#include <fmt/format.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <random>

#include "cases/case_groups.h"
#include "kvsieve/kernels/cache_compaction.h"
#include "kvsieve/kernels/page_table.h"

namespace kvsieve::bench {
namespace {

using kernels::RaggedCacheView;
using Bytes = std::vector<std::byte>;

constexpr std::int64_t kSegments = 8;
constexpr std::int64_t kHeadDim = 128;
constexpr std::int64_t kElementBytes = 2;
constexpr std::int64_t kRowBytes = kHeadDim * kElementBytes;
constexpr std::int64_t kKeptShare = 5;  ///< one in so many tokens stays
constexpr std::int64_t kSlack = 64;
constexpr std::int64_t kPageRows = 16;

/// Memory that has been written: pages that only exist as zeros would be read from cache.
Bytes memory(std::int64_t rows) {
  return Bytes(static_cast<std::size_t>(rows * kRowBytes), std::byte{0x3c});
}

/// The layer after prefill and the tokens to keep: random ones, as scattered as scores make them,
/// and of unequal number from head to head.
struct Layer {
  explicit Layer(std::int64_t n)
      : keys(memory(kSegments * n)), values(memory(kSegments * n)), tokens(n) {
    std::mt19937 generator(1);
    for (std::int64_t s = 0; s < kSegments; ++s) {
      const auto odds = static_cast<std::uint32_t>(kKeptShare + (s % 2 == 0 ? 2 : -1));
      for (std::int64_t token = 0; token < n; ++token) {
        if (generator() % odds == 0) {
          kept.push_back(static_cast<std::int32_t>(token));
        }
      }
      offsets.push_back(static_cast<std::int64_t>(kept.size()));
    }
  }

  [[nodiscard]] kernels::DenseCacheView dense() const {
    return {.keys = keys.data(),
            .values = values.data(),
            .dtype = traces::DType::kBF16,
            .head_dim = kHeadDim,
            .segments = kSegments,
            .tokens = tokens,
            .segment_stride = tokens * kHeadDim,
            .token_stride = kHeadDim};
  }
  [[nodiscard]] std::vector<std::int64_t> budgets() const {
    std::vector<std::int64_t> result;
    for (std::size_t s = 0; s < kSegments; ++s) {
      result.push_back(offsets[s + 1] - offsets[s]);
    }
    return result;
  }
  [[nodiscard]] kernels::KeptTokensView kept_tokens() const {
    return {kept.data(), offsets.data(), offsets.back()};
  }

  Bytes keys;
  Bytes values;
  std::int64_t tokens;
  std::vector<std::int32_t> kept;
  std::vector<std::int64_t> offsets = {0};
};

/// A ragged cache with `slack` free rows a segment, in one piece or in pages.
struct Cache {
  Cache(const std::vector<std::int64_t>& budgets, std::int64_t slack, bool paged)
      : layout(kernels::make_ragged_layout(budgets, slack)) {
    view = {.dtype = traces::DType::kBF16,
            .head_dim = kHeadDim,
            .segments = kSegments,
            .offsets = layout.offsets.data(),
            .lengths = layout.lengths.data()};
    std::int64_t rows = layout.rows();
    if (paged) {
      std::int64_t pages_per_segment = 0;
      std::vector<std::int32_t> reserved;
      for (const std::int64_t budget : budgets) {
        reserved.push_back(static_cast<std::int32_t>(budget + slack));
        pages_per_segment = std::max(pages_per_segment, (budget + slack) / kPageRows + 1);
      }
      rows = kSegments * pages_per_segment * kPageRows;
      kernels::PageTable table(kSegments, pages_per_segment, kPageRows, rows / kPageRows);
      table.reserve(reserved);
      pages.assign(table.pages().begin(), table.pages().end());
      view.pages = pages.data();
      view.pages_per_segment = pages_per_segment;
      view.page_rows = kPageRows;
    }
    keys = memory(rows);
    values = memory(rows);
    view.keys = keys.data();
    view.values = values.data();
  }
  Cache(const Cache&) = delete;
  Cache& operator=(const Cache&) = delete;

  kernels::RaggedLayout layout;
  std::vector<std::int32_t> pages;
  Bytes keys;
  Bytes values;
  RaggedCacheView view;
};

/// What memory allows: as many bytes as compaction moves, from one block to another.
BenchCase memory_copy_case(int threads, std::int64_t tokens) {
  return {fmt::format("memory_copy/n:{}/threads:{}", tokens, threads), threads, [tokens] {
            const auto layer = std::make_shared<const Layer>(tokens);
            const auto cache = std::make_shared<Cache>(layer->budgets(), 0, false);
            const auto bytes = static_cast<std::int64_t>(cache->keys.size());
            const auto copy = [bytes](std::byte* to, const std::byte* from) {
              constexpr std::int64_t kBlock = 128 * 1024;
              tbb::parallel_for(
                  std::int64_t{0}, (bytes + kBlock - 1) / kBlock, [&](std::int64_t i) {
                    std::memcpy(to + i * kBlock, from + i * kBlock,
                                static_cast<std::size_t>(std::min(kBlock, bytes - i * kBlock)));
                  });
            };
            PreparedCase prepared;
            prepared.iterate = [=] {
              copy(cache->keys.data(), layer->keys.data());
              copy(cache->values.data(), layer->values.data());
            };
            prepared.work = [bytes] { return kernels::Work{2 * bytes, 2 * bytes, 0}; };
            return prepared;
          }};
}

std::string name_of(const char* operation, bool paged, std::int64_t tokens, int threads) {
  return fmt::format("{}/paged:{}/n:{}/threads:{}", operation, static_cast<int>(paged), tokens,
                     threads);
}

BenchCase compact_cache_case(int threads, std::int64_t tokens, bool paged) {
  return {name_of("compact_cache", paged, tokens, threads), threads, [=] {
            const auto layer = std::make_shared<const Layer>(tokens);
            const auto cache = std::make_shared<const Cache>(layer->budgets(), kSlack, paged);
            PreparedCase prepared;
            prepared.iterate = [=] {
              kernels::compact_cache(layer->dense(), layer->kept_tokens(), cache->view);
            };
            prepared.work = [=] {
              return kernels::compact_cache_work(layer->offsets.back(), kSegments, kHeadDim,
                                                 kElementBytes);
            };
            return prepared;
          }};
}

/// One token a segment and iteration; when the slack is used up, all are taken off again.
BenchCase append_tokens_case(int threads, std::int64_t tokens, bool paged) {
  return {name_of("append_tokens", paged, tokens, threads), threads, [=] {
            const std::vector<std::int64_t> budgets(kSegments, tokens / kKeptShare);
            const auto cache = std::make_shared<const Cache>(budgets, kSlack, paged);
            PreparedCase prepared;
            prepared.iterate = [cache, rows = memory(kSegments),
                                appended = std::int64_t{0}]() mutable {
              if (appended == kSlack) {
                kernels::remove_last_tokens(appended, cache->view);
                appended = 0;
              }
              kernels::append_tokens({rows.data(), rows.data(), 1}, cache->view);
              ++appended;
            };
            prepared.work = [] {
              return kernels::append_tokens_work(kSegments, 1, kHeadDim, kElementBytes);
            };
            return prepared;
          }};
}

BenchCase rewrite_append_case(int threads, std::int64_t tokens) {
  return {fmt::format("rewrite_append/n:{}/threads:{}", tokens, threads), threads, [=] {
            const std::vector<std::int64_t> budgets(kSegments, tokens / kKeptShare);
            const auto cache = std::make_shared<const Cache>(budgets, 0, false);
            const auto next = std::make_shared<const Cache>(budgets, 1, false);
            PreparedCase prepared;
            prepared.iterate = [cache, next, rows = memory(kSegments)] {
              kernels::regrow_cache(cache->view, next->view);
              kernels::append_tokens({rows.data(), rows.data(), 1}, next->view);
            };
            prepared.work = [cache] {
              return kernels::rewrite_append_work(cache->layout.rows(), kSegments, 1, kHeadDim,
                                                  kElementBytes);
            };
            return prepared;
          }};
}

}  // namespace

std::vector<BenchCase> cache_cases(int threads) {
  std::vector<BenchCase> cases;
  for (const std::int64_t tokens : {kTinyTokens, std::int64_t{32'768}, std::int64_t{65'536}}) {
    cases.push_back(memory_copy_case(threads, tokens));
    cases.push_back(rewrite_append_case(threads, tokens));
    for (const bool paged : {false, true}) {
      cases.push_back(compact_cache_case(threads, tokens, paged));
      cases.push_back(append_tokens_case(threads, tokens, paged));
    }
  }
  return cases;
}

}  // namespace kvsieve::bench
