#pragma once
// One block of points screened against all centroids, as the vector loops of each instruction set
// take it: which centroids can be a point's nearest one is decided on approximate products with
// bounds on their errors, and the few that can are handed back for an exact decision.

#include <cstdint>

namespace kvsieve::kernels {

/// Points of a block at most.
inline constexpr std::int64_t kScreenRows = 256;
/// A point's codes are a multiple of this many.
inline constexpr std::int64_t kScreenDepthStep = 8;
/// Codes of points are within +-kScreenRowCode, stored with kScreenRowCode + 1 added, those of
/// centroids within +-kScreenColumnCode: four products of such numbers fit 16 bits.
inline constexpr std::int32_t kScreenRowCode = 63;
inline constexpr std::int32_t kScreenColumnCode = 64;
/// Distances in units are below this; one that is not counts as this.
inline constexpr std::int32_t kScreenFar = 65535;

/// The factors of one point's error bound, and what turns a value into a distance.
struct ScreenRow {
  float scale;   ///< of its codes
  float size;    ///< weighs ScreenPanel::size
  float rest;    ///< weighs ScreenPanel::rest
  float tail;    ///< weighs ScreenPanel::tail
  float square;  ///< squared distance to the origin, rounded down
  /// No centroid with a value above this can be the nearest. Lowered as values are found.
  float limit;
};

/// 16 centroids. The value of a centroid is half its squared distance to a point less half that of
/// the origin, b - x . c; the approximate product is off by at most size * size + rest * rest +
/// tail * tail, point's times centroid's.
struct ScreenPanel {
  float low[16];   ///< b, rounded down; infinite for padding
  float high[16];  ///< b, rounded up
  float scale[16];
  float size[16];
  float rest[16];
  float tail[16];
  std::int32_t start[16];  ///< what the products of codes start from: takes the offset away again
};

/// A centroid that may be a point's nearest.
struct ScreenHit {
  std::int32_t row;
  std::int32_t column;
  float low;  ///< its value is at least this
};

struct ScreenBlock {
  std::int64_t rows;          ///< 1 .. kScreenRows
  std::int64_t depth;         ///< codes or numbers of a row
  const std::uint8_t* codes;  ///< [rows, depth]; null: `numbers` is multiplied
  const float* numbers;       ///< [rows, depth], `stride` apart
  std::int64_t stride;        ///< of rows, in elements
  ScreenRow* row;             ///< [rows]

  std::int64_t panels_n;
  const std::int8_t* panel_codes;  ///< [panels][depth / 4][16][4]
  const float* panel_numbers;      ///< [panels][depth][16]
  const ScreenPanel* panels;

  /// Null: every panel is looked at. Otherwise [panels][kScreenRows]: a distance in units that no
  /// centroid of the panel was nearer than, `drift` at that time added; updated for the rows that
  /// are looked at. A row is, if its bound is at most `reach` of the row plus `drift` of the panel.
  std::uint16_t* bounds;
  const std::uint16_t* reach;  ///< [rows, rounded up to kScreenRows] in units, rounded up
  const std::uint16_t* drift;  ///< [panels] all moves so far, in units, rounded up
  float units;                 ///< units a distance

  ScreenHit* hits;        ///< [capacity]
  std::int64_t capacity;  ///< at least 2 * 16 * kScreenRows
  std::int64_t
      hits_n;  ///< found; those with `low` above the row's limit at the end may be left out
  std::int64_t looked_at;  ///< rows times panels, += what was not passed over
};

}  // namespace kvsieve::kernels
