#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "a2ats/nearest_codeword.h"
#include "exec/cpu/parallel.h"
#include "exec/cpu/simd.h"
#include "kvsieve/kernels/codebook_training.h"
#include "kvsieve/kernels/key_encoding.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::kernels {
namespace {

constexpr std::int64_t kKeysPerBlock = 128;
constexpr std::int64_t kMaxCodewords = 65536;

std::vector<float> load(const HeadSlice& head) {
  std::vector<float> values(static_cast<std::size_t>(head.rows * head.cols));
  load_rows(head, 0, {values.data(), head.rows, head.cols});
  return values;
}

void check_values(std::span<const float> codewords, std::span<const float> factor, std::int64_t d) {
  const auto finite = [](float x) { return std::isfinite(x); };
  const auto bad = std::find_if_not(codewords.begin(), codewords.end(), finite);
  if (bad != codewords.end()) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("codeword {} is not finite", (bad - codewords.begin()) / d));
  }
  for (std::int64_t r = 0; r < d; ++r) {
    const std::span<const float> row =
        factor.subspan(static_cast<std::size_t>(r * d), static_cast<std::size_t>(d));
    const bool zero_above =
        std::all_of(row.begin() + r + 1, row.end(), [](float x) { return x == 0.0F; });
    if (!std::all_of(row.begin(), row.end(), finite) || !zero_above ||
        row[static_cast<std::size_t>(r)] <= 0.0F) {
      throw Error(
          ErrorKind::kBadInput,
          fmt::format("the factor is not lower triangular with a positive diagonal in row {}", r));
    }
  }
}

}  // namespace

struct KeyEncoder::Tables {
  PackedMatrix cholesky;
  NearestCodeword nearest;
};

KeyEncoder::KeyEncoder(const HeadSlice& codewords, const HeadSlice& cholesky)
    : m_codewords(codewords.rows), m_head_dim(codewords.cols) {
  const std::int64_t d = m_head_dim;
  if (m_codewords < 1 || m_codewords > kMaxCodewords || cholesky.rows != d || cholesky.cols != d) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("codewords [{}, {}] and factor [{}, {}] do not make a codebook",
                            m_codewords, d, cholesky.rows, cholesky.cols));
  }
  const std::vector<float> c = load(codewords);
  const std::vector<float> factor = load(cholesky);
  check_values(c, factor, d);
  const std::vector<double> lower(factor.begin(), factor.end());
  std::vector<double> whitened(c.size(), 0.0);
  for (std::int64_t m = 0; m < m_codewords; ++m) {
    double* row = whitened.data() + m * d;
    for (std::int64_t s = 0; s < d; ++s) {
      const auto x = static_cast<double>(c[static_cast<std::size_t>(m * d + s)]);
      for (std::int64_t t = 0; t <= s; ++t) {
        row[t] += x * lower[static_cast<std::size_t>(s * d + t)];
      }
    }
  }
  const std::vector<float> zeta(whitened.begin(), whitened.end());
  auto tables = std::make_shared<Tables>();
  tables->cholesky.pack(MatrixView<const float>(factor.data(), d, d));
  tables->nearest.pack({zeta.data(), m_codewords, d});
  m_tables = std::move(tables);
}

void KeyEncoder::encode(const HeadSlice& keys, std::int64_t first,
                        std::span<std::uint16_t> codes) const {
  const std::int64_t d = m_head_dim;
  const std::int64_t stride = panel_count(d) * kPanelWidth;
  const auto count = static_cast<std::int64_t>(codes.size());
  parallel_blocks(count, kKeysPerBlock, [&](std::int64_t begin, std::int64_t end) {
    thread_local std::vector<float> buffer;
    buffer.resize(static_cast<std::size_t>(kKeysPerBlock * (d + stride)));
    std::int32_t nearest[kKeysPerBlock];
    float scratch[kKeysPerBlock];
    const MatrixView<float> rows(buffer.data(), end - begin, d);
    const MatrixView<float> z(buffer.data() + kKeysPerBlock * d, end - begin, d, stride);
    load_rows(keys, first + begin, rows);
    const PackedMatrix& factor = m_tables->cholesky;
    simd().multiply(rows.data, rows.stride, rows.rows, factor.panels(), factor.panel_stride(),
                    panel_count(d), d, z.data, z.stride, /*accumulate=*/false);
    const auto size = static_cast<std::size_t>(end - begin);
    m_tables->nearest.find(z, {nearest, size}, {scratch, size});
    for (std::int64_t j = begin; j < end; ++j) {
      codes[static_cast<std::size_t>(j)] = static_cast<std::uint16_t>(nearest[j - begin]);
    }
  });
}

void pack_codes(std::span<const std::uint16_t> codes, std::span<std::uint32_t> words) {
  std::fill(words.begin(), words.end(), 0U);
  for (std::size_t j = 0; j < codes.size(); ++j) {
    const std::size_t bit = j * kPackedCodeBits;
    const std::uint64_t code = std::uint64_t{codes[j]} << bit % 32;
    words[bit / 32] |= static_cast<std::uint32_t>(code);
    if (code >> 32U != 0) {
      words[bit / 32 + 1] |= static_cast<std::uint32_t>(code >> 32U);
    }
  }
}

void unpack_codes(std::span<const std::uint32_t> words, std::int64_t first,
                  std::span<std::uint16_t> codes) {
  for (std::size_t j = 0; j < codes.size(); ++j) {
    const std::size_t bit = (static_cast<std::size_t>(first) + j) * kPackedCodeBits;
    std::uint64_t both = words[bit / 32];
    if (bit % 32 + kPackedCodeBits > 32) {
      both |= std::uint64_t{words[bit / 32 + 1]} << 32U;
    }
    codes[j] = static_cast<std::uint16_t>(both >> bit % 32 & (kMaxPackedCodewords - 1));
  }
}

}  // namespace kvsieve::kernels
