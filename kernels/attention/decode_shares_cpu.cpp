#include "attention/decode_shares_cpu.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "exec/cpu/decode_block.h"
#include "exec/cpu/parallel.h"
#include "exec/cpu/scratch.h"
#include "kvsieve/kernels/ragged_decode.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::kernels {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Shares of this size keep dozens of threads busy at usual lengths and still stream long runs; at
// most kMaxShares keep the merge small.
constexpr std::int64_t kMinShareTokens = 1024;
constexpr std::int64_t kMaxShares = 1024;

/// The loops' name of a dtype that check_decode_step let pass.
RowType row_type(traces::DType dtype) {
  return dtype == traces::DType::kF16    ? RowType::kF16
         : dtype == traces::DType::kBF16 ? RowType::kBF16
                                         : RowType::kF32;
}

/// Where each number of a row is kept: the vector loops take BF16 pairs apart.
void fill_order(RowType type, std::int64_t lanes, std::span<std::int32_t> order) {
  const std::int64_t unit = decode_unit(lanes);
  for (std::int64_t i = 0; i < static_cast<std::int64_t>(order.size()); ++i) {
    const std::int64_t in_unit = i % unit;
    order[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(
        type == RowType::kBF16 ? i - in_unit + in_unit % 2 * lanes + in_unit / 2 : i);
  }
}

/// One call: its arguments and what is derived from them.
class Decode {
 public:
  Decode(const DecodeStep& step, const DecodeRows& rows, const SimdOps& ops)
      : m_step(step),
        m_rows(rows),
        m_ops(ops),
        m_type(row_type(step.dtype)),
        m_padded((step.head_dim + decode_unit(ops.lanes) - 1) / decode_unit(ops.lanes) *
                 decode_unit(ops.lanes)),
        m_row_bytes(step.head_dim * static_cast<std::int64_t>(traces::size_of(step.dtype))),
        // Adjacent rows count twice, because those of two more blocks are prefetched.
        m_block_tokens(decode_block_tokens(step.adjacent_values ? 4 * m_row_bytes : m_row_bytes)),
        m_part_size(step.group * m_padded + 2 * kDecodeStateLanes),
        m_total(std::accumulate(step.lengths, step.lengths + step.segments, std::int64_t{0})),
        m_share_tokens(decode_share_tokens(
            m_total, step.shares > 0
                         ? step.shares
                         : std::clamp<std::int64_t>(m_total / kMinShareTokens, 1, kMaxShares))),
        m_shares((m_total + m_share_tokens - 1) / m_share_tokens),
        m_starts(static_cast<std::size_t>(step.segments) + 1),
        m_order(static_cast<std::size_t>(step.head_dim)),
        m_queries(static_cast<std::size_t>(step.segments * step.group * m_padded)),
        m_parts(static_cast<std::size_t>((m_shares + step.segments) * m_part_size)) {
    fill_order(m_type, ops.lanes, {m_order.data(), static_cast<std::size_t>(step.head_dim)});
    std::int64_t* starts = m_starts.data();
    starts[0] = 0;
    for (std::int64_t s = 0; s < step.segments; ++s) {
      starts[s + 1] = starts[s] + step.lengths[s];
    }
  }

  void run() {
    parallel_for_index(m_step.segments, [this](std::int64_t s) { arrange_queries(s); });
    parallel_for_index(m_shares, [this](std::int64_t share) {
      DecodePartCursor cursor(m_starts.data(), m_step.segments, m_share_tokens, share);
      DecodePart part;
      while (cursor.next(part)) {
        attend(part);
      }
    });
    parallel_for_index(m_step.segments, [this](std::int64_t s) { merge(s); });
  }

 private:
  struct Part {
    float* out;  ///< [G, padded]
    float* max;  ///< [kDecodeStateLanes]
    float* sum;  ///< [kDecodeStateLanes]

    /// The sum over a member's lanes.
    [[nodiscard]] float total(std::int64_t g, std::int64_t group) const {
      float result = 0.0F;
      const auto step = static_cast<std::int64_t>(std::bit_ceil(static_cast<std::size_t>(group)));
      for (std::int64_t i = g; i < kDecodeStateLanes; i += step) {
        result += sum[i];
      }
      return result;
    }
  };
  [[nodiscard]] Part part_at(std::int64_t slot) {
    float* base = m_parts.data() + slot * m_part_size;
    float* maxima = base + m_step.group * m_padded;
    return {base, maxima, maxima + kDecodeStateLanes};
  }

  void arrange_queries(std::int64_t s) {
    const std::int64_t d = m_step.head_dim;
    const std::size_t element = traces::size_of(m_step.query_dtype);
    float* units = m_queries.data() + s * m_step.group * m_padded;
    std::fill_n(units, m_step.group * m_padded, 0.0F);
    for (std::int64_t g = 0; g < m_step.group; ++g) {
      const std::int64_t row = s * m_step.group + g;
      thread_local std::vector<float> plain;
      plain.resize(static_cast<std::size_t>(d));
      traces::to_float(m_step.query_dtype,
                       static_cast<const std::byte*>(m_step.queries) +
                           static_cast<std::size_t>(row * d) * element,
                       plain);
      const std::int64_t unit = decode_unit(m_ops.lanes);
      for (std::int64_t first = 0; first < d; first += unit) {
        // A number stays in its unit.
        float* target = units + (first * m_step.group + g * unit) - first;
        for (std::int64_t i = first; i < std::min(first + unit, d); ++i) {
          target[m_order.data()[i]] = plain[static_cast<std::size_t>(i)] * m_step.scale;
        }
      }
    }
  }

  /// Addresses of the rows of a block.
  struct Block {
    std::array<const void*, kDecodeBlockTokens> keys;
    std::array<const void*, kDecodeBlockTokens> values;
    std::int64_t count = 0;
  };
  void locate(std::int64_t s, std::int64_t begin, std::int64_t end, Block& block) const {
    block.count = std::clamp<std::int64_t>(end - begin, 0, m_block_tokens);
    if (block.count == 0) {
      return;
    }
    m_rows.locate(s, begin, block.count, block.keys.data(), block.values.data());
  }

  /// Lets a block have addresses of at least as many rows as the one before it: some of that one's.
  static void extend(const Block& before, Block& block) {
    for (auto i = static_cast<std::size_t>(block.count); i < static_cast<std::size_t>(before.count);
         ++i) {
      block.keys[i] = before.keys[i];
    }
  }

  /// What the passes over a block's keys and values prefetch. Values that lie apart come for the
  /// value pass, then the next keys. Adjacent ones come with their keys, half of a block's rows in
  /// each pass: the lines of a row are cheaper together. Those are asked for two blocks ahead and
  /// again one block ahead: a core whose buffers for outstanding lines are taken may drop one.
  /// Rows of a ragged cache follow each other and need no more than one.
  [[nodiscard]] std::pair<AheadRows, AheadRows> ahead(const Block& now, const Block& next,
                                                      const Block& later) const {
    if (!m_step.adjacent_values) {
      return {{now.values.data(), now.values.data(), now.count, m_row_bytes},
              {next.keys.data(), next.keys.data(), next.count, m_row_bytes}};
    }
    const std::int64_t half = next.count / 2;
    return {
        {next.keys.data(), later.keys.data(), half, 2 * m_row_bytes},
        {next.keys.data() + half, later.keys.data() + half, next.count - half, 2 * m_row_bytes}};
  }

  void attend(const DecodePart& part) {
    const Part result = part_at(part.slot);
    std::fill_n(result.out, m_step.group * m_padded, 0.0F);
    std::fill_n(result.max, kDecodeStateLanes, -kInfinity);
    std::fill_n(result.sum, kDecodeStateLanes, 0.0F);
    Block blocks[3];
    Block* now = &blocks[0];
    Block* next = &blocks[1];
    Block* later = &blocks[2];
    locate(part.segment, part.begin, part.end, *now);
    locate(part.segment, part.begin + m_block_tokens, part.end, *next);
    for (std::int64_t j = part.begin; j < part.end; j += m_block_tokens) {
      locate(part.segment, j + 2 * m_block_tokens, part.end, *later);
      extend(*next, *later);
      const auto [key_pass_ahead, value_pass_ahead] = ahead(*now, *next, *later);
      m_ops.decode_block({m_type, m_step.group, m_step.head_dim, m_padded, now->keys.data(),
                          now->values.data(), now->count, key_pass_ahead, value_pass_ahead,
                          m_queries.data() + part.segment * m_step.group * m_padded,
                          m_step.softcap.value_or(0.0F), result.out, result.max, result.sum});
      Block* const done = now;
      now = next;
      next = later;
      later = done;
    }
  }

  /// Merges the parts of a segment, in token order.
  void merge(std::int64_t s) {
    const std::int64_t begin = m_starts.data()[s];
    const std::int64_t end = m_starts.data()[s + 1];
    const std::int64_t first = begin / m_share_tokens + s;
    const std::int64_t last = begin < end ? (end - 1) / m_share_tokens + s : first - 1;
    for (std::int64_t g = 0; g < m_step.group; ++g) {
      float largest = -kInfinity;
      for (std::int64_t slot = first; slot <= last; ++slot) {
        largest = std::max(largest, part_at(slot).max[g]);
      }
      thread_local std::vector<float> row;
      row.assign(static_cast<std::size_t>(m_padded), 0.0F);
      float sum = 0.0F;
      for (std::int64_t slot = first; slot <= last; ++slot) {
        const Part part = part_at(slot);
        const float share = std::exp(part.max[g] - largest);
        sum += share * part.total(g, m_step.group);
        m_ops.axpy(share, part.out + g * m_padded, row.data(), m_padded);
      }
      write(s * m_step.group + g, row, first <= last ? 1.0F / sum : 0.0F);
      if (m_step.log_sums != nullptr) {
        m_step.log_sums[s * m_step.group + g] =
            first <= last ? largest + std::log(sum) : -kInfinity;
      }
    }
  }

  void write(std::int64_t index, std::span<const float> row, float factor) {
    const std::int64_t d = m_step.head_dim;
    for (std::int64_t i = 0; i < d; ++i) {
      m_step.out[index * d + i] = row[static_cast<std::size_t>(m_order.data()[i])] * factor;
    }
  }

  const DecodeStep& m_step;
  const DecodeRows& m_rows;
  const SimdOps& m_ops;
  RowType m_type;
  std::int64_t m_padded;
  std::int64_t m_row_bytes;  ///< of K or V
  std::int64_t m_block_tokens;
  std::int64_t m_part_size;
  std::int64_t m_total;
  std::int64_t m_share_tokens;
  std::int64_t m_shares;
  Scratch<std::int64_t> m_starts;  ///< [S + 1] tokens before each segment
  Scratch<std::int32_t> m_order;   ///< [d]
  Scratch<float> m_queries;        ///< [S, G, padded] arranged and scaled
  Scratch<float> m_parts;          ///< partial results by slot: [G, padded], maxima, sums
};

}  // namespace

void check_decode_step(std::string_view operation, const DecodeStep& step) {
  if (step.group < 1 || step.group > kDecodeMaxGroup) {
    throw Error(ErrorKind::kUsage, fmt::format("{}: {} query heads a KV head, supported: 1 to {}",
                                               operation, step.group, kDecodeMaxGroup));
  }
  if (step.dtype == traces::DType::kI32) {
    throw Error(ErrorKind::kUsage, fmt::format("{}: dtype {} is not supported: F16, BF16, F32",
                                               operation, traces::name_of(step.dtype)));
  }
  if (step.query_dtype != traces::DType::kF32 && step.query_dtype != step.dtype) {
    throw Error(ErrorKind::kUsage,
                fmt::format("{}: queries of {} over a cache of {}, supported: F32 and {}",
                            operation, traces::name_of(step.query_dtype),
                            traces::name_of(step.dtype), traces::name_of(step.dtype)));
  }
  const auto bytes = step.head_dim * static_cast<std::int64_t>(traces::size_of(step.dtype));
  if (step.head_dim < 1 || bytes % 16 != 0) {
    throw Error(ErrorKind::kUsage,
                fmt::format("{}: rows of {} bytes, supported: multiples of 16", operation, bytes));
  }
}

void decode_in_shares(const DecodeStep& step, const DecodeRows& rows, const SimdOps& ops) {
  Decode(step, rows, ops).run();
}

}  // namespace kvsieve::kernels
