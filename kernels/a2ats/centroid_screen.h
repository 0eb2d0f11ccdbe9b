#pragma once
// Which centroids can be nearest to a point, without computing most distances.

#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "exec/cpu/screen_block.h"
#include "exec/cpu/simd.h"
#include "kvsieve/kernels/head_tensors.h"
#include "kvsieve/kernels/matrix_view.h"

namespace kvsieve::kernels {

/// Screens fixed points against centroids that move between the calls. What it answers are
/// candidates, a superset of the centroids at the least distance, so whoever measures the distances
/// to them gets results that do not depend on how they were found.
///
/// Points and centroids are shifted by the points' mean a, turned to the principal axes of a sample
/// of the points, and cut to the leading axes. Those are turned once more, by an even mixture, so
/// that no axis is much larger than another, and rounded to codes of 7 bits with one scale a
/// vector. With x = x^ + r + t, r what rounding took away and t the axes cut off, the
/// Cauchy-Schwarz inequality bounds what the product of codes leaves out:
///   |x . c - x^ . c^| <= |x^| |r_c| + |r_x| (|c^| + |r_c|) + |t_x| |t_c|,
/// plus a multiple of |x| |c| for the rounding of all this in fp32. How many axes are kept is
/// chosen by what they cost and what they rule out. Where codes do not tell centroids apart, or no
/// instruction multiplies them, fp32 products of the shifted vectors take their place.
///
/// Whole panels of 16 centroids are passed over by distance: no centroid of the panel was nearer
/// than d when the point was last compared with it, none has moved by more than s since, and
/// d - s exceeds the distance to the point's own centroid (Ding et al., "Yinyang K-means", 2015,
/// with panels for groups). Panels are made of centroids that lie together. Where nearly every
/// panel is looked at nonetheless, bounds are left alone for some rounds.
class CentroidScreen {
 public:
  /// @param points [N, d], which must outlive the object @param centroids [C, d] the first ones,
  /// which decide how it works; `place` takes them all the same. @param ops to compute with
  CentroidScreen(MatrixView<const float> points, MatrixView<const float> centroids,
                 const SimdOps& ops = simd());

  /// Takes over centroids [C, d]. @param squared_moves [C] since the last call, all 0 at the first
  void place(MatrixView<const float> centroids, std::span<const double> squared_moves);

  /// Candidates of points [first, last), at most kScreenRows of them, appended to `candidates` in
  /// any order. A centroid equal to one of a lower index is never one, nor need a centroid be that
  /// is farther than `squared_distances`. Threads may call it for different blocks; `first` is a
  /// multiple of kScreenRows.
  /// @param squared_distances [last - first] to a centroid of the point; infinite if it has none
  struct Candidate {
    std::int64_t point;
    std::int32_t centroid;
  };
  void find(std::int64_t first, std::int64_t last, std::span<const double> squared_distances,
            std::vector<Candidate>& candidates);

  /// Share of the pairs of a point and a panel that were looked at since the last `place`.
  [[nodiscard]] double looked_at() const;
  /// Axes that are multiplied as codes; 0 if fp32 numbers are.
  [[nodiscard]] std::int64_t axes() const noexcept { return m_axes; }

 private:
  /// Centroids as the codes or as the numbers of a ScreenBlock.
  template <class Number>
  struct Columns {
    std::vector<Number> numbers;
    std::vector<ScreenPanel> panels;
  };

  void measure_points();
  void shift(std::span<const float> row, float* out) const;
  void choose_axes(MatrixView<const float> centroids);
  void arrange_panels(MatrixView<const float> turned);
  void encode_points();
  void forget_bounds(std::int64_t panel);
  void pack_panel(MatrixView<const float> centroids, std::int64_t panel);

  const SimdOps& m_ops;
  MatrixView<const float> m_points;
  std::int64_t m_clusters;
  std::int64_t m_panel_count;
  std::vector<double> m_center;   // [d] a
  double m_scale = 1.0;           // power of two that brings the largest |x - a| near 1
  std::vector<double> m_squares;  // [N] |x - a|^2 in that scale
  std::int64_t m_axes = 0;
  PackedMatrix m_rotation;            // [d, d], leading axes first
  std::vector<std::uint8_t> m_codes;  // [N, axes]
  std::vector<ScreenRow> m_rows;      // [N] of codes
  std::vector<std::int32_t> m_slots;  // [panels, 16] centroid, -1 for padding and repetitions
  std::vector<std::int32_t> m_order;  // [C] centroids as they lie in the panels
  Columns<std::int8_t> m_code_columns;
  Columns<float> m_number_columns;
  std::vector<std::uint16_t> m_bounds;  // [blocks, panels, kScreenRows]
  std::vector<std::uint16_t> m_drift;   // [panels]
  std::int64_t m_rest = 0;              // rounds, this one included, that leave bounds alone
  bool m_filled = false;                // whether bounds are of the round before
  std::atomic<std::int64_t> m_looked_at = 0;
};

}  // namespace kvsieve::kernels
