#pragma once
// Random tensors as a trace stores them, beside the very same numbers for a reference.

#include <tbb/global_control.h>
#include <tbb/task_arena.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/attention/case_table.h"
#include "kernels/attention/dense_attention_reference.h"
#include "kvsieve/kernels/matrix_view.h"
#include "kvsieve/traces/dtype.h"
#include "kvsieve/traces/safetensors.h"

namespace kvsieve::kernels::tests {

/// A tensor [heads, rows, cols] of normal random numbers, rounded to `dtype` and stored at an odd
/// address, since files promise no alignment.
class RandomHeads {
 public:
  RandomHeads(std::int64_t heads, std::int64_t rows, std::int64_t cols, traces::DType dtype,
              std::uint32_t seed, double deviation = 1.0);

  /// Valid as long as this object lives.
  [[nodiscard]] traces::TensorView view() const;
  /// What one head holds after rounding.
  [[nodiscard]] const Matrix& exact(std::int64_t head) const {
    return m_exact[static_cast<std::size_t>(head)];
  }

 private:
  traces::DType m_dtype;
  std::vector<std::int64_t> m_shape;
  std::vector<std::byte> m_bytes;
  std::vector<Matrix> m_exact;
};

/// fp32 rows for the code under test, and the same in double.
struct RandomRows {
  std::vector<float> data;
  Matrix exact;

  RandomRows(std::int64_t rows, std::int64_t cols, std::uint32_t seed, double deviation = 1.0);
  [[nodiscard]] MatrixView<const float> view() const {
    return {data.data(), exact.rows, exact.cols};
  }
};

/// fp32 numbers as a matrix of doubles.
[[nodiscard]] Matrix to_matrix(MatrixView<const float> view);

/// Everything that attention over one KV head takes, for a case of the table.
struct HeadProblem {
  AttentionCase item;
  RandomHeads keys;
  RandomHeads values;
  RandomRows queries;  ///< [G * R, d], drawn as if rotated already
  std::vector<std::int32_t> positions;

  explicit HeadProblem(const AttentionCase& attention_case, std::uint32_t seed = 1);
  /// The keys rotated to their positions, [T, d].
  [[nodiscard]] Matrix rotated_keys() const;
};

/// Runs `action` with at most `threads` threads of TBB.
template <class Action>
void with_threads(int threads, const Action& action) {
  const tbb::global_control limit(tbb::global_control::max_allowed_parallelism,
                                  static_cast<std::size_t>(threads));
  tbb::task_arena arena(threads);
  arena.execute(action);
}

}  // namespace kvsieve::kernels::tests
