#pragma once
// The keys and values of one KV head, converted to fp32 and packed for the inner loops.

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "kvsieve/kernels/matrix_view.h"
#include "kvsieve/traces/rope.h"
#include "kvsieve/traces/safetensors.h"

namespace kvsieve::kernels {

/// cos and sin of positions 0 .. T-1 of one RoPE specification, shared by all heads and layers.
class RopePhases {
 public:
  RopePhases(const traces::RopeTable& table, std::int64_t positions);

  [[nodiscard]] const traces::RopeTable& table() const noexcept { return m_table; }
  [[nodiscard]] std::int64_t positions() const noexcept { return m_positions; }
  /// cos at `position`, [dim/2].
  [[nodiscard]] std::span<const float> cos(std::int64_t position) const {
    return {m_cos.data() + position * m_pairs, static_cast<std::size_t>(m_pairs)};
  }
  [[nodiscard]] std::span<const float> sin(std::int64_t position) const {
    return {m_sin.data() + position * m_pairs, static_cast<std::size_t>(m_pairs)};
  }

 private:
  traces::RopeTable m_table;
  std::int64_t m_positions;
  std::int64_t m_pairs;
  std::vector<float> m_cos;
  std::vector<float> m_sin;
};

/// One head of a trace tensor: rows [rows, d] of the file's dtype.
/// Throws Error(kInternal) if `tensor` is not [heads, rows, d] or `head` is out of range.
struct HeadSlice {
  HeadSlice(const traces::TensorView& tensor, std::int64_t head);

  const std::byte* data;
  traces::DType dtype;
  std::int64_t rows;
  std::int64_t cols;
};

/// Converts rows [first, first + out.rows) of `head` to fp32.
void load_rows(const HeadSlice& head, std::int64_t first, MatrixView<float> out);

/// Converts all rows of `head` to fp32, row j rotated to position j. Parallel over rows.
/// @param out [rows, d]
void load_rotated_rows(const HeadSlice& head, const RopePhases& phases, MatrixView<float> out);

/// Loads captured queries [first, first + count) of the group of `kv_head` from q [Hq, M, d] into
/// rows [G * count, d], member by member, each rotated to its position.
void load_group_queries(const traces::TensorView& q, std::int64_t kv_head, std::int64_t group,
                        std::int64_t first, std::span<const std::int32_t> positions,
                        const RopePhases& phases, std::vector<float>& rows);

/// Keys packed by token, so that a product with queries has tokens as columns:
/// panels [ceil(T/16)][d][16], the last one padded with zeros.
class HeadKeys {
 public:
  /// Loads all T rows; with `phases`, rotates row j to position j. Reuses its memory when called
  /// again. Parallel over panels.
  void load(const HeadSlice& head, const RopePhases* phases);

  [[nodiscard]] std::int64_t tokens() const noexcept { return m_tokens; }
  [[nodiscard]] std::int64_t head_dim() const noexcept { return m_head_dim; }
  [[nodiscard]] const float* panels() const noexcept { return m_panels.data(); }
  /// Copies key j [d] out of its panel.
  void copy(std::int64_t j, std::span<float> out) const;

 private:
  std::int64_t m_tokens = 0;
  std::int64_t m_head_dim = 0;
  std::vector<float> m_panels;
};

/// Values packed by channel, so that a product with attention weights has channels as columns:
/// panels [ceil(d/16)][T][16], the last one padded with zeros.
class HeadValues {
 public:
  /// Loads all T rows. Reuses its memory when called again.
  void load(const HeadSlice& head);

  [[nodiscard]] std::int64_t tokens() const noexcept { return m_tokens; }
  [[nodiscard]] std::int64_t head_dim() const noexcept { return m_head_dim; }
  [[nodiscard]] const float* panels() const noexcept { return m_panels.data(); }
  [[nodiscard]] std::int64_t panel_stride() const noexcept;

 private:
  std::int64_t m_tokens = 0;
  std::int64_t m_head_dim = 0;
  std::vector<float> m_panels;
};

/// A matrix [depth, columns] packed as panels [ceil(columns/16)][depth][16], zero-padded.
class PackedMatrix {
 public:
  /// Packs fp32 rows.
  void pack(MatrixView<const float> matrix);
  /// Packs one head [depth, columns] of a trace tensor such as `wo` [Hq, d, D].
  void pack(const HeadSlice& head);

  [[nodiscard]] std::int64_t depth() const noexcept { return m_depth; }
  [[nodiscard]] std::int64_t columns() const noexcept { return m_columns; }
  [[nodiscard]] const float* panels() const noexcept { return m_panels.data(); }
  [[nodiscard]] std::int64_t panel_stride() const noexcept;

 private:
  void pack_row(std::int64_t row, std::span<const float> values);
  void resize(std::int64_t depth, std::int64_t columns);

  std::int64_t m_depth = 0;
  std::int64_t m_columns = 0;
  std::vector<float> m_panels;
};

}  // namespace kvsieve::kernels
