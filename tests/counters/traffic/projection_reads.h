#pragma once
// What blocks of attention/projection_tile.cuh read: rows [n, depth] times columns [depth, D].

#include <cstdint>

namespace kvsieve::bench {

[[nodiscard]] std::int64_t projection_row_tiles(std::int64_t rows);
[[nodiscard]] std::int64_t projection_column_tiles(std::int64_t width);
/// Rows that the tiles ask for: those that a tile lacks repeat its last, a warp at a time.
[[nodiscard]] std::int64_t projected_rows(std::int64_t rows);

}  // namespace kvsieve::bench
