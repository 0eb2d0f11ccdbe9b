#pragma once
// The vector inner loops of the CPU backend, chosen once at run time by instruction set.
//
// Matrices on the right-hand side are packed in panels: panel p holds columns 16p .. 16p+15 as
// [k][16], so that a row of a panel is one cache line. Sums run over k in ascending order with one
// accumulator an output element, whatever the vector width, and long reductions use 16 fixed
// partial sums: results do not depend on the thread count, and differ between instruction sets
// only by fused multiply-add.

#include <cstdint>

namespace kvsieve::kernels {

struct DecodeBlock;

/// Columns of a panel.
inline constexpr std::int64_t kPanelWidth = 16;

/// Panels needed for `columns` columns.
[[nodiscard]] constexpr std::int64_t panel_count(std::int64_t columns) noexcept {
  return (columns + kPanelWidth - 1) / kPanelWidth;
}

/// One instruction set's implementation of the inner loops.
struct SimdOps {
  const char* name;  ///< "avx512", "avx2" or "baseline"

  /// c [rows, 16 * panels] (row stride ldc) = or += a [rows, depth] (row stride lda) times the
  /// panels; consecutive panels lie `panel_stride` floats apart.
  void (*multiply)(const float* a, std::int64_t lda, std::int64_t rows, const float* panels,
                   std::int64_t panel_stride, std::int64_t panels_n, std::int64_t depth, float* c,
                   std::int64_t ldc, bool accumulate);

  /// As multiply, over the listed depths only: c = sum over i of a[., index[i]] * panel[index[i]].
  void (*multiply_indexed)(const float* a, std::int64_t lda, std::int64_t rows, const float* panels,
                           std::int64_t panel_stride, std::int64_t panels_n,
                           const std::int32_t* index, std::int64_t count, float* c,
                           std::int64_t ldc, bool accumulate);

  /// sums [rows] += sum over all columns of |a times panels|; the product is never stored.
  void (*multiply_abs_sum)(const float* a, std::int64_t lda, std::int64_t rows, const float* panels,
                           std::int64_t panel_stride, std::int64_t panels_n, std::int64_t depth,
                           float* sums);

  /// For each row of a: the smallest bias[c] - a . column c, and the lowest such column. `best`
  /// and `best_index` [rows] hold the running minimum on entry (columns seen before, all lower)
  /// and on return. Panels are numbered from `first_column` / 16.
  void (*multiply_argmin)(const float* a, std::int64_t lda, std::int64_t rows, const float* panels,
                          std::int64_t panel_stride, std::int64_t panels_n, std::int64_t depth,
                          const float* bias, std::int64_t first_column, float* best,
                          std::int32_t* best_index);

  /// sum of a[i] * b[i], i < n.
  float (*dot)(const float* a, const float* b, std::int64_t n);
  /// sum of a[index[i]] * b[index[i]], i < count.
  float (*dot_indexed)(const float* a, const float* b, const std::int32_t* index,
                       std::int64_t count);
  /// sum of a[index[i]], i < count.
  float (*sum_indexed)(const float* a, const std::int32_t* index, std::int64_t count);
  /// sum of |a[i]|, i < n.
  float (*abs_sum)(const float* a, std::int64_t n);
  /// y[i] += factor * x[i], i < n.
  void (*axpy)(float factor, const float* x, float* y, std::int64_t n);
  /// The largest of x [n], n >= 1.
  float (*max)(const float* x, std::int64_t n);
  /// x[i] = exp(x[i] - shift), i < n; returns the sum. x[i] <= shift. The difference is rounded to
  /// fp32; its exponential has a relative error below 3e-7 down to -87 and is 0 below, -inf too.
  float (*exp_shift_sum)(float* x, std::int64_t n, float shift);
  /// x[i] *= factor, i < n.
  void (*scale)(float* x, std::int64_t n, float factor);
  /// IEEE binary16 and bfloat16 to fp32, exact; source may have any alignment.
  void (*half_to_float)(const void* source, float* out, std::int64_t n);
  void (*bfloat_to_float)(const void* source, float* out, std::int64_t n);

  std::int64_t lanes;  ///< floats of a vector
  /// Takes one block of tokens into running softmax attention (exec/cpu/decode_block.h).
  void (*decode_block)(const DecodeBlock& block);
};

/// The implementation for this machine: the best it supports, or what the environment variable
/// KVSIEVE_ISA (avx512, avx2, baseline) asks for. Throws Error(kUsage) for an unknown or
/// unsupported value.
[[nodiscard]] const SimdOps& simd();

/// Every implementation that this machine can run, best first, for tests.
struct SimdList {
  const SimdOps* items[3];
  int count;
};
[[nodiscard]] SimdList simd_supported();

extern const SimdOps simd_baseline;
#if defined(__x86_64__)
extern const SimdOps simd_avx2;
extern const SimdOps simd_avx512;
#endif

}  // namespace kvsieve::kernels
