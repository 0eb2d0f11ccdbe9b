#include "cases/decode_layers.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "cases/random_numbers.h"

namespace kvsieve::bench {
namespace {

constexpr std::int64_t kKeptShare = 5;  ///< one in so many tokens stays
constexpr std::size_t kCacheLine = 64;
constexpr std::size_t kPatternNumbers = 1 << 16;

}  // namespace

DecodeLayers::DecodeLayers(std::int64_t tokens, traces::DType dtype, std::int64_t least_bytes)
    : m_dtype(dtype),
      m_queries(random_numbers(kSegments * kGroup * kHeadDim, 1)),
      m_out(m_queries.size()),
      m_log_sums(kSegments * kGroup) {
  for (std::int64_t s = 0; s < kSegments; ++s) {
    const double share = 0.5 + static_cast<double>(s) / (kSegments - 1);
    m_lengths.push_back(
        static_cast<std::int32_t>(std::lround(static_cast<double>(tokens) / kKeptShare * share)));
    m_offsets.push_back(m_offsets.back() + m_lengths.back());
  }
  const std::size_t layer_bytes =
      2 * static_cast<std::size_t>(m_offsets.back() * kHeadDim) * traces::size_of(dtype);
  m_layers = least_bytes / static_cast<std::int64_t>(layer_bytes) + 1;
  m_memory.resize(static_cast<std::size_t>(m_layers) * layer_bytes + kCacheLine);
  m_rows = m_memory.data() +
           (kCacheLine - reinterpret_cast<std::uintptr_t>(m_memory.data()) % kCacheLine);
  const std::vector<float> numbers = random_numbers(kPatternNumbers, 2);
  std::vector<std::byte> pattern(numbers.size() * traces::size_of(dtype));
  traces::from_float(dtype, numbers, pattern.data());
  const std::size_t bytes = static_cast<std::size_t>(m_layers) * layer_bytes;
  for (std::size_t at = 0; at < bytes; at += pattern.size()) {
    std::memcpy(m_rows + at, pattern.data(), std::min(pattern.size(), bytes - at));
  }
}

kernels::RaggedDecodeArgs DecodeLayers::next() {
  m_turn = (m_turn + 1) % m_layers;
  return args(m_turn);
}

kernels::RaggedDecodeArgs DecodeLayers::args(std::int64_t layer) {
  const std::int64_t bytes =
      m_offsets.back() * kHeadDim * static_cast<std::int64_t>(traces::size_of(m_dtype));
  kernels::RaggedDecodeArgs result;
  result.cache.keys = m_rows + 2 * layer * bytes;
  result.cache.values = m_rows + (2 * layer + 1) * bytes;
  result.cache.dtype = m_dtype;
  result.cache.head_dim = kHeadDim;
  result.cache.segments = kSegments;
  result.cache.offsets = m_offsets.data();
  result.cache.lengths = m_lengths.data();
  result.queries = m_queries.data();
  result.group = kGroup;
  result.scale = 1.0F / std::sqrt(static_cast<float>(kHeadDim));
  result.out = m_out.data();
  result.log_sums = m_log_sums.data();
  return result;
}

kernels::Work DecodeLayers::work() const {
  return kernels::ragged_decode_work(m_offsets.back(), kSegments, kGroup, kHeadDim,
                                     static_cast<std::int64_t>(traces::size_of(m_dtype)),
                                     sizeof(float));
}

}  // namespace kvsieve::bench
