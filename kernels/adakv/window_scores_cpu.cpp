#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "exec/cpu/parallel.h"
#include "exec/cpu/simd.h"
#include "kvsieve/kernels/dense_attention.h"
#include "kvsieve/kernels/window_scores.h"

namespace kvsieve::kernels {
namespace {

constexpr std::int64_t kTileKeys = 512;   // a tile of keys stays in the L2 cache
constexpr std::int64_t kBlockRows = 256;  // query rows handled together
constexpr float kHidden = -std::numeric_limits<float>::infinity();

/// Rows of one block: up to kBlockRows (member, query) pairs with the statistics of their softmax.
struct RowBlock {
  std::int64_t first = 0;  // row of `queries`
  std::int64_t rows = 0;
  std::vector<float> maxima;  // [tiles, rows]
  std::vector<float> sums;    // [tiles, rows], relative to the tile's maximum
  std::vector<float> row_max;
  std::vector<float> row_scale;  // 1 / sum
};

class ColumnMeans {
 public:
  ColumnMeans(MatrixView<const float> queries, std::span<const std::int32_t> positions,
              const HeadKeys& keys, const traces::AttentionSpec& attention, MatrixView<float> means)
      : m_queries(queries),
        m_positions(positions),
        m_keys(keys),
        m_attention(attention),
        m_means(means),
        m_tiles((means.cols + kTileKeys - 1) / kTileKeys) {}

  void run() {
    for (std::int64_t member = 0; member < m_means.rows; ++member) {
      std::fill(m_means.row(member).begin(), m_means.row(member).end(), 0.0F);
    }
    for (std::int64_t first = 0; first < m_queries.rows; first += kBlockRows) {
      run_block(first, std::min(kBlockRows, m_queries.rows - first));
    }
    divide_by_counts();
  }

 private:
  [[nodiscard]] std::int64_t queries_per_member() const {
    return static_cast<std::int64_t>(m_positions.size());
  }
  [[nodiscard]] std::int64_t position(std::int64_t row) const {
    return m_positions[static_cast<std::size_t>(row % queries_per_member())];
  }
  /// Keys [begin, end) that the query of `row` sees.
  [[nodiscard]] std::pair<std::int64_t, std::int64_t> visible(std::int64_t row) const {
    const std::int64_t end = std::min(position(row) + 1, m_means.cols);
    const std::int64_t begin =
        m_attention.sliding_window
            ? std::max<std::int64_t>(0, position(row) + 1 - *m_attention.sliding_window)
            : 0;
    return {std::min(begin, end), end};
  }

  /// Scores of the block's rows against one tile of keys, hidden keys at -inf.
  MatrixView<float> tile_scores(const RowBlock& block, std::int64_t tile) const {
    thread_local std::vector<float> buffer;
    buffer.resize(static_cast<std::size_t>(kBlockRows * kTileKeys));
    const std::int64_t first_key = tile * kTileKeys;
    const std::int64_t keys = std::min(kTileKeys, m_means.cols - first_key);
    const MatrixView<float> scores(buffer.data(), block.rows, keys, kTileKeys);
    attention_scores(m_queries.rows_from(block.first, block.rows), m_keys, first_key, m_attention,
                     scores);
    for (std::int64_t r = 0; r < block.rows; ++r) {
      const auto [begin, end] = visible(block.first + r);
      const std::span<float> row = scores.row(r);
      for (std::int64_t j = 0; j < std::min(keys, begin - first_key); ++j) {
        row[static_cast<std::size_t>(j)] = kHidden;
      }
      for (std::int64_t j = std::max<std::int64_t>(0, end - first_key); j < keys; ++j) {
        row[static_cast<std::size_t>(j)] = kHidden;
      }
    }
    return scores;
  }

  /// Tiles beyond the last visible key of a block would only add zeros.
  [[nodiscard]] std::int64_t visible_tiles(const RowBlock& block) const {
    std::int64_t end = 0;
    for (std::int64_t r = 0; r < block.rows; ++r) {
      end = std::max(end, visible(block.first + r).second);
    }
    return (end + kTileKeys - 1) / kTileKeys;
  }

  void run_block(std::int64_t first, std::int64_t rows) {
    const SimdOps& ops = simd();
    m_block.first = first;
    m_block.rows = rows;
    const std::int64_t tiles = visible_tiles(m_block);
    m_block.maxima.assign(static_cast<std::size_t>(m_tiles * rows), kHidden);
    m_block.sums.assign(static_cast<std::size_t>(m_tiles * rows), 0.0F);
    parallel_blocks(tiles, 1, [&](std::int64_t tile, std::int64_t) {
      const MatrixView<float> scores = tile_scores(m_block, tile);
      for (std::int64_t r = 0; r < rows; ++r) {
        const std::span<float> row = scores.row(r);
        const float largest = ops.max(row.data(), scores.cols);
        if (largest > kHidden) {
          const auto slot = static_cast<std::size_t>(tile * rows + r);
          m_block.maxima[slot] = largest;
          m_block.sums[slot] = ops.exp_shift_sum(row.data(), scores.cols, largest);
        }
      }
    });
    merge_statistics(tiles);
    parallel_blocks(tiles, 1, [&](std::int64_t tile, std::int64_t) {
      const MatrixView<float> scores = tile_scores(m_block, tile);
      for (std::int64_t r = 0; r < rows; ++r) {
        const auto slot = static_cast<std::size_t>(r);
        if (m_block.row_max[slot] == kHidden) {
          continue;  // it sees none of these keys: -inf less -inf would be NaN
        }
        const std::span<float> row = scores.row(r);
        ops.exp_shift_sum(row.data(), scores.cols, m_block.row_max[slot]);
        const std::int64_t member = (first + r) / queries_per_member();
        ops.axpy(m_block.row_scale[slot], row.data(), m_means.row(member).data() + tile * kTileKeys,
                 scores.cols);
      }
    });
  }

  void merge_statistics(std::int64_t tiles) {
    m_block.row_max.assign(static_cast<std::size_t>(m_block.rows), kHidden);
    m_block.row_scale.assign(static_cast<std::size_t>(m_block.rows), 0.0F);
    for (std::int64_t r = 0; r < m_block.rows; ++r) {
      float largest = kHidden;
      for (std::int64_t tile = 0; tile < tiles; ++tile) {
        largest =
            std::max(largest, m_block.maxima[static_cast<std::size_t>(tile * m_block.rows + r)]);
      }
      double sum = 0.0;
      for (std::int64_t tile = 0; tile < tiles; ++tile) {
        const auto slot = static_cast<std::size_t>(tile * m_block.rows + r);
        if (m_block.maxima[slot] > kHidden) {
          sum += static_cast<double>(m_block.sums[slot]) *
                 std::exp(static_cast<double>(m_block.maxima[slot] - largest));
        }
      }
      m_block.row_max[static_cast<std::size_t>(r)] = largest;
      // A query whose sliding window lies beyond these keys sees none of them.
      m_block.row_scale[static_cast<std::size_t>(r)] =
          sum > 0.0 ? static_cast<float>(1.0 / sum) : 0.0F;
    }
  }

  void divide_by_counts() {
    // counts[j] = number of queries that see key j; each query sees one stretch of keys.
    std::vector<std::int64_t> change(static_cast<std::size_t>(m_means.cols) + 1, 0);
    for (std::int64_t r = 0; r < queries_per_member(); ++r) {
      const auto [begin, end] = visible(r);
      ++change[static_cast<std::size_t>(begin)];
      --change[static_cast<std::size_t>(end)];
    }
    std::int64_t count = 0;
    for (std::int64_t j = 0; j < m_means.cols; ++j) {
      count += change[static_cast<std::size_t>(j)];
      for (std::int64_t member = 0; member < m_means.rows && count > 0; ++member) {
        m_means.row(member)[static_cast<std::size_t>(j)] /= static_cast<float>(count);
      }
    }
  }

  MatrixView<const float> m_queries;
  std::span<const std::int32_t> m_positions;
  const HeadKeys& m_keys;
  const traces::AttentionSpec& m_attention;
  MatrixView<float> m_means;
  std::int64_t m_tiles;
  RowBlock m_block;
};

}  // namespace

void attention_column_means(MatrixView<const float> queries,
                            std::span<const std::int32_t> positions, const HeadKeys& keys,
                            const traces::AttentionSpec& attention, MatrixView<float> means) {
  ColumnMeans(queries, positions, keys, attention, means).run();
}

void reduce_group(MatrixView<const float> scores, GroupReduce reduce, std::span<float> reduced) {
  std::copy(scores.row(0).begin(), scores.row(0).end(), reduced.begin());
  for (std::int64_t member = 1; member < scores.rows; ++member) {
    const std::span<const float> row = scores.row(member);
    for (std::size_t j = 0; j < reduced.size(); ++j) {
      reduced[j] =
          reduce == GroupReduce::kMean ? reduced[j] + row[j] : std::max(reduced[j], row[j]);
    }
  }
  if (reduce == GroupReduce::kMean) {
    for (float& score : reduced) {
      score /= static_cast<float>(scores.rows);
    }
  }
}

void pool_scores(std::span<const float> scores, const Pooling& pooling, std::span<float> pooled) {
  if (pooling.kind == Pooling::Kind::kNone || pooling.kernel == 1) {
    std::copy(scores.begin(), scores.end(), pooled.begin());
    return;
  }
  const auto n = static_cast<std::int64_t>(scores.size());
  const std::int64_t reach = pooling.kernel / 2;
  for (std::int64_t j = 0; j < n; ++j) {
    const std::int64_t begin = std::max<std::int64_t>(0, j - reach);
    const std::int64_t end = std::min(n, j + reach + 1);
    float value = scores[static_cast<std::size_t>(begin)];
    for (std::int64_t i = begin + 1; i < end; ++i) {
      const float next = scores[static_cast<std::size_t>(i)];
      value = pooling.kind == Pooling::Kind::kMax ? std::max(value, next) : value + next;
    }
    pooled[static_cast<std::size_t>(j)] =
        pooling.kind == Pooling::Kind::kMax ? value : value / static_cast<float>(pooling.kernel);
  }
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
