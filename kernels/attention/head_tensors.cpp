#include "kvsieve/kernels/head_tensors.h"

#include <fmt/format.h>

#include <cstring>

#include "exec/cpu/load_numbers.h"
#include "exec/cpu/parallel.h"
#include "exec/cpu/simd.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::kernels {
namespace {

constexpr std::int64_t kPositionsPerBlock = 256;

void load_row(const HeadSlice& head, std::int64_t row, float* out) {
  const std::byte* source =
      head.data + static_cast<std::size_t>(row * head.cols) * traces::size_of(head.dtype);
  load_numbers(head.dtype, source, head.cols, out);
}

void rotate(const traces::RopeSpec& spec, const float* cos, const float* sin, float* x) {
  const std::int64_t pairs = spec.dim / 2;
  if (spec.pairing == traces::RopePairing::kHalf) {
    for (std::int64_t t = 0; t < pairs; ++t) {
      const float a = x[t];
      const float b = x[t + pairs];
      x[t] = a * cos[t] - b * sin[t];
      x[t + pairs] = a * sin[t] + b * cos[t];
    }
  } else {
    for (std::int64_t t = 0; t < pairs; ++t) {
      const float a = x[2 * t];
      const float b = x[2 * t + 1];
      x[2 * t] = a * cos[t] - b * sin[t];
      x[2 * t + 1] = a * sin[t] + b * cos[t];
    }
  }
}

void load_rotated_row(const HeadSlice& head, const RopePhases& phases, std::int64_t j, float* out) {
  load_row(head, j, out);
  rotate(phases.table().spec(), phases.cos(j).data(), phases.sin(j).data(), out);
}

}  // namespace

RopePhases::RopePhases(const traces::RopeTable& table, std::int64_t positions)
    : m_table(table),
      m_positions(positions),
      m_pairs(table.spec().dim / 2),
      m_cos(static_cast<std::size_t>(positions * m_pairs)),
      m_sin(m_cos.size()) {
  parallel_blocks(positions, kPositionsPerBlock, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t j = first; j < last; ++j) {
      const auto pairs = static_cast<std::size_t>(m_pairs);
      m_table.phase(j, {m_cos.data() + j * m_pairs, pairs}, {m_sin.data() + j * m_pairs, pairs});
    }
  });
}

HeadSlice::HeadSlice(const traces::TensorView& tensor, std::int64_t head)
    : dtype(tensor.dtype), rows(0), cols(0) {
  if (tensor.shape.size() != 3 || head < 0 || head >= tensor.shape[0]) {
    throw Error(ErrorKind::kInternal, fmt::format("no head {} in the tensor", head));
  }
  rows = tensor.shape[1];
  cols = tensor.shape[2];
  data = tensor.data + static_cast<std::size_t>(head * rows * cols) * traces::size_of(dtype);
}

void load_rows(const HeadSlice& head, std::int64_t first, MatrixView<float> out) {
  for (std::int64_t r = 0; r < out.rows; ++r) {
    load_row(head, first + r, out.data + r * out.stride);
  }
}

void load_rotated_rows(const HeadSlice& head, const RopePhases& phases, MatrixView<float> out) {
  parallel_blocks(head.rows, kPositionsPerBlock, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t j = first; j < last; ++j) {
      load_rotated_row(head, phases, j, out.data + j * out.stride);
    }
  });
}

void load_group_queries(const traces::TensorView& q, std::int64_t kv_head, std::int64_t group,
                        std::int64_t first, std::span<const std::int32_t> positions,
                        const RopePhases& phases, std::vector<float>& rows) {
  const auto count = static_cast<std::int64_t>(positions.size());
  const std::int64_t d = q.shape[2];
  rows.resize(static_cast<std::size_t>(group * count * d));
  for (std::int64_t member = 0; member < group; ++member) {
    const MatrixView<float> part(rows.data() + member * count * d, count, d);
    load_rows(HeadSlice(q, kv_head * group + member), first, part);
    for (std::int64_t r = 0; r < count; ++r) {
      phases.table().rotate(positions[static_cast<std::size_t>(r)], part.row(r));
    }
  }
}

void HeadKeys::load(const HeadSlice& head, const RopePhases* phases) {
  m_tokens = head.rows;
  m_head_dim = head.cols;
  m_panels.resize(static_cast<std::size_t>(panel_count(m_tokens) * kPanelWidth * m_head_dim));
  parallel_blocks(panel_count(m_tokens), 16, [&](std::int64_t first, std::int64_t last) {
    std::vector<float> row(static_cast<std::size_t>(m_head_dim));
    for (std::int64_t panel = first; panel < last; ++panel) {
      float* target = m_panels.data() + panel * kPanelWidth * m_head_dim;
      for (std::int64_t lane = 0; lane < kPanelWidth; ++lane) {
        const std::int64_t j = panel * kPanelWidth + lane;
        if (j < m_tokens) {
          if (phases != nullptr) {
            load_rotated_row(head, *phases, j, row.data());
          } else {
            load_row(head, j, row.data());
          }
        } else {
          std::fill(row.begin(), row.end(), 0.0F);
        }
        for (std::int64_t t = 0; t < m_head_dim; ++t) {
          target[t * kPanelWidth + lane] = row[static_cast<std::size_t>(t)];
        }
      }
    }
  });
}

void HeadKeys::copy(std::int64_t j, std::span<float> out) const {
  const float* source =
      m_panels.data() + (j / kPanelWidth) * kPanelWidth * m_head_dim + j % kPanelWidth;
  for (std::size_t t = 0; t < out.size(); ++t) {
    out[t] = source[static_cast<std::int64_t>(t) * kPanelWidth];
  }
}

std::int64_t HeadValues::panel_stride() const noexcept {
  return m_tokens * kPanelWidth;
}

void HeadValues::load(const HeadSlice& head) {
  m_tokens = head.rows;
  m_head_dim = head.cols;
  const std::int64_t padded = panel_count(m_head_dim) * kPanelWidth;
  m_panels.resize(static_cast<std::size_t>(padded * m_tokens));
  parallel_blocks(m_tokens, 256, [&](std::int64_t first, std::int64_t last) {
    std::vector<float> row(static_cast<std::size_t>(padded));
    for (std::int64_t j = first; j < last; ++j) {
      load_row(head, j, row.data());
      for (std::int64_t panel = 0; panel < padded / kPanelWidth; ++panel) {
        std::memcpy(m_panels.data() + panel * panel_stride() + j * kPanelWidth,
                    row.data() + panel * kPanelWidth, kPanelWidth * sizeof(float));
      }
    }
  });
}

std::int64_t PackedMatrix::panel_stride() const noexcept {
  return m_depth * kPanelWidth;
}

void PackedMatrix::resize(std::int64_t depth, std::int64_t columns) {
  m_depth = depth;
  m_columns = columns;
  m_panels.assign(static_cast<std::size_t>(panel_count(columns) * kPanelWidth * depth), 0.0F);
}

void PackedMatrix::pack_row(std::int64_t row, std::span<const float> values) {
  for (std::int64_t column = 0; column < m_columns; ++column) {
    m_panels[static_cast<std::size_t>((column / kPanelWidth) * panel_stride() + row * kPanelWidth +
                                      column % kPanelWidth)] =
        values[static_cast<std::size_t>(column)];
  }
}

void PackedMatrix::pack(MatrixView<const float> matrix) {
  resize(matrix.rows, matrix.cols);
  for (std::int64_t row = 0; row < matrix.rows; ++row) {
    pack_row(row, matrix.row(row));
  }
}

void PackedMatrix::pack(const HeadSlice& head) {
  resize(head.rows, head.cols);
  std::vector<float> values(static_cast<std::size_t>(head.cols));
  for (std::int64_t row = 0; row < head.rows; ++row) {
    load_row(head, row, values.data());
    pack_row(row, values);
  }
}

}  // namespace kvsieve::kernels
