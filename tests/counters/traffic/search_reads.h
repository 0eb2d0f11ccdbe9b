#pragma once
// What blocks of a2ats/nearest_codeword.cuh read: rows [n, d] against a table of codewords [C, d].

#include <cstdint>

namespace kvsieve::bench {

/// Bytes of rows, weights, biases and mean codeword. Rows that a tile lacks repeat its last, a warp
/// at a time.
[[nodiscard]] std::int64_t search_reads(std::int64_t rows, std::int64_t head_dim,
                                        std::int64_t codewords, std::int64_t element_bytes);

}  // namespace kvsieve::bench
