// Queries are packed with their rows as the columns of panels, so that keys are read where they lie
// and a tile of scores [keys, rows] has a softmax row in a vector lane: maxima, exponentials and
// sums need no reduction across lanes.
//
// Two passes over tiles of keys. The first leaves each tile's maximum and sum of every row, from
// which the rows' own follow; the second weighs the exponentials of the first. Writing and reading
// them costs less than a second product as long as d is not very small.

#include "adakv/column_means.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "exec/cpu/load_numbers.h"
#include "exec/cpu/parallel.h"
#include "exec/cpu/simd.h"

namespace kvsieve::kernels {
namespace {

constexpr std::int64_t kTileKeys = 128;  // keys and their scores stay in the L2 cache
constexpr std::int64_t kTilesPerTask = 4;
constexpr std::int64_t kBlockRows = 256;  // query rows handled together
constexpr std::size_t kHugePage = std::size_t{2} << 20U;
constexpr std::size_t kCacheLine = 64;
constexpr float kHidden = -std::numeric_limits<float>::infinity();

/// The first number of a row.
const std::byte* row_at(const StoredRows& rows, std::int64_t row) {
  return rows.data + row * rows.stride * static_cast<std::int64_t>(traces::size_of(rows.dtype));
}

void load_row(const StoredRows& rows, std::int64_t row, float* out) {
  load_numbers(rows.dtype, row_at(rows, row), rows.cols, out);
}

/// Keys [first, first + count) as fp32 rows: where they lie if those are aligned floats, else
/// converted into `buffer`, since files align nothing.
MatrixView<const float> key_rows(const StoredRows& keys, std::int64_t first, std::int64_t count,
                                 std::vector<float>& buffer) {
  const std::byte* rows = row_at(keys, first);
  if (keys.dtype == traces::DType::kF32 &&
      reinterpret_cast<std::uintptr_t>(rows) % alignof(float) == 0) {
    return {reinterpret_cast<const float*>(rows), count, keys.cols, keys.stride};
  }
  buffer.resize(static_cast<std::size_t>(kTileKeys * keys.cols));
  for (std::int64_t j = 0; j < count; ++j) {
    load_row(keys, first + j, buffer.data() + j * keys.cols);
  }
  return {buffer.data(), count, keys.cols};
}

MatrixView<const float> key_rows(const HeadKeys& keys, std::int64_t first, std::int64_t count,
                                 std::vector<float>& buffer) {
  const std::int64_t d = keys.head_dim();
  buffer.resize(static_cast<std::size_t>(kTileKeys * d));
  for (std::int64_t j = 0; j < count; ++j) {
    keys.copy(first + j, {buffer.data() + j * d, static_cast<std::size_t>(d)});
  }
  return {buffer.data(), count, d};
}

bool multiplies_bfloat(const StoredRows& queries, const StoredRows& keys) {
  return simd().multiply_bfloat != nullptr && queries.dtype == traces::DType::kBF16 &&
         keys.dtype == traces::DType::kBF16 && keys.cols % 2 == 0;
}
bool multiplies_bfloat(const StoredRows& /*queries*/, const HeadKeys& /*keys*/) {
  return false;
}

/// Rows of one block: up to kBlockRows (member, query) pairs with the statistics of their softmax.
/// Matrices have a column for each row of the block, padded to whole panels.
struct RowBlock {
  std::int64_t first = 0;  // row of `queries`
  std::int64_t rows = 0;
  std::int64_t panels = 0;
  std::vector<float> packed;                 // [panels][d][16]
  std::vector<std::uint16_t> packed_bfloat;  // [panels][d / 2][16][2]
  std::vector<float> maxima;                 // [tiles, 16 * panels], then weights
  std::vector<float> sums;                   // [tiles, 16 * panels], relative to the tile's maximum

  [[nodiscard]] std::int64_t columns() const { return panels * kPanelWidth; }
};

template <class Keys>
class ColumnMeans {
 public:
  ColumnMeans(const StoredRows& queries, std::int64_t rows, std::span<const std::int32_t> positions,
              const Keys& keys, const traces::AttentionSpec& attention, ExponentialStore& store,
              MatrixView<float> means)
      : m_queries(queries),
        m_rows(rows),
        m_positions(positions),
        m_keys(keys),
        m_attention(attention),
        m_store(store),
        m_means(means),
        m_bfloat(multiplies_bfloat(queries, keys)) {}

  void run() {
    for (std::int64_t i = 0; i < m_means.rows; ++i) {
      std::fill(m_means.row(i).begin(), m_means.row(i).end(), 0.0F);
    }
    for (std::int64_t first = 0; first < m_rows; first += kBlockRows) {
      run_block(first, std::min(kBlockRows, m_rows - first));
    }
    divide_by_counts();
  }

 private:
  /// Keys [begin, end) that the query of `row` sees.
  [[nodiscard]] std::pair<std::int64_t, std::int64_t> visible(std::int64_t row) const {
    const std::int64_t position = m_positions[static_cast<std::size_t>(row) % m_positions.size()];
    const std::int64_t end = std::min(position + 1, m_means.cols);
    const std::int64_t begin =
        m_attention.sliding_window
            ? std::max<std::int64_t>(0, position + 1 - *m_attention.sliding_window)
            : 0;
    return {std::min(begin, end), end};
  }

  /// Tiles beyond the last visible key of a block would only add zeros.
  [[nodiscard]] std::int64_t visible_tiles() const {
    std::int64_t end = 0;
    for (std::int64_t r = 0; r < m_block.rows; ++r) {
      end = std::max(end, visible(m_block.first + r).second);
    }
    return (end + kTileKeys - 1) / kTileKeys;
  }

  void pack() {
    const std::int64_t d = m_queries.cols;
    const auto size = static_cast<std::size_t>(m_block.columns() * d);
    if (m_bfloat) {
      m_block.packed_bfloat.assign(size, 0);
    } else {
      m_block.packed.assign(size, 0.0F);
    }
    std::vector<float> row(static_cast<std::size_t>(d));
    std::vector<std::uint16_t> bfloats(static_cast<std::size_t>(d));
    for (std::int64_t r = 0; r < m_block.rows; ++r) {
      const std::int64_t panel = r / kPanelWidth * kPanelWidth * d;
      const std::int64_t lane = r % kPanelWidth;
      if (m_bfloat) {
        // Files align nothing.
        std::memcpy(bfloats.data(), row_at(m_queries, m_block.first + r),
                    bfloats.size() * sizeof(std::uint16_t));
        for (std::int64_t t = 0; t < d; ++t) {
          m_block.packed_bfloat[static_cast<std::size_t>(panel + t / 2 * 2 * kPanelWidth +
                                                         2 * lane + t % 2)] =
              bfloats[static_cast<std::size_t>(t)];
        }
      } else {
        load_row(m_queries, m_block.first + r, row.data());
        for (std::int64_t t = 0; t < d; ++t) {
          m_block.packed[static_cast<std::size_t>(panel + t * kPanelWidth + lane)] =
              row[static_cast<std::size_t>(t)];
        }
      }
    }
  }

  void multiply(std::int64_t first_key, MatrixView<float> scores) const {
    const std::int64_t d = m_queries.cols;
    if constexpr (std::is_same_v<Keys, StoredRows>) {
      if (m_bfloat) {
        simd().multiply_bfloat(row_at(m_keys, first_key), m_keys.stride, scores.rows,
                               m_block.packed_bfloat.data(), kPanelWidth * d, m_block.panels, d,
                               scores.data, scores.stride);
        return;
      }
    }
    thread_local std::vector<float> buffer;
    const MatrixView<const float> keys = key_rows(m_keys, first_key, scores.rows, buffer);
    simd().multiply(keys.data, keys.stride, scores.rows, m_block.packed.data(), kPanelWidth * d,
                    m_block.panels, d, scores.data, scores.stride, /*accumulate=*/false);
  }

  /// Where a tile's exponentials lie, [keys, rows]: stored, or in this thread's buffer.
  [[nodiscard]] MatrixView<float> tile_matrix(std::int64_t tile) const {
    const std::int64_t columns = m_block.columns();
    const std::int64_t keys = std::min(kTileKeys, m_means.cols - tile * kTileKeys);
    if (m_stored != nullptr) {
      return {m_stored + tile * kTileKeys * columns, keys, columns};
    }
    thread_local std::vector<float> buffer;
    buffer.resize(static_cast<std::size_t>(kTileKeys * kBlockRows));
    return {buffer.data(), keys, columns};
  }

  /// exp(score - maximum of the tile) of the block's rows against one tile of keys, 0 for hidden
  /// keys, with the tile's maxima and sums.
  MatrixView<float> exponentials(std::int64_t tile, float* maxima, float* sums) const {
    const std::int64_t first_key = tile * kTileKeys;
    const MatrixView<float> scores = tile_matrix(tile);
    multiply(first_key, scores);
    auto scale = static_cast<float>(m_attention.scale);
    if (m_attention.softcap) {
      cap(scores, scale, static_cast<float>(*m_attention.softcap));
      scale = 1.0F;
    }
    hide(first_key, scores);
    simd().softmax_columns(scores.data, scores.stride, scores.rows, m_block.panels, scale, maxima,
                           sums);
    return scores;
  }

  static void cap(MatrixView<float> scores, float scale, float cap) {
    for (std::int64_t j = 0; j < scores.rows; ++j) {
      for (float& score : scores.row(j)) {
        score = cap * std::tanh(score * scale / cap);
      }
    }
  }

  void hide(std::int64_t first_key, MatrixView<float> scores) const {
    for (std::int64_t r = 0; r < m_block.rows; ++r) {
      const auto [begin, end] = visible(m_block.first + r);
      for (std::int64_t j = 0; j < std::min(scores.rows, begin - first_key); ++j) {
        scores.data[j * scores.stride + r] = kHidden;
      }
      for (std::int64_t j = std::max<std::int64_t>(0, end - first_key); j < scores.rows; ++j) {
        scores.data[j * scores.stride + r] = kHidden;
      }
    }
  }

  void run_block(std::int64_t first, std::int64_t rows) {
    m_block.first = first;
    m_block.rows = rows;
    m_block.panels = panel_count(rows);
    pack();
    const std::int64_t tiles = visible_tiles();
    const std::int64_t columns = m_block.columns();
    m_block.maxima.resize(static_cast<std::size_t>(tiles * columns));
    m_block.sums.resize(static_cast<std::size_t>(tiles * columns));
    m_stored = m_store.reserve(tiles * kTileKeys * columns);
    for_tiles(tiles, [&](std::int64_t tile) {
      exponentials(tile, m_block.maxima.data() + tile * columns,
                   m_block.sums.data() + tile * columns);
    });
    make_weights(tiles);
    for_tiles(tiles, [&](std::int64_t tile) {
      if (m_stored != nullptr) {
        add_means(tile, tile_matrix(tile));
        return;
      }
      float maxima[kBlockRows];
      float sums[kBlockRows];
      add_means(tile, exponentials(tile, maxima, sums));
    });
  }

  template <class Body>
  static void for_tiles(std::int64_t tiles, const Body& body) {
    parallel_blocks(tiles, kTilesPerTask, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t tile = first; tile < last; ++tile) {
        body(tile);
      }
    });
  }

  /// Turns the tiles' maxima into the weights of their exponentials,
  /// exp(maximum of the tile - maximum of the row) / sum of the row; 0 for a row that sees nothing.
  void make_weights(std::int64_t tiles) {
    const SimdOps& ops = simd();
    const std::int64_t columns = m_block.columns();
    float ignored[kBlockRows];
    float also_ignored[kBlockRows];
    ops.softmax_columns(m_block.maxima.data(), columns, tiles, m_block.panels, 1.0F, ignored,
                        also_ignored);
    std::vector<double> totals(static_cast<std::size_t>(columns), 0.0);
    for (std::int64_t tile = 0; tile < tiles; ++tile) {
      const float* weights = m_block.maxima.data() + tile * columns;
      const float* sums = m_block.sums.data() + tile * columns;
      for (std::int64_t c = 0; c < columns; ++c) {
        totals[static_cast<std::size_t>(c)] +=
            static_cast<double>(weights[c]) * static_cast<double>(sums[c]);
      }
    }
    std::vector<float> inverse(static_cast<std::size_t>(columns), 0.0F);
    for (std::int64_t c = 0; c < m_block.rows; ++c) {
      const double total = totals[static_cast<std::size_t>(c)];
      inverse[static_cast<std::size_t>(c)] = total > 0.0 ? static_cast<float>(1.0 / total) : 0.0F;
    }
    for (std::int64_t tile = 0; tile < tiles; ++tile) {
      float* weights = m_block.maxima.data() + tile * columns;
      for (std::int64_t c = 0; c < columns; ++c) {
        weights[c] *= inverse[static_cast<std::size_t>(c)];
      }
    }
  }

  void add_means(std::int64_t tile, MatrixView<const float> values) {
    const float* weights = m_block.maxima.data() + tile * m_block.columns();
    const std::int64_t rows_per_mean = m_rows / m_means.rows;
    for (std::int64_t r = 0; r < m_block.rows;) {
      const std::int64_t mean = (m_block.first + r) / rows_per_mean;
      const std::int64_t end = std::min(m_block.rows, (mean + 1) * rows_per_mean - m_block.first);
      simd().add_row_dots(values.data + r, values.stride, values.rows, weights + r, end - r,
                          m_means.row(mean).data() + tile * kTileKeys);
      r = end;
    }
  }

  void divide_by_counts() {
    // change[j]: each query sees one stretch of keys, so the number of viewers changes at few keys.
    const auto queries = static_cast<std::int64_t>(m_positions.size());
    std::vector<std::pair<std::int64_t, std::int64_t>> changes;
    for (std::int64_t r = 0; r < queries; ++r) {
      const auto [begin, end] = visible(r);
      changes.emplace_back(begin, 1);
      changes.emplace_back(end, -1);
    }
    std::sort(changes.begin(), changes.end());
    const std::int64_t repeats = m_rows / m_means.rows / std::max<std::int64_t>(queries, 1);
    std::int64_t count = 0;
    for (std::size_t i = 0; i + 1 < changes.size(); ++i) {
      count += changes[i].second;
      const std::int64_t begin = changes[i].first;
      const std::int64_t keys = changes[i + 1].first - begin;
      for (std::int64_t mean = 0; mean < m_means.rows && keys > 0 && count > 0; ++mean) {
        simd().scale(m_means.row(mean).data() + begin, keys,
                     1.0F / static_cast<float>(count * repeats));
      }
    }
  }

  const StoredRows& m_queries;
  std::int64_t m_rows;
  std::span<const std::int32_t> m_positions;
  const Keys& m_keys;
  const traces::AttentionSpec& m_attention;
  ExponentialStore& m_store;
  MatrixView<float> m_means;
  bool m_bfloat;
  float* m_stored = nullptr;  // [tiles][keys, 16 * panels]
  RowBlock m_block;
};

}  // namespace

float* ExponentialStore::reserve(std::int64_t count) {
  if (count * static_cast<std::int64_t>(sizeof(float)) > m_limit) {
    return nullptr;
  }
  if (count > m_capacity) {
    const std::size_t needed = static_cast<std::size_t>(count) * sizeof(float);
    const std::size_t alignment = needed < 4 * kHugePage ? kCacheLine : kHugePage;
    const std::size_t bytes = (needed + alignment - 1) / alignment * alignment;
    m_memory.reset(static_cast<float*>(std::aligned_alloc(alignment, bytes)));
    m_capacity = m_memory == nullptr ? 0 : count;
#if defined(__linux__)
    if (m_memory != nullptr && alignment == kHugePage) {
      // The first touches of small pages take a tenth of the whole operation's time. A refusal does
      // no harm.
      static_cast<void>(madvise(m_memory.get(), bytes, MADV_HUGEPAGE));
    }
#endif
  }
  return m_memory.get();
}

void column_means(const StoredRows& queries, std::int64_t rows,
                  std::span<const std::int32_t> positions, const HeadKeys& keys,
                  const traces::AttentionSpec& attention, ExponentialStore& store,
                  MatrixView<float> means) {
  ColumnMeans(queries, rows, positions, keys, attention, store, means).run();
}

void column_means(const StoredRows& queries, std::int64_t rows,
                  std::span<const std::int32_t> positions, const StoredRows& keys,
                  const traces::AttentionSpec& attention, ExponentialStore& store,
                  MatrixView<float> means) {
  ColumnMeans(queries, rows, positions, keys, attention, store, means).run();
}

}  // namespace kvsieve::kernels
