#pragma once
// Training of one KV head's codebook: the second moment H of its queries, its Cholesky factor L,
// and k-means on z = k L, where Euclidean distance is the expected score error (A2ATS eq. 13 to
// 18).

#include <cstdint>
#include <functional>
#include <vector>

#include "kvsieve/kernels/matrix_view.h"
#include "kvsieve/kernels/work.h"

namespace kvsieve::kernels {

/// Sum of outer products of query rows, H = sum of q^T q [d, d], in double precision. Independent
/// of order and of how rows are cut into pieces up to rounding (1e-10), additive over shards.
class QueryMoment {
 public:
  explicit QueryMoment(std::int64_t head_dim);
  /// A sum [d, d] of `rows` rows that was formed elsewhere.
  QueryMoment(std::int64_t head_dim, std::int64_t rows, std::vector<double> sum);

  /// Adds queries [R, d], rotated by the constant distance. All query heads of a group add to the
  /// moment of their KV head. Parallel over fixed blocks of rows.
  void add(MatrixView<const float> queries);
  /// Adds another shard's sum. Throws Error(kInternal) if its head dimension differs.
  void add(const QueryMoment& other);

  [[nodiscard]] std::int64_t head_dim() const noexcept { return m_head_dim; }
  [[nodiscard]] std::int64_t rows() const noexcept { return m_rows; }
  /// H [d, d], symmetric.
  [[nodiscard]] MatrixView<const double> matrix() const noexcept {
    return {m_sum.data(), m_head_dim, m_head_dim};
  }

 private:
  std::int64_t m_head_dim;
  std::int64_t m_rows = 0;
  std::vector<double> m_sum;
};

/// L with L L^T = H / rms(H) + 1e-6 I.
struct CholeskyFactor {
  std::int64_t head_dim = 0;
  std::vector<double> lower;      ///< [d, d], zero above the diagonal, positive on it
  double condition_number = 1.0;  ///< of the matrix that was factorised

  [[nodiscard]] MatrixView<const double> matrix() const noexcept {
    return {lower.data(), head_dim, head_dim};
  }
};

/// Factorises H after dividing by the root mean square of its entries, which leaves nearest
/// codewords as they are and gives the 1e-6 a meaning; fewer queries than d are fine.
/// Throws Error(kBadInput) if H is not finite or zero (no queries).
[[nodiscard]] CholeskyFactor factorise(const QueryMoment& moment);

/// The factor of plain vector quantisation, L = I.
[[nodiscard]] CholeskyFactor identity_factor(std::int64_t head_dim);

/// Which points k-means starts from.
enum class KMeansSeeding {
  /// k-means++ (Arthur and Vassilvitskii, 2007): the first drawn evenly, each next one with
  /// probability proportional to its squared distance to the nearest seed so far.
  kPlusPlus,
  /// k-means++ among min(N, 4 C) of the points, an even draw without replacement: each point in
  /// turn is taken with probability wanted / left, and these numbers are drawn before the seeds'.
  kSampled,
};

/// How to run k-means.
struct KMeansOptions {
  std::int64_t clusters = 4096;       ///< C, 1 to 65536
  std::int64_t max_iterations = 300;  ///< at least 1
  double tolerance = 1e-4;            ///< stop when the centroids' move has at most this norm
  std::uint64_t seed = 0;
  KMeansSeeding seeding = KMeansSeeding::kPlusPlus;
  /// [C, d] centroids to start from instead of seeds, if data is not null.
  MatrixView<const float> initial;
  /// Called with the number of updates so far, by the thread that called kmeans: after each
  /// assignment, and with 0 now and then while seeds are drawn. What it throws ends the run.
  std::function<void(std::int64_t iteration)> progress;
};

/// What k-means found.
struct KMeansResult {
  std::vector<float> centroids;  ///< [C, d]
  std::vector<double> means;     ///< [C, d] the same before rounding to fp32
  /// [N] the centroid that each point is assigned to at the end. With tolerance 0 and convergence,
  /// every centroid is the mean of exactly these members.
  std::vector<std::int32_t> labels;
  /// Mean squared distance to the assigned centroid, at every assignment: iterations + 1 numbers
  /// that never increase.
  std::vector<double> objective;
  std::int64_t iterations = 0;
  bool converged = false;
  std::int64_t reseeded = 0;    ///< empty clusters that were given a new start, over all iterations
  std::int64_t dead_codes = 0;  ///< centroids without a member at the end
};

/// Full-batch Lloyd iterations.
/// Seeds: distinct points as long as there are any, after which the remaining centroids repeat the
/// first and stay dead. Assignment: the nearest centroid, by squared distances summed in double
/// precision, lowest index in a tie; a point leaves its centroid only for one that is strictly
/// nearer. Empty clusters: take over the point farthest from its centroid (lowest index in a tie),
/// one after another, never a cluster's only member. All three keep the objective from increasing.
/// Most distances are ruled out by bounds instead of being computed, which changes no bit. Bits
/// depend on the arguments alone, not on the number of threads, and from given initial centroids
/// not on the instruction set either (seeds are searched for in fp32).
/// @param points [N, d] fp32, N >= 1
/// Throws Error(kUsage) for options out of range, Error(kBadInput) naming the first row that is not
/// finite, and whatever `progress` throws.
[[nodiscard]] KMeansResult kmeans(MatrixView<const float> points, const KMeansOptions& options);

/// z = k L in fp32. @param keys [N, d] @param z [N, d], z.stride >= d rounded up to 16. Parallel.
void whiten(MatrixView<const float> keys, MatrixView<const double> lower, MatrixView<float> z);

/// Solves c L = zeta for codewords c [C, d] in the space of keys; L is never inverted.
/// @param whitened [C, d]
[[nodiscard]] std::vector<float> unwhiten(MatrixView<const double> whitened,
                                          MatrixView<const double> lower);

/// A codebook and how it came about.
struct TrainedCodebook {
  std::vector<float> codewords;  ///< [C, d] in the space of keys before RoPE
  std::vector<float> cholesky;   ///< [d, d] L rounded to fp32: what encoding works with
  KMeansResult clustering;       ///< in z-space
};

/// whiten, kmeans, unwhiten. @param keys [N, d] before RoPE
[[nodiscard]] TrainedCodebook train_codebook(MatrixView<const float> keys,
                                             const CholeskyFactor& factor,
                                             const KMeansOptions& options);

/// Work of Lloyd iterations, each an assignment of N points to C centroids and their means, and of
/// the assignment that follows the last. A pass over the points assigns them and adds them up; all
/// but the first need the labels of the one before.
[[nodiscard]] constexpr Work codebook_training_work(std::int64_t iterations, std::int64_t points,
                                                    std::int64_t codewords, std::int64_t d) {
  const std::int64_t passes = iterations + 1;
  return {passes * (points + codewords) * d * 4 + iterations * points * 4,
          iterations * codewords * d * 4 + passes * points * 4,
          passes * 2 * points * codewords * d + iterations * points * d};
}

}  // namespace kvsieve::kernels
