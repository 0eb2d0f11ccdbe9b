#include "replay/head_codes.h"

#include <algorithm>
#include <cmath>

#include "kvsieve/kernels/key_encoding.h"
#include "replay/float_rows.h"

namespace kvsieve::sim {
namespace {

/// Rows rounded to another type and back.
FloatRows rounded(const kernels::HeadSlice& head, traces::DType dtype) {
  FloatRows rows(head, nullptr);
  std::vector<std::byte> stored(rows.values.size() * traces::size_of(dtype));
  traces::from_float(dtype, rows.values, stored.data());
  traces::to_float(dtype, stored.data(), rows.values);
  return rows;
}

void add(FloatRows& rows, std::span<const float> offset, float sign) {
  for (std::int64_t r = 0; r < rows.rows; ++r) {
    const std::span<float> row = rows.view().row(r);
    std::transform(row.begin(), row.end(), offset.begin(), row.begin(),
                   [&](float x, float shift) { return x + sign * shift; });
  }
}

std::vector<std::uint16_t> encode(const kernels::HeadSlice& codewords,
                                  const kernels::HeadSlice& cholesky,
                                  const kernels::HeadSlice& keys) {
  std::vector<std::uint16_t> codes(static_cast<std::size_t>(keys.rows));
  kernels::KeyEncoder(codewords, cholesky).encode(keys, 0, codes);
  return codes;
}

}  // namespace

HeadCodes::HeadCodes(const HeadCodebook& codebook, const kernels::HeadSlice& keys) {
  FloatRows centred(0, 0);
  if (!codebook.mean.empty()) {
    centred = FloatRows(keys, nullptr);
    add(centred, codebook.mean, -1.0F);
  }
  const kernels::HeadSlice coded = codebook.mean.empty() ? keys : centred.head();
  FloatRows words = rounded(codebook.codewords, codebook.dtype);
  const FloatRows factor = rounded(codebook.cholesky, codebook.dtype);
  codes = encode(words.head(), factor.head(), coded);
  if (codebook.dtype != traces::DType::kF32) {
    const std::vector<std::uint16_t> exact = encode(codebook.codewords, codebook.cholesky, coded);
    std::size_t same = 0;
    for (std::size_t j = 0; j < codes.size(); ++j) {
      same += codes[j] == exact[j] ? 1 : 0;
    }
    agreement = static_cast<double>(same) / static_cast<double>(codes.size());
  }
  if (!codebook.mean.empty()) {
    add(words, codebook.mean, 1.0F);
  }
  codewords.load(words.head(), nullptr);
}

CodeUsage HeadCodes::usage() const {
  std::vector<std::int64_t> buckets(static_cast<std::size_t>(codewords.tokens()), 0);
  for (const std::uint16_t code : codes) {
    ++buckets[code];
  }
  CodeUsage usage;
  usage.agreement = agreement;
  const auto tokens = static_cast<double>(codes.size());
  for (const std::int64_t bucket : buckets) {
    if (bucket == 0) {
      ++usage.dead_codes;
      continue;
    }
    const double share = static_cast<double>(bucket) / tokens;
    usage.entropy_bits -= share * std::log2(share);
  }
  usage.largest_bucket = *std::max_element(buckets.begin(), buckets.end());
  usage.mean_bucket = tokens / static_cast<double>(buckets.size());
  return usage;
}

}  // namespace kvsieve::sim
