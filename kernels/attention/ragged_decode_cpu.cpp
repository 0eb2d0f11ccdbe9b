#include "attention/ragged_decode_cpu.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "exec/cpu/decode_block.h"
#include "exec/cpu/parallel.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::kernels {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Shares of this size keep dozens of threads busy at usual lengths and still stream long runs; at
// most kMaxShares keep the merge small.
constexpr std::int64_t kMinShareTokens = 1024;
constexpr std::int64_t kMaxShares = 1024;

RowType row_type(traces::DType dtype) {
  switch (dtype) {
    case traces::DType::kF16:
      return RowType::kF16;
    case traces::DType::kBF16:
      return RowType::kBF16;
    case traces::DType::kF32:
      return RowType::kF32;
    case traces::DType::kI32:
      break;
  }
  throw Error(ErrorKind::kUsage, fmt::format("ragged_decode: dtype {} is not supported: F16, BF16, "
                                             "F32",
                                             traces::name_of(dtype)));
}

void validate(const RaggedDecodeArgs& args) {
  const RaggedCacheView& cache = args.cache;
  if (args.group < 1 || args.group > kDecodeMaxGroup) {
    throw Error(ErrorKind::kUsage,
                fmt::format("ragged_decode: {} query heads a KV head, supported: 1 to {}",
                            args.group, kDecodeMaxGroup));
  }
  if (args.query_dtype != traces::DType::kF32 && args.query_dtype != cache.dtype) {
    throw Error(
        ErrorKind::kUsage,
        fmt::format("ragged_decode: queries of {} over a cache of {}, supported: F32 and {}",
                    traces::name_of(args.query_dtype), traces::name_of(cache.dtype),
                    traces::name_of(cache.dtype)));
  }
  const auto row_bytes = cache.head_dim * static_cast<std::int64_t>(traces::size_of(cache.dtype));
  if (cache.head_dim < 1 || row_bytes % 16 != 0) {
    throw Error(
        ErrorKind::kUsage,
        fmt::format("ragged_decode: rows of {} bytes, supported: multiples of 16", row_bytes));
  }
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

/// Partial results [slots] of one call, each G rows of `padded` numbers, G maxima and G sums; and
/// the tokens before each segment. Kept by a thread from call to call.
struct Workspace {
  std::vector<std::int64_t> starts;
  std::vector<std::int32_t> order;  ///< [d]
  std::vector<float> queries;       ///< [S, G, padded] arranged and scaled
  std::vector<float> parts;

  static void grow(std::vector<float>& buffer, std::int64_t size) {
    if (buffer.size() < static_cast<std::size_t>(size)) {
      buffer.resize(static_cast<std::size_t>(size));
    }
  }
};

/// One call: its arguments and what is derived from them.
class Decode {
 public:
  Decode(const RaggedDecodeArgs& args, const SimdOps& ops, Workspace& workspace)
      : m_args(args),
        m_ops(ops),
        m_work(workspace),
        m_type(row_type(args.cache.dtype)),
        m_row_bytes(static_cast<std::size_t>(args.cache.head_dim) *
                    traces::size_of(args.cache.dtype)) {
    const std::int64_t unit = decode_unit(ops.lanes);
    m_padded = (args.cache.head_dim + unit - 1) / unit * unit;
    m_block_tokens = decode_block_tokens(static_cast<std::int64_t>(m_row_bytes));
    m_part_size = args.group * m_padded + 2 * kDecodeStateLanes;
    m_work.order.resize(static_cast<std::size_t>(args.cache.head_dim));
    fill_order(m_type, ops.lanes, m_work.order);
    m_work.starts.resize(static_cast<std::size_t>(args.cache.segments) + 1);
    m_work.starts[0] = 0;
    for (std::size_t s = 0; s + 1 < m_work.starts.size(); ++s) {
      m_work.starts[s + 1] = m_work.starts[s] + args.cache.lengths[s];
    }
    const std::int64_t total = m_work.starts.back();
    const std::int64_t wanted =
        args.shares > 0 ? args.shares
                        : std::clamp<std::int64_t>(total / kMinShareTokens, 1, kMaxShares);
    m_share_tokens = decode_share_tokens(total, wanted);
    m_shares = (total + m_share_tokens - 1) / m_share_tokens;
    Workspace::grow(m_work.queries, args.cache.segments * args.group * m_padded);
    Workspace::grow(m_work.parts, (m_shares + args.cache.segments) * m_part_size);
  }

  void run() {
    parallel_for_index(m_args.cache.segments, [this](std::int64_t s) { arrange_queries(s); });
    parallel_for_index(m_shares, [this](std::int64_t share) {
      DecodePartCursor cursor(m_work.starts.data(), m_args.cache.segments, m_share_tokens, share);
      DecodePart part;
      while (cursor.next(part)) {
        attend(part);
      }
    });
    parallel_for_index(m_args.cache.segments, [this](std::int64_t s) { merge(s); });
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
  [[nodiscard]] Part part_at(std::int64_t slot) const {
    float* base = m_work.parts.data() + slot * m_part_size;
    float* maxima = base + m_args.group * m_padded;
    return {base, maxima, maxima + kDecodeStateLanes};
  }

  void arrange_queries(std::int64_t s) {
    const std::int64_t d = m_args.cache.head_dim;
    const std::size_t element = traces::size_of(m_args.query_dtype);
    for (std::int64_t g = 0; g < m_args.group; ++g) {
      const std::int64_t row = s * m_args.group + g;
      thread_local std::vector<float> plain;
      plain.resize(static_cast<std::size_t>(d));
      traces::to_float(m_args.query_dtype,
                       static_cast<const std::byte*>(m_args.queries) +
                           static_cast<std::size_t>(row * d) * element,
                       plain);
      float* target = m_work.queries.data() + row * m_padded;
      std::fill_n(target, m_padded, 0.0F);
      for (std::int64_t i = 0; i < d; ++i) {
        target[m_work.order[static_cast<std::size_t>(i)]] =
            plain[static_cast<std::size_t>(i)] * m_args.scale;
      }
    }
  }

  /// Addresses of the rows of a block.
  struct Rows {
    std::array<const void*, kDecodeBlockTokens> keys;
    std::array<const void*, kDecodeBlockTokens> values;
    std::int64_t count = 0;
  };
  void locate(std::int64_t s, std::int64_t begin, std::int64_t end, Rows& rows) const {
    rows.count = std::min(m_block_tokens, end - begin);
    for (std::int64_t i = 0; i < rows.count; ++i) {
      const std::size_t offset =
          static_cast<std::size_t>(row_of(m_args.cache, s, begin + i)) * m_row_bytes;
      rows.keys[static_cast<std::size_t>(i)] =
          static_cast<const std::byte*>(m_args.cache.keys) + offset;
      rows.values[static_cast<std::size_t>(i)] =
          static_cast<const std::byte*>(m_args.cache.values) + offset;
    }
  }

  void attend(const DecodePart& part) {
    const Part result = part_at(part.slot);
    std::fill_n(result.out, m_args.group * m_padded, 0.0F);
    std::fill_n(result.max, kDecodeStateLanes, -kInfinity);
    std::fill_n(result.sum, kDecodeStateLanes, 0.0F);
    Rows rows[2];
    locate(part.segment, part.begin, part.end, rows[0]);
    int current = 0;
    for (std::int64_t j = part.begin; j < part.end; j += m_block_tokens) {
      Rows& now = rows[current];
      Rows& next = rows[1 - current];
      locate(part.segment, std::min<std::int64_t>(j + m_block_tokens, part.end), part.end, next);
      m_ops.decode_block({m_type, m_args.group, m_args.cache.head_dim, m_padded, now.keys.data(),
                          now.values.data(), now.count, next.keys.data(), next.count,
                          m_work.queries.data() + part.segment * m_args.group * m_padded,
                          m_args.softcap.value_or(0.0F), result.out, result.max, result.sum});
      current = 1 - current;
    }
  }

  /// Merges the parts of a segment, in token order.
  void merge(std::int64_t s) {
    const std::int64_t begin = m_work.starts[static_cast<std::size_t>(s)];
    const std::int64_t end = m_work.starts[static_cast<std::size_t>(s) + 1];
    const std::int64_t first = begin / m_share_tokens + s;
    const std::int64_t last = begin < end ? (end - 1) / m_share_tokens + s : first - 1;
    for (std::int64_t g = 0; g < m_args.group; ++g) {
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
        sum += share * part.total(g, m_args.group);
        m_ops.axpy(share, part.out + g * m_padded, row.data(), m_padded);
      }
      write(s * m_args.group + g, row, first <= last ? 1.0F / sum : 0.0F);
      if (m_args.log_sums != nullptr) {
        m_args.log_sums[s * m_args.group + g] =
            first <= last ? largest + std::log(sum) : -kInfinity;
      }
    }
  }

  void write(std::int64_t index, std::span<const float> row, float factor) {
    const std::int64_t d = m_args.cache.head_dim;
    for (std::int64_t i = 0; i < d; ++i) {
      m_args.out[index * d + i] =
          row[static_cast<std::size_t>(m_work.order[static_cast<std::size_t>(i)])] * factor;
    }
  }

  const RaggedDecodeArgs& m_args;
  const SimdOps& m_ops;
  Workspace& m_work;
  RowType m_type;
  std::size_t m_row_bytes;
  std::int64_t m_padded = 0;
  std::int64_t m_block_tokens = 0;
  std::int64_t m_part_size = 0;
  std::int64_t m_share_tokens = 1;
  std::int64_t m_shares = 0;
};

}  // namespace

std::vector<DecodePart> decode_parts(std::span<const std::int32_t> lengths, std::int64_t shares) {
  std::vector<std::int64_t> starts{0};
  for (const std::int32_t length : lengths) {
    starts.push_back(starts.back() + length);
  }
  const std::int64_t share_tokens = decode_share_tokens(starts.back(), shares);
  std::vector<DecodePart> parts;
  for (std::int64_t share = 0; share * share_tokens < starts.back(); ++share) {
    DecodePartCursor cursor(starts.data(), static_cast<std::int64_t>(lengths.size()), share_tokens,
                            share);
    DecodePart part;
    while (cursor.next(part)) {
      parts.push_back(part);
    }
  }
  return parts;
}

void ragged_decode(const RaggedDecodeArgs& args, const SimdOps& ops) {
  validate(args);
  thread_local Workspace workspace;
  Decode(args, ops, workspace).run();
}

void ragged_decode(const RaggedDecodeArgs& args) {
  ragged_decode(args, simd());
}

}  // namespace kvsieve::kernels
