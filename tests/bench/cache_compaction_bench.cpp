// Compaction of one layer of Llama-3.1-8B to a fifth of its tokens, and appending to what is left:
// in place, and as the published kernel does, by rewriting the cache.

#include <benchmark/benchmark.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <random>
#include <vector>

#include "bench/roofline.h"
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

struct Case {
  std::int64_t tokens;
  int threads;

  explicit Case(const benchmark::State& state)
      : tokens(state.range(0)), threads(static_cast<int>(state.range(1))) {}
};

template <class Step>
void run(benchmark::State& state, int threads, const kernels::Work& work, Step step) {
  with_threads(threads, [&] {
    for ([[maybe_unused]] auto iteration : state) {
      step();
      benchmark::ClobberMemory();
    }
  });
  report_work(state, work, threads);
}

/// What memory allows: as many bytes as compaction moves, from one block to another.
void plain_copy(benchmark::State& state) {
  const Case item(state);
  const Layer layer(item.tokens);
  Cache cache(layer.budgets(), 0, false);
  constexpr std::int64_t kBlock = 128 * 1024;
  const auto bytes = static_cast<std::int64_t>(cache.keys.size());
  const auto copy = [&](std::byte* to, const std::byte* from) {
    tbb::parallel_for(std::int64_t{0}, (bytes + kBlock - 1) / kBlock, [&](std::int64_t i) {
      std::memcpy(to + i * kBlock, from + i * kBlock,
                  static_cast<std::size_t>(std::min(kBlock, bytes - i * kBlock)));
    });
  };
  run(state, item.threads, {2 * bytes, 2 * bytes, 0}, [&] {
    copy(cache.keys.data(), layer.keys.data());
    copy(cache.values.data(), layer.values.data());
  });
}

void compaction(benchmark::State& state) {
  const Case item(state);
  const Layer layer(item.tokens);
  const Cache cache(layer.budgets(), kSlack, state.range(2) != 0);
  run(state, item.threads,
      kernels::compact_cache_work(layer.offsets.back(), kSegments, kHeadDim, kElementBytes),
      [&] { kernels::compact_cache(layer.dense(), layer.kept_tokens(), cache.view); });
}

void append_in_place(benchmark::State& state) {
  const Case item(state);
  const std::vector<std::int64_t> budgets(kSegments, item.tokens / kKeptShare);
  const Cache cache(budgets, kSlack, state.range(2) != 0);
  const Bytes rows = memory(kSegments);
  std::int64_t appended = 0;
  run(state, item.threads, kernels::append_tokens_work(kSegments, 1, kHeadDim, kElementBytes), [&] {
    if (appended == kSlack) {
      kernels::remove_last_tokens(appended, cache.view);
      appended = 0;
    }
    kernels::append_tokens({rows.data(), rows.data(), 1}, cache.view);
    ++appended;
  });
}

void append_by_rewriting(benchmark::State& state) {
  const Case item(state);
  const std::vector<std::int64_t> budgets(kSegments, item.tokens / kKeptShare);
  const Cache cache(budgets, 0, false);
  const Cache next(budgets, 1, false);
  const Bytes rows = memory(kSegments);
  run(state, item.threads,
      kernels::rewrite_append_work(cache.layout.rows(), kSegments, 1, kHeadDim, kElementBytes),
      [&] {
        kernels::regrow_cache(cache.view, next.view);
        kernels::append_tokens({rows.data(), rows.data(), 1}, next.view);
      });
}

void arguments(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"n", "threads"})
      ->ArgsProduct({{1024, 32768, 65536}, {1, 2}})
      ->Unit(benchmark::kMicrosecond)
      ->UseRealTime();
}
void paged_arguments(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"n", "threads", "paged"})
      ->ArgsProduct({{1024, 32768, 65536}, {1, 2}, {0, 1}})
      ->Unit(benchmark::kMicrosecond)
      ->UseRealTime();
}
BENCHMARK(plain_copy)->Apply(arguments);
BENCHMARK(compaction)->Apply(paged_arguments);
BENCHMARK(append_in_place)->Apply(paged_arguments);
BENCHMARK(append_by_rewriting)->Apply(arguments);

}  // namespace
}  // namespace kvsieve::bench
