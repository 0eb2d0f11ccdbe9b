#pragma once
// A2ATS by its formulas: scalar loops in double precision, no panels, tiles or factors.

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/attention/dense_attention_reference.h"
#include "kvsieve/kernels/matrix_view.h"
#include "kvsieve/traces/rope.h"

namespace kvsieve::kernels::tests {

/// H = sum of q^T q, [d, d].
[[nodiscard]] Matrix reference_moment(const Matrix& queries);

/// H / rms(H) + 1e-6 I.
[[nodiscard]] Matrix reference_regularised(const Matrix& moment);

/// Textbook L with L L^T = matrix.
[[nodiscard]] Matrix reference_cholesky(const Matrix& matrix);

[[nodiscard]] Matrix transposed(const Matrix& matrix);

/// (k - c) H (k - c)^T for row k of keys and row c of codewords (A2ATS eq. 14).
[[nodiscard]] double reference_distance(const Matrix& keys, std::int64_t k, const Matrix& codewords,
                                        std::int64_t c, const Matrix& h);

/// The nearest codeword of a key, and how much farther the second nearest is.
struct Nearest {
  std::int64_t code = 0;
  double distance = 0.0;
  double margin = 0.0;  ///< second nearest distance - distance; 0 is a tie
};

/// Brute force over all codewords by eq. 14, lowest code first.
[[nodiscard]] std::vector<Nearest> reference_codes(const Matrix& keys, const Matrix& codewords,
                                                   const Matrix& h);

/// Codes by ||zeta_m||^2 / 2 - (k L) . zeta_m with zeta_m = c_m L (A2ATS eq. 14 to 18), and how far
/// fp32 sums may be off.
class EncodingReference {
 public:
  /// @param codewords [C, d] @param lower [d, d] L
  EncodingReference(const Matrix& codewords, const Matrix& lower);

  /// ||zeta_m||^2 / 2 - (k L) . zeta_m without what all codewords share.
  [[nodiscard]] double distance(std::span<const double> key, std::int64_t codeword) const;
  /// The lowest distance's codeword, the lowest one in a tie.
  [[nodiscard]] std::int64_t code(std::span<const double> key) const;
  /// Distances this close to each other may change places: 2 (d + 3) 2^-24 max over m of
  /// (|b_m| + sum over t of |(k - c~)_t w_mt|), c~ the mean codeword.
  [[nodiscard]] double bound(std::span<const double> key) const;

 private:
  std::vector<double> m_center;  // [d] c~
  Matrix m_weights;              // [C, d] w_m = L o_m with o_m = (c_m - c~) L
  std::vector<double> m_biases;  // [C] b_m = ||o_m||^2 / 2
};

/// The top k of [begin, end) by a full sort: score descending, then token descending; ascending.
[[nodiscard]] std::vector<std::int32_t> reference_top(std::span<const double> scores,
                                                      std::int64_t begin, std::int64_t end,
                                                      std::int64_t k);

/// q R_p for any rotation amount p and frequency table.
[[nodiscard]] std::vector<double> reference_rotate(std::span<const double> x, double position,
                                                   std::span<const double> frequencies,
                                                   const traces::RopeSpec& spec);

/// u_ij of eq. 11 before scaling: q R_(i-j) k^T inside the window, q R_b k^T beyond.
[[nodiscard]] double reference_windowed_score(std::span<const double> q, std::span<const double> k,
                                              std::int64_t i, std::int64_t j, std::int64_t window,
                                              std::int64_t distance,
                                              std::span<const double> frequencies,
                                              const traces::RopeSpec& spec);

/// Keys that cluster and queries that prefer some directions, their axes unrelated.
struct Calibration {
  std::vector<float> keys;     ///< [n, d]
  std::vector<float> queries;  ///< [m, d]
  std::int64_t head_dim = 0;

  /// `direction_seed` fixes clusters and axes, `seed` the draws from them: data sets with the same
  /// direction seed share a distribution. `spread` is the ratio of the widest to the narrowest
  /// axis.
  Calibration(std::int64_t n, std::int64_t m, std::int64_t d, std::uint32_t direction_seed,
              std::uint32_t seed, double spread = 30.0);

  [[nodiscard]] MatrixView<const float> key_view() const {
    return {keys.data(), static_cast<std::int64_t>(keys.size()) / head_dim, head_dim};
  }
  [[nodiscard]] MatrixView<const float> query_view() const {
    return {queries.data(), static_cast<std::int64_t>(queries.size()) / head_dim, head_dim};
  }
};

}  // namespace kvsieve::kernels::tests
