#pragma once
// Synthetic traces of any size for scale tests: heads of chosen concentration that drift over time.

#include <cstdint>
#include <filesystem>

#include "kvsieve/traces/dtype.h"

namespace kvsieve::traces {

/// What a synthetic trace looks like.
struct SynthOptions {
  std::int64_t layers = 4;            ///< L; all are captured
  std::int64_t q_heads = 8;           ///< Hq
  std::int64_t kv_heads = 2;          ///< Hkv
  std::int64_t head_dim = 64;         ///< d
  std::int64_t width = 0;             ///< D; 0 means Hq * d
  std::int64_t prompt_tokens = 2048;  ///< n
  std::int64_t decode_tokens = 32;    ///< m
  std::int64_t prompt_queries = 128;  ///< captured prompt queries; capped at n
  /// Standard deviation of the attention scores (in nats) in the most and the least concentrated
  /// head of a layer; the heads between are spread evenly. 0 is uniform attention.
  double concentration_min = 1.0;
  double concentration_max = 5.0;
  /// Cosine between the content queries of consecutive steps is 1 - drift, 0 <= drift <= 1.
  double drift = 0.05;
  DType dtype = DType::kF16;
  bool with_out = true;  ///< write the attention output, so that the trace can be checked
  std::uint64_t seed = 0;
  bool overwrite = false;
};

/// Writes a synthetic trace to `path`. Keys are white noise, so the scores of a query are normal
/// with the chosen deviation at every distance, whatever RoPE does. Memory is bounded by one KV
/// head; the bytes depend on the options alone. Throws Error(kUsage) naming the option that is out
/// of range.
void synthesize(const std::filesystem::path& path, const SynthOptions& options);

}  // namespace kvsieve::traces
