#include "kvsieve/kernels/window_scores.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "adakv/column_means.h"
#include "exec/cpu/parallel.h"
#include "exec/cpu/simd.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::kernels {
namespace {

constexpr std::int64_t kPooledAtOnce = 4096;  // tokens that stay in the L1 cache

/// Pools tokens [first, last).
void pool_block(std::span<const float> scores, const Pooling& pooling, std::int64_t first,
                std::int64_t last, float* pooled) {
  const SimdOps& ops = simd();
  const auto n = static_cast<std::int64_t>(scores.size());
  const std::int64_t reach = pooling.kernel / 2;
  const bool max = pooling.kind == Pooling::Kind::kMax;
  if (max) {
    std::copy(scores.begin() + first, scores.begin() + last, pooled + first);
  } else {
    std::fill(pooled + first, pooled + last, 0.0F);
  }
  for (std::int64_t shift = -reach; shift <= reach; ++shift) {
    // The tokens of this block whose neighbour at `shift` exists.
    const std::int64_t begin = std::max(first, -shift);
    const std::int64_t count = std::min(last, n - shift) - begin;
    if (count <= 0) {
      continue;
    }
    if (max) {
      ops.raise_to(scores.data() + begin + shift, pooled + begin, count);
    } else {
      ops.axpy(1.0F, scores.data() + begin + shift, pooled + begin, count);
    }
  }
  if (!max) {
    ops.scale(pooled + first, last - first, 1.0F / static_cast<float>(pooling.kernel));
  }
}

void check(const WindowScoresProblem& problem, MatrixView<float> scores) {
  const std::int64_t outside = problem.tokens - problem.window;
  if (problem.kv_heads <= 0 || problem.q_heads <= 0 || problem.q_heads % problem.kv_heads != 0) {
    throw Error(ErrorKind::kUsage, fmt::format("{} query heads cannot share {} KV heads evenly",
                                               problem.q_heads, problem.kv_heads));
  }
  if (problem.window <= 0 || outside < 0) {
    throw Error(ErrorKind::kUsage, fmt::format("a window of {} tokens among {}, expected 1 to {}",
                                               problem.window, problem.tokens, problem.tokens));
  }
  if (scores.rows != problem.kv_heads || scores.cols != outside) {
    throw Error(ErrorKind::kUsage,
                fmt::format("scores are [{}, {}], expected [{}, {}]", scores.rows, scores.cols,
                            problem.kv_heads, outside));
  }
  if (problem.dtype == traces::DType::kI32) {
    throw Error(ErrorKind::kUsage, "queries and keys are I32, expected F16, BF16 or F32");
  }
}

}  // namespace

void attention_column_means(MatrixView<const float> queries,
                            std::span<const std::int32_t> positions, const HeadKeys& keys,
                            const traces::AttentionSpec& attention, MatrixView<float> means) {
  const StoredRows rows{reinterpret_cast<const std::byte*>(queries.data), traces::DType::kF32,
                        queries.cols, queries.stride};
  ExponentialStore store;
  column_means(rows, queries.rows, positions, keys, attention, store, means);
}

void window_scores(const WindowScoresProblem& problem, MatrixView<float> scores) {
  check(problem, scores);
  const std::int64_t group = problem.q_heads / problem.kv_heads;
  const std::int64_t rows = group * problem.window;
  const std::int64_t d = problem.head_dim;
  const auto bytes = static_cast<std::int64_t>(traces::size_of(problem.dtype));
  // The mean over the group is the mean over all its rows: no member needs a row of its own.
  const std::int64_t members = problem.group_reduce == GroupReduce::kMean ? 1 : group;
  std::vector<std::int32_t> positions(static_cast<std::size_t>(problem.window));
  std::iota(positions.begin(), positions.end(),
            static_cast<std::int32_t>(problem.tokens - problem.window));
  std::vector<float> means(static_cast<std::size_t>(members * problem.tokens));
  std::vector<float> reduced(static_cast<std::size_t>(scores.cols));
  ExponentialStore store;
  for (std::int64_t head = 0; head < problem.kv_heads; ++head) {
    const StoredRows queries{
        static_cast<const std::byte*>(problem.queries) + head * rows * d * bytes, problem.dtype, d,
        d};
    const StoredRows keys{
        static_cast<const std::byte*>(problem.keys) + head * problem.head_stride * bytes,
        problem.dtype, d, problem.token_stride};
    column_means(queries, rows, positions, keys, problem.attention, store,
                 {means.data(), members, problem.tokens});
    reduce_group({means.data(), members, scores.cols, problem.tokens}, problem.group_reduce,
                 reduced);
    pool_scores(reduced, problem.pooling, scores.row(head));
  }
}

void reduce_group(MatrixView<const float> scores, GroupReduce reduce, std::span<float> reduced) {
  const SimdOps& ops = simd();
  const auto n = static_cast<std::int64_t>(reduced.size());
  std::copy(scores.row(0).begin(), scores.row(0).end(), reduced.begin());
  for (std::int64_t member = 1; member < scores.rows; ++member) {
    if (reduce == GroupReduce::kMean) {
      ops.axpy(1.0F, scores.row(member).data(), reduced.data(), n);
    } else {
      ops.raise_to(scores.row(member).data(), reduced.data(), n);
    }
  }
  if (reduce == GroupReduce::kMean && scores.rows > 1) {
    ops.scale(reduced.data(), n, 1.0F / static_cast<float>(scores.rows));
  }
}

void pool_scores(std::span<const float> scores, const Pooling& pooling, std::span<float> pooled) {
  if (pooling.kind == Pooling::Kind::kNone || pooling.kernel == 1) {
    std::copy(scores.begin(), scores.end(), pooled.begin());
    return;
  }
  parallel_blocks(static_cast<std::int64_t>(scores.size()), kPooledAtOnce,
                  [&](std::int64_t first, std::int64_t last) {
                    pool_block(scores, pooling, first, last, pooled.data());
                  });
}

void key_norm_scores(const HeadSlice& keys, std::span<float> scores) {
  parallel_blocks(keys.rows, 256, [&](std::int64_t first, std::int64_t last) {
    std::vector<float> row(static_cast<std::size_t>(keys.cols));
    for (std::int64_t j = first; j < last; ++j) {
      load_rows(keys, j, {row.data(), 1, keys.cols});
      scores[static_cast<std::size_t>(j)] =
          -std::sqrt(simd().dot(row.data(), row.data(), keys.cols));
    }
  });
}

}  // namespace kvsieve::kernels
