#include "replay/head_codes.h"

#include <algorithm>
#include <cmath>

#include "kvsieve/kernels/key_encoding.h"

namespace kvsieve::sim {

HeadCodes::HeadCodes(const kernels::HeadSlice& words, const kernels::HeadSlice& cholesky,
                     const kernels::HeadSlice& keys)
    : codes(static_cast<std::size_t>(keys.rows)) {
  const kernels::KeyEncoder encoder(words, cholesky);
  encoder.encode(keys, 0, codes);
  codewords.load(words, nullptr);
}

CodeUsage HeadCodes::usage() const {
  std::vector<std::int64_t> buckets(static_cast<std::size_t>(codewords.tokens()), 0);
  for (const std::uint16_t code : codes) {
    ++buckets[code];
  }
  CodeUsage usage;
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
